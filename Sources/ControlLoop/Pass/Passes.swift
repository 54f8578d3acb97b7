// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources
import Seams

/// The workers: key by key, from a snapshot to what became of its decision.
extension Loop {
    /// What a pass begins with.
    private struct Beginning: Sendable {
        var atHand: Seen
        var deliberation: Deliberation
        var former: FailureRecord?
        var unwatched: [ResourceKind]
        /// The snapshot lacks an answer that is still under way.
        var isWaiting: Bool
    }

    /// Works until the task is cancelled.
    func workForever() async throws {
        while true {
            let seen = workBell.count
            guard let key = update({ $0.work.take() }) else {
                try await workBell.wait(beyond: seen)
                continue
            }
            try await pass(key)
            let depth = update { memory -> (Int, Int, Int, Int, Int) in
                memory.finishWork(key)
                if memory.subscriptions.topics(of: key).isEmpty {
                    // Whoever reads nothing any more has come to its end.
                    memory.circles[key] = nil
                    memory.conclusions[key] = nil
                }
                return (
                    memory.work.depth, memory.failures.count, memory.unreadableCount,
                    memory.subscriptions.readerCount, memory.subscriptions.topicCount
                )
            }
            let now = time.uptime
            configuration.state.update { facts in
                facts.lastPass = now
                facts.passes += 1
                (facts.queueDepth, facts.failingKeys, facts.unreadableObjects, facts.readers, facts.topics) = depth
            }
        }
    }

    private func pass(_ key: Key) async throws {
        let began = time.uptime
        guard let beginning = begin(key) else { return }
        let number = nextPass()
        for kind in beginning.unwatched {
            note(.error, LoopEvents.notWatched, ["kind": kind.kind, "object": beginning.atHand.ref.description])
        }
        let proposal = beginning.deliberation(clock.now)
        var performer = Performer(
            loop: self, key: key, atHand: beginning.atHand, pass: number, former: beginning.former)
        let result = try await performer.perform(proposal)
        if performer.succeeded.contains(.status) { noteStatusWrite(key, performer) }
        settle(key, performer, proposal, result, isWaiting: beginning.isWaiting)
        note(
            .debug, LoopEvents.passEnded,
            [
                "object": beginning.atHand.ref.description, "pass": number,
                "milliseconds": "\(time.uptime.since(began))", "outcome": result.word,
            ])
    }

    /// Builds the snapshot and notes what it read, in one step. `nil` when there is nothing to decide about.
    private func begin(_ key: Key) -> Beginning? {
        let settings = configuration.settings
        let now = time.uptime
        return update { memory -> Beginning? in
            guard let behavior = memory.kinds.entries[key.kind].behavior else { return nil }
            if let until = memory.circles[key]?.pausedUntil(now) {
                memory.timers.set(.pass(key), at: until, for: .retry)
                return nil
            }
            switch memory.shelf(key.kind)?.held[ObjectName(namespace: key.namespace, name: key.name)] {
            case nil, .buried?:
                memory.forget(key)
                return nil
            case .unreadable?:
                // Nothing is decided from stale text. What it read stays read, until it can be decoded again.
                memory.timers.cancel(.pass(key))
                return nil
            case .present(let object, let stamp)?:
                var reader = PassReader(
                    borrowing: &memory, for: key, at: stamp.version.text, now: now, settings: settings)
                let deliberation = behavior.consider(object, &reader)
                let (unwatched, isWaiting) = (reader.unwatched, reader.isWaiting)
                reader.giveBack(to: &memory)
                return Beginning(
                    atHand: object.seen, deliberation: deliberation, former: memory.failures[key],
                    unwatched: unwatched, isWaiting: isWaiting)
            }
        }
    }

    // MARK: Afterwards

    private func settle(
        _ key: Key, _ performer: Performer, _ proposal: Proposal, _ result: PassResult, isWaiting: Bool
    ) {
        let wake = moment(of: proposal.wake, performer)
        switch result {
        case .done: succeeded(key, performer, wake, isWaiting: isWaiting)
        case .notHeld:
            // Either the lease is renewed in a moment, or the term ends.
            let again = time.uptime.adding(500)
            update { $0.timers.set(.pass(key), at: again, for: .retry) }
        case .deferred(let until):
            update { $0.setTimer(key, until, wake) }
        case .failed(let step, let what, let trouble):
            failed(key, performer, step, what, trouble, wake)
        }
    }

    /// Status writes that follow each other without end are a fault of the behaviour: it must not become the server's.
    private func noteStatusWrite(_ key: Key, _ performer: Performer) {
        let now = time.uptime
        let isCircling = update { memory in
            var circle = memory.circles[key] ?? Circle(since: now)
            defer { memory.circles[key] = circle }
            return circle.noteWrite(at: now)
        }
        guard isCircling else { return }
        note(
            .error, LoopEvents.circling, ["object": performer.atHand.ref.description, "pass": performer.pass])
    }

    /// When the decision wants to be looked at again, on the uptime clock.
    private func moment(of wake: Wake, _ performer: Performer) -> Uptime? {
        guard case .at(let moment) = wake else { return nil }
        let ahead = moment.microseconds - clock.now.microseconds
        guard ahead > 0 else {
            note(
                .warning, LoopEvents.wakeInPast,
                ["object": performer.atHand.ref.description, "pass": performer.pass])
            return time.uptime.adding(1_000)
        }
        // This clock may go a little faster for a while: look at it again from time to time.
        return time.uptime.adding(min((ahead + 999) / 1_000, 3_600_000))
    }

    private func succeeded(_ key: Key, _ performer: Performer, _ wake: Uptime?, isWaiting: Bool) {
        let now = time.uptime
        let steps = performer.succeeded
        update { memory in
            guard let record = memory.failures[key] else {
                memory.setTimer(key, nil, wake)
                return
            }
            if steps.contains(record.step) || record.failure.disposition == .conflict {
                memory.failures[key] = record.after(successAt: now)
                memory.setTimer(key, nil, wake)
            } else if record.isPast {
                if now.since(record.lastAt) > FailureRecord.memory { memory.failures[key] = nil }
                memory.setTimer(key, nil, wake)
            } else if now < record.notBefore {
                // Still shown, so that a behaviour which holds the step back does not run in circles.
                memory.setTimer(key, record.notBefore, wake)
            } else if isWaiting {
                // Nothing was decided on: the answer wakes the key.
                memory.setTimer(key, nil, wake)
            } else {
                memory.failures[key]?.isPast = true
                memory.setTimer(key, nil, wake)
                memory.wake(key)
            }
        }
    }

    private func failed(
        _ key: Key, _ performer: Performer, _ step: FailedStep, _ what: String, _ trouble: Trouble, _ wake: Uptime?
    ) {
        let now = time.uptime
        let before = performer.former
        let isRecent = before.map { now.since($0.lastAt) <= FailureRecord.memory } ?? false
        let isSame = isRecent && before?.failure.effect == what
        let count = isSame ? (before?.failure.count ?? 0) + 1 : 1
        let since = isSame ? before?.failure.since : nil
        let failure = Failure(
            effect: what, reason: trouble.reason, message: trouble.message, disposition: trouble.disposition,
            count: count, since: since ?? clock.now)
        let wait = pause(trouble, count, performer)
        let notBefore = now.adding(wait)
        var pauses = before?.pauses.filter { now < $0.value } ?? [:]
        if case .retry(after: _?) = trouble.disposition { pauses[what] = notBefore }
        let record = FailureRecord(
            step: step, failure: failure, notBefore: notBefore, lastAt: now, pauses: pauses)
        // The behaviour may want to show it; and after a conflict it has something new to look at.
        let isAtOnce = wait == 0 || (wait > 1_000 && count == 1)
        update { memory in
            memory.failures[key] = record
            memory.setTimer(key, record.notBefore, wake)
            if isAtOnce { memory.wake(key) }
        }
        note(
            trouble.disposition == .conflict && count == 1 ? .debug : .warning, LoopEvents.stepFailed,
            [
                "object": performer.atHand.ref.description, "pass": performer.pass, "effect": what,
                "reason": trouble.reason, "message": trouble.message, "count": "\(count)",
                "disposition": trouble.disposition.word,
            ])
    }

    /// How long the same step is not tried again.
    private func pause(_ trouble: Trouble, _ count: Int, _ performer: Performer) -> Milliseconds {
        let purpose = "step backoff/\(performer.atHand.ref)"
        switch trouble.disposition {
        case .conflict where count == 1: return 0
        case .conflict: return Backoff.step.wait(failures: count - 1, entropy: entropy, for: purpose)
        case .retry(let after):
            return max(1, trouble.backoff.wait(failures: count, atLeast: after, entropy: entropy, for: purpose))
        case .terminal:
            let bound = Backoff.refusedStep.bound(failures: count)
            return bound / 2 + entropy.below(bound / 2 + 1, for: purpose)
        }
    }
}

extension Memory {
    /// Objects that exist and can't be decoded.
    var unreadableCount: Int { shelves.reduce(0) { $0 + ($1?.unreadableCount ?? 0) } }

    /// Sets a key's timer to the earlier of its two moments, or to none.
    mutating func setTimer(_ key: Key, _ retry: Uptime?, _ wake: Uptime?) {
        switch (retry, wake) {
        case (nil, nil): timers.cancel(.pass(key))
        case (let retry?, let wake?) where wake < retry: timers.set(.pass(key), at: wake, for: .wake)
        case (let retry?, _): timers.set(.pass(key), at: retry, for: .retry)
        case (nil, let wake?): timers.set(.pass(key), at: wake, for: .wake)
        }
    }
}

extension PassResult {
    /// For logs.
    fileprivate var word: String {
        switch self {
        case .done: "done"
        case .failed: "failed"
        case .deferred: "deferred"
        case .notHeld: "not held"
        }
    }
}

extension Disposition {
    fileprivate var word: String {
        switch self {
        case .retry: "retry"
        case .conflict: "conflict"
        case .terminal: "terminal"
        }
    }
}
