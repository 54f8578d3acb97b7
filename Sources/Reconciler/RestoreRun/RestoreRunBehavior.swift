// SPDX-License-Identifier: Apache-2.0

package import Resources

/// One restore operation, from its manifest to its outcome.
///
/// Flow: first the finalizer, then `Pending/Prepare` (read the spec, look at both archives with Jobs, plan, wait for the
/// ledger's row; nothing of the target is touched), then the point of no return, then the plan's steps one by one, then
/// the outcome in status and in the ledger, then the finalizer comes off.
///
/// Guarantees: nothing is created for a refused run but the Jobs that looked; nothing is written to the target before the
/// plan is free of errors, the ledger has the row, and the run is not cancelled; whatever an unsuccessful run made is
/// taken away by UID and label, unless the service was opened already.
package enum RestoreRunBehavior: Behavior {
    package typealias Object = RestoreRun
    package typealias Status = RestoreRunStatus
    package typealias Snapshot = RestoreRunSnapshot

    package static func decide(_ snapshot: RestoreRunSnapshot, at now: Timestamp) -> Decision<RestoreRunStatus> {
        tellUnread(snapshot, judge(snapshot, at: now), at: now)
    }

    private static func judge(_ snapshot: RestoreRunSnapshot, at now: Timestamp) -> Decision<RestoreRunStatus> {
        let run = snapshot.run
        if let state = snapshot.status.state, state.known == nil {
            // Written by a newer controller: touching it could only do harm.
            return Decision()
        }
        if snapshot.state?.isTerminal == true {
            let isReleased = !(run.metadata.finalizers ?? []).contains(recordFinalizer)
            let isRecorded = snapshot.status.conditions?.isTrue(RunCondition.recorded) ?? false
            if isReleased, isRecorded, mustTidy(snapshot), !run.metadata.isDeleting {
                return tidy(snapshot, at: now)
            }
            return afterEnd(snapshot, at: now)
        }
        let finalizers = run.metadata.finalizers ?? []
        if !finalizers.contains(recordFinalizer) {
            // In a pass of its own, before anything else exists that must outlive the object.
            guard !run.metadata.isDeleting else { return Decision() }
            return Decision(effects: [.setFinalizers(run.seen, finalizers + [recordFinalizer])])
        }
        var draft = StatusDraft(snapshot, at: now)
        if snapshot.state == nil { begin(&draft, snapshot) }
        noteRecorded(&draft, snapshot)
        if snapshot.record.ending != nil {
            return snapshot.inPlace.map { cleanUpInPlace(snapshot, $0, draft) } ?? cleanUp(snapshot, draft)
        }
        if mustKnowSpace(snapshot), snapshot.isSpaceLeaving == nil { return Decision() }
        if let ending = requestedEnding(snapshot) {
            if ending.state.known == .cancelled, draft.status.cancelRequestedAt == nil {
                draft.status.cancelRequestedAt = now.wholeSecond
            }
            return end(snapshot, draft, ending)
        }
        return snapshot.state == .running ? advance(snapshot, draft) : prepare(snapshot, draft)
    }

    /// The first status: everything that a reader may wait for is there, if only as Unknown.
    private static func begin(_ draft: inout StatusDraft, _ snapshot: RestoreRunSnapshot) {
        let run = snapshot.run
        draft.status.state = Open(.pending)
        draft.status.phase = Open(.prepare)
        draft.status.attempt = 1
        draft.status.destructive = run.spec?.target?.service != nil
        draft.record.specDigest = snapshot.specDigest
        draft.record.serviceName = run.spec?.target?.newService?.name
        // Without an admission policy nobody vouches for a name: what is shown is said to be unverified.
        draft.status.requestedBy = .init(name: run.metadata.annotations?["reprise.dev/requested-by"], verified: false)
        for type in [RunCondition.planned, RunCondition.recorded, RunCondition.finished, RunCondition.succeeded] {
            draft.set(type, .unknown, "Pending", "not known yet")
        }
        draft.working("Preparing", "looking at the request")
    }

    /// Deleting a run cancels it; `spec.cancel` says so in so many words.
    private static func requestedEnding(_ snapshot: RestoreRunSnapshot) -> Ending? {
        if snapshot.run.spec?.cancel == true {
            return Ending(state: .cancelled, reason: "Cancelled", message: "cancelled by spec.cancel")
        }
        if mustKnowSpace(snapshot), snapshot.isSpaceLeaving == true {
            return Ending(
                state: .interrupted, reason: namespaceDeleted.reason, message: namespaceDeleted.message)
        }
        if snapshot.run.metadata.isDeleting {
            return Ending(state: .cancelled, reason: "Deleted", message: "cancelled, because the run was deleted")
        }
        // API servers with CEL refuse this; the older ones leave it to us.
        if let first = snapshot.record.specDigest, first != snapshot.specDigest {
            return Ending(
                state: .failed, reason: "SpecChanged",
                message:
                    "spec was edited after the run began; a run does what it was first asked for or nothing. Make a "
                    + "new RestoreRun")
        }
        return nil
    }

    static let namespaceDeleted = PlanFinding(
        reason: "NamespaceDeleted", message: "the namespace was deleted while the run was under way")

    /// Whoever deletes the namespace of a run deletes the run with it, and means another thing than a cancel.
    static func mustKnowSpace(_ snapshot: RestoreRunSnapshot) -> Bool {
        snapshot.run.metadata.isDeleting && snapshot.state == .running && snapshot.record.ending == nil
            && snapshot.run.spec?.cancel != true
    }

    /// What the run was asked for; `cancel` is the one field that may change.
    static func specDigest(_ run: RestoreRun) -> String {
        var spec = run.spec
        spec?.cancel = nil
        return Planner.digest(of: spec)
    }

    /// Ends a run that is not successful. What it made is taken away first, unless the service is open: then it stays,
    /// since people may have written to it.
    static func end(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft, _ ending: Ending) -> Decision<Status> {
        var draft = draft
        if snapshot.state == .running, snapshot.isDone(.seal), !snapshot.isDone(.open), snapshot.statefulSet.isUnknown,
            snapshot.request != nil
        {
            return Decision()
        }
        // It may hold the lock already: a predecessor may have set it and not lived to see that.
        if snapshot.state != .running, snapshot.record.inPlace != nil, let view = snapshot.inPlace,
            case .looking = target(snapshot, view)
        {
            return Decision()
        }
        let kept =
            isOpen(snapshot)
            ? "the service was opened already and is kept"
            : mayHaveBeenOpen(snapshot)
                ? "its StatefulSet is gone, so nobody can tell whether it had been opened; the data is kept" : nil
        // A run that waits for nothing but its turn may hold the lock already.
        guard snapshot.state == .running || holdsLock(snapshot), kept == nil else {
            if let kept { draft.set(RunCondition.cleanedUp, .no, "Kept", kept) }
            draft.finish(
                ending.state.known ?? .failed, ending.reason, ending.message + (kept.map { "; \($0)" } ?? ""))
            return withRecord(Decision(status: draft.status), snapshot, draft.status)
        }
        draft.record.ending = ending
        sayCleaningUp(ending, &draft)
        draft.set(RunCondition.cleanedUp, .no, "CleaningUp", "taking away what this run made")
        return withRecord(Decision(status: draft.status), snapshot, draft.status)
    }

    static func sayCleaningUp(_ ending: Ending, _ draft: inout StatusDraft) {
        draft.working("CleaningUp", "\(ending.message); taking away what this run made")
    }

    /// The StatefulSet whose data is to be replaced names this run.
    static func holdsLock(_ snapshot: RestoreRunSnapshot) -> Bool {
        snapshot.inPlace?.lock.map { $0.runUID == snapshot.run.metadata.uid } ?? false
    }

    /// Clients may have reached it: the opening was seen done, or has been sent.
    static func isOpen(_ snapshot: RestoreRunSnapshot) -> Bool {
        if snapshot.isDone(.open) { return true }
        guard snapshot.isDone(.seal), let statefulSet = snapshot.statefulSet.value,
            statefulSet.metadata.uid == snapshot.record.targetUID
        else { return false }
        return !PostgresService.isUnreachable(statefulSet, snapshot.request?.profile ?? .walgClone)
    }

    /// Somebody has taken the StatefulSet of a sealed service away before the opening was seen: a leader that died may
    /// have sent it, and people may have written to the data.
    private static func mayHaveBeenOpen(_ snapshot: RestoreRunSnapshot) -> Bool {
        snapshot.isDone(.seal) && snapshot.statefulSet.isConfirmedAbsent
    }

    /// A refusal or failure with its reason, as an ending.
    static func fail(
        _ snapshot: RestoreRunSnapshot, _ draft: StatusDraft, _ finding: PlanFinding
    ) -> Decision<Status> {
        end(snapshot, draft, Ending(state: .failed, reason: finding.reason, message: finding.message))
    }

    /// Nothing is done while something is read; when that is refused, only a person can help. What is known to hold the run
    /// up, and the words of its end, stand.
    private static func tellUnread(
        _ snapshot: RestoreRunSnapshot, _ decision: Decision<Status>, at now: Timestamp
    ) -> Decision<Status> {
        guard let unread = snapshot.unread, decision.effects.isEmpty else { return decision }
        var draft = StatusDraft(snapshot, at: now)
        if let status = decision.status { draft.status = status }
        guard let state = draft.status.state?.known, !state.isTerminal else { return decision }
        let isEnding = draft.record.ending != nil && snapshot.record.ending == nil
        let stalled = draft.status.conditions?.condition(RunCondition.stalled)
        if isEnding || stalled?.isTrue == true && stalled?.reason != readRefused { return decision }
        draft.waiting(readRefused, "\(unread.what) can't be read: \(unread.message)")
        var told = decision
        told.status = draft.status
        return told
    }

    private static let readRefused = "ReadRefused"

    /// The API server refused something for good: a person must see its words.
    static func noteFailure(_ draft: inout StatusDraft, _ snapshot: RestoreRunSnapshot) {
        guard let failure = snapshot.failure, failure.count > 1 || failure.disposition == .terminal else { return }
        draft.waiting(failure.reason, "\(failure.effect): \(failure.message)")
    }
}
