// SPDX-License-Identifier: Apache-2.0

import Resources

// What a step does, as effects. Each is right however late it arrives, given its precondition.

extension RestoreRunBehavior {
    static func effects(of step: Step, _ snapshot: RestoreRunSnapshot, _ world: Workplace) -> [Effect] {
        let service = world.service
        switch step.action {
        case .createClaim:
            return [.create(.claim(service.claim))]
        case .createService:
            // Only what is missing: "exists already" would end the pass before the StatefulSet.
            let headless: [Effect] =
                snapshot.headlessService.isConfirmedAbsent
                ? [.create(.service(service.headlessService))] : []
            // Kept passwords are the source's: the user brings the Secret, and a drawn one would only be wrong.
            let secret: [Effect] = world.request.rotatesPasswords ? [.makeSecret(service.credentials)] : []
            return secret + headless + [.create(.statefulSet(service.quarantined))]
        case .awaitPromotion:
            // Only where somebody has scaled it to 0: making it has started it.
            return scale(snapshot, to: 1)
        case .awaitReady, .createPermit, .deletePermit, .startService, .unlockService:
            return []
        case .stopService:
            return scale(snapshot, to: 0)
        case .openService:
            return open(snapshot, world)
        case .runJob(.backup) where lostService(snapshot, world) != nil || hasMoved(snapshot):
            return snapshot.jobs[.backup]?.made.map { [.delete($0)] } ?? []
        case .runJob(let role):
            return job(role, snapshot, world).map { [.create(.job($0))] } ?? []
        }
    }

    private static func scale(_ snapshot: RestoreRunSnapshot, to replicas: Int) -> [Effect] {
        guard let statefulSet = snapshot.statefulSet.value else { return [] }
        return [.scale(statefulSet.seen, generation: statefulSet.metadata.generation ?? 0, to: replicas)]
    }

    private static func open(_ snapshot: RestoreRunSnapshot, _ world: Workplace) -> [Effect] {
        guard let statefulSet = snapshot.statefulSet.value else { return [] }
        // The service of its own name comes when there is something behind it.
        if PostgresService.isToBeOpened(statefulSet, world.request.profile) {
            return [.changeTemplate(statefulSet.seen, world.service.opening)]
        }
        return snapshot.clientService.isConfirmedAbsent ? [.create(.service(world.service.clientService))] : []
    }

    private static func job(_ role: JobRole, _ snapshot: RestoreRunSnapshot, _ world: Workplace) -> JobManifest? {
        let ordinal = snapshot.jobs[role]?.ordinal ?? 1
        switch role {
        case .scanSource, .scanArchive, .inspect, .recheck, .replace, .undo, .tidy: return nil
        case .seal:
            let limit = seconds(snapshot.run.spec?.deadlines?.verify) ?? 1_800
            return world.jobs.seal(
                ordinal, expecting: world.pinned, after: world.service.restore, checks: snapshot.record.checks ?? [],
                deadline: limit)
        case .backup:
            guard let pod = snapshot.pod.value, let uid = pod.metadata.uid, let address = pod.status?.podIP,
                let access = world.service.archive,
                let own = world.request.archive
            else { return nil }
            let limit = seconds(snapshot.run.spec?.deadlines?.restore) ?? 6 * 3_600
            return world.jobs.backup(
                ordinal, podIP: address, podUID: uid, to: access, path: own.path, deadline: limit)
        case .compareSource:
            return world.jobs.scan(
                role, ordinal, of: world.service.source, path: world.service.sourcePath,
                comparing: snapshot.record.source)
        }
    }

    /// What holds a step up, for the status.
    static func obstacle(of step: Step, _ snapshot: RestoreRunSnapshot, _ world: Workplace) -> PlanFinding? {
        switch step.action {
        case .awaitPromotion:
            if ScaledToZero.isSeen(snapshot) { return ScaledToZero.whileRestoring(snapshot, world) }
            guard let pod = snapshot.pod.value else { return missingPod(snapshot) }
            switch RestoreTrouble.find(pod, snapshot, world) {
            case .fatal(let finding), .passing(let finding): return finding
            case nil: return nil
            }
        case .awaitReady:
            if ScaledToZero.isSeen(snapshot) {
                return ScaledToZero.onceOpen(world.request.names.statefulSet, in: world.request.namespace)
            }
            guard let pod = snapshot.pod.value else { return missingPod(snapshot) }
            return PodObstacle.find(pod)
        case .runJob(let role):
            if case .running(let obstacle, _) = snapshot.jobs[role]?.state { return obstacle }
            return nil
        case .createClaim, .createService, .stopService, .openService, .createPermit, .deletePermit, .startService,
            .unlockService:
            return nil
        }
    }

    private static func missingPod(_ snapshot: RestoreRunSnapshot) -> PlanFinding? {
        snapshot.statefulSet.value.flatMap { PodObstacle.find($0.ref, snapshot.podRefusal) }
    }

    // MARK: Ending early

    /// Takes away what the run made: Jobs, StatefulSet and Services first, the claim once no pod can use it. Only what
    /// carries this run's UID is touched, by UID.
    static func cleanUp(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Decision<Status> {
        var draft = draft
        guard let ending = snapshot.record.ending else { return Decision() }
        // Is it open? That is waited for, whatever else is known.
        if snapshot.isDone(.seal), snapshot.statefulSet.isUnknown { return Decision() }
        // The opening may have been on its way when the end was decided.
        if isOpen(snapshot) {
            draft.set(RunCondition.cleanedUp, .no, "Kept", "the service was opened already and is kept")
            draft.finish(
                ending.state.known ?? .failed, ending.reason,
                "\(ending.message); the service was opened already and is kept")
            return withRecord(Decision(status: draft.status), snapshot, draft.status)
        }
        // Somebody has made it again, labels and all: that one is his, and so is what it works on.
        let isReplaced = isReplaced(snapshot.statefulSet, snapshot.record.targetUID, snapshot)
        let first =
            inTheWay(snapshot)
            + (isReplaced
                ? []
                : mine(snapshot.statefulSet, snapshot) + mine(snapshot.clientService, snapshot)
                    + mine(snapshot.headlessService, snapshot))
        let isKept = isReplaced || Self.isReplaced(snapshot.claim, snapshot.record.claimUID, snapshot)
        let claim = isKept ? [] : mine(snapshot.claim, snapshot)
        let pods = isReplaced ? [] : mine(snapshot.pod, snapshot)
        if first.isEmpty, claim.isEmpty, pods.isEmpty, isCertain(snapshot) {
            noteRemoved(&draft, snapshot, isReplaced: isReplaced)
            draft.finish(ending.state.known ?? .failed, ending.reason, ending.message)
            return withRecord(Decision(status: draft.status), snapshot, draft.status)
        }
        var effects = first.map { Effect.delete($0) }
        if isCertain(snapshot), first.isEmpty, pods.isEmpty, snapshot.claim.value?.metadata.isDeleting != true {
            effects += claim.map { .delete($0) }
        }
        sayCleaningUp(ending, &draft)
        noteFailure(&draft, snapshot)
        return withRecord(Decision(status: draft.status, effects: effects), snapshot, draft.status)
    }

    private static func noteRemoved(_ draft: inout StatusDraft, _ snapshot: RestoreRunSnapshot, isReplaced: Bool) {
        guard !isReplaced else {
            let names = snapshot.madeNames
            return draft.set(
                RunCondition.cleanedUp, .no, "Replaced",
                "somebody has made StatefulSet \(names?.statefulSet ?? "") again: it is left as it is, with claim "
                    + "\(names?.claim ?? "") and its Services")
        }
        draft.set(
            RunCondition.cleanedUp, .yes, "Removed",
            "what this run made is gone, but for the Secret with the credentials: the controller may not delete Secrets; "
                + "the next run of this name uses it")
    }

    /// It carries this run's label, and is not the object that this run made.
    private static func isReplaced<R: Resource>(
        _ observed: Observed<R>, _ made: String?, _ snapshot: RestoreRunSnapshot
    ) -> Bool {
        guard let object = observed.value, let made, isMine(object.metadata, snapshot) else { return false }
        return object.metadata.uid != made
    }

    /// Jobs that run, and those that mounted the volume: a pod keeps its claim from going away even when it has ended.
    /// Scans that have ended stay, for their logs.
    private static func inTheWay(_ snapshot: RestoreRunSnapshot) -> [Seen] {
        let volumeRoles = Set(
            [JobRole.seal, .backup].flatMap { role in
                (1...JobObservation.limit).compactMap { snapshot.madeNames?.job(role, $0) }
            })
        return (snapshot.ownJobs.value ?? []).filter { job in
            isMine(job.metadata, snapshot)
                && (volumeRoles.contains(job.metadata.name) || !(job.isComplete || job.isFailed))
        }.map(\.seen)
    }

    private static func mine<R: Resource>(_ observed: Observed<R>, _ snapshot: RestoreRunSnapshot) -> [Seen] {
        guard let object = observed.value, isMine(object.metadata, snapshot) else { return [] }
        return [object.seen]
    }

    /// Nothing is being looked up any more.
    private static func isCertain(_ snapshot: RestoreRunSnapshot) -> Bool {
        !snapshot.claim.isUnknown && !snapshot.statefulSet.isUnknown && !snapshot.pod.isUnknown
            && !snapshot.clientService.isUnknown && !snapshot.headlessService.isUnknown
            && !snapshot.ownJobs.isUnknown
    }
}
