// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Everything that is wrong with a ServiceBackup's spec; empty when nothing is.
package func validate(_ spec: ServiceBackupSpec?) -> [Finding] {
    var findings = Findings()
    guard let spec else {
        findings.require(false, "spec", "say which backup it is")
        return findings.list
    }
    findings.serviceBackup(spec)
    return findings.list
}

/// What a change of a ServiceBackup's spec may not change: anything.
/// - Returns: findings; empty when the change is allowed.
package func validateChange(from old: ServiceBackupSpec, to new: ServiceBackupSpec) -> [Finding] {
    var findings = Findings()
    if old != new { findings.add("spec", "can't be changed: delete the ServiceBackup and make another one") }
    return findings.list
}

extension Findings {
    mutating func serviceBackup(_ spec: ServiceBackupSpec) {
        if (spec.service != nil) == (spec.discovered != nil) {
            add("spec", "needs exactly one of service and discovered: keep the one that says which backup it is")
        }
        reference(spec.service, "spec.service")
        choice(spec.deletionPolicy, "spec.deletionPolicy", of: ["Retain", "Delete"])
        guard let found = spec.discovered else { return }
        if spec.deletionPolicy == "Delete" {
            add(
                "spec.deletionPolicy",
                "Delete is not for a discovered backup: it belongs to whoever took it; use Retain, or remove it")
        }
        let field = "spec.discovered"
        require(found.repository != nil, "\(field).repository", "name the BackupRepository that holds it")
        reference(found.repository, "\(field).repository")
        require(found.path != nil, "\(field).path", "write where its archive is below the repository's prefix")
        archivePath(found.path, "\(field).path")
        range(found.major, "\(field).major", 1...999)
        require(found.name != nil, "\(field).name", "write its name, as WAL-G gave it")
        check(
            found.name, "\(field).name", maximum: 128,
            form: "the name of a base backup: write it as base_000000010000000000000004, as WAL-G shows it",
            isBackupName)
    }
}

/// `base_` and a segment, and for a delta `_D_` and the segment that it builds on.
private func isBackupName(_ text: String) -> Bool {
    let parts = text.split(separator: "_", omittingEmptySubsequences: false)
    func isSegment(_ part: Substring) -> Bool {
        part.utf8.count == 24 && part.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x46).contains($0) }
    }
    guard parts.count == 2 || parts.count == 4, parts[0] == "base", isSegment(parts[1]) else { return false }
    return parts.count == 2 || (parts[2] == "D" && isSegment(parts[3]))
}
