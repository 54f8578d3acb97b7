// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import TestSupport
import Testing

@Suite struct CloneTests {
    @Test func theProductionLoopClonesAService() throws {
        let story = Story()
        let world = story.world
        world.start()
        var servedTooEarly = false
        world.api.observers.append { change in
            if change.key.kind == .services, change.key.name == Story.name, story.volume?.cluster?.isSealed != true {
                servedTooEarly = true
            }
        }
        world.apply(Story.clone())
        #expect(world.runUntilQuiet())
        #expect(story.isReady, "\(story.report)")
        #expect(story.runState == "Completed", "\(story.report)")
        try expectOneService(story)
        let secret = world.api[ModelKey(.secrets, Story.space, "\(Story.name)-credentials")]
        #expect(
            secret?.text("data", "database") == "cG9zdGdyZXM=" && secret?.text("data", "username") == "cG9zdGdyZXM=")
        #expect(!servedTooEarly)
        #expect(world.scheduler.foreign == 0)
        #expect(world.kubelet.violations.isEmpty, "\(world.kubelet.violations)")
        // Quiet: nothing but the lease for ten minutes, and the same manifest again changes nothing.
        var writes = world.writeCount
        world.run(seconds: 600)
        #expect(world.writeCount == writes)
        writes = world.writeCount
        let revision = world.api.revision
        world.apply(Story.clone())
        #expect(world.api.revision == revision)
        world.run(seconds: 60)
        #expect(world.writeCount == writes)
    }

    @Test func theSameSeedGivesTheSameTrace() {
        func trace(_ seed: UInt64) -> [String] {
            let story = Story(seed: seed)
            story.world.start()
            story.world.apply(Story.clone())
            _ = story.world.runUntilQuiet()
            #expect(story.isReady, "\(story.report)")
            return story.world.wire.trace
        }
        let first = trace(7)
        #expect(first == trace(7))
        #expect(first != trace(8))
        #expect(first.count > 100)
    }
}

/// The end state of a clone that came through, whatever happened on the way.
func expectOneService(_ story: Story, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let world = story.world
    #expect(story.statefulSets.count == 1, sourceLocation: sourceLocation)
    #expect(story.claims.count == 1, sourceLocation: sourceLocation)
    #expect(story.rows.count == 1, sourceLocation: sourceLocation)
    #expect(story.rows.first?.columns.status == "completed", sourceLocation: sourceLocation)
    #expect(story.services == [Story.name, "\(Story.name)-pods"], sourceLocation: sourceLocation)
    let set = try #require(story.statefulSets.first, sourceLocation: sourceLocation)
    let container = try #require(set.items("spec", "template", "spec", "containers").first)
    let variables = container.items("env").compactMap { $0.text("name") }
    #expect(!variables.contains("WALG_CLONE_FROM"), sourceLocation: sourceLocation)
    #expect(variables.contains("WALG_S3_PREFIX"), sourceLocation: sourceLocation)
    #expect(container["args"] == nil, sourceLocation: sourceLocation)
    #expect(container["startupProbe"] == nil, sourceLocation: sourceLocation)
    #expect(set.integer("spec", "replicas") == 1, sourceLocation: sourceLocation)
    let restored = try #require(story.volume?.cluster, sourceLocation: sourceLocation)
    #expect(restored.rows == ["order 1", "order 2", "order 3"], sourceLocation: sourceLocation)
    #expect(restored.isSealed, sourceLocation: sourceLocation)
    #expect(restored.password != "the source's password" && restored.password.count >= 32)
    #expect(restored.password == world.secretText(Story.space, "\(Story.name)-credentials", "password"))
    #expect(world.stores.puts.allSatisfy { $0.bucket == "staging" }, sourceLocation: sourceLocation)
    #expect(world.stores.puts.contains { $0.key.hasSuffix("_backup_stop_sentinel.json") })
}
