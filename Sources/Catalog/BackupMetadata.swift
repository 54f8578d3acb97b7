// SPDX-License-Identifier: Apache-2.0

import JSON
package import Resources

// How WAL-G describes a base backup, as its sources write it. Two documents say the same in different words: the
// sentinel `<name>_backup_stop_sentinel.json`, whose LSNs are decimal numbers, and `<name>/metadata.json`.

/// `<name>/metadata.json` (WAL-G's ExtendedMetadataDto).
struct WalgMetadata: Decodable {
    var startTime: String?
    var finishTime: String?
    var pgVersion: Int?
    var startLSN: UInt64?
    var finishLSN: UInt64?
    var isPermanent: Bool?
    var systemIdentifier: UInt64?
    var uncompressedSize: Int64?
    var compressedSize: Int64?

    enum CodingKeys: String, CodingKey {
        case startTime = "start_time"
        case finishTime = "finish_time"
        case pgVersion = "pg_version"
        case startLSN = "start_lsn"
        case finishLSN = "finish_lsn"
        case isPermanent = "is_permanent"
        case systemIdentifier = "system_identifier"
        case uncompressedSize = "uncompressed_size"
        case compressedSize = "compressed_size"
    }
}

/// The sentinel (WAL-G's BackupSentinelDto, versions 1 and 2).
struct WalgSentinel: Decodable {
    var lsn: UInt64?
    var finishLSN: UInt64?
    var pgVersion: Int?
    var systemIdentifier: UInt64?
    var uncompressedSize: Int64?
    var compressedSize: Int64?
    var deltaFrom: String?
    var startTime: String?
    var finishTime: String?
    var isPermanent: Bool?

    enum CodingKeys: String, CodingKey {
        case lsn = "LSN"
        case finishLSN = "FinishLSN"
        case pgVersion = "PgVersion"
        case systemIdentifier = "SystemIdentifier"
        case uncompressedSize = "UncompressedSize"
        case compressedSize = "CompressedSize"
        case deltaFrom = "DeltaFrom"
        case startTime = "StartTime"
        case finishTime = "FinishTime"
        case isPermanent = "IsPermanent"
    }
}

/// Where WAL-G keeps things below an archive's version-scoped prefix.
package enum WalgLayout {
    package static let backups = "basebackups_005/"
    package static let wal = "wal_005/"
    /// Below `basebackups_005/<name>/`: a base backup's files, packed.
    package static let tarPartitions = "tar_partitions/"
    static let sentinelSuffix = "_backup_stop_sentinel.json"

    /// The backup's name if `key` (below `basebackups_005/`) is a sentinel lying directly in it.
    package static func backupName(ofSentinel key: Substring) -> String? {
        guard key.hasSuffix(sentinelSuffix), !key.contains("/") else { return nil }
        let name = String(key.dropLast(sentinelSuffix.count))
        return isBackupName(name) ? name : nil
    }

    /// Whether `name` (below `tar_partitions/`) is one of the numbered parts, e.g. `part_001.tar.lz4`. What WAL-G
    /// logs when it has unpacked one is this name.
    package static func isPart(_ name: Substring) -> Bool {
        guard name.hasPrefix("part_") else { return false }
        let rest = name.dropFirst(5)
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        return !digits.isEmpty && isArchive(rest.dropFirst(digits.count))
    }

    /// Whether `name` (below `tar_partitions/`) holds the control file, which is written last: without it a backup is
    /// not complete.
    package static func isControlPart(_ name: Substring) -> Bool {
        name.hasPrefix("pg_control") && isArchive(name.dropFirst(10))
    }

    /// `.tar`, `.tar.lz4`, ...
    private static func isArchive(_ suffix: Substring) -> Bool {
        let parts = suffix.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].isEmpty, parts[1] == "tar" else { return false }
        return parts.count == 2 || (parts.count == 3 && isCodec(parts[2]))
    }

    /// `base_<24 hex>`, with `_D_<24 hex>` for a delta and `_<8 hex>` where WAL-G added an offset.
    static func isBackupName(_ name: String) -> Bool {
        guard name.hasPrefix("base_") else { return false }
        let parts = name.dropFirst(5).split(separator: "_", omittingEmptySubsequences: false)
        switch parts.count {
        case 1: return isHex(parts[0], 24)
        case 2: return isHex(parts[0], 24) && isHex(parts[1], 8)
        case 3: return isHex(parts[0], 24) && parts[1] == "D" && isHex(parts[2], 24)
        case 4: return isHex(parts[0], 24) && parts[1] == "D" && isHex(parts[2], 24) && isHex(parts[3], 8)
        default: return false
        }
    }

    /// What a key directly below `wal_005/` is. Delta maps, partial segments, labels and metadata are nothing.
    package enum WalFile: Equatable, Sendable {
        case segment(String)
        case history(timeline: Int64)
    }

    package static func walFile(_ key: Substring) -> WalFile? {
        let parts = key.split(separator: ".", omittingEmptySubsequences: false)
        guard let first = parts.first else { return nil }
        if isHex(first, 24), parts.count <= 2, parts.count == 1 || isCodec(parts[1]) {
            return .segment(String(first))
        }
        if isHex(first, 8), parts.count >= 2, parts[1] == "history", parts.count == 2 || isCodec(parts[2]),
            parts.count <= 3, let timeline = Int64(first, radix: 16)
        {
            return .history(timeline: timeline)
        }
        return nil
    }

    private static func isCodec(_ suffix: Substring) -> Bool {
        ["lz4", "lzma", "zst", "br", "gz", "lzo"].contains(suffix)
    }

    private static func isHex(_ text: Substring, _ length: Int) -> Bool {
        text.utf8.count == length
            && text.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x41 && $0 <= 0x46) }
    }
}

extension ScannedBackup {
    /// Reads what is known of a backup. Never fails: what can't be read is the backup's problem.
    /// - Parameters:
    ///   - sentinel: content of the sentinel.
    ///   - metadata: content of `metadata.json`, which WAL-G rewrites when a backup is marked; `nil` when it is missing.
    package init(name: String, lastModified: Timestamp, sentinel: [UInt8], metadata: [UInt8]?) {
        self.init(name: name, lastModified: lastModified)
        isDelta = name.contains("_D_")
        guard let stop = try? JSON.decode(WalgSentinel.self, from: sentinel) else {
            problem = "its sentinel is no JSON that WAL-G writes"
            return
        }
        let extended = metadata.flatMap { try? JSON.decode(WalgMetadata.self, from: $0) }
        startTime = Self.moment(extended?.startTime ?? stop.startTime)
        finishTime = Self.moment(extended?.finishTime ?? stop.finishTime)
        startLSN = (extended?.startLSN ?? stop.lsn).map(Self.text)
        finishLSN = (extended?.finishLSN ?? stop.finishLSN).map(Self.text)
        pgVersion = extended?.pgVersion ?? stop.pgVersion
        systemIdentifier = (extended?.systemIdentifier ?? stop.systemIdentifier).map { String($0) }
        uncompressedSize = extended?.uncompressedSize ?? stop.uncompressedSize
        compressedSize = extended?.compressedSize ?? stop.compressedSize
        isPermanent = extended?.isPermanent ?? stop.isPermanent ?? false
        if let parent = stop.deltaFrom, !parent.isEmpty {
            isDelta = true
            deltaFrom = parent
        }
    }

    private static func moment(_ text: String?) -> Timestamp? { text.flatMap { Timestamp(rfc3339: $0) } }

    private static func text(_ lsn: UInt64) -> String {
        "\(String(lsn >> 32, radix: 16, uppercase: true))/\(String(lsn & 0xFFFF_FFFF, radix: 16, uppercase: true))"
    }
}

/// Reads a timeline history file's plain text: the last row is the direct parent and the LSN where it was left.
package enum TimelineHistory {
    /// - Returns: `nil` when the text is no history file (compressed or encrypted ones are not).
    package static func parent(in text: String) -> (timeline: Int64, switchLSN: String)? {
        var last: (Int64, String)?
        for line in text.split(whereSeparator: \.isNewline) {
            let row = line.drop { $0 == " " || $0 == "\t" }
            guard !row.isEmpty, !row.hasPrefix("#") else { continue }
            let fields = row.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, let timeline = Int64(fields[0]), fields[1].contains("/") else { return nil }
            last = (timeline, String(fields[1]))
        }
        return last
    }
}
