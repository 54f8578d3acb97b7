// SPDX-License-Identifier: Apache-2.0

/// Chooses schedules for what was tried too seldom, one after the other, by what came of the ones before: not every fault
/// that is asked for comes about.
package struct TopUp {
    private let campaign: Campaign
    private let numbers: [Cell: Int]
    private var plan: Plan?
    /// By cell, how often it is still to be tried.
    private var lack: [Int]
    private var turn = 0

    /// - Parameters:
    ///   - plan: Before anything was asked for.
    ///   - lack: How often each cell is still to be tried; no more than that for those that are not in it.
    init(_ campaign: Campaign, _ plan: Plan?, _ lack: [Cell: Int]) {
        self.campaign = campaign
        self.plan = plan
        numbers = Dictionary(uniqueKeysWithValues: campaign.cells.enumerated().map { ($0.element, $0.offset) })
        self.lack = campaign.cells.map { lack[$0] ?? 0 }
    }

    /// The next schedule.
    /// - Returns: `nil` when nothing is lacking, or when what is lacking was asked for in vain too often.
    package mutating func next(worker: Int) -> Schedule? {
        let number = 1_000_000_000 + 1_000_000 * worker + turn
        var random = SplitMix(state: keyedHash(campaign.seed, "more", UInt64(number)))
        turn += 1
        return plan?.more(lack, &random).map { campaign.schedule(number, $0) }
    }

    /// Takes in what came of it.
    package mutating func take(_ verdict: Verdict) {
        for case .call(let site, let trouble) in verdict.taken {
            if let cell = numbers[Cell(site.place, trouble)], lack[cell] > 0 { lack[cell] -= 1 }
        }
    }
}
