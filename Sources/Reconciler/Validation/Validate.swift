// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Everything that is wrong with a RestoreRun's spec; empty when nothing is.
package func validate(_ spec: RestoreRunSpec?) -> [Finding] {
    var findings = Findings()
    guard let spec else {
        findings.require(false, "spec", "say what to restore, and to where")
        return findings.list
    }
    findings.restoreRun(spec)
    return findings.list
}

/// Everything that is wrong with a RestorePlan's spec; empty when nothing is.
package func validate(_ spec: RestorePlanSpec?) -> [Finding] {
    var findings = Findings()
    guard let spec else {
        findings.require(false, "spec", "say what to plan a restore of, and to where")
        return findings.list
    }
    findings.restorePlan(spec)
    return findings.list
}

/// Everything that is wrong with a ServiceClone's spec; empty when nothing is.
package func validate(_ spec: ServiceCloneSpec?) -> [Finding] {
    var findings = Findings()
    guard let spec else {
        findings.require(false, "spec", "say what to load, and the service to make of it")
        return findings.list
    }
    findings.serviceClone(spec)
    return findings.list
}

/// Everything that is wrong with a BackupRepository's spec; empty when nothing is.
/// - Parameter allowLoopback: lets the endpoint be on this machine. For tests and demonstrations only.
package func validate(_ spec: BackupRepositorySpec?, allowLoopback: Bool = false) -> [Finding] {
    var findings = Findings()
    guard let spec else {
        findings.require(false, "spec", "say where the store is and who may read it")
        return findings.list
    }
    findings.backupRepository(spec, allowLoopback: allowLoopback)
    return findings.list
}

/// Everything that is wrong with a ManagedService's spec; empty when nothing is.
package func validate(_ spec: ManagedServiceSpec?) -> [Finding] {
    var findings = Findings()
    guard let spec else {
        findings.require(false, "spec", "say what the service is")
        return findings.list
    }
    findings.managedService(spec)
    return findings.list
}

/// What a change of a RestoreRun's spec may not change: anything but `cancel`, and that only from false to true.
/// - Returns: findings; empty when the change is allowed.
package func validateChange(from old: RestoreRunSpec, to new: RestoreRunSpec) -> [Finding] {
    var findings = Findings()
    func same<Value: Equatable>(_ path: KeyPath<RestoreRunSpec, Value>, _ name: String) {
        guard old[keyPath: path] != new[keyPath: path] else { return }
        findings.add("spec.\(name)", "can't be changed, only cancel can: create another RestoreRun")
    }
    same(\.mode, "mode")
    same(\.source, "source")
    same(\.target, "target")
    same(\.recoveryTarget, "recoveryTarget")
    same(\.confirm, "confirm")
    same(\.confirmCrossService, "confirmCrossService")
    same(\.requestID, "requestID")
    same(\.retryOf, "retryOf")
    same(\.rollbackOf, "rollbackOf")
    same(\.onBusy, "onBusy")
    same(\.deadlines, "deadlines")
    same(\.preRestore, "preRestore")
    same(\.ledger, "ledger")
    same(\.verification, "verification")
    if old.cancel == true, new.cancel != true {
        findings.add("spec.cancel", "can't be taken back: create another RestoreRun to restore after all")
    }
    return findings.list
}

/// What a change of a ServiceClone's spec may not change: the name of its service.
/// - Returns: findings; empty when the change is allowed.
package func validateChange(from old: ServiceCloneSpec, to new: ServiceCloneSpec) -> [Finding] {
    var findings = Findings()
    if old.service?.name != new.service?.name {
        findings.add(
            "spec.service.name",
            "can't be changed: the service with its data has the old name; create another ServiceClone")
    }
    return findings.list
}
