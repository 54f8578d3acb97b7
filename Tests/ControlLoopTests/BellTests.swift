// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ControlLoop

/// The simulation runs one thing at a time and can't put a ring between a look and a wait: mutant 27 is held here.
@Suite struct BellTests {
    @Test("a ring between looking and waiting ends the wait", .timeLimit(.minutes(1)))
    func between() async throws {
        let bell = Bell()
        let seen = bell.count
        bell.ring()
        try await bell.wait(beyond: seen)
        #expect(bell.count == seen + 1)
    }

    @Test("who waits when it is rung is woken, and nobody is woken twice", .timeLimit(.minutes(1)))
    func afterwards() async throws {
        let bell = Bell()
        try await withThrowingTaskGroup(of: UInt64.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var heard: UInt64 = 0
                    // Whatever comes in between: a hundred rings are heard as far as the last one.
                    while heard < 100 {
                        try await bell.wait(beyond: heard)
                        heard = bell.count
                    }
                    return heard
                }
            }
            group.addTask {
                for _ in 0..<100 {
                    bell.ring()
                    await Task.yield()
                }
                return 100
            }
            for try await heard in group { #expect(heard == 100) }
        }
    }

    @Test("a wait that is cancelled ends with an error, rung or not", .timeLimit(.minutes(1)))
    func cancelled() async {
        let bell = Bell()
        let task = Task { try await bell.wait(beyond: 0) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
