// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources
import Seams
import Synchronization

/// One leader's term: its memory, what wakes its tasks, and what they need from outside. Made when the lease is won,
/// thrown away when it is lost.
final class Loop: Sendable {
    let configuration: LoopConfiguration
    let surroundings: Surroundings
    let client: APIClient
    let hold: Hold
    let epoch: Int64
    /// Rung for every key that begins to wait for a worker.
    let workBell = Bell()
    let fetchBell = Bell()
    /// Rung for every log or object that begins to wait to be followed, or may now be.
    let followBell = Bell()
    let noticeBell = Bell()
    /// Rung when the first timer is another one.
    let timerBell = Bell()
    /// Rung once, when every kind has been listed.
    let syncBell = Bell()
    /// Rung when an object is gone whose kind has rows in the ledger.
    let goneBell = Bell()
    /// What decisions take for now.
    let clock: SteadyClock
    private let memory = Mutex(Memory())
    private let passes = Mutex<UInt64>(0)

    init(
        _ configuration: LoopConfiguration, _ surroundings: Surroundings, hold: Hold, epoch: Int64
    ) {
        self.configuration = configuration
        self.surroundings = surroundings
        self.client = APIClient(
            surroundings.exchange, timeout: configuration.callTimeout, pageSize: configuration.pageSize)
        self.hold = hold
        self.epoch = epoch
        self.clock = SteadyClock(surroundings.time)
    }

    var time: any Timekeeper { surroundings.time }
    var entropy: any Entropy { surroundings.entropy }

    /// Reads or changes the memory. Whoever must be told of the change is told before this returns.
    func update<Value: Sendable>(_ change: @Sendable (inout Memory) -> Value) -> Value {
        let (value, rings) = memory.withLock { memory in
            let value = change(&memory)
            return (value, memory.takeRings())
        }
        for _ in 0..<rings.work { workBell.ring(waking: 1) }
        for _ in 0..<rings.fetches { fetchBell.ring(waking: 1) }
        if rings.follows > 0 { followBell.ring() }
        for bell in rings.dropped { bell.ring() }
        if rings.notices > 0 { noticeBell.ring() }
        if rings.timers { timerBell.ring() }
        if rings.synced { syncBell.ring() }
        if rings.gone { goneBell.ring() }
        return value
    }

    func note(_ level: LoopEvent.Level, _ message: String, _ fields: [String: String] = [:]) {
        surroundings.journal.note(LoopEvent(level, message, fields))
    }

    /// The number that all events of one pass share.
    func nextPass() -> String {
        let number = passes.withLock { count in
            count += 1
            return count
        }
        return "\(epoch)-\(number)"
    }

    /// The failure behind any error of the client or the ledger.
    static func trouble(_ error: any Error) -> Trouble {
        switch error {
        case let error as APIError:
            Trouble(
                reason: error.reason.isEmpty ? error.code.rawValue : error.reason, message: error.message,
                disposition: error.disposition, isRefusal: error.isRefusal)
        case let error as LedgerError:
            Trouble(
                reason: error.code.rawValue, message: error.message, disposition: disposition(of: error.code),
                backoff: error.code == .busy ? .busy : .ledger)
        default: Trouble(reason: "unexpected", message: "\(type(of: error))", disposition: .retry(after: nil))
        }
    }

    private static func disposition(of code: LedgerError.Code) -> Disposition {
        switch code {
        case .unavailable, .busy: .retry(after: 500)
        case .fenced: .retry(after: nil)
        case .terminalRow, .newerSchema, .invalid: .terminal
        }
    }
}

/// An error without its type.
struct Trouble: Equatable, Sendable {
    var reason: String
    var message: String
    var disposition: Disposition
    /// Somebody has to do something before the same can succeed.
    var isRefusal = false
    /// How the waits grow while it lasts.
    var backoff = Backoff.step

    /// What to tell of a read that fails so.
    func refusal(of what: String) -> ReadFailure? {
        isRefusal ? ReadFailure(what: what, message: message) : nil
    }
}
