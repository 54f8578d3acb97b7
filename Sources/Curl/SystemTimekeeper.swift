// SPDX-License-Identifier: Apache-2.0

internal import CCurl
package import Resources
package import Seams

/// The machine's clocks, and sleeps on an event loop.
package struct SystemTimekeeper: Timekeeper {
    private let loop: EventLoop

    package init(_ loop: EventLoop) { self.loop = loop }

    /// CLOCK_REALTIME; may step.
    package var now: Timestamp { Timestamp(microseconds: ccurl_clock(CLOCK_REALTIME) / 1_000) }

    /// CLOCK_BOOTTIME, cut to whole milliseconds.
    package var uptime: Uptime { Uptime(milliseconds: ccurl_clock(CLOCK_BOOTTIME) / 1_000_000) }

    /// - Throws: `CancellationError` when the task is cancelled or the loop is shut down.
    package func sleep(until moment: Uptime, for purpose: TimerPurpose) async throws {
        try await loop.sleep(until: moment)
    }
}
