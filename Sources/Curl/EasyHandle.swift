// SPDX-License-Identifier: Apache-2.0

internal import CCurl
internal import Seams

/// A libcurl easy handle with the options that hold for all requests of its exchange. Used for one transfer at a time.
final class EasyHandle {
    let pointer: UnsafeMutableRawPointer
    private let errorBuffer: UnsafeMutablePointer<CChar>
    private var headers: UnsafeMutablePointer<curl_slist>?
    /// The credentials that the handle's blobs point into.
    private let credentials: CredentialBytes
    private let isSigning: Bool

    /// - Throws: `ExchangeError` when libcurl has no memory left or does not know an option.
    init(_ settings: CurlExchange.Settings, _ credentials: CredentialBytes, http2: Bool, streaming: Bool) throws {
        guard CurlLibrary.isReady, let pointer = curl_easy_init() else {
            throw ExchangeError(.unreachable, "libcurl has no memory for a request")
        }
        self.pointer = pointer
        self.credentials = credentials
        isSigning = settings.signing != nil
        errorBuffer = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorBuffer.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        try check(ccurl_set_pointer(pointer, CURLOPT_ERRORBUFFER, errorBuffer))
        try setProtocol(http2: http2, streaming: streaming)
        try setTLS(settings)
        try setProxy(settings.proxy)
        if let signing = settings.signing { try setSigning(signing) }
    }

    deinit {
        curl_easy_cleanup(pointer)
        errorBuffer.deallocate()
        curl_slist_free_all(headers)
    }

    /// What libcurl says about the failure; empty when nothing.
    var errorText: String { String(cString: errorBuffer) }

    /// How many connections the transfer opened.
    var connectionsOpened: Int {
        var count = 0
        return ccurl_get_long(pointer, CURLINFO_NUM_CONNECTS, &count) == CURLE_OK ? count : 0
    }

    /// Sets all that differs between requests.
    /// - Throws: `ExchangeError`.
    func prepare(_ request: HTTPRequest, url: String, extraHeaders: [HTTPHeader]) throws {
        errorBuffer.pointee = 0
        try set(CURLOPT_URL, url)
        // Back to a plain GET; then whatever the method needs.
        try set(CURLOPT_HTTPGET, 1)
        try setNothing(CURLOPT_CUSTOMREQUEST)
        switch request.method {
        case .get: break
        case .head: try set(CURLOPT_NOBODY, 1)
        case .delete where request.body.isEmpty: try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        case .post, .put, .patch, .delete:
            try set(CURLOPT_POST, 1)
            try check(ccurl_set_offset(pointer, CURLOPT_POSTFIELDSIZE_LARGE, request.body.count))
            let code = request.body.withUnsafeBytes { bytes in
                // A pointer even for an empty body: with none libcurl would ask a read callback for it.
                withUnsafePointer(to: UInt8(0)) { nothing in
                    ccurl_set_pointer(pointer, CURLOPT_COPYPOSTFIELDS, bytes.baseAddress ?? UnsafeRawPointer(nothing))
                }
            }
            try check(code)
            if request.method != .post { try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue) }
        }
        try setHeaders(request.headers + extraHeaders, isSigned: isSigning)
    }

    /// Drops the last request: its body and its headers may hold secrets.
    func forget() {
        _ = ccurl_set_list(pointer, CURLOPT_HTTPHEADER, nil)
        curl_slist_free_all(headers)
        headers = nil
        _ = ccurl_set_pointer(pointer, CURLOPT_POSTFIELDS, nil)
    }

    private func setHeaders(_ wanted: [HTTPHeader], isSigned: Bool) throws {
        curl_slist_free_all(headers)
        headers = nil
        // libcurl's own: no waiting for a "100 Continue", no made-up content type. Not where it signs: 7.88 counts the
        // headers that it was told to leave out among the signed ones, and no server can verify that.
        var lines = isSigned ? [] : ["Expect:"]
        if !isSigned, !wanted.contains(where: { $0.name.lowercased() == "content-type" }) {
            lines.append("Content-Type:")
        }
        for header in wanted {
            // "Name:" would remove a header; "Name;" sends it empty.
            lines.append(header.value.isEmpty ? "\(header.name);" : "\(header.name): \(header.value)")
        }
        for line in lines {
            guard let list = curl_slist_append(headers, line) else {
                throw ExchangeError(.unreachable, "libcurl has no memory for a request")
            }
            headers = list
        }
        try check(ccurl_set_list(pointer, CURLOPT_HTTPHEADER, headers))
    }

    private func setProtocol(http2: Bool, streaming: Bool) throws {
        try set(CURLOPT_NOSIGNAL, 1)
        // A name look-up still under way must not hold up the thread when its transfer ends.
        try set(CURLOPT_QUICK_EXIT, 1)
        try set(CURLOPT_PROTOCOLS_STR, "http,https")
        try set(CURLOPT_FOLLOWLOCATION, 0)
        try set(CURLOPT_PATH_AS_IS, 1)
        try set(CURLOPT_TCP_KEEPALIVE, 1)
        try set(CURLOPT_TCP_KEEPIDLE, 30)
        try set(CURLOPT_TCP_KEEPINTVL, 10)
        try check(ccurl_set_socket_preparation(pointer))
        // Deadlines are the event loop's; this only keeps libcurl's own 300 s out of the way.
        try set(CURLOPT_CONNECTTIMEOUT, 86_400)
        if streaming {
            // A connection of its own, closed with the transfer: an unmistakable cancel, and no HTTP/2 flow window
            // in which libcurl would go on buffering while the consumer lags.
            try set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
            try set(CURLOPT_FRESH_CONNECT, 1)
            try set(CURLOPT_FORBID_REUSE, 1)
        } else {
            try set(CURLOPT_HTTP_VERSION, http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1)
            try set(CURLOPT_PIPEWAIT, http2 ? 1 : 0)
        }
    }

    private func setTLS(_ settings: CurlExchange.Settings) throws {
        try set(CURLOPT_SSL_VERIFYPEER, 1)
        try set(CURLOPT_SSL_VERIFYHOST, 2)
        try set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        if let bytes = credentials.authorities {
            // Without this the system's directory of authorities would be trusted as well.
            try setNothing(CURLOPT_CAPATH)
            try setNothing(CURLOPT_CAINFO)
            try check(ccurl_set_blob(pointer, CURLOPT_CAINFO_BLOB, bytes.baseAddress, bytes.count))
        }
        if let bytes = credentials.certificate {
            try set(CURLOPT_SSLCERTTYPE, "PEM")
            try check(ccurl_set_blob(pointer, CURLOPT_SSLCERT_BLOB, bytes.baseAddress, bytes.count))
        }
        if let bytes = credentials.key {
            try set(CURLOPT_SSLKEYTYPE, "PEM")
            try check(ccurl_set_blob(pointer, CURLOPT_SSLKEY_BLOB, bytes.baseAddress, bytes.count))
        }
    }

    private func setProxy(_ proxy: CurlExchange.Proxy) throws {
        try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        switch proxy {
        case .none:
            try set(CURLOPT_PROXY, "")
            try set(CURLOPT_NOPROXY, "*")
        case .environment: break
        case .url(let url):
            try set(CURLOPT_PROXY, url)
            try set(CURLOPT_NOPROXY, "")
        }
    }

    private func setSigning(_ signing: S3Signing) throws {
        try set(CURLOPT_AWS_SIGV4, "aws:amz:\(signing.region):\(signing.service)")
        try set(CURLOPT_USERNAME, signing.accessKey)
        try set(CURLOPT_PASSWORD, signing.secretKey)
    }

    // MARK: Options

    private func set(_ option: CURLoption, _ value: Int) throws { try check(ccurl_set_long(pointer, option, value)) }

    private func set(_ option: CURLoption, _ value: String) throws {
        try check(ccurl_set_string(pointer, option, value))
    }

    private func setNothing(_ option: CURLoption) throws { try check(ccurl_set_string(pointer, option, nil)) }

    func check(_ code: CURLcode) throws {
        guard code == CURLE_OK else {
            throw ExchangeError(.invalidRequest, "libcurl: \(String(cString: curl_easy_strerror(code)))")
        }
    }
}

/// Certificates and key as libcurl wants them: at one address for as long as a handle may use them.
final class CredentialBytes: @unchecked Sendable {
    let authorities: UnsafeMutableBufferPointer<UInt8>?
    let certificate: UnsafeMutableBufferPointer<UInt8>?
    let key: UnsafeMutableBufferPointer<UInt8>?

    init(_ tls: CurlExchange.TLS) {
        authorities = Self.copy(tls.authorities)
        certificate = Self.copy(tls.certificate)
        key = Self.copy(tls.key)
    }

    deinit {
        // The key goes out of memory with its last user.
        key?.update(repeating: 0)
        for bytes in [authorities, certificate, key] { bytes?.deallocate() }
    }

    private static func copy(_ bytes: [UInt8]?) -> UnsafeMutableBufferPointer<UInt8>? {
        guard let bytes else { return nil }
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(1, bytes.count))
        copy.initialize(repeating: 0)
        _ = copy.update(fromContentsOf: bytes)
        return UnsafeMutableBufferPointer(rebasing: copy[..<bytes.count])
    }
}
