// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import TestSupport
import Testing

/// Images that do something else than they were asked for.
@Suite struct ImageTests {
    @Test func anImageThatRunsInitdbIsFoundOut() throws {
        let story = Story()
        let before = Footprint(story)
        story.world.start()
        story.world.apply(Story.clone { $0.set(["spec", "service", "image"], .string(Story.image + "-initdb")) })
        #expect(story.world.runUntilQuiet())
        #expect(story.cloneReason == "RestoreNotPerformed", "\(story.report)")
        #expect(story.runs.count == 1)
        #expect(story.runState == "Failed", "\(story.report)")
        #expect(story.rows.map(\.columns.status) == ["failed"])
        let after = Footprint(story)
        #expect(after.statefulSets == 0 && after.claims == 0)
        #expect(after.services == before.services)
        #expect(story.world.stores.puts.isEmpty)
        #expect(story.world.kubelet.violations.isEmpty)
    }

    @Test func anotherBaseBackupIsSaid() throws {
        let story = Story()
        story.world.start()
        story.world.apply(
            Story.clone { $0.set(["spec", "service", "image"], .string(Story.image + "-other-backup")) })
        #expect(story.world.runUntilQuiet())
        #expect(story.isReady, "\(story.report)")
        try expectOneService(story)
        #expect(Story.condition(story.run, "Verified")?.text("reason") == "OtherBaseBackup")
    }
}
