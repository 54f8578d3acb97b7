// SPDX-License-Identifier: Apache-2.0

extension Campaign {
    /// How often each story is told in turn before cells are chosen among all of them.
    ///
    /// Most cells belong to many stories, and what a story is there for shows only when it is told: a campaign of any length
    /// has told each of them.
    package static let rounds = 20

    /// The schedule of a number, if that is one of the first rounds.
    func firstRounds(_ number: Int) -> Schedule? {
        guard profiles.count > 1, number >= 0, number < Self.rounds * profiles.count else { return nil }
        let profile = profiles[number % profiles.count]
        let round = number / profiles.count
        let own = profile.sites
        guard !own.isEmpty else { return nil }
        let first = own[(1 + round) &* Self.stride(own.count) % own.count]
        let site = CallSite(1 + draw("ordinal", number, below: first.count), first.place)
        return schedule(number, of: profile, site, first.trouble, round, isLong: profile.isLong)
    }
}
