// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Wakes tasks that wait for a change.
///
/// A ring is never lost: who is going to wait first reads `count`, then looks whether there is anything to do, and then
/// waits beyond the count that it read. A ring in between ends the wait at once.
final class Bell: Sendable {
    private struct Waiter {
        var number: UInt64
        var continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var count: UInt64 = 0
        var numbers: UInt64 = 0
        /// In the order in which they came.
        var waiters: [Waiter] = []
        /// Cancelled before they could wait.
        var cancelled: Set<UInt64> = []
    }

    private let state = Mutex(State())

    /// How often it has been rung.
    var count: UInt64 { state.withLock { $0.count } }

    /// Rings, and wakes those who wait: at most `limit` of them, the longest waiting first.
    func ring(waking limit: Int = .max) {
        let woken = state.withLock { state -> [Waiter] in
            state.count += 1
            let woken = Array(state.waiters.prefix(limit))
            state.waiters.removeFirst(woken.count)
            return woken
        }
        for waiter in woken { waiter.continuation.resume(returning: true) }
    }

    /// Waits until it has been rung more than `seen` times.
    /// - Throws: `CancellationError` when the task is cancelled.
    func wait(beyond seen: UInt64) async throws {
        let number = state.withLock { state in
            state.numbers += 1
            return state.numbers
        }
        let isRung = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Bool? in
                    if state.cancelled.contains(number) { return false }
                    if state.count > seen { return true }
                    state.waiters.append(Waiter(number: number, continuation: continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                if let index = state.waiters.firstIndex(where: { $0.number == number }) {
                    return state.waiters.remove(at: index)
                }
                state.cancelled.insert(number)
                return nil
            }
            waiter?.continuation.resume(returning: false)
        }
        if Task.isCancelled { state.withLock { _ = $0.cancelled.remove(number) } }
        if !isRung { throw CancellationError() }
    }
}

/// Asks a loop to end in good order: it lets go of its work, gives the lease back and returns. Once given, it stays.
///
/// This is not the loop's cancellation: a cancelled task can't make the call that releases the lease.
package final class StopSignal: Sendable {
    private let bell = Bell()

    package init() {}

    /// Gives the signal. Safe to call from anywhere, more than once.
    package func stop() { bell.ring() }

    package var isStopped: Bool { bell.count > 0 }

    /// Returns once the signal has been given.
    /// - Throws: `CancellationError` when the task is cancelled before.
    package func wait() async throws { try await bell.wait(beyond: 0) }
}
