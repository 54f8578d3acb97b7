// SPDX-License-Identifier: Apache-2.0

import Curl
import Seams
import Testing

@Suite("Streams") struct StreamTests {
    @Test("the body comes chunk by chunk, each before the server makes the next")
    func chunks() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let key = freshKey()
            let stream = try await exchange.open(HTTPRequest(.get, "/feed?key=\(key)&chunks=20", timeout: 5_000))
            #expect(stream.head.status == 200)
            #expect(stream.head.body == [])
            for number in 0..<20 {
                // Half of the time the consumer waits before the chunk is made.
                async let early = number % 2 == 0 ? stream.next() : nil
                try await bench.record("go:\(key):\(number)")
                let piece = number % 2 == 0 ? try await early : try await stream.next()
                #expect(piece == Array("chunk \(number)".utf8))
            }
            #expect(try await stream.next() == nil)
            #expect(try await stream.next() == nil)
        }
    }

    @Test("a stream that nobody cancels goes on past its head's deadline")
    func deadline() async throws {
        try await Bench.run { bench in
            let key = freshKey()
            let stream = try await bench.plain().open(HTTPRequest(.get, "/feed?key=\(key)&chunks=1", timeout: 1_000))
            let time = SystemTimekeeper(bench.loop)
            try await time.sleep(until: time.uptime.adding(1_100), for: .deadline)
            try await bench.record("go:\(key):0")
            #expect(try await stream.next() == Array("chunk 0".utf8))
            #expect(try await stream.next() == nil)
        }
    }

    @Test("a head that does not come in time: timed out")
    func noHead() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let key = freshKey()
            #expect(
                await codeOf { try await exchange.open(HTTPRequest(.get, "/hang?key=\(key)", timeout: 100)) }
                    == .timedOut)
            try await bench.happened("closed:\(key)")
        }
    }

    @Test("an error status is a stream too")
    func status() async throws {
        try await Bench.run { bench in
            let stream = try await bench.plain().open(HTTPRequest(.get, "/status/410"))
            #expect(stream.head.status == 410)
            #expect(try await stream.next() == Array("status 410".utf8))
            #expect(try await stream.next() == nil)
        }
    }

    @Test("a silent stream times out; one that speaks in time does not")
    func idle() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let key = freshKey()
            let time = SystemTimekeeper(bench.loop)
            let start = time.uptime
            let request = HTTPRequest(.get, "/tick?key=\(key)&every=300&count=10", idleTimeout: 2_500)
            let stream = try await exchange.open(request)
            var ticks = 0
            while ticks < 40 { ticks += try #require(try await stream.next()).count }
            let spoke = time.uptime
            #expect(spoke.since(start) >= 3_000)
            #expect(await codeOf { try await stream.next() as Any } == .timedOut)
            #expect(time.uptime.since(spoke) >= 2_000)
            #expect(time.uptime.since(spoke) < 15_000)
            try await bench.happened("closed:\(key)")
        }
    }

    @Test("cancelling the consumer, closing and dropping each close the connection")
    func endings() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let cancelled = freshKey()
            let consumer = Task {
                let stream = try await exchange.open(HTTPRequest(.get, "/feed?key=\(cancelled)&chunks=1"))
                try await bench.record("opened:\(cancelled)")
                return try await stream.next()
            }
            try await bench.happened("opened:\(cancelled)")
            let spent = await milliseconds {
                consumer.cancel()
                await #expect(throws: CancellationError.self) { try await consumer.value }
            }
            #expect(spent < 5_000)
            try await bench.happened("closed:\(cancelled)")

            let closed = freshKey()
            let stream = try await exchange.open(HTTPRequest(.get, "/feed?key=\(closed)&chunks=1"))
            stream.close()
            stream.close()
            await #expect(throws: CancellationError.self) { try await stream.next() }
            try await bench.happened("closed:\(closed)")

            let dropped = freshKey()
            _ = try await exchange.open(HTTPRequest(.get, "/feed?key=\(dropped)&chunks=1"))
            try await bench.happened("closed:\(dropped)")

            let opening = freshKey()
            let opener = Task { _ = try await exchange.open(HTTPRequest(.get, "/hang?key=\(opening)")) }
            try await bench.happened("began:\(opening)")
            opener.cancel()
            await #expect(throws: CancellationError.self) { try await opener.value }
            try await bench.happened("closed:\(opening)")
        }
    }

    @Test("a consumer that lags makes the server wait, and then gets everything")
    func backpressure() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain()
            let key = freshKey()
            let total = 100_000_000
            let request = HTTPRequest(.get, "/flood?key=\(key)&bytes=\(total)", idleTimeout: 1_000)
            let stream = try await exchange.open(request)
            let sent = Int(try await bench.happened("stalled:\(key)")) ?? total
            // Ours, and what the two sockets hold (net.ipv4.tcp_rmem and tcp_wmem).
            #expect(sent > 4 << 20)
            #expect(sent < 60_000_000)
            // Other requests are well meanwhile, and the lag is not taken for the server's silence.
            let time = SystemTimekeeper(bench.loop)
            try await time.sleep(until: time.uptime.adding(1_500), for: .deadline)
            #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200)
            var received = 0
            var largest = 0
            while let piece = try await stream.next() {
                #expect(isPattern(piece, from: received))
                received += piece.count
                largest = max(largest, piece.count)
            }
            #expect(received == total)
            #expect(largest >= 4 << 20 && largest < 5 << 20)
        }
    }

    @Test("each stream has its own connection, and unary calls none of theirs")
    func connections() async throws {
        try await Bench.run { bench in
            let exchange = try bench.plain { $0.connections = 1 }
            var streams: [any HTTPStream] = []
            let key = freshKey()
            for _ in 0..<20 {
                streams.append(try await exchange.open(HTTPRequest(.get, "/feed?key=\(key)&chunks=1")))
            }
            for _ in 0..<5 { #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200) }
            try await bench.record("go:\(key):0")
            for stream in streams {
                #expect(try await stream.next() == Array("chunk 0".utf8))
                #expect(try await stream.next() == nil)
            }
            #expect(await exchange.connectionsOpened() == 21)
        }
    }

    @Test("a second consumer at the same time is refused")
    func consumers() async throws {
        try await Bench.run { bench in
            let key = freshKey()
            let stream = try await bench.plain().open(HTTPRequest(.get, "/feed?key=\(key)&chunks=1"))
            let outcomes = await withTaskGroup(of: ExchangeError.Code?.self) { group in
                for _ in 0..<2 {
                    group.addTask {
                        do {
                            _ = try await stream.next()
                            return nil
                        } catch {
                            return (error as? ExchangeError)?.code
                        }
                    }
                }
                let refused = await group.next()
                try? await bench.record("go:\(key):0")
                let served = await group.next()
                return [refused, served]
            }
            #expect(outcomes == [.some(.some(.invalidRequest)), .some(nil)])
        }
    }
}
