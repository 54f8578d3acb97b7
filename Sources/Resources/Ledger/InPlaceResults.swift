// SPDX-License-Identifier: Apache-2.0

// What the program `inplace` reports, by action. The names are those of its facts.

/// What it saw on a service's volume, without changing anything.
package struct InspectResult: Codable, Equatable, Sendable {
    package var v: Int
    package var attempt: String
    package var code: String
    package var step: String?
    package var reasons: [String]?
    /// What PG_VERSION says.
    package var major: String?
    package var systemIdentifier: String?
    /// `Database cluster state` of `pg_controldata`.
    package var controlState: String?
    package var timeline: Int64?
    package var freeBytes: Int64?
    package var volumeBytes: Int64?
    /// Without WAL.
    package var dataBytes: Int64?
    /// Segments that are not in the archive yet.
    package var notArchived: Int64?
    package var pgdataIsMountpoint: Bool?
    package var hasTablespaces: Bool?
    package var walIsLink: Bool?
    package var hasOtherFileSystems: Bool?
    /// The run whose placeholder stands in PGDATA's place.
    package var heldBy: String?
    /// What earlier runs have left, by UID.
    package var leftovers: [Leftover]?

    package init(attempt: String, code: String) {
        self.v = 1
        self.attempt = attempt
        self.code = code
    }

    package struct Leftover: Codable, Equatable, Sendable {
        package var run: String
        package var bytes: Int64?
        /// It has the data that the run replaced.
        package var hasPreRestore: Bool?

        package init(run: String, bytes: Int64?, hasPreRestore: Bool?) {
            self.run = run
            self.bytes = bytes
            self.hasPreRestore = hasPreRestore
        }
    }
}

/// What it did to a service's volume.
package struct ReplaceResult: Codable, Equatable, Sendable {
    package var v: Int
    package var attempt: String
    package var code: String
    /// Which part of the program ended it.
    package var step: String?
    /// Reasons found in the logs, from a closed list.
    package var reasons: [String]?
    /// The new data has its name, and what was there before is kept.
    package var swapped: Bool?
    /// The old data has its name again.
    package var undone: Bool?
    /// An earlier start of the program had done it already.
    package var already: Bool?
    package var systemIdentifier: String?
    package var timeline: Int64?
    package var parentTimeline: Int64?
    /// `X/X`.
    package var switchLsn: String?
    /// What recovery stopped at, in PostgreSQL's own words.
    package var historyReason: String?
    /// The last commit that was replayed, if it can be told.
    package var lastReplay: String?
    package var backupLabel: BackupLabel?
    package var serverVersionNum: Int?
    package var dataBytes: Int64?
    package var freeBytes: Int64?
    package var collationMismatch: Bool?
    package var extensionsMissing: [String]?
    package var checks: [Check]?
    /// Of `tidy`: what it left alone, by UID, since an unfinished run works with it.
    package var kept: [String]?

    package init(attempt: String, code: String) {
        self.v = 1
        self.attempt = attempt
        self.code = code
    }

    package struct Check: Codable, Equatable, Sendable {
        package var name: String
        package var passed: Bool
        package var milliseconds: Int64?

        package init(name: String, passed: Bool, milliseconds: Int64?) {
            self.name = name
            self.passed = passed
            self.milliseconds = milliseconds
        }
    }
}
