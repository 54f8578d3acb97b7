// SPDX-License-Identifier: Apache-2.0

import JSON
import Reconciler
import Resources

// Targets that only PostgreSQL knows, approvals that run out, and services in place that lose what they stand on.

extension Scenario {
    static let endings: [Scenario] = [
        toAPoint, approvalExpires, approvalExpiresLate, interrupted, claimLeaves, neverBack,
    ]

    // MARK: Clones to a point

    /// Three clones of an archive that nobody has declared: to just before a transaction, to the LSN of the same commit, and
    /// to a restore point. The source has a subscription, which none of them may follow.
    static let toAPoint = Scenario("to-a-point", targets: 3) { stage in
        seedLostArchive(stage)
        let location: JSONValue = [
            "location": [
                "uri": "s3://prod/postgres/lost-db/15", "engine": "Postgres", "repository": ["name": "prod-readonly"],
            ]
        ]
        let wanted: [(String, JSONValue)] = [
            ("orders-a", ["kind": "Xid", "xid": "703", "inclusive": false]),
            ("orders-b", ["kind": "Lsn", "lsn": "0/6000100"]),
            ("orders-c", ["kind": "Name", "name": "before-order-4"]),
        ]
        for (name, target) in wanted {
            stage.clone(name) {
                if name == "orders-b" {
                    $0.set(["spec", "source", "archive", "path"], "lost-db")
                } else {
                    $0.set(["spec", "source"], location)
                }
                $0.set(["spec", "recoveryTarget"], target)
            }
        }
    } isWrong: { stage in
        if let wrong = expect(stage, "orders-a", ["order 1", "order 2"], ["Completed"])
            ?? expect(stage, "orders-b", everything, ["Completed"])
            ?? expect(stage, "orders-c", everything, ["Completed"])
        {
            return wrong
        }
        let counts = stage.runs.map { $0.integer("status", "restore", "sealed", "subscriptionsDisabled") }
        return counts == [1, 1, 1] ? nil : "of the source's subscription they say \(counts)"
    }

    /// Of a service that is gone: with a subscription, and a log of which it is known where each order lies.
    private static func seedLostArchive(_ stage: Stage) {
        let epoch = stage.world.scheduler.epoch
        var archive = Story.archive(stage.world)
        archive.rows = ["order 1", "order 2", "order 3", "order 4"]
        archive.commits = [
            "order 2": epoch.adding(seconds: -50_000), "order 3": epoch.adding(seconds: -5_000),
            "order 4": epoch.adding(seconds: -100),
        ]
        archive.marks = [
            .init("0/3000100", row: "order 2", xid: "702"), .init("0/6000100", row: "order 3", xid: "703"),
            .init("0/6000200", name: "before-order-4"), .init("0/6000300", row: "order 4", xid: "704"),
        ]
        archive.subscriptions = 1
        stage.world.stores.seed(archive, bucket: "prod", path: "postgres/lost-db")
    }

    // MARK: Approvals that run out

    /// A run is approved, waits for another one's end, and meanwhile its approval runs out: it asks anew. The other one comes
    /// to nothing, so what was planned is still so.
    static let approvalExpires = Scenario(
        "in-place-approval-expires", targets: 2, length: 240_000, morePasses: 150, isSmooth: false
    ) { stage in
        stage.userService()
        stage.world.apply(Stage.managedService("orders-too"))
        stage.restoreInPlace("monday") { $0.set(["verification"], ["checks": ["impossible"]]) }
        stage.restoreInPlace("tuesday", service: "orders-too") { Stage.toAMoment(&$0, target(stage, -1_000)) }
        stage.once(after: 100) { [unowned stage] _ in
            stage.isAsking("monday") && stage.isAsking("tuesday")
        } do: {
            $0.decide("monday", "monday-by-bob")
            $0.approve("monday", again: true)
        }
        // When monday has begun, or somebody has deleted it before.
        stage.once(after: 300) { [unowned stage] in
            UserService.isLocked(by: $0)
                || stage.world.api[ModelKey(.runs, Story.space, "monday")] == nil && stage.isAsking("tuesday")
        } do: { stage in
            stage.decide("tuesday", "tuesday-by-bob", age: Approval.lifetime - 3 - stage.draw("left", below: 5))
            stage.approve("tuesday", again: true)
        }
        stage.whenExpired("tuesday") { $0.decide("tuesday", "tuesday-by-carol") }
    } isWrong: { stage in
        if !stage.notes.contains("tuesday asks anew"), !isClockBack(stage) {
            return "tuesday began on an approval that had run out"
        }
        return ended(stage, "monday", "VerificationFailed") ?? ended(stage, "tuesday", "Completed")
            ?? serves(stage, ["order 1", "order 2"])
    }

    /// The approval runs out when the run has the lock, and waits for the image with which it looks at the volume once more: it
    /// gives the lock back and ends. One whose approval runs out before asks anew.
    static let approvalExpiresLate = Scenario("in-place-approval-expires-late", isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday") { Stage.toAMoment(&$0, target(stage, -1_000)) }
        stage.once(after: 100) { [unowned stage] _ in
            stage.isAsking("monday")
        } do: { stage in
            stage.decide("monday", "monday-by-bob", age: Approval.lifetime - 4 - stage.draw("left", below: 5))
            stage.approve("monday", again: true)
        }
        stage.whenLocked { stage in
            if !stage.notes.contains("monday asks anew") { stage.notes.insert("locked in time") }
            stage.world.kubelet.unpullable.insert(Story.image)
            stage.at(20_000) { $0.world.kubelet.unpullable.remove(Story.image) }
        }
        stage.whenExpired("monday") { $0.decide("monday", "monday-by-carol") }
    } isWrong: { stage in
        let end = stage.ends(of: "monday")
        if stage.notes.contains("locked in time"), !isClockBack(stage), end != "ApprovalExpired" {
            return "its approval ran out under the lock, and it ended as \(end)"
        }
        return end == "ApprovalExpired"
            ? serves(stage, all4) : ended(stage, "monday", "Completed") ?? serves(stage, ["order 1", "order 2"])
    }

    /// To a leader whose clock is late an approval counts for longer.
    private static func isClockBack(_ stage: Stage) -> Bool {
        stage.world.incarnations.contains { $0.time.wallError < 0 }
    }

    // MARK: What a run stands on goes

    /// Somebody deletes the StatefulSet under a run and makes it again: the old data is served again, and another run that
    /// names this one does what was wanted.
    static let interrupted = Scenario("in-place-interrupted-and-again", length: 240_000, isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday") { Stage.toAMoment(&$0, target(stage, -1_000)) }
        stage.approve("monday")
        stage.when(UserService.name, is: "Permit", after: 500 + stage.draw("again", below: 4_000)) { $0.remakeUser() }
        stage.when(UserService.name, is: "Ended", after: 5_000) { stage in
            if stage.userVolume?.cluster?.rows == all4 { stage.notes.insert("the old data is back") }
            let uid = stage.world.api[ModelKey(.statefulSets, Story.space, UserService.name)]?.text("metadata", "uid")
            stage.restoreInPlace("tuesday") {
                Stage.toAMoment(&$0, target(stage, -1_000))
                $0.set(["retryOf"], ["name": "monday"])
                $0.set(["confirm"], .string("\(UserService.name)/\((uid ?? "").prefix(8))"))
            }
            stage.approve("tuesday")
        }
    } isWrong: { stage in
        let row = stage.world.ledger.runs.first { $0.run.columns.name == "tuesday" }?.run.columns
        if row?.retryOf != "monday" { return "the ledger says that tuesday tries \(row?.retryOf ?? "nothing") again" }
        // Its Job may have come to its end while no controller was there.
        let monday = stage.world.api[ModelKey(.runs, Story.space, "monday")]
        let isSwapped = monday?[path: ["status", "restore", "inPlace", "isSwapped"]] == true
        if stage.notes.contains("the old data is back") == isSwapped {
            return "monday says that it has \(isSwapped ? "" : "not ")replaced the data, and that is not so"
        }
        // In what was replaced already there is nothing after that moment.
        return ended(stage, "monday", "TargetReplaced")
            ?? ended(stage, "tuesday", isSwapped ? "TargetNotReached" : "Completed")
            ?? serves(stage, ["order 1", "order 2"])
    }

    /// Somebody deletes the claim under a run, and something of his holds it: no pod gets it any more. The service stays
    /// stopped, and the data is there for as long as the claim is.
    static let claimLeaves = Scenario("in-place-claim-leaves", isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday")
        stage.approve("monday")
        stage.when(UserService.name, is: "Permit", after: 500 + stage.draw("leaves", below: 4_000)) { stage in
            stage.edit(.claims, UserService.claim) {
                let held = $0.items("metadata", "finalizers") + ["example.com/snapshot"]
                $0.set(["metadata", "finalizers"], .array(held))
            }
            stage.delete(.claims, UserService.claim)
        }
    } isWrong: {
        // Told late of what became of its claim, it has started the service by then, and leaves it like that.
        let run = $0.world.api[ModelKey(.runs, Story.space, "monday")]
        let isStarted = run?.items("status", "restore", "completedSteps").contains("Start") ?? false
        return ended($0, "monday", "TargetDeleted") ?? leaves($0, "NotPossible")
            ?? (isStarted ? nil : serves($0, all4, replicas: 0))
    }

    /// Somebody deletes the StatefulSet under a run, and it does not come back: after ten minutes the run says where the data is.
    static let neverBack = Scenario("in-place-never-back", length: 720_000, morePasses: 60, isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday")
        stage.approve("monday")
        stage.when(UserService.name, is: "Permit", after: 500 + stage.draw("gone", below: 4_000)) {
            $0.delete(.statefulSets, UserService.name)
        }
        // Whoever heeds what the run says looks first, and starts the service then.
        stage.when(UserService.name, is: "Ended", after: 8_000) { $0.remakeUser(replicas: 0) }
    } isWrong: {
        // Told late of it, it has replaced the data by then, and says so.
        let run = $0.world.api[ModelKey(.runs, Story.space, "monday")]
        let isReplaced = run?.items("status", "restore", "completedSteps").contains("Replace") ?? false
        return ended($0, "monday", "TargetDeleted") ?? (isReplaced ? nil : leaves($0, "NotUndone"))
    }

    /// The run says why it could not put the data back, and on which claim it is; and there it is.
    private static func leaves(_ stage: Stage, _ reason: String) -> String? {
        let run = stage.world.api[ModelKey(.runs, Story.space, "monday")]
        let found = Story.condition(run, "CleanedUp")?.text("reason")
        if found != reason { return "of the data monday says \(found ?? "nothing"), and not \(reason)" }
        let said = run?.text("status", "message") ?? ""
        if !said.contains("claim \(UserService.claim)") { return "monday does not say where the data is: \(said)" }
        let volume = stage.userVolume
        let there = [volume?.cluster, volume?.held?.cluster].compactMap { $0?.rows }
        return there == [all4] ? nil : "the volume has \(there)"
    }
}
