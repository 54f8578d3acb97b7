// SPDX-License-Identifier: Apache-2.0

/// The address of a backup that nobody recorded, or of an archive: what `spec.source.location.uri` may be.
///
/// Forms, with or without a slash at the end:
/// - `s3://bucket/path/15/basebackups_005/base_000000010000000000000004`, also with something of the backup after it, or
///   with `_backup_stop_sentinel.json`: that backup;
/// - `s3://bucket/path/15`: an archive at its major version;
/// - `s3://bucket/path`: an archive.
package struct BackupURI: Equatable, Sendable {
    package var bucket: String
    /// The archive's key, without the major version and without slashes at either end.
    package var archive: String
    package var major: Int?
    /// WAL-G's name of the backup.
    package var backup: String?

    /// - Returns: `nil` for text of another form.
    package init?(_ text: String) {
        guard text.hasPrefix("s3://") else { return nil }
        var parts = text.dropFirst("s3://".count).split(separator: "/", omittingEmptySubsequences: true).map(
            String.init)
        guard parts.count >= 2 else { return nil }
        bucket = parts.removeFirst()
        if let folder = parts.firstIndex(of: "basebackups_005") {
            guard folder + 1 < parts.count, let name = Self.backupName(parts[folder + 1]) else { return nil }
            backup = name
            parts.removeSubrange(folder...)
        } else if let last = parts.last, last.contains(".") {
            // A file: a dump, a tar. An archive's folder has no suffix.
            return nil
        }
        if let last = parts.last, !last.isEmpty, last.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            guard let number = Int(last) else { return nil }
            major = number
            parts.removeLast()
        } else if backup != nil {
            // Without its major version an image would not find it.
            return nil
        }
        guard !parts.isEmpty else { return nil }
        archive = parts.joined(separator: "/")
    }

    private static func backupName(_ part: String) -> String? {
        let suffix = "_backup_stop_sentinel.json"
        let name = part.hasSuffix(suffix) ? String(part.dropLast(suffix.count)) : part
        guard name.hasPrefix("base_"), name.count >= "base_".count + 24,
            name.utf8.allSatisfy({ isWord($0) || $0 == UInt8(ascii: "_") })
        else { return nil }
        return name
    }
}
