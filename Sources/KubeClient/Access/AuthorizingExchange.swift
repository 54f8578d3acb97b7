// SPDX-License-Identifier: Apache-2.0

package import Seams
import Synchronization

/// An exchange that adds the bearer token, and the path prefix of the server's URL.
///
/// A token file is read again at most once a minute, and at once after a 401. When it held another token by then, the
/// request is sent once more: a 401 means that nothing was done.
package final class AuthorizingExchange: Exchange {
    private struct Known {
        var token: String?
        var readAt: Uptime?
    }

    private static let interval: Milliseconds = 60_000

    private let base: any Exchange
    private let source: TokenSource
    private let pathPrefix: String
    private let time: any Timekeeper
    private let readFile: @Sendable (String) throws -> [UInt8]?
    private let known = Mutex(Known())

    /// - Parameters:
    ///   - base: Bound to the server's origin and certificates.
    ///   - pathPrefix: `ServerURL.pathPrefix`.
    ///   - readFile: `nil` when there is no such file.
    package init(
        _ base: any Exchange, token: TokenSource, pathPrefix: String = "", time: any Timekeeper,
        readFile: @escaping @Sendable (String) throws -> [UInt8]?
    ) {
        self.base = base
        self.source = token
        self.pathPrefix = pathPrefix
        self.time = time
        self.readFile = readFile
    }

    package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        let token = try current()
        let response = try await base.send(authorized(request, token))
        guard response.status == 401, let newer = replacement(of: token) else { return response }
        return try await base.send(authorized(request, newer))
    }

    package func open(_ request: HTTPRequest) async throws -> any HTTPStream {
        let token = try current()
        let stream = try await base.open(authorized(request, token))
        guard stream.head.status == 401, let newer = replacement(of: token) else { return stream }
        stream.close()
        return try await base.open(authorized(request, newer))
    }

    private func authorized(_ request: HTTPRequest, _ token: String?) -> HTTPRequest {
        var request = request
        request.target = pathPrefix + request.target
        if let token { request.headers.append(HTTPHeader("Authorization", "Bearer \(token)")) }
        return request
    }

    /// The token to send; `nil` when none is wanted.
    private func current() throws -> String? {
        switch source {
        case .none: return nil
        case .fixed(let token): return token
        case .file(let path):
            let now = time.uptime
            let token = known.withLock { known in
                let isFresh = known.readAt.map { now.since($0) < Self.interval } ?? false
                if known.token == nil || !isFresh {
                    known.readAt = now
                    // A file that is just being replaced does no harm: the token that was there still holds.
                    known.token = read(path) ?? known.token
                }
                return known.token
            }
            guard let token else { throw ExchangeError(.unreachable, "there is no token in \(path)") }
            return token
        }
    }

    /// The token that is in the file now, when it is another one than the one that was refused.
    private func replacement(of refused: String?) -> String? {
        guard case .file(let path) = source else { return nil }
        let now = time.uptime
        return known.withLock { known in
            known.readAt = now
            known.token = read(path) ?? known.token
            return known.token == refused ? nil : known.token
        }
    }

    private func read(_ path: String) -> String? {
        guard let bytes = try? readFile(path) else { return nil }
        return usableToken(String(decoding: bytes, as: UTF8.self))
    }
}
