// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources
import Seams
import TestSupport
import Testing

/// A behaviour as small as one can be: says in a status that it saw the object, and keeps a ConfigMap for it.
private enum Toy: Behavior {
    typealias Object = ManagedService
    typealias Status = ManagedServiceStatus

    struct Snapshot: Equatable, Sendable {
        var object: ManagedService
        var child: Observed<ConfigMap>
    }

    static func notices(from old: Status?, to new: Status) -> [Notice] { [] }

    static func observe(_ object: ManagedService, through reader: inout some Reader) -> Snapshot {
        Snapshot(
            object: object,
            child: reader.confirmed(ConfigMap.self, object.metadata.namespace ?? "", object.metadata.name))
    }

    static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<Status> {
        var status = snapshot.object.status ?? ManagedServiceStatus()
        status.observedGeneration = snapshot.object.metadata.generation
        guard snapshot.child.isConfirmedAbsent else { return Decision(status: status) }
        let metadata = ManifestMeta(
            name: snapshot.object.metadata.name, namespace: snapshot.object.metadata.namespace ?? "",
            labels: [Label.managedBy: Label.managedByValue])
        return Decision(
            status: status, effects: [.create(.configMap(ConfigMapManifest(metadata: metadata, data: ["a": "b"])))])
    }
}

@Suite struct ToyTests {
    private static let manifest: JSONValue = [
        "apiVersion": "reprise.dev/v1alpha1", "kind": "ManagedService",
        "metadata": ["name": "toy", "namespace": "play"], "spec": ["engine": "Postgres"],
    ]

    private func world(seed: UInt64 = 1) -> Simulation {
        Simulation(
            seed: seed,
            behaviors: BehaviorSet([BoundBehavior(Toy.self)], watching: [.children(ConfigMap.self)]))
    }

    @Test func aToyBehaviourComesToRest() throws {
        let world = world()
        world.start()
        world.apply(Self.manifest)
        #expect(world.runUntilQuiet())
        let service = try #require(world.api[ModelKey(.managedServices, "play", "toy")])
        #expect(service.integer("status", "observedGeneration") == 1)
        let child = ModelKey(.configMaps, "play", "toy")
        #expect(world.api[child]?.text("data", "a") == "b")
        #expect(world.scheduler.foreign == 0)
        // Somebody takes the child away: it is made again, because it was read.
        world.user(.delete, child)
        #expect(world.runUntilQuiet())
        #expect(world.api[child] != nil)
    }

    @Test func aKilledIncarnationReachesNothingAndTheNextOneGoesOn() throws {
        let world = world()
        let first = world.start()
        world.run(seconds: 5)
        #expect(first.state.facts.isLeading)
        world.kill(first)
        #expect(first.end == .killed)
        world.apply(Self.manifest)
        world.run(seconds: 5)
        #expect(world.api[ModelKey(.configMaps, "play", "toy")] == nil)
        world.start()
        #expect(world.runUntilQuiet())
        #expect(world.api[ModelKey(.configMaps, "play", "toy")] != nil)
    }

    @Test func aFrozenLeaderDoesNothingWhenItThaws() throws {
        let world = world()
        let first = world.start()
        world.run(seconds: 5)
        world.freeze(first)
        let second = world.start()
        world.run(seconds: 40)
        #expect(second.state.facts.isLeading)
        let calls = world.wire.calls.count { $0.incarnation == first.name && $0.isWrite }
        world.apply(Self.manifest)
        world.thaw(first)
        world.run(seconds: 10)
        #expect(first.end == .ended(.leadershipLost("the Lease could not be renewed in time")))
        #expect(world.wire.calls.count { $0.incarnation == first.name && $0.isWrite } == calls)
        #expect(world.api[ModelKey(.configMaps, "play", "toy")] != nil)
    }

    @Test func aStopSignalGivesTheLeaseBack() throws {
        let world = world()
        let first = world.start()
        world.run(seconds: 5)
        first.stop.stop()
        world.run(seconds: 2)
        #expect(first.end == .stopped)
        let lease = try #require(
            world.api[ModelKey(.leases, Simulation.controllerNamespace, "reprise-controller")])
        #expect(lease.text("spec", "holderIdentity") == "")
    }

    @Test func anExpiredWatchIsListedAnew() throws {
        let world = world()
        world.start()
        world.run(seconds: 5)
        // Every watch ends within ten minutes; by then its position is too old.
        for _ in 0..<70 {
            world.api.compact()
            world.run(seconds: 10)
        }
        world.apply(Self.manifest)
        #expect(world.runUntilQuiet())
        #expect(world.api[ModelKey(.configMaps, "play", "toy")] != nil)
    }
}
