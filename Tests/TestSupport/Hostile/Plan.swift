// SPDX-License-Identifier: Apache-2.0

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
        /// Tells its call from others of the profile.
        var place: Int
        /// The fewest calls that any telling had.
        var count: Int
        /// Tellings that had it, by their place in the profile's, with the calls.
        var tellings: [(telling: Int, tally: CallTally)]
        /// The higher, the surer the same call is sent again afterwards.
        var persistence: Int

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
    /// By profile: the cells that come about in it for sure.
    private let cellsForSure: [[Int]]
    /// By profile: those of its cells that come about in no story for sure.
    private let cellsByChance: [[Int]]
    /// How often each cell was asked for.
    private var asked: [Int]
    /// How often a schedule was there for a cell.
    private var leads: [Int]

    /// So often each story is told in turn.
    static let rounds = 12
    /// How much goes wrong in the tellings of a round, in turn: much, so that there is something of everything; and little,
    /// since what goes wrong can also hide what is wrong.
    private static let rooms = [30, 4, 12]
    /// How much goes wrong in a schedule that is there for what was tried too seldom. One fault more costs little, next to
    /// the story itself; a short story is over before much can happen to it.
    private static func wide(_ isLong: Bool) -> Int { isLong ? 30 : 12 }
    /// How much goes wrong in the others: a long story has room for more, and costs more.
    private static func room(_ isLong: Bool) -> Int { isLong ? 12 : 3 }
    /// So many faults one place has in a schedule: a call that was committed is not sent again, so more don't come about.
    private static let same = 3
    /// So many has the place of the call that a schedule is there for: pauses grow, and end a minute after the last one.
    private static let chain = 6
    /// So often each cell is asked for before weights alone decide.
    private static let enough = 22
    /// So many schedules are there for one cell; what does not come about in them is given up.
    private static let patience = 60

    init(_ seed: UInt64, _ profiles: [Campaign.Profile], _ cells: [Cell]) {
        self.seed = seed
        weights = profiles.map(\.scenario.weight)
        isLong = profiles.map(\.isLong)
        let numbers = Dictionary(uniqueKeysWithValues: cells.enumerated().map { ($0.element, $0.offset) })
        let all = profiles.map(\.tellings)
        seeds = all.map { $0.map(\.seed) }
        costs = profiles.map { $0.places.reduce(1) { $0 + ($1.place.call.what == "leases" ? 0 : $1.count) } }
        spots = profiles.enumerated().map { index, profile in
            var places: [CallPlace: Int] = [:]
            for site in profile.sites { places[site.place] = places[site.place] ?? places.count }
            return profile.sites.enumerated().map { number, site in
                let tallies = all[index].enumerated().compactMap { telling, calls in
                    calls.places[site.place].map { (telling: telling, tally: $0) }
                }
                let isSteady = tallies.count == all[index].count
                return Spot(
                    profile: index, site: number, cell: numbers[site.cell] ?? 0, place: places[site.place] ?? 0,
                    count: isSteady ? tallies.map(\.tally.count).min() ?? 0 : 0, tellings: tallies,
                    persistence: site.trouble.persistence)
            }
        }
        var isSteady = Array(repeating: false, count: cells.count)
        for spot in spots.joined() where spot.isSteady { isSteady[spot.cell] = true }
        let steady = isSteady
        cellsForSure = spots.map { Set($0.lazy.filter(\.isSteady).map(\.cell)).sorted() }
        cellsByChance = spots.map { Set($0.lazy.filter { !steady[$0.cell] }.map(\.cell)).sorted() }
        asked = Array(repeating: 0, count: cells.count)
        leads = asked
    }

    /// The choice for the next number; to be asked for in order.
    mutating func next(_ number: Int) -> Choice {
        var random = SplitMix(state: keyedHash(seed, "plan", UInt64(number)))
        if weights.count > 1, number < Self.rounds * weights.count {
            let story = number % weights.count
            let room = isLong[story] ? Self.rooms[number / weights.count % Self.rooms.count] : Self.room(false)
            return fill(story, anything, room, &random)
        }
        let turn = number % 7
        let lack = asked.map { max(0, Self.enough - $0) }
        if turn < 4, let story = best(lack, amongLong: turn == 0) ?? best(lack, amongLong: turn != 0) {
            return fill(story, lack, Self.room(isLong[story]), wantsChance: isByChance(story, lack), &random)
        }
        return byWeight(&random)
    }

    /// A choice for what was tried too seldom, in the story that comes to most of it at the least cost.
    /// - Parameter lack: By cell, how often it is still to be tried.
    /// - Returns: `nil` when nothing is lacking, or what is lacking does not come about.
    mutating func more(_ lack: [Int], _ random: inout SplitMix) -> Choice? {
        let hope = lack.indices.map { leads[$0] < Self.patience ? lack[$0] : 0 }
        guard let story = best(hope) else { return nil }
        return fill(
            story, hope, Self.wide(isLong[story]), wantsChance: isByChance(story, hope), repeatsSurely: true, &random)
    }

    /// A choice for no cell in particular.
    /// - Parameter room: How much goes wrong; `nil`: as much as in others.
    mutating func byWeight(_ random: inout SplitMix, room: Int? = nil) -> Choice {
        let short = weights.indices.filter { !isLong[$0] }
        let stories = short.isEmpty ? Array(weights.indices) : short
        let story = ticket(stories, stories.map { weights[$0] }, &random)
        return fill(story, anything, room ?? Self.room(isLong[story]), &random)
    }

    /// Everything is wanted, and what was asked for least is wanted most.
    private var anything: [Int] { asked.map { 1 + max(0, 1_000_000 - $0) } }

    /// The story that comes to most of what is wanted at the least cost.
    private func best(_ lack: [Int], amongLong: Bool? = nil) -> Int? {
        var best: (story: Int, worth: Int)?
        for story in weights.indices where amongLong.map({ $0 == isLong[story] }) ?? true {
            let sure = cellsForSure[story].count { lack[$0] > 0 }
            let found = max(min(sure, Self.wide(isLong[story])), isByChance(story, lack) ? 1 : 0)
            let worth = 100_000 * found / costs[story]
            if worth > best?.worth ?? 0 { best = (story, worth) }
        }
        return best?.story
    }

    /// Whether something is lacking that the story comes to, and no story for sure.
    private func isByChance(_ story: Int, _ lack: [Int]) -> Bool { cellsByChance[story].contains { lack[$0] > 0 } }

    /// Fills a story with what is lacking most, so far as there is room.
    /// - Parameters:
    ///   - lack: By cell; the more, the sooner.
    ///   - wantsChance: It is there for a cell that depends on chance.
    ///   - repeatsSurely: A cell that was asked for in vain is told with a seed that has shown it.
    private mutating func fill(
        _ story: Int, _ lack: [Int], _ room: Int, wantsChance: Bool = false, repeatsSurely: Bool = false,
        _ random: inout SplitMix
    ) -> Choice {
        let chances = wantsChance ? Set(cellsByChance[story]) : []
        let leading = spots[story].filter { wantsChance ? chances.contains($0.cell) : $0.isSteady }
        let lead = sorted(leading, lack, &random).first ?? spots[story][0]
        var choice = Choice(profile: story, targets: [])
        if lead.isSteady, !repeatsSurely || leads[lead.cell] % 2 == 0 {
            choice.targets.append((lead.site, 1 + below(lead.count, &random)))
        } else {
            // It depends on chance: told with a seed that has shown it, it comes about again, if nothing has gone wrong
            // before.
            let (telling, tally) = lead.tellings[below(lead.tellings.count, &random)]
            let ordinal = random.next() % 2 == 0 ? 1 : 1 + below(tally.count, &random)
            choice.seed = seeds[story][telling]
            choice.certainUntil = ordinal == 1 ? tally.first : tally.last
            choice.targets.append((lead.site, ordinal))
        }
        leads[lead.cell] += 1
        asked[lead.cell] += 1
        addAgain(to: &choice, lead, lack, repeatsSurely ? Self.chain : 1 + room / 5, &random)
        addOthers(to: &choice, lead, lack, room, &random)
        return choice
    }

    /// Adds what else goes wrong with the very same call. What fails is mostly sent again, and with calls that are rarely
    /// seen nothing else can go wrong. What ends that comes last.
    private mutating func addAgain(
        to choice: inout Choice, _ lead: Spot, _ lack: [Int], _ room: Int, _ random: inout SplitMix
    ) {
        // What was asked for in vain goes first: it may be the others that kept it from coming about. After what ends it whoever
        // leads then may send the same call once more, so another end can follow.
        let isFirst = leads[lead.cell] > 1
        let wanted = spots[choice.profile].filter {
            lack[$0.cell] > 0 && $0.place == lead.place && $0.site != lead.site
                && (!isFirst || $0.persistence <= lead.persistence)
        }
        let others = sorted(wanted, lack, &random).prefix(room - 1)
        let first = choice.targets[0].ordinal
        choice.targets = ([lead] + others).sorted { $0.persistence > $1.persistence }.enumerated().map {
            ($0.element.site, first + $0.offset)
        }
        for other in others { asked[other.cell] += 1 }
    }

    /// Adds what goes wrong with other calls: after those that come about surely such as depend on chance, so far as they are
    /// lacking.
    private mutating func addOthers(
        to choice: inout Choice, _ lead: Spot, _ lack: [Int], _ room: Int, _ random: inout SplitMix
    ) {
        let until = choice.certainUntil
        let telling = choice.seed.flatMap { seeds[choice.profile].firstIndex(of: $0) } ?? 0
        let wanted = sorted(
            spots[choice.profile].filter { lack[$0.cell] > 0 && $0.place != lead.place }, lack, &random)
        var taken: [Int: [Int]] = [:]
        for other in wanted.filter(\.isSteady) + wanted.filter({ !$0.isSteady }) {
            if choice.targets.count >= room { break }
            let before = taken[other.place] ?? []
            guard before.count < Self.same, let tally = other.tellings.first(where: { $0.telling == telling })?.tally,
                until == 0 || tally.first > until
            else { continue }
            // One call more for each that something happens to.
            let free = (1...(other.isSteady ? other.count : tally.count) + before.count).filter { !before.contains($0) }
            let ordinal = free[below(free.count, &random)]
            choice.targets.append((other.site, ordinal))
            taken[other.place] = before + [ordinal]
            asked[other.cell] += 1
        }
    }

    /// What is lacking most first; in any order what is lacking equally.
    private func sorted(_ spots: [Spot], _ lack: [Int], _ random: inout SplitMix) -> [Spot] {
        spots.map { (spot: $0, lack: lack[$0.cell], ticket: random.next()) }
            .sorted { ($0.lack, $0.ticket) > ($1.lack, $1.ticket) }
            .map(\.spot)
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
