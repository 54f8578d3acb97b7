// SPDX-License-Identifier: Apache-2.0

internal import CCurl
internal import Seams

/// The status of a status line (`HTTP/1.1 200 OK`, `HTTP/2 200`); `nil` for any other line.
func statusCode(_ line: String) -> Int? {
    guard line.hasPrefix("HTTP/") else { return nil }
    let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
    guard parts.count >= 2 else { return nil }
    return Int(parts[1].prefix { $0.isNumber })
}

/// Name and value of a header line; `nil` for any other line, the empty one above all.
func headerField(_ line: String) -> HTTPHeader? {
    let bytes = line.utf8
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon != bytes.startIndex else { return nil }
    let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A }
    var value = bytes[bytes.index(after: colon)...].drop(while: isSpace)
    while let last = value.last, isSpace(last) { value.removeLast() }
    return HTTPHeader(String(Substring(bytes[..<colon])), String(Substring(value)))
}

/// What a code of libcurl means for the caller.
/// - Parameters:
///   - text: libcurl's words; may be empty.
///   - isIssued: the request may have reached the server.
///   - replayRefused: libcurl wanted to send it again and was not let.
func exchangeError(_ code: CURLcode, _ text: String, isIssued: Bool, replayRefused: Bool) -> ExchangeError {
    if replayRefused { return ExchangeError(.connectionLost, "the connection was closed before an answer came") }
    let message = "\(text.isEmpty ? String(cString: curl_easy_strerror(code)) : text) (curl \(code.rawValue))"
    switch code {
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_BAD_FUNCTION_ARGUMENT, CURLE_UNKNOWN_OPTION:
        return ExchangeError(.invalidRequest, message)
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CIPHER,
        CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT, CURLE_USE_SSL_FAILED:
        return ExchangeError(.tls, message)
    case CURLE_SSL_CONNECT_ERROR:
        // Also a peer that hangs up during the handshake: that says nothing about certificates.
        let isVerdict = text.contains("SSL routines") && !text.contains("unexpected eof")
        return ExchangeError(isVerdict ? .tls : .unreachable, message)
    case CURLE_OPERATION_TIMEDOUT:
        return ExchangeError(isIssued ? .timedOut : .unreachable, message)
    default:
        // With TLS 1.3 a server refuses our certificate only after the handshake, when we read the answer.
        if text.contains("SSL routines"), text.contains("alert") { return ExchangeError(.tls, message) }
        return ExchangeError(isIssued ? .connectionLost : .unreachable, message)
    }
}
