// SPDX-License-Identifier: Apache-2.0

package import Resources

/// "A service exists, pre-loaded from X." Makes one RestoreRun after the other until one completes, and then never
/// again: the data that came back is worth more than the manifest.
///
/// Flow: pick the run's name (status, first) → create it → follow it → remember its UID as completed → watch over the
/// StatefulSet, which is made again around its claim should somebody delete it. It never touches data itself.
package enum ServiceCloneBehavior: Behavior {
    package typealias Object = ServiceClone
    package typealias Status = ServiceCloneStatus

    /// How many more runs are tried after the first when the spec says nothing.
    package static let defaultRetryLimit = 3

    package static func decide(_ snapshot: ServiceCloneSnapshot, at now: Timestamp) -> Decision<ServiceCloneStatus> {
        let clone = snapshot.clone
        if clone.metadata.isDeleting { return remove(snapshot) }
        if let change = finalizerChange(clone) { return change }
        var draft = CloneDraft(snapshot, at: now)
        let findings = validate(clone.spec) + unavailable(clone.spec)
        guard findings.isEmpty, let service = snapshot.service else {
            let reason = findings.first?.reason ?? "InvalidSpec"
            let message = findings.map(\.message).joined(separator: "; ")
            draft.notReady(reason, message.isEmpty ? "spec.service can't be read" : message, stalled: true)
            return Decision(status: draft.status)
        }
        let isNewRequest =
            clone.status != nil && draft.status.requestID != clone.spec?.requestID
            && (draft.status.completedRunUID == nil ? snapshot.isRunOver : snapshot.isDataMissing)
        if isNewRequest { draft.startOver() }
        if draft.status.run == nil || isNewRequest {
            draft.status.requestID = clone.spec?.requestID
            draft.status.attempts = 1
            draft.status.run = .init(name: runName(clone, attempt: 1), uid: nil)
            draft.progressing("Starting", "creating RestoreRun \(draft.status.run?.name ?? "")")
            return Decision(status: draft.status)
        }
        if draft.status.completedRunUID != nil { return watchOver(snapshot, service, draft) }
        return follow(snapshot, service, draft)
    }

    /// What the API allows and this version does not do yet: said plainly, before anything is made.
    private static func unavailable(_ spec: ServiceCloneSpec?) -> [Finding] {
        let fields: [(Bool, String)] = [
            (spec?.expiresAfter != nil, "spec.expiresAfter"), (spec?.managed == true, "spec.managed"),
        ]
        return fields.filter(\.0).map { _, field in
            Finding(
                reason: "UnsupportedMode", field: field,
                message: "\(field): not available in this version; leave it out")
        }
    }

    // MARK: Following the run

    private static func follow(
        _ snapshot: ServiceCloneSnapshot, _ service: NewService, _ draft: CloneDraft
    ) -> Decision<Status> {
        var draft = draft
        let name = draft.status.run?.name ?? ""
        switch snapshot.run {
        case .unknown, .absent(confirmed: false): return Decision()
        case .absent(confirmed: true):
            guard draft.status.run?.uid == nil else {
                return nextAttempt(snapshot, draft, "RunDeleted", "RestoreRun \(name) was deleted")
            }
            draft.progressing("Starting", "creating RestoreRun \(name)")
            draft.note(snapshot.failure)
            return Decision(
                status: draft.status, effects: [.create(.restoreRun(manifest(snapshot.clone, service, name)))])
        case .present(let run):
            guard run.metadata.labels?[Label.cloneUID] == snapshot.clone.metadata.uid else {
                draft.notReady("RunNotOurs", "RestoreRun \(name) exists and is not this clone's", stalled: true)
                return Decision(status: draft.status)
            }
            return follow(run, snapshot, draft)
        }
    }

    private static func follow(
        _ run: RestoreRun, _ snapshot: ServiceCloneSnapshot, _ draft: CloneDraft
    ) -> Decision<Status> {
        var draft = draft
        draft.status.run?.uid = run.metadata.uid
        draft.copy(run)
        // Never empty: API servers up to 1.20 take an empty string in a status for a null, and refuse it.
        let message = run.status?.message ?? "RestoreRun \(run.metadata.name) is about to start"
        switch run.status?.state?.known {
        case .none, .pending, .running:
            let stalled = run.status?.conditions?.condition(RunCondition.stalled)
            if let stalled, stalled.isTrue {
                draft.notReady(stalled.reason, message, stalled: true)
            } else {
                draft.progressing(run.status?.phase?.text ?? "Pending", words(run))
            }
            return Decision(status: draft.status)
        case .completed:
            draft.status.completedRunUID = run.metadata.uid
            draft.status.copied = run.status?.restore?.copied
            draft.progressing("Restored", message)
            return Decision(status: draft.status)
        case .failed, .cancelled, .interrupted:
            let reason = run.status?.conditions?.condition(RunCondition.finished)?.reason ?? "Failed"
            return nextAttempt(snapshot, draft, reason, message)
        }
    }

    /// What a run under way is busy with, by its phase and no closer: each word of the run copied here as well would be
    /// half of all the writes that a clone costs.
    private static func words(_ run: RestoreRun) -> String {
        let backup = run.status?.plan?.baseBackup ?? "the base backup"
        let what =
            switch run.status?.phase?.known {
            case .none, .prepare: "looking at the archives and planning"
            case .provision: "making the service, in quarantine"
            case .download, .restore: "fetching \(backup)"
            case .recover: "replaying WAL on \(backup)"
            case .verify: "proving what came back, then opening it and backing it up"
            case .completed: "the restore is done"
            case .failed: "taking away what was made"
            }
        return "\(what) (RestoreRun \(run.metadata.name) has each step)"
    }

    /// Another attempt is worth it only where the next one may go differently: not for a request that was refused, an
    /// image that does not restore, or a run that somebody cancelled.
    private static func nextAttempt(
        _ snapshot: ServiceCloneSnapshot, _ draft: CloneDraft, _ reason: String, _ message: String
    ) -> Decision<Status> {
        var draft = draft
        let attempts = draft.status.attempts ?? 1
        let limit = max(0, snapshot.clone.spec?.retry?.limit ?? defaultRetryLimit)
        let wasRefused = snapshot.run.value?.status?.startedAt == nil && snapshot.run.value != nil
        let final = [
            "RestoreNotPerformed", "InheritedRecoveryTarget", "MajorMismatch", "Cancelled", "TargetIgnored",
            "LibraryMissing", "ParameterTooSmall", "EncryptionKeyMissing", "VerificationFailed", "PromotionPending",
            "DatabaseNotFound",
        ]
        guard attempts <= limit, !wasRefused, !final.contains(reason), !snapshot.isOpened else {
            let way =
                snapshot.isOpened
                ? "the service is open and kept: delete it, or this clone, to begin anew"
                : "change spec.requestID to try again"
            draft.notReady(reason, "\(message) (attempt \(attempts)); \(way)", stalled: true)
            return Decision(status: draft.status)
        }
        draft.status.attempts = attempts + 1
        draft.status.retryOf = draft.status.run?.name
        draft.status.run = .init(name: runName(snapshot.clone, attempt: attempts + 1), uid: nil)
        draft.progressing("Retrying", "attempt \(attempts) of \(limit + 1) ended with \(reason): \(message)")
        return Decision(status: draft.status)
    }

    // MARK: The run

    /// Derived from the clone's UID and request, so that making it twice makes one, and another request makes another.
    static func runName(_ clone: ServiceClone, attempt: Int) -> String {
        let seed = [clone.metadata.uid ?? "", clone.spec?.requestID ?? ""]
        return "\(clone.metadata.name.prefix(40))-\(Planner.digest(of: seed).prefix(8))-\(attempt)"
    }

    /// A moment of its own makes it a point-in-time recovery; the archive's or the backup's end does not.
    static func mode(_ target: RecoveryTarget?) -> RestoreMode {
        switch target?.kind?.known {
        case .time, .xid, .lsn, .name: .pointInTime
        case .latest, .backupEnd, nil: .newService
        }
    }

    private static func manifest(_ clone: ServiceClone, _ service: NewService, _ name: String) -> RestoreRunManifest {
        var spec = RestoreRunSpec()
        spec.mode = Open(mode(clone.spec?.recoveryTarget))
        spec.source = clone.spec?.source
        spec.recoveryTarget = clone.spec?.recoveryTarget
        spec.target = .init(newService: service)
        spec.requestID = clone.spec?.requestID
        // What the attempt before it found out decides how this one goes about it.
        spec.retryOf = clone.status?.retryOf.map { NameReference(name: $0) }
        let checks = (clone.spec?.verification ?? []).compactMap(\.name)
        if !checks.isEmpty { spec.verification = .init(checks: checks, amcheck: nil) }
        let owner = OwnerReference(
            apiVersion: ServiceClone.resourceKind.apiVersion, kind: ServiceClone.resourceKind.kind,
            name: clone.metadata.name, uid: clone.metadata.uid ?? "", controller: true)
        return RestoreRunManifest(
            metadata: ManifestMeta(
                name: name, namespace: clone.metadata.namespace ?? "",
                labels: [
                    Label.managedBy: Label.managedByValue, Label.cloneUID: clone.metadata.uid ?? "",
                ], ownerReferences: [owner]),
            spec: spec)
    }

    package static func notices(from old: ServiceCloneStatus?, to new: ServiceCloneStatus) -> [Notice] {
        guard let ready = new.conditions?.condition("Ready") else { return [] }
        let before = old?.conditions?.condition("Ready")
        guard before?.status != ready.status || before?.reason != ready.reason else { return [] }
        let stalled = new.conditions?.isTrue(RunCondition.stalled) ?? false
        guard ready.isTrue || stalled else { return [] }
        return [Notice(isWarning: !ready.isTrue, reason: ready.reason, message: ready.message)]
    }
}
