// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Decides which cells the schedules of a campaign are for, one number after the other, by counting what was asked for.
///
/// One schedule in seven tells a long story, with as many faults as it has room for, and three a short one with less: the
/// story that comes to most of the cells that were asked for too seldom, for what it costs. In the others a short story is
/// chosen by its weight alone.
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
    /// By profile: the calls of a telling without those about Leases, which is what it costs.
    private let costs: [Int]
    /// By cell: where it is met.
    private let choices: [[(profile: Int, site: Int)]]
    /// By profile: the cells that come about in it for sure.
    private let cellsForSure: [[Int]]
    /// By profile: those of its cells that come about in no story for sure.
    private let cellsByChance: [[Int]]
    /// How often each cell was asked for.
    private var asked: [Int]
    /// By profile: how many of its cells were not asked for often enough.
    private var wanting: [Int]
    /// By profile: of those that come about by chance.
    private var wantingByChance: [Int]

    /// So often each story is told in turn.
    static let rounds = 12
    /// How much goes wrong in a schedule: a long story has room for more, and costs more.
    private static func room(_ isLong: Bool) -> Int { isLong ? 12 : 3 }
    /// So many faults one place has in a schedule: a call that was committed is not sent again, so more don't come about.
    private static let same = 3
    /// So often each cell is asked for before weights alone decide.
    private static let enough = 22
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
        costs = profiles.map { $0.places.reduce(1) { $0 + ($1.place.call.what == "leases" ? 0 : $1.count) } }
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
        self.choices = choices
        let spots = spots
        let isSteady = choices.map { $0.contains { spots[$0.profile][$0.site].isSteady } }
        cellsForSure = spots.map { Set($0.lazy.filter(\.isSteady).map(\.cell)).sorted() }
        cellsByChance = spots.map { Set($0.lazy.filter { !isSteady[$0.cell] }.map(\.cell)).sorted() }
        asked = Array(repeating: 0, count: cells.count)
        wanting = cellsForSure.map(\.count)
        wantingByChance = cellsByChance.map(\.count)
    }

    /// The choice for the next number; to be asked for in order.
    mutating func next(_ number: Int) -> Choice {
        var random = SplitMix(state: keyedHash(seed, "plan", UInt64(number)))
        if weights.count > 1, number < Self.rounds * weights.count {
            let story = number % weights.count
            if let first = lesser(of: story, apart: [], &random) { return complete(first, isLong[story], &random) }
        }
        let turn = number % 7
        if turn < 4, let story = best(amongLong: turn == 0) ?? best(amongLong: turn != 0),
            let cell = leastAsked(of: story, &random)
        {
            return choice(for: cell, in: story, &random)
        }
        return byWeight(&random)
    }

    /// The story that comes to most of what is wanted at the least cost.
    private func best(amongLong: Bool) -> Int? {
        func worth(_ story: Int) -> Int {
            let sure = min(Self.room(amongLong), wanting[story])
            return 100_000 * max(sure, wantingByChance[story] > 0 ? 1 : 0) / costs[story]
        }
        let fit = weights.indices.filter { isLong[$0] == amongLong && worth($0) > 0 }
        return fit.max { worth($0) < worth($1) }
    }

    /// What depends on chance goes first: nothing else may go wrong before.
    private func leastAsked(of story: Int, _ random: inout SplitMix) -> Int? {
        let own = wantingByChance[story] > 0 ? cellsByChance[story] : cellsForSure[story]
        guard let least = own.lazy.map({ asked[$0] }).min() else { return nil }
        let equals = own.filter { asked[$0] == least }
        return equals[below(equals.count, &random)]
    }

    private mutating func ask(for cell: Int) {
        asked[cell] += 1
        guard asked[cell] == Self.enough else { return }
        for story in Set(choices[cell].map(\.profile)) {
            if cellsForSure[story].contains(cell) { wanting[story] -= 1 }
            if cellsByChance[story].contains(cell) { wantingByChance[story] -= 1 }
        }
    }

    private mutating func choice(for cell: Int, in story: Int, _ random: inout SplitMix) -> Choice {
        let found = choices[cell].filter { $0.profile == story }.map { spots[story][$0.site] }
        let steady = found.filter(\.isSteady)
        let fit = steady.isEmpty ? found : steady
        return complete(fit[below(fit.count, &random)], isLong[story], from: .max, &random)
    }

    /// A choice for no cell in particular.
    /// - Parameter room: How much goes wrong; `nil`: as much as in others.
    mutating func byWeight(_ random: inout SplitMix, room: Int? = nil) -> Choice {
        let short = weights.indices.filter { !isLong[$0] }
        let stories = short.isEmpty ? Array(weights.indices) : short
        let story = ticket(stories, stories.map { weights[$0] }, &random)
        let first = lesser(of: story, apart: [], &random) ?? spots[story][0]
        return complete(first, isLong[story], room: room, &random)
    }

    /// Whether it comes about in no story for sure.
    func isByChance(_ cell: Int) -> Bool { !choices[cell].contains { spots[$0.profile][$0.site].isSteady } }

    /// A choice for a cell that was tried too seldom, in the story that comes to most of such cells at the least cost.
    /// - Parameter tried: By cell.
    mutating func more(for cell: Int, _ tried: [Int], _ random: inout SplitMix) -> Choice {
        asked = tried
        let found = choices[cell].map { spots[$0.profile][$0.site] }
        let steady = found.filter(\.isSteady)
        func worth(_ spot: Spot) -> Int {
            let room = Self.room(isLong[spot.profile])
            let others = cellsForSure[spot.profile].count { tried[$0] < Self.wanted }
            return 100_000 * min(room, max(1, others)) / costs[spot.profile]
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
        _ first: Spot, _ isLong: Bool, room: Int? = nil, from few: Int = 6, _ random: inout SplitMix
    ) -> Choice {
        var choice = Choice(profile: first.profile, targets: [])
        var used: [Spot] = []
        if first.isSteady {
            choice.targets.append((first.site, 1 + below(first.count, &random)))
        } else {
            // It depends on chance: told with a seed that has shown it, it comes about again, if nothing has gone wrong
            // before.
            let (telling, tally) = first.tellings[below(first.tellings.count, &random)]
            choice.seed = seeds[first.profile][telling]
            choice.certainUntil = tally.last
            choice.targets.append((first.site, 1 + below(tally.count, &random)))
        }
        ask(for: first.cell)
        used.append(first)
        for _ in 1..<(room ?? Self.room(isLong)) {
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
            ask(for: other.cell)
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
            guard spot.isSteady, apart.count(where: { $0.place == spot.place }) < Self.same,
                !apart.contains(where: { $0.site == spot.site })
            else { return false }
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
            return plan.byWeight(&random, room: 1)
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
