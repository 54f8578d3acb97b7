// SPDX-License-Identifier: Apache-2.0

import JSON
import Reconciler
import Resources

// Runs in place that somebody takes back, and what is kept for a while.

extension Scenario {
    static let leavings: [Scenario] = [inPlaceDeleted, inPlaceCancelledEarly, inPlaceTidied, spaceDeleted, spaceLeaves]

    private static let beforeTheStop: Set = ["New", "Planning", "Planned"]

    /// A run is deleted while it replaces the data: the old data is served again, and the ledger says what became of it.
    static let inPlaceDeleted = Scenario("in-place-deleted", isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday") { Stage.toAMoment(&$0, target(stage, -1_000)) }
        stage.approve("monday")
        stage.when(UserService.name, is: "Permit", after: stage.draw("deleted", below: 5_000)) {
            $0.delete(.runs, "monday")
        }
        stage.once(after: 0) {
            $0.key.kind == .runs && $0.object[path: ["status", "restore", "inPlace", "isSwapped"]] == true
        } do: {
            $0.notes.insert("swapped")
        }
    } isWrong: { stage in
        if !stage.runs.isEmpty { return "the run is still there" }
        let rows = stage.world.ledger.runs.map(\.run.columns.status)
        if !["cancelled", "completed"].contains(rows.joined()) { return "the ledger says \(rows)" }
        // Its Job may have come to its end before anybody looked: then there is no way back but a run of its own.
        return serves(stage, stage.notes.contains("swapped") ? ["order 1", "order 2"] : all4)
    }

    /// A run is cancelled as it has the lock, and before it stops the service: that one has never been away.
    static let inPlaceCancelledEarly = Scenario("in-place-cancelled-early", isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday")
        stage.approve("monday")
        stage.whenLocked(after: stage.draw("cancel", below: 800)) { stage in
            stage.cancel("monday")
            let replicas = stage.world.api[ModelKey(.statefulSets, Story.space, UserService.name)]?
                .integer("spec", "replicas")
            if beforeTheStop.contains(stage.steps["monday"] ?? ""), replicas == 1 {
                stage.notes = ["in time", podOfUser(stage)]
            }
        }
    } isWrong: { stage in
        let end = stage.ends(of: "monday")
        if stage.notes.contains("in time") {
            if end != "Cancelled" { return "it ended as \(end)" }
            if !stage.notes.contains(podOfUser(stage)) { return "the service was stopped, and need not have been" }
        }
        if !["Cancelled", "Completed"].contains(end) { return "it ended as \(end)" }
        return serves(stage, all4)
    }

    private static func podOfUser(_ stage: Stage) -> String {
        let pod = stage.world.api[ModelKey(.pods, Story.space, "\(UserService.name)-0")]
        return "pod \(pod?.text("metadata", "uid") ?? "none")"
    }

    /// The namespace is deleted while a run replaces the data in it: nobody has cancelled it, and it could not put anything
    /// back.
    static let spaceDeleted = Scenario("in-place-namespace-deleted", length: 720_000, isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday")
        stage.approve("monday")
        stage.when(UserService.name, is: "Permit", after: stage.draw("deleted", below: 5_000)) { stage in
            // His data goes with it, and that is what he has asked for: from here on it need not be there.
            stage.user = nil
            _ = stage.world.happen(.deleteNamespace(Story.space))
        }
    } isWrong: {
        wentWithItsSpace($0)
    }

    /// Nobody has cancelled it.
    private static func wentWithItsSpace(_ stage: Stage) -> String? {
        if !stage.runs.isEmpty { return "the run is still there" }
        let rows = stage.world.ledger.runs.map(\.run.columns.status)
        return ["interrupted", "completed"].contains(rows.joined()) ? nil : "the ledger says \(rows)"
    }

    /// The namespace is deleted while data is restored into it.
    static let spaceLeaves = Scenario("namespace-deleted", length: 720_000, isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.when("orders-a", is: "Provision", after: stage.draw("deleted", below: 2_000)) { stage in
            _ = stage.world.happen(.deleteNamespace(Story.space))
        }
    } isWrong: {
        wentWithItsSpace($0)
    }

    /// What a run has replaced is kept for a minute; then it is gone, and the run says so. When it is to go there is no room for
    /// a pod at first.
    static let inPlaceTidied = Scenario("in-place-tidied", length: 240_000, isSmooth: false) { stage in
        stage.userService()
        stage.restoreInPlace("monday") {
            Stage.toAMoment(&$0, target(stage, -1_000))
            $0.set(["preRestore"], ["keepFor": "1m"])
        }
        stage.approve("monday")
        stage.when(UserService.name, is: "Ended", after: 50_000) { stage in
            _ = stage.world.happen(.podsRefused(Story.space, seconds: 30))
        }
        // Until then nothing seems to be lacking.
        stage.when(UserService.name, is: "Ended", after: 100_000) { _ in }
    } isWrong: { stage in
        let run = stage.world.api[ModelKey(.runs, Story.space, "monday")]
        if stage.userVolume?.kept.isEmpty != true { return "what was replaced is still there" }
        let record = run?[path: ["status", "restore", "inPlace"]]
        guard let until = record?.text("keptUntil"), let gone = record?.text("tidiedAt") else {
            return "the run does not say until when it was kept, and when it was taken away"
        }
        if gone < until { return "what was to be kept until \(until) was taken away at \(gone)" }
        return ended(stage, "monday", "Completed") ?? serves(stage, ["order 1", "order 2"])
    }
}
