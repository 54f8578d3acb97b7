// SPDX-License-Identifier: Apache-2.0

import Resources

// What a run remembers and shows of a step that was seen done.

extension RestoreRunBehavior {
    static func complete(
        _ draft: inout StatusDraft, _ step: Step, _ warning: PlanFinding?, _ snapshot: RestoreRunSnapshot,
        _ world: Workplace
    ) {
        switch step.name {
        case .claim: draft.record.claimUID = snapshot.claim.value?.metadata.uid
        case .provision:
            draft.record.targetUID = snapshot.statefulSet.value?.metadata.uid
            draft.set(RunCondition.provisioned, .yes, "Created", "StatefulSet \(world.request.serviceName) exists")
            draft.set(
                RunCondition.quarantined, .yes, "Quarantined", "the service can't be reached until it is sealed")
        case .restore:
            if draft.status.conditions?.isTrue(RunCondition.provisioned) != true {
                draft.set(RunCondition.provisioned, .yes, "Created", "StatefulSet \(world.request.serviceName) exists")
            }
            finishProgress(&draft, snapshot)
            draft.record.lastReason = nil
            draft.set(RunCondition.dataRestored, .yes, "Promoted", "restored and promoted")
        case .quiesce: break
        case .seal: sealed(&draft, warning, snapshot, world)
        case .open:
            draft.set(RunCondition.quarantined, .no, "Opened", "the service is open")
            draft.set(
                RunCondition.cloneEnvRemoved, .yes, "Removed", "\(world.request.profile.cloneFrom) is gone")
            ownArchive(&draft, world)
        case .serve: break
        case .backup: backup(&draft, warning, snapshot)
        case .compareSource: compared(&draft, warning, snapshot)
        case .stop, .permit, .replace, .revoke, .start, .unlock: break
        }
    }

    private static func sealed(
        _ draft: inout StatusDraft, _ warning: PlanFinding?, _ snapshot: RestoreRunSnapshot, _ world: Workplace
    ) {
        guard case .done(.seal(let result)) = snapshot.jobs[.seal]?.state else { return }
        var record = SealRecord(
            systemIdentifier: result.systemIdentifier ?? "", timeline: result.timeline ?? 0)
        record.backupStartLSN = result.backupLabel?.startWalLocation
        record.recoveredTo = recoveredTo(result.historyReason)
        record.dataBytes = result.dataBytes
        record.subscriptionsDisabled = result.subscriptionsDisabled
        record.rolesReset = result.rolesReset
        draft.record.sealed = record
        let verification = Verification(result)
        verification.note(&draft)
        draft.set(
            RunCondition.promoted, .yes, "Promoted",
            "timeline \(record.timeline), system identifier \(record.systemIdentifier)")
        draft.set(
            RunCondition.verified, .yes, warning?.reason ?? "Proven",
            warning?.message ?? "system identifier, timeline and base backup are those of the plan"
                + verification.passed)
        draft.set(
            RunCondition.sealed, .yes, "Sealed",
            "\(record.subscriptionsDisabled ?? 0) subscriptions disabled, the source's settings set aside")
        if world.request.rotatesPasswords {
            draft.set(
                RunCondition.credentialsRotated, .yes, "Rotated",
                "password of \(world.request.profile.superuser) set from Secret \(world.request.credentialsSecret); "
                    + "\(record.rolesReset ?? 0) other roles lost the source's password")
        } else {
            draft.set(
                RunCondition.credentialsRotated, .no, "NotWanted",
                "credentials.rotate is Never: the source's "
                    + "passwords are still in force")
        }
    }

    private static func ownArchive(_ draft: inout StatusDraft, _ world: Workplace) {
        if let access = world.service.archive, let own = world.request.archive {
            draft.set(RunCondition.ownArchive, .yes, "Archiving", "archives into \(access.uri(own.path))")
        } else {
            draft.set(RunCondition.ownArchive, .no, "Disabled", "archive.mode is Disabled: there is no way back")
            draft.set(RunCondition.freshBackup, .no, "Disabled", "archive.mode is Disabled")
        }
    }

    private static func backup(_ draft: inout StatusDraft, _ warning: PlanFinding?, _ snapshot: RestoreRunSnapshot) {
        if let warning {
            draft.set(RunCondition.freshBackup, .no, warning.reason, warning.message)
        } else if case .done(.backup(let result)) = snapshot.jobs[.backup]?.state {
            draft.record.freshBackup = result.backup?.name
            draft.set(RunCondition.freshBackup, .yes, "Taken", "base backup \(result.backup?.name ?? "")")
        }
    }

    private static func compared(
        _ draft: inout StatusDraft, _ warning: PlanFinding?, _ snapshot: RestoreRunSnapshot
    ) {
        if let warning {
            draft.set(RunCondition.sourceUntouched, .no, warning.reason, warning.message)
        } else {
            let keys = snapshot.record.source?.keys ?? 0
            draft.set(
                RunCondition.sourceUntouched, .yes, "Unchanged",
                "all \(keys) objects of the source's archive are as they were")
        }
    }
}
