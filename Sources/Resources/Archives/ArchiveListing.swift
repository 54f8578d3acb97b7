// SPDX-License-Identifier: Apache-2.0

// What a bucket says of an archive, as the agent reports it and as the published catalog keeps it. Only what was seen:
// what it means (windows, gaps, what can be reached) is computed from it, in the module Catalog.

/// One archive at one major version of PostgreSQL.
///
/// Small whatever the archive holds: contiguous segments are one range, so a million segments without a gap are one line.
package struct ArchiveListing: Codable, Equatable, Sendable {
    package var v: Int
    /// The archive's key in the bucket, without the major version and without slashes at either end.
    package var path: String
    package var major: Int
    /// In bytes, as a backup's start LSN and the segment in its name give it away. `nil`: not known, and names were read as
    /// with the usual 16 MiB.
    package var segmentSize: Int64?
    /// The base backups with a sentinel, newest by `lastModified` first; at most `backupLimit`.
    package var backups: [ScannedBackup]
    /// How many there are in all.
    package var backupsTotal: Int
    /// Contiguous runs of archived segments, by timeline and then by number. At most `rangeLimit`, the newest.
    package var ranges: [SegmentRange]
    /// Timelines that have a history file, by number.
    package var timelines: [ScannedTimeline]
    /// Objects below `path/major/` that this listing covers.
    package var objects: Int64
    /// Why the store's times can't be those of archiving, if so.
    package var suspicion: TimeSuspicion?
    /// The most segments of one hour by the store's clock: many more than the archive grows by tell of a copied bucket.
    package var busiestHour: BusiestHour?
    /// The store's clock when the listing began.
    package var seenAt: Timestamp

    package static let backupLimit = 1_000
    package static let rangeLimit = 4_000
    package static let timelineLimit = 1_000

    /// What a scan would report at most. A longer listing is not the agent's: what is calculated from it takes the square
    /// of its length in time, and in memory.
    package var withinLimits: ArchiveListing {
        guard backups.count > Self.backupLimit || ranges.count > Self.rangeLimit || timelines.count > Self.timelineLimit
        else { return self }
        var listing = self
        listing.backups = Array(backups.prefix(Self.backupLimit))
        listing.ranges = ranges.suffix(Self.rangeLimit)
        listing.timelines = timelines.suffix(Self.timelineLimit)
        return listing
    }

    package init(path: String, major: Int, seenAt: Timestamp) {
        self.v = 1
        self.path = path
        self.major = major
        self.backups = []
        self.backupsTotal = 0
        self.ranges = []
        self.timelines = []
        self.objects = 0
        self.seenAt = seenAt
    }

    package var geometry: WalGeometry {
        segmentSize.flatMap { WalGeometry(segmentSize: UInt64(clamping: $0)) } ?? .usual
    }
}

/// Archived segments without a hole between them, on one timeline.
package struct SegmentRange: Codable, Equatable, Sendable {
    /// Names of 24 hexadecimal digits.
    package var first: String
    package var last: String
    /// When the first and the last of them were written, by the store's clock.
    package var firstModified: Timestamp
    package var lastModified: Timestamp

    package init(first: String, last: String, firstModified: Timestamp, lastModified: Timestamp) {
        self.first = first
        self.last = last
        self.firstModified = firstModified
        self.lastModified = lastModified
    }
}

/// One base backup, from its sentinel and metadata (WAL-G names and meanings).
package struct ScannedBackup: Codable, Equatable, Sendable {
    package var name: String
    /// When the sentinel was last written, by the store's clock: WAL-G's `LATEST` is the newest of these.
    package var lastModified: Timestamp
    package var startTime: Timestamp?
    package var finishTime: Timestamp?
    /// `X/X`.
    package var startLSN: String?
    package var finishLSN: String?
    /// e.g. 150015.
    package var pgVersion: Int?
    package var systemIdentifier: String?
    package var uncompressedSize: Int64?
    package var compressedSize: Int64?
    package var isDelta: Bool
    /// The backup that a delta builds on, as its sentinel names it.
    package var deltaFrom: String?
    package var isPermanent: Bool
    /// Files below `tar_partitions` named `part_*`, without those of the backups it builds on.
    package var parts: Int?
    /// Their bytes, as they are downloaded.
    package var partBytes: Int64?
    /// Why it can't be used, as far as its own objects tell.
    package var problem: String?

    package init(name: String, lastModified: Timestamp) {
        self.name = name
        self.lastModified = lastModified
        self.isDelta = false
        self.isPermanent = false
    }
}

/// A timeline that has a history file.
package struct ScannedTimeline: Codable, Equatable, Sendable {
    package var timeline: Int64
    /// `nil` when the file could not be read.
    package var parent: Int64?
    /// Where it left its parent, `X/X`.
    package var switchLSN: String?
    /// When the history file was written, by the store's clock.
    package var lastModified: Timestamp?
    /// `EncryptedOrCorrupt`: the file's first bytes are those of no known codec.
    package var problem: String?

    package init(timeline: Int64, parent: Int64?, switchLSN: String?) {
        self.timeline = timeline
        self.parent = parent
        self.switchLSN = switchLSN
    }
}

/// A segment that was written long after the base backup that needs it had finished: the bucket was copied.
package struct TimeSuspicion: Codable, Equatable, Sendable {
    package var segment: String
    package var modified: Timestamp
    package var backup: String

    package init(segment: String, modified: Timestamp, backup: String) {
        self.segment = segment
        self.modified = modified
        self.backup = backup
    }
}

package struct BusiestHour: Codable, Equatable, Sendable {
    /// The hour's beginning.
    package var hour: Timestamp
    package var segments: Int64

    package init(hour: Timestamp, segments: Int64) {
        self.hour = hour
        self.segments = segments
    }
}
