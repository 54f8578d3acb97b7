// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Everything that is wrong with a RestoreApproval's spec; empty when nothing is.
package func validate(_ spec: RestoreApprovalSpec?) -> [Finding] {
    var findings = Findings()
    guard let spec else {
        findings.require(false, "spec", "say which run is approved, and by whom")
        return findings.list
    }
    findings.restoreApproval(spec)
    return findings.list
}

/// What a change of a RestoreApproval's spec may not change: anything.
/// - Returns: findings; empty when the change is allowed.
package func validateChange(from old: RestoreApprovalSpec, to new: RestoreApprovalSpec) -> [Finding] {
    var findings = Findings()
    if old != new { findings.add("spec", "can't be changed: delete the RestoreApproval and make another one") }
    return findings.list
}

extension Findings {
    mutating func restoreApproval(_ spec: RestoreApprovalSpec) {
        require(spec.run != nil, "spec.run", "name the RestoreRun and its uid")
        if let run = spec.run {
            require(run.name != nil, "spec.run.name", "name the RestoreRun")
            objectName(run.name, "spec.run.name")
            require(run.uid != nil, "spec.run.uid", "copy metadata.uid of the RestoreRun")
            check(
                run.uid, "spec.run.uid", maximum: 36,
                form: "the UID of an object: copy metadata.uid of the RestoreRun", isUID)
        }
        require(spec.planHash != nil, "spec.planHash", "copy status.plan.hash of the RestoreRun")
        check(
            spec.planHash, "spec.planHash", maximum: 80,
            form: "the hash of a plan: copy status.plan.hash of the RestoreRun"
        ) { text in
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].first == "v" else { return false }
            return Self.isNumber(parts[0].dropFirst()) && Self.isHex(parts[1])
        }
        require(spec.decision != nil, "spec.decision", "write Approve or Reject")
        choice(spec.decision, "spec.decision")
        require(spec.reason != nil, "spec.reason", "say why, in 12 to 280 characters")
        if let reason = spec.reason, !Approval.reasonLength.contains(reason.unicodeScalars.count) {
            add("spec.reason", "must have 12 to 280 characters: say why, for those who read the audit later")
        }
        require(spec.approver?.isEmpty == false, "spec.approver", "write the user name of who decides")
        if let approver = spec.approver, approver.unicodeScalars.count > 256 {
            add("spec.approver", "is longer than 256 characters: shorten it")
        }
    }

    private static func isNumber(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func isHex(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}

/// As the API server writes UIDs: groups of 8, 4, 4, 4 and 12 hexadecimal digits in lower case.
private func isUID(_ text: String) -> Bool {
    let groups = text.split(separator: "-", omittingEmptySubsequences: false)
    return groups.map(\.utf8.count) == [8, 4, 4, 4, 12]
        && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) || $0 == 0x2D }
}
