// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Resources
import TestSupport
import Testing

/// To a moment, by each way. What counts is the rows that come back.
@Suite struct MomentTests {
    static func story(seed: UInt64 = 1) -> Story {
        let story = Story(seed: seed)
        story.seedFourOrders()
        return story
    }

    static func clone(_ story: Story, at seconds: Int64, image: String = Story.image) -> JSONValue {
        let moment = story.world.scheduler.epoch.adding(seconds: seconds)
        return Story.clone {
            $0.set(["spec", "recoveryTarget"], ["kind": "Time", "time": .string(moment.rfc3339)])
            $0.set(["spec", "service", "image"], .string(image))
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var at: Int64
        var path: String
        var rows: [String]
    }

    static let cases = [
        Case(
            testDescription: "after the newest base backup", at: -1_000, path: "Entrypoint",
            rows: ["order 1", "order 2", "order 3"]),
        Case(
            testDescription: "between the base backups: LATEST would have given a row too many", at: -60_000,
            path: "InitContainer", rows: ["order 1"]),
    ]

    @Test(arguments: cases) func exactlyWhatWasThere(_ expected: Case) throws {
        let story = Self.story()
        story.world.start()
        story.world.apply(Self.clone(story, at: expected.at))
        #expect(story.world.runUntilQuiet())
        #expect(story.isReady, "\(story.report)")
        #expect(story.run?.text("status", "plan", "path") == expected.path)
        #expect(story.volume?.cluster?.rows == expected.rows, "\(story.report)")
        #expect(story.run?.integer("status", "progress", "percent") == 100)
        let template = story.statefulSets.first?[path: ["spec", "template", "spec"]]
        #expect(template?.items("initContainers").isEmpty == true)
        #expect(story.world.kubelet.violations.isEmpty, "\(story.world.kubelet.violations)")
    }

    @Test func anotherBaseBackupIsNamedTheSecondTime() throws {
        let story = Self.story()
        story.world.start()
        story.world.apply(Self.clone(story, at: -1_000, image: Story.image + "-other-backup"))
        #expect(story.world.runUntilQuiet())
        #expect(story.isReady, "\(story.report)")
        let reasons = story.runs.map { Story.condition($0, "Finished")?.text("reason") ?? "" }
        #expect(Set(reasons) == ["OtherBaseBackup", "Completed"])
        #expect(story.runs.count == 2)
        #expect(story.volume?.cluster?.rows == ["order 1", "order 2", "order 3"])
    }

    /// In words that a person can use, and with nothing made.
    @Test(arguments: [10_000, -86_400, -30] as [Int64])
    func whatCantBeReachedIsRefused(_ at: Int64) throws {
        let story = Self.story()
        let before = Footprint(story)
        story.world.start()
        story.world.apply(Self.clone(story, at: at))
        #expect(story.world.runUntilQuiet(120))
        #expect(story.cloneReason == "TargetOutsideWindow", "\(story.report)")
        #expect(Footprint(story) == before)
        let message = story.run?.text("status", "message") ?? ""
        #expect(message.contains(story.world.scheduler.epoch.adding(seconds: at).rfc3339))
    }

    /// A moment after the last commit but within the archive: it is warned of, and PostgreSQL refuses it.
    @Test func aMomentWithNothingAfterItIsNotReached() throws {
        let story = Self.story()
        story.world.start()
        story.world.apply(
            Self.clone(story, at: -80).replacing(["spec", "retry"], ["limit": 0]))
        #expect(story.world.runUntilQuiet())
        #expect(story.runReason == "TargetNotReached", "\(story.report)")
        #expect(story.statefulSets.isEmpty && story.claims.isEmpty)
    }

    /// The controller dies at a moment of every stage of the way with an init container, and another one goes on.
    /// Eight of them by default, every half second with `REPRISE_SWEEP=all`.
    static let deaths: [Int64] =
        ProcessInfo.processInfo.environment["REPRISE_SWEEP"] == "all"
        ? Array(stride(from: 500, through: 110_000, by: 500))
        : [2_000, 9_000, 15_000, 30_000, 42_000, 55_000, 60_000, 75_000]

    @Test(arguments: deaths)
    func diesOnTheWay(_ after: Int64) throws {
        let story = Self.story()
        let first = story.world.start()
        story.world.apply(Self.clone(story, at: -60_000))
        story.world.scheduler.after(after, "death") {
            story.world.kill(first)
            story.world.start()
        }
        #expect(story.world.runUntilQuiet())
        #expect(story.isReady, "\(story.report)")
        #expect(story.runs.count == 1)
        #expect(story.volume?.cluster?.rows == ["order 1"])
        #expect(story.world.kubelet.violations.isEmpty)
    }
}

extension JSONValue {
    fileprivate func replacing(_ path: [String], _ value: JSONValue) -> JSONValue {
        var copy = self
        copy.set(path, value)
        return copy
    }
}
