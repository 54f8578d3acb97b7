// SPDX-License-Identifier: Apache-2.0

import Catalog
import ObjectStore
import Resources

/// What a listing of `wal_005/` comes to, kept small while it goes on.
struct WalTally {
    let geometry: WalGeometry
    private(set) var ranges = SegmentRanges()
    private(set) var hours: HourRuns
    private(set) var suspicion: CopySuspicion
    /// By timeline; of several files of one timeline (compressed differently) the last written.
    private(set) var histories: [Int64: ListedObject] = [:]

    init(_ geometry: WalGeometry, backups: [ScannedBackup], known: ArchiveListing? = nil) {
        self.geometry = geometry
        hours = HourRuns(known: known?.busiestHour)
        suspicion = CopySuspicion(backups, geometry)
    }

    /// Takes one object, in the order of keys.
    /// - Parameter name: its key below `wal_005/`.
    /// - Throws: `ObjectStoreError` when the keys are not in order.
    mutating func add(_ object: ListedObject, _ name: Substring) throws(ObjectStoreError) {
        switch WalgLayout.walFile(name) {
        case .segment(let segment):
            guard let segment = geometry.segment(named: segment) else { return }
            try add(segment, object.lastModified)
        case .history(let timeline): add(history: object, of: timeline)
        case nil: return
        }
    }

    mutating func add(_ segment: WalGeometry.Segment, _ modified: Timestamp) throws(ObjectStoreError) {
        try ranges.add(segment, modified)
        hours.add(segment, modified)
        suspicion.add(segment, modified, geometry)
    }

    mutating func add(history object: ListedObject, of timeline: Int64) {
        if let other = histories[timeline], other.lastModified >= object.lastModified { return }
        histories[timeline] = object
    }

    /// Takes what an earlier scan saw of a timeline, from one segment up to another, in place of listing it again.
    mutating func add(
        known: [NumberedRange], from first: UInt64, at modified: Timestamp, to last: UInt64
    ) throws(ObjectStoreError) {
        for var range in known where range.last >= first && range.first <= last {
            if range.first < first { (range.first, range.firstModified) = (first, modified) }
            // When the segment in the middle was written is not known; it was not after the range's last.
            range.last = min(range.last, last)
            try ranges.add(range)
        }
        hours.resume(behind: known)
    }
}

/// What an earlier scan saw of one timeline.
struct KnownTimeline {
    /// Uploads go on in parallel: this many segments before the last known one are listed again.
    static let overlap: UInt64 = 32
    /// Holes this near to the end are looked at again: about a page, so it costs no request.
    static let nearHoles: UInt64 = 1_000

    let ranges: [NumberedRange]
    /// The first segment that is listed again.
    let resumption: UInt64

    init(_ ranges: [NumberedRange]) {
        self.ranges = ranges
        let last = ranges.last?.last ?? 0
        var resumption = last > Self.overlap ? last - Self.overlap : 0
        for range in ranges.dropLast() where range.last + Self.nearHoles >= last {
            resumption = min(resumption, range.last)
        }
        self.resumption = resumption
    }

    /// From this segment on the listing may jump to the resumption.
    func isSkippable(_ number: UInt64) -> Bool {
        number < resumption && ranges.contains { $0.contains(number) }
    }

    /// More than any bucket holds: what is added to such a count still is one.
    private static let counts: ClosedRange<Int64> = 0...(1 << 53)

    /// - Returns: `nil` when the ranges or the counts are not such as a scan reports.
    static func read(_ listing: ArchiveListing) -> [Int64: KnownTimeline]? {
        guard counts.contains(listing.objects), counts.contains(listing.busiestHour?.segments ?? 0) else { return nil }
        var timelines: [Int64: [NumberedRange]] = [:]
        for range in listing.ranges {
            guard let first = listing.geometry.segment(named: range.first),
                let last = listing.geometry.segment(named: range.last), first.timeline == last.timeline,
                first.number <= last.number
            else { return nil }
            let before = timelines[first.timeline]?.last?.last
            guard before.map({ $0 < first.number }) ?? true else { return nil }
            timelines[first.timeline, default: []].append(
                NumberedRange(
                    timeline: first.timeline, first: first.number, last: last.number,
                    firstModified: range.firstModified, lastModified: range.lastModified))
        }
        return timelines.mapValues { KnownTimeline($0) }
    }
}

/// Lists `wal_005/` of one archive: all of it, or only what has changed since it was last listed.
///
/// The second way looks at each timeline's first segment (retention deletes from there), jumps over what is known, and
/// goes on with the last known ones. It sees every history file and every new timeline. It does not see a hole that was
/// made in the middle, or one there that was filled.
struct WalFolder {
    let store: ObjectStore
    /// `path/major/wal_005/`.
    let folder: String

    init(_ store: ObjectStore, archive prefix: String) {
        self.store = store
        folder = prefix + WalgLayout.wal
    }

    /// - Parameters:
    ///   - known: by timeline; empty for a full listing.
    /// - Returns: how many objects were listed.
    /// - Throws: `ObjectStoreError`.
    func list(into tally: inout WalTally, known: [Int64: KnownTimeline] = [:]) async throws -> Int64 {
        var waiting = known
        var objects: Int64 = 0
        var (startAfter, continuation): (String?, String?) = (nil, nil)
        // The first thing that comes is most likely a segment to jump from.
        var limit = known.isEmpty ? ObjectStore.pageLimit : 10
        repeat {
            let page = try await store.list(
                prefix: folder, startAfter: startAfter, continuation: continuation, limit: limit)
            limit = ObjectStore.pageLimit
            objects += Int64(page.objects.count)
            (startAfter, continuation) = (nil, page.nextContinuation)
            for object in page.objects {
                let name = object.key.dropFirst(folder.count)
                if let jump = try jump(at: name, object, over: &waiting, &tally) {
                    (startAfter, continuation) = (jump, nil)
                    break
                }
                try tally.add(object, name)
            }
        } while startAfter != nil || continuation != nil
        return objects
    }

    /// - Returns: the key to go on behind, when this is a segment from which on the rest of its timeline is known.
    private func jump(
        at name: Substring, _ object: ListedObject, over waiting: inout [Int64: KnownTimeline], _ tally: inout WalTally
    ) throws -> String? {
        guard !waiting.isEmpty, case .segment(let text) = WalgLayout.walFile(name),
            let segment = tally.geometry.segment(named: text), let known = waiting[segment.timeline],
            known.isSkippable(segment.number)
        else { return nil }
        waiting[segment.timeline] = nil
        let last = known.resumption - 1
        try tally.add(known: known.ranges, from: segment.number, at: object.lastModified, to: last)
        // Behind all files of the last segment that is skipped: `~` comes after everything in their names.
        return folder + tally.geometry.name(.init(timeline: segment.timeline, number: last)) + "~"
    }
}
