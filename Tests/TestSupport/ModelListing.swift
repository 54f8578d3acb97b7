// SPDX-License-Identifier: Apache-2.0

package import Resources

extension ModelStores {
    /// What the agent would report of an archive; `nil` where there is none.
    /// - Parameter place: `bucket/path/major`.
    package func listing(_ place: String) -> ArchiveListing? {
        guard let archive = archives[place] else { return nil }
        let parts = place.split(separator: "/").map(String.init)
        guard parts.count >= 3, let bucket = parts.first, let major = parts.last.flatMap({ Int($0) }) else {
            return nil
        }
        let path = parts.dropFirst().dropLast().joined(separator: "/")
        var listing = ArchiveListing(path: path, major: major, seenAt: wall)
        listing.segmentSize = Int64(WalGeometry.usual.segmentSize)
        listing.backups = archive.backups.sorted { ($0.written, $0.name) > ($1.written, $1.name) }.map {
            scanned($0, archive)
        }
        listing.backupsTotal = listing.backups.count
        let objects = listed(bucket, below: "\(path)/\(major)/")
        listing.objects = Int64(objects.count)
        listing.ranges = Self.ranges(objects, below: "\(path)/\(major)/wal_005/")
        listing.timelines = histories(objects, archive)
        return listing
    }

    /// Timelines that began in place, each where its history file says.
    private func histories(_ objects: [Object], _ archive: Archive) -> [ScannedTimeline] {
        objects.compactMap { object in
            guard object.key.contains(".history"), let name = object.key.split(separator: "/").last,
                let timeline = Int64(name.prefix(8), radix: 16), let left = archive.switches[timeline]
            else { return nil }
            var found = ScannedTimeline(timeline: timeline, parent: timeline - 1, switchLSN: left)
            found.lastModified = object.modified
            return found
        }
    }

    private func scanned(_ backup: Backup, _ archive: Archive) -> ScannedBackup {
        var scanned = ScannedBackup(name: backup.name, lastModified: backup.written)
        scanned.startLSN = backup.startLSN
        // Every backup of the stories fits into the segment that it begins in.
        scanned.finishLSN = LSN(backup.startLSN).map { "\(LSN($0.value + 0x100))" }
        scanned.startTime = backup.written.adding(seconds: -60)
        scanned.finishTime = backup.written
        scanned.pgVersion = archive.version
        scanned.systemIdentifier = archive.systemIdentifier
        scanned.uncompressedSize = backup.bytes
        scanned.compressedSize = backup.bytes / 4
        scanned.parts = 4
        scanned.partBytes = backup.bytes / 4
        scanned.problem = backup.problem
        return scanned
    }

    private static func ranges(_ objects: [Object], below folder: String) -> [SegmentRange] {
        var ranges: [SegmentRange] = []
        for object in objects where object.key.hasPrefix(folder) {
            let name = String(object.key.dropFirst(folder.count).prefix { $0 != "." })
            guard let segment = WalGeometry.usual.segment(named: name) else { continue }
            if let last = ranges.last, let before = WalGeometry.usual.segment(named: last.last),
                before.timeline == segment.timeline, before.number + 1 == segment.number
            {
                ranges[ranges.count - 1].last = name
                ranges[ranges.count - 1].lastModified = object.modified
            } else {
                ranges.append(
                    SegmentRange(
                        first: name, last: name, firstModified: object.modified, lastModified: object.modified))
            }
        }
        return ranges
    }
}
