// SPDX-License-Identifier: Apache-2.0

internal import CCurl
internal import Seams

/// An exchange's connections and spare handles. Belongs to the loop's thread.
final class ConnectionPool: @unchecked Sendable {
    private static let spareHandles = 64

    private let settings: CurlExchange.Settings
    private let origin: String
    private let credentials: CredentialBytes
    /// Never without TLS: there libcurl learns what the server speaks from its first answer only, and until then
    /// keeps all other requests waiting to share that connection.
    private let http2: Bool
    private let signingHeaders: [HTTPHeader]
    private var spare: [EasyHandle] = []
    private var unary: CurlMulti?
    private var streams: CurlMulti?
    private(set) var connectionsOpened = 0

    init(_ settings: CurlExchange.Settings, origin: String) {
        self.settings = settings
        self.origin = origin
        http2 = settings.http2 && origin.lowercased().hasPrefix("https:")
        credentials = CredentialBytes(settings.tls)
        signingHeaders = settings.signing?.sessionToken.map { [HTTPHeader("x-amz-security-token", $0)] } ?? []
    }

    func takeEasy(streaming: Bool) throws -> EasyHandle {
        if !streaming, let easy = spare.popLast() { return easy }
        return try EasyHandle(settings, credentials, http2: http2, streaming: streaming)
    }

    func giveBack(_ easy: EasyHandle) {
        guard spare.count < Self.spareHandles else { return }
        easy.forget()
        spare.append(easy)
    }

    func prepare(_ easy: EasyHandle, _ request: HTTPRequest) throws {
        try easy.prepare(request, url: origin + request.target, extraHeaders: signingHeaders)
    }

    /// Streams have a handle of their own: each has its own connection, and they know no limit.
    func takeMulti(streaming: Bool, _ reactor: Reactor) throws -> CurlMulti {
        if let multi = streaming ? streams : unary, !multi.isRetired { return multi }
        let multi = try reactor.makeMulti(.init(connections: streaming ? 0 : settings.connections))
        if streaming { streams = multi } else { unary = multi }
        return multi
    }

    /// Sees to it that no later request uses this handle's connections.
    func retire(_ multi: CurlMulti) {
        if unary === multi { unary = nil }
        multi.retire()
    }

    func countOpened(_ count: Int) { connectionsOpened += count }

    /// Nobody sends any more; what is on its way goes on.
    func close() {
        for multi in [unary, streams] { multi?.retire() }
        unary = nil
        streams = nil
        spare = []
    }
}
