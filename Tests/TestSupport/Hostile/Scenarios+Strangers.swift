// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// Stories of names that somebody else takes, and of objects that are not what they were.
extension Scenario {
    static let strangers: [Scenario] = [strangersFirst, unlabelledPod, unlabelledClaim]
    static let replaced: [Scenario] = [madeAgainUnderWay, madeAgainAtTheEnd]

    /// Between the plan and the making somebody takes the claim, the StatefulSet or the Service of the pods.
    static let strangersFirst = Scenario("strangers-first", targets: 3, isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.run("tuesday", into: "orders-b")
        stage.run("wednesday", into: "orders-c")
        stage.when("orders-a", is: "Planned", after: stage.draw("claim", below: 40)) {
            $0.strangerMakesClaim("data-orders-a-0")
        }
        // In the very moment in which it is to be made.
        stage.whenAsked("POST", .statefulSets, "orders-b") { $0.strangerMakesStatefulSet("orders-b") }
        stage.when("orders-c", is: "Planned", after: stage.draw("service", below: 60)) {
            $0.strangerMakesService("orders-c-pods")
        }
    } isWrong: { stage in
        for name in ["orders-a", "orders-b", "orders-c"] {
            // He may have come too late.
            let isTheirs = stage.theirs.keys.contains { $0.name.contains(name) }
            if let wrong = expect(stage, name, isTheirs ? nil : everything, [isTheirs ? "TargetNotEmpty" : "Completed"])
            {
                return wrong
            }
        }
        return stage.harm
    }

    /// Somebody takes a pod out of what is watched while its server is stopped, which takes a while.
    static let unlabelledPod = Scenario("pod-without-its-label", isSmooth: false) { stage in
        stage.world.kubelet.terminationDelay = 3_000
        stage.run("monday", into: "orders-a")
        stage.whenLeaving("orders-a-0", after: stage.draw("label", below: 60)) { stage in
            stage.unlabel(.pods, "orders-a-0")
            stage.nudge("monday", every: 5_000)
        }
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"])
    }

    /// Somebody takes a claim out of what is watched, as soon as it is made, and cancels its run.
    static let unlabelledClaim = Scenario("claim-without-its-label", weight: 2, isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.whenMade(.claims, "data-orders-a-0") { stage in
            stage.unlabel(.claims, "data-orders-a-0")
            stage.cancel("monday")
            stage.nudge("monday", every: 5_000)
        }
    } isWrong: {
        endsEarly($0, "monday", "orders-a", "Cancelled")
    }

    /// Somebody makes again what three runs work with: a StatefulSet that restores, one that is about to be opened, and a
    /// claim that was just made.
    static let madeAgainUnderWay = Scenario("made-again-under-way", targets: 3, isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.run("tuesday", into: "orders-b")
        stage.run("wednesday", into: "orders-c")
        stage.when("orders-a", is: "Provision", after: 500 + stage.draw("restores", below: 5_000)) {
            $0.strangerRemakes(.statefulSets, "orders-a", of: "monday")
        }
        stage.when("orders-b", is: "Seal") { $0.strangerRemakes(.statefulSets, "orders-b", of: "tuesday") }
        stage.when("orders-c", is: "Claim", after: stage.draw("claim", below: 30)) {
            $0.strangerRemakes(.claims, "data-orders-c-0", of: "wednesday")
        }
    } isWrong: { stage in
        endsEarly(stage, "monday", "orders-a", "TargetReplaced")
            ?? endsEarly(stage, "wednesday", "orders-c", "TargetReplaced")
            ?? isEither(stage, "orders-b", ["TargetReplaced"])
            ?? saysWhatIsLeft(stage, "monday") ?? stage.harm
    }

    /// A run says that it has left things to whoever made its StatefulSet again.
    private static func saysWhatIsLeft(_ stage: Stage, _ name: String) -> String? {
        let run = stage.world.api[ModelKey(.runs, Story.space, name)]
        let isReplaced = Story.condition(run, "Finished")?.text("reason") == "TargetReplaced"
        let reason = Story.condition(run, "CleanedUp")?.text("reason")
        return isReplaced && reason != "Replaced" ? "\(name) says \(reason ?? "nothing") of what is left" : nil
    }

    /// Two runs are cancelled, and just then somebody makes again what they are about to take away.
    static let madeAgainAtTheEnd = Scenario("made-again-at-the-end", targets: 2, isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.run("tuesday", into: "orders-b")
        stage.when("orders-a", is: "Provision", after: 500 + stage.draw("cancel", below: 3_000)) { $0.cancel("monday") }
        stage.when("orders-a", is: "Ending") { $0.strangerRemakes(.statefulSets, "orders-a", of: "monday") }
        stage.when("orders-b", is: "Claim") { $0.cancel("tuesday") }
        stage.when("orders-b", is: "Ending", after: stage.draw("claim", below: 30)) {
            $0.strangerRemakes(.claims, "data-orders-b-0", of: "tuesday")
        }
    } isWrong: { stage in
        endsEarly(stage, "monday", "orders-a", "Cancelled") ?? endsEarly(stage, "tuesday", "orders-b", "Cancelled")
            ?? stage.harm
    }
}
