// SPDX-License-Identifier: Apache-2.0

import Seams
import Synchronization

/// Thrown instead of sending: the lease is not surely held any more.
struct NotHeld: Error {}

/// The leader's hold, asked before every single send. A leader that was frozen finds it gone when it thaws, before
/// anything else happens: the clock went on without it.
final class Hold: Sendable {
    private let deadline: Mutex<Uptime>
    private let margin: Milliseconds
    private let time: any Timekeeper

    init(until deadline: Uptime, margin: Milliseconds, time: any Timekeeper) {
        self.deadline = Mutex(deadline)
        self.margin = margin
        self.time = time
    }

    /// Until when it holds, unless it is renewed.
    var until: Uptime { deadline.withLock { $0 } }

    /// A renewal that was sent at some moment is in the lease.
    func extend(until moment: Uptime) { deadline.withLock { $0 = max($0, moment) } }

    /// - Throws: `NotHeld`.
    func check() throws(NotHeld) {
        if time.uptime.adding(margin) >= until { throw NotHeld() }
    }
}

/// The Lease as the holder last knew it: what a release needs.
final class LatestLease: Sendable {
    private let record: Mutex<LeaseRecord>

    init(_ record: LeaseRecord) { self.record = Mutex(record) }

    var value: LeaseRecord { record.withLock { $0 } }
    func set(_ new: LeaseRecord) { record.withLock { $0 = new } }
}
