// SPDX-License-Identifier: Apache-2.0

package import Seams

/// An S3 bucket, read through an exchange that signs requests (SigV4).
///
/// Only what the agent needs: listing and reading. Every request carries `x-amz-content-sha256`, and every query key a
/// value, sorted and percent-encoded as the signature wants it: libcurl signs what it is given and repairs nothing.
///
/// A failure that may pass (no answer, 429, 5xx, SlowDown) is tried again after 0.5 s, 1 s, 2 s and so on; where the
/// store names a time in `Retry-After`, after that, but never more than `longestWait`.
package struct ObjectStore: Sendable {
    /// The most that is waited before one more attempt.
    static let longestWait: Milliseconds = 30_000
    /// The most keys in a page: S3's own limit, which other stores don't all hold callers to.
    package static let pageLimit = 1_000

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

    /// One page of a listing (`ListObjectsV2`), at most 1,000 keys, in the order of the keys' bytes.
    /// - Parameters:
    ///   - delimiter: `/` to see only what lies directly below the prefix.
    ///   - startAfter: only keys behind this one, which need not be there.
    ///   - continuation: `nextContinuation` of the page before; with it `startAfter` has no meaning.
    /// - Throws: `ObjectStoreError`.
    package func list(
        prefix: String, delimiter: String? = nil, startAfter: String? = nil, continuation: String? = nil,
        limit: Int = ObjectStore.pageLimit
    ) async throws -> ListingPage {
        var query = [
            // Without it a key with a control character would make a page that is no XML.
            ("encoding-type", "url"), ("list-type", "2"), ("max-keys", "\(min(limit, Self.pageLimit))"),
            ("prefix", prefix),
        ]
        if let delimiter { query.append(("delimiter", delimiter)) }
        if let continuation {
            query.append(("continuation-token", continuation))
        } else if let startAfter {
            query.append(("start-after", startAfter))
        }
        let response: HTTPResponse
        do {
            response = try await send("\(root)?\(S3Encoding.query(query))")
        } catch let error as ObjectStoreError where error.code == .noSuchKey {
            // S3 has no listing that is not there: either NoSuchBucket, or an empty one.
            throw ObjectStoreError(
                .unexpected, "a listing was answered with: \(error.message); is that an S3 endpoint?")
        }
        let page = try ListingPage(xml: response.body, date: response.header("date"))
        if let continuation, page.nextContinuation == continuation {
            throw ObjectStoreError(.unexpected, "the listing does not come to an end: the store repeats a page's token")
        }
        return page
    }

    /// Reads a whole object of at most `limit` bytes.
    /// - Returns: `nil` when there is no such key.
    /// - Throws: `ObjectStoreError`; `.tooLarge` when it is larger.
    package func read(_ key: String, limit: Int) async throws -> [UInt8]? {
        do {
            let response = try await send(root + S3Encoding.path(key), range: "bytes=0-\(limit)")
            guard response.body.count <= limit else {
                throw ObjectStoreError(.tooLarge, "\(key) has more than \(limit) bytes")
            }
            return response.body
        } catch let error as ObjectStoreError where error.code == .noSuchKey {
            return nil
        } catch let error as ObjectStoreError where error.code == .emptyObject {
            return []
        }
    }

    private func send(_ target: String, range: String? = nil) async throws -> HTTPResponse {
        // The digest of an empty body: every GET has one.
        var headers = [
            HTTPHeader("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        ]
        if let range { headers.append(HTTPHeader("Range", range)) }
        let request = HTTPRequest(.get, target, headers: headers, timeout: 30_000)
        var attempt = 0
        while true {
            do {
                let response = try await exchange.send(request)
                guard !(200..<300).contains(response.status) else { return response }
                throw ObjectStoreError(response)
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                let failure = (error as? ObjectStoreError) ?? ObjectStoreError(error)
                guard failure.isPassing, attempt < retries else { throw failure }
                attempt += 1
                let wait = min(failure.retryAfter ?? (250 << Milliseconds(attempt)), Self.longestWait)
                try await time.sleep(until: time.uptime.adding(wait), for: .retry)
            }
        }
    }
}
