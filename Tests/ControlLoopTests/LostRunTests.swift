// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources
import Testing

/// Rows of the ledger whose objects are gone.
@Suite struct LostRunTests {
    private let world = World()
    private var server: MiniServer { world.server }
    private static let set = BehaviorSet(
        [BoundBehavior(WidgetBehavior.self)], watching: [.children(ConfigMap.self)],
        recorded: RecordedKind(Widget.self) { Ref(ConfigMap.resourceKind, "a", "kept-\($0.runUID)") })

    private func put(_ name: String) -> String {
        server.put(MiniServer.widgets + name, "Widget", ["spec": ["isTimid": true]])
        return server.objects[MiniServer.widgets + name]?["metadata"]?["uid"]?.string ?? ""
    }

    private func row(_ id: Int64, _ uid: String, _ name: String) -> UnfinishedRun {
        UnfinishedRun(id: id, runUID: uid, namespace: "a", name: name)
    }

    @Test func whatIsThereIsLeftAndWhatIsNotIsEnded() {
        let here = put("here")
        _ = put("again")
        world.ledger.setUnfinished([row(1, here, "here"), row(2, "uid-before", "again"), row(3, "uid-gone", "gone")])
        let one = world.start("one", Self.set)
        world.pass(1_000)
        #expect(world.ledger.presumed == ["uid-before", "uid-gone"])
        #expect(server.count("GET \(MiniServer.widgets)here") == 0, "the cache has it")
        world.pass(3_600_000)
        #expect(world.ledger.presumed.count == 2)
        #expect(world.time.isQuiet)
        world.kill(one)
    }

    @Test func oneThatGoesIsNoticedAtOnce() {
        let there = put("there")
        world.ledger.setUnfinished([row(1, there, "there")])
        let one = world.start("one", Self.set)
        world.pass(1_000)
        #expect(world.ledger.presumed == [])
        server.remove(MiniServer.widgets + "there")
        world.pass(100)
        #expect(world.ledger.presumed == [there])
        world.kill(one)
    }

    @Test func anOutcomeThatWaitsForTheLedgerIsNoGuess() throws {
        world.ledger.setUnfinished([row(1, "uid-kept", "kept"), row(2, "uid-began", "began"), row(3, "uid-odd", "odd")])
        func keep(_ uid: String, _ status: String?) throws {
            var entry = LedgerEntry(
                runUID: uid, namespace: "a", name: "x", specDigest: "d", createdAt: Timestamp(seconds: 1))
            entry.status = status ?? ""
            let text = status == nil ? "{" : String(decoding: try JSON.encode(entry), as: UTF8.self)
            server.put(
                MiniServer.configMaps + "kept-\(uid)", "ConfigMap",
                ["data": ["entry.json": .string(text)]])
        }
        try keep("uid-kept", "completed")
        try keep("uid-began", "running")
        try keep("uid-odd", nil)
        let one = world.start("one", Self.set)
        world.pass(1_000)
        #expect(world.ledger.presumed == ["uid-began"])
        world.kill(one)
    }

    @Test func aLedgerThatIsAwayIsAskedAgain() {
        world.ledger.setUnfinished([row(1, "uid-gone", "gone")])
        world.ledger.setAway(true)
        let one = world.start("one", Self.set)
        world.pass(60_000)
        #expect(world.ledger.presumed == [])
        world.ledger.setAway(false)
        world.pass(30_000)
        #expect(world.ledger.presumed == ["uid-gone"])
        #expect(world.journal.count("run lost") == 1)
        world.kill(one)
    }

    @Test func anAPIServerThatFailsIsNoAbsence() {
        world.ledger.setUnfinished([row(1, "uid-gone", "gone")])
        server.fault = { _, request in
            request.hasPrefix("GET \(MiniServer.widgets)gone") ? .refuse(500, "InternalError") : nil
        }
        let one = world.start("one", Self.set)
        world.pass(60_000)
        #expect(world.ledger.presumed == [])
        server.fault = nil
        world.pass(60_000)
        #expect(world.ledger.presumed == ["uid-gone"])
        world.kill(one)
    }
}
