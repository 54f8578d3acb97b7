// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import TestSupport
import Testing

/// The adversary, and what holds against it.
@Suite struct HostileTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Regressions")

    /// What the simulation has found, each as the shortest script that showed it.
    static let kept: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".txt") }.sorted()
    }()

    @Test func whatWasFoundIsKept() { #expect(Self.kept.count >= 10) }

    @Test(arguments: kept) func whatWasFoundHolds(_ file: String) throws {
        let text = try String(contentsOf: Self.folder.appendingPathComponent(file), encoding: .utf8)
        let script = try FaultScript(reading: text)
        let scenario = try #require(Scenario.named(script.story))
        let schedule = try #require(Campaign(seed: 1, scenarios: [scenario]).schedule(of: script))
        let verdict = schedule.play()
        #expect(verdict.violations.isEmpty, "\(verdict.violations)")
        #expect(!verdict.taken.isEmpty, "none of its faults happens any more: it proves nothing")
    }

    @Test func theSameScriptGivesTheSameTrace() throws {
        let campaign = Campaign(seed: 3, scenarios: [.again])
        #expect(campaign.violations.isEmpty, "\(campaign.violations)")
        func digest(_ number: Int) -> UInt64 { campaign.schedule(number).play().trace }
        #expect(digest(5) == digest(5))
        #expect(digest(5) != digest(6))
    }

    /// Whoever asks for a number gets the same schedule, whatever he asked for before.
    @Test func theSameNumberIsTheSameSchedule() {
        let (one, other) = (Campaign(seed: 3, scenarios: [.again]), Campaign(seed: 3, scenarios: [.again]))
        let forth = (0..<60).map { one.schedule($0).script }
        let back = (0..<60).reversed().map { other.schedule($0).script }
        #expect(forth == back.reversed())
        #expect(Set(forth).count == 60)
    }

    /// As many schedules as there are cells ask for each of them.
    @Test func eachCellHasItsTurn() {
        let campaign = Campaign(seed: 3, scenarios: [.again])
        var asked: [Cell: Int] = [:]
        for number in 0..<campaign.cells.count {
            for case .call(let site, let trouble) in campaign.schedule(number).script.faults {
                asked[Cell(site.place, trouble), default: 0] += 1
            }
        }
        #expect(campaign.cells.allSatisfy { asked[$0] != nil })
    }

    /// What is lacking is asked for until it has come about, whatever depends on chance, and then no more.
    @Test func whatWasTriedTooSeldomIsTried() throws {
        let campaign = Campaign(seed: 3, scenarios: [try #require(Scenario.named("refused"))])
        var more = campaign.topUp(Dictionary(uniqueKeysWithValues: campaign.cells.map { ($0, 2) }))
        var tried: [Cell: Int] = [:]
        var schedules = 0
        while schedules < 400, let schedule = more.next(worker: 0) {
            schedules += 1
            let verdict = schedule.play()
            more.take(verdict)
            for case .call(let site, let trouble) in verdict.taken {
                tried[Cell(site.place, trouble), default: 0] += 1
            }
        }
        let missing = campaign.cells.filter { tried[$0, default: 0] < 2 }
        #expect(missing.isEmpty, "\(missing.prefix(5))")
        #expect(schedules < 400, "it does not come to an end")
        var enough = campaign.topUp([:])
        #expect(enough.next(worker: 0) == nil)
    }

    @Test func aScriptIsReadAsItIsWritten() throws {
        let campaign = Campaign(seed: 1, scenarios: [.again])
        for number in 0..<200 {
            let script = campaign.schedule(number).script
            #expect(try FaultScript(reading: "# words\n\n\(script)\n") == script)
        }
    }

    @Test(arguments: [
        "seed: 1", "story: clone\nseed: x", "story: clone\ncall 1 of POST: 409", "story: clone\nat noon: 409",
        "story: clone\ncall 1 of POST jobs of a at New: whatever", "story: clone\nat 5 ms: something",
    ])
    func aScriptThatIsNoneIsRefusedByItsLine(_ text: String) {
        #expect(throws: FaultScript.Unreadable.self) { try FaultScript(reading: text) }
    }

    // MARK: Shrinking

    /// A bug that only two faults together show is found behind eight others, and nothing else is left of them.
    @Test func aFailureIsMadeAsShortAsItCanBe() throws {
        let campaign = Campaign(seed: 1, scenarios: [.again])
        let schedule = campaign.schedule(1)
        let needed: [Fault] = [
            .world(at: 300, .watchesCut), .world(at: 700, .ledgerDown),
        ]
        var script = schedule.script
        script.faults +=
            needed + [
                .world(at: 100, .eventsTwice), .world(at: 200, .logsCut), .world(at: 400, .jobsLag),
                .world(at: 500, .strangerLabels), .world(at: 600, .leaseTaken),
            ]
        /// Stands for a bug: it shows where both have happened.
        func fails(_ script: FaultScript) -> Bool {
            var copy = schedule
            copy.script = script
            let taken = copy.play().taken
            return taken.contains { if case .world(_, .watchesCut) = $0 { true } else { false } }
                && taken.contains { if case .world(_, .ledgerDown) = $0 { true } else { false } }
        }
        #expect(fails(script))
        var shrinker = Shrinker(fails: fails)
        let short = shrinker.shrink(script)
        #expect(short.faults.count == 2, "\(short)")
        #expect(fails(short))
        #expect(short.faults == [.world(at: 0, .watchesCut), .world(at: 0, .ledgerDown)])
        #expect(shrinker.attempts < 60)
    }

    // MARK: The invariants notice

    /// An invariant that can't be broken proves nothing: each of these is done to a world, and must be said.
    @Test func whatMustNotHappenIsSaid() throws {
        let stage = Stage(.clone, seed: 1)
        let world = stage.world
        let invariants = Invariants(world)
        let controller = world.start()
        #expect(world.run(atMost: 120) { stage.lack == nil }, "\(stage.lack ?? "")")
        #expect(invariants.violations.isEmpty, "\(invariants.violations)")
        let run = try #require(world.api.all(.runs).first?.key)
        func broken(_ words: String, _ body: () -> Void, _ location: SourceLocation = #_sourceLocation) {
            let before = invariants.violations.count
            body()
            let said = invariants.violations.dropFirst(before)
            #expect(said.contains { $0.contains(words) }, "\(words): \(Array(said))", sourceLocation: location)
        }
        broken("changed after the run was Completed") {
            world.api.change(run) { $0.set(["status", "state"], "Failed") }
        }
        broken("somebody else's") {
            _ = try? world.api.create(ModelKey(.claims, Story.space, "theirs"), ["metadata": ["name": "theirs"]])
            world.api.acting(as: controller.name) { world.api.delete(ModelKey(.claims, Story.space, "theirs")) }
        }
        broken("although its service had been opened") {
            world.api.acting(as: controller.name) { world.api.delete(ModelKey(.statefulSets, Story.space, "orders-a")) }
        }
        broken("while the Lease was held by") {
            let other = world.start()
            world.api.acting(as: other.name) { world.api.change(run) { $0.set(["status", "message"], "mine") } }
        }
        broken("for a run that never was") {
            world.api.acting(as: controller.name) {
                _ = try? world.api.create(
                    ModelKey(.services, Story.space, "x"),
                    ["metadata": ["name": "x", "labels": ["reprise.dev/run-uid": "nobody"]]])
            }
        }
    }
}
