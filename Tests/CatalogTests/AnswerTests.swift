// SPDX-License-Identifier: Apache-2.0

import Catalog
import Resources
import Testing

struct AnswerCase: CustomTestStringConvertible, Sendable {
    var what: String
    var archive: Archive
    var request: RecoveryRequest
    var answer: String

    init(_ what: String, _ archive: Archive, _ request: RecoveryRequest, _ answer: String) {
        self.what = what
        self.archive = archive
        self.request = request
        self.answer = answer
    }

    var testDescription: String { what }
}

private func at(_ minute: Int64, _ seconds: Int64 = 0) -> RecoveryRequest {
    RecoveryRequest(.time(Archive.minute(minute).adding(seconds: seconds)))
}

private let latest = RecoveryRequest(.latest)

/// One timeline, base backups in segments 10 and 50, log from 10 to 99.
private let plain = Archive().segments(1, 10...99).backup(1, 10).backup(1, 50)
/// The same, but segments 60 and 61 are lost; a base backup in 80.
private let holed = Archive().segments(1, 10...59).segments(1, 62...99).backup(1, 10).backup(1, 50).backup(1, 80)
/// The same without a base backup after the hole.
private let cut = Archive().segments(1, 10...59).segments(1, 62...99).backup(1, 10).backup(1, 50)
/// Segment 95 may still come.
private let uploading = Archive().segments(1, 10...94).segments(1, 96...99).backup(1, 10).backup(1, 50)
/// Timeline 2 left timeline 1 within segment 60.
private let promoted = Archive().segments(1, 10...59).segments(2, 60...99).backup(1, 10).backup(1, 50)
    .timeline(2, from: 1, at: Archive.lsn(60, 100))
/// Timeline 1 went on: two histories from segment 60 on.
private let branched = Archive().segments(1, 10...80).segments(2, 60...99).backup(1, 10).backup(1, 50).backup(1, 70)
    .timeline(2, from: 1, at: Archive.lsn(60, 100))
private let near = "!TargetNearArchiveHead"
private let risk = "!RetentionRisk"

@Suite struct AnswerTests {
    static let latestCases: [AnswerCase] = [
        AnswerCase("the newest base backup, to the end", plain, latest, chosen((1, 50), on: 1, (1, 99))),
        AnswerCase("the newest after a hole", holed, latest, chosen((1, 80), on: 1, (1, 99))),
        AnswerCase("a hole and nothing after it", cut, latest, "WALGap 59.0 -"),
        AnswerCase("a hole that may be filled", uploading, latest, chosen((1, 50), on: 1, (1, 94), "!StillUploading")),
        AnswerCase("across a promotion", promoted, latest, chosen((1, 50), on: 2, (2, 99))),
        AnswerCase(
            "a named one across a promotion", promoted, RecoveryRequest(.latest, backup: Archive.base(1, 10)),
            chosen((1, 10), on: 2, (2, 99), risk)),
        AnswerCase(
            "a branch that finished later than the fork", branched, latest, chosen((1, 70), on: 1, (1, 80))),
        AnswerCase(
            "an older one follows the newest timeline", branched, RecoveryRequest(.latest, backup: Archive.base(1, 50)),
            chosen((1, 50), on: 2, (2, 99))),
        AnswerCase(
            "its own timeline, if asked for", branched,
            RecoveryRequest(.latest, line: .current, backup: Archive.base(1, 50)), chosen((1, 50), on: 1, (1, 80))),
        AnswerCase(
            "a timeline by number", branched, RecoveryRequest(.latest, line: .timeline(2)),
            chosen((1, 50), on: 2, (2, 99))),
        AnswerCase(
            "no such timeline", plain, RecoveryRequest(.latest, line: .timeline(7)), "TimelineNotFound - -"),
        AnswerCase(
            "one that does not lead there", branched,
            RecoveryRequest(.latest, line: .timeline(2), backup: Archive.base(1, 70)), "BackupUnusable - -"),
        AnswerCase(
            "no such base backup", plain, RecoveryRequest(.latest, backup: Archive.base(1, 11)), "BackupUnusable - -"),
        AnswerCase("nothing", Archive(), latest, "NoBackupsFound - -"),
        AnswerCase("no log", Archive().backup(1, 10), latest, "MissingBackupWAL - -"),
        AnswerCase(
            "a history with nothing on it, and its parent went on",
            branched.changed { listing in
                listing.ranges.removeLast()
                listing.backups.removeLast()
            }, latest, chosen((1, 50), on: 1, (1, 80))),
        AnswerCase(
            "a history with nothing on it, and its parent ended", promoted.changed { $0.ranges.removeLast() }, latest,
            chosen((1, 50), on: 2, (1, 59))),
        AnswerCase(
            "the newer timeline's first segment is missing and the older has one of that number",
            branched.changed { listing in
                listing.ranges[1].first = Archive.name(2, 61)
                listing.backups.removeLast()
            }, latest, "WALGap 50.0 -"),
        AnswerCase(
            "a timeline without a history file, from its own base backup",
            Archive().segments(2, 10...20).backup(2, 12), latest, chosen((2, 12), on: 2, (2, 20), setting: "=current")),
        AnswerCase(
            "a timeline without a history file can't be reached from its parent",
            promoted.changed { $0.timelines = [] }, latest, chosen((1, 50), on: 1, (1, 59))),
        AnswerCase(
            "a history file that can't be read",
            promoted.changed { listing in
                listing.timelines[0].parent = nil
                listing.timelines[0].problem = "EncryptedOrCorrupt"
            }, latest, chosen((1, 50), on: 2, (2, 99), "!TimelineInferred")),
        AnswerCase(
            "history files with a number missing between them",
            promoted.segments(4, 90...120).timeline(4, from: 2, at: Archive.lsn(90, 3)), latest,
            chosen((1, 50), on: 4, (4, 120))),
    ]

    static let timeCases: [AnswerCase] = [
        AnswerCase("the newest that had finished", plain, at(40), chosen((1, 10), on: 1, (1, 99), risk)),
        AnswerCase("just after a finish", plain, at(50, 1), chosen((1, 50), on: 1, (1, 99), near)),
        AnswerCase("the finish itself", plain, at(50), chosen((1, 10), on: 1, (1, 99), risk)),
        AnswerCase("before the first finish", plain, at(9), "TargetOutsideWindow - 10.016666666666667"),
        AnswerCase("the first finish", plain, at(10), "TargetOutsideWindow - 10.016666666666667"),
        AnswerCase("up to the end", plain, at(99), chosen((1, 50), on: 1, (1, 99), near)),
        AnswerCase("after the end", plain, at(99, 1), "TargetOutsideWindow 99.0 -"),
        AnswerCase("in the future", plain, at(9_001), "TargetOutsideWindow 99.0 -"),
        AnswerCase("before a hole", holed, at(59), chosen((1, 50), on: 1, (1, 59), near)),
        AnswerCase("in a hole", holed, at(60), "TargetInGap 59.0 80.01666666666667"),
        AnswerCase("after a hole and before the next base backup", holed, at(75), "TargetInGap 59.0 80.01666666666667"),
        AnswerCase("after a hole", holed, at(81), chosen((1, 80), on: 1, (1, 99), near)),
        AnswerCase("in a hole and nothing after it", cut, at(60), "TargetInGap 59.0 -"),
        AnswerCase("in a hole that may be filled", uploading, at(96), "TargetInGap 94.0 -"),
        AnswerCase("across a promotion", promoted, at(98), chosen((1, 50), on: 2, (2, 99), near)),
        AnswerCase(
            "a named one that had not finished", plain,
            RecoveryRequest(.time(Archive.minute(40)), backup: Archive.base(1, 50)),
            "TargetOutsideWindow - 50.016666666666666"),
        AnswerCase(
            "a named one", plain, RecoveryRequest(.time(Archive.minute(60)), backup: Archive.base(1, 10)),
            chosen((1, 10), on: 1, (1, 99), "\(near) \(risk)")),
        AnswerCase(
            "no base backup says when it finished",
            Archive().segments(1, 10...20).backup(1, 10) { $0.finishTime = nil }, at(15), "TargetOutsideWindow - -"),
        AnswerCase(
            "copied: up to the newest finish", plain.copied, at(49), chosen((1, 10), on: 1, (1, 99), risk)),
        AnswerCase("copied: after the newest finish", plain.copied, at(51), "ArchiveTimesUntrusted 50.0 -"),
        AnswerCase(
            "nothing was archived after the newest base backup: its own time is not sure",
            Archive().segments(1, 10...50).backup(1, 10).backup(1, 50), at(49, 45),
            chosen((1, 10), on: 1, (1, 50), "\(near) \(risk)")),
    ]

    static let otherCases: [AnswerCase] = [
        AnswerCase("the end of a base backup", plain, RecoveryRequest(.backupEnd), chosen((1, 50), on: 1, (1, 99))),
        AnswerCase(
            "the same before a hole", cut, RecoveryRequest(.backupEnd), chosen((1, 50), on: 1, (1, 59))),
        AnswerCase(
            "an LSN", plain, RecoveryRequest(.lsn(Archive.lsn(49, 7))), chosen((1, 10), on: 1, (1, 99), risk)),
        AnswerCase(
            "the LSN where a base backup ends", plain, RecoveryRequest(.lsn(Archive.lsn(50, 8))),
            chosen((1, 50), on: 1, (1, 99))),
        AnswerCase(
            "an LSN before that", plain, RecoveryRequest(.lsn(Archive.lsn(10, 7))), "TargetOutsideWindow - -"),
        AnswerCase(
            "an LSN in the last segment", plain, RecoveryRequest(.lsn(Archive.lsn(99, 7))),
            chosen((1, 50), on: 1, (1, 99), near)),
        AnswerCase(
            "an LSN after the end", plain, RecoveryRequest(.lsn(Archive.lsn(100))), "TargetOutsideWindow - -"),
        AnswerCase("an LSN in a hole", cut, RecoveryRequest(.lsn(Archive.lsn(60, 1))), "TargetInGap - -"),
        AnswerCase("an LSN after a hole", cut, RecoveryRequest(.lsn(Archive.lsn(70, 1))), "TargetInGap - -"),
        AnswerCase(
            "a transaction: the oldest that leads to the end", plain, RecoveryRequest(.xid("731")),
            chosen((1, 10), on: 1, (1, 99), "!TargetNotProvable \(risk)")),
        AnswerCase(
            "a restore point after a hole", holed, RecoveryRequest(.name("before")),
            chosen((1, 80), on: 1, (1, 99), "!TargetNotProvable")),
        AnswerCase("a transaction and a hole", cut, RecoveryRequest(.xid("731")), "WALGap 59.0 -"),
    ]

    @Test(arguments: latestCases + timeCases + otherCases)
    func answers(_ test: AnswerCase) {
        let answer = test.archive.answer(test.request)
        #expect(answer.brief == test.answer, "\(answer)")
        guard let finding = answer.finding else { return }
        for moment in [finding.nearestBefore, finding.nearestAfter].compactMap({ $0 }) {
            #expect(finding.message.contains(moment.rfc3339), "\(finding.message)")
        }
    }

    @Test func whatAChoiceCosts() throws {
        let archive = Archive().segments(1, 10...99).backup(1, 10).backup(1, 20) { $0.deltaFrom = Archive.base(1, 10) }
            .backup(1, 60)
        let choice = try #require(archive.answer(at(40)).choice)
        #expect(choice.backup.name == Archive.base(1, 20))
        #expect(choice.downloadBytes == 2_000)
        #expect(choice.downloadParts == 6)
        // Up to where the base backup starts that began after the target.
        #expect(choice.segments == 41)
        #expect(!choice.isLatest)
        #expect(choice.isOneLine)
        #expect(choice.endLSN == Archive.lsn(100))
        let newest = try #require(archive.answer(latest).choice)
        #expect(newest.isLatest)
        #expect(newest.segments == 40)
        let unknown = archive.changed { $0.backups[0].partBytes = nil }
        #expect(unknown.answer(at(40)).choice?.downloadBytes == nil)
    }

    @Test(arguments: [
        (plain, true), (promoted, true), (branched, false),
        (promoted.segments(3, 59...99).timeline(3, from: 1, at: Archive.lsn(59, 9)), false),
        (promoted.segments(3, 99...120).timeline(3, from: 2, at: Archive.lsn(99, 9)), true),
        (promoted.segments(4, 99...120).timeline(4, from: 2, at: Archive.lsn(99, 9)), false),
        (promoted.changed { $0.timelines[0].parent = nil }, false),
        (promoted.backup(2, 90).changed { $0.timelines[0].parent = nil }, true),
    ])
    func whetherPostgresWouldFindTheSameTimeline(archive: Archive, isOneLine: Bool) throws {
        #expect(try #require(archive.answer(latest).choice).isOneLine == isOneLine)
    }

    @Test func aCopiedSentinelIsLatestForWalg() throws {
        let archive = plain.changed { $0.backups[0].lastModified = Archive.minute(5_000) }
        let choice = try #require(archive.answer(latest).choice)
        #expect(choice.backup.name == Archive.base(1, 50))
        #expect(!choice.isLatest)
        let tied = plain.changed { $0.backups[0].lastModified = $0.backups[1].lastModified }
        #expect(try #require(tied.answer(latest).choice).isLatest == false)
    }
}

extension Archive {
    /// Everything was written at once, long after.
    var copied: Archive {
        changed { listing in
            for index in listing.ranges.indices {
                listing.ranges[index].firstModified = Self.minute(5_000)
                listing.ranges[index].lastModified = Self.minute(5_000)
            }
            listing.suspicion = TimeSuspicion(
                segment: listing.ranges[0].first, modified: Self.minute(5_000), backup: listing.backups[0].name)
        }
    }
}
