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
    }

    /// Where a cell is met, and how surely.
    private struct Spot {
        var profile: Int
        var site: Int
        var cell: Int
        /// The fewest calls that any telling had.
        var count: Int
        /// Tellings, by seed, that had it, with the number of calls; when only some did.
        var seeds: [(seed: UInt64, count: Int)]

        /// Whether it comes about in every telling, however late things are.
        var isSteady: Bool { count > 0 }
    }

    private let seed: UInt64
    private let weights: [Int]
    private let isLong: [Bool]
    /// By profile and site.
    private let spots: [[Spot]]
    /// By cell: where it is met.
    private let choices: [[(profile: Int, site: Int)]]
    private let shortCells: [Int]
    private let longCells: [Int]
    /// How often each cell was asked for, in quarters: what comes about only sometimes counts for less.
    private var asked: [Int]

    /// So often each story is told in turn.
    private static let rounds = 20
    /// So often each cell is asked for before weights alone decide.
    private static let enough = 4 * 30
    /// Stories are told so often without a fault, each time with another seed, to see what depends on chance.
    private static let tellings: UInt64 = 3

    init(_ seed: UInt64, _ profiles: [Campaign.Profile], _ cells: [Cell]) {
        self.seed = seed
        weights = profiles.map(\.scenario.weight)
        isLong = profiles.map(\.isLong)
        let numbers = Dictionary(uniqueKeysWithValues: cells.enumerated().map { ($0.element, $0.offset) })
        var choices = [[(profile: Int, site: Int)]](repeating: [], count: cells.count)
        spots = profiles.enumerated().map { index, profile in
            let others = (1..<Self.tellings).map { number -> (seed: UInt64, places: [CallPlace: Int]) in
                let other = seed &+ number &* 0x9E37_79B9
                return (other, Campaign.tell(profile.scenario, other).places)
            }
            let tellings = [(seed: seed, places: profile.verdict.places)] + others
            return profile.sites.enumerated().map { place, site in
                let cell = numbers[site.cell] ?? 0
                choices[cell].append((index, place))
                let counts = tellings.map { (seed: $0.seed, count: $0.places[site.place] ?? 0) }
                return Spot(
                    profile: index, site: place, cell: cell, count: counts.map(\.count).min() ?? 0,
                    seeds: counts.filter { $0.count > 0 })
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
        let stories = weights.indices.filter { !isLong[$0] }
        let story = ticket(stories, stories.map { weights[$0] }, &random)
        guard let first = lesser(of: story, apart: [], &random) else {
            return choice(for: shortCells[0], false, &random)
        }
        return complete(first, false, &random)
    }

    /// A choice for one cell.
    mutating func choice(for cell: Int, _ isLong: Bool, _ random: inout SplitMix) -> Choice {
        let all = choices[cell]
        let own = all.filter { self.isLong[$0.profile] == isLong }
        let found = (own.isEmpty ? all : own).map { spots[$0.profile][$0.site] }
        // Where it comes about for sure, if there is such a place.
        let steady = found.filter(\.isSteady)
        let spot = ticket(
            steady.isEmpty ? found : steady, (steady.isEmpty ? found : steady).map { weights[$0.profile] }, &random)
        return complete(spot, isLong, &random)
    }

    func isLong(_ cell: Int) -> Bool { !choices[cell].contains { !isLong[$0.profile] } }

    /// Adds what else goes wrong.
    private mutating func complete(_ first: Spot, _ isLong: Bool, _ random: inout SplitMix) -> Choice {
        var choice = Choice(profile: first.profile, targets: [])
        if first.isSteady {
            choice.targets.append((first.site, 1 + below(first.count, &random)))
            asked[first.cell] += 4
        } else {
            // It depends on chance: told with a seed that has shown it, it comes about again.
            let telling = first.seeds[below(first.seeds.count, &random)]
            choice.seed = telling.seed
            choice.targets.append((first.site, 1 + below(telling.count, &random)))
            asked[first.cell] += 3
        }
        // And what goes wrong before it may keep it from coming about.
        let extras = first.isSteady ? (isLong ? 7 : 2) : (isLong ? 3 : 1)
        for _ in 0..<extras {
            guard let other = lesser(of: first.profile, apart: choice.targets.map(\.site), &random) else { break }
            choice.targets.append((other.site, 1 + below(other.count, &random)))
            asked[other.cell] += 4
        }
        return choice
    }

    /// Of a few of a story's sites the one that was asked for least.
    private func lesser(of profile: Int, apart: [Int], _ random: inout SplitMix) -> Spot? {
        let own = spots[profile]
        var best: Spot?
        for _ in 0..<6 {
            let spot = own[below(own.count, &random)]
            guard spot.isSteady, !apart.contains(spot.site) else { continue }
            if best.map({ asked[spot.cell] < asked[$0.cell] }) ?? true { best = spot }
        }
        return best ?? own.first { $0.isSteady && !apart.contains($0.site) }
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
    private let numbers: [Cell: Int]
    private let state = Mutex<State?>(nil)

    init(_ seed: UInt64, _ profiles: [Campaign.Profile], _ cells: [Cell]) {
        make = { Plan(seed, profiles, cells) }
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
        }
    }

    /// A choice for one cell, whatever was asked for before.
    func choice(_ number: Int, for cell: Cell) -> Plan.Choice {
        with { state in
            var random = SplitMix(state: keyedHash(seed, "more", UInt64(number)))
            var plan = state.fresh
            let index = numbers[cell] ?? 0
            return plan.choice(for: index, plan.isLong(index), &random)
        }
    }

    private func with(_ body: (inout State) -> Plan.Choice) -> Plan.Choice {
        if state.withLock({ $0 == nil }) {
            let plan = make()
            state.withLock { $0 = State(fresh: plan, plan: plan) }
        }
        return state.withLock { state in
            guard var known = state.take() else { return Plan.Choice(profile: 0, targets: []) }
            defer { state = known }
            return body(&known)
        }
    }
}
