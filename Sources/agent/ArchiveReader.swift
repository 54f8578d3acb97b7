// SPDX-License-Identifier: Apache-2.0

import Catalog
import ObjectStore
import Resources

/// Puts together the listing of one archive.
struct ArchiveReader {
    let store: ObjectStore
    let path: String
    let major: Int

    /// `path/major/`.
    var prefix: String { "\(path)/\(major)/" }

    struct Reading {
        var listing: ArchiveListing
        /// Objects that were listed for it.
        var listed: Int64
        /// Everything was listed anew.
        var isFull: Bool
    }

    /// - Parameters:
    ///   - known: the listing from the last scan, if what it says is to be taken as it is.
    ///   - now: our clock, for a store that does not tell what its own says.
    /// - Throws: `ObjectStoreError`.
    func read(known: ArchiveListing?, now: Timestamp) async throws -> Reading {
        let base = try await BackupFolder(store, archive: prefix).read(known: known?.backups ?? [])
        var listing = ArchiveListing(path: path, major: major, seenAt: base.date ?? now)
        (listing.backups, listing.backupsTotal) = (base.backups, base.total)
        listing.segmentSize = segmentSize(of: base.backups)
        // Names mean something else with another size of segments.
        // A backup that is gone took log with it, and not only from the beginning: one that is kept for good leaves a hole.
        let present = Set(base.backups.map(\.name))
        let isTrimmed =
            base.total <= base.backups.count && known?.backups.contains { !present.contains($0.name) } == true
        let known = known.flatMap { !isTrimmed && $0.geometry == listing.geometry ? $0 : nil }
        let timelines = known.flatMap(KnownTimeline.read)
        let isFull = timelines == nil
        var tally = WalTally(listing.geometry, backups: base.backups, known: isFull ? nil : known)
        let wal = try await WalFolder(store, archive: prefix).list(into: &tally, known: timelines ?? [:])
        try await finish(&listing, tally, known: isFull ? nil : known)
        listing.objects = base.objects + wal
        if !isFull, let known {
            // Those that were jumped over count as they did; so this is right but for files that are neither.
            listing.objects = max(listing.objects, known.objects + tally.ranges.segments - Self.segments(of: known))
        }
        return Reading(listing: listing, listed: base.objects + wal, isFull: isFull)
    }

    /// Adds what a tally of the archive's log says, and reads the history files.
    func finish(_ listing: inout ArchiveListing, _ tally: WalTally, known: ArchiveListing? = nil) async throws {
        listing.ranges = tally.ranges.named(tally.geometry)
        listing.busiestHour = tally.hours.busiest
        listing.suspicion = tally.suspicion.found
        if let earlier = known?.suspicion, Self.isStanding(earlier, in: listing) { listing.suspicion = earlier }
        listing.timelines = try await timelines(tally.histories, known: known?.timelines ?? [])
    }

    /// Both the segment and the backup that an earlier scan suspected are still there.
    private static func isStanding(_ suspicion: TimeSuspicion, in listing: ArchiveListing) -> Bool {
        guard listing.backups.contains(where: { $0.name == suspicion.backup }) else { return false }
        // Names of one timeline sort as their numbers do.
        return listing.ranges.contains { range in
            range.first.prefix(8) == suspicion.segment.prefix(8) && range.first <= suspicion.segment
                && suspicion.segment <= range.last
        }
    }

    private static func segments(of listing: ArchiveListing) -> Int64 {
        (KnownTimeline.read(listing) ?? [:]).values.reduce(0) { sum, timeline in
            timeline.ranges.reduce(sum) { $0 + Int64(clamping: $1.last - $1.first) + 1 }
        }
    }

    private func timelines(
        _ histories: [Int64: ListedObject], known: [ScannedTimeline]
    ) async throws -> [ScannedTimeline] {
        let byTimeline = Dictionary(known.map { ($0.timeline, $0) }, uniquingKeysWith: { first, _ in first })
        let wanted = histories.sorted { $0.key < $1.key }.suffix(ArchiveListing.timelineLimit)
        return try await inParallel(Array(wanted)) { timeline, object -> ScannedTimeline? in
            if let known = byTimeline[timeline], known.lastModified == object.lastModified { return known }
            return try await history(timeline, object)
        }.compactMap { $0 }
    }

    private func history(_ timeline: Int64, _ object: ListedObject) async throws -> ScannedTimeline? {
        var scanned = ScannedTimeline(timeline: timeline, parent: nil, switchLSN: nil)
        scanned.lastModified = object.lastModified
        do {
            guard let bytes = try await store.read(object.key, limit: HistoryFile.limit) else { return nil }
            if let parent = HistoryFile.parent(in: bytes, key: object.key), LSN(parent.switchLSN) != nil {
                (scanned.parent, scanned.switchLSN) = (parent.timeline, parent.switchLSN)
                return scanned
            }
        } catch let error as ObjectStoreError where error.code == .tooLarge {}
        scanned.problem = "EncryptedOrCorrupt"
        return scanned
    }
}

extension ArchiveListing {
    /// The same but for when it was seen, and how many objects that took.
    func isSame(as other: ArchiveListing) -> Bool {
        var other = other
        (other.seenAt, other.objects) = (seenAt, objects)
        return self == other
    }
}
