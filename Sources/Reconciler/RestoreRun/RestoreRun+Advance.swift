// SPDX-License-Identifier: Apache-2.0

import Resources

// Running: the plan's steps, one after the other.

extension RestoreRunBehavior {
    static func advance(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Decision<Status> {
        var draft = draft
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
        var completed: [(Step, PlanFinding?)] = []
        let outcome = next(in: steps) { step in
            if snapshot.isDone(step.name) { return .done(warning: nil) }
            let evidence = Self.evidence(of: step, snapshot, world)
            if case .done(let warning) = evidence { completed.append((step, warning)) }
            return evidence
        }
        for (step, warning) in completed { complete(&draft, step, warning, snapshot, world) }
        switch outcome {
        case .finished: return complete(snapshot, draft)
        case .end(let step, let finding):
            draft.status.phase = Open(step.phase)
            return end(
                snapshot, draft, Ending(state: endState(finding), reason: finding.reason, message: finding.message))
        case .wait(let step, let detail):
            return underWay(
                step, detail ?? describe(step, world), [], snapshot, draft, world, fresh: !completed.isEmpty)
        case .perform(let step):
            let effects = Self.effects(of: step, snapshot, world)
            return underWay(step, describe(step, world), effects, snapshot, draft, world, fresh: !completed.isEmpty)
        }
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
            return complete(snapshot, draft)
        }
        let limit = seconds(snapshot.run.spec?.deadlines?.restore) ?? 6 * 3_600
        let ends = (draft.record.stepStartedAt ?? draft.now).adding(seconds: limit)
        if isChanged || draft.now >= ends { return fail(snapshot, draft, finding) }
        draft.waiting(finding.reason, finding.message)
        return withRecord(Decision(status: draft.status, wake: .at(ends)), snapshot, draft.status)
    }

    /// The ledger must say `running` before the first write to the target; later it may be down without harm.
    private static func beforeFirstWrite(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Decision<Status>? {
        guard (snapshot.record.completedSteps ?? []).isEmpty, snapshot.record.claimUID == nil else { return nil }
        if case .present(.run(let row)) = snapshot.ledger, row.status == LedgerWords.state(.running) { return nil }
        var draft = draft
        draft.waiting("WaitingForLedger", "nothing is written before the ledger says that this run is under way")
        noteFailure(&draft, snapshot)
        return withRecord(Decision(status: draft.status), snapshot, draft.status)
    }

    private static func underWay(
        _ step: Step, _ detail: String, _ effects: [Effect], _ snapshot: RestoreRunSnapshot, _ draft: StatusDraft,
        _ world: Workplace, fresh: Bool
    ) -> Decision<Status> {
        var draft = draft
        let phase = phase(of: step, snapshot)
        draft.status.phase = Open(phase)
        // Once it replays, it replays: a pod that is started again looks for a moment as if it fetched.
        let isRecovering = step.name == .restore && (phase == .recover || draft.record.recoverStartedAt != nil)
        if isRecovering, draft.record.recoverStartedAt == nil {
            draft.record.recoverStartedAt = draft.now.wholeSecond
        }
        let limit = deadline(of: step, in: isRecovering ? .recover : phase, snapshot)
        let begun = isRecovering ? draft.record.recoverStartedAt : draft.record.stepStartedAt
        let ends = (begun ?? draft.now).adding(seconds: limit)
        // No verdict while something is read for the first time; but what can't be read must not hold a step for ever.
        if isLooking(snapshot), draft.now >= ends, draft.record.unreadableSince == nil {
            draft.record.unreadableSince = draft.now.wholeSecond
        }
        let blind = draft.record.unreadableSince?.adding(seconds: lookingLimit)
        if !fresh, !isLooking(snapshot) || blind.map({ draft.now >= $0 }) ?? false, draft.now >= ends,
            effects.isEmpty || draft.now >= ends.adding(seconds: limit)
        {
            let finding = lateness(step, limit, detail, snapshot, world)
            return end(snapshot, draft, Ending(state: .failed, reason: finding.reason, message: finding.message))
        }
        var moments = [ends] + (blind.map { [$0] } ?? [])
        draft.working(step.name.rawValue, detail)
        if step.action == .awaitPromotion {
            if let next = noteProgress(&draft, snapshot, world) { moments.append(next) }
            moments.append(noteQuiet(&draft, detail))
        }
        if let obstacle = obstacle(of: step, snapshot, world) { draft.waiting(obstacle.reason, obstacle.message) }
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

    /// Something is still being read. A controller that was away must look before it judges how late it is: the step may
    /// have been done meanwhile. For the same reason what was never tried is tried first.
    private static func isLooking(_ snapshot: RestoreRunSnapshot) -> Bool {
        snapshot.claim.isUnknown || snapshot.statefulSet.isUnknown || snapshot.pod.isUnknown
            || snapshot.clientService.isUnknown || snapshot.jobs.values.contains { $0.state == .unknown }
    }

    /// A step that is not done in time fails with what holds it up, if that is known.
    private static func lateness(
        _ step: Step, _ limit: Int64, _ detail: String, _ snapshot: RestoreRunSnapshot, _ world: Workplace
    ) -> PlanFinding {
        if let obstacle = obstacle(of: step, snapshot, world) { return obstacle }
        if step.name == .quiesce, snapshot.pod.value?.metadata.isDeleting == true {
            return PlanFinding(
                reason: "PodStuckTerminating",
                message: "pod \(snapshot.request?.names.pod ?? "") has been terminating for longer than \(limit) s")
        }
        return PlanFinding(
            reason: "NoProgress", message: "step \(step.name.rawValue) was not done within \(limit) s: \(detail)")
    }

    private static func phase(of step: Step, _ snapshot: RestoreRunSnapshot) -> RunPhase {
        step.name == .restore && isReplaying(snapshot) ? .recover : step.phase
    }

    private static func deadline(of step: Step, in phase: RunPhase, _ snapshot: RestoreRunSnapshot) -> Int64 {
        let wanted = snapshot.run.spec?.deadlines
        if phase == .recover { return seconds(wanted?.recover) ?? 6 * 3_600 }
        switch step.deadline {
        case .restore: return seconds(wanted?.restore) ?? 6 * 3_600
        case .recover: return seconds(wanted?.recover) ?? 6 * 3_600
        case .verify: return seconds(wanted?.verify) ?? 1_800
        case .fixed(let seconds): return seconds
        }
    }

    static func seconds(_ text: String?) -> Int64? { text.flatMap { Durations.seconds($0) } }

    private static func endState(_ finding: PlanFinding) -> RunState {
        ["TargetDeleted", "TargetReplaced"].contains(finding.reason) ? .interrupted : .failed
    }

    private static func describe(_ step: Step, _ world: Workplace) -> String {
        switch step.name {
        case .claim: "creating the claim"
        case .provision: "creating the StatefulSet in quarantine"
        case .restore: "fetching \(world.pinned.name)"
        case .quiesce: "stopping the restored server"
        case .seal: "sealing the restored data"
        case .open: "opening the service"
        case .serve: "waiting for the service"
        case .backup: "taking a full base backup"
        case .compareSource: "comparing the source's archive with how it was"
        }
    }

    /// Every step is done.
    private static func complete(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Decision<Status> {
        var draft = draft
        let sealed = draft.record.sealed
        let moment = sealed?.recoveredTo.map { ", recovered to: \($0)" } ?? ""
        let backup = draft.status.conditions?.condition(RunCondition.freshBackup)
        let isLost = ["TargetDeleted", "TargetReplaced"].contains(backup?.reason ?? "")
        draft.finish(
            .completed, "Completed",
            "service \(snapshot.request?.serviceName ?? "") \(isLost ? "was opened" : "is open"); restored "
                + (draft.record.pinnedBackup?.name ?? "") + moment + (isLost ? "; \(backup?.message ?? "")" : ""))
        draft.set(RunCondition.cleanedUp, .yes, "NothingLeft", "nothing of the run is left but its Jobs' logs")
        return withRecord(Decision(status: draft.status), snapshot, draft.status)
    }
}
