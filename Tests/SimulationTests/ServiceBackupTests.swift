// SPDX-License-Identifier: Apache-2.0

import JSON
import Reconciler
import Resources
import TestSupport
import Testing

/// The whole loop, from a bucket to objects that can be restored from, and back.
@Suite struct ServiceBackupSimulationTests {
    private static let oldest = "base_000000010000000000000002"

    private func backups(_ world: Simulation) -> [JSONValue] {
        world.api.all(.backups, in: Story.space).map(\.object)
    }

    private func states(_ world: Simulation) -> [String] {
        backups(world).map { $0.text("status", "state") ?? "-" }.sorted()
    }

    private func told() -> Story {
        let story = Story()
        story.seedFourOrders()
        var repository = Story.repository("prod-readonly", bucket: "prod", prefix: "postgres")
        repository.set(["spec", "scan"], ["interval": "10m"])
        repository.set(["spec", "discovery"], ["createBackups": "Newest"])
        story.world.start()
        story.world.apply(repository)
        return story
    }

    @Test func aBackupIsFoundAndRestoredByItsNameAndSaysSoWhenItIsGone() throws {
        let story = told()
        let world = story.world
        #expect(world.run(atMost: 600, until: { states(world) == ["Ready", "Ready"] }), "\(story.report)")
        world.run(seconds: 30)
        var writes = 0
        world.api.observers.append { if $0.key.kind == .backups { writes += 1 } }
        world.run(seconds: 1_500)
        #expect(writes == 0, "nothing is new")

        let name = DiscoveredBackups.name(
            repository: "prod-readonly", path: "orders-db", major: 15, backup: Self.oldest)
        world.apply(
            Story.clone {
                $0.set(["spec", "source"], ["backup": ["name": .string(name)]])
                $0.set(["spec", "recoveryTarget"], nil)
            })
        #expect(world.run(atMost: 3_600, until: { story.isReady }), "\(story.report)")
        #expect(story.volume?.cluster?.rows == ["order 1"])
        #expect(story.run?.text("status", "plan", "baseBackup") == Self.oldest)
        #expect(story.run?.text("status", "restore", "discovered", "path") == "orders-db")

        world.stores.removeBackup(from: "prod/\(Story.sourcePath)/15", named: Self.oldest)
        #expect(world.run(atMost: 2_000, until: { states(world) == ["Failed", "Ready"] }))
        let gone = try #require(world.api[ModelKey(.backups, Story.space, name)])
        #expect(Story.condition(gone, "Ready")?.text("reason") == "SourceExpired")
        #expect(gone.text("status", "expiredAt") != nil)
        // It has been so for a day.
        world.api.change(ModelKey(.backups, Story.space, name)) {
            $0.set(["status", "expiredAt"], .string(world.scheduler.wall.adding(seconds: -86_400).rfc3339))
        }
        #expect(world.run(atMost: 60, until: { states(world) == ["Ready"] }))
        #expect(world.stores.puts.filter { $0.bucket == "prod" }.isEmpty)
    }

    @Test func whoWantsNoneAnyMoreHasNoneAfterTheNextScan() {
        let story = told()
        let world = story.world
        #expect(world.run(atMost: 600, until: { states(world) == ["Ready", "Ready"] }), "\(story.report)")
        world.apply(Story.repository("prod-readonly", bucket: "prod", prefix: "postgres"))
        world.api.change(ModelKey(.repositories, Story.space, "prod-readonly")) {
            $0.set(["spec", "discovery"], ["createBackups": "None"])
        }
        #expect(world.run(atMost: 600, until: { backups(world).isEmpty }), "\(states(world))")
    }
}
