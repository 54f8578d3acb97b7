// SPDX-License-Identifier: Apache-2.0

import Resources

/// Holds a deleted clone with `deletionPolicy: Delete` until its service is gone.
package let cloneFinalizer = "reprise.dev/clone"

// What becomes of the service when the clone is deleted. `Retain`, the default, leaves it; the run that may be under way
// is the clone's child and cancels itself cleanly when it is collected.

extension ServiceCloneBehavior {
    /// The finalizer as the spec wants it, in a pass of its own; `nil` when it is so already.
    static func finalizerChange(_ clone: ServiceClone) -> Decision<Status>? {
        let finalizers = clone.metadata.finalizers ?? []
        let wanted = clone.spec?.deletionPolicy == "Delete"
        guard !clone.metadata.isDeleting, finalizers.contains(cloneFinalizer) != wanted else { return nil }
        let others = finalizers.filter { $0 != cloneFinalizer }
        return Decision(effects: [.setFinalizers(clone.seen, wanted ? others + [cloneFinalizer] : others)])
    }

    /// Takes the service away: first the run that may still be making it, then what carries the UID of the run that
    /// completed, the claim last. Nothing else is touched, whatever it is called.
    static func remove(_ snapshot: ServiceCloneSnapshot) -> Decision<Status> {
        let clone = snapshot.clone
        let finalizers = clone.metadata.finalizers ?? []
        guard finalizers.contains(cloneFinalizer) else { return Decision() }
        if let run = snapshot.run.value, run.status?.state?.known?.isTerminal != true {
            return run.metadata.isDeleting ? Decision() : Decision(effects: [.delete(run.seen)])
        }
        guard snapshot.isCertain else { return Decision() }
        // The run's Jobs too: a pod keeps its claim from going away even when it has ended.
        let first =
            snapshot.mine(snapshot.statefulSet) + snapshot.mine(snapshot.clientService)
            + snapshot.mine(snapshot.headlessService) + (snapshot.jobs.value ?? []).map(\.seen)
        let pods = snapshot.mine(snapshot.pod)
        let claim = snapshot.mine(snapshot.claim)
        if !first.isEmpty { return Decision(effects: first.map { .delete($0) }) }
        if !pods.isEmpty { return Decision() }
        if !claim.isEmpty { return Decision(effects: claim.map { .delete($0) }) }
        return Decision(effects: [.setFinalizers(clone.seen, finalizers.filter { $0 != cloneFinalizer })])
    }
}

extension ServiceCloneSnapshot {
    /// What carries the UID of the completed run and is not on its way out already.
    func mine<R: Resource>(_ observed: Observed<R>) -> [Seen] {
        guard let object = observed.value, let uid = serviceUID,
            object.metadata.labels?[Label.runUID] == uid
        else { return [] }
        return [object.seen]
    }

    var isCertain: Bool {
        // Status first: a run that no status names was never made.
        guard clone.status?.run != nil else { return true }
        guard !run.isUnknown else { return false }
        guard serviceUID != nil else { return true }
        return !jobs.isUnknown && !statefulSet.isUnknown && !claim.isUnknown && !pod.isUnknown
            && !clientService.isUnknown
            && !headlessService.isUnknown
    }
}
