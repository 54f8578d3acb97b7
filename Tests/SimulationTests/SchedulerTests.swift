// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

/// The clock and the events that everything else in the simulation stands on.
@Suite struct SchedulerTests {
    @Test func eventsComeInTheOrderOfTheirMomentsAndThenOfTheirSetting() {
        let scheduler = Scheduler(seed: 1)
        var seen: [String] = []
        var random = SplitMix(state: 7)
        var wanted: [(at: Int64, name: String)] = []
        for number in 0..<500 {
            let at = Int64(random.next() % 50)
            wanted.append((at, "\(number)"))
            scheduler.after(at, "\(number)") { seen.append("\(number)") }
        }
        #expect(scheduler.run(until: 1_000) == .deadlock)
        // Sorting is stable.
        #expect(seen == wanted.sorted { $0.at < $1.at }.map(\.name))
        #expect(scheduler.now == wanted.map(\.at).max())
    }

    @Test func whatIsCancelledDoesNotCome() {
        let scheduler = Scheduler(seed: 1)
        var seen: [Int] = []
        for round in 0..<200 {
            let kept = scheduler.after(10, "kept") { seen.append(round) }
            let dropped = (0..<10).map { scheduler.after(Int64($0), "dropped") { seen.append(-1) } }
            for event in dropped.reversed() { scheduler.cancel(event) }
            // Twice is once, and the place may be another event's by then.
            let other = scheduler.after(5, "other") {}
            for event in dropped { scheduler.cancel(event) }
            scheduler.cancel(other)
            #expect(scheduler.pending == ["kept at \(scheduler.now + 10)"])
            #expect(scheduler.run(until: scheduler.now + 20) == .deadlock)
            scheduler.cancel(kept)
        }
        #expect(seen == Array(0..<200))
    }

    @Test func heartbeatsArePendingForNobody() {
        let scheduler = Scheduler(seed: 1)
        scheduler.after(3, "later") {}
        scheduler.after(2, "beat", isHeartbeat: true) {}
        scheduler.after(1, "sooner") {}
        #expect(scheduler.pending == ["sooner at 1", "later at 3"])
        #expect(scheduler.run(until: 2) == .moment)
        #expect(scheduler.now == 2)
    }

    @Test func nothingOfAWorldOutlivesIt() {
        weak var world: Simulation?
        weak var scheduler: Scheduler?
        weak var api: ModelAPI?
        weak var wire: ModelWire?
        weak var journal: RecordingJournal?
        do {
            let story = Story()
            (world, scheduler, api) = (story.world, story.world.scheduler, story.world.api)
            (wire, journal) = (story.world.wire, story.world.start().journal)
            story.world.apply(Story.clone())
            // In the middle of it, with calls, watches and a followed log under way.
            #expect(story.world.run(atMost: 600) { story.world.wire.followed > 0 })
            #expect(scheduler != nil)
        }
        #expect(world == nil)
        #expect(scheduler == nil)
        #expect(api == nil)
        #expect(wire == nil)
        #expect(journal == nil)
    }
}
