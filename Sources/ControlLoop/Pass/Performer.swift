// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources
import Seams

/// How far a pass got with its decision.
enum PassResult: Equatable, Sendable {
    case done
    /// A step failed; those after it were not tried.
    case failed(FailedStep, what: String, Trouble)
    /// The next step is one that failed a short while ago.
    case deferred(until: Uptime)
    /// The lease is not surely held: nothing more was sent.
    case notHeld
}

/// Carries out one decision: the status first, then the effects in order up to the first failure.
///
/// The leader's hold is checked before every single send. What the server answers goes into the cache at once, so the
/// next snapshot sees what this pass did. Where an effect names the object in the version that this pass itself has
/// replaced since, it is sent with the new version: the write before it proved that nothing else came in between.
struct Performer {
    let loop: Loop
    let key: Key
    /// The object at hand, as it was read.
    let atHand: Seen
    let pass: String
    /// The key's failure from before.
    let former: FailureRecord?
    /// The steps that went through.
    private(set) var succeeded: [FailedStep] = []
    /// What own writes of this pass made of an incarnation.
    private var latest: [Seen: Seen] = [:]

    init(loop: Loop, key: Key, atHand: Seen, pass: String, former: FailureRecord?) {
        self.loop = loop
        self.key = key
        self.atHand = atHand
        self.pass = pass
        self.former = former
    }

    /// - Throws: `CancellationError` only.
    mutating func perform(_ proposal: Proposal) async throws -> PassResult {
        if let write = proposal.statusWrite {
            let result = try await attempt(.status, "write the status of \(atHand.ref)") { performer in
                try await performer.writeStatus(write, proposal.notices)
            }
            if let result { return result }
        }
        for effect in proposal.effects {
            let result = try await attempt(.effect(effect), Self.words(for: effect)) { performer in
                try await performer.carryOut(effect)
            }
            if let result { return result }
        }
        return .done
    }

    /// - Returns: `nil` when the step went through.
    private mutating func attempt(
        _ step: FailedStep, _ what: String, _ body: (inout Performer) async throws -> Void
    ) async throws -> PassResult? {
        if let until = former?.heldUntil(step, what, at: loop.time.uptime) { return .deferred(until: until) }
        do {
            try await body(&self)
            succeeded.append(step)
            loop.note(
                .info, step == .status ? LoopEvents.statusWritten : LoopEvents.effectDone, fields(what))
            return nil
        } catch is NotHeld {
            loop.note(.warning, LoopEvents.notHeld, fields(what))
            return .notHeld
        } catch {
            try Task.checkCancellation()
            if error is CancellationError { throw error }
            return .failed(step, what: what, (error as? StepFailure)?.trouble ?? Loop.trouble(error))
        }
    }

    private func fields(_ what: String) -> [String: String] {
        ["object": atHand.ref.description, "pass": pass, "effect": what]
    }

    // MARK: Status

    private mutating func writeStatus(_ write: StatusWrite, _ notices: [Notice]) async throws {
        let seen = atHand
        let kind = key.kind
        do {
            try loop.hold.check()
            let object = try await write(loop.client, seen)
            loop.update { $0.store(object, from: .answer, kind: kind) }
            latest[seen] = object.seen
            loop.announce(notices, about: object.seen)
        } catch let error as APIError {
            try await failedWrite(of: seen, error)
        }
    }

    // MARK: Effects

    private mutating func carryOut(_ effect: Effect) async throws {
        switch effect {
        case .create(let child): try await create(child)
        case .makeSecret(let recipe): try await make(recipe)
        case .changeTemplate(let seen, let wanted):
            try await change(seen) { loop, now in
                let patch = try TemplatePatch.make(now, wanted)
                return try await loop.client.patch(StatefulSet.self, now.ref, patch)
            }
        case .setFinalizers(let seen, let finalizers):
            try await change(seen) { loop, now in
                let patch = try Patch.finalizers(finalizers, of: now)
                return try await loop.patch(now.ref, patch)
            }
        case .scale(let seen, let generation, let replicas):
            try await change(seen) { loop, now in
                let patch = try Patch.scale(to: replicas, of: now, generation: generation)
                return try await loop.patch(now.ref, patch)
            }
        case .annotate(let seen, let annotations):
            try await change(seen) { loop, now in
                let patch = try Patch.annotations(annotations, of: now)
                return try await loop.patch(now.ref, patch)
            }
        case .dropAnnotations(let seen, let values):
            try await change(seen) { loop, now in
                try await loop.patch(now.ref, try Patch.dropAnnotations(values, of: now))
            }
        case .replaceConfigMap(let seen, let manifest): try await replace(seen, by: manifest)
        case .delete(let seen): try await delete(seen)
        case .record(let entry): try await record(entry)
        case .spool(let entry): try await spool(entry)
        }
    }

    /// The incarnation as this pass has left it.
    func current(_ seen: Seen) -> Seen { latest[seen] ?? seen }

    /// An own write of this pass has made another version of an incarnation.
    mutating func noteWrite(of seen: Seen, _ now: Seen) { latest[seen] = now }

    private mutating func change(
        _ seen: Seen, _ send: (Loop, Seen) async throws -> any Resource
    ) async throws {
        let now = current(seen)
        do {
            try loop.hold.check()
            let object = try await send(loop, now)
            latest[seen] = object.seen
            let isGone = object.metadata.isDeleting && (object.metadata.finalizers ?? []).isEmpty
            loop.update { memory in
                if isGone {
                    // Nothing held it any more but what was just taken away.
                    memory.bury(now)
                } else if let key = memory.key(now.ref) {
                    memory.wrote(object, key)
                }
            }
        } catch let error as APIError {
            try await failedWrite(of: now, error)
        }
    }

    private func delete(_ seen: Seen) async throws {
        let now = current(seen)
        do {
            try loop.hold.check()
            try await loop.client.delete(now)
        } catch let error as APIError where error.code == .notFound {
            loop.update { memory in
                memory.bury(now)
                // Of a kind of which only a part is watched, nobody else would tell.
                if let key = memory.key(now.ref) { memory.noteQuorum(key, .absent) }
            }
            return
        } catch let error as APIError {
            try await failedWrite(of: now, error)
        }
        // It may stay for a while (finalizers, a grace period), or be gone: the answer does not say.
        try await refreshIfPossible(now)
    }

    private func record(_ entry: LedgerEntry) async throws {
        do {
            try loop.hold.check()
            let row = try await loop.surroundings.ledger.record(entry, epoch: loop.epoch)
            loop.update { $0.ledgerWritten(entry.runUID, row) }
        } catch let error as LedgerError {
            // It may have been written all the same, or the row may be another than we thought.
            loop.update { $0.ledgerWritten(entry.runUID, nil) }
            throw error
        }
    }

    // MARK: After a write

    /// What a failed write means. After a conflict the object is read anew, so that the next decision sees what is.
    func failedWrite(of seen: Seen, _ error: APIError) async throws -> Never {
        if error.disposition == .conflict {
            loop.note(.debug, LoopEvents.conflicted, fields("\(seen.ref)"))
            try await loop.refresh(seen)
        }
        throw error
    }

    private func refreshIfPossible(_ seen: Seen) async throws {
        do { try await loop.refresh(seen) } catch {
            // The watch will tell, only later.
            try Task.checkCancellation()
            if error is CancellationError { throw error }
        }
    }
}

/// A step failed, with what it means.
struct StepFailure: Error {
    var trouble: Trouble

    static func unknownKind(_ ref: Ref) -> StepFailure {
        StepFailure(
            trouble: Trouble(
                reason: "UnknownKind", message: "\(ref) is of a kind that this loop does not know",
                disposition: .terminal))
    }
}

extension Loop {
    func kind(of ref: Ref) -> (any AnyKind)? {
        update { memory in memory.key(ref).map { memory.kinds.entries[$0.kind].kind } }
    }

    /// Patches an object, and gives it as those who read it know its kind.
    func patch(_ ref: Ref, _ patch: Patch) async throws -> any Resource {
        guard let kind = kind(of: ref) else { throw StepFailure.unknownKind(ref) }
        return try await kind.patch(client, ref, patch)
    }

    /// Reads an incarnation anew, past the cache, and tells everybody what it is now.
    func refresh(_ seen: Seen) async throws {
        guard let kind = kind(of: seen.ref) else { return }
        let object = try await kind.get(client, seen.ref.namespace, seen.ref.name)
        update { memory in
            guard let key = memory.key(seen.ref) else { return }
            memory.learned(key, Live(object))
            // There is nothing of that name: so this incarnation at least is gone.
            if object == nil { memory.bury(seen) }
        }
    }
}
