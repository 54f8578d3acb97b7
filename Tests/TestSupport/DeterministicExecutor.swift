// SPDX-License-Identifier: Apache-2.0

import Glibc
package import Resources
package import Seams
import Synchronization

// A world in which the production code's own tasks run one job at a time, on the thread of the test, in an order that a
// seed decides, and in which time passes only when nobody has anything to do.
//
// Everything here is confined to that thread: `run` drains the ready jobs there, and events of the world are closures
// that run between two jobs. That is what `@unchecked Sendable` stands for in this module. A job that is enqueued from
// any other thread is an escape from the simulation; it is counted in `foreign` and every test asserts that there are
// none.

/// How a `run` ended.
package enum Standstill: Equatable, Sendable {
    /// The condition holds.
    case condition
    /// The moment has come.
    case moment
    /// Nothing is ready and nothing will ever be: a deadlock, unless nobody lives.
    case deadlock
    /// So many jobs ran without any time passing.
    case livelock
}

/// The ready list and the virtual clock of one world.
package final class Scheduler: @unchecked Sendable {
    /// Names an event, to cancel it.
    package struct EventID: Hashable, Sendable { fileprivate var number: UInt64 }

    private struct Event {
        var at: Int64
        var id: EventID
        var label: String
        var isHeartbeat: Bool
        var action: () -> Void
    }

    private struct Ready {
        var executor: DeterministicExecutor
        var job: UnownedJob
    }

    /// Jobs that may run in a row without time moving.
    package var livelockLimit = 100_000
    /// The wall clock when the uptime was 0.
    package let epoch: Timestamp
    package private(set) var now: Int64 = 0
    package private(set) var jobs: UInt64 = 0
    /// Jobs that came from another thread than the test's.
    package var foreign: Int { foreigners.withLock { $0 } }
    private var jobsAtThisMoment = 0
    private var random: SplitMix
    private var events: [Event] = []
    private var serial: UInt64 = 0
    private let thread = pthread_self()
    private let ready = Mutex<[Ready]>([])
    private let foreigners = Mutex(0)

    package init(seed: UInt64, epoch: Timestamp = Timestamp(seconds: 1_780_272_000)) {
        self.epoch = epoch
        random = SplitMix(state: keyedHash(seed, "schedule", 0))
    }

    package var uptime: Uptime { Uptime(milliseconds: now) }
    package var wall: Timestamp { Timestamp(microseconds: epoch.microseconds + now * 1_000) }

    // MARK: Events

    /// Runs `action` after so many milliseconds; those of one moment run in the order in which they were set.
    /// - Parameter isHeartbeat: It comes again and again and means nothing: nobody waits for it.
    @discardableResult
    package func after(
        _ milliseconds: Int64, _ label: String, isHeartbeat: Bool = false, _ action: @escaping () -> Void
    ) -> EventID {
        serial += 1
        let at = now + max(0, milliseconds)
        let event = Event(
            at: at, id: EventID(number: serial), label: label, isHeartbeat: isHeartbeat, action: action)
        var index = events.count
        while index > 0, events[index - 1].at > at { index -= 1 }
        events.insert(event, at: index)
        return event.id
    }

    package func cancel(_ id: EventID) { events.removeAll { $0.id == id } }

    /// What is still to come, but for heartbeats: label and moment.
    package var pending: [String] { events.filter { !$0.isHeartbeat }.map { "\($0.label) at \($0.at)" } }

    // MARK: Jobs

    fileprivate func enqueue(_ job: UnownedJob, on executor: DeterministicExecutor) {
        if pthread_equal(pthread_self(), thread) == 0 { foreigners.withLock { $0 += 1 } }
        ready.withLock { $0.append(Ready(executor: executor, job: job)) }
    }

    /// Runs jobs and lets time pass.
    /// - Parameters:
    ///   - moment: Not beyond this uptime.
    ///   - isDone: Asked before every event and every job.
    package func run(until moment: Int64, while isGoing: () -> Bool = { true }) -> Standstill {
        while true {
            guard isGoing() else { return .condition }
            if let next = takeReady(of: nil) {
                jobsAtThisMoment += 1
                if jobsAtThisMoment > livelockLimit { return .livelock }
                perform(next)
            } else {
                guard let event = events.first else { return .deadlock }
                guard event.at <= moment else {
                    now = max(now, moment)
                    return .moment
                }
                if event.at > now {
                    now = event.at
                    jobsAtThisMoment = 0
                }
                events.removeFirst()
                event.action()
            }
        }
    }

    /// Runs the jobs of one executor alone until it has none, without letting time pass.
    package func drain(_ executor: DeterministicExecutor) {
        while let next = takeReady(of: executor) { perform(next) }
    }

    private func perform(_ next: Ready) {
        jobs += 1
        next.job.runSynchronously(on: next.executor.asUnownedTaskExecutor())
    }

    private func takeReady(of executor: DeterministicExecutor?) -> Ready? {
        ready.withLock { list in
            let places = list.indices.filter { index in
                if let executor { return list[index].executor === executor }
                return !list[index].executor.isFrozen
            }
            guard !places.isEmpty else { return nil }
            let choice = places.count == 1 ? 0 : Int(random.next() % UInt64(places.count))
            return list.remove(at: places[choice])
        }
    }
}

/// Where the tasks of one incarnation run.
package final class DeterministicExecutor: TaskExecutor, @unchecked Sendable {
    private let scheduler: Scheduler
    /// While frozen, its jobs wait; timers and answers reach it all the same.
    package var isFrozen = false

    package init(_ scheduler: Scheduler) { self.scheduler = scheduler }

    package func enqueue(_ job: consuming ExecutorJob) { scheduler.enqueue(UnownedJob(job), on: self) }
}

/// Something that a task waits for and an event brings. The first outcome counts.
package final class Promise<Value: Sendable>: @unchecked Sendable {
    private var continuation: CheckedContinuation<Result<Value, any Error>, Never>?
    private var outcome: Result<Value, any Error>?

    package init() {}

    package var isOpen: Bool { outcome == nil }

    package func fulfil(_ result: Result<Value, any Error>) {
        guard outcome == nil else { return }
        outcome = result
        let waiting = continuation
        continuation = nil
        waiting?.resume(returning: result)
    }

    /// - Throws: what was brought; `CancellationError` when the task is cancelled first.
    package func wait() async throws -> Value {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if let outcome {
                    continuation.resume(returning: outcome)
                } else {
                    self.continuation = continuation
                }
            }
        } onCancel: {
            fulfil(.failure(CancellationError()))
        }
        return try result.get()
    }
}

/// A small generator of good quality (Sebastiano Vigna's splitmix64, public domain).
package struct SplitMix: RandomNumberGenerator, Sendable {
    package var state: UInt64

    package init(state: UInt64) { self.state = state }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// A draw that depends on nothing but its key: one more draw elsewhere changes no other.
package func keyedHash(_ seed: UInt64, _ purpose: String, _ number: UInt64) -> UInt64 {
    var value: UInt64 = 0xcbf2_9ce4_8422_2325 ^ seed
    for byte in purpose.utf8 { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    var mix = SplitMix(state: value ^ (number &* 0xD6E8_FEB8_6659_FD93))
    return mix.next()
}
