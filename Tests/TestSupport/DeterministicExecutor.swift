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
    package struct EventID: Hashable, Sendable {
        fileprivate var number: UInt64
        fileprivate var slot: Int
    }

    /// What an event does; its moment stands in the heap.
    private struct Event {
        /// 0: nothing is set here, or it was cancelled.
        var number: UInt64
        var label: String
        var isHeartbeat: Bool
        var action: () -> Void
    }

    /// When an event comes. One whose slot has another number by now was cancelled.
    private struct Moment {
        var at: Int64
        var number: UInt64
        var slot: Int

        static func < (left: Moment, right: Moment) -> Bool {
            left.at != right.at ? left.at < right.at : left.number < right.number
        }
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
    /// Time that the clocks show and that nobody has lived through.
    private var skipped: Int64 = 0
    package private(set) var jobs: UInt64 = 0
    /// Jobs that came from another thread than the test's.
    package var foreign: Int { foreigners.withLock { $0 } }
    private var jobsAtThisMoment = 0
    private var random: SplitMix
    /// A binary heap.
    private var moments: [Moment] = []
    private var slots: [Event] = []
    private var freeSlots: [Int] = []
    private var serial: UInt64 = 0
    private let thread = pthread_self()
    private let ready = Mutex<[Ready]>([])
    private let foreigners = Mutex(0)
    /// How many executors are frozen.
    fileprivate var frozen = 0

    package init(seed: UInt64, epoch: Timestamp = Timestamp(seconds: 1_780_272_000)) {
        self.epoch = epoch
        random = SplitMix(state: keyedHash(seed, "schedule", 0))
    }

    package var uptime: Uptime { Uptime(milliseconds: now + skipped) }
    package var wall: Timestamp { Timestamp(microseconds: epoch.microseconds + (now + skipped) * 1_000) }

    // MARK: Events

    /// Runs `action` after so many milliseconds; those of one moment run in the order in which they were set.
    /// - Parameter isHeartbeat: It comes again and again and means nothing: nobody waits for it.
    @discardableResult
    package func after(
        _ milliseconds: Int64, _ label: String, isHeartbeat: Bool = false, _ action: @escaping () -> Void
    ) -> EventID {
        serial += 1
        let event = Event(number: serial, label: label, isHeartbeat: isHeartbeat, action: action)
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            slots[slot] = event
        } else {
            slot = slots.count
            slots.append(event)
        }
        moments.append(Moment(at: now + max(0, milliseconds), number: serial, slot: slot))
        rise()
        return EventID(number: serial, slot: slot)
    }

    package func cancel(_ id: EventID) {
        guard id.slot < slots.count, slots[id.slot].number == id.number else { return }
        vacate(id.slot)
        // Those that are cancelled wait for their moment; they must not become the most.
        if moments.count > 64, moments.count > 2 * (slots.count - freeSlots.count) { sweep() }
    }

    /// What is still to come, but for heartbeats: label and moment.
    package var pending: [String] {
        moments.filter { isSet($0) && !slots[$0.slot].isHeartbeat }.sorted(by: <)
            .map { "\(slots[$0.slot].label) at \($0.at)" }
    }

    /// Forgets everything that is still to come.
    package func end() {
        moments = []
        slots = []
        freeSlots = []
    }

    private func isSet(_ moment: Moment) -> Bool { slots[moment.slot].number == moment.number }

    /// The next event that was not cancelled.
    private func nextMoment() -> Moment? {
        while let first = moments.first {
            if isSet(first) { return first }
            removeFirst()
        }
        return nil
    }

    private func perform(_ moment: Moment) {
        removeFirst()
        let action = slots[moment.slot].action
        vacate(moment.slot)
        action()
    }

    private func vacate(_ slot: Int) {
        slots[slot] = Event(number: 0, label: "", isHeartbeat: true, action: {})
        freeSlots.append(slot)
    }

    private func sweep() {
        moments = moments.filter(isSet)
        // A sorted array is a heap.
        moments.sort(by: <)
    }

    private func rise() {
        var child = moments.count - 1
        while child > 0, moments[child] < moments[(child - 1) / 2] {
            moments.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private func removeFirst() {
        let last = moments.removeLast()
        if moments.isEmpty { return }
        moments[0] = last
        var parent = 0
        while true {
            var least = 2 * parent + 1
            if least >= moments.count { return }
            if least + 1 < moments.count, moments[least + 1] < moments[least] { least += 1 }
            guard moments[least] < moments[parent] else { return }
            moments.swapAt(parent, least)
            parent = least
        }
    }

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
                guard let event = nextMoment() else { return .deadlock }
                guard event.at <= moment else {
                    now = max(now, moment)
                    return .moment
                }
                if event.at > now {
                    now = event.at
                    jobsAtThisMoment = 0
                }
                perform(event)
            }
        }
    }

    /// Lets so many milliseconds go by in which nothing happens: what was to come comes as much later.
    package func skip(_ milliseconds: Int64) { skipped += milliseconds }

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
            if executor == nil, frozen == 0 {
                return list.isEmpty ? nil : list.remove(at: choice(of: list.count))
            }
            let places = list.indices.filter { index in
                if let executor { return list[index].executor === executor }
                return !list[index].executor.isFrozen
            }
            return places.isEmpty ? nil : list.remove(at: places[choice(of: places.count)])
        }
    }

    private func choice(of count: Int) -> Int { count == 1 ? 0 : Int(random.next() % UInt64(count)) }
}

/// Where the tasks of one incarnation run.
package final class DeterministicExecutor: TaskExecutor, @unchecked Sendable {
    private let scheduler: Scheduler
    /// While frozen, its jobs wait; timers and answers reach it all the same.
    package var isFrozen = false {
        didSet { if isFrozen != oldValue { scheduler.frozen += isFrozen ? 1 : -1 } }
    }

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
    var purpose = purpose
    return purpose.withUTF8 { keyedHash(seed, $0, number) }
}

/// The same of a text's bytes.
package func keyedHash(_ seed: UInt64, _ text: UnsafeBufferPointer<UInt8>, _ number: UInt64) -> UInt64 {
    var value: UInt64 = 0xcbf2_9ce4_8422_2325 ^ seed
    for byte in text { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    var mix = SplitMix(state: value ^ (number &* 0xD6E8_FEB8_6659_FD93))
    return mix.next()
}
