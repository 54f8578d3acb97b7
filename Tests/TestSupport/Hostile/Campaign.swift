// SPDX-License-Identifier: Apache-2.0

/// A cell of the table of what was tried: a call, where its run stands, and what goes wrong.
package struct Cell: Hashable, Comparable, Sendable {
    package var call: CallName
    package var step: String
    package var trouble: CallTrouble

    package static func < (left: Cell, right: Cell) -> Bool {
        (left.call, left.step, left.trouble.rawValue) < (right.call, right.step, right.trouble.rawValue)
    }
}

/// Chooses schedules: each begins with one cell of the table, so that all of them are tried equally often, and takes a
/// few more faults by chance. The same number gives the same schedule.
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
        /// All that can go wrong with its calls.
        package var sites: [(place: CallPlace, count: Int, trouble: CallTrouble)]
    }

    package let seed: UInt64
    package let profiles: [Profile]
    /// Every cell that a story can come to.
    package let cells: [Cell]
    /// Those that a short story comes to, and those that only a long one does.
    private let shortCells: [Cell]
    private let longCells: [Cell]
    private let choices: [Cell: [(profile: Int, place: CallPlace, count: Int)]]

    package init(seed: UInt64, scenarios: [Scenario] = Scenario.all) {
        self.seed = seed
        profiles = scenarios.map { scenario in
            let verdict = Schedule(scenario, FaultScript(story: scenario.name, seed: seed), usual: scenario.length)
                .play()
            let places = verdict.places.sorted { $0.key < $1.key }.map { (place: $0.key, count: $0.value) }
            let sites = places.flatMap { place, count in
                CallTrouble.families.filter { $0.canHappen(to: place.call) }.map { (place, count, $0) }
            }
            return Profile(
                scenario: scenario, usual: verdict.duration, places: places, verdict: verdict, sites: sites)
        }
        var found: [Cell: [(profile: Int, place: CallPlace, count: Int)]] = [:]
        for (index, profile) in profiles.enumerated() {
            for (place, count) in profile.places {
                for trouble in CallTrouble.families where trouble.canHappen(to: place.call) {
                    let cell = Cell(call: place.call, step: place.step, trouble: trouble)
                    found[cell, default: []].append((index, place, count))
                }
            }
        }
        let choices = found
        cells = choices.keys.sorted()
        // A long story's own turns are those that no short one comes to.
        let long = profiles.map(\.isLong)
        let isShort = { (cell: Cell) in (choices[cell] ?? []).contains { !long[$0.profile] } }
        shortCells = cells.filter(isShort)
        longCells = cells.filter { !isShort($0) }
        self.choices = choices
    }

    /// What is wrong with the stories themselves: they are told without any fault first.
    package var violations: [String] {
        profiles.flatMap { profile in profile.verdict.violations.map { "\(profile.scenario.name): \($0)" } }
    }

    func draw(_ purpose: String, _ number: Int, below bound: Int) -> Int {
        Int(keyedHash(seed, purpose, UInt64(number)) % UInt64(max(1, bound)))
    }

    /// The schedule of a number.
    ///
    /// At first each story in turn. Then, one in five tells a long story, with as many faults as it has room for, and begins with a cell that no short one
    /// comes to; the others tell short ones.
    package func schedule(_ number: Int) -> Schedule {
        if let first = firstRounds(number) { return first }
        let isLong = !longCells.isEmpty && (shortCells.isEmpty || number % 5 == 0)
        let turns = isLong ? longCells : shortCells
        let turn = isLong == shortCells.isEmpty ? number : isLong ? number / 5 : number - number / 5 - 1
        let cell = turns[(turn &* Self.stride(turns.count)) % turns.count]
        return schedule(number, beginningWith: cell, turn, isLong: isLong)
    }

    /// One more schedule for a cell that was tried too seldom: not every fault that is asked for comes about.
    package func schedule(_ number: Int, for cell: Cell) -> Schedule {
        let isLong = !shortCells.contains(cell)
        return schedule(1_000_000_000 + number, beginningWith: cell, number, isLong: isLong)
    }

    private func schedule(_ number: Int, beginningWith cell: Cell, _ turn: Int, isLong: Bool) -> Schedule {
        let found = (choices[cell] ?? []).filter { profiles[$0.profile].isLong == isLong }
        var tickets: [Int] = []
        for (index, choice) in found.enumerated() {
            tickets += Array(repeating: index, count: profiles[choice.profile].scenario.weight)
        }
        let choice = found[tickets[draw("story", number, below: tickets.count)]]
        let site = CallSite(1 + draw("ordinal", number, below: choice.count), choice.place)
        return schedule(number, of: profiles[choice.profile], site, cell.trouble, turn, isLong: isLong)
    }

    /// One of a story, that begins with a trouble at a site.
    func schedule(
        _ number: Int, of profile: Profile, _ site: CallSite, _ trouble: CallTrouble, _ turn: Int, isLong: Bool
    ) -> Schedule {
        var faults: [Fault] = [.call(site, variant(of: trouble, site.place.call, number, 0))]
        let own = profile.sites
        for extra in 1...(isLong ? 7 : 2) {
            // In turn as well, among what this story comes to.
            let other = own[(turn &* 7 &+ extra) &* Self.stride(own.count) % own.count]
            let ordinal = 1 + draw("ordinal \(extra)", number, below: other.count)
            faults.append(
                .call(CallSite(ordinal, other.place), variant(of: other.trouble, other.place.call, number, extra)))
        }
        if draw("world", number, below: 3) == 0 {
            let troubles = WorldTrouble.allCases
            let at = 100 * Int64(draw("world at", number, below: Int(profile.usual / 100)))
            faults.append(.world(at: at, troubles[draw("world trouble", number, below: troubles.count)]))
        } else if draw("event", number, below: 5) == 0 {
            let at = 100 * Int64(draw("event at", number, below: Int(profile.usual / 100)))
            faults.append(.event(at: at, Self.events[draw("which event", number, below: Self.events.count)]))
        }
        var script = FaultScript(story: profile.scenario.name, seed: UInt64(1 + draw("seed", number, below: 1 << 40)))
        script.faults = faults
        return Schedule(profile.scenario, script, usual: profile.usual)
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
    func variant(of trouble: CallTrouble, _ call: CallName, _ number: Int, _ place: Int) -> CallTrouble {
        let all = CallTrouble.allCases.filter { $0.family == trouble && $0.canHappen(to: call) }
        return all.isEmpty ? trouble : all[draw("variant \(place)", number, below: all.count)]
    }

    /// A step that has no divisor in common with a number: taking it again and again, each is met before one is met again.
    static func stride(_ count: Int) -> Int {
        var step = max(1, count * 5 / 8)
        while divisor(step, count) != 1 { step += 1 }
        return step
    }

    private static func divisor(_ left: Int, _ right: Int) -> Int { right == 0 ? left : divisor(right, left % right) }

    /// The schedule of a script that was kept.
    /// - Returns: `nil` when there is no such story.
    package func schedule(of script: FaultScript) -> Schedule? {
        profiles.first { $0.scenario.name == script.story }
            .map { Schedule($0.scenario, script, usual: $0.usual) }
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
