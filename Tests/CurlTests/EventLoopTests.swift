// SPDX-License-Identifier: Apache-2.0

import Resources
import Seams
import Testing

@testable import Curl

private actor Counter {
    private(set) var count = 0
    func increment(_ loop: EventLoop) -> Bool {
        count += 1
        return loop.isCurrent
    }
}

@Suite("Event loop") struct EventLoopTests {
    @Test("tasks that prefer it run on its thread, with their children and actors, before and after waits")
    func executor() async throws {
        try await Bench.run { bench in
            let loop = bench.loop
            #expect(!loop.isCurrent)
            let exchange = try bench.plain()
            let counter = Counter()
            let work = Task(executorPreference: loop) {
                #expect(loop.isCurrent)
                #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200)
                #expect(loop.isCurrent)
                let stream = try await exchange.open(HTTPRequest(.get, "/bytes/100000"))
                while try await stream.next() != nil { #expect(loop.isCurrent) }
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for _ in 0..<100 {
                        group.addTask {
                            await Task.yield()
                            return loop.isCurrent
                        }
                        group.addTask { await counter.increment(loop) }
                    }
                    for try await onLoop in group { #expect(onLoop) }
                }
                let time = SystemTimekeeper(loop)
                try await time.sleep(until: time.uptime.adding(5), for: .wake)
                #expect(loop.isCurrent)
            }
            try await work.value
            #expect(await counter.count == 100)
        }
    }

    @Test("jobs that never cease do not keep requests and timers waiting")
    func fairness() async throws {
        try await Bench.run { bench in
            let loop = bench.loop
            let exchange = try bench.plain()
            let busy = Task(executorPreference: loop) { while !Task.isCancelled { await Task.yield() } }
            // Also when a request fails: it would spin for ever.
            defer { busy.cancel() }
            for _ in 0..<20 { #expect(try await exchange.send(HTTPRequest(.get, "/status/200")).status == 200) }
            let time = SystemTimekeeper(loop)
            try await time.sleep(until: time.uptime.adding(20), for: .wake)
            busy.cancel()
            await busy.value
        }
    }

    @Test("a sleep is never short and hardly too long; one for the past is none")
    func sleep() async throws {
        try await Bench.run { bench in
            let time = SystemTimekeeper(bench.loop)
            for length in [1, 2, 5, 20, 50, 20, 5, 2, 1] as [Milliseconds] {
                let moment = time.uptime.adding(length)
                try await time.sleep(until: moment, for: .wake)
                let late = time.uptime.since(moment)
                #expect(late >= 0 && late < 2_000)
            }
            try await time.sleep(until: time.uptime.adding(-1_000), for: .wake)
            try await time.sleep(until: Uptime(milliseconds: .min), for: .wake)
            #expect(await bench.loop.counts().timers == 0)
        }
    }

    @Test("many sleepers wake in order")
    func sleepers() async throws {
        try await Bench.run { bench in
            let time = SystemTimekeeper(bench.loop)
            let start = time.uptime.adding(50)
            let woken = await withTaskGroup(of: Int.self) { group in
                for number in 0..<200 {
                    group.addTask(executorPreference: bench.loop) {
                        // Distinct moments in a scattered order.
                        let place = number * 77 % 200
                        try? await time.sleep(until: start.adding(Int64(place)), for: .wake)
                        return place
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(woken == Array(0..<200))
        }
    }

    @Test("a cancelled sleep ends at once")
    func cancelledSleep() async throws {
        try await Bench.run { bench in
            let time = SystemTimekeeper(bench.loop)
            let sleeper = Task { try await time.sleep(until: Uptime(milliseconds: .max), for: .wake) }
            while await bench.loop.counts().timers == 0 { await Task.yield() }
            let spent = await milliseconds {
                sleeper.cancel()
                await #expect(throws: CancellationError.self) { try await sleeper.value }
            }
            #expect(spent < 5_000)
            #expect(await bench.loop.counts().timers == 0)
        }
    }

    @Test("clocks and chance")
    func surroundings() async throws {
        try await Bench.run { bench in
            let time = SystemTimekeeper(bench.loop)
            #expect(time.now.microseconds > 1_700_000_000_000_000)
            #expect(time.uptime <= time.uptime)
            let entropy = SystemEntropy()
            #expect(Set((0..<200).map { _ in entropy.below(3, for: "test") }) == [0, 1, 2])
            #expect([0, -1, .min].map { entropy.below($0, for: "test") } == [0, 0, 0])
            #expect((0..<20).map { entropy.secret(bytes: $0, for: "test").count } == Array(0..<20))
            #expect(entropy.secret(bytes: 32, for: "test") != entropy.secret(bytes: 32, for: "test"))
        }
    }

    @Test("shutdown ends all that is pending; what comes later is refused, and tasks still end")
    func shutdown() async throws {
        try await Bench.run { bench in
            let loop = bench.loop
            let exchange = try bench.plain()
            let time = SystemTimekeeper(loop)
            let (hanging, fed) = (freshKey(), freshKey())
            let call = Task { try await exchange.send(HTTPRequest(.get, "/hang?key=\(hanging)")) }
            try await bench.happened("began:\(hanging)")
            let stream = try await exchange.open(HTTPRequest(.get, "/feed?key=\(fed)&chunks=1"))
            let reader = Task(executorPreference: loop) { try await stream.next() }
            let sleeper = Task(executorPreference: loop) {
                do {
                    try await time.sleep(until: Uptime(milliseconds: .max), for: .wake)
                } catch {
                    // Unwinding may take many jobs.
                    for _ in 0..<1_000 { await Task.yield() }
                    throw error
                }
            }
            while await loop.counts().timers < 2 { await Task.yield() }
            loop.shutdown()
            loop.shutdown()
            await #expect(throws: CancellationError.self) { try await call.value }
            await #expect(throws: CancellationError.self) { try await reader.value }
            await #expect(throws: CancellationError.self) { try await sleeper.value }
            #expect(await codeOf { try await exchange.send(HTTPRequest(.get, "/")) } == .unreachable)
            #expect(await codeOf { try await exchange.open(HTTPRequest(.get, "/")) } == .unreachable)
            await #expect(throws: CancellationError.self) {
                try await time.sleep(until: Uptime(milliseconds: .max), for: .wake)
            }
            let late = Task(executorPreference: loop) {
                await Task.yield()
                return 7
            }
            #expect(await late.value == 7)
        }
    }

    @Test("shutdown from a job of its own, and loops that come and go")
    func shutdownInside() async throws {
        for _ in 0..<50 {
            let loop = try EventLoop()
            let inside = Task(executorPreference: loop) {
                loop.shutdown()
                await Task.yield()
                return loop.isCurrent
            }
            _ = await inside.value
        }
    }

    @Test("a loop and its exchanges go when they are no longer used")
    func release() async throws {
        weak var loop: EventLoop?
        weak var exchange: CurlExchange?
        try await Bench.run { bench in
            loop = bench.loop
            let used = try bench.plain()
            exchange = used
            #expect(try await used.send(HTTPRequest(.get, "/status/200")).status == 200)
            let stream = try await used.open(HTTPRequest(.get, "/status/200"))
            while try await stream.next() != nil {}
        }
        #expect(exchange == nil)
        // The last job that held it may still be returning on its thread.
        while loop != nil { await Task.yield() }
    }
}

@Suite("Timer heap") struct TimerHeapTests {
    @Test("any order of insertions and removals comes out sorted")
    func order() {
        var numbers = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var heap = TimerHeap()
            var model: [LoopTimer] = []
            for _ in 0..<Int.random(in: 0...60, using: &numbers) {
                let timer = LoopTimer(deadline: Int64.random(in: 0..<20, using: &numbers)) {}
                heap.insert(timer)
                heap.insert(timer)
                model.append(timer)
                if Bool.random(), let gone = model.randomElement() {
                    heap.remove(gone)
                    heap.remove(gone)
                    model.removeAll { $0 === gone }
                }
                #expect(heap.count == model.count)
                #expect(heap.earliest == model.map(\.deadline).min())
            }
            var popped: [Int64] = []
            while let timer = heap.popDue(at: 9) { popped.append(timer.deadline) }
            #expect(popped == model.map(\.deadline).filter { $0 <= 9 }.sorted())
            #expect(heap.removeAll().count == model.count - popped.count)
            #expect(heap.isEmpty)
        }
    }
}
