// SPDX-License-Identifier: Apache-2.0

import ObjectStore
import Resources

/// Archived segments without a hole, by number.
struct NumberedRange: Equatable {
    var timeline: Int64
    var first: UInt64
    var last: UInt64
    var firstModified: Timestamp
    var lastModified: Timestamp

    func contains(_ number: UInt64) -> Bool { (first...last).contains(number) }
}

/// Merges segments into ranges as a listing brings them: in the order of their names. So a million segments take the
/// memory of their holes.
struct SegmentRanges {
    private(set) var ranges: [NumberedRange] = []
    private(set) var segments: Int64 = 0

    /// - Throws: `ObjectStoreError` when a segment comes behind a later one: a store that does so can't be listed.
    mutating func add(_ segment: WalGeometry.Segment, _ modified: Timestamp) throws(ObjectStoreError) {
        let new = NumberedRange(
            timeline: segment.timeline, first: segment.number, last: segment.number, firstModified: modified,
            lastModified: modified)
        try add(new)
    }

    /// Adds what is known already, at the place where a listing would have brought it.
    mutating func add(_ new: NumberedRange) throws(ObjectStoreError) {
        guard let end = ranges.indices.last, ranges[end].timeline == new.timeline else {
            if let before = ranges.last, before.timeline > new.timeline { throw Self.disorder }
            return append(new)
        }
        guard new.first >= ranges[end].last else { throw Self.disorder }
        if new.first > ranges[end].last + 1 { return append(new) }
        let isRepeated = new.first == ranges[end].last
        if isRepeated, new.first == new.last {
            // The same segment with another compression: it counts from when it was there first.
            ranges[end].lastModified = min(ranges[end].lastModified, new.lastModified)
            if ranges[end].first == new.first { ranges[end].firstModified = ranges[end].lastModified }
            return
        }
        segments += Int64(clamping: new.last - new.first) + (isRepeated ? 0 : 1)
        ranges[end].last = new.last
        ranges[end].lastModified = new.lastModified
    }

    private mutating func append(_ new: NumberedRange) {
        segments += Int64(clamping: new.last - new.first) + 1
        ranges.append(new)
        // An archive of which every other segment is lost must not fill the memory; the oldest are of no use then.
        let most = ArchiveListing.rangeLimit
        if ranges.count >= 2 * most { ranges.removeFirst(most) }
    }

    /// As a listing names them, the newest `ArchiveListing.rangeLimit`.
    func named(_ geometry: WalGeometry) -> [SegmentRange] {
        ranges.suffix(ArchiveListing.rangeLimit).map { range in
            SegmentRange(
                first: geometry.name(.init(timeline: range.timeline, number: range.first)),
                last: geometry.name(.init(timeline: range.timeline, number: range.last)),
                firstModified: range.firstModified, lastModified: range.lastModified)
        }
    }

    private static var disorder: ObjectStoreError {
        ObjectStoreError(.unexpected, "the store does not list keys in the order of their bytes")
    }
}

/// The longest run of segments, in the order of their names, that were written within one hour of the store's clock.
struct HourRuns {
    private(set) var busiest: BusiestHour?
    private var run: BusiestHour?
    /// Counted by an earlier scan.
    private var counted: [NumberedRange] = []

    /// - Parameter known: from an earlier scan. Runs only grow then: what retention deletes is still counted, until all
    ///   is listed anew.
    init(known: BusiestHour? = nil) { busiest = known }

    /// Goes on behind a timeline that is known, as if all of it had just been added. If the busiest hour was still going on
    /// at its end, that run goes on too.
    mutating func resume(behind known: [NumberedRange]) {
        (run, counted) = (nil, [])
        guard let busiest, let last = known.last, busiest.hour == Self.hour(of: last.lastModified) else { return }
        (run, counted) = (busiest, known)
    }

    mutating func add(_ segment: WalGeometry.Segment, _ modified: Timestamp) {
        if let last = counted.last, segment.timeline == last.timeline, segment.number <= last.last,
            counted.contains(where: { $0.contains(segment.number) })
        {
            return
        }
        let hour = Self.hour(of: modified)
        if run?.hour == hour {
            run?.segments += 1
        } else {
            run = BusiestHour(hour: hour, segments: 1)
        }
        if let run, run.segments > busiest?.segments ?? 0 { busiest = run }
    }

    private static func hour(of moment: Timestamp) -> Timestamp {
        let seconds = moment.wholeSecond.microseconds / 1_000_000
        let into = seconds % 3_600
        return Timestamp(seconds: seconds - (into < 0 ? into + 3_600 : into))
    }
}

/// Finds segments that were written long after a base backup that needs them had finished.
struct CopySuspicion {
    /// An upload may be late, but not by this much, in seconds.
    static let latest: Int64 = 3_600

    private struct Window {
        var first: UInt64
        var last: UInt64
        var finish: Timestamp
        var backup: String
    }

    private(set) var found: TimeSuspicion?
    /// By timeline, and by first segment.
    private var windows: [Int64: [Window]] = [:]
    private var timeline: Int64?
    /// Windows of the timeline up to here end before all segments that are still to come.
    private var passed = 0

    init(_ backups: [ScannedBackup], _ geometry: WalGeometry) {
        for backup in backups {
            guard let start = backup.startLSN.flatMap(LSN.init), let finish = backup.finishLSN.flatMap(LSN.init),
                let moment = backup.finishTime, finish.value > start.value,
                let segment = geometry.segment(named: String(backup.name.dropFirst(5).prefix(24)))
            else { continue }
            let window = Window(
                first: geometry.number(containing: start), last: geometry.number(containing: LSN(finish.value - 1)),
                finish: moment, backup: backup.name)
            windows[segment.timeline, default: []].append(window)
        }
        for timeline in windows.keys { windows[timeline]?.sort { ($0.first, $0.last) < ($1.first, $1.last) } }
    }

    mutating func add(_ segment: WalGeometry.Segment, _ modified: Timestamp, _ geometry: WalGeometry) {
        guard found == nil, let candidates = windows[segment.timeline] else { return }
        if timeline != segment.timeline { (timeline, passed) = (segment.timeline, 0) }
        while passed < candidates.count, candidates[passed].last < segment.number { passed += 1 }
        for window in candidates[passed...] {
            if window.first > segment.number { return }
            if window.last >= segment.number, modified > window.finish.adding(seconds: Self.latest) {
                found = TimeSuspicion(segment: geometry.name(segment), modified: modified, backup: window.backup)
                return
            }
        }
    }
}
