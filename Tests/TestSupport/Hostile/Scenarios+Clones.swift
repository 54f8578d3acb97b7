// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// Stories of clones that try again, that are asked again, and that ask for what can't be had; and of what never comes.
extension Scenario {
    static let clones: [Scenario] = [
        triesAgain, askedAgain, notAvailable, noRepository, withoutRepository, withItsData, keptByAnother, copied,
    ]
    static let late: [Scenario] = [noNode, noImage]

    /// Whatever a clone's run makes, somebody deletes it: it tries again, and then no more.
    static let triesAgain = Scenario("deleted-again-and-again", isSmooth: false) { stage in
        stage.clone("orders-a") { $0.set(["spec", "retry"], ["limit": 1]) }
        stage.world.api.observers.append { [unowned stage] change in
            guard change.key.kind == .statefulSets, change.before == nil else { return }
            stage.at(500) { stage in
                for run in stage.runs where run.text("status", "state") == "Running" {
                    guard run.text("status", "restore", "targetUID") == nil else { continue }
                    stage.notes.insert(run.text("metadata", "name") ?? "")
                }
                stage.delete(.statefulSets, "orders-a")
            }
        }
    } isWrong: { stage in
        // Whose controller died before it had written down that it made one makes it again, on a volume with half a fetch.
        for run in stage.runs {
            let name = run.text("metadata", "name") ?? ""
            let end = Story.condition(run, "Finished")?.text("reason") ?? "-"
            if end == "TargetDeleted" || end == "StagingLeftOver" && stage.notes.contains(name) { continue }
            return "\(name) ended as \(end), and not as TargetDeleted"
        }
        if stage.runs.count != 2 { return "there are \(stage.runs.count) runs" }
        let last = stage.world.api[ModelKey(.clones, Story.space, "orders-a")]?.text("status", "run", "name") ?? ""
        return expect(stage, "orders-a", nil, stage.outcome("orders-a"))
            ?? says(stage, "orders-a", stage.ends(of: last))
    }

    /// Somebody asks for a clone again while its run is under way, and thinks better of it; and asks again, with another
    /// archive, when its data is gone.
    static let askedAgain = Scenario("asked-again", isSmooth: false) { stage in
        stage.clone("orders-a")
        func ask(_ stage: Stage, _ id: JSONValue?) {
            stage.edit(.clones, "orders-a") {
                $0.set(["spec", "requestID"], id)
                $0.set(["spec", "service", "archive", "path"], "orders-a-again")
            }
        }
        stage.when("orders-a", is: "Provision", after: 500) { ask($0, "again") }
        stage.when("orders-a", is: "Ended", after: 500) { ask($0, nil) }
        stage.when("orders-a", is: "Ended", after: 1_500) { stage in
            stage.delete(.claims, "data-orders-a-0")
            stage.at(300) { $0.delete(.statefulSets, "orders-a") }
            stage.at(4_000) { ask($0, "again") }
            // Until its run is there nothing seems to be lacking.
            stage.at(5_000) { _ in }
        }
    } isWrong: { stage in
        expect(stage, "orders-a", everything, ["Completed", "Completed"]) ?? says(stage, "orders-a", "Serving")
    }

    /// A clone asks for what this version has not. A run names its source by its address and is cancelled; two more are
    /// refused before anything is looked at.
    static let notAvailable = Scenario("not-available", weight: 6, targets: 2, isSmooth: false) { stage in
        stage.clone("orders-b") { $0.set(["spec", "managed"], true) }
        stage.run("monday", into: "orders-a") {
            $0.set(
                ["spec", "source"],
                [
                    "location": [
                        "uri": "s3://prod/postgres/orders-db/15", "engine": "Postgres",
                        "repository": ["name": "prod-readonly"],
                    ]
                ])
        }
        stage.run("tuesday", into: "orders-b") {
            $0.set(["spec", "recoveryTarget"], ["kind": "Time", "time": "noon"])
        }
        stage.at(900) { stage in
            stage.run("wednesday", into: "orders-a") {
                $0.set(["spec", "service", "image"], "docker.io/other/image:15")
            }
        }
        stage.when("orders-a", is: "Planned", after: 20) { $0.cancel("monday") }
    } isWrong: { stage in
        if let wrong = expect(stage, "orders-b", nil, ["InvalidRecoveryTarget"])
            ?? says(stage, "orders-b", "UnsupportedMode")
        {
            return wrong
        }
        if stage.ends(of: "wednesday") != "ImageNotAllowed" {
            return "wednesday ended as \(stage.ends(of: "wednesday"))"
        }
        let early = ["New", "Planning", "Planned", "Claim", "Provision", "Restore"]
        let end = stage.ends(of: "monday")
        let isInTime = stage.steps["monday"].map(early.contains) ?? false
        return end == "Cancelled" || (!isInTime && end == "Completed") ? nil : "monday ended as \(end)"
    }

    /// Who has just installed it asks for a restore before there is any repository, thinks better of it, and asks for two
    /// that can't be had.
    static let noRepository = Scenario("no-repository", weight: 60, targets: 2, isSmooth: false) { stage in
        for (key, _) in stage.world.api.all(.repositories) { stage.world.api.remove(key) }
        cancelSoon(stage, "monday")
        stage.run("monday", into: "orders-a")
        stage.run("tuesday", into: "orders-b") {
            $0.set(["spec", "recoveryTarget"], ["kind": "Time", "time": "noon"])
        }
        stage.at(300) { stage in
            stage.run("wednesday", into: "orders-a") {
                $0.set(["spec", "recoveryTarget"], ["kind": "Lsn", "lsn": "the end"])
            }
        }
    } isWrong: { stage in
        expect(stage, "orders-a", nil, ["Cancelled", "InvalidRecoveryTarget"])
            ?? expect(stage, "orders-b", nil, ["InvalidRecoveryTarget"])
    }

    /// A run is cancelled a moment after it was made, and again whenever somebody makes it again.
    private static func cancelSoon(_ stage: Stage, _ run: String) {
        stage.whenMade(.runs, run, after: 200 + stage.draw("cancel", below: 300)) { stage in
            stage.cancel(run)
            cancelSoon(stage, run)
        }
    }

    /// The StatefulSet of a clone is deleted, and so is the repository of its archive: nothing is made again without it.
    static let withoutRepository = Scenario("made-again-without-repository", isSmooth: false) { stage in
        stage.clone("orders-a")
        // Only when it is there: a run that has lost its repository waits for it as long as a restore may take.
        stage.once(after: 1_000) {
            $0.key.kind == .runs && $0.object.text("status", "state") == "Completed"
        } do: { stage in
            stage.delete(.repositories, "staging-backups")
            stage.at(500) { $0.delete(.statefulSets, "orders-a") }
        }
    } isWrong: { stage in
        expect(stage, "orders-a", everything, ["Completed"]) ?? says(stage, "orders-a", "RepositoryNotFound")
    }

    /// A clone that takes its service along is deleted.
    static let withItsData = Scenario("deleted-with-its-data", isSmooth: false) { stage in
        stage.clone("orders-a") { $0.set(["spec", "deletionPolicy"], "Delete") }
        stage.when("orders-a", is: "Ended", after: 1_000) { $0.delete(.clones, "orders-a") }
    } isWrong: { stage in
        for kind in [ModelKind.clones, .runs, .statefulSets, .claims, .services] {
            if let (key, _) = stage.world.api.all(kind, in: Story.space).first {
                return "\(key) is left of a deleted clone"
            }
        }
        let rows = stage.world.ledger.runs.map(\.run.columns.status)
        return rows == ["completed"] ? nil : "the ledger says \(rows)"
    }

    /// A clone is deleted that leaves its service there, while somebody else's finalizer still holds it.
    static let keptByAnother = Scenario("deleted-without-its-data", isSmooth: false) { stage in
        stage.clone("orders-a")
        stage.when("orders-a", is: "Ended", after: 300) { stage in
            stage.edit(.clones, "orders-a") { $0.set(["metadata", "finalizers"], ["example.com/theirs"]) }
            stage.at(300) { $0.delete(.clones, "orders-a") }
            stage.at(2_500) { $0.edit(.clones, "orders-a") { $0.set(["metadata", "finalizers"], nil) } }
        }
    } isWrong: { stage in
        stage.rows("orders-a") == everything ? nil : "orders-a has \(stage.rows("orders-a") ?? ["no data"])"
    }

    /// A clone is made like a user's service, which is another one as soon as it was planned.
    static let copied = Scenario("made-like-another", isSmooth: false) { stage in
        stage.userService()
        stage.clone("orders-a") {
            for field in ["image", "major", "storage"] { $0.set(["spec", "service", field], nil) }
            $0.set(["spec", "service", "templateRef"], ["name": .string(UserService.name)])
        }
        stage.when("orders-a", is: "Claim") {
            $0.edit(.managedServices, UserService.name) { $0.set(["spec", "imageProfile"], "another") }
        }
    } isWrong: { stage in
        let claim = stage.world.api[ModelKey(.claims, Story.space, "data-orders-a-0")]
        if claim?.text("spec", "resources", "requests", "storage") != "20Gi" { return "its size was not copied" }
        return expect(stage, "orders-a", everything, ["Completed"]) ?? serves(stage, all4)
    }

    // MARK: What never comes

    /// There is no node for any pod: the plan is given up.
    static let noNode = Scenario("no-node", length: 660_000) { stage in
        stage.world.kubelet.nodes = []
        stage.run("monday", into: "orders-a")
    } isWrong: {
        expect($0, "orders-a", nil, ["Unschedulable"])
    }

    /// The service's image can't be had: the restore is given up in time, which nothing but its deadline says. That the run
    /// was written down was not heard, and looked for: what has failed once and is not wanted any more delays nothing.
    static let noImage = Scenario("no-image") { stage in
        stage.world.ledger.loseNextAnswer()
        stage.world.kubelet.unpullable.insert(Story.image)
        stage.run("monday", into: "orders-a") { $0.set(["spec", "deadlines"], ["restore": "8s"]) }
    } isWrong: {
        expect($0, "orders-a", nil, ["ImagePullFailed"])
    }
}
