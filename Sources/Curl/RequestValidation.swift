// SPDX-License-Identifier: Apache-2.0

internal import Seams

/// The origin without a trailing slash.
/// - Throws: `ExchangeError` when it is no `http` or `https` origin.
func validated(origin: String) throws -> String {
    let trimmed = origin.hasSuffix("/") ? String(origin.dropLast()) : origin
    let lowered = trimmed.lowercased()
    let host = ["https://", "http://"].first { lowered.hasPrefix($0) }.map { trimmed.dropFirst($0.count) }
    guard let host, !host.isEmpty, host.utf8.allSatisfy(isOriginByte) else {
        throw ExchangeError(.invalidRequest, "the origin is not http(s)://host[:port]")
    }
    return trimmed
}

/// - Throws: `ExchangeError` when the request would not arrive as it stands.
func validate(_ request: HTTPRequest) throws {
    guard request.target.utf8.first == UInt8(ascii: "/"), request.target.utf8.allSatisfy(isTargetByte) else {
        throw ExchangeError(.invalidRequest, "the target is not an encoded path and query")
    }
    guard request.body.isEmpty || (request.method != .get && request.method != .head) else {
        throw ExchangeError(.invalidRequest, "\(request.method.rawValue) with a body")
    }
    for header in request.headers {
        guard !header.name.isEmpty, header.name.utf8.allSatisfy(isTokenByte) else {
            throw ExchangeError(.invalidRequest, "a header's name is not a token")
        }
        guard header.value.utf8.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }) else {
            throw ExchangeError(.invalidRequest, "the value of header \(header.name) holds control characters")
        }
    }
}

private func isOriginByte(_ byte: UInt8) -> Bool {
    switch UnicodeScalar(byte) {
    case "a"..."z", "A"..."Z", "0"..."9", ".", "-", "_", ":", "[", "]": true
    default: false
    }
}

private func isTargetByte(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "#") }

private func isTokenByte(_ byte: UInt8) -> Bool {
    switch UnicodeScalar(byte) {
    case "a"..."z", "A"..."Z", "0"..."9": true
    case "!", "#", "$", "%", "&", "'", "*", "+", "-", ".", "^", "_", "`", "|", "~": true
    default: false
    }
}
