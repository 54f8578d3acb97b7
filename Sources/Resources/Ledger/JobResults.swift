// SPDX-License-Identifier: Apache-2.0

// What Jobs report, as the JSON inside their framed result. Every result carries the token of its attempt, so that a
// result of another attempt is not believed, and a `code`: `OK`, or a reason that people can read.

/// What the `agent scan` Job saw in a bucket.
package struct ScanResult: Codable, Equatable, Sendable {
    package var v: Int
    package var attempt: String
    package var code: String
    package var message: String?
    /// Major versions that have a folder below the archive's path.
    package var majors: [Int]
    /// The archive has objects right below its path that belong below a major version: `basebackups_005` or `wal_005`.
    package var lacksVersion: Bool?
    /// The archive at the major version that was asked for; `nil` when only emptiness was asked for.
    package var listing: ArchiveListing?
    /// Objects below the path; 0 means that it is empty.
    package var objects: Int64
    /// Some keys below the path, when it should have been empty; at most 5.
    package var sampleKeys: [String]
    package var fingerprint: SourceFingerprint?
    /// Only when a fingerprint was given to compare with.
    package var comparison: FingerprintComparison?

    package init(attempt: String, code: String, message: String? = nil) {
        self.v = 1
        self.attempt = attempt
        self.code = code
        self.message = message
        self.majors = []
        self.objects = 0
        self.sampleKeys = []
    }
}

/// What the `agent scan` Job of a BackupRepository saw: every archive below the repository's prefix.
package struct RepositoryScanResult: Codable, Equatable, Sendable {
    package var v: Int
    package var attempt: String
    package var code: String
    package var message: String?
    /// By path and major version; at most as many as the repository's `scan.maxArchives`.
    package var archives: [ScannedArchive]
    /// How many there are in all.
    package var archivesTotal: Int
    /// Objects that were listed in this scan: what was new, unless it was a full one.
    package var objects: Int64
    /// Everything was listed anew, and not only what came after the last scan.
    package var isFull: Bool
    package var seconds: Int64
    /// Paths with `basebackups_005` or `wal_005` directly below them, without a major version; at most 10.
    package var unversioned: [String]

    package init(attempt: String, code: String, message: String? = nil) {
        self.v = 1
        self.attempt = attempt
        self.code = code
        self.message = message
        self.archives = []
        self.archivesTotal = 0
        self.objects = 0
        self.isFull = false
        self.seconds = 0
        self.unversioned = []
    }
}

package struct ScannedArchive: Codable, Equatable, Sendable {
    /// The archive's key in the bucket, without the major version.
    package var path: String
    package var major: Int
    /// `nil` when it is as the given catalog has it.
    package var listing: ArchiveListing?
    /// Why it could not be looked at, if so.
    package var problem: String?

    package init(path: String, major: Int, listing: ArchiveListing? = nil, problem: String? = nil) {
        self.path = path
        self.major = major
        self.listing = listing
        self.problem = problem
    }
}

/// The archive now against an earlier fingerprint of it.
package struct FingerprintComparison: Codable, Equatable, Sendable {
    /// The objects that the earlier fingerprint covered are all there, unchanged.
    package var unchanged: Bool
    /// Of those covered, how many are there now.
    package var keys: Int64
    /// History files that were not there before: a clone that archived into its source would leave one.
    package var newHistories: [String]

    package init(unchanged: Bool, keys: Int64, newHistories: [String]) {
        self.unchanged = unchanged
        self.keys = keys
        self.newHistories = newHistories
    }
}

/// What the seal Job proved about a restored volume.
package struct SealResult: Codable, Equatable, Sendable {
    package var v: Int
    package var attempt: String
    package var code: String
    /// Which part of the program ended it.
    package var step: String?
    /// Reasons found in the logs, from a closed list.
    package var reasons: [String]?
    package var systemIdentifier: String?
    package var timeline: Int64?
    /// The timeline that the present one left, and where: the end of recovery.
    package var parentTimeline: Int64?
    /// `X/X`.
    package var switchLsn: String?
    package var controlState: String?
    package var inRecovery: Bool?
    package var backupLabel: BackupLabel?
    /// What recovery stopped at, in PostgreSQL's own words.
    package var historyReason: String?
    package var serverVersionNum: Int?
    package var dataBytes: Int64?
    package var subscriptionsDisabled: Int?
    package var rolesReset: Int?
    /// Names of `recovery_target*` settings that came with the backup.
    package var inheritedRecoverySettings: [String]?
    package var collationMismatch: Bool?
    package var extensionsMissing: [String]?
    package var checks: [ReplaceResult.Check]?

    package init(attempt: String, code: String) {
        self.v = 1
        self.attempt = attempt
        self.code = code
    }
}

/// The restored `backup_label.old`.
package struct BackupLabel: Codable, Equatable, Sendable {
    /// `X/X`.
    package var startWalLocation: String?
    package var startWalFile: String?
    package var startTime: String?
    package var checkpointLocation: String?
    package var label: String?

    package init(startWalLocation: String?) { self.startWalLocation = startWalLocation }
}

/// What the backup Job wrote.
package struct BackupResult: Codable, Equatable, Sendable {
    package var v: Int
    package var attempt: String
    package var code: String
    /// Reasons found in the tools' logs, from a closed list.
    package var reasons: [String]?
    package var backup: TakenBackup?

    package init(attempt: String, code: String) {
        self.v = 1
        self.attempt = attempt
        self.code = code
    }
}

/// A base backup as WAL-G lists it.
package struct TakenBackup: Codable, Equatable, Sendable {
    package var name: String
    /// `X/X`.
    package var startLsn: String?
    package var finishLsn: String?
    package var finishTime: String?
    package var uncompressedBytes: Int64?
    package var compressedBytes: Int64?

    package init(name: String) { self.name = name }
}
