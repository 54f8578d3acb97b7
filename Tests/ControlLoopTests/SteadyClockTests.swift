// SPDX-License-Identifier: Apache-2.0

import Resources
import Seams
import Synchronization
import Testing

@testable import ControlLoop

/// A clock that is set must not make anything late.
@Suite struct SteadyClockTests {
    /// Two clocks that a test turns by hand; in seconds.
    private final class Hands: Timekeeper {
        private let state = Mutex((uptime: Int64(0), wall: Int64(1_000_000)))

        var now: Timestamp { Timestamp(seconds: state.withLock { $0.wall }) }
        var uptime: Uptime { Uptime(milliseconds: state.withLock { $0.uptime } * 1_000) }
        func sleep(until moment: Uptime, for purpose: TimerPurpose) async throws {}

        func pass(_ seconds: Int64) {
            state.withLock {
                $0.uptime += seconds
                $0.wall += seconds
            }
        }

        func set(by seconds: Int64) { state.withLock { $0.wall += seconds } }
    }

    private func seconds(_ clock: SteadyClock) -> Int64 { clock.now.microseconds / 1_000_000 - 1_000_000 }

    @Test func itGoesWithTheWallClock() {
        let hands = Hands()
        let clock = SteadyClock(hands)
        for _ in 0..<100 { hands.pass(7) }
        #expect(seconds(clock) == 700)
    }

    @Test(arguments: [3_600, -3_600] as [Int64]) func aStepIsFollowedAnEighthAsFastAsTime(_ step: Int64) {
        let hands = Hands()
        let clock = SteadyClock(hands)
        hands.set(by: step)
        #expect(seconds(clock) == 0)
        hands.pass(800)
        #expect(seconds(clock) == (step > 0 ? 900 : 700))
        // Until they agree again.
        for _ in 0..<40 {
            hands.pass(800)
            _ = clock.now
        }
        #expect(seconds(clock) == 41 * 800 + step)
    }

    @Test func itNeverGoesBack() {
        let hands = Hands()
        let clock = SteadyClock(hands)
        var last = clock.now
        for step in [50, -500, 3_000, -10, -9_000, 1] as [Int64] {
            hands.set(by: step)
            hands.pass(3)
            #expect(clock.now >= last)
            last = clock.now
        }
    }
}
