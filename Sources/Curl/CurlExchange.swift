// SPDX-License-Identifier: Apache-2.0

internal import CCurl
package import Seams

/// AWS signature version 4 on every request of an exchange, made by libcurl.
///
/// libcurl 7.88 signs the target as it is given and sends no payload hash, so the caller
/// - sorts the query by encoded key, gives each key its `=`, and encodes everything but `A-Z a-z 0-9 - _ . ~` as
///   upper-case `%XX` (in the path also keeping `/`);
/// - sends `x-amz-content-sha256` with every request, GET included.
///
/// The session token is sent as `x-amz-security-token`.
package struct S3Signing: Sendable {
    package var region: String
    /// `s3`, for S3.
    package var service: String
    package var accessKey: String
    package var secretKey: String
    package var sessionToken: String?

    package init(
        region: String, service: String = "s3", accessKey: String, secretKey: String, sessionToken: String? = nil
    ) {
        self.region = region
        self.service = service
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
    }
}

/// HTTP on libcurl, bound to one origin.
///
/// - Unary calls share a few connections: HTTP/2 where the server offers it (TLS only), HTTP/1.1 otherwise. Each
///   stream has an HTTP/1.1 connection of its own, closed with the stream.
/// - Deadlines are the event loop's, on CLOCK_BOOTTIME. After a missed deadline no later request uses the same
///   connections; what else is on its way there goes on.
/// - `unreachable` means surely not sent, however the attempt ended, a missed deadline included.
/// - Nothing is sent twice, with one exception: libcurl repeats a GET or HEAD when a connection it had kept turns out
///   to be closed.
/// - No redirects, no cookies, no decompression, no `Expect`.
package final class CurlExchange: Exchange {
    /// Whose certificates are trusted, and which is ours. Always verified; TLS 1.2 at least.
    package struct TLS: Sendable {
        /// PEM of the trusted authorities; `nil`: the system's.
        package var authorities: [UInt8]?
        /// PEM of our certificate and its chain.
        package var certificate: [UInt8]?
        /// PEM of our key, not encrypted.
        package var key: [UInt8]?

        package init(authorities: [UInt8]? = nil, certificate: [UInt8]? = nil, key: [UInt8]? = nil) {
            self.authorities = authorities
            self.certificate = certificate
            self.key = key
        }
    }

    package enum Proxy: Hashable, Sendable {
        /// A direct connection, whatever the environment says.
        case none
        /// As kubectl does it: `HTTPS_PROXY` (or `http_proxy`, lower case only, for an http origin), `ALL_PROXY`, and
        /// `NO_PROXY` with names, addresses and CIDRs. For programs that people start.
        case environment
        /// This one (http, https, socks5, socks5h), always: `proxy-url` of a kubeconfig.
        case url(String)
    }

    package struct Settings: Sendable {
        package var tls = TLS()
        package var proxy = Proxy.none
        /// Whether unary calls ask for HTTP/2.
        package var http2 = true
        /// How many connections unary calls may open. libcurl 7.88 leaks HTTP/2 streams from 4 on; for HTTP/1.1 this
        /// is how many calls run at once, the others wait.
        package var connections = 2
        /// The largest body of a unary answer, in bytes; more is `connectionLost`.
        package var bodyLimit = 256 << 20
        /// How many bytes of a stream wait for a slow consumer before the server is made to wait.
        package var streamBuffer = 4 << 20
        package var signing: S3Signing?

        package init() {}
    }

    private let loop: EventLoop
    private let pool: ConnectionPool
    private let bodyLimit: Int
    private let streamBuffer: Int

    /// Opens no connection yet.
    /// - Parameter origin: scheme, host and port, such as `https://10.0.0.1:6443`; without a path.
    /// - Throws: `ExchangeError` (`invalidRequest`) when it is something else.
    package init(loop: EventLoop, origin: String, settings: Settings = Settings()) throws {
        self.loop = loop
        pool = ConnectionPool(settings, origin: try validated(origin: origin))
        bodyLimit = settings.bodyLimit
        streamBuffer = settings.streamBuffer
    }

    deinit { loop.submit { [pool] _ in pool.close() } }

    package func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        try Task.checkCancellation()
        try validate(request)
        let call = UnaryCall(bodyLimit: bodyLimit)
        let transfer = Transfer(request, pool, streaming: false, sink: call)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                loop.submit { reactor in
                    call.begin(continuation)
                    transfer.begin(reactor)
                }
            }
        } onCancel: {
            loop.submit { _ in transfer.cancel() }
        }
    }

    package func open(_ request: HTTPRequest) async throws -> any HTTPStream {
        try Task.checkCancellation()
        try validate(request)
        let buffer = StreamBuffer(limit: streamBuffer)
        let transfer = Transfer(request, pool, streaming: true, sink: buffer)
        let head = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                loop.submit { reactor in
                    buffer.begin(continuation)
                    transfer.begin(reactor)
                }
            }
        } onCancel: {
            loop.submit { _ in transfer.cancel() }
        }
        return CurlStream(head: head, buffer: buffer, transfer: transfer, loop: loop)
    }

    /// How many connections finished requests have opened so far.
    package func connectionsOpened() async -> Int {
        await withCheckedContinuation { continuation in
            loop.submit { [pool] _ in continuation.resume(returning: pool.connectionsOpened) }
        }
    }
}

/// A unary call: collects the body and answers once. Belongs to the loop's thread.
private final class UnaryCall: TransferSink, @unchecked Sendable {
    private let bodyLimit: Int
    private var response = HTTPResponse(status: 0)
    private var continuation: CheckedContinuation<HTTPResponse, any Error>?
    private var early: (any Error)?

    init(bodyLimit: Int) { self.bodyLimit = bodyLimit }

    func begin(_ continuation: CheckedContinuation<HTTPResponse, any Error>) {
        if let early { return continuation.resume(throwing: early) }
        self.continuation = continuation
    }

    func headArrived(_ head: HTTPResponse) {
        response = head
        let announced = head.header("content-length").flatMap { Int($0) } ?? 0
        // What is announced may never come: take it at its word up to 1 MiB only.
        response.body.reserveCapacity(min(max(0, announced), bodyLimit, 1 << 20))
    }

    func take(_ bytes: UnsafeRawBufferPointer) -> TakeResult {
        guard response.body.count + bytes.count <= bodyLimit else {
            return .refuse(ExchangeError(.connectionLost, "the answer's body exceeds \(bodyLimit) bytes"))
        }
        response.body.append(contentsOf: bytes)
        return .taken
    }

    /// May come before `begin`: a task that is cancelled already runs its cancellation handler first.
    func ended(_ result: Result<Void, any Error>) {
        switch result {
        case .success: continuation?.resume(returning: response)
        case .failure(let error):
            if continuation == nil { early = error }
            continuation?.resume(throwing: error)
        }
        continuation = nil
    }
}
