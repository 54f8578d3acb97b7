// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Seams
import Testing

@Suite struct LeadershipTests {
    private let world = World()
    private var server: MiniServer { world.server }

    @Test func standbyIsColdAndTakesOverAfterTheLeaderDied() {
        server.put(MiniServer.widgets + "w", "Widget", ["spec": ["child": "c"]])
        let one = world.start("one", WidgetBehavior.set)
        let two = world.start("two", WidgetBehavior.set)
        world.pass(30_000)
        #expect(one.configuration.state.facts.isLeading)
        #expect(!two.configuration.state.facts.isLeading)
        let epoch = one.configuration.state.facts.epoch
        world.kill(one)
        server.clearLog()
        world.pass(14_000)
        #expect(server.log == [])
        #expect(!two.configuration.state.facts.isLeading)
        world.pass(8_000)
        #expect(two.configuration.state.facts.isLeading)
        #expect(two.configuration.state.facts.isSynced)
        #expect(two.configuration.state.facts.epoch == epoch.map { $0 + 1 })
        world.kill(two)
    }

    @Test func stopSignalReleasesTheLease() {
        let one = world.start("one", WidgetBehavior.set)
        let two = world.start("two", WidgetBehavior.set)
        world.pass(5_000)
        world.stop(one)
        #expect(world.ending(of: one) == "returned")
        #expect(server.holder == "")
        world.pass(3_000)
        #expect(two.configuration.state.facts.isLeading)
        world.stop(two)
        #expect(world.time.pending.isEmpty)
    }

    @Test func stopSignalEndsAStandby() {
        let one = world.start("one", WidgetBehavior.set)
        let two = world.start("two", WidgetBehavior.set)
        world.pass(5_000)
        world.stop(two)
        #expect(world.ending(of: two) == "returned")
        #expect(one.configuration.state.facts.isLeading)
        world.kill(one)
    }

    @Test func lostAnswersOfRenewalsDoNotEndATerm() {
        let one = world.start("one", WidgetBehavior.set)
        world.pass(3_000)
        server.fault = { _, request in request.hasPrefix("PATCH") && request.contains("/leases") ? .loseAnswer : nil }
        world.pass(120_000)
        #expect(one.configuration.state.facts.isLeading)
        #expect(world.ending(of: one) == nil)
        #expect(world.journal.count("lease renewal found committed") > 10)
        world.kill(one)
    }

    @Test func lostAnswerOfTheWinningWriteIsAdopted() {
        nonisolated(unsafe) var isFirst = true
        server.fault = { _, request in
            guard isFirst, request.hasPrefix("POST"), request.contains("/leases") else { return nil }
            isFirst = false
            return .loseAnswer
        }
        let one = world.start("one", WidgetBehavior.set)
        world.pass(5_000)
        #expect(one.configuration.state.facts.isLeading)
        world.kill(one)
    }

    @Test func termEndsBeforeAnotherMayBegin() {
        let one = world.start("one", WidgetBehavior.set)
        world.pass(3_000)
        server.fault = { _, request in request.contains("/leases") ? .loseRequest : nil }
        world.pass(7_000)
        #expect(world.ending(of: one) == nil)
        world.pass(4_000)
        #expect(world.ending(of: one)?.contains("leadershipLost") == true)
    }

    @Test func thawedLeaderSendsNothing() {
        let one = world.start("one", WidgetBehavior.set)
        world.pass(3_000)
        server.clearLog()
        // While it was frozen something has happened that it would act upon.
        server.put(MiniServer.widgets + "w", "Widget", ["spec": ["child": "c"]])
        world.jump(60_000)
        world.pass(1_000)
        #expect(server.count("") == server.count("GET"))
        #expect(world.ending(of: one)?.contains("leadershipLost") == true)
    }
}
