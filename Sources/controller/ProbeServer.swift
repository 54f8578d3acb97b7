// SPDX-License-Identifier: Apache-2.0

import CMicrohttpd
import Foundation

/// Serves /healthz, /readyz and /metrics over HTTP, on a thread of libmicrohttpd's own.
final class ProbeServer: Sendable {
    /// One answer: status and plain text.
    struct Answer: Sendable {
        var status: UInt32
        var text: String
    }

    typealias Handler = @Sendable (_ path: String) -> Answer

    struct ListenError: Error {
        var message: String
    }

    private final class Context: Sendable {
        let handler: Handler

        init(_ handler: @escaping Handler) { self.handler = handler }
    }

    // Both are only touched by init and stop; libmicrohttpd owns the thread in between.
    nonisolated(unsafe) private let daemon: OpaquePointer
    private let context: Context

    /// - Parameter address: `host:port` with an IPv4 address.
    /// - Throws: `ListenError` when the address is none or is taken.
    init(listen address: String, handler: @escaping Handler) throws {
        let parts = address.split(separator: ":")
        var socket = sockaddr_in()
        socket.sin_family = sa_family_t(AF_INET)
        guard parts.count == 2, let port = UInt16(parts[1]), inet_pton(AF_INET, String(parts[0]), &socket.sin_addr) == 1
        else { throw ListenError(message: "--listen \(address): not an IPv4 address and a port, such as 0.0.0.0:8080") }
        socket.sin_port = port.bigEndian
        let context = Context(handler)
        let started = withUnsafePointer(to: &socket) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                reprise_start_daemon($0, Self.respond, Unmanaged.passUnretained(context).toOpaque())
            }
        }
        guard let started else { throw ListenError(message: "--listen \(address): can't listen there; is it taken?") }
        self.context = context
        daemon = started
    }

    /// Ends the server; open connections are closed.
    func stop() { MHD_stop_daemon(daemon) }

    private static let respond: MHD_AccessHandlerCallback = { context, connection, url, method, _, _, _, _ in
        guard let context, let connection, let url, let method else { return MHD_Result(rawValue: 0) ?? .NO }
        let handler = Unmanaged<Context>.fromOpaque(context).takeUnretainedValue().handler
        let answer =
            String(cString: method) == "GET"
            ? handler(String(cString: url)) : Answer(status: 405, text: "only GET\n")
        var text = Array(answer.text.utf8)
        guard let response = MHD_create_response_from_buffer(text.count, &text, .RESPMEM_MUST_COPY) else { return .NO }
        MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8")
        let result = MHD_queue_response(connection, answer.status, response)
        MHD_destroy_response(response)
        return result
    }
}
