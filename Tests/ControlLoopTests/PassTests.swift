// SPDX-License-Identifier: Apache-2.0

import ControlLoop
import JSON
import Reconciler
import Resources
import Seams
import Testing

@Suite struct PassTests {
    private let world = World()
    private var server: MiniServer { world.server }

    private func widget(_ name: String, _ spec: [String: JSONValue]) {
        var fields = JSONObject()
        for key in spec.keys.sorted() { fields[key] = spec[key] }
        server.put(MiniServer.widgets + name, "Widget", ["spec": .object(fields)])
    }

    @Test func statusFirstThenEffectsThenQuiet() {
        widget("w", ["child": "c"])
        let one = world.start("one", WidgetBehavior.set)
        world.pass(100)
        #expect(server.status(of: "w", "child") == "Mine")
        let writes = server.log.filter { !$0.hasPrefix("GET") && !$0.contains("/events") }
        #expect(
            writes == [
                "PUT \(MiniServer.widgets)w/status", "POST /api/v1/namespaces/a/configmaps",
                "PUT \(MiniServer.widgets)w/status",
            ])
        #expect(server.count("POST /api/v1/namespaces/a/events") == 1)
        #expect(one.configuration.state.facts.isSynced)
        server.clearLog()
        world.pass(600_000)
        #expect(server.log == [])
        #expect(world.time.isQuiet)
        world.kill(one)
        #expect(world.ending(of: one) == "CancellationError()")
        #expect(world.time.pending.isEmpty)
    }

    @Test func strangersObjectIsConfirmedAndNeverCached() {
        widget("w", ["child": "c"])
        server.put(MiniServer.configMaps + "c", "ConfigMap")
        let one = world.start("one", WidgetBehavior.set)
        world.pass(1_000)
        #expect(server.status(of: "w", "child") == "Stranger")
        #expect(server.count("POST /api/v1/namespaces/a/configmaps") == 0)
        world.kill(one)
    }

    @Test func refusalIsShownAndSpaced() {
        widget("w", ["child": "c", "isTimid": true])
        server.fault = { _, request in
            request.hasPrefix("POST /api/v1/namespaces/a/configmaps") ? .refuse(422, "Invalid") : nil
        }
        let one = world.start("one", WidgetBehavior.set)
        world.pass(1_000)
        #expect(server.status(of: "w", "trouble") == "Invalid")
        #expect(server.count("POST /api/v1/namespaces/a/configmaps") == 1)
        world.pass(3_600_000)
        let attempts = server.count("POST /api/v1/namespaces/a/configmaps")
        #expect((5...60).contains(attempts), "\(attempts)")
        server.fault = nil
        world.pass(300_000)
        #expect(server.status(of: "w", "child") == "Mine")
        #expect(server.status(of: "w", "trouble") == nil)
        world.kill(one)
    }

    @Test func refusalOfABoldBehaviourIsNotHammered() {
        widget("w", ["child": "c"])
        server.fault = { _, request in
            request.hasPrefix("POST /api/v1/namespaces/a/configmaps") ? .refuse(403, "Forbidden") : nil
        }
        let one = world.start("one", WidgetBehavior.set)
        world.pass(600_000)
        let attempts = server.count("POST /api/v1/namespaces/a/configmaps")
        #expect((8...40).contains(attempts), "\(attempts)")
        #expect(server.count("PUT") <= 3)
        world.kill(one)
    }

    @Test func conflictIsReadAnewAndDecidedAtOnce() {
        widget("w", ["child": "c"])
        let server = server
        nonisolated(unsafe) var isFirst = true
        server.fault = { _, request in
            if isFirst, request.hasPrefix("PUT") {
                isFirst = false
                server.put(MiniServer.widgets + "w", "Widget", labels: ["by": "somebody"])
            }
            return nil
        }
        let one = world.start("one", WidgetBehavior.set)
        #expect(server.status(of: "w", "child") == "Mine")
        world.kill(one)
    }

    @Test func lostAnswerOfACreateIsFound() {
        widget("w", ["child": "c"])
        nonisolated(unsafe) var isFirst = true
        server.fault = { _, request in
            guard isFirst, request.hasPrefix("POST /api/v1/namespaces/a/configmaps") else { return nil }
            isFirst = false
            return .loseAnswer
        }
        let one = world.start("one", WidgetBehavior.set)
        world.pass(1_000)
        #expect(server.status(of: "w", "child") == "Mine")
        world.kill(one)
    }

    @Test func wakesAtTheMomentAndHoldsNothingAfterwards() {
        let moment = world.time.now.adding(seconds: 90)
        widget("w", ["child": "c", "wakeAt": .string(moment.rfc3339)])
        let one = world.start("one", WidgetBehavior.set)
        world.pass(89_000)
        #expect(server.status(of: "w", "phase") == "Working")
        #expect(one.configuration.state.facts.readers == 1)
        world.pass(1_100)
        #expect(server.status(of: "w", "phase") == "Done")
        #expect(one.configuration.state.facts.readers == 0)
        #expect(one.configuration.state.facts.topics == 0)
        #expect(world.time.isQuiet)
        world.kill(one)
    }

    @Test func whatOnceFailedAndIsNotWantedAnyMoreKeepsNobodyFromWakingInTime() {
        widget("w", ["child": "c"])
        nonisolated(unsafe) var isFirst = true
        server.fault = { _, request in
            guard isFirst, request.hasPrefix("POST /api/v1/namespaces/a/configmaps") else { return nil }
            isFirst = false
            return .loseAnswer
        }
        let one = world.start("one", WidgetBehavior.set)
        world.pass(60_000)
        #expect(server.status(of: "w", "child") == "Mine")
        let moment = world.time.now.adding(seconds: 90)
        widget("w", ["child": "c", "wakeAt": .string(moment.rfc3339)])
        world.pass(89_000)
        #expect(server.status(of: "w", "phase") == "Working")
        world.pass(1_100)
        #expect(server.status(of: "w", "phase") == "Done")
        world.kill(one)
    }

    @Test func whatFailedAndThenWentThroughUnheardKeepsNobodyFromWakingInTime() {
        let moment = world.time.now.adding(seconds: 90)
        widget("w", ["secret": "s", "wakeAt": .string(moment.rfc3339)])
        nonisolated(unsafe) var isFirst = true
        server.fault = { _, request in
            guard isFirst, request.hasPrefix("POST /api/v1/namespaces/a/secrets") else { return nil }
            isFirst = false
            return .refuse(500, "InternalError")
        }
        let one = world.start("one", WidgetBehavior.set)
        world.pass(89_000)
        #expect(server.count("POST /api/v1/namespaces/a/secrets") == 2)
        #expect(server.status(of: "w", "phase") == "Working")
        world.pass(1_100)
        #expect(server.status(of: "w", "phase") == "Done")
        world.kill(one)
    }

    @Test func ledgerIsAskedAgainWhileItIsReadAndAway() {
        world.ledger.setAway(true)
        widget("w", ["isRecorded": true])
        let one = world.start("one", WidgetBehavior.set)
        world.pass(60_000)
        #expect(server.status(of: "w", "row") == "away")
        #expect((3...30).contains(world.ledger.asked))
        #expect(server.count("PUT") <= 2)
        world.ledger.setAway(false)
        world.pass(60_000)
        #expect(server.status(of: "w", "row") == "pending")
        #expect(world.ledger.epochs.count == 1)
        let asked = world.ledger.asked
        world.pass(600_000)
        #expect(world.ledger.asked == asked)
        world.kill(one)
    }

    @Test func undecodableObjectStopsNoOther() {
        server.put(MiniServer.widgets + "broken", "Widget", ["spec": "no object"])
        widget("w", ["child": "c"])
        let one = world.start("one", WidgetBehavior.set)
        world.pass(1_000)
        #expect(server.status(of: "w", "child") == "Mine")
        #expect(world.journal.count("object can't be decoded") == 1)
        #expect(one.configuration.state.facts.unreadableObjects == 1)
        widget("broken", ["child": "d"])
        world.pass(1_000)
        #expect(server.status(of: "broken", "child") == "Mine")
        world.kill(one)
    }

    @Test func deletedChildIsMadeAgainOnlyAfterAQuorumRead() {
        widget("w", ["child": "c"])
        let one = world.start("one", WidgetBehavior.set)
        world.pass(1_000)
        server.clearLog()
        server.remove(MiniServer.configMaps + "c")
        world.pass(1_000)
        let calls = server.log.filter { $0.contains("configmaps") }
        #expect(calls.first == "GET \(MiniServer.configMaps)c")
        #expect(calls.contains("POST /api/v1/namespaces/a/configmaps"))
        #expect(server.objects[MiniServer.configMaps + "c"] != nil)
        world.kill(one)
    }

    @Test func watchesGoOnAfterTheirEnd() {
        let one = world.start("one", WidgetBehavior.set)
        world.pass(5_000)
        server.clearLog()
        server.endWatches()
        widget("w", ["child": "c"])
        world.pass(5_000)
        #expect(server.status(of: "w", "child") == "Mine")
        #expect(server.count("GET /apis/test.dev/v1/widgets") == 0)
        world.kill(one)
    }
}
