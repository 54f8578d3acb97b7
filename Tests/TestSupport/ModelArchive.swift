// SPDX-License-Identifier: Apache-2.0

package import Resources

// What happens to archives: recovery from them, and what their owners do to them.

extension ModelStores.Backup {
    /// The number of the segment that it begins in.
    var segment: Int64 { LSN(startLSN).map { Int64($0.value >> 24) } ?? 0 }
}

extension ModelStores.Archive {
    /// How a recovery ends.
    struct Replayed {
        var rows: [String]
        /// What PostgreSQL writes into the new timeline's history.
        var endedAt: String
        var switchLSN: String
        /// The target was not reached: PostgreSQL does not promote.
        var isShort = false
    }

    /// Replays a base backup up to a target, or to the end of what can be had.
    ///
    /// Two things go wrong without a word. The server can't have less than the backup, however early the moment is; and
    /// a segment that is not there is taken for the archive's end.
    func replayed(from backup: ModelStores.Backup, upTo stop: RecoveryStop?) -> Replayed {
        let end = gap.flatMap { backup.segment < $0.segment ? $0 : nil }
        let latest = end?.after ?? Timestamp(microseconds: .max)
        let there = rows.filter { (commits[$0] ?? Timestamp(microseconds: .min)) <= max(latest, backup.written) }
        let position = end.map { "0/\(String($0.segment, radix: 16, uppercase: true))000000" } ?? "0/FF000028"
        guard let stop else {
            return Replayed(rows: there, endedAt: "no recovery target specified", switchLSN: position)
        }
        guard case .time(let target) = stop.point else { return replayed(from: backup, to: stop, there, position) }
        let reached = max(target, backup.written)
        func isMore(_ commit: Timestamp) -> Bool {
            commit > backup.written && (stop.isInclusive ? commit > reached : commit >= reached)
        }
        let next = there.compactMap { commits[$0] }.filter(isMore).min()
        let words = next.map { $0.rfc3339.replacing("T", with: " ").replacing("Z", with: "+00") } ?? ""
        return Replayed(
            rows: there.filter { !isMore(commits[$0] ?? Timestamp(microseconds: .min)) },
            endedAt: "before \(words)", switchLSN: position, isShort: next == nil)
    }

    /// To a place in the log: not reached when the log does not come by it after the backup.
    private func replayed(
        from backup: ModelStores.Backup, to stop: RecoveryStop, _ there: [String], _ position: String
    ) -> Replayed {
        let start = LSN(backup.startLSN) ?? LSN(0)
        let onTheWay = marks.filter { mark in
            (LSN(mark.lsn) ?? LSN(0)) >= start && mark.row.map(there.contains) ?? true
        }
        guard let end = onTheWay.firstIndex(where: { stop.isAt($0) }) else {
            return Replayed(rows: there, endedAt: "", switchLSN: position, isShort: true)
        }
        let mark = onTheWay[end]
        let replayed = onTheWay[..<end].compactMap(\.row) + (stop.isInclusive ? [mark.row].compactMap(\.self) : [])
        let rows = there.filter { row in
            (commits[row] ?? Timestamp(microseconds: .min)) <= backup.written || replayed.contains(row)
        }
        return Replayed(rows: rows, endedAt: stop.words(mark), switchLSN: mark.lsn)
    }

    /// Just as far as the backup is consistent.
    func consistent(_ backup: ModelStores.Backup, _ endedAt: String) -> Replayed {
        let start = LSN(backup.startLSN).map { "\(LSN($0.value + 0x100))" } ?? backup.startLSN
        return Replayed(rows: rows(from: backup, upTo: backup.written), endedAt: endedAt, switchLSN: start)
    }
}

/// Where recovery is told to stop.
package struct RecoveryStop: Equatable, Sendable {
    package enum Point: Equatable, Sendable {
        case time(Timestamp)
        case xid(String)
        case lsn(LSN)
        case name(String)
    }

    package var point: Point
    package var isInclusive = true

    init(_ moment: Timestamp) { point = .time(moment) }

    /// As our own programs are told; `nil`: the log's end, or the backup's.
    init?(_ environment: [String: String]) {
        let text = environment["REPRISE_TARGET"] ?? ""
        let point: Point? =
            switch environment["REPRISE_TARGET_KIND"] {
            case "time": ModelImages.moment(text).map { .time($0) }
            case "lsn": LSN(text).map { .lsn($0) }
            case "xid": .xid(text)
            case "name": .name(text)
            default: nil
            }
        guard let point else { return nil }
        self.point = point
        isInclusive = environment["REPRISE_TARGET_INCLUSIVE"] != "false"
    }

    func isAt(_ mark: ModelStores.Archive.Mark) -> Bool {
        switch point {
        case .time: false
        case .xid(let xid): mark.xid == xid
        case .lsn(let lsn): LSN(mark.lsn).map { $0 >= lsn } ?? false
        case .name(let name): mark.name == name
        }
    }

    /// What PostgreSQL writes into the new timeline's history.
    func words(_ mark: ModelStores.Archive.Mark) -> String {
        let side = isInclusive ? "after" : "before"
        return switch point {
        case .time: ""
        case .xid(let xid): "\(side) transaction \(xid)"
        case .lsn: "\(side) LSN \(mark.lsn)"
        case .name(let name): "at restore point \"\(name)\""
        }
    }
}

extension ModelStores {
    /// The bucket and what is below it, of `bucket/path`.
    static func parts(_ place: String) -> (bucket: String, path: String) {
        let bucket = String(place.prefix { $0 != "/" })
        return (bucket, String(place.dropFirst(bucket.count + 1)))
    }

    /// The name of a segment of a timeline.
    static func segment(_ timeline: Int64, _ number: Int64) -> String {
        func hex(_ value: Int64) -> String {
            let digits = String(value, radix: 16, uppercase: true)
            return String(repeating: "0", count: max(0, 8 - digits.count)) + digits
        }
        return hex(timeline) + hex(number >> 8) + hex(number & 0xFF)
    }

    /// The source goes on: somebody commits, WAL is archived, and a new base backup becomes `LATEST`.
    /// - Returns: The backup's name.
    @discardableResult
    package func addBackup(to place: String, rows: [String] = []) -> String? {
        guard var archive = archives[place] else { return nil }
        let (bucket, path) = Self.parts(place)
        let now = wall.wholeSecond
        for row in rows {
            archive.rows.append(row)
            archive.commits[row] = now
        }
        let old = newestSegment(place)
        let name = "base_\(Self.segment(archive.timeline, old + 1))"
        var backup = Backup(
            name: name, startLSN: "0/\(String(old + 1, radix: 16, uppercase: true))000028", written: now)
        backup.settings = archive.latest?.settings ?? [:]
        archive.backups.append(backup)
        archives[place] = archive
        for number in old + 1...old + 2 {
            let key = "\(path)/wal_005/\(Self.segment(archive.timeline, number)).br"
            set(bucket, key, Object(key: key, modified: now, size: 1 << 24))
        }
        for key in Self.files(of: backup, path) {
            set(bucket, key, Object(key: key, modified: now, size: backup.bytes / 4))
        }
        return name
    }

    /// The source commits something and archives it.
    package func addWAL(to place: String, rows: [String]) {
        guard var archive = archives[place] else { return }
        let (bucket, path) = Self.parts(place)
        for row in rows {
            archive.rows.append(row)
            archive.commits[row] = wall
        }
        let key = "\(path)/wal_005/\(Self.segment(archive.timeline, newestSegment(place) + 1)).br"
        archives[place] = archive
        set(bucket, key, Object(key: key, modified: wall.wholeSecond, size: 1 << 24))
    }

    /// Retention deletes a base backup: the oldest one, if none is named.
    package func removeBackup(from place: String, named name: String? = nil) {
        guard let archive = archives[place],
            let backup = name.map({ name in archive.backups.first { $0.name == name } })
                ?? archive.backups.min(by: { $0.written < $1.written })
        else { return }
        archives[place]?.backups.removeAll { $0.name == backup.name }
        let (bucket, path) = Self.parts(place)
        for key in Self.files(of: backup, path) { set(bucket, key, nil) }
    }

    /// A segment is lost: what comes after it can be had from later base backups only.
    package func loseSegment(_ number: Int64, of place: String) {
        guard let archive = archives[place] else { return }
        let (bucket, path) = Self.parts(place)
        func key(_ number: Int64) -> String { "\(path)/wal_005/\(Self.segment(archive.timeline, number)).br" }
        let before = objects[bucket]?[key(number - 1)]?.modified ?? Timestamp(microseconds: .min)
        set(bucket, key(number), nil)
        archives[place]?.gap = Archive.Gap(segment: number, after: before)
    }

    /// The number of the newest segment that is there.
    func newestSegment(_ place: String) -> Int64 {
        let (bucket, path) = Self.parts(place)
        let folder = "\(path)/wal_005/"
        let numbers = (objects[bucket] ?? [:]).keys.compactMap { key -> Int64? in
            guard key.hasPrefix(folder) else { return nil }
            return WalGeometry.usual.segment(named: String(key.dropFirst(folder.count).prefix { $0 != "." }))
                .map { Int64($0.number) }
        }
        return numbers.max() ?? 0
    }

    static func files(of backup: Backup, _ path: String) -> [String] {
        let folder = "\(path)/basebackups_005"
        return [
            "\(folder)/\(backup.name)_backup_stop_sentinel.json", "\(folder)/\(backup.name)/metadata.json",
            "\(folder)/\(backup.name)/tar_partitions/part_1.tar.br",
            "\(folder)/\(backup.name)/tar_partitions/pg_control.tar.br",
        ]
    }
}
