// SPDX-License-Identifier: Apache-2.0

import Frames
package import Resources

/// Object stores, as far as backups are concerned: what lies where, and who put it there.
package final class ModelStores: @unchecked Sendable {
    package struct Object: Hashable, Sendable {
        package var key: String
        package var modified: Timestamp
        package var size: Int64
    }

    /// One write into a bucket.
    package struct Put: Hashable, Sendable {
        package var bucket: String
        package var key: String
        package var by: String
        package var at: Int64
    }

    /// A base backup with what a restore of it leads to.
    package struct Backup: Equatable, Sendable {
        package var name: String
        package var startLSN: String
        package var written: Timestamp
        package var bytes: Int64
        package var problem: String?
        /// What `postgresql.auto.conf` in it says: settings that the source was left with.
        package var settings: [String: String] = [:]
        /// The run that took it, as its user data says.
        package var mark: String?

        package init(name: String, startLSN: String, written: Timestamp, bytes: Int64 = 4 << 30) {
            self.name = name
            self.startLSN = startLSN
            self.written = written
            self.bytes = bytes
        }
    }

    /// What one service has archived below one path and major version.
    package struct Archive: Equatable, Sendable {
        package var systemIdentifier: String
        package var timeline: Int64
        package var version: Int
        package var backups: [Backup]
        /// What is in the database at the archive's end.
        package var rows: [String]
        /// When those of them were committed that are not as old as the first backup.
        package var commits: [String: Timestamp]
        /// The first segment that is missing, and when the one before it was written.
        package var gap: Gap?
        /// The UID of the claim whose service archives here; `nil` for one outside of the story.
        package var owner: String?
        /// Where timelines have left the one before, by number: of those that began in place.
        package var switches: [Int64: String] = [:]
        /// Other database systems that have archived into it.
        package var strangers: Set<String> = []
        /// What is known of its log, in its order.
        package var marks: [Mark] = []
        /// Those of the source that are switched on: whatever runs with them consumes its publishers' slots.
        package var subscriptions = 0

        /// A place in the log: a commit, or a point that somebody has named.
        package struct Mark: Equatable, Sendable {
            package var lsn: String
            package var row: String?
            package var xid: String?
            package var name: String?

            package init(_ lsn: String, row: String? = nil, xid: String? = nil, name: String? = nil) {
                self.lsn = lsn
                self.row = row
                self.xid = xid
                self.name = name
            }
        }

        /// A segment that is not there any more.
        package struct Gap: Equatable, Sendable {
            package var segment: Int64
            package var after: Timestamp
        }

        /// The one that `LATEST` names: the newest by the store's clock.
        package var latest: Backup? { backups.max { ($0.written, $0.name) < ($1.written, $1.name) } }

        /// What a server has that begins with a backup and replays up to a moment. It can't have less than the backup,
        /// however early the moment is: that is the trap.
        package func rows(from backup: Backup, upTo moment: Timestamp?) -> [String] {
            guard let moment else { return rows }
            let reached = max(moment, backup.written)
            return rows.filter { (commits[$0] ?? .init(microseconds: .min)) <= reached }
        }

        package init(
            systemIdentifier: String, timeline: Int64 = 1, version: Int = 150_015, backups: [Backup], rows: [String],
            commits: [String: Timestamp] = [:]
        ) {
            self.systemIdentifier = systemIdentifier
            self.timeline = timeline
            self.version = version
            self.backups = backups
            self.rows = rows
            self.commits = commits
        }
    }

    /// By `bucket/prefix/path/major`.
    package var archives: [String: Archive] = [:]
    package private(set) var objects: [String: [String: Object]] = [:]
    package private(set) var puts: [Put] = []
    /// Access keys with the buckets that they open; `true`: for writing too.
    package var keys: [String: (secret: String, buckets: [String: Bool])] = [:]
    /// Endpoints that nobody gets to.
    package var unreachable: Set<String> = []
    /// Buckets that nobody gets to.
    package var unreachableBuckets: Set<String> = []
    /// Access keys that are no longer accepted.
    package var revoked: Set<String> = []
    /// How far the store's clock is ahead, in seconds.
    package var clockStep: Int64 = 0
    private let scheduler: Scheduler

    package init(_ scheduler: Scheduler) { self.scheduler = scheduler }

    /// The store's clock.
    package var wall: Timestamp { scheduler.wall.adding(seconds: clockStep) }

    package func addBucket(_ name: String) { objects[name] = objects[name] ?? [:] }

    package func put(_ bucket: String, _ key: String, size: Int64 = 1 << 20, by writer: String) {
        objects[bucket, default: [:]][key] = Object(key: key, modified: wall.wholeSecond, size: size)
        puts.append(Put(bucket: bucket, key: key, by: writer, at: scheduler.now))
    }

    /// What somebody outside of the story does to a bucket.
    func set(_ bucket: String, _ key: String, _ object: Object?) { objects[bucket, default: [:]][key] = object }

    /// What was written below `bucket/prefix` in the course of the story, the source's own writes left out.
    package func puts(below place: String) -> [Put] {
        puts.filter { put in
            let name = "\(put.bucket)/\(put.key)"
            return name == place || name.hasPrefix(place.hasSuffix("/") ? place : "\(place)/")
        }
    }

    /// The rows that a restore to the latest moment from an archive leads to now; `nil` when it can't be restored.
    package func restored(_ place: String) -> [String]? {
        guard let archive = archives[place], let backup = archive.latest else { return nil }
        return archive.replayed(from: backup, upTo: nil).rows
    }

    /// Puts an archive and everything that lies in it there, as it was before the story begins.
    package func seed(_ archive: Archive, bucket: String, path: String) {
        addBucket(bucket)
        let major = archive.version / 10_000
        archives["\(bucket)/\(path)/\(major)"] = archive
        for backup in archive.backups {
            let folder = "\(path)/\(major)/basebackups_005"
            for key in [
                "\(folder)/\(backup.name)_backup_stop_sentinel.json", "\(folder)/\(backup.name)/metadata.json",
                "\(folder)/\(backup.name)/tar_partitions/part_1.tar.br",
                "\(folder)/\(backup.name)/tar_partitions/pg_control.tar.br",
            ] {
                objects[bucket]?[key] = Object(key: key, modified: backup.written, size: backup.bytes / 4)
            }
        }
        for segment in 1...6 {
            let key = "\(path)/\(major)/wal_005/00000001000000000000000\(segment).br"
            let modified = scheduler.epoch.adding(seconds: segment == 6 ? -60 : -90_000 + 14_000 * Int64(segment))
            objects[bucket]?[key] = Object(key: key, modified: modified, size: 1 << 24)
        }
    }

    package func listed(_ bucket: String, below prefix: String) -> [Object] {
        (objects[bucket] ?? [:]).filter { $0.key.hasPrefix(prefix) }.map(\.value).sorted { $0.key < $1.key }
    }

    /// Why a caller with this environment may not use a bucket; as `agent scan` says it.
    package func refusal(_ environment: [String: String], bucket: String, writing: Bool) -> String? {
        if unreachable.contains(environment["AWS_ENDPOINT"] ?? "") || unreachableBuckets.contains(bucket) {
            return "Unreachable"
        }
        guard !revoked.contains(environment["AWS_ACCESS_KEY_ID"] ?? ""),
            let key = keys[environment["AWS_ACCESS_KEY_ID"] ?? ""],
            key.secret == environment["AWS_SECRET_ACCESS_KEY"]
        else { return "WrongCredentials" }
        guard objects[bucket] != nil else { return "BucketNotFound" }
        guard let mayWrite = key.buckets[bucket], mayWrite || !writing else { return "AccessDenied" }
        return nil
    }

    /// SHA-like text over what lay below a prefix at a moment.
    package func fingerprint(_ bucket: String, below prefix: String, upTo moment: Timestamp) -> SourceFingerprint {
        let objects = listed(bucket, below: prefix).filter { $0.modified <= moment }
        let text = objects.map { "\($0.key) \($0.size) \($0.modified)" }.joined(separator: "\n")
        let digits = (0..<4).map { index in
            let hex = String(keyedHash(UInt64(index), text, 0), radix: 16)
            return String(repeating: "0", count: 16 - hex.count) + hex
        }
        return SourceFingerprint(keys: Int64(objects.count), digest: digits.joined(), at: moment)
    }
}
