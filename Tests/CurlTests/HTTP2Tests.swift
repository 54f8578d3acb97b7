// SPDX-License-Identifier: Apache-2.0

import Curl
import Seams
import Testing

/// Against nghttpd (Debian: nghttp2-server) behind a relay that can stop forwarding. One at a time: they share it.
@Suite("HTTP/2", .serialized, .enabled(if: TestServer.hasHTTP2, "nghttpd is not installed"))
struct HTTP2Tests {
    /// Stops the connections that the relay has at this moment.
    @discardableResult
    private func freeze(_ bench: Bench) async throws -> Int {
        let generation = try await bench.value("relay-generation")
        try await bench.record("relay-freeze:\(generation)")
        try await bench.happened("relay-frozen:\(generation)")
        return generation
    }

    @Test("64 at once share one connection")
    func multiplexed() async throws {
        try await Bench.run { bench in
            let exchange = try bench.http2()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<64 {
                    group.addTask {
                        for _ in 0..<20 {
                            let response = try await exchange.send(HTTPRequest(.get, "/small"))
                            #expect(response.status == 200)
                            #expect(response.body.count == 200)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(await exchange.connectionsOpened() <= 2)
            let large = try await exchange.send(HTTPRequest(.get, "/large"))
            #expect(large.body.count == 5_000_000)
            #expect(isPattern(large.body))
            #expect(try await exchange.send(HTTPRequest(.get, "/missing")).status == 404)
            #expect(try await exchange.send(HTTPRequest(.head, "/small")).header("content-length") == "200")
        }
    }

    @Test("a connection gone dead costs one deadline, not all that follow")
    func deadConnection() async throws {
        try await Bench.run { bench in
            let exchange = try bench.http2()
            #expect(try await exchange.send(HTTPRequest(.get, "/small")).status == 200)
            try await freeze(bench)
            #expect(await codeOf { try await exchange.send(HTTPRequest(.get, "/small", timeout: 200)) } == .timedOut)
            for _ in 0..<3 { #expect(try await exchange.send(HTTPRequest(.get, "/small")).status == 200) }
            #expect(await exchange.connectionsOpened() == 2)
            // The dead connection went with its last request.
            #expect(await bench.loop.counts().multis == 2)
        }
    }

    @Test("others that wait on a dead connection end at their own deadlines")
    func deadlines() async throws {
        try await Bench.run { bench in
            let exchange = try bench.http2()
            #expect(try await exchange.send(HTTPRequest(.get, "/small")).status == 200)
            try await freeze(bench)
            await withTaskGroup(of: Void.self) { group in
                for number in 1...8 {
                    group.addTask {
                        let length = Milliseconds(number) * 50
                        let spent = await milliseconds {
                            let request = HTTPRequest(.get, "/small", timeout: length)
                            #expect(await codeOf { try await exchange.send(request) } == .timedOut)
                        }
                        #expect(spent >= Double(length) && spent < Double(length) + 10_000)
                    }
                }
            }
            #expect(try await exchange.send(HTTPRequest(.get, "/small")).status == 200)
        }
    }

    @Test("a cancelled call that was alone on its connection closes it, so that the server hears of it")
    func cancel() async throws {
        try await Bench.run { bench in
            let exchange = try bench.http2()
            #expect(try await exchange.send(HTTPRequest(.get, "/small")).status == 200)
            let generation = try await freeze(bench)
            let closed = try await bench.value("relay-closed")
            let call = Task { try await exchange.send(HTTPRequest(.get, "/small")) }
            try await bench.happened("relay-swallowed:\(generation)")
            call.cancel()
            await #expect(throws: CancellationError.self) { try await call.value }
            while try await bench.value("relay-closed") == closed { await Task.yield() }
            #expect(try await exchange.send(HTTPRequest(.get, "/small")).status == 200)
        }
    }

    @Test("streams stay with HTTP/1.1, on a server that offers both or only that")
    func streams() async throws {
        try await Bench.run { bench in
            let authority = try bench.server.pem("server-ca")
            let exchange = try bench.exchange("https", bench.server.ports.tls) { $0.tls.authorities = authority }
            // This one knows HTTP/1.1 only: calls come down to it.
            #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200)
            let stream = try await exchange.open(HTTPRequest(.get, "/bytes/1000000"))
            var count = 0
            while let piece = try await stream.next() { count += piece.count }
            #expect(count == 1_000_000)
        }
    }
}
