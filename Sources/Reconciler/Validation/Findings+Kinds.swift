// SPDX-License-Identifier: Apache-2.0

import Resources

// One function for each kind.
extension Findings {
    mutating func restoreRun(_ spec: RestoreRunSpec) {
        mode(spec.mode)
        if (spec.rollbackOf != nil) == (spec.source != nil) {
            add(
                "spec.source",
                "is required, except with rollbackOf, which puts back the data that its run replaced: "
                    + "give source, or rollbackOf, not both")
        }
        restore(spec)
        if spec.target?.service == nil { onlyInPlace(spec) }
        requestID(spec.requestID, "spec.requestID")
        reference(spec.retryOf, "spec.retryOf")
        reference(spec.rollbackOf, "spec.rollbackOf")
        choice(spec.onBusy, "spec.onBusy", of: ["Wait", "Fail"])
        choice(spec.ledger, "spec.ledger", of: ["Required", "BestEffort"])
        duration(spec.deadlines?.restore, "spec.deadlines.restore")
        duration(spec.deadlines?.recover, "spec.deadlines.recover")
        duration(spec.deadlines?.verify, "spec.deadlines.verify")
        duration(spec.preRestore?.keepFor, "spec.preRestore.keepFor")
        checkNames(spec.verification?.checks, "spec.verification.checks")
    }

    mutating func restorePlan(_ spec: RestorePlanSpec) {
        mode(spec.mode)
        require(spec.source != nil, "spec.source", "name an archive, a service, a backup or a location to restore from")
        restore(spec.run)
        range(spec.ttlSecondsAfterFinished, "spec.ttlSecondsAfterFinished", 1...31_536_000)
    }

    private mutating func mode(_ mode: Open<RestoreMode>?) {
        require(mode != nil, "spec.mode", "write InPlace, NewService or PointInTime")
        choice(mode, "spec.mode")
    }

    /// What a run and a plan have in common: from where, to where and to which moment.
    private mutating func restore(_ spec: RestoreRunSpec) {
        if let source = spec.source { self.source(source, "spec.source") }
        if let target = spec.target {
            self.target(target, of: spec)
        } else {
            require(false, "spec.target", "name a service, or describe the newService to create")
        }
        if let target = spec.recoveryTarget { recoveryTarget(target, "spec.recoveryTarget") }
        modeAgrees(spec)
    }

    private mutating func target(_ target: RestoreRunSpec.RestoreTarget, of spec: RestoreRunSpec) {
        if (target.service != nil) == (target.newService != nil) {
            add(
                "spec.target",
                "needs exactly one of service and newService: name the ManagedService whose data is to be "
                    + "replaced, or describe the service to create")
        }
        reference(target.service, "spec.target.service")
        if let service = target.newService {
            newService(service, "spec.target.newService")
            if let name = service.name, spec.source?.service?.name == name {
                add(
                    FindingReason.invalidName, "spec.target.newService.name",
                    "must not be the name of source.service: choose another name, or replace its data as target.service"
                )
            }
            overlap(spec.source, service.archive, "spec.source", "spec.target.newService.archive")
        }
        guard let confirm = spec.confirm, let name = target.service?.name else { return }
        confirmation(confirm, name)
    }

    private mutating func confirmation(_ confirm: String, _ name: String) {
        guard confirm.hasPrefix("\(name)/") else {
            add(
                FindingReason.confirmMismatch, "spec.confirm",
                "must begin with the name of target.service and a slash: \(quoted(confirm)) was written for another "
                    + "service; copy it from the plan of this one")
            return
        }
        check(
            confirm, "spec.confirm", maximum: 262, reason: FindingReason.confirmMismatch,
            form: "the target's name, a slash and the first eight characters of its UID: copy it from the plan"
        ) { text in
            let uid = text.utf8.dropFirst(name.utf8.count + 1)
            return uid.count == 8 && uid.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        }
    }

    private mutating func modeAgrees(_ spec: RestoreRunSpec) {
        let kind = spec.recoveryTarget?.kind?.text
        let isMoment = ["Time", "Xid", "Lsn", "Name"].contains(kind)
        switch spec.mode?.known {
        case .inPlace where spec.target?.service == nil:
            add(
                "spec.mode",
                "InPlace needs target.service: name the ManagedService whose data is to be replaced, or use "
                    + "mode NewService")
        case .newService where spec.target?.newService == nil:
            add("spec.mode", "NewService needs target.newService: describe the service to create, or use mode InPlace")
        case .pointInTime where !isMoment:
            add(
                "spec.mode",
                "PointInTime needs recoveryTarget with kind Time, Xid, Lsn or Name: say to which moment, or "
                    + "use mode InPlace or NewService")
        case .inPlace, .newService, .pointInTime, nil: break
        }
        if let mode = spec.mode?.known, mode != .pointInTime, isMoment {
            add(
                "spec.recoveryTarget",
                "with kind Time, Xid, Lsn or Name needs mode PointInTime: change mode, or use kind "
                    + "Latest or BackupEnd")
        }
        if spec.rollbackOf != nil, spec.target?.service == nil || spec.recoveryTarget != nil {
            add("spec.rollbackOf", "puts back data as it was: name target.service and remove recoveryTarget")
        }
    }

    private mutating func onlyInPlace(_ spec: RestoreRunSpec) {
        let wayOut = "is for restores that replace data: remove it, a new service replaces nothing"
        if spec.confirm != nil { add("spec.confirm", wayOut) }
        if spec.preRestore != nil { add("spec.preRestore", wayOut) }
    }

    mutating func serviceClone(_ spec: ServiceCloneSpec) {
        require(spec.source != nil, "spec.source", "name an archive, a service, a backup or a location to restore from")
        if let source = spec.source { self.source(source, "spec.source") }
        if let target = spec.recoveryTarget { recoveryTarget(target, "spec.recoveryTarget") }
        if let service = spec.service {
            newService(service, "spec.service")
            if let name = service.name, spec.source?.service?.name == name {
                add(
                    FindingReason.invalidName, "spec.service.name",
                    "must not be the name of source.service: a service can't be cloned onto itself; choose another name"
                )
            }
            overlap(spec.source, service.archive, "spec.source", "spec.service.archive")
        } else {
            require(false, "spec.service", "describe the service to create")
        }
        choice(spec.deletionPolicy, "spec.deletionPolicy", of: ["Retain", "Delete"])
        range(spec.retry?.limit, "spec.retry.limit", 0...10)
        duration(spec.expiresAfter, "spec.expiresAfter")
        requestID(spec.requestID, "spec.requestID")
        verification(spec.verification, "spec.verification")
    }

    mutating func managedService(_ spec: ManagedServiceSpec) {
        require(spec.engine != nil, "spec.engine", "write Postgres, Redis, MongoDB or S3")
        choice(spec.engine, "spec.engine")
        require(spec.workload != nil, "spec.workload", "name the StatefulSet")
        reference(spec.workload, "spec.workload")
        label(spec.container, "spec.container")
        label(spec.claim, "spec.claim")
        label(spec.imageProfile, "spec.imageProfile")
        range(spec.major, "spec.major", 1...999)
        if let archive = spec.archive { self.archive(archive, "spec.archive") }
        if let credentials = spec.credentials {
            require(credentials.secretName != nil, "spec.credentials.secretName", "name the Secret with the password")
            objectName(credentials.secretName, "spec.credentials.secretName")
            dataKey(credentials.userKey, "spec.credentials.userKey")
            dataKey(credentials.passwordKey, "spec.credentials.passwordKey")
        }
        let approval = spec.protection?.approval ?? []
        if count(approval.count, "spec.protection.approval", maximum: 3) {
            for (index, mode) in approval.enumerated() {
                choice(mode, "spec.protection.approval[\(index)]", of: RestoreMode.allCases.map(\.rawValue))
            }
            unique(approval, "spec.protection.approval")
        }
        verification(spec.protection?.verification, "spec.protection.verification")
        range(spec.backup?.maxPerService, "spec.backup.maxPerService", 1...1_000)
        range(spec.backup?.retainFull, "spec.backup.retainFull", 1...1_000)
    }

    mutating func verification(_ checks: [VerificationCheck]?, _ field: String) {
        guard let checks, count(checks.count, field, maximum: 32) else { return }
        for (index, item) in checks.enumerated() {
            let place = "\(field)[\(index)]"
            require(item.name != nil, "\(place).name", "say what the check is called")
            label(item.name, "\(place).name")
            require(item.query != nil, "\(place).query", "write one read-only statement")
            // What a query or its answer says is nobody's business in a message.
            if let query = item.query, query.isEmpty || query.unicodeScalars.count > 4_096 {
                add("\(place).query", "must have 1 to 4096 characters: write one read-only statement")
            }
            if let expect = item.expect, expect.unicodeScalars.count > 1_024 {
                add("\(place).expect", "is longer than 1024 characters: let the query compare, and expect true")
            }
        }
        unique(checks.map(\.name), field)
    }

    private mutating func checkNames(_ names: [String]?, _ field: String) {
        guard let names, count(names.count, field, maximum: 32) else { return }
        for (index, name) in names.enumerated() { label(name, "\(field)[\(index)]") }
        unique(names, field)
    }
}
