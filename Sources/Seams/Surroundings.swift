// SPDX-License-Identifier: Apache-2.0

package import Resources

/// A length of time in whole milliseconds.
package typealias Milliseconds = Int64

/// A point on the clock that never steps and goes on while the machine is suspended (CLOCK_BOOTTIME), in milliseconds.
package struct Uptime: Hashable, Comparable, Sendable {
    package var milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package static func < (left: Uptime, right: Uptime) -> Bool { left.milliseconds < right.milliseconds }
    package func adding(_ length: Milliseconds) -> Uptime { Uptime(milliseconds: milliseconds + length) }
    package func since(_ earlier: Uptime) -> Milliseconds { milliseconds - earlier.milliseconds }
}

/// What a sleep is for. A simulation may skip over heartbeats and must not skip over the others.
package enum TimerPurpose: String, Hashable, Sendable {
    case leaseRenewal, leaseObservation, bookmark, resync
    case retry, wake, watchReconnect, deadline, shutdown

    package var isHeartbeat: Bool {
        switch self {
        case .leaseRenewal, .leaseObservation, .bookmark, .resync: true
        case .retry, .wake, .watchReconnect, .deadline, .shutdown: false
        }
    }
}

/// Two clocks: wall time for people, uptime for timers and leases.
package protocol Timekeeper: Sendable {
    var now: Timestamp { get }
    var uptime: Uptime { get }
    /// - Throws: `CancellationError` when the task is cancelled.
    func sleep(until moment: Uptime, for purpose: TimerPurpose) async throws
}

/// The only source of randomness. Draws are keyed by their purpose, so that one more draw somewhere does not change
/// all the others of a simulated run.
package protocol Entropy: Sendable {
    /// A number in `0..<bound`; 0 when `bound` is not positive.
    func below(_ bound: Int64, for purpose: String) -> Int64
    /// Unpredictable bytes for a credential.
    func secret(bytes: Int, for purpose: String) -> [UInt8]
}

/// One thing that happened in the loop, for logs and metrics. The message is constant; what varies is in the fields.
package struct LoopEvent: Equatable, Sendable {
    package enum Level: String, Sendable { case debug, info, warning, error }

    package var level: Level
    /// Constant text, also the name under which the event is counted.
    package var message: String
    /// Never holds a secret or an unbounded text.
    package var fields: [String: String]

    package init(_ level: Level, _ message: String, _ fields: [String: String] = [:]) {
        self.level = level
        self.message = message
        self.fields = fields
    }
}

/// Where loop events go. Must not block.
package protocol Journal: Sendable {
    func note(_ event: LoopEvent)
}

/// The ledger at verb level: one call is one transaction, fenced by the leader's epoch.
package protocol RunLedger: Sendable {
    /// Writes a row and its audit rows; answers with the row as it now stands.
    /// - Throws: `LedgerError`.
    func record(_ entry: LedgerEntry, epoch: Int64) async throws -> LedgerRow
    /// - Returns: `nil` when there is no such row.
    /// - Throws: `LedgerError`.
    func run(uid: String) async throws -> LedgerRow?
    /// The runs of this cluster whose rows have not ended, by `id`: those beyond one, at most `UnfinishedRun.page`.
    /// - Throws: `LedgerError`.
    func unfinished(beyond id: Int64) async throws -> [UnfinishedRun]
    /// Ends the row of a run whose object is gone, as interrupted and inferred: the real outcome may still replace it.
    /// Does nothing to a row that has ended, or is not there.
    /// - Throws: `LedgerError`.
    func presumeInterrupted(uid: String, at moment: Timestamp, epoch: Int64) async throws
}

package struct LedgerError: Error, Equatable, Sendable {
    package enum Code: String, Sendable {
        /// Can't be reached, or not just now; nothing was written, or it is unknown whether it was.
        case unavailable
        /// The row is terminal and says something else.
        case terminalRow
        /// Another run holds the target.
        case busy
        /// A newer leader has written already.
        case fenced
        /// The ledger's schema is newer than this controller.
        case newerSchema
        /// The entry breaks a constraint.
        case invalid
    }

    package var code: Code
    /// For people and logs; bounded, without secrets.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = String(message.prefix(512))
    }
}

/// Everything a running controller needs from outside: one value per process incarnation.
package struct Surroundings: Sendable {
    /// Every job of the loop runs here; a simulation freezes or kills it alone.
    package var executor: any TaskExecutor
    package var exchange: any Exchange
    package var ledger: any RunLedger
    package var time: any Timekeeper
    package var entropy: any Entropy
    package var journal: any Journal

    package init(
        executor: any TaskExecutor, exchange: any Exchange, ledger: any RunLedger, time: any Timekeeper,
        entropy: any Entropy, journal: any Journal
    ) {
        self.executor = executor
        self.exchange = exchange
        self.ledger = ledger
        self.time = time
        self.entropy = entropy
        self.journal = journal
    }
}
