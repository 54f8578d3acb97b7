// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// The stories that the adversary disturbs.
extension Scenario {
    package static let all: [Scenario] =
        [
            clone, pair, moment, named, otherBackup, byHand, refused, cancelledEarly, cancelledLate, deleted, crowd,
            again, sameName, afterwards, asItOpens,
        ] + strangers + replaced + watched + leaders + ledgers + requests + clones + late + inPlace + backups + endings
        + leavings

    package static func named(_ name: String) -> Scenario? { all.first { $0.name == name } }

    static let everything = ["order 1", "order 2", "order 3"]

    /// A service serves these rows, and its runs ended like that.
    static func expect(
        _ stage: Stage, _ service: String, _ rows: [String]?, _ outcome: [String]
    ) -> String? {
        if stage.outcome(service) != outcome {
            return "the runs of \(service) ended as \(stage.outcome(service)), and not as \(outcome)"
        }
        if stage.rows(service) != rows {
            return "\(service) has \(stage.rows(service) ?? ["no data"]), and not \(rows ?? ["no data"])"
        }
        return nil
    }

    /// One service is cloned to the archive's end.
    package static let clone = Scenario("clone", mostCalls: 146) {
        $0.clone("orders-a")
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"])
    }

    /// Two controllers, one of which waits.
    static let pair = Scenario("leader-and-standby", controllers: 2) {
        $0.clone("orders-a")
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"])
    }

    static func target(_ stage: Stage, _ seconds: Int64) -> JSONValue {
        ["kind": "Time", "time": .string(stage.world.scheduler.epoch.adding(seconds: seconds).rfc3339)]
    }

    /// To a moment, by the image's own entrypoint.
    static let moment = Scenario("to-a-moment") { stage in
        stage.story.seedFourOrders()
        stage.clone("orders-a") { $0.set(["spec", "recoveryTarget"], target(stage, -1_000)) }
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"])
    }

    /// To a moment before the newest base backup: an init container fetches the older one.
    static let named = Scenario("from-an-older-backup") { stage in
        stage.story.seedFourOrders()
        stage.clone("orders-a") { $0.set(["spec", "recoveryTarget"], target(stage, -60_000)) }
    } isWrong: {
        expect($0, "orders-a", ["order 1"], ["Completed"])
    }

    /// The image fetches another backup than the planned one: the second run names it.
    static let otherBackup = Scenario("another-backup") { stage in
        stage.story.seedFourOrders()
        stage.clone("orders-a") {
            $0.set(["spec", "recoveryTarget"], target(stage, -1_000))
            $0.set(["spec", "service", "image"], .string("\(Story.image)-other-backup"))
            $0.set(["spec", "retry"], ["limit": 1])
        }
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed", "OtherBaseBackup"])
    }

    /// A run that somebody asks for himself.
    static let byHand = Scenario("by-hand") {
        $0.run("monday", into: "orders-a")
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"])
    }

    /// What was asked for can't be had.
    static let refused = Scenario("refused", weight: 6) {
        $0.run("monday", into: "orders-a") { $0.set(["spec", "source", "archive", "path"], "empty-db") }
    } isWrong: {
        expect($0, "orders-a", nil, ["NoBackupsFound"])
    }

    static let cancelledEarly = Scenario("cancelled-early", weight: 4, isSmooth: false) {
        $0.run("monday", into: "orders-a")
        $0.when("orders-a", is: "Planned", after: 40) { $0.cancel("monday") }
    } isWrong: { stage in
        endsEarly(stage, "monday", "orders-a", "Cancelled")
    }

    static let cancelledLate = Scenario("cancelled-late", isSmooth: false) {
        $0.run("monday", into: "orders-a")
        $0.when("orders-a", is: "Restore", after: 300) { $0.cancel("monday") }
    } isWrong: { stage in
        endsEarly(stage, "monday", "orders-a", "Cancelled")
    }

    /// A cancel comes before or after the point of no return: what the run says and what is there must fit together.
    static func isEither(_ stage: Stage, _ service: String, _ outcome: [String]) -> String? {
        let found = stage.outcome(service)
        guard found == outcome || found == ["Completed"] else { return "the run of \(service) ended as \(found)" }
        return nil
    }

    /// A cancel while the opening is on its way: whatever comes first, what the run says and what is there must agree.
    static let asItOpens = Scenario("cancelled-as-it-opens", isSmooth: false) {
        $0.run("monday", into: "orders-a")
        $0.when("orders-a", is: "Seal", after: 6) { $0.cancel("monday") }
    } isWrong: { stage in
        isEither(stage, "orders-a", ["Cancelled"])
    }

    /// What somebody does before the seal is heeded: the run ends with this reason, and in no other way.
    static func endsEarly(_ stage: Stage, _ run: String, _ service: String, _ reason: String) -> String? {
        let early: Set = ["New", "Planning", "Planned", "Claim", "Provision", "Restore"]
        let found = stage.outcome(service)
        let isInTime = stage.steps[run].map { early.contains($0) } ?? false
        if found == [reason] || (!isInTime && found == ["Completed"]) { return nil }
        return "the run of \(service) ended as \(found), and not as \(reason)"
    }

    static let deleted = Scenario("deleted", isSmooth: false) {
        $0.run("monday", into: "orders-a")
        $0.when("orders-a", is: "Provision", after: 500) { $0.delete(.runs, "monday") }
    } isWrong: { stage in
        if !stage.runs.isEmpty { return "the run is still there" }
        let rows = stage.world.ledger.runs.map(\.run.columns.status)
        let isInTime = stage.steps["monday"] == "Provision"
        return rows == ["cancelled"] || (!isInTime && rows == ["completed"]) ? nil : "the ledger says \(rows)"
    }

    /// Three runs on two services at the same time.
    static let crowd = Scenario("crowd", targets: 2, isSmooth: false) {
        $0.clone("orders-a")
        $0.run("monday", into: "orders-b") { $0.set(["spec", "source", "archive", "path"], "empty-db") }
        $0.at(1_500) { stage in stage.run("tuesday", into: "orders-b") }
        $0.when("orders-b", is: "Claim", after: 200) { $0.cancel("tuesday") }
    } isWrong: { stage in
        if let wrong = expect(stage, "orders-a", everything, ["Completed"]) { return wrong }
        let others = stage.outcome("orders-b")
        // Which of them is looked at first depends on what went wrong.
        let isRefused = others.contains("NoBackupsFound") || others.contains("TargetNotEmpty")
        guard others.count == 2, isRefused, others.contains("Cancelled") || others.contains("Completed") else {
            return "the runs of orders-b ended as \(others)"
        }
        return nil
    }

    /// Three runs on two services, none of which comes far: one is cancelled when it is planned, the others can't be had. Who
    /// is late cancels one that restores already, which is more to clean up.
    package static let again = Scenario("again", weight: 1, targets: 2, morePasses: 40, isSmooth: false) {
        $0.run("monday", into: "orders-a")
        $0.run("tuesday", into: "orders-b") { $0.set(["spec", "source", "archive", "path"], "empty-db") }
        $0.when("orders-a", is: "Planned", after: 20) { $0.cancel("monday") }
        $0.at(1_300) { stage in
            stage.run("wednesday", into: "orders-a") { $0.set(["spec", "service", "storage", "size"], "1Gi") }
        }
    } isWrong: { stage in
        let outcome = stage.outcome("orders-a")
        guard outcome.count == 2,
            Set(outcome).isSubset(of: ["Cancelled", "Completed", "TargetNotEmpty", "VolumeTooSmall"])
        else { return "the two runs for orders-a ended as \(outcome)" }
        return stage.outcome("orders-b") == ["NoBackupsFound"] ? nil : "orders-b: \(stage.outcome("orders-b"))"
    }

    /// Two runs want the same name, and a third wants another one.
    static let sameName = Scenario("one-name-for-two", targets: 2) {
        $0.run("monday", into: "orders-a")
        $0.run("tuesday", into: "orders-a")
        $0.run("wednesday", into: "orders-b") { $0.set(["spec", "source", "archive", "path"], "empty-db") }
    } isWrong: { stage in
        let outcome = stage.outcome("orders-a")
        guard outcome.count == 2, outcome.contains("Completed"), outcome != ["Completed", "Completed"] else {
            return "the two runs for one name ended as \(outcome)"
        }
        if stage.rows("orders-a") != everything { return "orders-a has \(stage.rows("orders-a") ?? ["no data"])" }
        return nil
    }

    /// Somebody deletes the StatefulSet of a service that is open; it is made again around its data.
    static let afterwards = Scenario("made-again") {
        $0.clone("orders-a")
        $0.when("orders-a", is: "Ended", after: 500) { $0.unlabel(.services, "orders-a") }
        $0.when("orders-a", is: "Ended", after: 1_000) { $0.delete(.statefulSets, "orders-a") }
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"]) ?? says($0, "orders-a", "Serving")
    }

    /// What a clone says of itself.
    static func says(_ stage: Stage, _ clone: String, _ reason: String) -> String? {
        let found = Story.condition(stage.world.api[ModelKey(.clones, Story.space, clone)], "Ready")?.text("reason")
        return found == reason ? nil : "\(clone) says \(found ?? "nothing"), and not \(reason)"
    }
}
