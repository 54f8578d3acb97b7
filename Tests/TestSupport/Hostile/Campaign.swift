// SPDX-License-Identifier: Apache-2.0

/// A cell of the table of what was tried: a call, where its run stands, and what goes wrong.
package struct Cell: Hashable, Comparable, Sendable {
    package var call: CallName
    package var step: String
    package var trouble: CallTrouble

    /// The cell that a fault is one of.
    package init(_ place: CallPlace, _ trouble: CallTrouble) {
        call = place.call
        step = place.step
        self.trouble = trouble.family
    }

    package init(call: CallName, step: String, trouble: CallTrouble) {
        self.call = call
        self.step = step
        self.trouble = trouble
    }

    package static func < (left: Cell, right: Cell) -> Bool {
        (left.call, left.step, left.trouble.rawValue) < (right.call, right.step, right.trouble.rawValue)
    }
}

/// Chooses schedules: each begins with one cell of the table and takes a few more, those first that were asked for least.
/// The same number gives the same schedule.
package struct Campaign: Sendable {
    /// A story as it goes when nothing goes wrong.
    package struct Profile: Sendable {
        package var scenario: Scenario
        /// Its length in milliseconds.
        package var usual: Int64
        package var places: [(place: CallPlace, count: Int)]
        package var verdict: Verdict
        /// It brings data back, and does not end with a refusal.
        package var isLong: Bool { usual > 5_000 }
        /// All that can go wrong with its calls; also with those that only another telling had, where they belong to a cell
        /// that some story's first telling comes to.
        package var sites: [Site]
        /// What it is like with other seeds, without any fault; the first is the one above.
        var tellings: [Telling]
    }

    /// Something that can go wrong with the calls of one place in a story.
    package struct Site: Sendable {
        package var place: CallPlace
        /// How many calls of the place there are.
        package var count: Int
        package var trouble: CallTrouble

        var cell: Cell { Cell(place, trouble) }
    }

    /// The calls of one telling in which nothing went wrong.
    struct Telling: Sendable {
        var seed: UInt64
        var places: [CallPlace: CallTally]
    }

    package let seed: UInt64
    package let profiles: [Profile]
    /// Every cell that a story can come to.
    package let cells: [Cell]
    private let book: PlanBook

    package init(seed: UInt64, scenarios: [Scenario] = Scenario.all) {
        self.seed = seed
        var profiles = scenarios.map { scenario in
            let verdict = Self.tell(scenario, seed)
            let places = verdict.places.sorted { $0.key < $1.key }.map { (place: $0.key, count: $0.value.count) }
            return Profile(
                scenario: scenario, usual: verdict.duration, places: places, verdict: verdict,
                sites: places.flatMap { Self.sites(of: $0.place, $0.count) },
                tellings: [Telling(seed: seed, places: verdict.places)])
        }
        let cells = Set(profiles.flatMap { $0.sites.map(\.cell) })
        for index in profiles.indices { Self.tellAgain(&profiles[index], seed, cells) }
        self.profiles = profiles
        self.cells = cells.sorted()
        book = PlanBook(seed, profiles, self.cells)
    }

    private static func sites(of place: CallPlace, _ count: Int) -> [Site] {
        CallTrouble.families.filter { $0.canHappen(to: place.call) }.map {
            Site(place: place, count: count, trouble: $0)
        }
    }

    /// Tells a story without a fault, each time with another seed, to see what depends on chance. What comes about by chance
    /// only is looked for in the shortest story that has it, so short stories are told more often.
    private static func tellAgain(_ profile: inout Profile, _ seed: UInt64, _ cells: Set<Cell>) {
        var known = Set(profile.places.map(\.place))
        for number in 1..<UInt64(profile.isLong ? 2 : 4) {
            let telling = calls(of: profile.scenario, seed &+ number &* 0x9E37_79B9)
            profile.tellings.append(telling)
            for (place, tally) in telling.places.sorted(by: { $0.key < $1.key }) where known.insert(place).inserted {
                profile.sites += sites(of: place, tally.count).filter { cells.contains($0.cell) }
            }
        }
    }

    /// Tells a story without any fault.
    static func tell(_ scenario: Scenario, _ seed: UInt64) -> Verdict {
        Schedule(scenario, FaultScript(story: scenario.name, seed: seed), usual: scenario.length).play()
    }

    /// Which calls there are when a story is told with some seed.
    static func calls(of scenario: Scenario, _ seed: UInt64) -> Telling {
        let script = FaultScript(story: scenario.name, seed: seed)
        return Telling(
            seed: seed, places: Schedule(scenario, script, usual: scenario.length).play(endsAtGoal: true).places)
    }

    /// What is wrong with the stories themselves: they are told without any fault first.
    package var violations: [String] {
        profiles.flatMap { profile in profile.verdict.violations.map { "\(profile.scenario.name): \($0)" } }
    }

    private func draw(_ purpose: String, _ number: Int, below bound: Int) -> Int {
        Int(keyedHash(seed, purpose, UInt64(number)) % UInt64(max(1, bound)))
    }

    /// The schedule of a number.
    package func schedule(_ number: Int) -> Schedule { schedule(number, book.choice(number)) }

    /// So many schedules tell the stories in turn, before anything is chosen.
    package var inTurn: Int { Plan.rounds * profiles.count }

    /// The schedule of a number when every cell was tried often enough: short stories, by their weights, with one fault.
    package func shortSchedule(_ number: Int) -> Schedule {
        let number = 2_000_000_000 + number
        return schedule(number, book.choiceByWeight(number))
    }

    /// Schedules for what was tried too seldom.
    /// - Parameter lack: How often each cell is still to be tried.
    package func topUp(_ lack: [Cell: Int]) -> TopUp { TopUp(self, book.fresh, lack) }

    func schedule(_ number: Int, _ choice: Plan.Choice) -> Schedule {
        let profile = profiles[choice.profile]
        var faults = choice.targets.enumerated().map { index, target -> Fault in
            let site = profile.sites[target.site]
            return .call(
                CallSite(target.ordinal, site.place), variant(of: site.trouble, site.place.call, number, index))
        }
        // Not before it is certain what the schedule is for, and not after the story.
        func moment(_ purpose: String) -> Int64 {
            let span = max(0, profile.usual - choice.certainUntil) / 100
            return choice.certainUntil + 100 * Int64(draw(purpose, number, below: Int(span)))
        }
        // With a seed that is given and nothing else to go wrong it would be the same schedule again and again.
        let isAlone = choice.seed != nil && faults.count == 1
        if isAlone || draw("world", number, below: 3) == 0 {
            let troubles = WorldTrouble.allCases
            faults.append(
                .world(at: moment("world at"), troubles[draw("world trouble", number, below: troubles.count)]))
        } else if draw("event", number, below: 5) == 0 {
            let events = Self.events(of: profile)
            faults.append(.event(at: moment("event at"), events[draw("which event", number, below: events.count)]))
        }
        let seed = choice.seed ?? UInt64(1 + draw("seed", number, below: 1 << 40))
        var script = FaultScript(story: profile.scenario.name, seed: seed)
        script.faults = faults
        return Schedule(profile.scenario, script, usual: profile.usual, usualPasses: profile.verdict.passes)
    }

    /// Every pair of deaths in a story, the first at each of its moments and the second's moment in turn.
    package func pairs() -> [Schedule] {
        let deaths: [CallTrouble] = [.diesBefore, .diesCommitted, .diesAnswered]
        var schedules: [Schedule] = []
        for profile in profiles {
            let sites = profile.places.filter { $0.place.call.what != "leases" }.flatMap { place, count in
                (1...count).map { CallSite($0, place) }
            }
            for (first, site) in sites.enumerated() {
                for (second, other) in sites.enumerated() where second > first {
                    for (turn, death) in deaths.enumerated() {
                        var script = FaultScript(story: profile.scenario.name, seed: seed)
                        script.faults = [
                            .call(site, death), .call(other, deaths[(first + second + turn) % deaths.count]),
                        ]
                        schedules.append(Schedule(profile.scenario, script, usual: profile.usual))
                    }
                }
            }
        }
        return schedules
    }

    /// One of those that share a column.
    private func variant(of trouble: CallTrouble, _ call: CallName, _ number: Int, _ place: Int) -> CallTrouble {
        let all = CallTrouble.allCases.filter { $0.family == trouble && $0.canHappen(to: call) }
        return all.isEmpty ? trouble : all[draw("variant \(place)", number, below: all.count)]
    }

    /// The schedule of a script that was kept.
    /// - Returns: `nil` when there is no such story.
    package func schedule(of script: FaultScript) -> Schedule? {
        profiles.first { $0.scenario.name == script.story }
            .map { Schedule($0.scenario, script, usual: $0.usual, usualPasses: $0.verdict.passes) }
    }
}

/// Makes a failing script as short as it can be.
package struct Shrinker {
    /// Whether a script still fails.
    private let fails: (FaultScript) -> Bool
    /// Schedules that were played for it.
    package private(set) var attempts = 0

    package init(fails: @escaping (FaultScript) -> Bool) { self.fails = fails }

    /// Drops what is not needed: whole halves first, then one fault after the other; then rounds moments.
    package mutating func shrink(_ script: FaultScript) -> FaultScript {
        var best = script
        var size = max(1, best.faults.count / 2)
        while size >= 1 {
            var start = 0
            while start < best.faults.count {
                var shorter = best
                shorter.faults.removeSubrange(start..<min(start + size, best.faults.count))
                if check(shorter) { best = shorter } else { start += size }
            }
            size /= 2
        }
        for index in best.faults.indices {
            guard case .world(let at, let trouble) = best.faults[index] else { continue }
            for step: Int64 in [10_000, 1_000] where at % step != 0 {
                var rounder = best
                rounder.faults[index] = .world(at: at / step * step, trouble)
                if check(rounder) {
                    best = rounder
                    break
                }
            }
        }
        for index in best.faults.indices {
            guard case .call(var site, let trouble) = best.faults[index], site.ordinal > 1 else { continue }
            site.ordinal = 1
            var simpler = best
            simpler.faults[index] = .call(site, trouble)
            if check(simpler) { best = simpler }
        }
        return best
    }

    private mutating func check(_ script: FaultScript) -> Bool {
        attempts += 1
        return fails(script)
    }
}
