// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources
import Seams
import TestSupport
import Testing

/// Shows how many lines of a pod's log matched, as if that were a generation.
private enum Listener: Behavior {
    typealias Object = ManagedService
    typealias Status = ManagedServiceStatus

    struct Snapshot: Equatable, Sendable {
        var object: ManagedService
        var lines: Observed<LineFacts>
    }

    static func notices(from old: Status?, to new: Status) -> [Notice] { [] }

    static func observe(_ object: ManagedService, through reader: inout some Reader) -> Snapshot {
        let pod = Seen(ref: Ref(Pod.resourceKind, "play", "talker"), uid: "", resourceVersion: "")
        let format = LineFormat(patterns: [LinePattern("part", ["part "], keepsWord: true)], restart: 0)
        return Snapshot(object: object, lines: reader.lines(of: pod, container: "postgres", as: format))
    }

    static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<Status> {
        var status = snapshot.object.status ?? ManagedServiceStatus()
        if let facts = snapshot.lines.value { status.observedGeneration = Int64(facts.counts["part"] ?? 0) }
        return Decision(status: status)
    }
}

/// The log of a simulated pod, followed by a simulated controller.
@Suite struct LogFollowTests {
    private static let pod = ModelKey(.pods, "play", "talker")

    private func world(seed: UInt64) -> Simulation {
        let world = Simulation(
            seed: seed, behaviors: BehaviorSet([BoundBehavior(Listener.self)], watching: [.children(ConfigMap.self)]))
        world.apply([
            "apiVersion": "reprise.dev/v1alpha1", "kind": "ManagedService",
            "metadata": ["name": "toy", "namespace": "play"], "spec": ["engine": "Postgres"],
        ])
        return world
    }

    private func count(_ world: Simulation) -> Int64? {
        world.api[ModelKey(.managedServices, "play", "toy")]?.integer("status", "observedGeneration")
    }

    /// A pod that talks, with connections that break, and controllers that come and go.
    private func tell(_ world: Simulation) throws {
        world.start()
        world.run(seconds: 5)
        #expect(count(world) == nil || count(world) == 0)
        _ = try world.api.create(
            Self.pod,
            [
                "metadata": ["name": "talker", "namespace": "play"],
                "spec": ["containers": [["name": "postgres", "image": "docker.io/reprise/postgres-walg:15"]]],
            ])
        world.run(seconds: 20)
        #expect(world.wire.followed == 1)
        for round in 0..<30 {
            // Three of one moment, so that only their number tells what was seen.
            for part in 0..<3 { world.kubelet.emit(Self.pod, "part \(round).\(part)") }
            world.kubelet.emit(Self.pod, "a secret")
            if round % 5 == 3 {
                // At any point of a transfer.
                _ = world.scheduler.run(until: world.scheduler.now + Int64(round))
                world.wire.breakFollows()
            }
            if round == 12, let first = world.incarnations.first {
                world.kill(first)
                world.start()
            }
            world.run(seconds: round % 4 == 0 ? 20 : 0)
        }
        world.run(seconds: 60)
        #expect(count(world) == 90)
        #expect(world.wire.followed == 1)
        #expect(world.scheduler.foreign == 0)
    }

    @Test(arguments: UInt64(1)...20)
    func everyLineCountsOnce(_ seed: UInt64) throws {
        let world = world(seed: seed)
        try tell(world)
        // The pod goes: nothing is followed any more, and what was heard stays.
        world.user(.delete, Self.pod)
        world.run(seconds: 60)
        #expect(world.wire.followed == 0)
        #expect(count(world) == 90)
    }

    @Test func theSameSeedTellsTheSameStory() throws {
        let (one, other) = (world(seed: 7), world(seed: 7))
        try tell(one)
        try tell(other)
        #expect(one.wire.trace == other.wire.trace)
    }
}
