// SPDX-License-Identifier: Apache-2.0

import Resources

// What a preview says, and how long it stays.

extension RestorePlanBehavior {
    /// It was made for the spec as it is now, and is final.
    static func isMade(_ plan: RestorePlan) -> Bool {
        guard let status = plan.status, status.observedGeneration == plan.metadata.generation else { return false }
        return status.conditions?.condition(RunCondition.reconciling)?.status == ConditionStatus.no.rawValue
    }

    /// The archive that a plan was made from.
    struct PlannedArchive {
        var repository: String
        /// Below the repository's prefix, without the major version.
        var path: String
    }

    static func made(
        _ planned: MadePlan, _ findings: [PlanFinding], _ archive: PlannedArchive?, _ snapshot: Snapshot,
        _ now: Timestamp
    ) -> Decision<Status> {
        let plan = snapshot.plan
        var status = planned.status
        var findings = findings
        if findings.isEmpty, status.hash == nil {
            findings = [PlanFinding(reason: "InvalidSpec", message: "the request can't be read")]
        }
        status.errors = findings.isEmpty ? nil : Array(findings.prefix(16))
        status.noteUnsupported()
        var made = RestorePlanStatus(status)
        echo(planned.pinned, archive, snapshot, &made)
        var conditions = plan.status?.conditions ?? []
        let generation = plan.metadata.generation
        func set(_ type: String, _ value: ConditionStatus, _ reason: String, _ message: String) {
            conditions.set(type, value, reason, message, generation: generation, at: now)
        }
        if let first = findings.first {
            let message = findings.map(\.message).joined(separator: "; ")
            set("Ready", .no, first.reason, message)
            set(RunCondition.stalled, .yes, first.reason, message)
        } else {
            let warnings = (status.warnings ?? []).map(\.message).joined(separator: "; ")
            let what = "restores \(status.baseBackup ?? "") by \(status.path ?? ""), to \(status.recoveryTarget ?? "")"
            set("Ready", .yes, "Planned", warnings.isEmpty ? what : "\(what); \(warnings)")
            set(RunCondition.stalled, .no, "Planned", "nothing is in the way")
        }
        set(RunCondition.reconciling, .no, "Planned", "made for generation \(generation ?? 0)")
        set(expired, .no, "Fresh", "made at \(now.wholeSecond.rfc3339)")
        made.conditions = conditions
        made.observedGeneration = generation
        return Decision(status: made)
    }

    /// The request as it was understood, also of one that is refused.
    private static func echo(
        _ pinned: PinnedBackup?, _ archive: PlannedArchive?, _ snapshot: Snapshot, _ made: inout RestorePlanStatus
    ) {
        let spec = snapshot.plan.spec
        made.mode = spec?.mode?.text
        let services = [snapshot.run.inPlace?.service.value, snapshot.run.sourceService.value]
        let engine = services.lazy.compactMap { $0?.spec?.engine }.first ?? spec?.source?.location?.engine
        made.engine = engine?.text ?? archive.map { _ in EngineName.postgres.rawValue }
        let isNew = spec?.target?.service == nil
        made.targetService = .init(
            name: spec?.target?.service?.name ?? spec?.target?.newService?.name, isNew: isNew)
        guard let archive else { return }
        made.sourceBackup = .init(
            name: pinned?.name, repository: archive.repository, path: archive.path,
            finishTime: pinned?.finishTime.flatMap { Timestamp(rfc3339: $0) })
    }

    /// Something is not there yet: a repository that Git applies a moment later, or its first scan.
    static func waiting(_ finding: PlanFinding, _ plan: RestorePlan, _ now: Timestamp) -> Decision<Status> {
        var status = RestorePlanStatus()
        var conditions = plan.status?.conditions ?? []
        let generation = plan.metadata.generation
        for (type, value) in [
            ("Ready", ConditionStatus.no), (RunCondition.reconciling, .yes), (RunCondition.stalled, .no),
        ] {
            conditions.set(type, value, finding.reason, finding.message, generation: generation, at: now)
        }
        status.conditions = conditions
        status.observedGeneration = generation
        return Decision(status: status)
    }

    /// With `ttlSecondsAfterFinished` a preview is said to be expired, and goes.
    static func grow(_ plan: RestorePlan, at now: Timestamp) -> Decision<Status> {
        guard let ttl = plan.spec?.ttlSecondsAfterFinished, ttl >= 0, var status = plan.status,
            let fresh = status.conditions?.condition(expired)
        else { return Decision() }
        if fresh.isTrue { return Decision(effects: [.delete(plan.seen)]) }
        let ends = fresh.lastTransitionTime.adding(seconds: min(ttl, 10 * 365 * 86_400))
        guard now >= ends else { return Decision(wake: .at(ends)) }
        status.conditions?.set(
            expired, .yes, "TTLOver", "kept for \(ttl) s, as spec.ttlSecondsAfterFinished says",
            generation: plan.metadata.generation, at: now)
        return Decision(status: status)
    }

    package static func notices(from old: Status?, to new: Status) -> [Notice] {
        guard let ready = new.conditions?.condition("Ready"), new.conditions?.isTrue(RunCondition.reconciling) == false
        else { return [] }
        let before = old?.conditions?.condition("Ready")
        guard before?.status != ready.status || before?.reason != ready.reason else { return [] }
        return [Notice(isWarning: !ready.isTrue, reason: ready.reason, message: ready.message)]
    }
}
