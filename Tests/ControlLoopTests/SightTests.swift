// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources
import Seams
import Testing

/// Objects that are watched by themselves, whoever made them, for as long as somebody reads them so.
@Suite struct SightTests {
    private let world = World()
    private var server: MiniServer { world.server }

    private func start(watches: Int = 200) -> World.Incarnation {
        let one = world.start("one", LookoutBehavior.set, watches: watches)
        world.pass(100)
        return one
    }

    private func seen(_ widget: String = "w") -> String? { server.status(of: widget, "seen") }
    private var lists: Int { server.count(MiniServer.lists) }
    private var watches: Int { server.count(MiniServer.watches) }
    private func reads(_ name: String) -> Int { server.count("GET \(MiniServer.sets)\(name)") }
    private var writes: Int { server.count("PUT") + server.count("PATCH") }

    @Test func aStrangersObjectIsSeenAsItChanges() {
        server.putSet("db", 1)
        server.lookout("w", at: ["db"])
        let one = start()
        #expect(seen() == "db 1")
        server.putSet("db", 3)
        world.pass(0)
        #expect(seen() == "db 3")
        server.remove(MiniServer.sets + "db")
        world.pass(0)
        #expect(seen() == "db gone")
        server.putSet("db", 2)
        world.pass(0)
        #expect(seen() == "db 2")
        #expect((lists, watches, reads("db")) == (1, 1, 0))
        #expect(one.configuration.state.facts.watches == 1)
        // Nothing polls.
        server.clearLog()
        world.pass(600_000)
        #expect(server.log == [])
        #expect(world.time.isQuiet)
        world.kill(one)
        #expect(server.openWatches() == 0)
        #expect(world.time.pending.isEmpty)
    }

    @Test func whatIsNotThereIsGoneButNotSurely() {
        server.lookout("w", at: ["db"])
        server.lookout("v", at: ["db"], ["isSure": true])
        let one = start()
        #expect(seen() == "db gone")
        #expect(seen("v") == "db surely gone")
        // The certainty of before ends with the news.
        server.putSet("db", 1)
        world.pass(0)
        #expect(seen("v") == "db 1")
        let before = reads("db")
        server.remove(MiniServer.sets + "db")
        world.pass(100)
        #expect(seen() == "db gone")
        #expect(seen("v") == "db surely gone")
        #expect(reads("db") > before)
        world.kill(one)
    }

    @Test func aWatchThatLagsDoesNotMakeAbsenceSure() {
        server.putSet("db", 1)
        server.lookout("w", at: ["db"], ["isSure": true])
        let one = start()
        server.isLagging = true
        server.remove(MiniServer.sets + "db")
        server.putSet("db", 5)
        world.pass(1_000)
        #expect(seen() == "db 1")
        // It hears of the deletion, and not yet of what was made since.
        server.hearLate(1)
        world.pass(100)
        #expect(seen() == "db 5")
        server.isLagging = false
        world.pass(100)
        #expect(seen() == "db 5")
        world.kill(one)
    }

    @Test func itIsWatchedOnceAndOnlyWhileItIsRead() {
        server.putSet("db", 1)
        server.lookout("w", at: ["db"])
        server.lookout("v", at: ["db"])
        let one = start()
        #expect((lists, watches) == (1, 1))
        server.putSet("db", 2)
        world.pass(0)
        #expect(seen() == "db 2")
        #expect(seen("v") == "db 2")
        server.lookout("w", at: [])
        world.pass(0)
        #expect(server.openWatches("db") == 1)
        server.lookout("v", at: [])
        world.pass(0)
        #expect(server.openWatches() == 0)
        #expect(one.configuration.state.facts.watches == 0)
        #expect(one.configuration.state.facts.topics == 0)
        #expect(world.time.isQuiet)
        // Read again, it is listed anew.
        server.putSet("db", 3)
        server.lookout("v", at: ["db"])
        world.pass(0)
        #expect(seen("v") == "db 3")
        #expect((lists, watches) == (2, 2))
        world.kill(one)
    }

    @Test func onlyItsReadersAreWoken() {
        for name in ["a", "b"] { server.putSet(name, 1) }
        server.lookout("w", at: ["a"])
        server.lookout("v", at: ["b"])
        server.lookout("u", at: ["a", "b"])
        let one = start()
        let before = one.configuration.state.facts.passes
        server.clearLog()
        server.putSet("b", 2)
        world.pass(0)
        #expect(writes == 2)
        #expect(seen("u") == "a 1, b 2")
        // Both readers, and each once more for its own status.
        #expect(one.configuration.state.facts.passes == before + 4)
        // What carries our label is in the cache of its kind as well, and nobody is told twice.
        server.clearLog()
        server.putSet("b", 3, labels: [Label.managedBy: Label.managedByValue])
        world.pass(0)
        #expect(writes == 2)
        world.kill(one)
    }

    @Test(arguments: [false, true])
    func ownWritesShowAtOnce(_ isBehind: Bool) {
        server.putSet("db", 1)
        let one = start()
        server.isLagging = isBehind
        server.lookout("w", at: ["db"], ["replicas": 0, "mark": "me"])
        world.pass(1_000)
        #expect(seen() == "db 0 me")
        #expect(server.count("PATCH") == 2)
        #expect(world.journal.count("step conflicted") == 0)
        #expect(world.journal.count("step failed") == 0)
        // What the watch tells later, of before, changes nothing.
        server.clearLog()
        server.isLagging = false
        world.pass(1_000)
        #expect(seen() == "db 0 me")
        #expect(writes == 0)
        world.kill(one)
    }

    @Test func aMarkIsSetAndTakenAwayAndTheOthersStay() {
        server.putSet("db", 1)
        server.lookout("w", at: ["db"], ["mark": "me"])
        let one = start()
        #expect(server.objects[MiniServer.sets + "db"]?["metadata"]?["annotations"] == ["reprise.dev/run": "me"])
        server.annotate(MiniServer.sets + "db", "note", "theirs")
        server.lookout("w", at: ["db"], ["mark": ""])
        world.pass(100)
        #expect(server.objects[MiniServer.sets + "db"]?["metadata"]?["annotations"] == ["note": "theirs"])
        #expect(seen() == "db 1")
        world.kill(one)
    }

    @Test func aMarkOnWhatSomebodyChangedMeanwhileIsDecidedAnew() {
        server.putSet("db", 1)
        let server = server
        nonisolated(unsafe) var isFirst = true
        server.fault = { _, request in
            if isFirst, request.hasPrefix("PATCH") {
                isFirst = false
                server.annotate(MiniServer.sets + "db", LookoutBehavior.mark, "other")
            }
            return nil
        }
        server.isLagging = true
        server.lookout("w", at: ["db"], ["mark": "me"])
        let one = start()
        #expect(world.journal.count("step conflicted") == 1)
        // The conflict's read tells, not the watch.
        #expect(server.count("PATCH") == 2)
        #expect(seen() == "db 1 me")
        world.kill(one)
    }

    /// Of what is read by quorum alone, nobody but the write itself tells.
    @Test func scalingAStrangersObjectIsSeenWithoutAWatch() {
        server.putSet("db", 1)
        server.lookout("w", at: ["db"], ["isBlind": true, "isSure": true])
        let one = start()
        #expect(seen() == "db 1")
        server.lookout("w", at: ["db"], ["replicas": 0, "isBlind": true, "isSure": true])
        world.pass(1_000)
        #expect(seen() == "db 0")
        #expect(server.count("PATCH") == 1)
        world.kill(one)
    }

    @Test func anExpiredPositionIsListedAnew() {
        server.putSet("db", 1)
        server.lookout("w", at: ["db"])
        let one = start()
        server.isLagging = true
        server.putSet("db", 2)
        server.expireWatches()
        server.forgetLate()
        server.isLagging = false
        world.pass(0)
        #expect(seen() == "db 2")
        #expect((lists, watches) == (2, 2))
        // As an answer that is no stream.
        nonisolated(unsafe) var isFirst = true
        server.fault = { _, request in
            guard isFirst, request.hasPrefix("WATCH") else { return nil }
            isFirst = false
            return .refuse(410, "Expired")
        }
        server.endWatches()
        server.putSet("db", 3)
        world.pass(5_000)
        #expect(seen() == "db 3")
        #expect(lists == 3)
        world.kill(one)
    }

    @Test func aServerThatIsAwayIsNotHammered() {
        server.putSet("db", 1)
        server.lookout("w", at: ["db"])
        let one = start()
        server.fault = { _, request in request.contains("statefulsets db") ? .loseRequest : nil }
        server.clearLog()
        server.endWatches()
        world.pass(600_000)
        #expect((15...60).contains(watches), "\(watches)")
        // What is known stays known.
        #expect(seen() == "db 1")
        server.putSet("db", 2)
        server.fault = nil
        world.pass(30_000)
        #expect(seen() == "db 2")
        world.kill(one)
    }

    @Test func whatCanNotBeListedIsUnknown() {
        server.putSet("db", 1)
        server.fault = { _, request in request.hasPrefix(MiniServer.lists) ? .refuse(403, "Forbidden") : nil }
        server.lookout("w", at: ["db"])
        let one = start()
        world.pass(60_000)
        #expect(seen() == nil)
        #expect((3...15).contains(lists), "\(lists)")
        #expect(world.journal.count("list failed") == lists)
        server.lookout("w", at: [])
        world.pass(0)
        #expect(world.time.isQuiet)
        world.kill(one)
    }

    @Test func whatCanNotBeDecodedIsUnknownUntilItCan() {
        server.put(MiniServer.sets + "db", "StatefulSet", ["spec": ["replicas": "many"]])
        server.lookout("w", at: ["db"])
        let one = start()
        #expect(seen() == nil)
        server.putSet("db", 2)
        world.pass(0)
        #expect(seen() == "db 2")
        server.put(MiniServer.sets + "db", "StatefulSet", ["spec": ["replicas": "many"]])
        server.lookout("w", at: ["db"], ["isSure": true])
        world.pass(1_000)
        #expect(seen() == "db 2")
        world.kill(one)
    }

    @Test func aLostLeaseEndsIt() {
        server.putSet("db", 1)
        server.lookout("w", at: ["db"])
        let one = start()
        #expect(server.openWatches() == 1)
        server.fault = { _, request in request.contains("/leases") ? .loseRequest : nil }
        world.pass(20_000)
        #expect(world.ending(of: one)?.hasPrefix("leadershipLost") == true)
        #expect(server.openWatches() == 0)
        #expect(one.configuration.state.facts.watches == 0)
        #expect(world.time.pending.isEmpty)
    }

    @Test func aStopEndsIt() {
        server.putSet("db", 1)
        server.lookout("w", at: ["db"])
        let one = start()
        world.stop(one)
        #expect(world.ending(of: one) == "returned")
        #expect(server.openWatches() == 0)
        #expect(world.time.pending.isEmpty)
    }

    // MARK: More than may be watched

    @Test func theOthersAreReadByQuorumUntilItIsTheirTurn() {
        for number in 0..<4 {
            server.putSet("db\(number)", 1)
            server.lookout("w\(number)", at: ["db\(number)"])
        }
        let one = start(watches: 2)
        // What is not there too.
        server.lookout("none", at: ["none"])
        world.pass(100)
        #expect(seen("none") == "none gone")
        server.lookout("none", at: [])
        for number in 0..<4 { #expect(seen("w\(number)") == "db\(number) 1") }
        #expect(server.openWatches() == 2)
        #expect((reads("db0"), reads("db2"), reads("db3")) == (0, 1, 1))
        #expect(one.configuration.state.facts.watches == 2)
        for number in 0..<4 { server.putSet("db\(number)", 2) }
        world.pass(29_000)
        #expect((seen("w1"), seen("w2")) == ("db1 2", "db2 1"))
        world.pass(1_000)
        #expect((seen("w2"), seen("w3")) == ("db2 2", "db3 2"))
        #expect((reads("db2"), reads("db3")) == (2, 2))
        // In the order of asking; and whoever is watched is not read any more.
        server.lookout("w0", at: [])
        world.pass(0)
        #expect((server.openWatches("db2"), server.openWatches("db3")) == (1, 0))
        server.putSet("db2", 3)
        world.pass(0)
        #expect(seen("w2") == "db2 3")
        world.pass(60_000)
        #expect((reads("db2"), reads("db3")) == (2, 4))
        server.lookout("w3", at: [])
        world.pass(60_000)
        #expect(reads("db3") == 4)
        #expect(world.time.isQuiet)
        world.kill(one)
        #expect(world.time.pending.isEmpty)
    }

    @Test func whoWaitsSeesOwnWritesDeletionsAndFailures() {
        server.putSet("first", 1)
        server.lookout("u", at: ["first"])
        server.putSet("db", 1)
        server.lookout("w", at: ["db"], ["replicas": 0, "mark": "me"])
        let one = start(watches: 1)
        #expect(seen() == "db 0 me")
        #expect(server.count("PATCH") == 2)
        #expect(world.journal.count("step failed") == 0)
        server.remove(MiniServer.sets + "db")
        world.pass(30_000)
        #expect(seen() == "db gone")
        server.fault = { _, request in request == "GET \(MiniServer.sets)db" ? .loseRequest : nil }
        server.putSet("db", 0)
        world.pass(300_000)
        #expect(seen() == "db gone")
        server.fault = nil
        world.pass(60_000)
        #expect(seen() == "db 0 me")
        world.kill(one)
    }
}
