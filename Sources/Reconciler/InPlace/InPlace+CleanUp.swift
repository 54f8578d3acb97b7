// SPDX-License-Identifier: Apache-2.0

import Resources

// In place, ending early: valid data back first, then the service, then the lock.

extension RestoreRunBehavior {
    /// Fences what may still work on the volume (permit, Job, pods), has the old data put back, starts the service again
    /// and takes the lock off: in this order, each once the one before was seen done.
    static func cleanUpInPlace(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ draft: StatusDraft
    ) -> Decision<Status> {
        guard let ending = snapshot.record.ending, let planned = snapshot.record.inPlace else { return Decision() }
        let way = InPlaceWay(snapshot: snapshot, view: view, planned: planned)
        if way.isLooking || lockState(snapshot, view) == .looking { return Decision() }
        var draft = draft
        let next = Recovery(snapshot: snapshot, view: view, planned: planned, way: way, now: draft.now).next()
        var wake = Wake.onChange
        switch next {
        case .look:
            // What was said stands: a write would be a reason to read again, and each answer one to write.
            guard snapshot.failure != nil else { return Decision() }
        case .wait(let words, let obstacle):
            draft.working("CleaningUp", "\(ending.message); \(words)")
            if let obstacle { draft.waiting(obstacle.reason, "\(ending.message); \(obstacle.message)") }
        case .miss(let finding, let ends):
            draft.waiting(finding.reason, "\(ending.message); \(finding.message)")
            wake = .at(ends)
        case .perform(let words, let effects):
            draft.working("CleaningUp", "\(ending.message); \(words)")
            noteFailure(&draft, snapshot)
            return withRecord(Decision(status: draft.status, effects: effects), snapshot, draft.status)
        case .found(let change):
            change(&draft)
        case .done(let type, let words):
            draft.set(RunCondition.cleanedUp, type == nil ? .yes : .no, type ?? "Restored", words)
            draft.finish(ending.state.known ?? .failed, ending.reason, "\(ending.message); \(words)")
            return withRecord(Decision(status: draft.status), snapshot, draft.status)
        }
        noteFailure(&draft, snapshot)
        return withRecord(Decision(status: draft.status, wake: wake), snapshot, draft.status)
    }
}

/// Puts a service back that a run has begun to work on.
struct Recovery {
    let snapshot: RestoreRunSnapshot
    let view: InPlaceView
    let planned: InPlaceRecord
    let way: InPlaceWay
    let now: Timestamp

    enum Next {
        case wait(String, PlanFinding? = nil)
        /// Something is being read.
        case look
        /// What it needs is not there, and is waited for until then.
        case miss(PlanFinding, Timestamp)
        case perform(String, [Effect])
        /// Something was learnt that must be written down before anything follows from it.
        case found((inout StatusDraft) -> Void)
        /// Nothing is left to do; a reason when that is not as it should be.
        case done(String?, String)
    }

    private var target: ServiceWorkload? {
        if case .found(let workload) = RestoreRunBehavior.target(snapshot, view) { workload } else { nil }
    }

    func next() -> Next {
        if planned.isBegun == true, planned.isSwapped != true, planned.isUndone != true {
            if let fence = fence() { return fence }
            return undo()
        }
        if let left = permit() { return left }
        // An empty volume in the place of the one that is gone would be served as if it were the data.
        if snapshot.state == .running, let lost = RestoreRunBehavior.lostClaim(snapshot, planned) {
            return end("NotPossible", "\(words), and the service is left as it is: \(lost.message)")
        }
        return start() ?? end(nil, words)
    }

    private func permit() -> Next? {
        for role in [JobRole.replace, .undo] {
            // Somebody else's is left, unless one of its name would let a Job start that may have been asked for.
            guard let permit = view.permits[role]?.value,
                planned.isBegun == true || permit.metadata.labels?[Label.runUID] == snapshot.run.metadata.uid
            else { continue }
            return .perform("taking the permit away", [.delete(permit.seen)])
        }
        return nil
    }

    /// Nothing of the run stays behind, whatever could be done for the data.
    private func end(_ type: String?, _ words: String) -> Next {
        if let left = permit() { return left }
        if let workload = view.workload.value, view.lock?.runUID == snapshot.run.metadata.uid {
            return .perform("taking the lock off", [TargetLock.takeOff(workload)])
        }
        return .done(type, words)
    }

    private var words: String {
        if planned.isSwapped == true {
            return snapshot.run.metadata.isDeleting
                ? "the restored data is in place; what it has replaced stays on claim \(planned.claim), directory .reprise/"
                    + "\(snapshot.run.metadata.uid ?? ""), until somebody removes it"
                : "the restored data is in place, and the old data is kept for rollbackOf"
        }
        if planned.isBegun != true { return "the data was not touched" }
        return "the old data is in its place"
    }

    /// Nothing of the replacement may be able to start, or be at work, before the volume is asked.
    private func fence() -> Next? {
        if let permit = view.permits[.replace]?.value {
            return .perform("taking the permit away", [.delete(permit.seen)])
        }
        guard let job = snapshot.jobs[.replace] else { return .look }
        switch job.state {
        case .unknown: return .look
        case .running(_, _):
            guard let made = job.made else {
                // The pod that is still there may be that of the Job that was made after this.
                if snapshot.jobs[.undo]?.made != nil { return nil }
                return .wait("waiting until the pods of its Jobs have ended")
            }
            return .perform("ending the Job that replaces the data", [.delete(made)])
        case .absent, .foreign, .done, .exhausted: return nil
        }
    }

    /// Has the volume say what became of the data, and puts the old back if it is held.
    private func undo() -> Next {
        guard let isLeaving = snapshot.isSpaceLeaving else { return .look }
        if isLeaving {
            return .done("NotPossible", "the old data could not be put back: the namespace is being deleted")
        }
        if let lost = RestoreRunBehavior.lostClaim(snapshot, planned) {
            return end("NotPossible", "the old data could not be put back: \(lost.message)")
        }
        guard let observation = snapshot.jobs[.undo] else { return .look }
        switch observation.state {
        case .unknown: return .look
        case .absent: return begin(observation.ordinal)
        case .foreign, .exhausted: return end("NotUndone", notKnown)
        case .running(let obstacle, _): return .wait("putting the old data back", obstacle)
        case .done(.replace(let result)):
            guard result.code == "OK" else {
                return end(
                    "NotUndone",
                    "the old data could not be put back (\(RestoreRunBehavior.words(result.code, result.reasons))): look at "
                        + "claim \(planned.claim), directory .reprise, before you start the service")
            }
            let isSwapped = result.swapped == true
            let kept = keepSeconds
            return .found { draft in
                let until = draft.now.wholeSecond.adding(seconds: kept)
                draft.record.inPlace?.isSwapped = isSwapped ? true : nil
                draft.record.inPlace?.isUndone = isSwapped ? nil : true
                draft.record.inPlace?.keptUntil = until
                draft.set(
                    RunCondition.rolledBack, isSwapped ? .no : .yes, isSwapped ? "Swapped" : "PutBack",
                    isSwapped ? "the restored data was in place already" : "the old data is in its place")
            }
        case .done: return end("NotUndone", "the Job that puts the old data back left a result of another kind")
        }
    }

    private var notKnown: String {
        "it is not known whether the old data is in its place: look at claim \(planned.claim), directory .reprise, before "
            + "you start the service"
    }

    private var keepSeconds: Int64 {
        RestoreRunBehavior.seconds(snapshot.run.spec?.preRestore?.keepFor) ?? InPlaceRequest.keptByDefault
    }

    private func begin(_ ordinal: Int) -> Next {
        guard let jobs = way.jobs else {
            let begun = snapshot.status.conditions?.condition(RunCondition.cleanedUp)?.lastTransitionTime ?? now
            let ends = begun.adding(seconds: RestoreRunBehavior.prepareDeadline)
            let finding = PlanFinding(
                reason: "WorkplaceMissing",
                message: "the old data can't be put back while ManagedService \(view.request?.service ?? "") or its "
                    + "StatefulSet is not there: put it back as it was, before \(ends.rfc3339)")
            return now < ends ? .miss(finding, ends) : end("NotUndone", notKnown)
        }
        if view.permits[.undo]?.value == nil {
            return .perform("putting the old data back", [.create(.configMap(jobs.permit(.undo)))])
        }
        return .perform("putting the old data back", [.create(.job(jobs.undo(ordinal)))])
    }

    private func start() -> Next? {
        guard let workload = target, let original = snapshot.record.originalReplicas, workload.replicas != original,
            snapshot.state == .running
        else { return nil }
        // Somebody else has decided on it since, unless it is the 0 that this run has set.
        guard workload.replicas == 0, snapshot.record.mayWriteSince != nil else { return nil }
        switch RestoreRunBehavior.lockState(snapshot, view) {
        case .looking, .noTarget: return .look
        case .taken(let other):
            return .wait("\(other.finding(planned.workload).message): the service is started when that run has ended")
        case .free: return .perform("putting the lock on again", [RestoreRunBehavior.lock(snapshot, workload)])
        case .held: break
        }
        return .perform(
            "starting the service again",
            [.scale(workload.seen, generation: workload.metadata.generation ?? 0, to: original)])
    }
}
