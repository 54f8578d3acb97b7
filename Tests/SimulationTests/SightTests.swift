// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources
import Seams
import TestSupport
import Testing

/// Says which version of somebody's StatefulSet it has seen, and keeps its mark on it.
private enum Warden: Behavior {
    typealias Object = ManagedService
    typealias Status = ManagedServiceStatus

    struct Snapshot: Equatable, Sendable {
        var object: ManagedService
        var set: Observed<StatefulSet>
    }

    static let mark = "reprise.dev/run"

    static func observe(_ object: ManagedService, through reader: inout some Reader) -> Snapshot {
        Snapshot(object: object, set: reader.watched(StatefulSet.self, "play", "db"))
    }

    static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<Status> {
        if snapshot.set.isUnknown { return Decision() }
        var status = snapshot.object.status ?? ManagedServiceStatus()
        let set = snapshot.set.value
        status.observedGeneration = Int64(set?.metadata.resourceVersion ?? "0")
        guard let set, set.metadata.annotations?[mark] != set.metadata.uid else { return Decision(status: status) }
        return Decision(status: status, effects: [.annotate(set.seen, [mark: set.metadata.uid])])
    }

    static func notices(from old: Status?, to new: Status) -> [Notice] { [] }
}

/// One object's watch, in a world in which streams are cut, lag, go silent and are told twice, and history is forgotten.
@Suite struct SightTests {
    private static let service = ModelKey(.managedServices, "play", "toy")
    private static let set = ModelKey(.statefulSets, "play", "db")
    private static let manifest: JSONValue = [
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": ["name": "db", "namespace": "play"],
        "spec": [
            "replicas": 0, "serviceName": "db", "selector": ["matchLabels": ["app": "db"]],
            "template": [
                "metadata": ["labels": ["app": "db"]], "spec": ["containers": [["name": "db", "image": "db"]]],
            ],
        ],
    ]

    private func world(seed: UInt64) -> Simulation {
        let world = Simulation(
            seed: seed,
            behaviors: BehaviorSet([BoundBehavior(Warden.self)], watching: [.children(StatefulSet.self)]))
        world.supervises = true
        world.start()
        world.apply([
            "apiVersion": "reprise.dev/v1alpha1", "kind": "ManagedService",
            "metadata": ["name": "toy", "namespace": "play"], "spec": ["engine": "Postgres"],
        ])
        return world
    }

    private func seen(_ world: Simulation) -> Int64? {
        world.api[Self.service]?.integer("status", "observedGeneration")
    }

    private func truth(_ world: Simulation) -> Int64 {
        Int64(world.api[Self.set]?.text("metadata", "resourceVersion") ?? "") ?? 0
    }

    /// Somebody does something with the StatefulSet, or the network with what is told of it.
    private func shake(_ world: Simulation, _ draw: UInt64) {
        switch draw % 12 {
        case 0: world.user(.delete, Self.set)
        case 1, 2: world.apply(Self.manifest)
        case 3: world.user(.patch, Self.set, ["metadata": ["labels": ["n": .string("\(draw)")]]])
        case 4: world.user(.patch, Self.set, ["metadata": ["annotations": nil]])
        case 5: world.wire.breakWatches()
        case 6:
            world.api.compact()
            world.wire.breakWatches()
        case 7: world.wire.muteWatches(of: "statefulsets")
        case 8: world.wire.holdBack("statefulsets", until: world.scheduler.now + 20_000)
        case 9: world.wire.tellTwice("statefulsets", until: world.scheduler.now + 20_000)
        case 10:
            world.user(.delete, Self.set)
            world.apply(Self.manifest)
        default: if let last = world.incarnations.last, draw % 5 == 0 { world.kill(last) }
        }
        if world.incarnations.allSatisfy({ $0.end != nil }) { world.start() }
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func whatIsSeenIsWhatIs(_ seed: UInt64) {
        let world = world(seed: seed)
        var calls = 0
        world.wire.interfere = { call, moment in
            guard call.target.contains("fieldSelector") || call.verb == "PATCH", moment == .arriving else {
                return .none
            }
            calls += 1
            switch keyedHash(seed, "trouble", UInt64(calls)) % 9 {
            case 0: return .answer(HTTPResponse(status: 503))
            case 1: return .fail(ExchangeError(.connectionLost, "lost"))
            case 2: return .delay(4_000)
            default: return .none
            }
        }
        for step in 0..<25 {
            shake(world, keyedHash(seed, "shake", UInt64(step)))
            world.run(seconds: Int64(keyedHash(seed, "pause", UInt64(step)) % 15))
        }
        world.wire.interfere = { _, _ in .none }
        // The longest silence is as long as a client's patience.
        #expect(world.run(atMost: 300) { seen(world) == truth(world) })
        #expect(world.runUntilQuiet())
        #expect(seen(world) == truth(world))
        #expect(calls > 0)
        if let set = world.api[Self.set] {
            #expect(set.text("metadata", "annotations", Warden.mark) == set.text("metadata", "uid"))
        }
        #expect(world.scheduler.foreign == 0)
    }

    @Test func aQuietWorldAsksForItOnce() {
        let world = world(seed: 1)
        world.apply(Self.manifest)
        #expect(world.runUntilQuiet())
        let asked = world.wire.calls.filter { $0.target.contains("fieldSelector") }
        #expect(asked.map(\.verb) == ["GET", "WATCH"])
        let bearings = Bearings(world)
        #expect(bearings.place(of: asked[1]).call == CallName("WATCH", "statefulsets"))
        #expect(!world.wire.calls.contains { $0.verb == "GET" && $0.target.hasSuffix("/statefulsets/db") })
        #expect(world.wire.conflicts == 0)
        #expect(world.wire.idleWrites.isEmpty)
        #expect(seen(world) == truth(world))
    }
}
