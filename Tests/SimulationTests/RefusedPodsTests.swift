// SPDX-License-Identifier: Apache-2.0

import JSON
import Seams
import TestSupport
import Testing

/// A namespace whose quota refuses pods, under the production loop.
@Suite struct RefusedPodsTests {
    private static func stalled(_ object: JSONValue?) -> JSONValue? {
        let condition = Story.condition(object, "Stalled")
        return condition?.text("status") == "True" ? condition : nil
    }

    private static func asked(_ story: Story) -> Int {
        story.world.wire.calls.count { $0.target.contains("involvedObject.uid") }
    }

    @Test func theRunSaysItInTheQuotasWordsAndGoesOn() throws {
        let story = Story()
        let world = story.world
        world.start()
        // Not the scans that come by themselves: Jobs of the run.
        #expect(world.runUntilQuiet())
        #expect(Self.asked(story) == 0, "nobody reads Events of Jobs that go well")
        world.happen(.podsRefused(Story.space, seconds: 150))
        world.apply(Story.clone())
        #expect(
            world.run(atMost: 45) { Self.stalled(story.run)?.text("reason") == "JobPodsForbidden" }, "\(story.report)")
        #expect(Self.stalled(story.run)?.text("message")?.contains("exceeded quota: pods, requested: pods=1") == true)
        world.run(seconds: 60)
        let written = story.run?.text("metadata", "resourceVersion")
        world.run(seconds: 40)
        #expect(story.run?.text("metadata", "resourceVersion") == written, "said once")
        #expect(Self.stalled(story.run) != nil)
        #expect(world.run(atMost: 600) { story.isReady }, "\(story.report)")
        #expect(world.runUntilQuiet())
        #expect(Self.stalled(story.run) == nil)
        #expect((1...12).contains(Self.asked(story)), "\(Self.asked(story))")
        try expectOneService(story)
        #expect(world.scheduler.foreign == 0)
    }

    @Test func aStatefulSetWithoutAPodSaysItToo() throws {
        let story = Story()
        let world = story.world
        world.start()
        world.api.observers.append { change in
            guard change.key.kind == .statefulSets, change.kind == .added else { return }
            world.happen(.podsRefused(Story.space, seconds: 100))
        }
        world.apply(Story.clone())
        #expect(
            world.run(atMost: 600) { Self.stalled(story.run)?.text("reason") == "PodsForbidden" }, "\(story.report)")
        #expect(Self.stalled(story.run)?.text("message")?.contains("exceeded quota") == true)
        // Until Kubernetes tries again it is quiet.
        #expect(world.run(atMost: 600) { story.isReady }, "\(story.report)")
        #expect(world.runUntilQuiet())
        try expectOneService(story)
    }

    @Test func whoMayNotReadEventsIsToldWhereToLook() throws {
        let story = Story()
        let world = story.world
        world.wire.interfere = { call, moment in
            guard call.verb == "GET", call.target.contains("/events?"), moment == .arriving else { return .none }
            let body = #"{"kind":"Status","status":"Failure","reason":"Forbidden","message":"no events","code":403}"#
            return .answer(
                HTTPResponse(
                    status: 403, headers: [HTTPHeader("Content-Type", "application/json")], body: Array(body.utf8))
            )
        }
        world.start()
        world.happen(.podsRefused(Story.space, seconds: 100))
        world.apply(Story.clone())
        #expect(world.run(atMost: 45) { Self.stalled(story.run)?.text("reason") == "NoPod" }, "\(story.report)")
        let message = Self.stalled(story.run)?.text("message") ?? ""
        #expect(message.contains("no events") && message.contains("kubectl -n staging describe job"), "\(message)")
        #expect(world.run(atMost: 600) { story.isReady }, "\(story.report)")
    }
}
