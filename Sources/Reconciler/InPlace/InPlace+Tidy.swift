// SPDX-License-Identifier: Apache-2.0

import Resources

// In place, afterwards: what was replaced is kept for a while, and then removed by a Job beside the running service.

extension RestoreRunBehavior {
    /// An ended run that still has to remove what it has replaced.
    static func mustTidy(_ snapshot: RestoreRunSnapshot) -> Bool {
        guard let planned = snapshot.record.inPlace else { return false }
        return planned.keptUntil != nil && planned.tidiedAt == nil
    }

    /// Reads nothing before the time is over: a run that has ended costs nothing.
    static func observeTidying(_ snapshot: inout RestoreRunSnapshot, through reader: inout some Reader) {
        guard let planned = snapshot.record.inPlace, planned.isTidying == true else { return }
        let run = snapshot.run
        let space = run.metadata.namespace ?? ""
        let request = InPlaceRequest.read(run).request
        var view = InPlaceView(request)
        let scope = RunScope(namespace: space, runUID: run.metadata.uid ?? "")
        snapshot.jobs[.tidy] = .observe(.tidy, of: scope, through: &reader)
        // A Job that is there already needs nothing else.
        if case .absent = snapshot.jobs[.tidy]?.state {
            if let name = run.spec?.target?.service?.name {
                view.service = confirming(ManagedService.self, space, name, &reader)
            }
            view.workload = watching(ServiceWorkload.self, space, planned.workload, &reader)
            snapshot.claim = watching(PersistentVolumeClaim.self, space, planned.claim, &reader)
            if let lock = view.lock, lock.runUID != run.metadata.uid {
                view.holder = confirming(RestoreRun.self, space, lock.runName, &reader)
            }
        }
        snapshot.inPlace = view
    }

    /// After `preRestore.keepFor`: status first, then the Job, then what became of it.
    static func tidy(_ snapshot: RestoreRunSnapshot, at now: Timestamp) -> Decision<Status> {
        guard let planned = snapshot.record.inPlace, let ends = planned.keptUntil, planned.tidiedAt == nil else {
            return Decision()
        }
        if now < ends { return Decision(wake: .at(ends)) }
        var draft = StatusDraft(snapshot, at: now)
        draft.status.observedGeneration = snapshot.status.observedGeneration
        guard planned.isTidying == true else {
            draft.record.inPlace?.isTidying = true
            return Decision(status: draft.status)
        }
        guard let view = snapshot.inPlace, let job = snapshot.jobs[.tidy] else { return Decision() }
        func over(_ value: ConditionStatus, _ reason: String, _ message: String) -> Decision<Status> {
            draft.record.inPlace?.tidiedAt = now.wholeSecond
            draft.record.inPlace?.isTidying = nil
            draft.set(RunCondition.cleanedUp, value, reason, message)
            return Decision(status: draft.status)
        }
        func left(_ why: String) -> Decision<Status> {
            over(
                .no, "NotRemoved",
                "the data that was replaced is still on claim \(planned.claim), directory .reprise/"
                    + "\(snapshot.run.metadata.uid ?? ""): \(why); remove it by hand when it is not needed")
        }
        switch job.state {
        case .running(let obstacle?, _) where PodObstacle.isWithoutPod(obstacle):
            // Nothing else tells of a run that has ended. It goes on by itself.
            draft.set(
                RunCondition.cleanedUp, .no, obstacle.reason,
                "the data that was replaced is still on claim \(planned.claim): \(obstacle.message)")
            return Decision(status: draft.status)
        case .unknown, .running: return Decision()
        case .foreign: return left("a Job of the name is not this run's")
        case .exhausted(let why): return left(why)
        case .done(.replace(let result)) where result.code == "OK" && (result.kept ?? []).isEmpty:
            return over(.yes, "Removed", "the data that was replaced was removed from claim \(planned.claim)")
        case .done(.replace(let result)):
            return left(result.code == "OK" ? "another run works with it" : words(result.code, result.reasons))
        case .done: return left("its Job left a result of another kind")
        case .absent: break
        }
        if snapshot.claim.isConfirmedAbsent { return over(.yes, "Gone", "claim \(planned.claim) is gone") }
        switch target(snapshot, view) {
        case .looking: return Decision()
        // Whoever made it anew has a volume that is not known to be the same.
        case .lost(let finding): return left(finding.message)
        case .found: break
        }
        if snapshot.claim.isUnknown || view.service.isUnknown { return Decision() }
        if snapshot.claim.value?.metadata.uid != snapshot.record.claimUID { return left("the claim was made anew") }
        if let lock = view.lock {
            // While a run works on the volume it is left alone; the end of that run is heard.
            switch lock.isHeld(against: snapshot.run.metadata.uid ?? "", view.holder) {
            case nil, true?: return Decision()
            case false?: break
            }
        }
        guard let jobs = InPlaceWay(snapshot: snapshot, view: view, planned: planned).jobs else {
            return left("its ManagedService is gone, or was edited")
        }
        return Decision(effects: [.create(.job(jobs.tidy(job.ordinal)))])
    }
}
