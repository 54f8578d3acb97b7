// SPDX-License-Identifier: Apache-2.0

package import ControlLoop
import Reconciler
import Resources

extension BehaviorSet {
    /// Every kind that Reprise reconciles, and what they look at: the same for the controller and for its simulation.
    /// - Parameter namespace: the controller's own, where the spool is.
    package static func reprise(in namespace: String) -> BehaviorSet {
        BehaviorSet(
            [
                BoundBehavior(RestoreRunBehavior.self), BoundBehavior(ServiceCloneBehavior.self),
                BoundBehavior(SpoolBehavior.self), BoundBehavior(BackupRepositoryBehavior.self),
                BoundBehavior(ManagedServiceBehavior.self), BoundBehavior(RestorePlanBehavior.self),
                BoundBehavior(ServiceBackupBehavior.self),
            ],
            watching: [
                WatchedKind(RestoreApproval.self),
                .children(StatefulSet.self),
                .children(PersistentVolumeClaim.self), .children(Pod.self), .children(Job.self),
                .children(Service.self), .children(ConfigMap.self, in: namespace),
            ],
            recorded: RecordedKind(RestoreRun.self) { run in
                Ref(ConfigMap.resourceKind, namespace, spoolName(runUID: run.runUID))
            })
    }
}
