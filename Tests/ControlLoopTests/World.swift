// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import Reconciler
import Resources
import Seams
import Synchronization

/// One thread's worth of executor: jobs run when the test says so, in the order in which they came.
final class SteppedExecutor: TaskExecutor {
    private let ready = Mutex<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        ready.withLock { $0.append(job) }
    }

    /// Runs jobs until there are none.
    func drain() {
        while let job = ready.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}

/// A clock that moves when the test says so.
final class SteppedTime: Timekeeper {
    private struct Sleeper {
        var number: Int
        var until: Uptime
        var purpose: TimerPurpose
        var continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var uptime = Uptime(milliseconds: 1_000_000)
        var skew: Int64 = 0
        var numbers = 0
        var sleepers: [Sleeper] = []
        var cancelled: Set<Int> = []
    }

    private let state = Mutex(State())

    var uptime: Uptime { state.withLock { $0.uptime } }
    var now: Timestamp {
        state.withLock { Timestamp(microseconds: 1_790_000_000_000_000 + ($0.uptime.milliseconds + $0.skew) * 1_000) }
    }

    /// What is slept for, in the order of the moments.
    var pending: [TimerPurpose] {
        state.withLock { $0.sleepers.sorted { $0.until < $1.until }.map(\.purpose) }
    }

    /// Nothing is slept for but heartbeats.
    var isQuiet: Bool { pending.allSatisfy(\.isHeartbeat) }

    var next: Uptime? { state.withLock { $0.sleepers.map(\.until).min() } }

    func sleep(until moment: Uptime, for purpose: TimerPurpose) async throws {
        let number = state.withLock { state in
            state.numbers += 1
            return state.numbers
        }
        let isOver = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Bool? in
                    if state.cancelled.contains(number) { return false }
                    if state.uptime >= moment { return true }
                    state.sleepers.append(
                        Sleeper(number: number, until: moment, purpose: purpose, continuation: continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let sleeper = state.withLock { state -> Sleeper? in
                guard let index = state.sleepers.firstIndex(where: { $0.number == number }) else {
                    state.cancelled.insert(number)
                    return nil
                }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(returning: false)
        }
        if !isOver { throw CancellationError() }
    }

    /// Moves the clock, and wakes whose moment has come, in order.
    func move(to moment: Uptime) {
        let due = state.withLock { state -> [Sleeper] in
            state.uptime = max(state.uptime, moment)
            let due = state.sleepers.filter { $0.until <= state.uptime }
                .sorted { ($0.until, $0.number) < ($1.until, $1.number) }
            state.sleepers.removeAll { $0.until <= state.uptime }
            return due
        }
        for sleeper in due { sleeper.continuation.resume(returning: true) }
    }
}

struct FixedEntropy: Entropy {
    func below(_ bound: Int64, for purpose: String) -> Int64 { bound > 0 ? bound / 2 : 0 }
    func secret(bytes: Int, for purpose: String) -> [UInt8] { (0..<bytes).map { UInt8($0 & 0xFF) } }
}

final class ListJournal: Journal {
    private let events = Mutex<[LoopEvent]>([])

    func note(_ event: LoopEvent) { events.withLock { $0.append(event) } }
    var all: [LoopEvent] { events.withLock { $0 } }
    func count(_ message: String) -> Int { all.count { $0.message == message } }
}

/// A ledger in memory, which can be away.
final class ListLedger: RunLedger {
    private struct State {
        var rows: [String: LedgerRow] = [:]
        var epochs: [Int64] = []
        var isAway = false
        var asked = 0
        var unfinished: [UnfinishedRun] = []
        var presumed: [String] = []
    }

    private let state = Mutex(State())

    var asked: Int { state.withLock { $0.asked } }
    var epochs: [Int64] { state.withLock { $0.epochs } }
    func setAway(_ isAway: Bool) { state.withLock { $0.isAway = isAway } }

    func record(_ entry: LedgerEntry, epoch: Int64) async throws -> LedgerRow {
        try state.withLock { state in
            if state.isAway { throw LedgerError(.unavailable, "away") }
            state.epochs.append(epoch)
            let row = LedgerRow(id: "1", status: entry.status, phase: entry.phase, attempt: entry.attempt)
            state.rows[entry.runUID] = row
            return row
        }
    }

    func run(uid: String) async throws -> LedgerRow? {
        try state.withLock { state in
            state.asked += 1
            if state.isAway { throw LedgerError(.unavailable, "away") }
            return state.rows[uid]
        }
    }

    /// Runs whose objects the tests take away.
    func setUnfinished(_ runs: [UnfinishedRun]) { state.withLock { $0.unfinished = runs } }
    var presumed: [String] { state.withLock { $0.presumed } }

    func unfinished(beyond id: Int64) async throws -> [UnfinishedRun] {
        try state.withLock { state in
            if state.isAway { throw LedgerError(.unavailable, "away") }
            return state.unfinished.filter { $0.id > id }
        }
    }

    func presumeInterrupted(uid: String, at moment: Timestamp, epoch: Int64) async throws {
        try state.withLock { state in
            if state.isAway { throw LedgerError(.unavailable, "away") }
            state.epochs.append(epoch)
            state.presumed.append(uid)
            state.unfinished.removeAll { $0.runUID == uid }
        }
    }
}

/// A world with one API server and any number of controllers, all on one thread.
final class World: @unchecked Sendable {
    let executor = SteppedExecutor()
    let time = SteppedTime()
    let journal = ListJournal()
    let ledger = ListLedger()
    let server: MiniServer
    private var ended: [String: String] = [:]

    init() { server = MiniServer() }

    /// One incarnation of a controller.
    struct Incarnation {
        var configuration: LoopConfiguration
        var task: Task<Void, Never>
        var name: String
    }

    func start(_ name: String, _ behaviors: BehaviorSet, watches: Int = 200) -> Incarnation {
        var configuration = LoopConfiguration(
            settings: Settings(agentImage: "agent", controllerNamespace: "reprise-system"), identity: name)
        configuration.watches = watches
        let surroundings = Surroundings(
            executor: executor, exchange: server.port(name), ledger: ledger, time: time, entropy: FixedEntropy(),
            journal: journal)
        let task = Task(executorPreference: executor) { [self, configuration] in
            do {
                try await runControlLoop(behaviors, configuration: configuration, in: surroundings)
                ended[name] = "returned"
            } catch { ended[name] = "\(error)" }
        }
        executor.drain()
        return Incarnation(configuration: configuration, task: task, name: name)
    }

    func ending(of incarnation: Incarnation) -> String? { ended[incarnation.name] }

    func stop(_ incarnation: Incarnation) {
        incarnation.configuration.stop.stop()
        executor.drain()
    }

    func kill(_ incarnation: Incarnation) {
        server.sever(incarnation.name)
        incarnation.task.cancel()
        executor.drain()
    }

    /// Lets a length of time pass, moment by moment.
    func pass(_ length: Milliseconds) {
        let end = time.uptime.adding(length)
        executor.drain()
        while let next = time.next, next <= end {
            time.move(to: next)
            executor.drain()
        }
        time.move(to: end)
        executor.drain()
    }

    /// Lets time jump, as for a machine that was suspended.
    func jump(_ length: Milliseconds) {
        time.move(to: time.uptime.adding(length))
        executor.drain()
    }
}
