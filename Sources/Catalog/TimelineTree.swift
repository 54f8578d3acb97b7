// SPDX-License-Identifier: Apache-2.0

import Resources

/// Which segments each timeline has, and where it left its parent.
struct TimelineTree: Equatable, Sendable {
    /// Archived segments without a hole between them, by number; `first...last`.
    struct Run: Equatable, Sendable {
        var first: UInt64
        var last: UInt64
        /// When the first and the last of them were written.
        var firstModified: Timestamp
        var lastModified: Timestamp
    }

    /// Where a timeline comes from.
    struct Origin: Equatable, Sendable {
        var parent: Int64
        /// Where it left its parent; the start of its first segment when that is all that is known.
        var switchLSN: LSN
        /// Not from a history file: the parent has the segment before this timeline's first one.
        var isInferred: Bool
    }

    /// The part of a line that lies on one timeline: it owns the segments `begin..<end`.
    ///
    /// The segment in which the line changes timelines belongs to the newer one, whose copy begins with the older one's
    /// records and carries on.
    struct Piece: Equatable, Sendable {
        var timeline: Int64
        var beginLSN: LSN
        var begin: UInt64
        var end: UInt64
        /// Where the line leaves this timeline for good.
        var leave: LSN
        /// Where it begins was not read from a history file.
        var isInferred: Bool

        var isEmpty: Bool { begin >= end }
    }

    let geometry: WalGeometry
    /// By timeline; within one, ascending and neither touching nor overlapping.
    private(set) var runs: [Int64: [Run]] = [:]
    private(set) var origins: [Int64: Origin] = [:]
    /// Timelines that have a history file, readable or not.
    let histories: Set<Int64>
    /// Of these, those whose parent can't be read from it; ascending.
    let unreadable: [Int64]
    /// Timelines that have segments, base backups or a history file; ascending.
    let timelines: [Int64]
    /// Timelines that have segments or base backups.
    let filled: Set<Int64>
    /// Some range is none with this size of segments; it was left out.
    private(set) var isMisread = false

    /// - Parameter backupTimelines: timelines that base backups were taken on.
    init(_ listing: ArchiveListing, geometry: WalGeometry, backupTimelines: Set<Int64>) {
        self.geometry = geometry
        var found: [Int64: [Run]] = [:]
        for range in listing.ranges {
            guard let first = geometry.segment(named: range.first), let last = geometry.segment(named: range.last),
                first.timeline == last.timeline, first.number <= last.number
            else {
                isMisread = true
                continue
            }
            let run = Run(
                first: first.number, last: last.number, firstModified: range.firstModified,
                lastModified: range.lastModified)
            found[first.timeline, default: []].append(run)
        }
        runs = found.mapValues(Self.merged)
        // Timelines are numbers of 32 bits.
        let histories = listing.timelines.filter { $0.timeline > 1 && $0.timeline <= 0xFFFF_FFFF }
        self.histories = Set(histories.map(\.timeline))
        filled = Set(runs.keys).union(backupTimelines)
        timelines = filled.union(self.histories).sorted()
        var unreadable: Set<Int64> = []
        for history in histories {
            guard history.problem == nil, let parent = history.parent, parent >= 1, parent < history.timeline,
                let switchLSN = history.switchLSN.flatMap({ LSN($0) })
            else {
                unreadable.insert(history.timeline)
                continue
            }
            origins[history.timeline] = Origin(parent: parent, switchLSN: switchLSN, isInferred: false)
        }
        self.unreadable = unreadable.sorted()
        for timeline in timelines where timeline > 1 && origins[timeline] == nil {
            origins[timeline] = inferredOrigin(of: timeline)
        }
    }

    private static func merged(_ runs: [Run]) -> [Run] {
        var merged: [Run] = []
        for run in runs.sorted(by: { ($0.first, $0.last) < ($1.first, $1.last) }) {
            guard let before = merged.last, run.first <= before.last + 1 else {
                merged.append(run)
                continue
            }
            if run.last > before.last {
                merged[merged.count - 1].last = run.last
                merged[merged.count - 1].lastModified = run.lastModified
            }
        }
        return merged
    }

    /// The next lower timeline that has the segment before the first one.
    private func inferredOrigin(of timeline: Int64) -> Origin? {
        guard let first = runs[timeline]?.first?.first, first > 0,
            let parent = timelines.last(where: { $0 < timeline && has(first - 1, on: $0) })
        else { return nil }
        return Origin(parent: parent, switchLSN: geometry.start(ofSegment: first), isInferred: true)
    }

    /// The index of the first run that ends at this number or later.
    func firstRun(of timeline: Int64, endingAt number: UInt64) -> Int {
        let list = runs[timeline] ?? []
        return list.partitioningIndex { $0.last >= number }
    }

    func has(_ number: UInt64, on timeline: Int64) -> Bool {
        guard let list = runs[timeline] else { return false }
        let index = list.partitioningIndex { $0.last >= number }
        return index < list.count && list[index].first <= number
    }

    /// The number of a timeline's newest segment.
    func newest(on timeline: Int64) -> UInt64? { runs[timeline]?.last?.last }

    // MARK: Lines

    /// A timeline without a history file can't be told from its ancestors by PostgreSQL: only base backups of its own
    /// lead there.
    func canBeFollowedFromAncestors(_ timeline: Int64) -> Bool { timeline == 1 || histories.contains(timeline) }

    /// The timeline's ancestors up to where it left them, then itself; oldest first.
    func path(to timeline: Int64) -> [Piece] {
        var newestFirst: [Piece] = []
        var current: Int64? = timeline
        var end = UInt64.max
        var leave = LSN(.max)
        while let this = current {
            // Parents have lower numbers, so this comes to an end.
            let origin = newestFirst.isEmpty && !canBeFollowedFromAncestors(this) ? nil : origins[this]
            let begin = origin.map { geometry.number(containing: $0.switchLSN) } ?? 0
            let piece = Piece(
                timeline: this, beginLSN: origin?.switchLSN ?? LSN(0), begin: begin, end: end, leave: leave,
                isInferred: origin?.isInferred ?? false)
            newestFirst.append(piece)
            end = min(end, begin)
            leave = min(leave, piece.beginLSN)
            current = origin?.parent
        }
        return newestFirst.reversed()
    }

    /// Where PostgreSQL's `recovery_target_timeline = 'latest'` comes to: it asks for history files of one number
    /// after the other, and takes the last that exists, wherever that comes from.
    func postgresLatest(from timeline: Int64) -> Int64 {
        var newest = timeline
        while histories.contains(newest + 1) { newest += 1 }
        return newest
    }

    /// Nothing was archived on the timeline, but an ancestor went on: recovery along it would go on with the ancestor's
    /// segments, which are not its own.
    func isHollow(_ path: [Piece]) -> Bool {
        guard let own = path.last, !filled.contains(own.timeline) else { return false }
        return path.dropLast().contains {
            (newest(on: $0.timeline) ?? 0) >= own.begin && newest(on: $0.timeline) != nil
        }
    }

    // MARK: Side branches

    /// Timelines that went on after a child had left them, and parents of several; ascending.
    /// - Parameter backupEnds: the greatest finish LSN of the base backups of each timeline.
    func sideBranches(backupEnds: [Int64: LSN]) -> [Int64] {
        var found: Set<Int64> = []
        var seen: Set<Int64> = []
        for timeline in timelines {
            guard let origin = origins[timeline] else { continue }
            if !seen.insert(origin.parent).inserted { found.insert(origin.parent) }
            let begin = geometry.number(containing: origin.switchLSN)
            if let newest = newest(on: origin.parent), newest > begin { found.insert(origin.parent) }
            if let end = backupEnds[origin.parent], end > origin.switchLSN, !origin.isInferred {
                found.insert(origin.parent)
            }
        }
        return found.sorted()
    }
}

extension Array {
    /// The index of the first element for which `belongs` holds; it must hold for all that follow.
    func partitioningIndex(where belongs: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if belongs(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
