// SPDX-License-Identifier: Apache-2.0

import Reconciler
package import Seams

// How it works, for a stranger
//
//     API server --list, watch--> Informer --> Memory: Cache --(who read it?) Subscriptions--> Queue of keys
//         ^                                      ^   ^                                             |
//         |                                      |   |                                        N workers
//         |                     own writes' answers  answers on demand                             |
//         |                                      |   |                      observe(object, through: PassReader)
//         |                                      |   +--- Fetching <--- asks ---- reads = subscriptions
//         |                                      |    (quorum GET, pod log, ledger)                |
//         |                                      +------- Following <-- bytes of a growing log     |
//         |                                      +------- Sighting <--- watch of a single object   |
//         |                                      |                              decide(snapshot, at: now)
//         +---- status first, then effects ---- Performer <------------------------------ decision + wake
//
// Everything that is known is one value, `Memory`, behind one lock; nothing in it waits. A change in it (a watch event,
// an answer, a timer) wakes exactly the keys whose last pass read what has changed, and the key of the object itself. A
// pass takes one key, builds a snapshot (each read is noted and becomes a subscription, in the same locked step), lets
// the behaviour decide outside the lock, and hands the decision to the performer. What the server answers to a write
// goes into the cache at once, so that the pass which follows does not see the world as it was before.
//
// None of this runs before the leader Lease is won, and all of it is one structured tree of tasks on one executor:
//
//     runControlLoop
//       Leadership.win            a standby only looks at the Lease: no cache, no watches
//       lead: one term            ends when the first of these three ends
//         Leadership.keep         renews the Lease; ends when it is lost
//         StopSignal.wait         ends when the process is asked to stop
//         run
//           Informer x kinds      start first; nothing is decided before each has listed once
//           workForever x N       passes
//           fetchForever x N      quorum reads, logs, ledger questions
//           followForever         logs of running containers and single objects, a child for each
//           timersForever         delayed wakes, backoffs
//           announceForever       Events
//           endLostRunsForever    ledger rows whose objects went without an end
//       Leadership.release        only after a stop signal, and only when all of the above has ended
//
// Time, randomness, network, ledger and journal come from `Surroundings` alone. Each send asks the `Hold` first.

/// Runs the behaviours for as long as this process leads.
///
/// First waits, without a cache and without watches, until it has won the leader Lease; then runs one term. Everything
/// happens in child tasks of the caller's task on `surroundings.executor`; when this returns or throws, nothing of it
/// is left. Call it once for each incarnation; after a lost term, start again with a new one (or end the process).
///
/// - Parameters:
///   - behaviors: What to run, and which kinds it looks at.
///   - configuration: Its `stop` ends the loop in good order: work in flight is dropped, the Lease is released.
///   - surroundings: Everything outside.
/// - Throws: `LoopEnded` when the lease is lost, or only a fresh start helps; `CancellationError` when the task is
///   cancelled, in which case nothing is released (a kill). Returns normally after the stop signal.
package func runControlLoop(
    _ behaviors: BehaviorSet, configuration: LoopConfiguration, in surroundings: Surroundings
) async throws {
    try await withTaskExecutorPreference(surroundings.executor) {
        let leadership = Leadership(configuration, surroundings)
        guard let term = try await winUnlessStopped(leadership, configuration.stop) else { return }
        let latest = LatestLease(term.record)
        defer {
            configuration.state.update { facts in
                facts.isLeading = false
                facts.isSynced = false
                facts.epoch = nil
            }
        }
        do {
            try await lead(behaviors, leadership, term, latest)
        } catch let ended as LoopEnded {
            note(surroundings, .warning, LoopEvents.leadershipLost, ["reason": "\(ended)"])
            throw ended
        }
        note(surroundings, .info, LoopEvents.stopping)
        await leadership.release(latest.value)
    }
}

/// - Returns: `nil` when the stop signal came first.
private func winUnlessStopped(_ leadership: Leadership, _ stop: StopSignal) async throws -> Leadership.Term? {
    try await withThrowingTaskGroup(of: Leadership.Term?.self) { group in
        group.addTask { try await leadership.win() }
        group.addTask {
            try await stop.wait()
            return nil
        }
        return try await firstOf(&group)
    }
}

/// One term. Returns when the stop signal was given.
private func lead(
    _ behaviors: BehaviorSet, _ leadership: Leadership, _ term: Leadership.Term, _ latest: LatestLease
) async throws {
    let configuration = leadership.configuration
    let surroundings = leadership.surroundings
    let hold = Hold(
        until: term.sentAt.adding(configuration.election.renewDeadline), margin: configuration.election.margin,
        time: surroundings.time)
    let epoch = term.record.epoch
    let loop = Loop(configuration, surroundings, hold: hold, epoch: epoch)
    configuration.state.update { facts in
        facts.isLeading = true
        facts.epoch = epoch
    }
    note(
        surroundings, .info, LoopEvents.leading, ["identity": leadership.identity, "epoch": "\(epoch)"])
    let lost = try await withThrowingTaskGroup(of: String?.self) { group in
        group.addTask { try await leadership.keep(term, hold, latest) }
        group.addTask {
            try await configuration.stop.wait()
            return nil
        }
        group.addTask {
            try await loop.run(behaviors)
            return nil
        }
        return try await firstOf(&group)
    }
    if let lost { throw LoopEnded.leadershipLost(lost) }
}

/// The first result of a group; the others are cancelled and waited for, and what they throw is dropped.
func firstOf<Value: Sendable>(_ group: inout ThrowingTaskGroup<Value?, any Error>) async throws -> Value? {
    defer { group.cancelAll() }
    let first = try await group.next() ?? nil
    group.cancelAll()
    while await group.nextResult() != nil {}
    return first
}

private func note(
    _ surroundings: Surroundings, _ level: LoopEvent.Level, _ message: String, _ fields: [String: String] = [:]
) {
    surroundings.journal.note(LoopEvent(level, message, fields))
}

extension Loop {
    /// Runs one term's work until the task is cancelled.
    /// - Throws: `CancellationError`, `LoopEnded.timeWentBack`.
    func run(_ behaviors: BehaviorSet) async throws {
        let watches = configuration.watches
        let scopes = update { memory -> [(any AnyKind, InformerScope)] in
            memory.watchLimit = max(1, watches)
            let scopes = behaviors.watched.map { watched in
                (
                    watched.kind,
                    InformerScope(
                        .kind(memory.watch(watched)), selector: watched.selector, namespace: watched.namespace)
                )
            }
            for behavior in behaviors.behaviors { memory.kinds.bind(behavior) }
            memory.recorded = behaviors.recorded.flatMap { memory.kinds.number(of: $0.kind.typeID) }
            return scopes
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (kind, scope) in scopes {
                group.addTask { try await kind.follow(in: self, scope) }
            }
            let recorded = behaviors.recorded
            group.addTask { try await self.workWhenSynced(recorded) }
            // None of them ends by itself: the first error ends them all.
            while try await group.next() != nil {}
        }
    }

    /// Nothing is decided before everything has been seen once.
    private func workWhenSynced(_ recorded: RecordedKind?) async throws {
        while true {
            let seen = syncBell.count
            if update({ $0.isSynced }) { break }
            try await syncBell.wait(beyond: seen)
        }
        configuration.state.update { $0.isSynced = true }
        note(.info, LoopEvents.synced)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<max(1, configuration.workers) { group.addTask { try await self.workForever() } }
            for _ in 0..<max(1, configuration.fetchers) { group.addTask { try await self.fetchForever() } }
            group.addTask { try await self.followForever() }
            group.addTask { try await self.timersForever() }
            group.addTask { try await self.announceForever() }
            if let recorded { group.addTask { try await self.endLostRunsForever(recorded) } }
            while try await group.next() != nil {}
        }
    }

    /// Makes due what is due, and sleeps until the next moment or until there is an earlier one.
    private func timersForever() async throws {
        while true {
            let seen = timerBell.count
            let now = time.uptime
            let next = update { memory in
                memory.fire(at: now)
                return memory.arm()
            }
            guard let next else {
                try await timerBell.wait(beyond: seen)
                continue
            }
            try await withThrowingTaskGroup(of: Bool?.self) { group in
                group.addTask {
                    try await self.time.sleep(until: next.at, for: next.purpose)
                    return true
                }
                group.addTask {
                    try await self.timerBell.wait(beyond: seen)
                    return true
                }
                _ = try await firstOf(&group)
            }
        }
    }
}
