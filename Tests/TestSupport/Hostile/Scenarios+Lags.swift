// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// Stories of caches that lag, leaders that come and go, and clocks that are set.
extension Scenario {
    static let watched: [Scenario] = [forgotten, podsLag, claimsLag, answersLag, orphanedSeal]
    static let leaders: [Scenario] = [thawed, thawedAtOnce, hourAhead, standbyAhead, noLease]

    /// A run is cancelled while watches lag, and before they have told of what was deleted the history is forgotten.
    static let forgotten = Scenario("cancelled-and-forgotten", isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.when("orders-a", is: "Provision", after: 1_000 + stage.draw("cancel", below: 2_000)) {
            $0.cancel("monday")
        }
        stage.when("orders-a", is: "Ending") { stage in
            let wire = stage.world.wire
            for kind in ["statefulsets", "pods", "persistentvolumeclaims", "services"] {
                wire.holdBack(kind, until: stage.world.scheduler.now + 5_000)
            }
            stage.at(700 + stage.draw("forgotten", below: 1_000)) { stage in
                stage.world.api.compact()
                stage.world.wire.breakWatches()
            }
        }
    } isWrong: {
        endsEarly($0, "monday", "orders-a", "Cancelled")
    }

    /// The pod of the seal is heard of long after its Job has ended.
    static let podsLag = Scenario("pods-are-told-late", isSmooth: false) { stage in
        stage.clone("orders-a")
        stage.when("orders-a", is: "Quiesce") { stage in
            stage.world.wire.holdBack("pods", until: stage.world.scheduler.now + 4_000)
        }
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"])
    }

    /// The claim is heard of long after it was made, and the run is cancelled meanwhile.
    static let claimsLag = Scenario("claims-are-told-late", isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.when("orders-a", is: "Planned") { stage in
            stage.world.wire.holdBack("persistentvolumeclaims", until: stage.world.scheduler.now + 4_000)
        }
        stage.when("orders-a", is: "Provision", after: 200) { $0.cancel("monday") }
    } isWrong: {
        endsEarly($0, "monday", "orders-a", "Cancelled")
    }

    /// Somebody takes away what an answer tells of, and the watch has told of that long before the answer comes: a StatefulSet
    /// that was just made, and a claim that was read by quorum, since the service is about to be opened on it.
    static let answersLag = Scenario("answers-come-late", targets: 2, isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.run("tuesday", into: "orders-b")
        let wire = stage.world.wire
        stage.whenAnswered("POST", .statefulSets, "orders-a", late: 3_000) {
            $0.strangerRemoves(.statefulSets, "orders-a")
        }
        // Of what is read, and gone before the watch tells of it, nobody can know.
        stage.whenAnswered(
            "GET", .claims, "data-orders-b-0", late: 1_000,
            where: { stage.step(of: "orders-b") == "Seal" && wire.isTold("persistentvolumeclaims") }
        ) {
            $0.strangerRemoves(.claims, "data-orders-b-0")
        }
    } isWrong: { stage in
        // The StatefulSet is made again, unless it was heard of before it was gone.
        isEither(stage, "orders-a", ["TargetDeleted"]) ?? isEither(stage, "orders-b", ["TargetDeleted"])
    }

    /// Somebody deletes the Job of the seal and leaves its pod, which goes on.
    static let orphanedSeal = Scenario("seal-without-its-job", isSmooth: false) { stage in
        stage.world.kubelet.jobDelay = 2_500
        stage.run("monday", into: "orders-a")
        stage.when("orders-a", is: "Quiesce", after: 800 + stage.draw("job", below: 1_000)) { stage in
            let api = stage.world.api
            func isSeal(_ object: JSONValue) -> Bool { object.text("metadata", "name")?.contains("-seal-") == true }
            for (key, pod) in api.all(.pods, in: Story.space) where isSeal(pod) {
                stage.edit(.pods, key.name) { $0.set(["metadata", "ownerReferences"], nil) }
            }
            for (key, job) in api.all(.jobs, in: Story.space) where isSeal(job) {
                stage.strangerRemoves(.jobs, key.name)
            }
        }
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"])
    }

    // MARK: Leaders

    /// The leader is frozen in the middle of a step; its successor takes away what was made; then it thaws, and what it had
    /// decided is decided no more.
    static let thawed = Scenario("thawed-in-the-middle", controllers: 2, isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.when("orders-a", is: "Claim", after: stage.draw("freeze", below: 25)) { stage in
            stage.cancel("monday")
            guard let leader = stage.leader else { return }
            stage.world.freeze(leader)
            stage.at(70_000) { $0.world.thaw(leader) }
        }
    } isWrong: {
        endsEarly($0, "monday", "orders-a", "Cancelled")
    }

    /// The leader is frozen as it is about to hear that nothing of what it is to make is there (StatefulSet, pod, Service),
    /// and thaws as its successor takes the Lease: what it makes of that answer it may no longer send.
    static let thawedAtOnce = Scenario("thawed-as-another-leads", controllers: 2, isSmooth: false) { stage in
        let wire = stage.world.wire
        stage.run("monday", into: "orders-a")
        stage.whenHeard {
            $0.verb == "PUT" && $0.target.holds("/restoreruns/") && stage.step(of: "orders-a") == "Claim"
        } _: { stage in
            let sent = wire.calls.count
            stage.whenAnswered(
                times: 3, where: { $0.number >= sent && $0.verb == "GET" && !$0.isAboutLease }, freezeUntilSucceeded)
        }
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"])
    }

    private static func freezeUntilSucceeded(_ stage: Stage) {
        guard let leader = stage.leader else { return }
        stage.world.freeze(leader)
        stage.once(after: 0) { change in
            change.key.kind == .leases && !(change.object.text("spec", "holderIdentity") ?? "").hasPrefix(leader.name)
        } do: {
            $0.world.thaw(leader)
        }
    }

    /// While the data is sealed the leader's clock is set an hour ahead.
    static let hourAhead = Scenario("clock-ahead-at-the-seal") { stage in
        stage.clone("orders-a")
        stage.when("orders-a", is: "Quiesce", after: 300) { $0.leader?.time.wallError += 3_600_000 }
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"])
    }

    /// The clock of the controller that waits is an hour ahead from the beginning.
    static let standbyAhead = Scenario("standby-ahead", controllers: 2) { stage in
        stage.clone("orders-a")
        stage.at(710) { $0.standby?.time.wallError += 3_600_000 }
    } isWrong: { stage in
        // Once it leads, what its predecessor has begun is an hour late for it.
        if stage.world.incarnations.count > 2, stage.outcome("orders-a").contains("NoProgress") { return nil }
        return expect(stage, "orders-a", everything, ["Completed"])
    }

    /// The leader has changed, and then somebody deletes the Lease.
    static let noLease = Scenario("lease-deleted", isSmooth: false) { stage in
        stage.run("monday", into: "orders-a")
        stage.when("orders-a", is: "Planned", after: 300) { $0.killLeader() }
        stage.when("orders-a", is: "Restore") { stage in
            for (key, _) in stage.world.api.all(.leases) {
                stage.world.api.acting(as: "somebody") { stage.world.api.delete(key) }
            }
        }
    } isWrong: {
        expect($0, "orders-a", everything, ["Completed"])
    }
}
