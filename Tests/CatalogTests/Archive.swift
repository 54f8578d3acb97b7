// SPDX-License-Identifier: Apache-2.0

import Catalog
import Resources

/// Builds listings in few words. Segments are numbers, with 16 MiB each; segment `n` was written `n` minutes after
/// midnight, unless said otherwise.
struct Archive {
    static let system = "7300000000000000001"
    static let size: UInt64 = 16 << 20

    var listing = ArchiveListing(path: "orders", major: 15, seenAt: minute(10_000))

    static func minute(_ number: Int64) -> Timestamp { Timestamp(seconds: 1_780_000_000 + number * 60) }

    static func name(_ timeline: Int64, _ number: UInt64) -> String {
        hex(UInt64(timeline)) + hex(number / 256) + hex(number % 256)
    }

    private static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    static func base(_ timeline: Int64, _ number: UInt64) -> String { "base_\(name(timeline, number))" }

    /// A position in a segment, counted in 256ths of it.
    static func lsn(_ number: UInt64, _ part: UInt64 = 0) -> LSN { LSN(number * size + part * (size >> 8)) }

    func segments(_ timeline: Int64, _ numbers: ClosedRange<UInt64>) -> Archive {
        changed { listing in
            listing.ranges.append(
                SegmentRange(
                    first: Self.name(timeline, numbers.lowerBound), last: Self.name(timeline, numbers.upperBound),
                    firstModified: Self.minute(Int64(numbers.lowerBound)),
                    lastModified: Self.minute(Int64(numbers.upperBound))))
        }
    }

    /// A base backup that starts within segment `first`, ends within segment `last`, and took a quarter of a minute
    /// less than their writing.
    func backup(
        _ timeline: Int64, _ first: UInt64, _ last: UInt64? = nil, edit: (inout ScannedBackup) -> Void = { _ in }
    ) -> Archive {
        changed { listing in
            let last = last ?? first
            var backup = ScannedBackup(
                name: Self.base(timeline, first), lastModified: Self.minute(Int64(last)).adding(seconds: 5))
            backup.startTime = Self.minute(Int64(first)).adding(seconds: -30)
            backup.finishTime = Self.minute(Int64(last))
            backup.startLSN = Self.lsn(first, 1).description
            backup.finishLSN = Self.lsn(last, 8).description
            backup.pgVersion = 150_015
            backup.systemIdentifier = Self.system
            backup.parts = 3
            backup.partBytes = 1_000
            edit(&backup)
            listing.backups.append(backup)
            listing.backupsTotal += 1
        }
    }

    func timeline(_ number: Int64, from parent: Int64?, at lsn: LSN?, problem: String? = nil) -> Archive {
        changed { listing in
            var timeline = ScannedTimeline(timeline: number, parent: parent, switchLSN: lsn?.description)
            timeline.problem = problem
            listing.timelines.append(timeline)
        }
    }

    func changed(_ change: (inout ArchiveListing) -> Void) -> Archive {
        var copy = self
        change(&copy.listing)
        return copy
    }

    var catalog: ArchiveCatalog { ArchiveCatalog(listing) }

    func answer(_ request: RecoveryRequest) -> RecoveryAnswer { catalog.answer(request, at: Self.minute(9_000)) }
}

extension RecoveryAnswer {
    /// One line, to hold against what is expected: backup, timeline, last segment and warnings; or the refusal's
    /// reason.
    var brief: String {
        switch self {
        case .reachable(let choice):
            let setting = choice.targetTimeline == String(choice.timeline) ? "" : "=\(choice.targetTimeline)"
            let warnings = choice.warnings.map { " !\($0.reason)" }.joined()
            return "\(choice.backup.name.dropFirst(5)) @\(choice.timeline)\(setting) ..\(choice.lastSegment)\(warnings)"
        case .refused(let finding):
            func minutes(_ moment: Timestamp?) -> String {
                moment.map { "\(Double($0.microseconds - Archive.minute(0).microseconds) / 60e6)" } ?? "-"
            }
            return "\(finding.reason) \(minutes(finding.nearestBefore)) \(minutes(finding.nearestAfter))"
        }
    }

    var choice: RecoveryChoice? { if case .reachable(let choice) = self { choice } else { nil } }
    var finding: CatalogFinding? { if case .refused(let finding) = self { finding } else { nil } }
}

/// What `brief` says of a choice.
func chosen(
    _ backup: (Int64, UInt64), on timeline: Int64, _ last: (Int64, UInt64), setting: String = "",
    _ warnings: String = ""
) -> String {
    let name = Archive.name(backup.0, backup.1)
    return "\(name) @\(timeline)\(setting) ..\(Archive.name(last.0, last.1))" + (warnings.isEmpty ? "" : " \(warnings)")
}
