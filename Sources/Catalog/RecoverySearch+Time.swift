// SPDX-License-Identifier: Apache-2.0

import Resources

extension RecoverySearch {
    func time(_ target: Timestamp) throws(Refusal) -> RecoveryChoice {
        let times = times
        if target > now {
            throw Self.refusal("TargetOutsideWindow", "\(target) lies in the future", times, around: target)
        }
        switch times.verdict(target) {
        case .tooEarly: throw tooEarly(target, times)
        case .beyond(let member): throw beyond(target, member, times)
        case .reached(let member):
            let stretch = line.stretches[member.stretch]
            var warnings: [CatalogFinding] = []
            if target > times.bounds[member.stretch].sure ?? Timestamp(microseconds: .min) {
                warnings.append(nearHead("\(target)", stretch))
            }
            // A base backup that started later lies after the target.
            let bound = members.first {
                $0.stretch == member.stretch && $0.extent.start >= member.extent.start
                    && ($0.startTime ?? target) > target
            }
            return choice(member, lastUseful: bound?.extent.first ?? stretch.last, warnings)
        }
    }

    private func tooEarly(_ target: Timestamp, _ times: TimeSearch) -> Refusal {
        guard let first = times.first else {
            return Refusal(
                "TargetOutsideWindow",
                "no usable base backup on the way to timeline \(line.timeline) names when it finished, so none can be "
                    + "chosen for \(target); recover to Latest, to BackupEnd or to an LSN")
        }
        return Self.refusal(
            "TargetOutsideWindow",
            "\(target) is not after \(first), when the first usable base backup on the way to timeline "
                + "\(line.timeline) had finished", times, around: target)
    }

    private func beyond(_ target: Timestamp, _ member: ArchiveLine.Member, _ times: TimeSearch) -> Refusal {
        let stretch = line.stretches[member.stretch]
        if let doubt = catalog.timeDoubt {
            return Self.refusal(
                doubt.reason,
                "whether the log of \(target) was archived can't be told, because the store's times can't be trusted: "
                    + doubt.message, times, around: target)
        }
        if member.stretch + 1 < line.stretches.count {
            let gap = gap(after: member.stretch)
            let coming = gap.state == .uploading ? " (they may still be uploading)" : ""
            return Self.refusal(
                "TargetInGap", "\(target) can't be reached: \(Self.missing(gap))\(coming)", times, around: target)
        }
        if stretch.endsBesideAnother {
            return Self.refusal(
                "TargetInGap",
                "\(target) can't be reached: segment \(name(stretch.last + 1)) is missing, with which timeline "
                    + "\(line.segment(stretch.last + 1).timeline) begins", times, around: target)
        }
        let written = times.bounds[member.stretch].until ?? stretch.lastModified
        return Self.refusal(
            "TargetOutsideWindow",
            "\(target) lies after \(written), when the last archived segment, \(name(stretch.last)), was written; "
                + "the log after it was never archived, or not yet", times, around: target)
    }

    private static func refusal(
        _ reason: String, _ seen: String, _ times: TimeSearch, around target: Timestamp
    ) -> Refusal {
        let before = times.lastReachable(before: target)
        let after = times.firstReachable(after: target)
        let way =
            switch (before, after) {
            case (let before?, let after?): "the nearest moments that can be reached are \(before) and \(after)"
            case (let before?, nil): "the nearest moment that can be reached is \(before)"
            case (nil, let after?): "the nearest moment that can be reached is \(after)"
            case (nil, nil): "no moment can be reached by its time; recover to Latest or to BackupEnd"
            }
        return Refusal(reason, "\(seen); \(way)", nearestBefore: before, nearestAfter: after)
    }

    // MARK: The choice

    /// - Parameter lastUseful: the number of the last segment that recovery may have to read.
    func choice(
        _ member: ArchiveLine.Member, lastUseful: UInt64, _ warnings: [CatalogFinding]
    ) -> RecoveryChoice {
        let chosen = catalog.backups[member.index]
        let stretch = line.stretches[member.stretch]
        let download = download(chosen)
        return RecoveryChoice(
            backup: chosen.backup, backupTimeline: chosen.timeline, timeline: line.timeline,
            targetTimeline: tree.canBeFollowedFromAncestors(line.timeline) ? String(line.timeline) : "current",
            isLatest: isLatest(chosen.backup),
            isOneLine: !catalog.hasSideBranches && !line.isInferred(from: chosen.timeline)
                && tree.postgresLatest(from: chosen.timeline) == line.timeline,
            lastSegment: name(stretch.last), endLSN: tree.geometry.start(ofSegment: stretch.last + 1),
            downloadBytes: download?.bytes, unpackedBytes: unpacked(chosen), downloadParts: download?.parts,
            segments: Int64(clamping: max(lastUseful, member.extent.last) - member.extent.first + 1),
            warnings: warnings + general(chosen))
    }

    /// Two sentinels of the same second: which one WAL-G takes is not known.
    private func isLatest(_ backup: ScannedBackup) -> Bool {
        catalog.listing.backups.allSatisfy { $0.name == backup.name || $0.lastModified < backup.lastModified }
    }

    private func unpacked(_ backup: CatalogBackup) -> Int64? {
        backup.chain.compactMap { name in
            catalog.listing.backups.first { $0.name == name }.flatMap { $0.uncompressedSize ?? $0.compressedSize }
        }.max()
    }

    private func download(_ backup: CatalogBackup) -> (bytes: Int64, parts: Int)? {
        var bytes: Int64 = 0
        var parts = 0
        for name in backup.chain {
            guard let link = catalog.listing.backups.first(where: { $0.name == name }), let more = link.partBytes,
                let count = link.parts
            else { return nil }
            let (sum, overflows) = bytes.addingReportingOverflow(more)
            let (total, tooMany) = parts.addingReportingOverflow(count)
            if overflows || tooMany { return nil }
            bytes = sum
            parts = total
        }
        return (bytes, parts)
    }

    /// Warnings that don't depend on the moment.
    private func general(_ chosen: CatalogBackup) -> [CatalogFinding] {
        var warnings: [CatalogFinding] = []
        if line.isInferred(from: chosen.timeline) {
            warnings.append(
                CatalogFinding(
                    "TimelineInferred",
                    "the way from timeline \(chosen.timeline) to \(line.timeline) is inferred from segments, because "
                        + "history files are missing or can't be read: recovery fails if it is another"))
        }
        if catalog.backups.count > 1, !chosen.backup.isPermanent, chosen == catalog.backups.first {
            warnings.append(
                CatalogFinding(
                    "RetentionRisk",
                    "\(chosen.backup.name) is the archive's oldest base backup: retention deletes it next"))
        }
        return warnings
    }
}
