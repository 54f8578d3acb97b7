// SPDX-License-Identifier: Apache-2.0

import Resources

// Somebody scales to 0 what the run needs at 1.

/// A StatefulSet that somebody else has scaled to 0.
///
/// Until it is opened it is the run's own: it is scaled back, once. Whoever does it again means it, or is a machine that
/// nobody wins against: then it is said and waited for. `Provisioned` remembers how often it was, and since when.
enum ScaledToZero {
    /// How long it is waited for that somebody scales it back, in seconds.
    static let patience: Int64 = 900

    static let reason = "ScaledToZero"
    private static let again = "ScaledToZeroAgain"
    private static let back = "ScaledBack"

    static func isSeen(_ snapshot: RestoreRunSnapshot) -> Bool { snapshot.statefulSet.value?.spec?.replicas == 0 }

    /// It was scaled back before.
    static func isAgain(_ snapshot: RestoreRunSnapshot) -> Bool {
        [again, back].contains(snapshot.status.conditions?.condition(RunCondition.provisioned)?.reason)
    }

    /// Since when it is at 0, as far as the run has said so.
    static func since(_ snapshot: RestoreRunSnapshot) -> Timestamp? {
        guard isSeen(snapshot), let said = snapshot.status.conditions?.condition(RunCondition.provisioned),
            [reason, again].contains(said.reason)
        else { return nil }
        return said.lastTransitionTime
    }

    /// What is said of it while the restored server is waited for.
    static func whileRestoring(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> PlanFinding {
        let name = world.request.names.statefulSet
        guard isAgain(snapshot) else {
            return PlanFinding(
                reason: reason,
                message:
                    "somebody scaled StatefulSet \(name) to 0, and the run needs its pod: scaling it back to 1, once; "
                    + "to stop the run, set spec.cancel")
        }
        return PlanFinding(
            reason: reason,
            message: "somebody scaled StatefulSet \(name) to 0 again: it is waited for for \(patience) s, then the run "
                + "ends. \(wayOut(name, in: world.request.namespace)); to stop the run, set spec.cancel")
    }

    /// What is said of it once the service is open, and people's own.
    static func onceOpen(_ name: String, in namespace: String) -> PlanFinding {
        PlanFinding(
            reason: reason,
            message: "somebody scaled StatefulSet \(name) to 0 before it was seen to serve: it is waited for until the "
                + "step's time is over. \(wayOut(name, in: namespace))")
    }

    private static func wayOut(_ name: String, in namespace: String) -> String {
        "Scale it back: kubectl -n \(namespace) scale statefulset \(name) --replicas=1; who did it: "
            + "kubectl -n \(namespace) get statefulset \(name) -o yaml --show-managed-fields"
    }

    /// Remembers in `Provisioned` what is seen of it.
    static func note(_ draft: inout StatusDraft, _ snapshot: RestoreRunSnapshot, _ world: Workplace) {
        guard snapshot.statefulSet.value != nil else { return }
        let name = world.request.names.statefulSet
        if isSeen(snapshot) {
            draft.set(
                RunCondition.provisioned, .no, isAgain(snapshot) ? again : reason,
                "somebody scaled StatefulSet \(name) to 0")
        } else if draft.status.conditions?.condition(RunCondition.provisioned)?.status == "False" {
            draft.set(
                RunCondition.provisioned, .yes, back,
                "StatefulSet \(name) exists; somebody had scaled it to 0, and it is back")
        }
    }
}
