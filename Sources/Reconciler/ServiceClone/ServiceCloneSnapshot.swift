// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Everything that a decision about a clone looks at.
package struct ServiceCloneSnapshot: Equatable, Sendable {
    package var clone: ServiceClone
    package var failure: Failure?
    /// The service as the run will be asked for it, with its name filled in.
    package var service: NewService?
    package var run: Observed<RestoreRun>
    package var statefulSet: Observed<StatefulSet>
    package var claim: Observed<PersistentVolumeClaim>
    package var pod: Observed<Pod>
    /// Why there is none; read only while there should be one.
    package var podRefusal: Observed<PodRefusal> = .unknown
    package var clientService: Observed<Service>
    package var headlessService: Observed<Service>
    /// The completed run's Jobs; read only when the service is to be removed.
    package var jobs: Observed<[Job]>
    package var archiveRepository: Observed<BackupRepository>

    package init(clone: ServiceClone) {
        self.clone = clone
        run = .unknown
        statefulSet = .unknown
        claim = .unknown
        pod = .unknown
        clientService = .unknown
        headlessService = .unknown
        jobs = .unknown
        archiveRepository = .unknown
    }

    /// The clone was restored, and now its volume is surely gone or another one.
    package var isDataMissing: Bool {
        switch claim {
        case .unknown, .absent(confirmed: false): false
        case .absent(confirmed: true): true
        case .present(let claim):
            // One that is being deleted does not come back.
            claim.metadata.isDeleting || claim.metadata.labels?[Label.runUID] != clone.status?.completedRunUID
        }
    }

    /// No run is under way: another request must not start a second one beside it.
    package var isRunOver: Bool {
        guard clone.status?.run != nil else { return true }
        if run.isConfirmedAbsent { return true }
        guard let run = run.value else { return false }
        return run.status?.state?.known?.isTerminal == true && !isOpened
    }

    /// The UID that the service's objects carry: of the run that completed, or, when the clone is deleted, of one that
    /// opened its service and then did not.
    package var serviceUID: String? {
        clone.status?.completedRunUID ?? (clone.metadata.isDeleting && isOpened ? run.value?.metadata.uid : nil)
    }

    /// The run that is followed opened its service before it ended: its data is kept, and nothing may restore over it.
    package var isOpened: Bool {
        let status = run.value?.status
        return status?.restore?.completedSteps?.contains(Step.Name.open.rawValue) == true
            || status?.conditions?.condition(RunCondition.cleanedUp)?.reason == "Kept"
    }
}

extension ServiceCloneBehavior {
    package static func observe(_ clone: ServiceClone, through reader: inout some Reader) -> ServiceCloneSnapshot {
        var snapshot = ServiceCloneSnapshot(clone: clone)
        let space = clone.metadata.namespace ?? ""
        // Whatever the spec says now: by the status alone, nothing else was ever asked for.
        if let name = clone.status?.run?.name {
            snapshot.run = reader.object(RestoreRun.self, space, name)
            if case .absent = snapshot.run { snapshot.run = reader.confirmed(RestoreRun.self, space, name) }
        }
        guard var service = clone.spec?.service else { return snapshot }
        if service.name == nil { service.name = clone.metadata.name }
        snapshot.service = service
        snapshot.failure = reader.lastFailure()
        guard let uid = snapshot.serviceUID else { return snapshot }
        // The service as it was restored, and not as the spec may have been edited since.
        if let run = snapshot.run.value, run.metadata.uid == uid, let restored = run.spec?.target?.newService {
            service = restored
            snapshot.service = restored
        }
        // The template may have become another one, and the run may be gone.
        if uid == clone.status?.completedRunUID, let copied = clone.status?.copied {
            service = copied.service
            snapshot.service = copied.service
        }
        let names = ServiceNames(service: service.name ?? "", runUID: uid)
        snapshot.statefulSet = reader.object(StatefulSet.self, space, names.statefulSet)
        if case .absent = snapshot.statefulSet {
            snapshot.statefulSet = reader.confirmed(StatefulSet.self, space, names.statefulSet)
        }
        snapshot.claim = reader.object(PersistentVolumeClaim.self, space, names.claim)
        // Around a claim that is not there any more Kubernetes would make an empty one, and the image a new database: a cache
        // that is late is not believed then.
        if snapshot.claim.value == nil || snapshot.statefulSet.value == nil {
            snapshot.claim = reader.confirmed(PersistentVolumeClaim.self, space, names.claim)
        }
        snapshot.pod = reader.object(Pod.self, space, names.pod)
        if !clone.metadata.isDeleting {
            snapshot.podRefusal = reader.podRefusal(of: snapshot.statefulSet.value, without: snapshot.pod)
        }
        if clone.metadata.isDeleting {
            snapshot.jobs = reader.objects(Job.self, space, labelled: Label.runUID, uid)
            if case .absent = snapshot.pod { snapshot.pod = reader.confirmed(Pod.self, space, names.pod) }
            snapshot.clientService = reader.confirmed(Service.self, space, names.clientService)
            snapshot.headlessService = reader.confirmed(Service.self, space, names.headlessService)
        } else if case .absent = snapshot.statefulSet {
            observeRepositories(clone, service, &snapshot, &reader)
            snapshot.headlessService = RestoreRunBehavior.confirming(
                Service.self, space, names.headlessService, &reader)
            snapshot.clientService = RestoreRunBehavior.confirming(Service.self, space, names.clientService, &reader)
        }
        return snapshot
    }

    /// Read only to make a deleted StatefulSet again.
    private static func observeRepositories(
        _ clone: ServiceClone, _ service: NewService, _ snapshot: inout ServiceCloneSnapshot,
        _ reader: inout some Reader
    ) {
        let space = clone.metadata.namespace ?? ""
        if let own = service.archive, !own.isDisabled, let name = own.repository?.name {
            snapshot.archiveRepository = reader.object(BackupRepository.self, space, name)
        }
    }
}
