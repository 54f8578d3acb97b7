// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import Seams
import TestSupport
import Testing

/// A service's own archive, namespaces that go, and the words of events.
@Suite struct WorldArchiveTests {
    private static let own = "staging/orders-staging/15"
    private static let pod = ModelKey(.pods, Story.space, "\(Story.name)-0")

    private func clonedStory() -> Story {
        let story = Story()
        story.world.start()
        story.world.apply(Story.clone())
        #expect(story.world.runUntilQuiet() && story.isReady, "\(story.report)")
        return story
    }

    @Test func theOwnArchiveLeadsToWhatTheServiceServes() {
        let story = clonedStory()
        let stores = story.world.stores
        #expect(stores.restored(Self.own) == story.volume?.cluster?.rows)
        #expect(story.world.happen(.commit(Self.pod, "order 9")))
        #expect(stores.restored(Self.own) != story.volume?.cluster?.rows, "it was not archived yet")
        story.world.run(seconds: 70)
        #expect(stores.restored(Self.own) == ["order 1", "order 2", "order 3", "order 9"])
        #expect(stores.restored(Self.own) == story.volume?.cluster?.rows)
        let writers = Set(stores.puts(below: Self.own).map { $0.by.contains("-backup-") ? "backup" : $0.by })
        #expect(writers == ["\(Story.name)-0", "backup"])
        #expect(stores.puts(below: "prod").isEmpty)
        #expect(stores.listing(Self.own)?.backups.first?.startLSN == "0/A000028")
    }

    @Test func clientsThatStayCostTheLastRows() {
        let story = clonedStory()
        story.world.kubelet.clientsStay = true
        #expect(story.world.happen(.commit(Self.pod, "order 9")))
        story.world.happen(.deletePod(Self.pod))
        story.world.run(seconds: 5)
        story.world.kubelet.clientsStay = false
        #expect(story.world.stores.restored(Self.own)?.contains("order 9") == false)
        // The data has it, and archives it after the next start.
        #expect(story.world.runUntilQuiet() && story.isReady, "\(story.report)")
        #expect(story.volume?.cluster?.rows.contains("order 9") == true)
        #expect(story.world.stores.restored(Self.own)?.contains("order 9") == true)
    }

    // MARK: The backup's own refusals

    private func backup(_ stage: WorldStage, _ password: String, host: String) -> String? {
        stage.world.apply([
            "apiVersion": "v1", "kind": "Secret",
            "metadata": ["name": "credentials", "namespace": .string(WorldStage.space)],
            "stringData": ["password": .string(password)],
        ])
        stage.world.apply(
            WorldStage.job { job in
                job.set(["metadata", "name"], "x-backup-1")
                let environment = [
                    "PGHOST": host, "WALG_S3_PREFIX": "s3://staging/db/15", "AWS_ACCESS_KEY_ID": "both",
                    "AWS_SECRET_ACCESS_KEY": "b", "REPRISE_RUN_UID": "run", "REPRISE_DEADLINE_SECONDS": "30",
                ]
                let env = environment.sorted { $0.key < $1.key }.map { name, value -> JSONValue in
                    ["name": .string(name), "value": .string(value)]
                }
                job.set(
                    ["spec", "template", "spec", "containers"],
                    [["name": "main", "image": .string(Story.image), "env": .array(env)]])
                job.set(
                    ["spec", "template", "spec", "volumes"],
                    [
                        ["name": "data", "persistentVolumeClaim": ["claimName": "data-db-0", "readOnly": true]],
                        ["name": "credentials", "secret": ["secretName": "credentials"]],
                    ])
            })
        func ended() -> JSONValue? {
            stage.pods.first {
                $0.text("metadata", "name")?.hasPrefix("x-backup") == true && $0.text("status", "phase") == "Succeeded"
            }
        }
        _ = stage.wait { ended() != nil }
        return ended()?.items("status", "containerStatuses").first?.text("state", "terminated", "message")
    }

    private func servingStage() -> (WorldStage, String) {
        let stage = WorldStage()
        stage.world.apply(WorldStage.manifest(variables: ["WALG_CLONE_FROM": ""]))
        #expect(stage.wait { stage.isReady })
        return (stage, stage.pod?.text("status", "podIP") ?? "")
    }

    @Test func aWrongPasswordIsRefused() {
        let (stage, address) = servingStage()
        #expect(backup(stage, "other", host: address)?.contains("LoginRefused") == true)
        #expect(stage.stores.archives["staging/db/15"] == nil)
    }

    @Test func nobodyAtTheAddressIsWaitedForAndThenGivenUp() {
        let (stage, _) = servingStage()
        #expect(backup(stage, "own", host: "10.9.9.9")?.contains("DeadlineExceeded") == true)
    }

    @Test func theServerOfAnotherVolumeIsNoticed() {
        let (stage, _) = servingStage()
        stage.world.apply(
            WorldStage.manifest(variables: ["WALG_CLONE_FROM": ""]) { $0.set(["metadata", "name"], "other") })
        let other = ModelKey(.pods, WorldStage.space, "other-0")
        #expect(stage.wait { stage.world.kubelet.volume(WorldStage.space, "data-other-0")?.cluster != nil })
        stage.run(10)
        let address = stage.api[other]?.text("status", "podIP") ?? ""
        #expect(backup(stage, "own", host: address)?.contains("VolumeMismatch") == true)
    }

    @Test func theRightServerIsBackedUp() {
        let (stage, address) = servingStage()
        #expect(backup(stage, "own", host: address)?.contains("\"OK\"") == true)
        #expect(stage.stores.restored("staging/db/15") == [])
        #expect(stage.stores.archives["staging/db/15"]?.backups.first?.mark == "run")
    }

    // MARK: Namespaces

    @Test func aNamespaceIsEmptiedAndThenGone() throws {
        let stage = WorldStage()
        stage.world.apply(WorldStage.manifest())
        #expect(stage.wait { stage.isReady })
        let held = ModelKey(.configMaps, WorldStage.space, "held")
        _ = try stage.api.create(held, ["metadata": ["name": "held", "finalizers": ["example.com/hold"]]])
        let namespace = ModelKey(.namespaces, "", WorldStage.space)
        let uid = stage.api[namespace]?.text("metadata", "uid")
        stage.world.happen(.recreateNamespace(WorldStage.space))
        stage.run(60)
        #expect(stage.api[namespace]?.text("status", "phase") == "Terminating")
        #expect(stage.pods.isEmpty && stage.api[WorldStage.claim] == nil && stage.api[held] != nil)
        let refused = stage.world.apply(WorldStage.job())
        #expect(refused.status == 403)
        #expect(String(decoding: refused.body, as: UTF8.self).contains("NamespaceTerminating"))
        stage.world.happen(.edit(held, .dropFinalizers))
        #expect(stage.wait { stage.api[namespace]?.text("status", "phase") == "Active" })
        #expect(stage.api[namespace]?.text("metadata", "uid") != uid)
        #expect(stage.world.apply(WorldStage.job()).status == 201)
    }

    // MARK: Events

    private static let events: [WorldEvent] = [
        .deletePod(pod), .evict(pod), .killContainer(pod), .forceDeletePod(pod), .hang(pod),
        .loseNode("node-1", crashed: true, seconds: 30), .loseNode("node-1", crashed: false, seconds: 400),
        .delete(WorldStage.set), .recreate(WorldStage.claim), .edit(pod, .removeLabel("app")),
        .edit(pod, .annotate("a/b", "c")), .edit(WorldStage.set, .scale(0)), .edit(pod, .dropOwners),
        .edit(WorldStage.set, .setVariable("WALG_CLONE_FROM", "s3://prod/x/15")), .edit(pod, .dropFinalizers),
        .edit(WorldStage.set, .setVariable("WALG_CLONE_FROM", "")),
        .scaler(WorldStage.set, every: 7, to: 1, until: 90), .deleteNamespace("play"), .recreateNamespace("play"),
        .newBackup("prod/a/15"), .newWAL("prod/a/15"), .deleteBackup("prod/a/15"), .loseSegment("prod/a/15", 4),
        .bucketUnreachable("prod", seconds: 9), .revoke("reader", seconds: 8), .storeClock(-3_600),
        .imageGone(Story.image, seconds: 60), .podsRefused("play", seconds: 5), .commit(pod, "order 12"),
    ]

    @Test(arguments: events) func anEventIsReadFromItsWords(_ event: WorldEvent) {
        #expect(WorldEvent(words: event.description) == event, "\(event)")
    }

    @Test func aForeignScalerKeepsScalingUntilItEnds() {
        let stage = WorldStage()
        stage.world.apply(WorldStage.manifest())
        stage.world.happen(.scaler(WorldStage.set, every: 5, to: 2, until: 30))
        func replicas() -> Int64? { stage.api[WorldStage.set]?.integer("spec", "replicas") }
        stage.world.happen(.edit(WorldStage.set, .scale(0)))
        stage.run(6)
        #expect(replicas() == 2)
        stage.run(60)
        stage.world.happen(.edit(WorldStage.set, .scale(0)))
        stage.run(30)
        #expect(replicas() == 0)
    }

    @Test func theStoresClockAndItsKeysMayChange() {
        let stage = WorldStage()
        let environment = ["AWS_ACCESS_KEY_ID": "both", "AWS_SECRET_ACCESS_KEY": "b"]
        stage.world.happen(.revoke("both", seconds: 10))
        #expect(stage.stores.refusal(environment, bucket: "prod", writing: false) == "WrongCredentials")
        stage.world.happen(.storeClock(-3_600))
        stage.run(20)
        #expect(stage.stores.refusal(environment, bucket: "prod", writing: false) == nil)
        let name = stage.stores.addBackup(to: WorldStage.source)
        #expect(name == "base_000000010000000000000007")
        let written = stage.stores.archives[WorldStage.source]?.latest?.written
        #expect(written == stage.world.scheduler.epoch.adding(seconds: -3_580))
    }
}
