// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import Seams
import TestSupport
import Testing

/// Runs that are cancelled, and services that somebody takes apart afterwards.
@Suite struct EndingTests {
    private static let run = ModelKey(.runs, Story.space, "by-hand")

    private func story() -> Story {
        let story = Story()
        story.world.start()
        let spec = Story.clone()["spec"] ?? .null
        story.world.apply([
            "apiVersion": "reprise.dev/v1alpha1", "kind": "RestoreRun",
            "metadata": ["name": "by-hand", "namespace": .string(Story.space)],
            "spec": [
                "mode": "NewService", "source": spec["source"] ?? .null, "recoveryTarget": ["kind": "Latest"],
                "target": ["newService": spec["service"] ?? .null],
            ],
        ])
        return story
    }

    /// After which of its steps a run is cancelled; `nil`: while it is planned.
    static let steps: [String?] = [nil, "Planned", "Claim", "Provision", "Restore", "Quiesce", "Seal"]

    private func reach(_ step: String?, _ story: Story) -> Bool {
        story.world.run(atMost: 600) {
            switch step {
            case nil: !story.jobs.isEmpty
            case "Planned": Story.condition(story.run, "Planned")?.text("status") == "True"
            case let step?:
                story.run?.items("status", "restore", "completedSteps").contains { $0.string == step } ?? false
            }
        }
    }

    private func expectNothingLeft(_ story: Story) {
        #expect(story.statefulSets.isEmpty && story.claims.isEmpty && story.services.isEmpty, "\(story.report)")
        let pods = story.world.api.all(.pods, in: Story.space).filter {
            !["Succeeded", "Failed"].contains($0.object.text("status", "phase"))
        }
        #expect(pods.isEmpty, "\(pods.map(\.key.name))")
        #expect(story.rows.map(\.columns.status) == ["cancelled"], "\(story.report)")
        #expect(story.world.kubelet.violations.isEmpty)
    }

    @Test(arguments: steps) func cancelled(after step: String?) throws {
        let story = story()
        #expect(reach(step, story), "\(story.report)")
        story.world.user(.patch, Self.run, ["spec": ["cancel": true]])
        #expect(story.world.runUntilQuiet())
        #expect(story.runState == "Cancelled", "\(story.report)")
        #expect(story.runReason == "Cancelled")
        expectNothingLeft(story)
    }

    @Test(arguments: steps) func deleted(after step: String?) throws {
        let story = story()
        #expect(reach(step, story), "\(story.report)")
        story.world.user(.delete, Self.run)
        #expect(story.world.runUntilQuiet())
        #expect(story.runs.isEmpty, "\(story.report)")
        expectNothingLeft(story)
        #expect(story.jobs.isEmpty)
    }

    @Test func cancelledAfterItWasOpenedTheServiceStays() throws {
        let story = story()
        #expect(reach("Open", story), "\(story.report)")
        story.world.user(.patch, Self.run, ["spec": ["cancel": true]])
        #expect(story.world.runUntilQuiet())
        #expect(story.runState == "Cancelled", "\(story.report)")
        #expect(story.statefulSets.count == 1 && story.claims.count == 1)
        #expect(story.rows.map(\.columns.status) == ["cancelled"])
    }

    // MARK: Afterwards

    private func clonedStory() -> Story {
        let story = Story()
        story.world.start()
        story.world.apply(Story.clone())
        #expect(story.world.runUntilQuiet() && story.isReady, "\(story.report)")
        return story
    }

    @Test func aDeletedStatefulSetIsMadeAgainAroundItsData() throws {
        let story = clonedStory()
        story.world.user(.delete, ModelKey(.statefulSets, Story.space, Story.name))
        #expect(story.world.runUntilQuiet())
        #expect(story.isReady, "\(story.report)")
        #expect(story.runs.count == 1)
        try expectOneService(story)
        #expect(story.world.kubelet.violations.isEmpty, "\(story.world.kubelet.violations)")
    }

    @Test func deletedDataIsNotRestoredAgain() throws {
        let story = clonedStory()
        story.world.user(.delete, ModelKey(.statefulSets, Story.space, Story.name))
        story.world.user(.delete, ModelKey(.claims, Story.space, "data-\(Story.name)-0"))
        #expect(story.world.runUntilQuiet())
        #expect(story.cloneReason == "DataMissing", "\(story.report)")
        #expect(story.runs.count == 1)
        #expect(story.rows.map(\.columns.status) == ["completed"])
    }

    @Test func dataThatIsGoneUnderAStoppedServiceIsSaidOnce() throws {
        let story = clonedStory()
        story.world.user(
            .patch, ModelKey(.statefulSets, Story.space, Story.name), ["spec": ["replicas": 0]])
        #expect(story.world.runUntilQuiet())
        story.world.user(.delete, ModelKey(.claims, Story.space, "data-\(Story.name)-0"))
        // A pod that has ended holds its claim.
        for job in story.jobs { story.world.user(.delete, ModelKey(.jobs, Story.space, job)) }
        let before = story.world.wire.writeCount
        #expect(story.world.runUntilQuiet())
        #expect(story.claims.isEmpty)
        #expect(story.cloneReason == "DataMissing", "\(story.report)")
        #expect(story.world.wire.writeCount - before < 12, "an answer is no reason to write")
    }

    @Test func anEmptyVolumeInTheDatasPlaceIsNoticed() throws {
        let story = clonedStory()
        story.world.user(.delete, ModelKey(.claims, Story.space, "data-\(Story.name)-0"))
        story.world.user(.delete, ModelKey(.pods, Story.space, "\(Story.name)-0"))
        #expect(story.world.runUntilQuiet())
        // Kubernetes made the claim again, and the image a new database system on it.
        #expect(story.claims.count == 1)
        #expect(story.volume?.cluster?.rows == [])
        #expect(!story.isReady)
        #expect(story.cloneReason == "DataMissing", "\(story.report)")
    }
}
