// SPDX-License-Identifier: Apache-2.0

import Resources

// In place, under way: the approval and the lock, looked at once more before the first write, and what becomes of the lock
// after it.

/// What a run that is under way sees of its lock.
enum LockState: Equatable {
    /// The StatefulSet that could carry it is not known, or gone; what that means is said elsewhere.
    case noTarget
    /// Whether the run that has it is at work is being read.
    case looking
    case held
    /// Somebody has taken it off, or it names a run that must not be at work: one that has ended, or one that has not begun
    /// while this one has.
    case free
    case taken(TargetLock)
}

extension RestoreRunBehavior {
    static func lockState(_ snapshot: RestoreRunSnapshot, _ view: InPlaceView) -> LockState {
        guard case .found = target(snapshot, view) else { return .noTarget }
        // What names no run proves no other holder.
        guard let lock = view.lock, !lock.runName.isEmpty || holdsLock(snapshot) else { return .free }
        if holdsLock(snapshot) { return .held }
        switch lock.isHeld(against: snapshot.run.metadata.uid ?? "", view.holder) {
        case nil: return .looking
        // The ledger lets only one of two begin: the other would wait for this one's row, and this one for its end.
        case true?:
            let hasBegun = view.holder.value?.status?.restore?.mayWriteSince != nil
            return snapshot.record.mayWriteSince != nil && !hasBegun ? .free : .taken(lock)
        case false?: return .free
        }
    }

    /// The pass that would stop the service looks once more at what it needs for that: the run may have waited for the
    /// ledger's row since it was allowed to begin.
    static func beforeStop(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ draft: inout StatusDraft
    ) -> Decision<Status>? {
        let name = snapshot.record.inPlace?.workload ?? ""
        switch target(snapshot, view) {
        case .looking: return Decision()
        // Its first step says what became of the StatefulSet.
        case .lost: return nil
        case .found: break
        }
        switch lockState(snapshot, view) {
        case .looking, .noTarget: return Decision()
        case .free: return lost("somebody has taken the lock off StatefulSet \(name)", snapshot, &draft)
        case .taken(let other): return lost(other.taken(name), snapshot, &draft)
        case .held: return awaitApproval(snapshot, view.approvals, "The data is going to be replaced", &draft)
        }
    }

    /// Another run may have been at work since, and what was seen under the lock does not hold without it.
    private static func lost(
        _ words: String, _ snapshot: RestoreRunSnapshot, _ draft: inout StatusDraft
    ) -> Decision<Status> {
        draft.set(RunCondition.locked, .no, TargetLock.lost, words)
        let message = "\(words) while this run held it; make a new RestoreRun"
        return end(snapshot, draft, Ending(state: .interrupted, reason: TargetLock.lost, message: message))
    }

    /// After the first write. Without its lock a run could meet another one on the volume, where only the journal and the
    /// lock there keep them apart: a lock that is missing is written again, and taken back from a run that has not begun. To
    /// one that has begun as well, which takes a ledger that is away, this one yields. Once the data is swapped there is
    /// nothing to yield but the start of the service, which waits.
    /// - Returns: How the run ends, if it does.
    static func noteLock(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ draft: inout StatusDraft
    ) -> Decision<Status>? {
        guard !snapshot.isDone(.serve) else { return nil }
        let name = snapshot.record.inPlace?.workload ?? ""
        switch lockState(snapshot, view) {
        case .looking, .noTarget: return nil
        case .held:
            if draft.status.conditions?.condition(RunCondition.locked)?.reason == TargetLock.lost {
                draft.set(
                    RunCondition.locked, .yes, "Locked",
                    "StatefulSet \(name) names this run again; somebody had taken the lock off")
            }
        case .free:
            draft.set(
                RunCondition.locked, .no, TargetLock.lost,
                "StatefulSet \(name) does not name this run any more: the lock is put on again")
        case .taken(let other):
            guard snapshot.record.inPlace?.isSwapped == true else { return lost(other.taken(name), snapshot, &draft) }
            draft.set(RunCondition.locked, .no, TargetLock.lost, other.taken(name))
        }
        return nil
    }

    /// Puts a lock on again that somebody has taken off, if the run goes on. First: nothing is done without it, as long as
    /// the step has time.
    static func lockAgain(
        _ decision: Decision<Status>, _ snapshot: RestoreRunSnapshot, _ view: InPlaceView
    ) -> Decision<Status> {
        let status = decision.status ?? snapshot.status
        guard status.state?.known == .running, status.restore?.ending == nil, !snapshot.isDone(.serve),
            lockState(snapshot, view) == .free, let workload = view.workload.value
        else { return decision }
        var decision = decision
        decision.effects.insert(lock(snapshot, workload), at: 0)
        return decision
    }

    static func lock(_ snapshot: RestoreRunSnapshot, _ workload: ServiceWorkload) -> Effect {
        let lock = TargetLock(runUID: snapshot.run.metadata.uid ?? "", runName: snapshot.run.metadata.name)
        return .annotate(workload.seen, lock.annotations)
    }
}

extension TargetLock {
    /// The reason of a run whose lock is gone.
    static let lost = "LockLost"

    fileprivate func taken(_ workload: String) -> String {
        "RestoreRun \(runName) has taken the lock on StatefulSet \(workload)"
    }
}
