// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Decides which cells the schedules of a campaign are for, one number after the other, by counting what was asked for.
///
/// One schedule in seven tells a long story, with as many faults as it has room for, and is for the cell that was asked
/// for least among those that no short story comes to; when all of those were asked for often enough, one in 21. Of the
/// others half are for the least of the rest, as long as that was asked for too seldom. Then a short story is chosen by
/// its weight alone.
///
/// Before all that each story is told in turn: most cells belong to many stories, and what a story is there for shows only
/// when it is told. A campaign of any length has told each of them.
struct Plan {
    /// What one schedule is for.
    struct Choice {
        var profile: Int
        /// Places in the profile's `sites`, and which call of the place; the one that it is for stands first.
        var targets: [(site: Int, ordinal: Int)]
        /// The seed of a telling in which that call was seen; `nil`: any.
        var seed: UInt64?
        /// Until then, in milliseconds, nothing else goes wrong: so that call comes about as it did in that telling.
        var certainUntil: Int64 = 0
    }

    /// Where a cell is met, and how surely.
    private struct Spot {
        var profile: Int
        var site: Int
        var cell: Int
        var place: CallPlace
        /// The fewest calls that any telling had.
        var count: Int
        /// Tellings that had it, by their place in the profile's, with the calls; the first has it always.
        var tellings: [(telling: Int, tally: CallTally)]

        /// Whether it comes about in every telling, however late things are.
        var isSteady: Bool { count > 0 }
    }

    private let seed: UInt64
    private let weights: [Int]
    private let isLong: [Bool]
    /// By profile and site.
    private let spots: [[Spot]]
    /// By profile: with the profile's own seed first.
    private let seeds: [[UInt64]]
    /// By profile: the calls of a telling, which is what it costs.
    private let costs: [Int]
    /// By cell: where it is met.
    private let choices: [[(profile: Int, site: Int)]]
    private let shortCells: [Int]
    private let longCells: [Int]
    /// How often each cell was asked for, in quarters: what comes about only sometimes counts for less.
    private var asked: [Int]

    /// So often each story is told in turn.
    private static let rounds = 12
    /// How much goes wrong in a schedule: a long story has room for more, and costs more.
    private static func room(_ isLong: Bool) -> Int { isLong ? 12 : 3 }
    /// So often each cell is asked for before weights alone decide.
    private static let enough = 4 * 22
    /// What was tried less often is worth a schedule of its own.
    private static let wanted = 20
    /// Stories are told so often without a fault, each time with another seed, to see what depends on chance.
    private static let tellings: UInt64 = 3

    init(_ seed: UInt64, _ profiles: [Campaign.Profile], _ cells: [Cell]) {
        self.seed = seed
        weights = profiles.map(\.scenario.weight)
        isLong = profiles.map(\.isLong)
        let numbers = Dictionary(uniqueKeysWithValues: cells.enumerated().map { ($0.element, $0.offset) })
        var choices = [[(profile: Int, site: Int)]](repeating: [], count: cells.count)
        let all = profiles.map { profile in
            [Campaign.Telling(seed: seed, places: profile.verdict.places)]
                + (1..<Self.tellings).map { Campaign.calls(of: profile.scenario, seed &+ $0 &* 0x9E37_79B9) }
        }
        seeds = all.map { $0.map(\.seed) }
        costs = profiles.map { max(1, $0.verdict.places.values.reduce(0) { $0 + $1.count }) }
        spots = profiles.enumerated().map { index, profile in
            profile.sites.enumerated().map { place, site in
                let cell = numbers[site.cell] ?? 0
                choices[cell].append((index, place))
                let tallies = all[index].enumerated().compactMap { telling, calls in
                    calls.places[site.place].map { (telling: telling, tally: $0) }
                }
                let isSteady = tallies.count == all[index].count
                return Spot(
                    profile: index, site: place, cell: cell, place: site.place,
                    count: isSteady ? tallies.map(\.tally.count).min() ?? 0 : 0, tellings: tallies)
            }
        }
        let long = isLong
        let isShort = { (cell: Int) in choices[cell].contains { !long[$0.profile] } }
        shortCells = cells.indices.filter(isShort)
        longCells = cells.indices.filter { !isShort($0) }
        self.choices = choices
        asked = Array(repeating: 0, count: cells.count)
    }

    /// The choice for the next number; to be asked for in order.
    mutating func next(_ number: Int) -> Choice {
        var random = SplitMix(state: keyedHash(seed, "plan", UInt64(number)))
        if weights.count > 1, number < Self.rounds * weights.count {
            let story = number % weights.count
            if let first = lesser(of: story, apart: [], &random) { return complete(first, isLong[story], &random) }
        }
        let turn = number % 7
        if shortCells.isEmpty || (turn == 0 && !longCells.isEmpty) {
            let least = leastAsked(of: longCells, &random)
            let isWanted = asked[least] < Self.enough || (number / 7) % 3 == 0
            if shortCells.isEmpty || isWanted { return choice(for: least, true, &random) }
        }
        if turn < 4 {
            let least = leastAsked(of: shortCells, &random)
            if asked[least] < Self.enough { return choice(for: least, false, &random) }
        }
        return byWeight(&random)
    }

    /// A choice for no cell in particular.
    mutating func byWeight(_ random: inout SplitMix) -> Choice {
        let short = weights.indices.filter { !isLong[$0] }
        let stories = short.isEmpty ? Array(weights.indices) : short
        let story = ticket(stories, stories.map { weights[$0] }, &random)
        guard let first = lesser(of: story, apart: [], &random) else {
            return choice(for: shortCells.first ?? longCells[0], false, &random)
        }
        return complete(first, isLong[story], &random)
    }

    /// A choice for one cell.
    mutating func choice(for cell: Int, _ isLong: Bool, _ random: inout SplitMix) -> Choice {
        let all = choices[cell]
        let own = all.filter { self.isLong[$0.profile] == isLong }
        let found = (own.isEmpty ? all : own).map { spots[$0.profile][$0.site] }
        // Where it comes about for sure, if there is such a place; rather in a story that costs little.
        let steady = found.filter(\.isSteady)
        let fit = steady.isEmpty ? found : steady
        let spot = ticket(fit, fit.map { 1_000 * weights[$0.profile] / (costs[$0.profile] + 50) + 1 }, &random)
        return complete(spot, isLong, &random)
    }

    func isLong(_ cell: Int) -> Bool { !choices[cell].contains { !isLong[$0.profile] } }

    /// Whether it comes about in no story for sure.
    func isByChance(_ cell: Int) -> Bool { !choices[cell].contains { spots[$0.profile][$0.site].isSteady } }

    /// A choice for a cell that was tried too seldom, in the story that comes to most of such cells at the least cost.
    /// - Parameter tried: By cell.
    mutating func more(for cell: Int, _ tried: [Int], _ random: inout SplitMix) -> Choice {
        asked = tried.map { 4 * $0 }
        let found = choices[cell].map { spots[$0.profile][$0.site] }
        let steady = found.filter(\.isSteady)
        func worth(_ spot: Spot) -> Int {
            let room = Self.room(isLong[spot.profile])
            let wanted = Set(spots[spot.profile].lazy.filter { tried[$0.cell] < Self.wanted }.map(\.cell)).count
            return 100_000 * min(room, wanted) / (costs[spot.profile] + 150)
        }
        let worths = (steady.isEmpty ? found : steady).map { (spot: $0, worth: worth($0)) }
        let best = worths.map(\.worth).max() ?? 0
        let equals = worths.filter { $0.worth == best }.map(\.spot)
        let spot = equals[below(equals.count, &random)]
        return complete(spot, isLong[spot.profile], from: .max, &random)
    }

    /// Adds what else goes wrong.
    /// - Parameter few: Of so many places that are drawn the least is taken each time.
    private mutating func complete(
        _ first: Spot, _ isLong: Bool, from few: Int = 6, _ random: inout SplitMix
    ) -> Choice {
        var choice = Choice(profile: first.profile, targets: [])
        var used: [Spot] = []
        if first.isSteady {
            choice.targets.append((first.site, 1 + below(first.count, &random)))
            asked[first.cell] += 4
        } else {
            // It depends on chance: told with a seed that has shown it, it comes about again, if nothing has gone wrong
            // before.
            let (telling, tally) = first.tellings[below(first.tellings.count, &random)]
            choice.seed = seeds[first.profile][telling]
            choice.certainUntil = tally.last
            choice.targets.append((first.site, 1 + below(tally.count, &random)))
            asked[first.cell] += 4
        }
        used.append(first)
        for _ in 1..<Self.room(isLong) {
            let telling = choice.seed.flatMap { seeds[first.profile].firstIndex(of: $0) } ?? 0
            guard
                let other = lesser(
                    of: first.profile, apart: used, after: (telling, choice.certainUntil), from: few, &random)
            else { break }
            // One call more for each that something happens to: most are sent again.
            let taken = zip(used, choice.targets).filter { $0.0.place == other.place }.map { $0.1.ordinal }
            let free = (1...other.count + taken.count).filter { !taken.contains($0) }
            choice.targets.append((other.site, free[below(free.count, &random)]))
            used.append(other)
            asked[other.cell] += 4
        }
        return choice
    }

    /// Of a few of a story's sites, or of all, the one that was asked for least.
    /// - Parameter moment: None that come in this telling before that.
    private func lesser(
        of profile: Int, apart: [Spot], after moment: (telling: Int, at: Int64) = (0, 0), from few: Int = 6,
        _ random: inout SplitMix
    ) -> Spot? {
        let own = spots[profile]
        func isFit(_ spot: Spot) -> Bool {
            guard spot.isSteady, !apart.contains(where: { $0.site == spot.site }) else { return false }
            return moment.at == 0 || spot.tellings[moment.telling].tally.first > moment.at
        }
        var best: Spot?
        let start = below(own.count, &random)
        for index in 0..<min(few, own.count) {
            let spot = own[few < own.count ? below(own.count, &random) : (start + index) % own.count]
            guard best.map({ asked[spot.cell] < asked[$0.cell] }) ?? true, isFit(spot) else { continue }
            best = spot
        }
        return best ?? (few < own.count ? own.first { isFit($0) } : nil)
    }

    private func leastAsked(of group: [Int], _ random: inout SplitMix) -> Int {
        let start = below(group.count, &random)
        var best = group[start]
        for offset in 1..<max(1, group.count) {
            let cell = group[(start + offset) % group.count]
            if asked[cell] < asked[best] { best = cell }
        }
        return best
    }

    private func ticket<Item>(_ items: [Item], _ weights: [Int], _ random: inout SplitMix) -> Item {
        var left = below(weights.reduce(0, +), &random)
        for (item, weight) in zip(items, weights) {
            if left < weight { return item }
            left -= weight
        }
        return items[items.count - 1]
    }

    private func below(_ bound: Int, _ random: inout SplitMix) -> Int {
        bound <= 1 ? 0 : Int(random.next() % UInt64(bound))
    }
}

/// A plan that is made as far as somebody asks, and made again for whoever goes back.
final class PlanBook: Sendable {
    /// So many numbers, and the counting begins anew.
    private static let length = 20_000

    private struct State: Sendable {
        /// Before anything was asked for.
        var fresh: Plan
        var plan: Plan
        var block = 0
        var next = 0
    }

    private let make: @Sendable () -> Plan
    private let cells: [Cell]
    private let numbers: [Cell: Int]
    private let state = Mutex<State?>(nil)

    init(_ seed: UInt64, _ profiles: [Campaign.Profile], _ cells: [Cell]) {
        make = { Plan(seed, profiles, cells) }
        self.cells = cells
        numbers = Dictionary(uniqueKeysWithValues: cells.enumerated().map { ($0.element, $0.offset) })
        self.seed = seed
    }

    private let seed: UInt64

    /// What the schedule of a number is for.
    func choice(_ number: Int) -> Plan.Choice {
        with { state in
            let block = number / Self.length
            if block != state.block || number < state.block * Self.length + state.next {
                state.plan = state.fresh
                state.block = block
                state.next = 0
            }
            while true {
                let current = block * Self.length + state.next
                let choice = state.plan.next(current)
                state.next += 1
                if current == number { return choice }
            }
        } ?? Plan.Choice(profile: 0, targets: [])
    }

    /// What a schedule is for when every cell was tried: by the weights of the stories alone.
    func choiceByWeight(_ number: Int) -> Plan.Choice {
        with { state in
            var random = SplitMix(state: keyedHash(seed, "weight", UInt64(number)))
            var plan = state.fresh
            return plan.byWeight(&random)
        } ?? Plan.Choice(profile: 0, targets: [])
    }

    /// A choice for one cell, after so many tries of each.
    func choice(_ number: Int, for cell: Cell, _ tried: [Cell: Int]) -> Plan.Choice {
        with { state in
            var random = SplitMix(state: keyedHash(seed, "more", UInt64(number)))
            var plan = state.fresh
            return plan.more(for: numbers[cell] ?? 0, cells.map { tried[$0] ?? 0 }, &random)
        } ?? Plan.Choice(profile: 0, targets: [])
    }

    var cellsByChance: Set<Cell> {
        with { state in Set(cells.indices.filter(state.fresh.isByChance).map { cells[$0] }) } ?? []
    }

    private func with<Value>(_ body: (inout State) -> Value) -> Value? {
        if state.withLock({ $0 == nil }) {
            let plan = make()
            state.withLock { $0 = State(fresh: plan, plan: plan) }
        }
        return state.withLock { state in
            guard var known = state.take() else { return nil }
            defer { state = known }
            return body(&known)
        }
    }
}
