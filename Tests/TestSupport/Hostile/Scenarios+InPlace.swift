// SPDX-License-Identifier: Apache-2.0

import JSON
import Reconciler
import Resources

// The data of a user's service is replaced: it is there or comes back, whatever goes wrong.

extension Scenario {
    static let inPlace: [Scenario] = [
        latest, backToAMoment, checkFails, rolledBack, inPlaceRejected, inPlaceCancelled, scaledMeanwhile, twoOnOne,
        inPlaceStopped, inPlaceTwice, inPlaceLost, inPlaceUnlocked, fromAnother,
    ]

    /// The user's service serves these rows, runs, and is locked by nobody.
    static func serves(_ stage: Stage, _ rows: [String], replicas: Int64 = 1) -> String? {
        let served = stage.userVolume?.cluster?.rows.filter { $0 != Invariants.laterRow }
        if served != rows { return "the service has \(served ?? ["no data"]), and not \(rows)" }
        let set = stage.world.api[ModelKey(.statefulSets, Story.space, UserService.name)]
        if set?.integer("spec", "replicas") != replicas { return "the service is not scaled to \(replicas)" }
        if set?.integer("status", "readyReplicas") ?? 0 != replicas { return "the service does not run" }
        return set?.text("metadata", "annotations", TargetLock.annotation).map { "it is locked by \($0)" }
    }

    static func ended(_ stage: Stage, _ run: String, _ reason: String) -> String? {
        let found = stage.ends(of: run)
        // Somebody may have taken it away when it had ended, and applied it again.
        if found == "AlreadyApplied", reason == "Completed" { return nil }
        return found == reason ? nil : "\(run) ended as \(found), and not as \(reason)"
    }

    static let all4 = UserService.archived + [UserService.tail]

    /// To the newest state, with what only the volume has.
    static let latest = Scenario("in-place", weight: 2) {
        $0.userService()
        $0.restoreInPlace("monday")
        $0.approve("monday")
    } isWrong: {
        ended($0, "monday", "Completed") ?? serves($0, all4)
    }

    static let backToAMoment = Scenario("in-place-to-a-moment") { stage in
        stage.userService()
        stage.restoreInPlace("monday") { Stage.toAMoment(&$0, target(stage, -1_000)) }
        stage.approve("monday")
    } isWrong: {
        ended($0, "monday", "Completed") ?? serves($0, ["order 1", "order 2"])
    }

    /// A check that fails after promotion: the old data is served again, with what was in no archive.
    static let checkFails = Scenario("in-place-check-fails") {
        $0.userService()
        $0.restoreInPlace("monday") { $0.set(["verification"], ["checks": ["impossible"]]) }
        $0.approve("monday")
    } isWrong: {
        ended($0, "monday", "VerificationFailed") ?? serves($0, all4)
    }

    private static func rollBack(_ stage: Stage) {
        stage.restoreInPlace("tuesday") {
            $0.set(["source"], nil)
            $0.set(["rollbackOf"], ["name": "monday"])
        }
        stage.approve("tuesday")
    }

    /// What a run has replaced comes back by another one.
    static let rolledBack = Scenario("in-place-and-back", length: 200_000) { stage in
        stage.userService()
        stage.restoreInPlace("monday") { Stage.toAMoment(&$0, target(stage, -1_000)) }
        stage.approve("monday")
        stage.when(UserService.name, is: "Ended", after: 3_000) { stage in
            rollBack(stage)
        }
    } isWrong: {
        ended($0, "tuesday", "Completed") ?? serves($0, all4)
    }

    /// Another service's data, from a place that nobody recorded; and back. Only who says that he means it gets it.
    static let fromAnother = Scenario("in-place-from-another", length: 200_000) { stage in
        stage.userService()
        // Another's data comes with another's password.
        stage.world.apply([
            "apiVersion": "v1", "kind": "Secret",
            "metadata": ["name": .string(UserService.name), "namespace": .string(Story.space)],
            "stringData": ["password": "p"],
        ])
        stage.edit(.managedServices, UserService.name) {
            $0.set(["spec", "credentials"], ["secretName": .string(UserService.name), "passwordKey": "password"])
        }
        stage.restoreInPlace("monday") {
            $0.set(["source"], ["location": foreignPlace])
            $0.set(["confirmCrossService"], true)
        }
        stage.approve("monday")
        stage.when(UserService.name, is: "Ended", after: 3_000) { stage in
            let rows = stage.userVolume?.cluster?.rows.filter { $0 != Invariants.laterRow }
            if rows == everything { stage.notes.insert("another's") }
            stage.restoreInPlace("sunday") { $0.set(["source"], ["location": foreignPlace]) }
            rollBack(stage)
        }
    } isWrong: { stage in
        if let wrong = ended(stage, "sunday", "ConfirmMismatch") ?? ended(stage, "monday", "Completed") { return wrong }
        if !stage.notes.contains("another's") { return "it was not the other one's data" }
        return ended(stage, "tuesday", "Completed") ?? serves(stage, all4)
    }

    private static let foreignPlace: JSONValue = [
        "uri": "s3://prod/postgres/orders-db/15", "engine": "Postgres", "repository": ["name": "prod-readonly"],
    ]

    static let inPlaceRejected = Scenario("in-place-rejected", weight: 1) {
        $0.userService()
        $0.restoreInPlace("monday")
        $0.approve("monday", decision: "Reject")
    } isWrong: {
        ended($0, "monday", "Rejected") ?? serves($0, all4)
    }

    /// A cancel while the data is set aside.
    static let inPlaceCancelled = Scenario("in-place-cancelled", weight: 2, isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday")
        stage.approve("monday")
        stage.when(UserService.name, is: "Permit", after: 2_500) {
            $0.cancel("monday")
        }
    } isWrong: { stage in
        let found = stage.ends(of: "monday")
        guard ["Cancelled", "Completed"].contains(found) else { return "it ended as \(found)" }
        return serves(stage, all4)
    }

    /// A GitOps tool sets the replicas back to 1, in each step once.
    static let scaledMeanwhile = Scenario("in-place-beside-gitops", length: 240_000, isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday")
        stage.approve("monday")
        for step in ["Planned", "Stop", "Permit", "Replace", "Revoke"] {
            stage.when(UserService.name, is: step, after: stage.draw(step, below: 3_000)) { $0.scaleUser(to: 1) }
        }
    } isWrong: { stage in
        let found = stage.ends(of: "monday")
        guard ["Completed", "ReplicasChangedByOther"].contains(found) else { return "it ended as \(found)" }
        return serves(stage, all4)
    }

    /// Somebody takes the lock off, in one step or another, while a second run waits for it.
    static let inPlaceUnlocked = Scenario(
        "in-place-unlocked", targets: 2, length: 240_000, morePasses: 150, isSmooth: false
    ) { stage in
        stage.userService()
        stage.restoreInPlace("monday")
        stage.restoreInPlace("tuesday") { $0.set(["requestID"], "2") }
        for run in ["monday", "tuesday"] { stage.approve(run) }
        let steps = ["Planned", "Stop", "Permit", "Replace", "Revoke", "Start"]
        let step = steps[Int(stage.draw("step", below: Int64(steps.count)))]
        stage.when(UserService.name, is: step, after: stage.draw(step, below: 3_000)) { $0.unlockUser() }
    } isWrong: { stage in
        let ends = ["monday", "tuesday"].map { stage.ends(of: $0) }
        let known: Set = ["Completed", "LockLost", "TargetBusy", "PlanOutdated", "HeldByOther", "AlreadyApplied"]
        guard known.isSuperset(of: ends) else { return "they ended as \(ends)" }
        return serves(stage, all4)
    }

    /// Two runs want the same StatefulSet, by two names for it: one waits, or says who is at work.
    static let twoOnOne = Scenario(
        "in-place-two-for-one", targets: 2, length: 240_000, morePasses: 150, isSmooth: false
    ) { stage in
        stage.userService()
        stage.world.apply(Stage.managedService("orders-too"))
        stage.restoreInPlace("monday")
        stage.restoreInPlace("tuesday", service: "orders-too") { $0.set(["onBusy"], "Fail") }
        stage.restoreInPlace("wednesday", service: "orders-too")
        for run in ["monday", "tuesday", "wednesday"] { stage.approve(run) }
    } isWrong: { stage in
        // Whoever was planned before another one had replaced the data would replace what nobody had in mind.
        let ends = ["monday", "tuesday", "wednesday"].map { stage.ends(of: $0) }
        // One whose scan was before that is refused: what it found is older than what is served by then.
        let known: Set = ["Completed", "TargetBusy", "PlanOutdated", "HeldByOther", "TargetIsNewer"]
        guard ends.contains("Completed"), known.isSuperset(of: ends) else { return "they ended as \(ends)" }
        return serves(stage, all4)
    }

    /// One that was stopped before stays stopped.
    static let inPlaceStopped = Scenario("in-place-stopped") {
        $0.userService(replicas: 0)
        $0.restoreInPlace("monday")
        $0.approve("monday")
    } isWrong: {
        ended($0, "monday", "Completed") ?? serves($0, all4, replicas: 0)
    }

    /// A manifest that stays in Git is applied again when its run was tidied away, and under another name as well.
    static let inPlaceTwice = Scenario("in-place-twice", length: 240_000) { stage in
        stage.userService()
        stage.restoreInPlace("monday") { Stage.toAMoment(&$0, target(stage, -1_000)) }
        stage.approve("monday")
        stage.when(UserService.name, is: "Ended", after: 3_000) { stage in
            stage.delete(.runs, "monday")
            stage.approve("tuesday")
            // Again and again, as such tools do: the first time the deleted run may be there still.
            for moment in [3_000, 30_000, 60_000, 120_000] as [Int64] {
                stage.at(moment) { stage in
                    for name in ["monday", "tuesday"] {
                        stage.restoreInPlace(name) { Stage.toAMoment(&$0, target(stage, -1_000)) }
                    }
                }
            }
        }
    } isWrong: { stage in
        for run in ["monday", "tuesday"] where stage.ends(of: run) != "AlreadyApplied" {
            return "\(run) ended as \(stage.ends(of: run)), and its like was completed"
        }
        let completed = stage.world.ledger.runs.count { $0.run.columns.status == "completed" }
        if completed != 1 { return "\(completed) runs were completed" }
        return serves(stage, ["order 1", "order 2"])
    }

    /// A run that waits for its approval is taken away by force, finalizer and all: its row must not stay open.
    static let inPlaceLost = Scenario("in-place-lost", length: 240_000, isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday")
        stage.when(UserService.name, is: "Planned", after: 1_000 + stage.draw("gone", below: 3_000)) { stage in
            // And again, should somebody apply it once more.
            for moment in [0, 20_000, 50_000] as [Int64] {
                stage.at(moment) { stage in
                    stage.delete(.runs, "monday")
                    stage.edit(.runs, "monday") { $0.set(["metadata", "finalizers"], []) }
                }
            }
            stage.at(3_000) { $0.restoreInPlace("tuesday") { $0.set(["requestID"], "again") } }
            stage.approve("tuesday")
        }
    } isWrong: { stage in
        let lost = stage.world.ledger.runs.first { $0.run.columns.name == "monday" }?.run.columns
        if let lost, !LedgerWords.isTerminal(lost.status) { return "the row of the lost run is \(lost.status)" }
        return ended(stage, "tuesday", "Completed") ?? serves(stage, all4)
    }
}
