// SPDX-License-Identifier: Apache-2.0

package import Resources

extension ArchiveCatalog {
    /// As many timelines are looked at, the newest: each costs a walk through all segments of its line.
    private static let timelineLimit = 256

    /// Reads a listing. Never fails: what can't be believed is a problem.
    package init(_ reported: ArchiveListing) {
        let listing = reported.withinLimits
        self.listing = listing
        let agreed = WalGeometry(agreeingWith: listing)
        var judge = BackupJudge(listing, agreed ?? .usual)
        var backups = judge.judged()
        let backupTimelines = Set(backups.map(\.timeline).filter { $0 > 0 })
        tree = TimelineTree(listing, geometry: agreed ?? .usual, backupTimelines: backupTimelines)
        geometry = tree.geometry
        refusal = Self.refusal(listing, isGeometryKnown: agreed != nil && !tree.isMisread)

        var gathered = Gathered(tree, ArchiveHead(tree), doubt: Self.timeDoubt(listing, tree.geometry))
        let candidates = ArchiveLine.Candidate.all(backups)
        for timeline in Self.lines(of: tree).suffix(Self.timelineLimit) {
            gathered.add(ArchiveLine(tree, timeline: timeline, candidates: candidates), backups)
        }
        for index in backups.indices where backups[index].problem == nil {
            if let refusal {
                backups[index].problem = refusal
            } else if !gathered.placed.contains(index) {
                backups[index].problem = gathered.missingWAL(backups[index])
            }
        }
        self.backups = backups
        windows = refusal == nil ? gathered.windows.sorted(by: Self.isOlder) : []
        gaps = refusal == nil ? gathered.gaps : []
        timeDoubt = gathered.doubt
        let ends = Dictionary(backups.compactMap { $0.extent }.map { ($0.timeline, $0.finish) }, uniquingKeysWith: max)
        let branches = tree.sideBranches(backupEnds: ends)
        hasSideBranches = !branches.isEmpty
        problems =
            [refusal ?? Self.backupProblem(backups), gathered.doubt].compactMap { $0 }
            + Self.historyProblems(tree) + Self.branchProblems(branches)
    }

    /// Timelines that something was archived on, and newer ones that have only a history file.
    private static func lines(of tree: TimelineTree) -> [Int64] {
        let newest = tree.timelines.last { tree.filled.contains($0) } ?? 0
        return tree.timelines.filter { tree.filled.contains($0) || $0 > newest }
    }

    private static func isOlder(_ left: RecoveryWindow, _ right: RecoveryWindow) -> Bool {
        (left.startLSN, left.timeline) < (right.startLSN, right.timeline)
    }

    // MARK: Problems

    private static func refusal(_ listing: ArchiveListing, isGeometryKnown: Bool) -> CatalogFinding? {
        let systems = Set(listing.backups.compactMap(\.systemIdentifier)).sorted()
        if systems.count > 1 {
            return CatalogFinding(
                "PrefixCollision",
                "base backups of several instances lie below \(listing.path)/\(listing.major) (system identifiers "
                    + "\(systems.prefix(3).joined(separator: ", "))): their segments can't be told apart; "
                    + "give each instance a path of its own and take new base backups")
        }
        guard isGeometryKnown else {
            return CatalogFinding(
                "SegmentSizeUnknown",
                "the names of segments and the LSNs of base backups below \(listing.path)/\(listing.major) fit no one "
                    + "size of WAL segments: the archive is mixed up, or was written by hand")
        }
        return nil
    }

    private static func backupProblem(_ backups: [CatalogBackup]) -> CatalogFinding? {
        guard let newest = backups.max(by: { $0.backup.lastModified < $1.backup.lastModified }) else {
            return CatalogFinding("NoBackupsFound", "the archive has no base backup: take one")
        }
        guard !backups.contains(where: \.isUsable), let problem = newest.problem else { return nil }
        return CatalogFinding(
            problem.reason, "none of \(backups.count) base backups can be used; the newest: \(problem.message)")
    }

    private static func historyProblems(_ tree: TimelineTree) -> [CatalogFinding] {
        var findings: [CatalogFinding] = []
        if let first = tree.unreadable.first {
            findings.append(
                CatalogFinding(
                    "EncryptedOrCorrupt",
                    "history files can't be read (\(tree.unreadable.count), the first of timeline \(first)): "
                        + "where their timelines begin is inferred from segments"))
        }
        let missing = tree.timelines.filter { !tree.canBeFollowedFromAncestors($0) }
        if let first = missing.first {
            findings.append(
                CatalogFinding(
                    "HistoryMissing",
                    "timelines without a history file (\(missing.count), the first is \(first)) can only be reached "
                        + "from base backups of their own"))
        }
        return findings
    }

    private static func branchProblems(_ branches: [Int64]) -> [CatalogFinding] {
        guard let first = branches.first else { return [] }
        return [
            CatalogFinding(
                "SideBranches",
                "timeline \(first) went on, or was left more than once: the archive holds several histories, and "
                    + "which one recovery follows must be told")
        ]
    }

    /// - Returns: `ArchiveTimesUntrusted` when the store's times tell of copying and not of archiving.
    private static func timeDoubt(_ listing: ArchiveListing, _ geometry: WalGeometry) -> CatalogFinding? {
        let way = "the bucket was copied; only moments up to the newest base backup's finish are sure"
        if let suspicion = listing.suspicion {
            return CatalogFinding(
                "ArchiveTimesUntrusted",
                "segment \(suspicion.segment) was written at \(suspicion.modified), long after base backup "
                    + "\(suspicion.backup), which needs it, had finished: \(way)")
        }
        guard let busiest = listing.busiestHour, busiest.segments > 1_000,
            let rate = segmentsInTenHours(listing, geometry), UInt64(clamping: busiest.segments) > rate
        else { return nil }
        return CatalogFinding(
            "ArchiveTimesUntrusted",
            "\(busiest.segments) segments were written in the hour from \(busiest.hour), and base backups tell of "
                + "\(rate) in ten: \(way)")
    }

    /// How fast the log grows, by what the oldest and the newest base backup say; `nil` when they don't.
    private static func segmentsInTenHours(_ listing: ArchiveListing, _ geometry: WalGeometry) -> UInt64? {
        let starts = listing.backups.compactMap { backup -> (Timestamp, LSN)? in
            guard let time = backup.startTime, let start = backup.startLSN.flatMap({ LSN($0) }) else { return nil }
            return (time, start)
        }
        guard let oldest = starts.min(by: { $0.0 < $1.0 }), let newest = starts.max(by: { $0.0 < $1.0 }),
            newest.0 > oldest.0, newest.1 >= oldest.1
        else { return nil }
        let segments = geometry.number(containing: newest.1) - geometry.number(containing: oldest.1)
        // Less than 2^44 segments, so this fits.
        return segments * 36_000 / UInt64(clamping: max(newest.0.seconds(since: oldest.0), 3_600))
    }
}

/// What the lines of an archive add up to.
private struct Gathered {
    let tree: TimelineTree
    let head: ArchiveHead
    let doubt: CatalogFinding?
    /// Indices of the base backups that lie on some line with all the WAL that they need.
    var placed: Set<Int> = []
    var windows: [RecoveryWindow] = []
    var gaps: [WalGap] = []

    init(_ tree: TimelineTree, _ head: ArchiveHead, doubt: CatalogFinding?) {
        self.tree = tree
        self.head = head
        self.doubt = doubt
    }

    mutating func add(_ line: ArchiveLine, _ backups: [CatalogBackup]) {
        placed.formUnion(line.members.map(\.index))
        var rest = line.members[...]
        while let first = rest.first {
            let group = rest.prefix { $0.stretch == first.stretch }
            rest = rest.dropFirst(group.count)
            windows.append(window(line, Array(group), backups))
        }
        for (before, after) in zip(line.stretches, line.stretches.dropFirst()) {
            // A gap of an ancestor is told with the ancestor's own line.
            guard line.segment(after.first).timeline == line.timeline else { continue }
            gaps.append(line.gap(before, after, geometry: tree.geometry, head: head))
        }
    }

    private func window(
        _ line: ArchiveLine, _ members: [ArchiveLine.Member], _ backups: [CatalogBackup]
    ) -> RecoveryWindow {
        let stretch = line.stretches[members[0].stretch]
        let bounds = TimeBounds(line, members, stretch: members[0].stretch, isTrusted: doubt == nil)
        return RecoveryWindow(
            timeline: line.timeline,
            isTimelineInferred: line.isInferred(from: members[0].extent.timeline)
                || tree.origins[line.timeline]?.isInferred == true,
            earliest: bounds.after, latestCertain: bounds.certain, latestEstimated: bounds.estimated,
            startLSN: members[0].extent.start, endLSN: tree.geometry.start(ofSegment: stretch.last + 1),
            lastSegment: tree.geometry.name(line.segment(stretch.last)),
            backups: members.map { backups[$0.index].backup.name })
    }

    /// Why a base backup lies on no line: the first segment that it lacks.
    func missingWAL(_ backup: CatalogBackup) -> CatalogFinding {
        let name = backup.backup.name
        guard let extent = backup.extent else { return CatalogFinding("BackupUnusable", "\(name) names no LSNs") }
        let line = ArchiveLine(tree, timeline: extent.timeline)
        let index = line.stretches.partitioningIndex { $0.last >= extent.first }
        var missing = extent.first
        if index < line.stretches.count, line.stretches[index].first <= missing {
            missing = line.stretches[index].last + 1
        }
        guard missing <= extent.last else {
            return CatalogFinding(
                "MissingBackupWAL",
                "base backup \(name) can't be used: by the history files, timeline \(extent.timeline) did not go from "
                    + "\(extent.start) to \(extent.finish)")
        }
        let segment = line.segment(missing)
        let seen =
            "base backup \(name) can't be used: segment \(tree.geometry.name(segment)), which it needs, is missing"
        return CatalogFinding(
            "MissingBackupWAL",
            head.mayStillCome(segment)
                ? "\(seen) and may still be uploading: try again in some minutes" : "\(seen): use another one")
    }
}

extension ArchiveLine {
    /// What is missing between two stretches of the line that follow each other.
    func gap(_ before: Stretch, _ after: Stretch, geometry: WalGeometry, head: ArchiveHead) -> WalGap {
        let first = segment(before.last + 1)
        return WalGap(
            timeline: first.timeline, firstMissing: geometry.name(first),
            lastMissing: geometry.name(segment(after.first - 1)), count: after.first - before.last - 1,
            after: before.lastModified, before: after.firstModified,
            state: head.mayStillCome(first) ? .uploading : .lost)
    }
}
