// SPDX-License-Identifier: Apache-2.0

package import Resources

extension ArchiveCatalog {
    /// How a moment is reached, or why it can't be and what can.
    /// - Parameter now: a time target after it is refused.
    package func answer(_ request: RecoveryRequest, at now: Timestamp) -> RecoveryAnswer {
        do throws(Refusal) {
            return .reachable(try RecoverySearch(self, request, now).choice())
        } catch {
            return .refused(error.finding)
        }
    }

    // MARK: The main line

    /// The timeline that a recovery to the end would follow from the newest usable base backup; `nil` when nothing
    /// can be restored.
    package var mainTimeline: Int64? {
        guard refusal == nil, let extent = newestUsable?.extent else { return nil }
        return latestTimeline(from: extent)
    }

    private var mainWindows: [RecoveryWindow] {
        mainTimeline.map { main in windows.filter { $0.timeline == main } } ?? []
    }

    /// The first moment of the main line's oldest window: what lies before it, or is it, can't be reached.
    package var earliest: Timestamp? { mainWindows.compactMap(\.earliest).first }
    /// Of the main line's newest window.
    package var latestCertain: Timestamp? { mainWindows.last?.latestCertain }
    /// Of the main line's newest window.
    package var latestEstimated: Timestamp? { mainWindows.last?.latestEstimated }

    /// Of the instance whose archive it is; `nil` when base backups name none, or several.
    package var systemIdentifier: String? {
        let names = Set(listing.backups.compactMap(\.systemIdentifier))
        return names.count == 1 ? names.first : nil
    }

    package var lostGaps: Int { gaps.count { $0.state == .lost } }

    /// The worst that is to be said of the archive, for a line of status: `Reason: a sentence`. `nil` when all is well.
    package var problem: String? {
        func line(_ finding: CatalogFinding) -> String { "\(finding.reason): \(finding.message)" }
        if case .refused(let finding) = answer(RecoveryRequest(.latest), at: listing.seenAt) { return line(finding) }
        if let timeDoubt { return line(timeDoubt) }
        if let gap = gaps.first(where: { $0.state == .lost }) {
            return "WALGap: \(lostGaps) stretches of the log are missing, the first from \(gap.firstMissing) to "
                + gap.lastMissing
        }
        return problems.first.map(line)
    }

    // MARK: Backups and timelines

    /// The usable base backup that finished last.
    var newestUsable: CatalogBackup? {
        func key(_ backup: CatalogBackup) -> (Timestamp, LSN, String) {
            (backup.backup.finishTime ?? backup.backup.lastModified, backup.extent?.start ?? LSN(0), backup.backup.name)
        }
        return backups.filter(\.isUsable).max { key($0) < key($1) }
    }

    /// The newest timeline that comes from a base backup, by history files; its own at least.
    func latestTimeline(from extent: BackupExtent) -> Int64 {
        for timeline in tree.timelines.reversed() where timeline > extent.timeline {
            guard tree.histories.contains(timeline) else { continue }
            let path = tree.path(to: timeline)
            guard let piece = path.last(where: { $0.timeline == extent.timeline }), extent.start >= piece.beginLSN,
                extent.finish <= piece.leave, !tree.isHollow(path)
            else { continue }
            return timeline
        }
        return extent.timeline
    }
}

/// Why a request is refused.
struct Refusal: Error {
    var finding: CatalogFinding

    init(_ finding: CatalogFinding) { self.finding = finding }

    init(
        _ reason: String, _ message: String, nearestBefore: Timestamp? = nil, nearestAfter: Timestamp? = nil
    ) {
        finding = CatalogFinding(reason, message, nearestBefore: nearestBefore, nearestAfter: nearestAfter)
    }
}
