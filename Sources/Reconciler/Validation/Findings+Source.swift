// SPDX-License-Identifier: Apache-2.0

import Resources

// What to restore, and to which moment.
extension Findings {
    mutating func source(_ source: RestoreSource, _ field: String) {
        let given = [source.backup != nil, source.service != nil, source.archive != nil, source.location != nil]
        if given.filter({ $0 }).count != 1 {
            add(
                field,
                "needs exactly one of backup, service, archive and location: keep the one to restore from and "
                    + "remove the others")
        }
        reference(source.backup, "\(field).backup")
        reference(source.service, "\(field).service")
        if let archive = source.archive { self.archive(archive, "\(field).archive") }
        if let location = source.location { self.location(location, "\(field).location") }
    }

    mutating func archive(_ archive: ArchiveReference, _ field: String) {
        require(archive.repository != nil, "\(field).repository", "name the BackupRepository that holds the archive")
        reference(archive.repository, "\(field).repository")
        require(archive.path != nil, "\(field).path", "write where the archive is below the repository's prefix")
        archivePath(archive.path, "\(field).path")
    }

    private mutating func location(_ location: BackupLocation, _ field: String) {
        func missing(_ name: String, _ wayOut: String) {
            add("\(field).\(name)", "is required when using \(short(field)) (orphan restore): \(wayOut)")
        }
        if location.uri == nil { missing("uri", "write where the backup is, as s3://bucket/path") }
        check(
            location.uri, "\(field).uri", maximum: 1_024,
            form: "the place of a backup: write it as s3://bucket/path, with letters, digits and ._=+@:~- only", isURI)
        if location.engine == nil {
            missing("engine", "nothing else says what wrote the backup; write Postgres, Redis, MongoDB or S3")
        }
        choice(location.engine, "\(field).engine")
        if location.repository == nil {
            missing("repository", "name the BackupRepository whose credentials may read it")
        }
        reference(location.repository, "\(field).repository")
    }

    mutating func recoveryTarget(_ target: RecoveryTarget, _ field: String) {
        guard let kind = target.kind else {
            require(false, "\(field).kind", "write Latest, BackupEnd, Time, Xid, Lsn or Name")
            return
        }
        choice(kind, "\(field).kind")
        let members: [(String, String, String?, String)] = [
            ("Time", "time", target.time, "write it as RFC 3339 with a zone (2026-05-27T18:30:00Z)"),
            ("Xid", "xid", target.xid, "write the transaction number in decimal digits"),
            ("Lsn", "lsn", target.lsn, "write the position as 16/B374D848"),
            ("Name", "name", target.name, "write the name of the restore point"),
        ]
        for (name, member, value, wayOut) in members where (kind.text == name) != (value != nil) {
            add(
                FindingReason.invalidRecoveryTarget, "\(field).\(member)",
                "is required with kind \(name) and allowed only there: \(wayOut), or change kind")
        }
        if target.inclusive == false, !["Time", "Xid", "Lsn"].contains(kind.text) {
            add(
                FindingReason.invalidRecoveryTarget, "\(field).inclusive",
                "can be false only with kind Time, Xid or Lsn: remove it, or change kind")
        }
        moment(target, field)
    }

    private mutating func moment(_ target: RecoveryTarget, _ field: String) {
        let reason = FindingReason.invalidRecoveryTarget
        check(
            target.time, "\(field).time", maximum: 35, reason: reason,
            form: "a moment that exists, with a zone: write it as 2026-05-27T18:30:00Z"
        ) { Timestamp(rfc3339: $0) != nil }
        check(
            target.xid, "\(field).xid", maximum: 20, reason: reason,
            form: "a transaction number: write decimal digits, 3 or more"
        ) { text in text.utf8.allSatisfy { (0x30...0x39).contains($0) } && (UInt64(text) ?? 0) >= 3 }
        check(
            target.lsn, "\(field).lsn", maximum: 17, reason: reason,
            form: "a position in the log: write it as 16/B374D848"
        ) { (LSN($0)?.value ?? 0) > 0 }
        check(
            target.name, "\(field).name", maximum: 63, reason: reason,
            form:
                "the name of a restore point: write letters, digits, spaces and ._:@+-, with a letter or digit first"
        ) { text in
            guard let first = text.utf8.first, isWord(first) || first == UInt8(ascii: "_") else { return false }
            return text.utf8.allSatisfy { isWord($0) || "_ .:@+-".utf8.contains($0) }
        }
        check(
            target.timeline, "\(field).timeline", maximum: 10, reason: reason,
            form: "a timeline: write Latest, Current or its decimal number"
        ) { text in
            if text == "Latest" || text == "Current" { return true }
            return text.utf8.allSatisfy { (0x30...0x39).contains($0) } && !text.hasPrefix("0")
                && (UInt32(text) ?? 0) > 0
        }
    }

    /// The new service must not archive into what it is restored from: not there, not above and not below.
    mutating func overlap(
        _ source: RestoreSource?, _ own: NewService.OwnArchive?, _ sourceField: String, _ field: String
    ) {
        guard let archive = source?.archive, let theirs = archive.path, let path = own?.path,
            let repository = own?.repository?.name, archive.repository?.name == repository, pathsOverlap(theirs, path)
        else { return }
        add(
            FindingReason.prefixOverlap, field,
            "must not be at, above or below \(short(sourceField)).archive: the new service would write into the "
                + "backups it was restored from; choose another path than \(quoted(path))")
    }

    /// The field as people write about it, without `spec.`.
    private func short(_ field: String) -> String { field.hasPrefix("spec.") ? String(field.dropFirst(5)) : field }
}

private func isURI(_ text: String) -> Bool {
    guard text.hasPrefix("s3://") else { return false }
    var rest = text.dropFirst(5)
    if rest.hasSuffix("/") { rest = rest.dropLast() }
    guard let slash = rest.firstIndex(of: "/") else { return false }
    return isBucket(String(rest[..<slash])) && isStorePath(String(rest[rest.index(after: slash)...]))
}

/// The name of an S3 bucket.
func isBucket(_ text: String) -> Bool {
    let bytes = text.utf8
    guard (3...63).contains(bytes.count), let first = bytes.first, let last = bytes.last, !text.contains("..") else {
        return false
    }
    func isInner(_ byte: UInt8) -> Bool { isWord(byte) && !(0x41...0x5A).contains(byte) }
    return isInner(first) && isInner(last) && bytes.allSatisfy { isInner($0) || ".-".utf8.contains($0) }
}
