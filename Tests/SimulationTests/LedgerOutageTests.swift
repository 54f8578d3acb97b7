// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import Seams
import TestSupport
import Testing

/// The ledger is away: nothing begins without it, nothing under way stops, and nothing is lost.
@Suite struct LedgerOutageTests {
    private func spools(_ story: Story) -> Int {
        story.world.api.all(.configMaps, in: Simulation.controllerNamespace).count
    }

    private func step(_ name: String, _ story: Story) -> Bool {
        story.world.run(atMost: 600) {
            story.run?.items("status", "restore", "completedSteps").contains { $0.string == name } ?? false
        }
    }

    @Test func downAtTheStartNothingIsMade() throws {
        let story = Story()
        story.world.ledger.setDown(true)
        story.world.start()
        story.world.apply(Story.clone())
        story.world.run(seconds: 900)
        #expect(story.runState == "Pending", "\(story.report)")
        #expect(story.cloneReason == "WaitingForLedger", "\(story.report)")
        #expect(story.statefulSets.isEmpty && story.claims.isEmpty && story.services.isEmpty)
        story.world.ledger.setDown(false)
        #expect(story.world.runUntilQuiet())
        #expect(story.isReady, "\(story.report)")
        try expectOneService(story)
    }

    @Test func downInTheMiddleItGoesOn() throws {
        let story = Story()
        story.world.start()
        story.world.apply(Story.clone())
        #expect(step("Claim", story), "\(story.report)")
        story.world.ledger.setDown(true)
        #expect(step("Seal", story), "\(story.report)")
        story.world.ledger.setDown(false)
        #expect(story.world.runUntilQuiet())
        #expect(story.isReady, "\(story.report)")
        try expectOneService(story)
    }

    @Test func downAtTheEndTheOutcomeIsSpooled() throws {
        let story = Story()
        story.world.start()
        story.world.apply(Story.clone())
        #expect(step("Seal", story), "\(story.report)")
        story.world.ledger.setDown(true)
        #expect(story.world.runUntilQuiet())
        #expect(story.isReady, "\(story.report)")
        #expect(spools(story) == 1)
        #expect(story.run?.items("metadata", "finalizers").isEmpty == true)
        #expect(Story.condition(story.run, "Recorded")?.text("reason") == "Spooled")
        // Even a run that is deleted now is not lost.
        story.world.ledger.setDown(false)
        #expect(story.world.runUntilQuiet())
        #expect(spools(story) == 0, "\(story.report)")
        #expect(Story.condition(story.run, "Recorded")?.text("status") == "True", "\(story.report)")
        try expectOneService(story)
    }

    @Test func awayFromTheBeginningABestEffortRunStartsWithItsSpoolAsItsRow() throws {
        let story = Story()
        story.world.ledger.setDown(true)
        story.world.start()
        let wanted = Story.clone()["spec"]?["service"] ?? .null
        story.world.apply([
            "apiVersion": "reprise.dev/v1alpha1", "kind": "RestoreRun",
            "metadata": ["name": "monday", "namespace": .string(Story.space)],
            "spec": [
                "mode": "NewService", "source": Story.clone()["spec"]?["source"] ?? .null,
                "target": ["newService": wanted], "ledger": "BestEffort",
            ],
        ])
        story.world.run(seconds: 100)
        #expect(story.runState == "Pending" && spools(story) == 0, "\(story.report)")
        #expect(story.run?.text("status", "message")?.contains("BestEffort") == true)
        #expect(step("Claim", story), "\(story.report)")
        #expect(spools(story) == 1 && story.rows.isEmpty)
        #expect(Story.condition(story.run, "Recorded")?.text("reason") == "BestEffort")
        #expect(story.world.runUntilQuiet())
        #expect(story.runState == "Completed", "\(story.report)")
        #expect(spools(story) == 1 && story.rows.isEmpty)
        story.world.ledger.setDown(false)
        #expect(story.world.runUntilQuiet())
        #expect(spools(story) == 0, "\(story.report)")
        let key = try #require(story.world.ledger.runs.first?.key)
        #expect(story.rows.map(\.columns.status) == ["completed"])
        let audit = story.world.ledger.audit(key)
        #expect(audit.map(\.operation) == [.accepted, .started, .finished])
        #expect(audit[1].detail?.hasSuffix(" ledger=BestEffort") == true)
    }

    @Test func aSpooledRunMayBeDeleted() throws {
        let story = Story()
        story.world.start()
        story.world.apply(Story.clone())
        #expect(step("Seal", story), "\(story.report)")
        story.world.ledger.setDown(true)
        #expect(story.world.runUntilQuiet())
        let name = story.run?.text("metadata", "name") ?? ""
        story.world.user(.delete, ModelKey(.runs, Story.space, name))
        #expect(story.world.runUntilQuiet())
        #expect(story.runs.isEmpty)
        story.world.ledger.setDown(false)
        #expect(story.world.runUntilQuiet())
        #expect(spools(story) == 0)
        #expect(story.rows.map(\.columns.status) == ["completed"])
    }
}
