// SPDX-License-Identifier: Apache-2.0

import Curl
import Seams
import Testing

@Suite("Failures, deadlines and cancellation") struct FailureTests {
    @Test("nobody listens: unreachable")
    func refused() async throws {
        try await Bench.run { bench in
            let exchange = try bench.exchange("http", bench.server.ports.refusing)
            #expect(await codeOf { try await exchange.send(HTTPRequest(.post, "/")) } == .unreachable)
            #expect(await codeOf { try await exchange.open(HTTPRequest(.get, "/")) } == .unreachable)
        }
    }

    @Test("no such host: unreachable")
    func unknownHost() async throws {
        try await Bench.run { bench in
            let exchange = try CurlExchange(loop: bench.loop, origin: "http://nowhere.invalid")
            #expect(await codeOf { try await exchange.send(HTTPRequest(.get, "/")) } == .unreachable)
        }
    }

    @Test("a server that takes the request and stays silent: timed out, and the next request is well")
    func silence() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain { $0.connections = 1 }
            for _ in 0..<3 {
                let key = freshKey()
                let spent = await milliseconds {
                    #expect(
                        await codeOf { try await exchange.send(HTTPRequest(.get, "/hang?key=\(key)", timeout: 100)) }
                            == .timedOut)
                }
                #expect(spent >= 100 && spent < 10_000)
                #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200)
                try await bench.happened("closed:\(key)")
            }
            #expect(await codeOf { try await exchange.send(HTTPRequest(.get, "/", timeout: 0)) } == .timedOut)
        }
    }

    @Test("a TLS handshake that never ends: unreachable, since nothing was sent")
    func silentHandshake() async throws {
        try await Bench.run { bench in
            let exchange = try bench.exchange("https", bench.server.ports.silent)
            #expect(await codeOf { try await exchange.send(HTTPRequest(.post, "/", timeout: 100)) } == .unreachable)
            #expect(await codeOf { try await exchange.open(HTTPRequest(.get, "/", timeout: 100)) } == .unreachable)
        }
    }

    @Test("waiting for a connection until the deadline: unreachable; the one it waited for goes on")
    func queued() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain { $0.connections = 1 }
            let key = freshKey()
            let blocker = Task { try await exchange.send(HTTPRequest(.get, "/wait/\(key)")).status }
            // Both use the exchange's one connection; which comes first is settled by the loop's order.
            let waiting = HTTPRequest(.post, "/status/200", timeout: 100)
            while await bench.loop.counts().transfers == 0 { await Task.yield() }
            #expect(await codeOf { try await exchange.send(waiting) } == .unreachable)
            #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200)
            try await bench.record(key)
            #expect(try await blocker.value == 200)
        }
    }

    @Test("a server that dies amid the body: connection lost", arguments: ["/die", "/die?chunked=1"])
    func death(_ target: String) async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            #expect(await codeOf { try await exchange.send(HTTPRequest(.get, target)) } == .connectionLost)
            let stream = try await exchange.open(HTTPRequest(.get, target))
            #expect(stream.head.status == 200)
            var body: [UInt8] = []
            do {
                while let piece = try await stream.next() { body += piece }
                Issue.record("a regular end")
            } catch let error as ExchangeError {
                #expect(error.code == .connectionLost)
            }
            #expect(body == Array("0123456789".utf8))
            #expect(await codeOf { try await stream.next() as Any } == .connectionLost)
        }
    }

    @Test("a kept connection that closes without a word: a POST is not sent again, a GET may be")
    func replay() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain { $0.connections = 1 }
            let key = freshKey()
            let post = HTTPRequest(.post, "/mute?key=\(key)", body: [1])
            #expect(try await exchange.send(post).status == 200)
            #expect(await codeOf { try await exchange.send(post) } == .connectionLost)
            #expect(try await bench.value("mute:\(key)") == 1)
            #expect(try await exchange.send(post).status == 200)
            let get = HTTPRequest(.get, "/mute?key=\(key)")
            #expect(try await exchange.send(get).status == 200)
            #expect(try await bench.value("mute:\(key)") == 2)
            let always = HTTPRequest(.get, "/mute?key=\(key)&always=1")
            #expect(await codeOf { try await exchange.send(always) } == .connectionLost)
        }
    }

    @Test("a cancelled call ends at once, and the server sees the connection close")
    func cancelUnary() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let key = freshKey()
            let call = Task { try await exchange.send(HTTPRequest(.get, "/hang?key=\(key)")) }
            try await bench.happened("began:\(key)")
            let spent = await milliseconds {
                call.cancel()
                await #expect(throws: CancellationError.self) { try await call.value }
            }
            #expect(spent < 5_000)
            try await bench.happened("closed:\(key)")
            #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200)
        }
    }

    @Test("a task cancelled before it asks gets nothing sent")
    func cancelledBefore() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let call = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                await #expect(throws: CancellationError.self) {
                    try await exchange.send(HTTPRequest(.get, "/status/200"))
                }
                await #expect(throws: CancellationError.self) {
                    try await exchange.open(HTTPRequest(.get, "/status/200"))
                }
            }
            await call.value
            #expect(await exchange.connectionsOpened() == 0)
        }
    }

    @Test("many cancelled at any moment leave nothing behind")
    func manyCancelled() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<500 {
                    group.addTask {
                        let call = Task { try await exchange.send(HTTPRequest(.get, "/bytes/1000")).status }
                        for _ in 0..<(number % 50) { await Task.yield() }
                        call.cancel()
                        do {
                            #expect(try await call.value == 200)
                        } catch {
                            #expect(error is CancellationError)
                        }
                    }
                }
            }
            #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200)
            let counts = await bench.loop.counts()
            #expect(counts.transfers == 0)
            #expect(counts.multis <= 2)
        }
    }
}
