// SPDX-License-Identifier: Apache-2.0

import Catalog
import ObjectStore
import Resources

/// Reads the base backups of one archive: their sentinels and metadata, and what lies in their `tar_partitions`.
struct BackupFolder {
    /// Sentinels of old WAL-G versions name every file of the backup.
    static let sentinelLimit = 8 << 20
    static let metadataLimit = 1 << 20
    /// Known backups that could not be used are looked at again, the newest of them: the rest of a copy may have arrived.
    static let secondLooks = 10

    let store: ObjectStore
    /// `path/major/basebackups_005/`.
    let folder: String

    init(_ store: ObjectStore, archive prefix: String) {
        self.store = store
        folder = prefix + WalgLayout.backups
    }

    struct Found {
        /// The newest `ArchiveListing.backupLimit`, newest by `lastModified` first.
        var backups: [ScannedBackup] = []
        var total = 0
        /// Objects that were listed on the way.
        var objects: Int64 = 0
        /// The store's clock when the listing began.
        var date: Timestamp?
    }

    private struct Sentinel: Sendable {
        var name: String
        var object: ListedObject
    }

    /// - Parameter known: from the last scan; a backup whose sentinel is unchanged is not read again.
    /// - Throws: `ObjectStoreError`.
    func read(known: [ScannedBackup] = []) async throws -> Found {
        var found = Found()
        let top = try await store.folder(folder)
        let listed = top.objects
        found.date = top.date
        found.objects = Int64(listed.count)
        let sentinels = listed.compactMap { object in
            WalgLayout.backupName(ofSentinel: object.key.dropFirst(folder.count)).map {
                Sentinel(name: $0, object: object)
            }
        }
        found.total = sentinels.count
        // WAL-G's LATEST is the sentinel that was written last, whatever its name says.
        let newest = sentinels.sorted {
            ($0.object.lastModified, $0.name) > ($1.object.lastModified, $1.name)
        }.prefix(ArchiveListing.backupLimit)
        let kept = unchanged(of: known, newest)
        let fresh = newest.filter { kept[$0.name] == nil }
        let read = try await inParallel(Array(fresh)) { try await self.read($0) }
        found.objects += read.reduce(0) { $0 + $1.objects }
        var byName = kept
        for one in read { byName[one.name] = one.backup }
        // A sentinel that was deleted between listing and reading is a backup that is gone.
        found.backups = newest.compactMap { byName[$0.name] }
        found.total -= newest.count - found.backups.count
        return found
    }

    private func unchanged(of known: [ScannedBackup], _ sentinels: ArraySlice<Sentinel>) -> [String: ScannedBackup] {
        let byName = Dictionary(known.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var unchanged: [String: ScannedBackup] = [:]
        var again = 0
        for sentinel in sentinels {
            guard let backup = byName[sentinel.name], backup.lastModified == sentinel.object.lastModified else {
                continue
            }
            if backup.problem != nil, again < Self.secondLooks {
                again += 1
            } else {
                unchanged[sentinel.name] = backup
            }
        }
        return unchanged
    }

    private func read(_ sentinel: Sentinel) async throws -> (name: String, backup: ScannedBackup?, objects: Int64) {
        let name = sentinel.name
        var backup = ScannedBackup(name: name, lastModified: sentinel.object.lastModified)
        do {
            guard let stop = try await store.read(sentinel.object.key, limit: Self.sentinelLimit) else {
                return (name, nil, 0)
            }
            let metadata = try await store.read("\(folder)\(name)/metadata.json", limit: Self.metadataLimit)
            backup = ScannedBackup(
                name: name, lastModified: sentinel.object.lastModified, sentinel: stop, metadata: metadata)
        } catch let error as ObjectStoreError where error.code == .tooLarge {
            backup.isDelta = name.contains("_D_")
            backup.problem = "its sentinel or metadata are too large to be read"
            return (name, backup, 0)
        }
        let objects = try await addParts(to: &backup)
        return (name, backup, objects)
    }

    /// - Returns: how many objects were listed.
    private func addParts(to backup: inout ScannedBackup) async throws -> Int64 {
        let prefix = "\(folder)\(backup.name)/tar_partitions/"
        var (parts, bytes, objects, hasControl): (Int, Int64, Int64, Bool) = (0, 0, 0, false)
        var continuation: String?
        repeat {
            let page = try await store.list(prefix: prefix, continuation: continuation)
            for object in page.objects {
                objects += 1
                let file = object.key.dropFirst(prefix.count)
                if file.hasPrefix("part_") {
                    parts += 1
                    bytes += min(max(0, object.size), .max - bytes)
                }
                hasControl = hasControl || file.hasPrefix("pg_control.tar")
            }
            continuation = page.nextContinuation
        } while continuation != nil
        (backup.parts, backup.partBytes) = (parts, bytes)
        if backup.problem == nil {
            if objects == 0 {
                backup.problem = "it has no tar_partitions"
            } else if !hasControl {
                backup.problem = "its tar_partitions lack pg_control, which is written last"
            }
        }
        return objects
    }
}

/// The segment size that all base backups agree on: each has its start LSN in the segment that its name names.
/// - Returns: `nil` when there is no backup that tells, or when they contradict each other.
func segmentSize(of backups: [ScannedBackup]) -> Int64? {
    var sizes: [UInt64] = [16, 1, 2, 4, 8, 32, 64, 128, 256, 512, 1_024].map { $0 << 20 }
    var witnesses = 0
    for backup in backups {
        guard let lsn = backup.startLSN.flatMap(LSN.init) else { continue }
        let name = String(backup.name.dropFirst(5).prefix(24))
        sizes = sizes.filter { size in
            guard let geometry = WalGeometry(segmentSize: size), let segment = geometry.segment(named: name) else {
                return false
            }
            return segment.number == geometry.number(containing: lsn)
        }
        witnesses += 1
    }
    // The usual one is first, then they go up.
    return witnesses == 0 ? nil : sizes.first.map { Int64(clamping: $0) }
}
