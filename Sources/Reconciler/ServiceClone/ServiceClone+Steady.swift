// SPDX-License-Identifier: Apache-2.0

import Resources

// After the restore: the service as it is, and what must never happen to it.

extension ServiceCloneBehavior {
    /// Watches over a restored service. It is never restored again for the same request.
    static func watchOver(
        _ snapshot: ServiceCloneSnapshot, _ service: NewService, _ draft: CloneDraft
    ) -> Decision<Status> {
        var draft = draft
        if let run = snapshot.run.value, run.metadata.uid == draft.status.completedRunUID { draft.copy(run) }
        if snapshot.isDataMissing {
            draft.notReady(
                "DataMissing",
                "the claim of service \(service.name ?? "") with the restored data is gone, or about to go; nothing is restored again "
                    + "until spec.requestID changes", stalled: true)
            return Decision(status: draft.status)
        }
        // What was said of the claim stands while it is looked up again: each write is a reason to. And a StatefulSet is made
        // again around its data or not at all: without a claim Kubernetes makes an empty one, and the image a new database.
        guard snapshot.claim.value != nil else { return Decision() }
        switch snapshot.statefulSet {
        case .unknown, .absent(confirmed: false): return Decision()
        case .absent(confirmed: true):
            return makeAgain(snapshot, service, draft)
        case .present(let statefulSet): return judge(statefulSet, snapshot, service, draft)
        }
    }

    private static func judge(
        _ statefulSet: StatefulSet, _ snapshot: ServiceCloneSnapshot, _ service: NewService, _ draft: CloneDraft
    ) -> Decision<Status> {
        var draft = draft
        let name = service.name ?? ""
        guard statefulSet.metadata.labels?[Label.runUID] == draft.status.completedRunUID else {
            draft.notReady("NotOurs", "StatefulSet \(name) is not the one that was restored", stalled: true)
            return Decision(status: draft.status)
        }
        let profile = ImageProfile.named(service.imageProfile) ?? .walgClone
        if PostgresService.isQuarantined(statefulSet, profile) {
            draft.set(
                RunCondition.cloneEnvRemoved, .no, "CloneEnvPutBack",
                "StatefulSet \(name) has \(profile.cloneFrom) again: somebody put it back; it does nothing on a volume "
                    + "that has data, but would on an empty one")
        } else {
            draft.set(RunCondition.cloneEnvRemoved, .yes, "Removed", "\(profile.cloneFrom) is gone")
        }
        if statefulSet.spec?.replicas == 0 {
            // It does not go on by itself.
            draft.notReady(
                "ScaledToZero",
                "somebody scaled StatefulSet \(name) to 0: it is left so, and serves again once it is scaled back: kubectl -n "
                    + "\(snapshot.clone.metadata.namespace ?? "") scale statefulset \(name) --replicas=1", stalled: true
            )
        } else if snapshot.pod.value?.isReady == true {
            draft.ready("service \(name) is open and ready")
        } else {
            let obstacle =
                snapshot.pod.value.map(PodObstacle.find) ?? PodObstacle.find(statefulSet.ref, snapshot.podRefusal)
            draft.notReady(
                obstacle?.reason ?? "NotServing", obstacle?.message ?? "pod \(name)-0 is not ready",
                stalled: obstacle != nil)
        }
        return Decision(status: draft.status)
    }

    /// Somebody deleted the StatefulSet, and its claim still carries the restored data: it is made again around it, as
    /// it was opened, without the clone variables.
    private static func makeAgain(
        _ snapshot: ServiceCloneSnapshot, _ service: NewService, _ draft: CloneDraft
    ) -> Decision<Status> {
        var draft = draft
        guard let manifest = openedService(snapshot, service) else {
            draft.notReady(
                "RepositoryNotFound",
                "StatefulSet \(service.name ?? "") was deleted and can't be made again without its archive's "
                    + "BackupRepository", stalled: true)
            return Decision(status: draft.status)
        }
        draft.notReady(
            "StatefulSetDeleted", "the StatefulSet was deleted; it is made again around its data", stalled: false)
        draft.note(snapshot.failure)
        guard !snapshot.headlessService.isUnknown, !snapshot.clientService.isUnknown else {
            return Decision(status: draft.status)
        }
        // Only what is missing: "exists already" would end the pass before the StatefulSet.
        var effects: [Effect] = []
        if snapshot.headlessService.value == nil { effects.append(.create(.service(manifest.headlessService))) }
        effects.append(.create(.statefulSet(manifest.opened)))
        if snapshot.clientService.value == nil { effects.append(.create(.service(manifest.clientService))) }
        return Decision(status: draft.status, effects: effects)
    }

    private static func openedService(_ snapshot: ServiceCloneSnapshot, _ service: NewService) -> PostgresService? {
        // The request as the run had it: same name, same labels, same UID on everything.
        var run = RestoreRun(
            metadata: ObjectMeta(
                name: "", namespace: snapshot.clone.metadata.namespace, uid: snapshot.clone.status?.completedRunUID))
        var spec = RestoreRunSpec()
        spec.mode = Open(mode(snapshot.clone.spec?.recoveryTarget))
        spec.source = snapshot.clone.spec?.source
        spec.target = .init(newService: service)
        run.spec = spec
        guard let request = RunRequest.read(run, copied: snapshot.clone.status?.copied).request else { return nil }
        let archive = snapshot.archiveRepository.value.flatMap(RepositoryAccess.init)
        // The spec may have been edited since: what was not allowed then is not allowed now.
        if let archive, !archive.allows(request.image) { return nil }
        guard request.archive == nil || archive != nil else { return nil }
        // An opened service has nothing of its source.
        return PostgresService(request: request, source: .nowhere, sourcePath: "", archive: archive)
    }
}

/// A clone's status being written in one pass.
struct CloneDraft {
    var status: ServiceCloneStatus
    let generation: Int64?
    let now: Timestamp
    private let before: [Condition]

    init(_ snapshot: ServiceCloneSnapshot, at now: Timestamp) {
        status = snapshot.clone.status ?? ServiceCloneStatus()
        before = status.conditions ?? []
        generation = snapshot.clone.metadata.generation
        self.now = now
        status.observedGeneration = generation
    }

    mutating func set(_ type: String, _ value: ConditionStatus, _ reason: String, _ message: String) {
        var conditions = status.conditions ?? []
        conditions.set(type, value, reason, message, generation: generation, at: now)
        conditions.keepTransition(of: type, from: before)
        status.conditions = conditions
    }

    mutating func ready(_ message: String) {
        status.message = message
        status.phase = "Ready"
        set("Ready", .yes, "Serving", message)
        set(RunCondition.reconciling, .no, "Serving", message)
        set(RunCondition.stalled, .no, "Serving", message)
    }

    mutating func progressing(_ reason: String, _ message: String) {
        status.message = message
        status.phase = reason
        set("Ready", .no, reason, message)
        set(RunCondition.reconciling, .yes, reason, message)
        set(RunCondition.stalled, .no, "Working", "the clone goes on by itself")
    }

    mutating func notReady(_ reason: String, _ message: String, stalled: Bool) {
        status.message = message
        status.phase = reason
        set("Ready", .no, reason, message)
        set(RunCondition.reconciling, stalled ? .no : .yes, reason, message)
        set(RunCondition.stalled, stalled ? .yes : .no, reason, message)
    }

    mutating func note(_ failure: Failure?) {
        guard let failure, failure.count > 1 || failure.disposition == .terminal else { return }
        notReady(failure.reason, "\(failure.effect): \(failure.message)", stalled: true)
    }

    /// A new request begins with nothing of the last one.
    mutating func startOver() {
        status = ServiceCloneStatus()
        status.observedGeneration = generation
    }

    /// The run's plan, progress and checklist are the clone's.
    mutating func copy(_ run: RestoreRun) {
        status.plan = run.status?.plan
        status.progress = run.status?.progress
        let checklist = [
            RunCondition.ownArchive, RunCondition.credentialsRotated, RunCondition.cloneEnvRemoved,
            RunCondition.freshBackup, RunCondition.sourceUntouched,
        ]
        for type in checklist {
            guard let condition = run.status?.conditions?.condition(type) else {
                if status.conditions?.condition(type) == nil { set(type, .unknown, "Pending", "not known yet") }
                continue
            }
            let value = ConditionStatus(rawValue: condition.status) ?? .unknown
            set(type, value, condition.reason, condition.message)
        }
    }
}
