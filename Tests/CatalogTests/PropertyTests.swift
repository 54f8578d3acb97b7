// SPDX-License-Identifier: Apache-2.0

import Catalog
import Resources
import Testing

/// Random archives, random wishes: what the catalog promises, an honest restore reaches.
@Suite struct PropertyTests {
    private struct Tally {
        var reached = 0
        var refused = 0
        var exact = 0
    }

    private struct Trial {
        var seed: UInt64
        var world: World
        var restore: HonestRestore
        var catalog: ArchiveCatalog
        var now: Timestamp

        init(_ seed: UInt64) {
            self.seed = seed
            world = World.random(seed: seed)
            restore = HonestRestore(world)
            catalog = ArchiveCatalog(world.listing)
            now = Timestamp(microseconds: world.clock)
        }
    }

    @Test func promisesAreKept() {
        var tally = Tally()
        for seed in UInt64(0)..<2_000 {
            let trial = Trial(seed)
            var dice = Dice(seed: seed ^ 0xABCD)
            for request in Self.requests(trial.world, &dice) { check(request, trial, &tally) }
            checkWindows(trial)
        }
        // What is always refused is never wrong: this must not be the way it passes.
        #expect(tally.reached > 20_000, "\(tally)")
        #expect(tally.exact > 15_000, "\(tally)")
        #expect(tally.refused > 5_000, "\(tally)")
    }

    private static func requests(_ world: World, _ dice: inout Dice) -> [RecoveryRequest] {
        var moments: [RecoveryRequest.Moment] = [.latest, .latest, .backupEnd, .xid("1")]
        let start = world.backups.map(\.startTime).min() ?? world.clock
        for _ in 0..<8 {
            moments.append(.time(Timestamp(microseconds: Int64.random(in: (start - 1)...world.clock, using: &dice))))
        }
        for backup in world.backups.shuffled(using: &dice).prefix(3) {
            moments.append(.time(Timestamp(microseconds: backup.finishTime)))
            moments.append(.time(Timestamp(microseconds: backup.finishTime + 1)))
            moments.append(.lsn(LSN(backup.finish)))
        }
        for timeline in world.timelines.values.sorted(by: { $0.switchLSN < $1.switchLSN }) {
            if let time = timeline.archived.values.sorted().randomElement(using: &dice) {
                moments.append(.time(Timestamp(microseconds: time + Int64.random(in: -1...1, using: &dice))))
            }
            let low = world.backups.map(\.start).min() ?? 0
            moments.append(.lsn(LSN(UInt64.random(in: low...max(low, timeline.position), using: &dice))))
        }
        let lines: [RecoveryRequest.Line] =
            [.latest, .latest, .latest, .current]
            + (1...world.newest).map { .timeline(Int64($0)) }
        return moments.map { moment in
            RecoveryRequest(
                moment, line: lines.randomElement(using: &dice) ?? .latest,
                backup: dice.once(in: 4) ? world.backups.randomElement(using: &dice)?.name : nil)
        }
    }

    private func check(_ request: RecoveryRequest, _ trial: Trial, _ tally: inout Tally) {
        let seed = trial.seed
        switch trial.catalog.answer(request, at: trial.now) {
        case .reachable(let choice):
            tally.reached += 1
            if isKept(choice, request, trial) { tally.exact += 1 }
        case .refused(let finding):
            tally.refused += 1
            checkRefusal(request, finding, trial)
            if case .time(let target) = request.moment {
                #expect(finding.nearestBefore.map { $0 < target } ?? true, "seed \(seed): \(finding)")
                #expect(finding.nearestAfter.map { $0 > target } ?? true, "seed \(seed): \(finding)")
            }
            for moment in [finding.nearestBefore, finding.nearestAfter].compactMap({ $0 }) {
                var instead = request
                instead.moment = .time(moment)
                let answer = trial.catalog.answer(instead, at: trial.now)
                guard let choice = answer.choice else {
                    Issue.record("seed \(seed): \(request) names \(moment), which is refused: \(answer)")
                    continue
                }
                _ = isKept(choice, instead, trial)
            }
        }
    }

    /// - Returns: whether the restore came to exactly the wanted state.
    private func isKept(_ choice: RecoveryChoice, _ request: RecoveryRequest, _ trial: Trial) -> Bool {
        let world = trial.world
        let warnings = Set(choice.warnings.map(\.reason))
        // Where a history file could not be read, the way is a guess, and said to be one.
        if warnings.contains("TimelineInferred") { return false }
        let target: HonestRestore.Target
        let commits = trial.restore.commits[Int(choice.timeline), default: []]
        let wanted: [World.Commit]
        switch request.moment {
        case .latest:
            target = .latest
            wanted = commits.filter { $0.lsn < choice.endLSN.value }
        case .time(let moment):
            target = .time(moment.microseconds)
            wanted = commits.filter { $0.time < moment.microseconds }
        case .lsn(let lsn):
            target = .lsn(lsn.value)
            let last = commits.first { $0.lsn >= lsn.value }?.lsn ?? .max
            let next = (lsn.value + world.size - 1) / world.size * world.size
            wanted = commits.filter { $0.lsn <= last && ($0.lsn < next || next == lsn.value) }
        case .backupEnd, .xid, .name:
            target = .backupEnd
            let finish = world.backups.first { $0.name == choice.backup.name }?.finish ?? 0
            wanted = commits.filter { $0.lsn < finish }
        }
        let outcome = trial.restore.restore(choice.backup.name, timeline: choice.targetTimeline, to: target)
        // A server that was idle for long: that is warned of, but where the only trace was a base backup that is gone.
        if outcome == .endedBeforeTarget, warnings.contains("TargetNearArchiveHead") || world.hidesBackups {
            return false
        }
        guard outcome == .promoted(wanted.map(\.id)) else {
            Issue.record("seed \(trial.seed): \(request) -> \(RecoveryAnswer.reachable(choice).brief): \(outcome)")
            return false
        }
        return true
    }

    /// What is refused on the first timeline, where nothing is uncertain, can't be had from any base backup.
    private func checkRefusal(_ request: RecoveryRequest, _ finding: CatalogFinding, _ trial: Trial) {
        guard request.line == .timeline(1), request.backup == nil, !trial.world.isCopied else { return }
        let commits = trial.restore.commits[1, default: []]
        let target: HonestRestore.Target
        let wanted: [Int]
        switch request.moment {
        case .latest:
            target = .latest
            let end = (trial.world.timelines[1]?.archived.keys.max() ?? 0) + 1
            wanted = commits.filter { $0.lsn < end * trial.world.size }.map(\.id)
        case .time(let moment):
            target = .time(moment.microseconds)
            wanted = commits.filter { $0.time < moment.microseconds }.map(\.id)
        default: return
        }
        for backup in trial.world.backups where backup.timeline == 1 {
            if case .time(let moment) = target, backup.finishTime >= moment || !backup.namesFinishTime { continue }
            let outcome = trial.restore.restore(backup.name, timeline: "1", to: target)
            #expect(
                outcome != .promoted(wanted),
                "seed \(trial.seed): \(request) refused, but \(backup.name) works: \(finding)")
        }
    }

    private func checkWindows(_ trial: Trial) {
        for window in trial.catalog.windows {
            let line = RecoveryRequest.Line.timeline(window.timeline)
            guard let earliest = window.earliest else { continue }
            let bounds = [
                Timestamp(microseconds: earliest.microseconds + 1), window.latestCertain, window.latestEstimated,
            ]
            for moment in bounds.compactMap({ $0 }) where moment > earliest {
                guard moment <= window.latestEstimated ?? window.latestCertain ?? earliest else { continue }
                let request = RecoveryRequest(.time(moment), line: line)
                let answer = trial.catalog.answer(request, at: trial.now)
                guard let choice = answer.choice else {
                    Issue.record("seed \(trial.seed): window \(window) does not hold \(moment): \(answer)")
                    continue
                }
                _ = isKept(choice, request, trial)
            }
        }
    }
}
