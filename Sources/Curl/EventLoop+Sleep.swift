// SPDX-License-Identifier: Apache-2.0

internal import CCurl
package import Seams

extension EventLoop {
    /// Returns at or soon after the moment, at once when it has passed. Time counts while the machine is suspended.
    /// - Throws: `CancellationError` when the task is cancelled or the loop is shut down.
    package func sleep(until moment: Uptime) async throws {
        try Task.checkCancellation()
        guard ccurl_clock(CLOCK_BOOTTIME) / 1_000_000 < moment.milliseconds else { return }
        let sleeper = Sleeper(deadline: nanoseconds(moment.milliseconds))
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                submit { sleeper.begin(continuation, $0) }
            }
        } onCancel: {
            submit { sleeper.cancel($0) }
        }
    }
}

/// One sleep. Belongs to the loop's thread.
private final class Sleeper: @unchecked Sendable {
    private let deadline: Int64
    private var cancelled = false
    private var waiting: (continuation: CheckedContinuation<Void, any Error>, timer: LoopTimer)?

    init(deadline: Int64) { self.deadline = deadline }

    func begin(_ continuation: CheckedContinuation<Void, any Error>, _ reactor: Reactor) {
        guard !cancelled, !reactor.isClosed else { return continuation.resume(throwing: CancellationError()) }
        let timer = reactor.schedule(at: deadline) { [self] in
            waiting = nil
            // At the loop's end all timers are rung before their time.
            if reactor.isClosed { continuation.resume(throwing: CancellationError()) } else { continuation.resume() }
        }
        waiting = (continuation, timer)
    }

    /// May come before `begin`: a task that is cancelled already runs its cancellation handler first.
    func cancel(_ reactor: Reactor) {
        cancelled = true
        guard let (continuation, timer) = waiting else { return }
        waiting = nil
        reactor.withdraw(timer)
        continuation.resume(throwing: CancellationError())
    }
}

/// Milliseconds as nanoseconds, cut to what fits.
func nanoseconds(_ milliseconds: Milliseconds) -> Int64 {
    let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000_000)
    return overflow ? (milliseconds < 0 ? .min : .max) : product
}
