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
        case .missing(let finding):
            draft.waiting(finding.reason, finding.message)
            return withRecord(Decision(status: draft.status), snapshot, draft.status)
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
            return underWay(step, detail, [], snapshot, draft, fresh: !completed.isEmpty)
        case .perform(let step):
            let effects = Self.effects(of: step, snapshot, world)
            return underWay(step, describe(step), effects, snapshot, draft, fresh: !completed.isEmpty)
        }
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
        fresh: Bool
    ) -> Decision<Status> {
        var draft = draft
        draft.status.phase = Open(phase(of: step, snapshot))
        let limit = deadline(of: step, snapshot)
        let ends = (draft.record.stepStartedAt ?? draft.now).adding(seconds: limit)
        if !fresh, !isLooking(snapshot), draft.now >= ends, effects.isEmpty || draft.now >= ends.adding(seconds: limit)
        {
            let finding = lateness(step, limit, detail, snapshot)
            return end(snapshot, draft, Ending(state: .failed, reason: finding.reason, message: finding.message))
        }
        draft.working(step.name.rawValue, detail)
        if let obstacle = obstacle(of: step, snapshot) { draft.waiting(obstacle.reason, obstacle.message) }
        noteFailure(&draft, snapshot)
        return withRecord(
            Decision(status: draft.status, effects: effects, wake: draft.now < ends ? .at(ends) : .onChange), snapshot,
            draft.status)
    }

    /// Something is still being read. A controller that was away must look before it judges how late it is: the step may
    /// have been done meanwhile. For the same reason what was never tried is tried first.
    private static func isLooking(_ snapshot: RestoreRunSnapshot) -> Bool {
        snapshot.claim.isUnknown || snapshot.statefulSet.isUnknown || snapshot.pod.isUnknown
            || snapshot.clientService.isUnknown || snapshot.jobs.values.contains { $0.state == .unknown }
    }

    /// A step that is not done in time fails with what holds it up, if that is known.
    private static func lateness(
        _ step: Step, _ limit: Int64, _ detail: String, _ snapshot: RestoreRunSnapshot
    ) -> PlanFinding {
        if let obstacle = obstacle(of: step, snapshot) { return obstacle }
        if step.name == .quiesce, snapshot.pod.value?.metadata.isDeleting == true {
            return PlanFinding(
                reason: "PodStuckTerminating",
                message: "pod \(snapshot.request?.names.pod ?? "") has been terminating for longer than \(limit) s")
        }
        return PlanFinding(
            reason: "NoProgress", message: "step \(step.name.rawValue) was not done within \(limit) s: \(detail)")
    }

    /// Fetching and replaying look the same from outside but for one thing: the server process answers.
    private static func phase(of step: Step, _ snapshot: RestoreRunSnapshot) -> RunPhase {
        guard step.name == .restore, let status = snapshot.pod.value?.status?.containerStatuses?.first,
            status.started == true
        else { return step.phase }
        return .recover
    }

    private static func deadline(of step: Step, _ snapshot: RestoreRunSnapshot) -> Int64 {
        let wanted = snapshot.run.spec?.deadlines
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

    private static func describe(_ step: Step) -> String {
        switch step.name {
        case .claim: "creating the claim"
        case .provision: "creating the StatefulSet in quarantine"
        case .restore: "the image restores itself"
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
        draft.finish(
            .completed, "Completed",
            "service \(snapshot.request?.serviceName ?? "") is open; restored \(draft.record.pinnedBackup?.name ?? "")"
                + moment)
        draft.set(RunCondition.cleanedUp, .yes, "NothingLeft", "nothing of the run is left but its Jobs' logs")
        return withRecord(Decision(status: draft.status), snapshot, draft.status)
    }
}
