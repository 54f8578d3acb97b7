// SPDX-License-Identifier: Apache-2.0

import Resources

/// One request, held against the line that it is about.
struct RecoverySearch {
    let catalog: ArchiveCatalog
    let request: RecoveryRequest
    let now: Timestamp
    let line: ArchiveLine
    /// Base backups that may be taken, oldest start first; never empty.
    let members: [ArchiveLine.Member]
    let head: ArchiveHead

    var tree: TimelineTree { catalog.tree }

    init(_ catalog: ArchiveCatalog, _ request: RecoveryRequest, _ now: Timestamp) throws(Refusal) {
        if let refusal = catalog.refusal { throw Refusal(refusal) }
        self.catalog = catalog
        self.request = request
        self.now = now
        let anchor = try Self.anchor(catalog, request)
        let timeline = try Self.timeline(catalog, request, anchor)
        line = ArchiveLine(
            catalog.tree, timeline: timeline, candidates: ArchiveLine.Candidate.all(catalog.backups))
        members = line.members.filter { member in
            (request.backup == nil || request.backup == catalog.backups[member.index].backup.name)
                && (request.line != .current || member.extent.timeline == timeline)
        }
        head = ArchiveHead(catalog.tree)
        if members.isEmpty { throw Self.leadsNowhere(catalog, request, line) }
    }

    /// The base backup whose timeline is asked for: the named one, or else the newest usable one.
    private static func anchor(
        _ catalog: ArchiveCatalog, _ request: RecoveryRequest
    ) throws(Refusal) -> BackupExtent {
        guard let name = request.backup else {
            if let extent = catalog.newestUsable?.extent { return extent }
            let reasons = ["NoBackupsFound", "BackupUnusable", "MissingBackupWAL", "MajorMismatch"]
            let known = catalog.problems.first { reasons.contains($0.reason) }
            throw Refusal(known ?? CatalogFinding("BackupUnusable", "the archive has no usable base backup"))
        }
        guard let backup = catalog.backups.first(where: { $0.backup.name == name }) else {
            let newest = catalog.newestUsable.map { "; the newest usable one is \($0.backup.name)" } ?? ""
            throw Refusal("BackupUnusable", "the archive has no base backup \(name)\(newest)")
        }
        if let problem = backup.problem { throw Refusal(problem) }
        guard let extent = backup.extent else { throw Refusal("BackupUnusable", "\(name) names no LSNs") }
        return extent
    }

    private static func timeline(
        _ catalog: ArchiveCatalog, _ request: RecoveryRequest, _ anchor: BackupExtent
    ) throws(Refusal) -> Int64 {
        switch request.line {
        case .current: return anchor.timeline
        case .latest: return catalog.latestTimeline(from: anchor)
        case .timeline(let timeline):
            guard catalog.tree.timelines.contains(timeline) else {
                let known = catalog.tree.timelines.suffix(10).map { String($0) }.joined(separator: ", ")
                throw Refusal("TimelineNotFound", "the archive has no timeline \(timeline); it has \(known)")
            }
            return timeline
        }
    }

    private static func leadsNowhere(
        _ catalog: ArchiveCatalog, _ request: RecoveryRequest, _ line: ArchiveLine
    ) -> Refusal {
        let timeline = line.timeline
        guard let name = request.backup, let backup = catalog.backups.first(where: { $0.backup.name == name }) else {
            return Refusal(
                "BackupUnusable",
                "no usable base backup leads to timeline \(timeline): name another timeline, or none")
        }
        let own = catalog.latestTimeline(from: backup.extent ?? BackupExtent.nowhere)
        let way = own == timeline ? "ask for its own timeline, \(backup.timeline)" : "timeline \(own) comes from it"
        return Refusal(
            "BackupUnusable",
            "base backup \(name) of timeline \(backup.timeline) does not lead to timeline \(timeline), or segments "
                + "between them are missing; \(way)")
    }

    func choice() throws(Refusal) -> RecoveryChoice {
        switch request.moment {
        case .latest: try latest()
        case .backupEnd: backupEnd()
        case .time(let moment): try time(moment)
        case .lsn(let target): try lsn(target)
        case .xid(let xid): try unprovable("transaction \(xid)")
        case .name(let name): try unprovable("restore point \(name)")
        }
    }

    // MARK: The end, and what can't be proven

    private func latest() throws(Refusal) -> RecoveryChoice {
        let newest = members[members.count - 1]
        let warnings = try reachesEnd(newest)
        return choice(newest, lastUseful: line.stretches[newest.stretch].last, warnings)
    }

    /// - Returns: what to warn of.
    private func reachesEnd(_ member: ArchiveLine.Member) throws(Refusal) -> [CatalogFinding] {
        let stretch = line.stretches[member.stretch]
        let last = name(stretch.last)
        if stretch.endsBesideAnother {
            let missing = line.segment(stretch.last + 1)
            throw gapRefusal(
                member,
                "segment \(tree.geometry.name(missing)) is missing, with which timeline \(missing.timeline) begins: "
                    + "recovery would go on with another timeline's instead")
        }
        let later = line.stretches.indices.dropFirst(member.stretch).dropLast().map { gap(after: $0) }
        if let lost = later.first(where: { $0.state == .lost }) {
            throw gapRefusal(
                member,
                "\(Self.missing(lost)) after base backup \(backup(member).name), and no usable one was taken since"
            )
        }
        guard let uploading = later.first else { return [] }
        return [
            CatalogFinding(
                "StillUploading",
                "\(Self.missing(uploading)) and may still be uploading: recovery ends with segment \(last) until then")
        ]
    }

    private func gapRefusal(_ member: ArchiveLine.Member, _ seen: String) -> Refusal {
        let before = times.lastReachable(before: Timestamp(microseconds: .max))
        let way =
            before.map { "the latest moment that can be reached is \($0)" }
            ?? "take a new base backup, or recover to BackupEnd"
        return Refusal("WALGap", "\(seen); \(way)", nearestBefore: before)
    }

    private func backupEnd() -> RecoveryChoice {
        let newest = members[members.count - 1]
        return choice(newest, lastUseful: newest.extent.last, [])
    }

    /// A target that no listing tells of: the oldest base backup that leads to the end has the best chance.
    private func unprovable(_ target: String) throws(Refusal) -> RecoveryChoice {
        let newest = members[members.count - 1]
        var warnings = try reachesEnd(newest)
        let taken = members.first { $0.stretch == newest.stretch } ?? newest
        warnings.append(
            CatalogFinding(
                "TargetNotProvable",
                "a listing does not tell where \(target) is: recovery fails if it is not between base backup "
                    + "\(backup(taken).name) and segment \(name(line.stretches[taken.stretch].last))"))
        return choice(taken, lastUseful: line.stretches[taken.stretch].last, warnings)
    }

    // MARK: An LSN

    private func lsn(_ target: LSN) throws(Refusal) -> RecoveryChoice {
        guard let member = members.last(where: { $0.extent.finish <= target }) else {
            let first = members.map(\.extent.finish).min() ?? LSN(0)
            throw Refusal(
                "TargetOutsideWindow",
                "LSN \(target) lies before \(first), where the first usable base backup ends; ask for a later one"
            )
        }
        let stretch = line.stretches[member.stretch]
        let number = tree.geometry.number(containing: target)
        let end = tree.geometry.start(ofSegment: stretch.last + 1)
        // Recovery stops at the first record at or after the target: in a last segment there may be none.
        guard number < stretch.last || (number == stretch.last && !stretch.endsBesideAnother) else {
            if member.stretch + 1 < line.stretches.count, let last = line.stretches.last, number <= last.last {
                throw Refusal(
                    "TargetInGap",
                    "LSN \(target) can't be reached: \(Self.missing(gap(after: member.stretch))); "
                        + "ask for one before \(end)"
                )
            }
            throw Refusal(
                "TargetOutsideWindow",
                "LSN \(target) lies after \(end), where the archive ends; ask for an earlier one, or for Latest")
        }
        let warnings = number < stretch.last ? [] : [nearHead("LSN \(target)", stretch)]
        return choice(member, lastUseful: number, warnings)
    }

    // MARK: Parts

    var times: TimeSearch { TimeSearch(line, members, isTrusted: catalog.timeDoubt == nil, now: now) }

    func backup(_ member: ArchiveLine.Member) -> ScannedBackup { catalog.backups[member.index].backup }

    func name(_ number: UInt64) -> String { tree.geometry.name(line.segment(number)) }

    func gap(after index: Int) -> WalGap {
        line.gap(line.stretches[index], line.stretches[index + 1], geometry: tree.geometry, head: head)
    }

    static func missing(_ gap: WalGap) -> String {
        gap.count == 1
            ? "segment \(gap.firstMissing) is missing"
            : "\(gap.count) segments from \(gap.firstMissing) to \(gap.lastMissing) are missing"
    }

    func nearHead(_ target: String, _ stretch: ArchiveLine.Stretch) -> CatalogFinding {
        CatalogFinding(
            "TargetNearArchiveHead",
            "\(target) may lie after the last commit that was archived (segment \(name(stretch.last))): PostgreSQL 13 "
                + "and later then fail with \"recovery ended before configured recovery target was reached\"")
    }
}

extension BackupExtent {
    fileprivate static var nowhere: BackupExtent {
        BackupExtent(timeline: 0, start: LSN(0), finish: LSN(0), first: 0, last: 0)
    }
}
