// SPDX-License-Identifier: Apache-2.0

package import Seams

/// An S3 bucket, read through an exchange that signs requests (SigV4).
///
/// Only what the agent needs: listing and reading. Every request carries `x-amz-content-sha256`, and every query key a
/// value, sorted and percent-encoded as the signature wants it: libcurl signs what it is given and repairs nothing.
package struct ObjectStore: Sendable {
    private let exchange: any Exchange
    private let time: any Timekeeper
    /// Where keys begin in a request's path: `/bucket/` with path-style addressing, `/` otherwise.
    private let root: String
    private let retries: Int

    /// - Parameters:
    ///   - exchange: bound to the endpoint (or, without path style, to the bucket's own host), and signing.
    ///   - pathStyle: whether the bucket stands in the path.
    ///   - retries: how often a request that failed in passing is repeated.
    package init(
        exchange: any Exchange, time: any Timekeeper, bucket: String, pathStyle: Bool, retries: Int = 4
    ) {
        self.exchange = exchange
        self.time = time
        self.root = pathStyle ? "/\(S3Encoding.component(bucket))/" : "/"
        self.retries = retries
    }

    /// One page of a listing (`ListObjectsV2`), at most 1,000 keys.
    /// - Parameters:
    ///   - delimiter: `/` to see only what lies directly below the prefix.
    ///   - continuation: `nextContinuation` of the page before.
    /// - Throws: `ObjectStoreError`.
    package func list(
        prefix: String, delimiter: String? = nil, continuation: String? = nil, limit: Int = 1_000
    ) async throws -> ListingPage {
        var query = [("list-type", "2"), ("max-keys", "\(min(limit, 1_000))"), ("prefix", prefix)]
        if let delimiter { query.append(("delimiter", delimiter)) }
        if let continuation { query.append(("continuation-token", continuation)) }
        let text = query.sorted { $0.0 < $1.0 }
            .map { "\(S3Encoding.component($0.0))=\(S3Encoding.component($0.1))" }.joined(separator: "&")
        let response = try await send(.get, "\(root)?\(text)")
        return try ListingPage(xml: response.body, date: response.header("date"))
    }

    /// Reads a whole object of at most `limit` bytes.
    /// - Returns: `nil` when there is no such key.
    /// - Throws: `ObjectStoreError`; `.tooLarge` when it is larger.
    package func read(_ key: String, limit: Int) async throws -> [UInt8]? {
        do {
            let response = try await send(.get, root + S3Encoding.path(key), range: "bytes=0-\(limit)")
            guard response.body.count <= limit else {
                throw ObjectStoreError(.tooLarge, "\(key) has more than \(limit) bytes")
            }
            return response.body
        } catch let error as ObjectStoreError where error.code == .noSuchKey {
            return nil
        }
    }

    private func send(_ method: HTTPMethod, _ target: String, range: String? = nil) async throws -> HTTPResponse {
        // The digest of an empty body: every GET has one.
        var headers = [
            HTTPHeader("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        ]
        if let range { headers.append(HTTPHeader("Range", range)) }
        var attempt = 0
        while true {
            do {
                let request = HTTPRequest(method, target, headers: headers, timeout: 30_000)
                let response = try await exchange.send(request)
                guard !(200..<300).contains(response.status) else { return response }
                throw ObjectStoreError(response)
            } catch {
                let failure = (error as? ObjectStoreError) ?? ObjectStoreError(error)
                guard failure.isPassing, attempt < retries else { throw failure }
                attempt += 1
                try await time.sleep(until: time.uptime.adding(250 << attempt), for: .retry)
            }
        }
    }
}

/// How S3 wants text in a URL: everything but unreserved characters as upper-case `%XX`.
package enum S3Encoding {
    /// For one query key or value.
    package static func component(_ text: String) -> String { encode(text, keeping: false) }

    /// For a key in the path, where slashes stay.
    package static func path(_ text: String) -> String { encode(text, keeping: true) }

    private static func encode(_ text: String, keeping slash: Bool) -> String {
        let digits = Array("0123456789ABCDEF")
        var encoded = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            case 0x2F where slash:
                encoded.append("/")
            default:
                encoded.append("%")
                encoded.append(digits[Int(byte >> 4)])
                encoded.append(digits[Int(byte & 15)])
            }
        }
        return encoded
    }
}
