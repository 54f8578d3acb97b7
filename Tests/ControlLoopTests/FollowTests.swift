// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources
import Seams
import Testing

/// Logs of running containers, followed for as long as somebody reads them.
@Suite struct FollowTests {
    private let world = World()
    private var server: MiniServer { world.server }
    private let log = MiniLog()

    /// A widget that follows the log of the pod `p`, and the controller that plays it.
    private func start(_ stage: MiniLog.Stage = .running) -> World.Incarnation {
        log.stage = stage
        server.logs[MiniServer.logPath("p")] = log
        widget("w", ["follows": "p"])
        let one = world.start("one", WidgetBehavior.set)
        world.pass(100)
        return one
    }

    private func widget(_ name: String, _ spec: JSONValue) {
        server.put(MiniServer.widgets + name, "Widget", ["spec": spec])
    }

    private var lines: String? { server.status(of: "w", "lines") }
    private var follows: Int { server.count("FOLLOW") }
    private var writes: Int { server.count("PUT") }

    private func restored(_ number: Int) -> String {
        "2026-05-27 03:00:00.000 UTC [33] LOG:  restored log file \"00000001000000000000000\(number)\" from archive"
    }

    @Test func factsGrowAndTextStays() {
        let one = start()
        #expect(lines == "nothing")
        log.say(restored(3), at: 1)
        log.say("ERROR:  password is hunter2", at: 1, 5)
        log.say(restored(4), at: 2)
        world.pass(2_000)
        #expect(lines == "restored 2 000000010000000000000004")
        #expect(follows == 1)
        #expect(log.asked == [""])
        #expect(one.configuration.state.facts.followers == 1)
        #expect(!"\(server.bodies)\(world.journal.all)".contains("hunter2"))
        world.kill(one)
        #expect(log.openStreams == 0)
        #expect(world.time.pending.isEmpty)
    }

    @Test func whatIsNewWakesAtOnceAndTheRestOnceASecond() {
        let one = start()
        world.pass(5_000)
        server.clearLog()
        log.say(restored(1), at: 1)
        world.pass(0)
        #expect(lines == "restored 1 000000010000000000000001")
        for number in 1...100 {
            log.say(restored(number % 10), at: 1 + number)
            world.pass(20)
        }
        #expect((1...3).contains(writes), "\(writes)")
        log.say("INFO: Finished extraction of part_001.tar.lz4", at: 200)
        world.pass(0)
        #expect(lines?.hasPrefix("fetched 1, restored 101") == true)
        // What came last is told as well, though nothing follows.
        log.say(restored(9), at: 201)
        world.pass(999)
        #expect(lines?.contains("restored 101") == true)
        world.pass(1)
        #expect(lines?.contains("restored 102") == true)
        #expect(writes <= 5)
        world.kill(one)
    }

    @Test(arguments: [true, false])
    func aBrokenConnectionGoesOnWhereItWas(_ cutsFractions: Bool) {
        let one = start()
        log.cutsFractions = cutsFractions
        for nanosecond in [1, 7, 7] { log.say(restored(nanosecond), at: 10, nanosecond) }
        world.pass(1_000)
        log.breakOff(after: "\(MiniLog.time(10, 7)) LOG:  restored log fi")
        // Two more of the very same time, one of them with the first part that was lost, and one that is later.
        for nanosecond in [7, 7, 8] { log.say(restored(nanosecond), at: 10, nanosecond) }
        world.pass(5_000)
        #expect(lines == "restored 6 000000010000000000000008")
        #expect(log.asked == ["", MiniLog.time(10, 7)])
        #expect(world.journal.count("follow failed") == 1)
        log.breakOff()
        world.pass(5_000)
        log.say(restored(9), at: 11)
        world.pass(5_000)
        #expect(lines == "restored 7 000000010000000000000009")
        #expect(log.asked.last == MiniLog.time(10, 8))
        #expect(log.openStreams == 1)
        world.kill(one)
    }

    @Test func aServerThatIsAwayIsNotHammered() {
        let one = start()
        log.say(restored(1), at: 1)
        world.pass(1_000)
        server.fault = { _, request in request.hasPrefix("FOLLOW") ? .loseRequest : nil }
        server.clearLog()
        log.breakOff()
        world.pass(600_000)
        #expect((40...120).contains(follows), "\(follows)")
        #expect(lines == "restored 1 000000010000000000000001")
        server.fault = nil
        log.say(restored(2), at: 2)
        world.pass(20_000)
        #expect(lines == "restored 2 000000010000000000000002")
        world.kill(one)
    }

    @Test func aContainerThatHasNotStartedIsUnknown() {
        let one = start(.waiting)
        world.pass(60_000)
        #expect(lines == nil)
        #expect((5...20).contains(follows), "\(follows)")
        #expect(world.journal.count("follow failed") == 0)
        // Nothing holds a place meanwhile.
        #expect(one.configuration.state.facts.followers == 0)
        log.stage = .running
        log.say("No backups found", at: 1)
        world.pass(15_000)
        #expect(lines == "NoBackupsFound 1")
        world.kill(one)
    }

    private static let absences: [(MiniLog.Stage, String?)] = [(.gone, "nothing"), (.silent, nil)]

    @Test(arguments: absences)
    func aPodThatIsGoneSaysNothing(_ stage: MiniLog.Stage, _ expected: String?) {
        let one = start(stage)
        world.pass(5_000)
        #expect(lines == expected)
        log.stage = .running
        log.say(restored(1), at: 1)
        world.pass(15_000)
        #expect(lines == "restored 1 000000010000000000000001")
        log.stage = stage
        log.breakOff()
        world.pass(60_000)
        #expect(lines == "restored 1 000000010000000000000001")
        world.kill(one)
    }

    @Test func theEndOfAContainerIsLookedAtTwice() {
        let one = start()
        log.say(restored(1), at: 1)
        world.pass(1_000)
        // The way to the node ends in good order, the container goes on.
        log.hangUp(.running)
        world.pass(5_000)
        log.say(restored(2), at: 2)
        world.pass(5_000)
        #expect(follows == 2)
        #expect(lines == "restored 2 000000010000000000000002")
        log.say(restored(3), at: 3)
        log.hangUp(.ended)
        world.pass(10_000)
        #expect(follows == 3)
        world.pass(3_600_000)
        #expect(follows == 3)
        #expect(lines == "restored 3 000000010000000000000003")
        #expect(one.configuration.state.facts.followers == 0)
        world.kill(one)
    }

    @Test func aLastLineWithoutAnEndCounts() {
        let log = log
        let one = start()
        log.say("first", at: 1)
        world.pass(20_000)
        log.leaveUnfinished("No backups found", at: 2)
        log.hangUp(.ended)
        world.pass(10_000)
        #expect(lines == "NoBackupsFound 1")
        world.kill(one)
    }

    @Test func aLogIsFollowedOnceAndOnlyWhileItIsRead() {
        let one = start()
        widget("v", ["follows": "p"])
        world.pass(1_000)
        log.say(restored(1), at: 1)
        world.pass(1_000)
        #expect(server.status(of: "v", "lines") == lines)
        #expect(follows == 1)
        widget("w", [:])
        world.pass(1_000)
        #expect(log.openStreams == 1)
        widget("v", [:])
        world.pass(0)
        #expect(log.openStreams == 0)
        #expect(one.configuration.state.facts.followers == 0)
        // Read again, it is read from its beginning.
        widget("w", ["follows": "p"])
        world.pass(1_000)
        #expect(log.asked == ["", ""])
        // Another start of the container is another log.
        widget("w", ["follows": "p", "restart": 1])
        world.pass(1_000)
        #expect(follows == 3)
        #expect(log.openStreams == 1)
        world.kill(one)
    }

    @Test func aReaderThatLeavesDuringAPauseEndsIt() {
        let one = start(.waiting)
        world.pass(1_000)
        widget("w", [:])
        world.pass(0)
        #expect(world.time.isQuiet)
        server.clearLog()
        world.pass(600_000)
        #expect(follows == 0)
        world.kill(one)
    }

    @Test func aLostLeaseEndsIt() {
        let one = start()
        log.say(restored(1), at: 1)
        world.pass(1_000)
        #expect(log.openStreams == 1)
        server.fault = { _, request in request.contains("/leases") ? .loseRequest : nil }
        world.pass(20_000)
        #expect(world.ending(of: one)?.hasPrefix("leadershipLost") == true)
        #expect(log.openStreams == 0)
        #expect(one.configuration.state.facts.followers == 0)
        #expect(world.time.pending.isEmpty)
    }

    @Test func aStopEndsIt() {
        let one = start()
        world.stop(one)
        #expect(world.ending(of: one) == "returned")
        #expect(log.openStreams == 0)
        #expect(world.time.pending.isEmpty)
    }

    @Test func aBoundedNumberAtATime() {
        let logs = (0..<70).map { _ in MiniLog() }
        for (number, log) in logs.enumerated() {
            server.logs[MiniServer.logPath("p\(number)")] = log
            log.say(restored(1), at: 1)
            widget("w\(number)", ["follows": .string("p\(number)")])
        }
        let one = world.start("one", WidgetBehavior.set)
        world.pass(10_000)
        let known = { (0..<70).filter { self.server.status(of: "w\($0)", "lines") != nil } }
        #expect(logs.reduce(0) { $0 + $1.openStreams } == 64)
        #expect(known().count == 64)
        // Ends and pauses make room: those two come again, and one of the others gets its turn before them.
        for number in known().prefix(2) { widget("w\(number)", [:]) }
        world.pass(100)
        #expect(known().count == 66)
        if let number = known().last { logs[number].breakOff() }
        world.pass(20_000)
        #expect(logs.reduce(0) { $0 + $1.openStreams } == 64)
        #expect(known().count == 67)
        #expect(one.configuration.state.facts.followers == 64)
        world.kill(one)
        #expect(logs.reduce(0) { $0 + $1.openStreams } == 0)
    }
}
