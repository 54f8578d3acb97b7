// SPDX-License-Identifier: Apache-2.0

/// HTTP as values: libcurl in production, a model API server in the simulation.
///
/// An exchange is bound to one origin (scheme, host, port, certificates); requests carry only the rest. It never
/// retries and never follows redirects.
package protocol Exchange: Sendable {
    /// Sends a request and reads the whole answer. Any HTTP status is an answer, not an error.
    /// - Throws: `ExchangeError`; `CancellationError` when the task is cancelled (promptly).
    func send(_ request: HTTPRequest) async throws -> HTTPResponse
    /// Sends a request and hands out the answer's body as it arrives.
    /// - Throws: as `send`; returns once the head has arrived.
    func open(_ request: HTTPRequest) async throws -> any HTTPStream
}

package enum HTTPMethod: String, Hashable, Sendable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"
}

package struct HTTPHeader: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

package struct HTTPRequest: Hashable, Sendable {
    package var method: HTTPMethod
    /// Path and query as sent: percent-encoded already, beginning with `/`.
    package var target: String
    package var headers: [HTTPHeader]
    package var body: [UInt8]
    /// How long the whole answer (for a stream: its head) may take.
    package var timeout: Milliseconds
    /// For a stream: how long it may stay silent before it counts as dead. `nil`: for ever.
    package var idleTimeout: Milliseconds?

    package init(
        _ method: HTTPMethod, _ target: String, headers: [HTTPHeader] = [], body: [UInt8] = [],
        timeout: Milliseconds = 30_000, idleTimeout: Milliseconds? = nil
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.idleTimeout = idleTimeout
    }
}

package struct HTTPResponse: Hashable, Sendable {
    package var status: Int
    package var headers: [HTTPHeader]
    package var body: [UInt8]

    package init(status: Int, headers: [HTTPHeader] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first header of this name, compared without case.
    package func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }
}

/// The body of an answer as it arrives. One consumer at a time.
package protocol HTTPStream: Sendable {
    /// Status and headers; the body is empty here.
    var head: HTTPResponse { get }
    /// The next piece of the body, never empty; `nil` at its regular end.
    /// - Throws: `ExchangeError`; `CancellationError` when the task is cancelled.
    func next() async throws -> [UInt8]?
    /// Ends the transfer. Safe to call at any time, more than once.
    func close()
}

/// Why there was no answer. Whether the server acted on the request is unknown unless `code` says otherwise.
package struct ExchangeError: Error, Equatable, Sendable {
    package enum Code: String, Sendable {
        /// No connection: the request was not sent.
        case unreachable
        case timedOut
        /// The connection ended before the answer was complete.
        case connectionLost
        /// The server's certificate was not accepted, or ours was not.
        case tls
        /// The request can't be sent as it stands.
        case invalidRequest
    }

    package var code: Code
    /// For people and logs; bounded, without secrets.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = String(message.prefix(512))
    }
}
