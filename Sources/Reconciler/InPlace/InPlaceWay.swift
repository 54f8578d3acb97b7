// SPDX-License-Identifier: Apache-2.0

import Catalog
import Resources

/// Replacing the data of a service: stopped, until what became of its data is known.
struct InPlaceWay: Way {
    let snapshot: RestoreRunSnapshot
    let view: InPlaceView
    let planned: InPlaceRecord

    private var uid: String { snapshot.run.metadata.uid ?? "" }
    private var scope: RunScope { RunScope(namespace: snapshot.run.metadata.namespace ?? "", runUID: uid) }
    private var originalReplicas: Int { snapshot.record.originalReplicas ?? 1 }

    var isLooking: Bool {
        view.workload.isUnknown || snapshot.pod.isUnknown || snapshot.claim.isUnknown
            || view.permits.values.contains { $0.isUnknown } || snapshot.jobs.values.contains { $0.state == .unknown }
    }

    // MARK: Evidence

    func evidence(of step: Step) -> Evidence {
        switch step.name {
        case .stop: withVolume(stopped)
        case .permit: withVolume { _ in permitted }
        case .replace: withVolume(replaced)
        case .revoke: revoked
        case .start: withVolume(started)
        case .serve: withVolume { _ in serving }
        case .unlock: unlocked
        default: .looking
        }
    }

    private func withTarget(_ judge: (ServiceWorkload) -> Evidence) -> Evidence {
        switch RestoreRunBehavior.target(snapshot, view) {
        case .looking: .looking
        case .lost(let finding): .failed(finding)
        case .found(let workload): judge(workload)
        }
    }

    private func withVolume(_ judge: (ServiceWorkload) -> Evidence) -> Evidence {
        withTarget { workload in
            RestoreRunBehavior.lostClaim(snapshot, planned).map { .failed($0) } ?? judge(workload)
        }
    }

    private func stopped(_ workload: ServiceWorkload) -> Evidence {
        guard workload.replicas == 0 else { return lostPlace ?? .none }
        return goneFirst ?? .done(warning: nil)
    }

    /// ReadWriteOnce is per node: a Job's pod may start beside the server unless the pod's object is really gone.
    private var goneFirst: Evidence? {
        switch snapshot.pod {
        case .unknown, .absent(confirmed: false): .looking
        case .absent(confirmed: true): nil
        case .present(let pod): .underWay("waiting until pod \(pod.metadata.name) is gone")
        }
    }

    private var permitted: Evidence {
        switch view.permits[.replace] ?? .unknown {
        case .unknown, .absent(confirmed: false): .looking
        case .absent(confirmed: true): lostPlace ?? .none
        case .present(let permit):
            permit.metadata.labels?[Label.runUID] == uid
                ? .done(warning: nil)
                : .failed(
                    PlanFinding(
                        reason: "PermitNotOurs",
                        message: "ConfigMap \(permit.metadata.name) exists and is not this run's"))
        }
    }

    private func replaced(_ workload: ServiceWorkload) -> Evidence {
        // Someone scales the service up: back to 0, before anything else. The data is out of reach meanwhile.
        guard workload.replicas == 0 else { return .none }
        if case .absent = snapshot.jobs[.replace]?.state {
            if let wait = goneFirst { return wait }
            if let lostPlace { return lostPlace }
            if place == .looking { return .looking }
            guard permitted == .done(warning: nil) else {
                return permitted == .none ? lostPermit : permitted
            }
        }
        return RestoreRunBehavior.ofJob(.replace, snapshot) { facts in
            guard case .replace(let result) = facts else { return nil }
            return InPlaceProof.judge(result)
        } exhausted: { why in
            .failed(
                PlanFinding(
                    reason: "JobResultUnreadable", message: "what became of the data is not known yet: \(why)"))
        }
    }

    private var lostPermit: Evidence {
        lostSpace
            ?? .failed(
                PlanFinding(
                    reason: "PermitLost",
                    message: "ConfigMap \(scope.permit(.replace)), without which no Job may start, was deleted"))
    }

    private var revoked: Evidence {
        switch view.permits[.replace] ?? .unknown {
        case .unknown, .absent(confirmed: false): .looking
        case .absent(confirmed: true): .done(warning: nil)
        case .present: .none
        }
    }

    /// Beneath another run the service would only be in its way.
    private func started(_ workload: ServiceWorkload) -> Evidence {
        if workload.replicas == originalReplicas { return .done(warning: nil) }
        switch RestoreRunBehavior.lockState(snapshot, view) {
        case .looking: return .looking
        case .taken(let other):
            return .underWay(
                "\(other.finding(planned.workload).message): the service is started when that run has ended")
        case .noTarget, .held, .free: return .none
        }
    }

    private var serving: Evidence {
        guard originalReplicas > 0 else { return .done(warning: nil) }
        guard let pod = snapshot.pod.value, !pod.metadata.isDeleting, pod.isReady else {
            let obstacle = snapshot.pod.value.flatMap(PodObstacle.find)
            return .underWay(obstacle?.message ?? "waiting until pod \(planned.pod) is ready")
        }
        return .done(warning: nil)
    }

    /// It says nothing of whose StatefulSet it is: what is not there, or names another run, is not locked by this one.
    private var unlocked: Evidence {
        switch view.workload {
        case .unknown, .absent(confirmed: false): .looking
        case .absent(confirmed: true): .done(warning: nil)
        case .present: view.lock?.runUID == uid ? .none : .done(warning: nil)
        }
    }

    // MARK: Effects

    func effects(of step: Step) -> [Effect] {
        switch step.action {
        case .stopService: return scale(to: 0)
        case .createPermit(let role): return jobs.map { [.create(.configMap($0.permit(role)))] } ?? []
        case .runJob(.replace):
            if let workload = view.workload.value, workload.replicas != 0 { return scale(to: 0) }
            return replacement.map { [.create(.job($0))] } ?? []
        case .deletePermit(let role): return view.permits[role]?.value.map { [.delete($0.seen)] } ?? []
        case .startService: return scale(to: originalReplicas)
        case .unlockService: return view.workload.value.map { [TargetLock.takeOff($0)] } ?? []
        default: return []
        }
    }

    private func scale(to replicas: Int) -> [Effect] {
        guard let workload = view.workload.value else { return [] }
        return [.scale(workload.seen, generation: workload.metadata.generation ?? 0, to: replicas)]
    }

    /// `nil` while the service can't be read any more: its ManagedService was deleted or edited.
    private var unit: ServiceUnit? {
        guard let service = view.service.value, let workload = view.workload.value,
            case .success(let unit) = ServiceUnit.read(service, workload), unit.claim == planned.claim
        else { return nil }
        return unit
    }

    var jobs: PostgresInPlaceJobs? {
        unit.map {
            PostgresInPlaceJobs(
                scope: scope, unit: $0, image: planned.image, settings: snapshot.settings,
                owner: RestoreRunBehavior.owner(snapshot.run))
        }
    }

    private var replacement: JobManifest? {
        guard let jobs, let request = view.request, case .found(let access, let path) = place,
            let major = jobs.unit.major ?? plannedMajor
        else { return nil }
        let (kind, target) = Workplace.settings(request.recovery.moment)
        let isCross = planned.isCrossService ?? false
        let what = PostgresInPlaceJobs.Replacement(
            access: access, path: path, major: major, pinned: snapshot.record.pinnedBackup, targetKind: kind,
            target: target, isInclusive: request.isInclusive, timeline: snapshot.record.targetTimeline ?? "current",
            isCrossService: isCross, takesTail: !isCross && request.recovery.moment == .latest,
            rollbackUID: planned.rollbackUID, stoppedAt: planned.stoppedAt, checks: snapshot.record.checks ?? [],
            amcheck: request.amcheck)
        let ordinal = snapshot.jobs[.replace]?.ordinal ?? 1
        return jobs.replace(ordinal, what, deadline: RestoreRunBehavior.wholeDeadline(snapshot) - 600)
    }

    private var plannedMajor: Int? { planned.major }

    // MARK: Words

    func describe(_ step: Step) -> String {
        switch step.name {
        case .stop: "stopping StatefulSet \(planned.workload)"
        case .permit: "permitting the Job that replaces the data"
        case .replace:
            isScaledUp
                ? "somebody scaled StatefulSet \(planned.workload) up while its data is being replaced: scaling it back to 0"
                : "replacing the data on claim \(planned.claim)"
        case .revoke: "taking the permit away"
        case .start: "starting the service again"
        case .serve: "waiting for the service"
        case .unlock: "taking the lock off StatefulSet \(planned.workload)"
        default: step.name.rawValue
        }
    }

    private var isScaledUp: Bool { view.workload.value.map { $0.replicas != 0 } ?? false }

    func obstacle(of step: Step) -> PlanFinding? {
        switch step.name {
        case .replace:
            if isScaledUp {
                return PlanFinding(
                    reason: "ReplicasChangedByOther",
                    message: "\(describe(step)). Who did it: kubectl -n \(scope.namespace) get statefulset "
                        + "\(planned.workload) -o yaml --show-managed-fields")
            }
            if case .running(let obstacle, _) = snapshot.jobs[.replace]?.state { return obstacle }
            if snapshot.jobs[.replace]?.state == .absent, replacement == nil, place != .looking {
                return PlanFinding(
                    reason: "WorkplaceMissing",
                    message:
                        "ManagedService \(view.request?.service ?? "") is gone or was edited; put it back as it was planned, "
                        + "or cancel the run")
            }
            return nil
        case .serve:
            if originalReplicas > 0, view.workload.value?.replicas == 0 {
                return ScaledToZero.onceOpen(planned.workload, in: scope.namespace)
            }
            guard let pod = snapshot.pod.value else {
                return view.workload.value.flatMap { PodObstacle.find($0.ref, snapshot.podRefusal) }
            }
            return PodObstacle.find(pod)
        default: return nil
        }
    }

    func hasProgress(_ step: Step) -> Bool { step.name == .replace && planned.rollbackUID == nil }

    func noteFailure(of step: Step, _ draft: inout StatusDraft) { if step.name == .replace { noteChecks(&draft) } }

    func noteProgress(_ draft: inout StatusDraft) -> Timestamp? {
        RestoreRunBehavior.noteProgress(&draft, snapshot)
    }

    func outcome(_ draft: StatusDraft) -> String {
        let moment = draft.record.sealed?.recoveredTo.map { ", recovered to: \($0)" } ?? ""
        let what = draft.record.pinnedBackup.map { "base backup \($0.name)" } ?? "the data of an earlier run"
        let state = originalReplicas == 0 ? "has its data back, and is stopped as it was" : "serves"
        return "service \(view.request?.service ?? planned.workload) \(state): \(what)\(moment)"
    }

    var remains: String {
        planned.keptUntil.map { "the data that was replaced is kept on claim \(planned.claim) until \($0.rfc3339)" }
            ?? "nothing of the run is left but its Jobs' logs"
    }
}
