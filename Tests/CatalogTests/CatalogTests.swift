// SPDX-License-Identifier: Apache-2.0

import Catalog
import JSON
import Resources
import Testing

/// What is said of an archive, and of each base backup.
struct ReadingCase: CustomTestStringConvertible, Sendable {
    var what: String
    var archive: Archive
    /// Names of the usable base backups' segments, oldest first.
    var usable: [String]
    /// `reason` of each problem of a base backup, and of the archive.
    var backupProblems: [String]
    var problems: [String]

    init(
        _ what: String, _ archive: Archive, usable: [(Int64, UInt64)], _ backupProblems: [String] = [],
        archive problems: [String] = []
    ) {
        self.what = what
        self.archive = archive
        self.usable = usable.map { Archive.name($0.0, $0.1) }
        self.backupProblems = backupProblems
        self.problems = problems
    }

    var testDescription: String { what }
}

private let delta = Archive().segments(1, 10...99).backup(1, 10)
    .backup(1, 20) { $0.deltaFrom = Archive.base(1, 10) }.backup(1, 30) { $0.deltaFrom = Archive.base(1, 20) }

@Suite struct CatalogTests {
    static let cases: [ReadingCase] = [
        ReadingCase("a delta chain", delta, usable: [(1, 10), (1, 20), (1, 30)]),
        ReadingCase(
            "a delta chain without its beginning", delta.changed { $0.backups.removeFirst() }, usable: [],
            ["BackupUnusable", "BackupUnusable"], archive: ["BackupUnusable"]),
        ReadingCase(
            "a broken link takes those with it that build on it",
            delta.changed { $0.backups[1].problem = "it has no tar_partitions" }, usable: [(1, 10)],
            ["BackupUnusable", "BackupUnusable"]),
        ReadingCase(
            "a circle", delta.changed { $0.backups[0].deltaFrom = Archive.base(1, 30) }, usable: [],
            ["BackupUnusable", "BackupUnusable", "BackupUnusable"], archive: ["BackupUnusable"]),
        ReadingCase(
            "a delta that names no parent: its own name does",
            delta.changed { listing in
                listing.backups[1].deltaFrom = nil
                listing.backups[1].isDelta = true
                listing.backups[1].name = "\(Archive.base(1, 20))_D_\(Archive.name(1, 10))"
                listing.backups.removeLast()
            }, usable: [(1, 10), (1, 20)]),
        ReadingCase(
            "a parent without its log still has its files",
            delta.changed { listing in
                listing.ranges[0].first = Archive.name(1, 11)
            }, usable: [(1, 20), (1, 30)], ["MissingBackupWAL"]),
        ReadingCase(
            "no LSN", Archive().segments(1, 10...20).backup(1, 10).backup(1, 12) { $0.finishLSN = nil },
            usable: [(1, 10)], ["BackupUnusable"]),
        ReadingCase(
            "no version", Archive().segments(1, 10...20).backup(1, 10).backup(1, 12) { $0.pgVersion = nil },
            usable: [(1, 10)], ["BackupUnusable"]),
        ReadingCase(
            "no system identifier",
            Archive().segments(1, 10...20).backup(1, 10).backup(1, 12) { $0.systemIdentifier = nil },
            usable: [(1, 10)], ["BackupUnusable"]),
        ReadingCase(
            "another major version",
            Archive().segments(1, 10...20).backup(1, 10).backup(1, 12) { $0.pgVersion = 140_009 },
            usable: [(1, 10)], ["MajorMismatch"]),
        ReadingCase(
            "log missing in its middle",
            Archive().segments(1, 10...12).segments(1, 14...99).backup(1, 11, 15)
                .backup(1, 20), usable: [(1, 20)], ["MissingBackupWAL"]),
        ReadingCase(
            "its last segment lies under the timeline that came after it",
            Archive().segments(1, 10...14).segments(2, 15...20).backup(1, 13, 15).timeline(
                2, from: 1, at: Archive.lsn(15, 8)),
            usable: [(1, 13)]),
        ReadingCase(
            "its last segment lies under a timeline that began before its end",
            Archive().segments(1, 10...14).segments(2, 15...20).backup(1, 13, 15).timeline(
                2, from: 1, at: Archive.lsn(15, 7)),
            usable: [], ["MissingBackupWAL"], archive: ["MissingBackupWAL", "SideBranches"]),
        ReadingCase(
            "two instances",
            Archive().segments(1, 10...20).backup(1, 10).backup(1, 12) { $0.systemIdentifier = "73" },
            usable: [], ["PrefixCollision", "PrefixCollision"], archive: ["PrefixCollision"]),
        ReadingCase(
            "a start that is not in the segment of its name",
            Archive().segments(1, 10...20).backup(1, 10).backup(1, 12) { $0.startLSN = "0/99" },
            usable: [], ["SegmentSizeUnknown", "SegmentSizeUnknown"], archive: ["SegmentSizeUnknown"]),
        ReadingCase(
            "a given size that does not fit",
            Archive().segments(1, 10...20).backup(1, 10).changed { $0.segmentSize = 1 << 20 },
            usable: [], ["SegmentSizeUnknown"], archive: ["SegmentSizeUnknown"]),
        ReadingCase(
            "a history file that can't be read",
            Archive().segments(1, 10...20).segments(2, 21...30).backup(1, 10)
                .timeline(2, from: nil, at: nil, problem: "EncryptedOrCorrupt"),
            usable: [(1, 10)], archive: ["EncryptedOrCorrupt"]),
        ReadingCase(
            "no history file", Archive().segments(1, 10...20).segments(2, 21...30).backup(1, 10), usable: [(1, 10)],
            archive: ["HistoryMissing"]),
        ReadingCase(
            "a timeline that is its own parent",
            Archive().segments(2, 10...20).backup(2, 10).timeline(2, from: 2, at: LSN(1)),
            usable: [(2, 10)], archive: ["EncryptedOrCorrupt"]),
        ReadingCase(
            "two children",
            Archive().segments(1, 10...20).segments(2, 20...30).segments(3, 20...30).backup(1, 10)
                .timeline(2, from: 1, at: Archive.lsn(20, 7)).timeline(3, from: 1, at: Archive.lsn(20, 7)),
            usable: [(1, 10)], archive: ["SideBranches"]),
    ]

    @Test(arguments: cases)
    func reads(_ test: ReadingCase) {
        let catalog = test.archive.catalog
        #expect(
            catalog.backups.filter(\.isUsable).map { String($0.backup.name.dropFirst(5).prefix(24)) } == test.usable)
        #expect(catalog.backups.compactMap { $0.problem?.reason } == test.backupProblems)
        #expect(catalog.problems.map(\.reason) == test.problems, "\(catalog.problems)")
    }

    @Test(arguments: ["PrefixCollision", "SegmentSizeUnknown"])
    func nothingIsPromisedOfWhatCanNotBeBelieved(reason: String) {
        let good = Archive().segments(1, 10...20).backup(1, 10)
        let archive =
            reason == "PrefixCollision"
            ? good.backup(1, 12) { $0.systemIdentifier = "73" } : good.backup(1, 12) { $0.startLSN = "7/99" }
        let catalog = archive.catalog
        #expect(catalog.windows.isEmpty)
        #expect(catalog.latestCertain == nil)
        #expect(catalog.problem?.hasPrefix(reason) == true)
        for moment in [RecoveryRequest.Moment.latest, .backupEnd, .time(Archive.minute(15)), .lsn(Archive.lsn(15))] {
            #expect(archive.answer(RecoveryRequest(moment, backup: Archive.base(1, 10))).finding?.reason == reason)
        }
    }

    @Test func windowsAndGaps() throws {
        let archive = Archive().segments(1, 10...19).segments(1, 22...40).segments(1, 42...50).backup(1, 11).backup(
            1, 15
        )
        .backup(1, 30)
        let catalog = archive.catalog
        #expect(catalog.windows.map(\.backups) == [[Archive.base(1, 11), Archive.base(1, 15)], [Archive.base(1, 30)]])
        let window = try #require(catalog.windows.first)
        #expect(window.earliest == Archive.minute(11))
        #expect(window.latestCertain == Archive.minute(15))
        #expect(window.latestEstimated == Archive.minute(19))
        #expect(window.endLSN == Archive.lsn(20))
        #expect(window.lastSegment == Archive.name(1, 19))
        #expect(catalog.gaps.map(\.state) == [.lost, .uploading])
        #expect(catalog.gaps.map(\.firstMissing) == [Archive.name(1, 20), Archive.name(1, 41)])
        #expect(catalog.gaps.map(\.count) == [2, 1])
        #expect(catalog.lostGaps == 1)
        #expect(catalog.earliest == Archive.minute(11))
        #expect(catalog.latestCertain == Archive.minute(30))
        #expect(catalog.latestEstimated == Archive.minute(40))
        #expect(catalog.systemIdentifier == Archive.system)
        #expect(catalog.problem?.hasPrefix("WALGap") == true)
    }

    @Test func theWorstComesFirst() {
        let unreadable = Archive().segments(1, 10...20).segments(2, 21...60).backup(1, 10)
            .timeline(2, from: nil, at: nil, problem: "EncryptedOrCorrupt")
        #expect(unreadable.catalog.problem?.hasPrefix("EncryptedOrCorrupt: ") == true)
        let cut = unreadable.changed { $0.ranges[1].first = Archive.name(2, 30) }
            .segments(2, 21...22)
        #expect(cut.catalog.problem?.hasPrefix("WALGap: ") == true)
        #expect(Archive().segments(1, 10...20).backup(1, 10).catalog.problem == nil)
        #expect(Archive().catalog.problem?.hasPrefix("NoBackupsFound: ") == true)
    }

    @Test func aGapOfAnAncestorIsToldOnce() {
        let archive = Archive().segments(1, 10...19).segments(1, 22...59).segments(2, 60...90).segments(3, 91...120)
            .backup(1, 11).timeline(2, from: 1, at: Archive.lsn(60, 7)).timeline(3, from: 2, at: Archive.lsn(91, 7))
        #expect(archive.catalog.gaps.map(\.firstMissing) == [Archive.name(1, 20)])
        #expect(archive.catalog.windows.map(\.timeline) == [1, 2, 3])
    }

    @Test(arguments: [(1_001, true), (1_000, false)])
    func manySegmentsInOneHourTellOfACopy(segments: Int64, untrusted: Bool) {
        // Base backups tell of one segment a minute.
        let slow = Archive().segments(1, 10...200).backup(1, 10).backup(1, 130)
            .changed { $0.busiestHour = BusiestHour(hour: Archive.minute(5_000), segments: segments) }
        #expect((slow.catalog.problems.first?.reason == "ArchiveTimesUntrusted") == untrusted)
        #expect((slow.catalog.latestEstimated == nil) == untrusted)
        let fast = slow.changed { $0.backups[1].startTime = Archive.minute(12) }
        #expect(fast.catalog.problems.isEmpty)
    }

    @Test func anotherSizeOfSegments() {
        // 64 MiB: 64 segments in 4 GiB of log, and names that jump there.
        var archive = Archive().changed { listing in
            listing.ranges = [
                SegmentRange(
                    first: "000000010000000000000030", last: "00000001000000000000003F",
                    firstModified: Archive.minute(0), lastModified: Archive.minute(5)),
                SegmentRange(
                    first: "000000010000000100000000", last: "000000010000000100000005",
                    firstModified: Archive.minute(6), lastModified: Archive.minute(9)),
            ]
        }
        archive = archive.backup(1, 0x30) {
            $0.startLSN = LSN(UInt64(0x30) * (64 << 20) + 40).description
            $0.finishLSN = LSN(UInt64(0x31) * (64 << 20)).description
            $0.finishTime = Archive.minute(1)
        }
        let catalog = archive.catalog
        #expect(catalog.geometry.segmentSize == 64 << 20)
        #expect(catalog.gaps.isEmpty)
        #expect(catalog.windows.map(\.lastSegment) == ["000000010000000100000005"])
        #expect(archive.changed { $0.segmentSize = 64 << 20 }.catalog.windows == catalog.windows)
    }

    /// Numbers that no one would write, and orders that no one would sort in.
    @Test func hostileListings() {
        let edges = Archive().changed { listing in
            for name in ["FFFFFFFFFFFFFFFF000000FF", "000000000000000000000000", "0000000100000000000000FF", "x", ""] {
                listing.ranges.append(
                    SegmentRange(
                        first: name, last: name, firstModified: Archive.minute(0), lastModified: Archive.minute(0)))
            }
            for number in [Int64.min, -1, 0, 1, 2, .max] {
                for lsn in ["FFFFFFFF/FFFFFFFF", "0/0", "?"] {
                    listing.timelines.append(ScannedTimeline(timeline: number, parent: number &- 1, switchLSN: lsn))
                }
            }
            var backup = ScannedBackup(name: "base_FFFFFFFFFFFFFFFF000000FF", lastModified: Archive.minute(0))
            backup.startLSN = "FFFFFFFF/FF000000"
            backup.finishLSN = "FFFFFFFF/FFFFFFFF"
            backup.pgVersion = .max
            backup.partBytes = .max
            backup.parts = .max
            listing.backups = [backup, backup, ScannedBackup(name: "", lastModified: Archive.minute(0))]
        }
        for archive in [edges, edges.changed { $0.ranges.removeLast(2) }, edges.changed { $0.segmentSize = .min }] {
            let catalog = archive.catalog
            #expect(catalog.problem != nil)
            for moment in [RecoveryRequest.Moment.latest, .time(Archive.minute(1)), .lsn(LSN(.max)), .lsn(LSN(0))] {
                for line in [RecoveryRequest.Line.latest, .current, .timeline(.max), .timeline(.min)] {
                    _ = catalog.answer(RecoveryRequest(moment, line: line), at: Archive.minute(9))
                }
            }
        }
    }

    @Test func fastEnoughForTheLargestListing() {
        var archive = Archive()
        for number in 0..<UInt64(ArchiveListing.rangeLimit) {
            archive.listing.ranges.append(Archive().segments(1, (number * 10)...(number * 10 + 8)).listing.ranges[0])
        }
        for number in 0..<UInt64(ArchiveListing.backupLimit) {
            archive = archive.backup(1, number * 40 + 2) { backup in
                if number % 8 != 0 { backup.deltaFrom = Archive.base(1, number * 40 - 38) }
            }
        }
        let clock = ContinuousClock()
        var catalog = archive.catalog
        let reading = clock.measure { catalog = archive.catalog }
        let answering = clock.measure {
            _ = catalog.answer(RecoveryRequest(.time(Archive.minute(399))), at: archive.listing.seenAt)
        }
        #expect(catalog.gaps.count == 3_999)
        #expect(catalog.backups.filter(\.isUsable).count == 1_000)
        // In a debug build, on a machine that does other things too: far from what a quadratic walk would take.
        let limit = Duration.seconds(3)
        #expect(reading < limit && answering < limit)
    }
}

@Suite struct ForgedListingTests {
    /// Every delta keeps the names of all that it builds on.
    @Test func ofMoreBaseBackupsThanAScanReportsOnlySoManyAreLookedAt() {
        var archive = Archive()
        for number in 0..<5_000 {
            var backup = ScannedBackup(name: "base_\(number)", lastModified: Archive.minute(0))
            backup.isDelta = true
            backup.deltaFrom = "base_\(number + 1)"
            archive.listing.backups.append(backup)
        }
        let catalog = ArchiveCatalog(archive.listing)
        #expect(catalog.backups.count == ArchiveListing.backupLimit)
        #expect(catalog.backups.map(\.chain.count).max() ?? 0 <= ArchiveListing.backupLimit)
    }

    @Test func ofMoreRangesAndTimelinesThanAScanReportsTheNewestCount() {
        var archive = Archive()
        for number in 0..<UInt64(5_000) { archive = archive.segments(1, (number * 2)...(number * 2)) }
        for timeline in Int64(2)..<3_000 {
            archive.listing.timelines.append(
                ScannedTimeline(timeline: timeline, parent: timeline - 1, switchLSN: "0/1"))
        }
        let within = archive.listing.withinLimits
        #expect(within.ranges.count == ArchiveListing.rangeLimit)
        #expect(within.ranges.last == archive.listing.ranges.last)
        #expect(within.timelines.map(\.timeline) == Array(2_000..<3_000))
        #expect(within.withinLimits == within)
    }
}

@Suite struct LayoutTests {
    @Test(arguments: [
        ("part_001.tar.lz4", true), ("part_1000.tar", true), ("part_001.tar.lz4.tmp", false), ("part_.tar.lz4", false),
        ("pg_control.tar.lz4", false), ("part_001.lz4", false), ("", false),
    ])
    func parts(name: String, isPart: Bool) { #expect(WalgLayout.isPart(name[...]) == isPart) }

    @Test(arguments: [
        ("pg_control.tar.lz4", true), ("pg_control.tar", true), ("pg_control", false), ("part_001.tar", false),
    ])
    func controlParts(name: String, isControl: Bool) { #expect(WalgLayout.isControlPart(name[...]) == isControl) }

    @Test func aDeltaNamesItsParent() {
        let sentinel = #"{"LSN":150994984,"DeltaFrom":"base_000000010000000000000006","PgVersion":150015}"#
        let backup = ScannedBackup(
            name: "base_000000010000000000000009_D_000000010000000000000006", lastModified: Archive.minute(0),
            sentinel: Array(sentinel.utf8), metadata: nil)
        #expect(backup.deltaFrom == "base_000000010000000000000006")
        #expect(backup.isDelta)
        let full = ScannedBackup(
            name: "base_000000010000000000000009", lastModified: Archive.minute(0),
            sentinel: Array(#"{"LSN":150994984,"DeltaFrom":""}"#.utf8), metadata: nil)
        #expect(full.deltaFrom == nil)
        #expect(!full.isDelta)
    }
}
