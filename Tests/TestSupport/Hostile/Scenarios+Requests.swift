// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import Seams

/// Stories of ledgers that are away, of archives with traps, and of people who change their minds.
extension Scenario {
    static let ledgers: [Scenario] = [ledgerAway, ledgerAwayAtTheEnd, lateRefusal] + bestEffort
    static let requests: [Scenario] = [traps, edited, afterTheEnd, nameTaken, copyAskedFor]

    /// The ledger is away when a run is to begin.
    static let ledgerAway = Scenario("ledger-away-at-the-plan", weight: 2, isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.when("orders-a", is: "Planned", after: stage.draw("down", below: 12)) { stage in
            stage.world.ledger.setDown(true)
            stage.at(3_000) { $0.world.ledger.setDown(false) }
        }
        stage.when("orders-a", is: "Claim", after: 50) { $0.cancel("monday") }
    } isWrong: {
        endsEarly($0, "monday", "orders-a", "Cancelled")
    }

    /// The ledger is late, and what the run names never comes: after ten minutes it is told so.
    static let lateRefusal = Scenario("late-and-refused", length: 720_000) { stage in
        stage.world.ledger.setDown(true)
        stage.at(3_000) { $0.world.ledger.setDown(false) }
        stage.run("monday", into: "orders-a") {
            $0.set(["spec", "source", "archive", "repository", "name"], "nowhere")
        }
    } isWrong: {
        expect($0, "orders-a", nil, ["RepositoryNotFound"])
    }

    /// The ledger is away when a run ends; the controller dies, the run is deleted, and the ledger comes back.
    static let ledgerAwayAtTheEnd = Scenario("ledger-away-at-the-end", isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.when("orders-a", is: "Serve") { $0.world.ledger.setDown(true) }
        stage.when("orders-a", is: "Ended") { stage in
            stage.killLeader()
            stage.delete(.runs, "monday")
            stage.at(30_000) { $0.world.ledger.setDown(false) }
        }
    } isWrong: { stage in
        if !stage.runs.isEmpty { return "the run is still there" }
        let rows = stage.world.ledger.runs.map(\.run.columns.status)
        if rows != ["completed"] { return "the ledger says \(rows), and the run was completed" }
        let spools = stage.world.api.all(.configMaps, in: Simulation.controllerNamespace).map(\.key.name)
        return spools.isEmpty ? nil : "\(spools) are left, and the ledger has what is in them"
    }

    /// A source that was left with a recovery target, and one that loses a segment while it is restored.
    static let traps = Scenario("source-with-traps", targets: 2, isSmooth: false) { stage in
        let world = stage.world
        let epoch = world.scheduler.epoch
        for name in ["left-db", "short-db"] {
            var archive = Story.archive(world)
            archive.rows = ["order 1", "order 2", "order 3", "order 4"]
            archive.commits = [
                "order 2": epoch.adding(seconds: -50_000), "order 3": epoch.adding(seconds: -5_000),
                "order 4": epoch.adding(seconds: -100),
            ]
            if name == "left-db" {
                let left = ["recovery_target_time": epoch.adding(seconds: -1_000).rfc3339]
                for index in archive.backups.indices { archive.backups[index].settings = left }
            }
            world.stores.seed(archive, bucket: "prod", path: "postgres/\(name)")
        }
        stage.run("monday", into: "orders-a") { $0.set(["spec", "source", "archive", "path"], "left-db") }
        stage.run("tuesday", into: "orders-b") { $0.set(["spec", "source", "archive", "path"], "short-db") }
        // Not when the controller has seen that: it may be dead for longer than the fetch takes.
        stage.whenMade(.pods, "orders-b-0", after: 500) {
            $0.world.happen(.loseSegment("prod/postgres/short-db/15", 6))
        }
    } isWrong: { stage in
        expect(stage, "orders-a", nil, ["InheritedRecoveryTarget"]) ?? expect(stage, "orders-b", nil, ["WALGap"])
    }

    /// Somebody edits what a run was asked for, which newer API servers refuse.
    static let edited = Scenario("edited-under-way", weight: 3, isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.when("orders-a", is: "Planned", after: stage.draw("edit", below: 200)) { stage in
            stage.noteStep(of: "monday")
            stage.edit(.runs, "monday") { $0.set(["spec", "target", "newService", "storage", "size"], "30Gi") }
        }
    } isWrong: {
        endsEarly($0, "monday", "orders-a", "SpecChanged")
    }

    /// All is done. Then one run is cancelled, which is too late, and the data of a clone is deleted, which stays so.
    static let afterTheEnd = Scenario("after-the-end", targets: 2, isSmooth: false) { stage in
        stage.clone("orders-a")
        stage.run("monday", into: "orders-b")
        stage.when("orders-b", is: "Ended", after: 500) { $0.cancel("monday") }
        stage.when("orders-a", is: "Ended", after: 2_000) { stage in
            stage.delete(.claims, "data-orders-a-0")
            stage.at(300) { $0.delete(.statefulSets, "orders-a") }
        }
    } isWrong: { stage in
        if stage.outcome("orders-a") != ["Completed"] {
            return "orders-a was restored again: \(stage.outcome("orders-a"))"
        }
        return expect(stage, "orders-b", everything, ["Completed"])
    }

    /// All is done. Then somebody deletes the StatefulSet of a clone, and a stranger takes its name.
    static let nameTaken = Scenario("name-taken-at-the-end", isSmooth: false) { stage in
        stage.clone("orders-a")
        stage.when("orders-a", is: "Ended", after: 1_000) { stage in
            let key = ModelKey(.statefulSets, Story.space, "orders-a")
            stage.world.api.acting(as: "somebody") { stage.world.api.remove(key) }
            stage.strangerMakesStatefulSet("orders-a")
        }
    } isWrong: { stage in
        says(stage, "orders-a", "NotOurs") ?? stage.harm
    }

    /// The owner of the data wants to be asked before it is copied: one copy is agreed to, another is not.
    static let copyAskedFor = Scenario("copy-asked-for", targets: 2) { stage in
        stage.world.apply([
            "apiVersion": "reprise.dev/v1alpha1", "kind": "ManagedService",
            "metadata": ["name": "shop", "namespace": .string(Story.space)],
            "spec": [
                "engine": "Postgres", "workload": ["name": "shop"], "major": 15,
                "archive": ["repository": ["name": "prod-readonly"], "path": "orders-db"],
                "protection": ["approval": ["NewService"]],
            ],
        ])
        stage.run("monday", into: "orders-a")
        stage.run("tuesday", into: "orders-b")
        stage.approve("monday")
        stage.approve("tuesday", decision: "Reject")
    } isWrong: { stage in
        expect(stage, "orders-a", everything, ["Completed"]) ?? expect(stage, "orders-b", nil, ["Rejected"])
    }
}
