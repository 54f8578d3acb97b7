// SPDX-License-Identifier: Apache-2.0

package import Resources

/// What the listing of an archive means: which backups can be used, which moments can be reached, and how.
///
/// Pure: computed from one listing, and asked as often as one likes. It never promises what a restore can't reach;
/// where the bucket alone can't tell, it says so (an estimated bound, a warning), and never guesses in silence.
package struct ArchiveCatalog: Equatable, Sendable {
    package let listing: ArchiveListing
    package let geometry: WalGeometry
    /// Oldest start first.
    package let backups: [CatalogBackup]
    /// One for each contiguous stretch of each timeline's line that has a usable base backup, oldest first. None when
    /// `refusal` says that nothing of the archive can be believed.
    package let windows: [RecoveryWindow]
    /// By timeline and then by segment.
    package let gaps: [WalGap]
    /// What is wrong with the archive as a whole, the worst first: `PrefixCollision`, `SegmentSizeUnknown`,
    /// `NoBackupsFound`, `BackupUnusable`, `ArchiveTimesUntrusted`, `EncryptedOrCorrupt`, `HistoryMissing`,
    /// `SideBranches`. All but those of `refusal` are warnings.
    package let problems: [CatalogFinding]
    /// Why nothing of the archive can be restored: `PrefixCollision`, `SegmentSizeUnknown`.
    package let refusal: CatalogFinding?
    let tree: TimelineTree
    /// Some timeline went on after another had left it: PostgreSQL's `latest` follows one of them.
    let hasSideBranches: Bool
    /// Why the store's times can't be those of archiving, if so.
    let timeDoubt: CatalogFinding?
}

/// A base backup, and whether it can be used.
package struct CatalogBackup: Equatable, Sendable {
    package var backup: ScannedBackup
    /// From its name; 0 when that is none.
    package var timeline: Int64
    /// Why not, if it can't: `BackupUnusable`, `MajorMismatch`, `MissingBackupWAL`, or the archive's own `refusal`.
    package var problem: CatalogFinding?
    /// The full backup that a delta's chain begins with, and all between; the backup itself last. One for a full
    /// backup. Of a chain that is broken, what there is.
    package var chain: [String]
    /// `nil` when it names no LSNs.
    package var extent: BackupExtent?

    package var isUsable: Bool { problem == nil }
}

/// Moments that can be reached without a hole, along the line of one timeline (its ancestors up to where it left them).
package struct RecoveryWindow: Equatable, Sendable {
    /// The timeline that recovery is told to follow.
    package var timeline: Int64
    /// A parent was inferred, because a history file is missing or can't be read.
    package var isTimelineInferred: Bool
    /// The first usable base backup's finish: a moment at or before it can't be reached. `nil` when it names no finish.
    package var earliest: Timestamp?
    /// Everything up to here was archived, as far as a listing tells: the newest usable backup's finish.
    package var latestCertain: Timestamp?
    /// Nothing after this is: when the last segment without a hole before it was written. `nil` when times are
    /// untrusted.
    package var latestEstimated: Timestamp?
    /// Where the first usable base backup starts.
    package var startLSN: LSN
    /// The end of the last segment.
    package var endLSN: LSN
    package var lastSegment: String
    /// Usable base backups in it, oldest first.
    package var backups: [String]
}

/// Segments that are missing between others that are there.
package struct WalGap: Equatable, Sendable {
    package enum State: Equatable, Sendable {
        /// Among the newest of the archive: uploads go on in parallel, so it may still come.
        case uploading
        case lost
    }

    package var timeline: Int64
    package var firstMissing: String
    package var lastMissing: String
    package var count: UInt64
    /// When the segment before it and the one after it were written, by the store's clock.
    package var after: Timestamp
    package var before: Timestamp
    package var state: State
}

/// Something to tell people of an archive, or why it can't be used as asked.
package struct CatalogFinding: Equatable, Sendable {
    package var reason: String
    package var message: String
    /// The nearest moments that can be reached, where there are any.
    package var nearestBefore: Timestamp?
    package var nearestAfter: Timestamp?

    package init(
        _ reason: String, _ message: String, nearestBefore: Timestamp? = nil, nearestAfter: Timestamp? = nil
    ) {
        self.reason = reason
        self.message = message
        self.nearestBefore = nearestBefore
        self.nearestAfter = nearestAfter
    }
}

/// What is wanted of an archive.
package struct RecoveryRequest: Equatable, Sendable {
    package enum Moment: Equatable, Sendable {
        /// The end of the archive.
        case latest
        /// As soon as the base backup is consistent.
        case backupEnd
        /// Not inclusive: just before the first commit at this time.
        case time(Timestamp)
        case lsn(LSN)
        /// A transaction or a named restore point: a listing can't tell where it is.
        case xid(String)
        case name(String)
    }

    package enum Line: Equatable, Sendable {
        /// The newest timeline that comes from the backup: the named one, or else the newest usable one.
        case latest
        /// The backup's own timeline: the named one's, or else the newest usable one's.
        case current
        case timeline(Int64)
    }

    package var moment: Moment
    package var line: Line
    /// Only this base backup will do.
    package var backup: String?

    package init(_ moment: Moment, line: Line = .latest, backup: String? = nil) {
        self.moment = moment
        self.line = line
        self.backup = backup
    }
}

/// How a wanted moment is reached.
package struct RecoveryChoice: Equatable, Sendable {
    package var backup: ScannedBackup
    /// The backup's own timeline.
    package var backupTimeline: Int64
    /// The timeline that recovery is told to follow.
    package var timeline: Int64
    /// What `recovery_target_timeline` must say for that: the timeline's decimal number, or `current` where it has no
    /// history file. PostgreSQL refuses to be told such a timeline's number, even for a base backup of its own.
    package var targetTimeline: String
    /// The backup is the one that WAL-G's `LATEST` names: its sentinel was written last.
    package var isLatest: Bool
    /// PostgreSQL's own `latest` would come to the same timeline: the archive is one line from the backup on.
    package var isOneLine: Bool
    /// The last segment that can be replayed along that timeline; for `latest` recovery must come at least into it.
    package var lastSegment: String
    package var endLSN: LSN
    /// Bytes to download: the parts of the whole delta chain. `nil` when not known.
    package var downloadBytes: Int64?
    /// What the data takes on a volume at least: the largest of the chain's backups, since a delta tells its own size only.
    package var unpackedBytes: Int64?
    package var downloadParts: Int?
    /// Segments from the backup's start to the wanted moment, an upper bound where only times are known.
    package var segments: Int64
    package var warnings: [CatalogFinding]
}

/// A choice, or why there is none.
package enum RecoveryAnswer: Equatable, Sendable {
    case reachable(RecoveryChoice)
    case refused(CatalogFinding)
}
