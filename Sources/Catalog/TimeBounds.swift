// SPDX-License-Identifier: Apache-2.0

import Resources

/// The moments that one stretch of a line leads to: after `after`, up to `until`.
///
/// The two clocks differ: a base backup's finish is by the database's host, a segment's time is the store's.
struct TimeBounds {
    /// The first base backup's finish: recovery can't stop before its backup is consistent. `nil` when none names one.
    var after: Timestamp?
    /// The newest base backup's finish; where recovery that runs out of segments would read those of another
    /// timeline, only `sure`.
    var certain: Timestamp?
    /// When the last segment was written. `nil` when times are untrusted, and beside another timeline.
    var estimated: Timestamp?
    /// A commit after this was archived, by all that is known: the finish of the newest base backup that has log
    /// after it which no base backup caused. One at the very end proves nothing: a server may have been idle for long
    /// before it.
    var sure: Timestamp?

    var until: Timestamp? { estimated ?? certain }

    /// - Parameter members: base backups of that stretch that may be taken.
    init(_ line: ArchiveLine, _ members: some Sequence<ArchiveLine.Member>, stretch index: Int, isTrusted: Bool) {
        let stretch = line.stretches[index]
        let last = line.lastOwnSegment(of: index)
        for member in members {
            guard let finish = member.finishTime else { continue }
            after = min(after ?? finish, finish)
            certain = max(certain ?? finish, finish)
            if let last, member.extent.last < last { sure = max(sure ?? finish, finish) }
        }
        if stretch.endsBesideAnother { certain = sure }
        if isTrusted, !stretch.endsBesideAnother, let certain { estimated = max(stretch.lastModified, certain) }
    }
}

/// Finds the base backup for a moment, and the nearest moments that can be reached, along one line.
struct TimeSearch {
    enum Verdict {
        /// Every base backup that names its finish had not finished by then.
        case tooEarly
        case reached(ArchiveLine.Member)
        /// The newest base backup that had finished by then; what is archived without a hole after it ends before
        /// that moment.
        case beyond(ArchiveLine.Member)
    }

    let line: ArchiveLine
    /// Of each stretch.
    let bounds: [TimeBounds]
    /// By their finish, each with the one that starts last of those up to it.
    private let byFinish: [(finish: Timestamp, newest: Int)]
    private let members: [ArchiveLine.Member]
    private let now: Timestamp

    /// - Parameter members: base backups that may be taken, oldest start first.
    init(_ line: ArchiveLine, _ members: [ArchiveLine.Member], isTrusted: Bool, now: Timestamp) {
        self.line = line
        self.members = members
        self.now = now
        var groups = line.stretches.map { _ in [ArchiveLine.Member]() }
        for member in members { groups[member.stretch].append(member) }
        bounds = groups.indices.map { TimeBounds(line, groups[$0], stretch: $0, isTrusted: isTrusted) }
        let finishes = members.indices.compactMap { index in members[index].finishTime.map { ($0, index) } }.sorted(
            by: <)
        var newest = 0
        byFinish = finishes.map { finish, index in
            newest = max(newest, index)
            return (finish, newest)
        }
    }

    var first: Timestamp? { byFinish.first?.finish }

    /// The newest base backup that had finished before `moment`, and whether it leads there.
    func verdict(_ moment: Timestamp) -> Verdict {
        let later = byFinish.partitioningIndex { $0.finish >= moment }
        guard later > 0 else { return .tooEarly }
        let member = members[byFinish[later - 1].newest]
        guard let until = bounds[member.stretch].until, moment <= until else { return .beyond(member) }
        return .reached(member)
    }

    private func isReachable(_ moment: Timestamp) -> Bool {
        guard moment <= now, case .reached = verdict(moment) else { return false }
        return true
    }

    func lastReachable(before moment: Timestamp) -> Timestamp? {
        bounds.compactMap(\.until).map { min($0, now) }.filter { $0 < moment }.sorted(by: >).first(where: isReachable)
    }

    /// A whole second where there is one.
    func firstReachable(after moment: Timestamp) -> Timestamp? {
        for (finish, _) in byFinish where finish >= moment {
            let candidates = [finish.wholeSecond.adding(seconds: 1), Timestamp(microseconds: finish.microseconds + 1)]
            if let found = candidates.first(where: { $0 > moment && isReachable($0) }) { return found }
        }
        return nil
    }
}
