// SPDX-License-Identifier: Apache-2.0

import Resources

// Running: the plan's steps, one after the other.

extension RestoreRunBehavior {
    static func advance(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Decision<Status> {
        var draft = draft
        if let inPlace = snapshot.inPlace { return advanceInPlace(snapshot, inPlace, draft) }
        guard let request = snapshot.request,
            let steps = Step.steps(named: (snapshot.status.plan?.steps ?? []).map(\.name))
        else {
            draft.waiting(
                "NeedsNewerController", "the plan names steps that this controller does not know; run the newer one")
            return Decision(status: draft.status)
        }
        if let waiting = beforeFirstWrite(snapshot, draft) { return waiting }
        let world: Workplace
        switch Workplace.find(snapshot, request) {
        case .found(let found): world = found
        case .missing(let finding): return withoutWorkplace(snapshot, draft, finding, isChanged: false)
        case .changed(let finding): return withoutWorkplace(snapshot, draft, finding, isChanged: true)
        }
        return interpret(steps, NewServiceWay(snapshot: snapshot, world: world), draft)
    }

    /// Walks a plan's steps, and carries out the one that is next: the same for every way of restoring.
    static func interpret(_ steps: [Step], _ way: some Way, _ draft: StatusDraft) -> Decision<Status> {
        var draft = draft
        let snapshot = way.snapshot
        var completed: [(Step, PlanFinding?)] = []
        let outcome = next(in: steps) { step in
            if snapshot.isDone(step.name) { return .done(warning: nil) }
            let evidence = way.evidence(of: step)
            if case .done(let warning) = evidence { completed.append((step, warning)) }
            return evidence
        }
        for (step, warning) in completed {
            draft.record.completedSteps = (draft.record.completedSteps ?? []) + [step.name.rawValue]
            draft.record.stepStartedAt = draft.now.wholeSecond
            draft.record.unreadableSince = nil
            way.note(step, warning, &draft)
        }
        switch outcome {
        case .finished: return complete(way, draft)
        case .end(let step, let finding):
            draft.status.phase = Open(step.phase)
            way.noteFailure(of: step, &draft)
            return end(
                snapshot, draft, Ending(state: endState(finding), reason: finding.reason, message: finding.message))
        case .wait(let step, let detail):
            return underWay(step, detail, [], way, draft, fresh: !completed.isEmpty)
        case .perform(let step):
            return underWay(
                step, way.describe(step), way.effects(of: step), way, draft, fresh: !completed.isEmpty)
        }
    }

    private static func advanceInPlace(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ draft: StatusDraft
    ) -> Decision<Status> {
        var draft = draft
        guard let planned = snapshot.record.inPlace,
            let steps = Step.steps(named: (snapshot.status.plan?.steps ?? []).map(\.name))
        else {
            draft.waiting(
                "NeedsNewerController", "the plan names steps that this controller does not know; run the newer one")
            return Decision(status: draft.status)
        }
        // Once the service may have been scaled down the ledger may be away without harm. Not by its replicas, which others
        // set as well.
        if snapshot.record.mayWriteSince == nil {
            if let ended = beforeStop(snapshot, view, &draft) { return ended }
            if let waiting = awaitRow(snapshot, view, draft) { return waiting }
        } else if let ended = noteLock(snapshot, view, &draft) {
            return ended
        }
        draft.record.mayWriteSince = draft.record.mayWriteSince ?? draft.now.wholeSecond
        let decision = interpret(steps, InPlaceWay(snapshot: snapshot, view: view, planned: planned), draft)
        return lockAgain(decision, snapshot, view)
    }

    /// The row of a run in place; until it is there, the end of the run's approval is heard of.
    private static func awaitRow(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ draft: StatusDraft
    ) -> Decision<Status>? {
        guard var waiting = beforeFirstWrite(snapshot, draft) else { return nil }
        if let failure = snapshot.failure, failure.reason == "busy", view.request?.waitsWhenBusy == false {
            return fail(snapshot, draft, PlanFinding(reason: "TargetBusy", message: failure.message))
        }
        if let ends = draft.approvedUntil { waiting.wake = waiting.wake.noLater(than: ends) }
        return waiting
    }

    /// A repository or the ManagedService that the run works with is gone, or leads elsewhere than planned.
    ///
    /// Before the opening it is waited for when it is gone, as long as a restore may take; what leads elsewhere ends the
    /// run, which would do something else than was planned. Afterwards only the backup and the comparison are left out.
    private static func withoutWorkplace(
        _ snapshot: RestoreRunSnapshot, _ draft: StatusDraft, _ finding: PlanFinding, isChanged: Bool
    ) -> Decision<Status> {
        var draft = draft
        if snapshot.isDone(.serve) {
            for type in [RunCondition.freshBackup, RunCondition.sourceUntouched]
            where draft.status.conditions?.condition(type) == nil {
                draft.set(type, .no, finding.reason, finding.message)
            }
            return complete(NewServiceWay(snapshot: snapshot, world: nil), draft)
        }
        let limit = seconds(snapshot.run.spec?.deadlines?.restore) ?? 6 * 3_600
        let ends = (draft.record.stepStartedAt ?? draft.now).adding(seconds: limit)
        if isChanged || draft.now >= ends { return fail(snapshot, draft, finding) }
        draft.waiting(finding.reason, finding.message)
        return withRecord(Decision(status: draft.status, wake: .at(ends)), snapshot, draft.status)
    }

    /// The ledger must say `running` before the first write to the target; later it may be down without harm. The spool
    /// says it in its place for a run that may begin without the ledger.
    private static func beforeFirstWrite(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Decision<Status>? {
        guard !hasWritten(snapshot) else { return nil }
        if case .present(.run(let row)) = snapshot.ledger, row.status == LedgerWords.state(.running) {
            // Whoever was completed while this run waited is in this answer: only one of them can be running.
            return appliedAlready(snapshot).map { fail(snapshot, draft, $0) }
        }
        var draft = draft
        let breakGlass = startsWithoutLedger(snapshot, draft)
        if let breakGlass, draft.now >= breakGlass {
            if isSpooled(snapshot) { return nil }
            return spoolBeforeFirstWrite(snapshot, draft)
        }
        draft.waiting(
            "WaitingForLedger",
            "nothing is written before the ledger says that this run is under way" + consentWords(breakGlass))
        noteFailure(&draft, snapshot)
        return withRecord(
            Decision(status: draft.status, wake: breakGlass.map { .at($0) } ?? .onChange), snapshot, draft.status)
    }

    private static func underWay(
        _ step: Step, _ said: String?, _ effects: [Effect], _ way: some Way, _ draft: StatusDraft, fresh: Bool
    ) -> Decision<Status> {
        var draft = draft
        let detail = said ?? way.describe(step)
        let snapshot = way.snapshot
        let phase = way.phase(of: step)
        draft.status.phase = Open(phase)
        // Once it replays, it replays: a pod that is started again looks for a moment as if it fetched.
        let isRecovering = step.name == .restore && (phase == .recover || draft.record.recoverStartedAt != nil)
        if isRecovering, draft.record.recoverStartedAt == nil {
            draft.record.recoverStartedAt = draft.now.wholeSecond
        }
        let begun = isRecovering ? draft.record.recoverStartedAt : draft.record.stepStartedAt
        let whole = StepTerm(
            since: begun ?? draft.now, limit: deadline(of: step, in: isRecovering ? .recover : phase, snapshot))
        let term = way.term(of: step).flatMap { $0.ends < whole.ends ? $0 : nil } ?? whole
        let (limit, ends) = (term.limit, term.ends)
        // No verdict while something is read for the first time; but what can't be read must not hold a step for ever.
        let isLooking = way.isLooking || said == nil
        if isLooking, draft.now >= ends, draft.record.unreadableSince == nil {
            draft.record.unreadableSince = draft.now.wholeSecond
        }
        let blind = draft.record.unreadableSince?.adding(seconds: lookingLimit)
        if !fresh, !isLooking || blind.map({ draft.now >= $0 }) ?? false, draft.now >= ends,
            effects.isEmpty || draft.now >= ends.adding(seconds: limit)
        {
            let finding = way.lateness(of: step, limit, detail)
            return end(snapshot, draft, Ending(state: .failed, reason: finding.reason, message: finding.message))
        }
        var moments = [ends] + (blind.map { [$0] } ?? [])
        // Nothing is said while something is only read: what was said before stands, or each answer would be a write, and each
        // write a reason to read again.
        if said != nil || fresh { draft.working(step.name.rawValue, detail) }
        if way.hasProgress(step) {
            if let next = way.noteProgress(&draft) { moments.append(next) }
            moments.append(noteQuiet(&draft, detail))
        }
        way.noteUnderWay(step, &draft)
        if let obstacle = way.obstacle(of: step) { draft.waiting(obstacle.reason, obstacle.message) }
        noteFailure(&draft, snapshot)
        let wake = moments.filter { $0 > draft.now }.min()
        return withRecord(
            Decision(status: draft.status, effects: effects, wake: wake.map { .at($0) } ?? .onChange), snapshot,
            draft.status)
    }

    /// Nothing hangs silently: what has not moved for long is said, while its deadline goes on.
    private static func noteQuiet(_ draft: inout StatusDraft, _ detail: String) -> Timestamp {
        let quiet = quietSince(draft)
        if draft.now >= quiet.ends {
            draft.waiting(
                "NoProgress",
                "\(detail): nothing has been heard of it since \(quiet.since.rfc3339); see the pod's log and events")
        }
        return quiet.ends
    }

    /// How long after a step's time what could not be read is waited for, in seconds.
    static let lookingLimit: Int64 = 900

    private static func deadline(of step: Step, in phase: RunPhase, _ snapshot: RestoreRunSnapshot) -> Int64 {
        let wanted = snapshot.run.spec?.deadlines
        if phase == .recover { return seconds(wanted?.recover) ?? 6 * 3_600 }
        switch step.deadline {
        case .restore: return seconds(wanted?.restore) ?? 6 * 3_600
        case .recover: return seconds(wanted?.recover) ?? 6 * 3_600
        case .verify: return seconds(wanted?.verify) ?? 1_800
        case .whole: return wholeDeadline(snapshot)
        case .fixed(let seconds): return seconds
        }
    }

    /// Of a Job that fetches, replays and verifies, and of what it takes to start and end it.
    static func wholeDeadline(_ snapshot: RestoreRunSnapshot) -> Int64 {
        let wanted = snapshot.run.spec?.deadlines
        return (seconds(wanted?.restore) ?? 6 * 3_600) + (seconds(wanted?.recover) ?? 6 * 3_600)
            + (seconds(wanted?.verify) ?? 1_800) + 900
    }

    static func seconds(_ text: String?) -> Int64? { text.flatMap { Durations.seconds($0) } }

    private static func endState(_ finding: PlanFinding) -> RunState {
        ["TargetDeleted", "TargetReplaced", namespaceDeleted.reason].contains(finding.reason) ? .interrupted : .failed
    }

    /// Every step is done.
    private static func complete(_ way: some Way, _ draft: StatusDraft) -> Decision<Status> {
        var draft = draft
        draft.finish(.completed, "Completed", way.outcome(draft))
        draft.set(RunCondition.cleanedUp, .yes, "NothingLeft", way.remains)
        return withRecord(Decision(status: draft.status), way.snapshot, draft.status)
    }
}
