// SPDX-License-Identifier: Apache-2.0

import Resources
import Seams
import Synchronization

/// Wall time without steps, for decisions about how long something has taken.
///
/// A machine's clock may be set while a restore runs, by an hour and more, and nothing has become late by that. So this
/// clock goes by uptime and follows the wall clock at most an eighth faster or slower than time itself, until they agree
/// again; small corrections are followed at once. It begins with what the wall clock says and never goes back.
final class SteadyClock: Sendable {
    private struct Anchor {
        var at: Uptime
        var now: Timestamp
    }

    private let time: any Timekeeper
    private let anchor: Mutex<Anchor>

    init(_ time: any Timekeeper) {
        self.time = time
        anchor = Mutex(Anchor(at: time.uptime, now: time.now))
    }

    var now: Timestamp {
        let (uptime, wall) = (time.uptime, time.now)
        return anchor.withLock { anchor in
            let elapsed = max(0, uptime.since(anchor.at)) * 1_000
            let expected = anchor.now.microseconds + elapsed
            let most = elapsed / 8
            let correction = min(max(wall.microseconds - expected, -most), most)
            let now = Timestamp(microseconds: expected + correction)
            // Not at each call: of a short while, an eighth is nothing.
            if elapsed >= 1_000_000 { anchor = Anchor(at: uptime, now: now) }
            return now
        }
    }
}
