// SPDX-License-Identifier: Apache-2.0

import Resources

/// One way of restoring, over one snapshot: what the interpreter of a plan's steps asks about each of them.
///
/// The order, the deadlines, the words for people and the record are the interpreter's (`RestoreRunBehavior.interpret`) and
/// the same for all; a way says what a step's evidence and its effects are.
protocol Way {
    var snapshot: RestoreRunSnapshot { get }
    /// Something is still being read. A controller that was away must look before it judges how late it is: the step may
    /// have been done meanwhile. For the same reason what was never tried is tried first.
    var isLooking: Bool { get }
    func evidence(of step: Step) -> Evidence
    func effects(of step: Step) -> [Effect]
    /// What the step does, for people.
    func describe(_ step: Step) -> String
    /// What holds a step up, for people.
    func obstacle(of step: Step) -> PlanFinding?
    /// Since when, and for how many seconds, something is waited for that only a person can mend: the step ends with it,
    /// though its own time is longer.
    func term(of step: Step) -> StepTerm?
    /// Takes what is seen of a step that is under way into the status.
    func noteUnderWay(_ step: Step, _ draft: inout StatusDraft)
    /// The phase that the run shows while the step is under way.
    func phase(of step: Step) -> RunPhase
    /// A step that was not done in time fails with what holds it up, if that is known.
    func lateness(of step: Step, _ limit: Int64, _ detail: String) -> PlanFinding
    /// Whether the step's log tells how far it has come.
    func hasProgress(_ step: Step) -> Bool
    /// Takes that into the status.
    /// - Returns: when to look again because of it.
    func noteProgress(_ draft: inout StatusDraft) -> Timestamp?
    /// Takes what a step that is done has shown into the status.
    func note(_ step: Step, _ warning: PlanFinding?, _ draft: inout StatusDraft)
    /// Takes what a step that failed has shown into the status.
    func noteFailure(of step: Step, _ draft: inout StatusDraft)
    /// What a completed run says.
    func outcome(_ draft: StatusDraft) -> String
    /// What is left of a completed run, for people.
    var remains: String { get }
}

/// A time within which something must be done.
struct StepTerm: Equatable {
    var since: Timestamp
    var limit: Int64
    var ends: Timestamp { since.adding(seconds: limit) }
}

extension Way {
    func term(of step: Step) -> StepTerm? { nil }
    func noteUnderWay(_ step: Step, _ draft: inout StatusDraft) {}
    func phase(of step: Step) -> RunPhase { step.phase }
    func hasProgress(_ step: Step) -> Bool { false }
    func noteProgress(_ draft: inout StatusDraft) -> Timestamp? { nil }
    func noteFailure(of step: Step, _ draft: inout StatusDraft) {}

    func lateness(of step: Step, _ limit: Int64, _ detail: String) -> PlanFinding {
        obstacle(of: step) ?? stuckTerminating(step, limit)
            ?? PlanFinding(
                reason: "NoProgress", message: "step \(step.name.rawValue) was not done within \(limit) s: \(detail)")
    }

    /// A pod that does not go although its service is to be stopped. It is never forced: it may still write.
    private func stuckTerminating(_ step: Step, _ limit: Int64) -> PlanFinding? {
        guard step.action == .stopService, let pod = snapshot.pod.value, pod.metadata.isDeleting else { return nil }
        return PlanFinding(
            reason: "PodStuckTerminating",
            message: "pod \(pod.metadata.name) has been terminating for longer than \(limit) s")
    }
}

/// A new service, restored by its image or by an init container of it.
struct NewServiceWay: Way {
    let snapshot: RestoreRunSnapshot
    /// `nil` only where every step that needs it is done.
    let world: Workplace?

    var isLooking: Bool {
        snapshot.claim.isUnknown || snapshot.statefulSet.isUnknown || snapshot.pod.isUnknown
            || snapshot.clientService.isUnknown || snapshot.jobs.values.contains { $0.state == .unknown }
    }

    func evidence(of step: Step) -> Evidence {
        world.map { RestoreRunBehavior.evidence(of: step, snapshot, $0) } ?? .looking
    }

    func effects(of step: Step) -> [Effect] {
        world.map { RestoreRunBehavior.effects(of: step, snapshot, $0) } ?? []
    }

    func obstacle(of step: Step) -> PlanFinding? {
        world.flatMap { RestoreRunBehavior.obstacle(of: step, snapshot, $0) }
    }

    func note(_ step: Step, _ warning: PlanFinding?, _ draft: inout StatusDraft) {
        if let world { RestoreRunBehavior.complete(&draft, step, warning, snapshot, world) }
    }

    func noteFailure(of step: Step, _ draft: inout StatusDraft) {
        guard step.name == .seal, case .done(.seal(let result)) = snapshot.jobs[.seal]?.state else { return }
        Verification(result).note(&draft)
    }

    func phase(of step: Step) -> RunPhase {
        step.name == .restore && RestoreRunBehavior.isReplaying(snapshot) ? .recover : step.phase
    }

    func hasProgress(_ step: Step) -> Bool { step.action == .awaitPromotion }

    func noteProgress(_ draft: inout StatusDraft) -> Timestamp? {
        RestoreRunBehavior.noteProgress(&draft, snapshot)
    }

    func term(of step: Step) -> StepTerm? {
        guard step.action == .awaitPromotion else { return nil }
        return ScaledToZero.since(snapshot).map { StepTerm(since: $0, limit: ScaledToZero.patience) }
    }

    func noteUnderWay(_ step: Step, _ draft: inout StatusDraft) {
        if step.action == .awaitPromotion, let world { ScaledToZero.note(&draft, snapshot, world) }
    }

    func describe(_ step: Step) -> String {
        switch step.name {
        case .claim: "creating the claim"
        case .provision: "creating the StatefulSet in quarantine"
        case .restore: "fetching \(world?.pinned.name ?? "the base backup")"
        case .quiesce: "stopping the restored server"
        case .seal: "sealing the restored data"
        case .open: "opening the service"
        case .serve: "waiting for the service"
        case .backup: "taking a full base backup"
        case .compareSource: "comparing the source's archive with how it was"
        case .stop, .permit, .replace, .revoke, .start, .unlock: step.name.rawValue
        }
    }

    func outcome(_ draft: StatusDraft) -> String {
        let moment = draft.record.sealed?.recoveredTo.map { ", recovered to: \($0)" } ?? ""
        let backup = draft.status.conditions?.condition(RunCondition.freshBackup)
        let isLost = ["TargetDeleted", "TargetReplaced", "ScaledToZero"].contains(backup?.reason ?? "")
        return "service \(snapshot.request?.serviceName ?? "") \(isLost ? "was opened" : "is open"); restored "
            + (draft.record.pinnedBackup?.name ?? "") + moment + (isLost ? "; \(backup?.message ?? "")" : "")
    }

    var remains: String { "nothing of the run is left but its Jobs' logs" }
}
