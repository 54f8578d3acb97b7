// SPDX-License-Identifier: Apache-2.0

import Resources

// In place, planned: approval, lock, and the point of no return. Nothing is held while a run waits for its approval.

extension RestoreRunBehavior {
    static func startInPlace(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ request: InPlaceRequest, _ draft: StatusDraft
    ) -> Decision<Status> {
        if let waiting = withoutRow(snapshot, draft) { return waiting }
        var draft = draft
        let workload: ServiceWorkload
        switch target(snapshot, view) {
        case .looking: return Decision()
        case .lost(let finding): return fail(snapshot, draft, finding)
        case .found(let found): workload = found
        }
        let way = snapshot.record.inPlace.map { InPlaceWay(snapshot: snapshot, view: view, planned: $0) }
        if let outdated = outdated(snapshot, workload) ?? way?.outdated { return fail(snapshot, draft, outdated) }
        let why = "The data of \(request.service) is going to be replaced"
        if let waiting = awaitApproval(snapshot, view.approvals, why, &draft) { return waiting }
        if let waiting = awaitPlace(snapshot, way, &draft) { return waiting }
        if let waiting = awaitLock(snapshot, view, request, workload, &draft) { return waiting }
        if let waiting = lookAgain(snapshot, view, &draft) { return waiting }
        if let waiting = awaitCatalog(snapshot, view, draft) { return waiting }
        draft.record.originalReplicas = workload.replicas
        return begin(
            snapshot, draft, .restore,
            "from here on the service is stopped; until the data is swapped a cancel puts the old data back",
            "stopping the service")
    }

    enum TargetState {
        case looking
        case lost(PlanFinding)
        case found(ServiceWorkload)
    }

    /// The very StatefulSet that was planned, or what became of it.
    static func target(_ snapshot: RestoreRunSnapshot, _ view: InPlaceView) -> TargetState {
        let name = snapshot.record.inPlace?.workload ?? ""
        func lost(_ reason: String, _ words: String) -> TargetState {
            .lost(PlanFinding(reason: reason, message: "StatefulSet \(name) \(words) while the run was under way"))
        }
        switch view.workload {
        case .unknown, .absent(confirmed: false): return .looking
        case .absent(confirmed: true): return lost("TargetDeleted", "was deleted")
        case .present(let workload):
            guard workload.metadata.uid == snapshot.record.targetUID else {
                return lost("TargetReplaced", "was deleted and made again by someone else")
            }
            return workload.isDeleting ? lost("TargetDeleted", "is being deleted") : .found(workload)
        }
    }

    /// What became of the claim whose data was planned to be replaced, if it is not there as it was: no pod gets a volume
    /// that is on its way out, and another one of its name is empty.
    static func lostClaim(_ snapshot: RestoreRunSnapshot, _ planned: InPlaceRecord) -> PlanFinding? {
        func lost(_ reason: String, _ words: String) -> PlanFinding {
            PlanFinding(reason: reason, message: "claim \(planned.claim) \(words) while the run was under way")
        }
        switch snapshot.claim {
        case .unknown, .absent(confirmed: false): return nil
        case .absent(confirmed: true): return lost("TargetDeleted", "was deleted")
        case .present(let claim):
            if let uid = snapshot.record.claimUID, claim.metadata.uid != uid {
                return lost("TargetReplaced", "was deleted and made again by someone else")
            }
            return claim.metadata.isDeleting ? lost("TargetDeleted", "is being deleted") : nil
        }
    }

    /// What the plan rests on may have changed while the run waited.
    private static func outdated(_ snapshot: RestoreRunSnapshot, _ workload: ServiceWorkload) -> PlanFinding? {
        func finding(_ what: String) -> PlanFinding {
            PlanFinding(
                reason: "PlanOutdated", message: "\(what) since the run was planned; make a new RestoreRun")
        }
        let planned = snapshot.record.inPlace
        guard (0...1).contains(workload.replicas) else {
            return finding("StatefulSet \(workload.metadata.name) was scaled to \(workload.replicas)")
        }
        let images = (workload.spec?.template?.spec?.containers ?? []).compactMap(\.image)
        if let image = planned?.image, !images.contains(image) {
            return finding("the image of StatefulSet \(workload.metadata.name) is not \(image) any more")
        }
        switch snapshot.claim {
        case .absent(confirmed: true): return finding("claim \(planned?.claim ?? "") was deleted")
        case .present(let claim) where claim.metadata.uid != snapshot.record.claimUID:
            return finding("claim \(claim.metadata.name) was deleted and made again")
        case .present(let claim) where claim.metadata.isDeleting:
            return finding("somebody has deleted claim \(claim.metadata.name), and it is on its way out,")
        case .present, .absent, .unknown: return nil
        }
    }

    // MARK: The volume, once more

    /// The plan may have waited for hours, or for another run. Now that nobody else works on the volume it must still be the
    /// one that was planned for: what was approved would otherwise replace data that nobody had in mind.
    private static func lookAgain(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ draft: inout StatusDraft
    ) -> Decision<Status>? {
        guard let planned = snapshot.record.inPlace, let job = snapshot.jobs[.recheck] else { return Decision() }
        draft.working("LookingAgain", "looking at claim \(planned.claim) once more")
        switch job.state {
        case .unknown: return Decision()
        case .absent:
            guard let jobs = InPlaceWay(snapshot: snapshot, view: view, planned: planned).jobs else {
                return fail(snapshot, draft, editedService)
            }
            noteFailure(&draft, snapshot)
            let isCross = planned.isCrossService ?? false
            let recheck = jobs.inspect(job.ordinal, again: true, isCrossService: isCross)
            return withRecord(
                Decision(status: draft.status, effects: [.create(.job(recheck))]), snapshot, draft.status)
        case .running(let obstacle, let since):
            let ends = (since ?? draft.now).adding(seconds: prepareDeadline)
            if draft.now >= ends {
                let late = PlanFinding(
                    reason: "NoProgress", message: "claim \(planned.claim) could not be looked at once more")
                return fail(snapshot, draft, obstacle ?? late)
            }
            if let obstacle { draft.waiting(obstacle.reason, obstacle.message) }
            let wake = min(ends, draft.approvedUntil ?? ends)
            return withRecord(Decision(status: draft.status, wake: .at(wake)), snapshot, draft.status)
        case .done(.inspect(let seen)):
            let findings = InPlacePlanner.changes(of: planned, snapshot.record.pinnedBackup, since: seen)
            guard findings.isEmpty else {
                return fail(
                    snapshot, draft,
                    PlanFinding(
                        reason: findings.count == 1 ? findings[0].reason : "PlanOutdated",
                        message: findings.map(\.message).joined(separator: "; ") + "; make a new RestoreRun"))
            }
            return nil
        case .done: return fail(snapshot, draft, unreadable(.recheck, "it is of another kind"))
        case .foreign: return fail(snapshot, draft, foreignJob(planned.claim))
        case .exhausted(let why): return fail(snapshot, draft, unreadable(.recheck, why))
        }
    }

    // MARK: The archive, once more

    /// Retention goes on while a run waits. A base backup that the repository has seen to be gone since the plan is no reason
    /// to stop the service; one that goes later is found out by the Job, and the old data is served again.
    private static func awaitCatalog(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ draft: StatusDraft
    ) -> Decision<Status>? {
        guard let pinned = snapshot.record.pinnedBackup, let then = snapshot.record.source?.at,
            let repository = view.repository.value, let catalog = view.catalog
        else { return nil }
        if catalog.isUnknown { return Decision() }
        guard let map = catalog.value, PublishedCatalog.isOurs(map, repository),
            let listing = PublishedCatalog.listing(in: map), listing.seenAt > then,
            listing.backupsTotal <= listing.backups.count, !listing.backups.contains(where: { $0.name == pinned.name })
        else { return nil }
        let finding = PlanFinding(
            reason: ServiceBackupBehavior.expired,
            message: "base backup \(pinned.name) is not in the archive any more, as BackupRepository "
                + "\(repository.metadata.name) saw at \(listing.seenAt.rfc3339): it was deleted after the run was planned. Make "
                + "a new RestoreRun, and keep backups for longer than an approval takes")
        return fail(snapshot, draft, finding)
    }

    // MARK: The lock

    private static func awaitLock(
        _ snapshot: RestoreRunSnapshot, _ view: InPlaceView, _ request: InPlaceRequest, _ workload: ServiceWorkload,
        _ draft: inout StatusDraft
    ) -> Decision<Status>? {
        if let lock = view.lock {
            if lock.runUID == request.runUID {
                draft.set(
                    RunCondition.locked, .yes, "Locked", "StatefulSet \(workload.metadata.name) names this run")
                return nil
            }
            switch lock.isHeld(against: request.runUID, view.holder) {
            case nil: return Decision()
            case true?:
                let finding = lock.finding(workload.metadata.name)
                guard request.waitsWhenBusy else { return fail(snapshot, draft, finding) }
                draft.set(RunCondition.locked, .no, finding.reason, finding.message)
                draft.waiting(finding.reason, "\(finding.message); this run goes on when that one has ended")
                let wake = draft.approvedUntil.map { Wake.at($0) } ?? .onChange
                return withRecord(Decision(status: draft.status, wake: wake), snapshot, draft.status)
            case false?: break
            }
        }
        draft.set(RunCondition.locked, .unknown, "Locking", "naming this run on StatefulSet \(workload.metadata.name)")
        draft.working("Locking", "locking StatefulSet \(workload.metadata.name)")
        noteFailure(&draft, snapshot)
        return withRecord(
            Decision(status: draft.status, effects: [lock(snapshot, workload)]), snapshot, draft.status)
    }
}
