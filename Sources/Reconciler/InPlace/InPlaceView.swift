// SPDX-License-Identifier: Apache-2.0

package import Resources

/// What a run that works in place sees beside what all runs see.
package struct InPlaceView: Equatable, Sendable {
    /// `nil` when the spec asks for what can't be done; what was planned can still be taken back.
    package var request: InPlaceRequest?
    package var service: Observed<ManagedService> = .unknown
    package var workload: Observed<ServiceWorkload> = .unknown
    /// The service that the source names, when it is another one.
    package var sourceService: Observed<ManagedService> = .unknown
    package var sourceBackup: Observed<ServiceBackup> = .unknown
    /// What that one says of where it is, or said when the run was planned.
    package var discovered: DiscoveredBackup?
    package var repository: Observed<BackupRepository> = .unknown
    /// The run whose replaced data is to be put back.
    package var rolledBack: Observed<RestoreRun> = .unknown
    /// The run that the lock on the StatefulSet names.
    package var holder: Observed<RestoreRun> = .unknown
    package var approvals: Observed<[RestoreApproval]> = .unknown
    /// What the repository has published of the source; read last, before the run begins.
    package var catalog: Observed<ConfigMap>?
    package var permits: [JobRole: Observed<ConfigMap>] = [:]
    /// Of the target's namespace, those by which the controller reaches its ledger; read only to plan.
    package var ledgerServices: [String: Observed<Service>] = [:]

    package init(_ request: InPlaceRequest?) { self.request = request }

    /// The lock, as it stands on the StatefulSet.
    package var lock: TargetLock? { workload.value.flatMap { TargetLock($0.metadata.annotations) } }
}

/// The lock on a StatefulSet: visible, no rollout, and gone with the object. It is valid only while the run that it names
/// exists and has not ended, so it needs no expiry.
package struct TargetLock: Equatable, Sendable {
    /// On the StatefulSet: the UID of the run that works on it.
    package static let annotation = "reprise.dev/run"
    /// On the StatefulSet: that run's name.
    package static let nameAnnotation = "reprise.dev/run-name"

    package var runUID: String
    package var runName: String

    package init(runUID: String, runName: String) {
        self.runUID = runUID
        self.runName = runName
    }

    package init?(_ annotations: [String: String]?) {
        guard let uid = annotations?[Self.annotation], !uid.isEmpty else { return nil }
        self.init(runUID: uid, runName: annotations?[Self.nameAnnotation] ?? "")
    }

    package var annotations: [String: String?] { [Self.annotation: runUID, Self.nameAnnotation: runName] }

    /// Takes it off, and nobody else's.
    static func takeOff(_ workload: ServiceWorkload) -> Effect {
        let held = (workload.metadata.annotations ?? [:]).filter { [annotation, nameAnnotation].contains($0.key) }
        return .dropAnnotations(workload.seen, held)
    }

    /// That another run has it.
    func finding(_ workload: String) -> PlanFinding {
        guard !runName.isEmpty else {
            return PlanFinding(
                reason: "TargetBusy",
                message:
                    "StatefulSet \(workload) is locked by the run with UID \(runUID), whose name is not there: remove "
                    + "annotation \(Self.annotation) if no such run is at work")
        }
        return PlanFinding(reason: "TargetBusy", message: "RestoreRun \(runName) works on StatefulSet \(workload)")
    }

    /// Whether another run has it, as far as its object says.
    /// - Returns: `nil` while that is being read.
    package func isHeld(against runUID: String, _ holder: Observed<RestoreRun>) -> Bool? {
        if self.runUID == runUID { return false }
        // It can't be looked for: only a person can tell.
        if runName.isEmpty { return true }
        switch holder {
        case .unknown, .absent(confirmed: false): return nil
        case .absent(confirmed: true): return false
        case .present(let run):
            guard run.metadata.uid == self.runUID else { return false }
            return !(run.status?.state?.known?.isTerminal ?? false)
        }
    }
}

extension RestoreRunBehavior {
    /// Reads what a run that works in place needs at its stage.
    static func observeInPlace(_ snapshot: inout RestoreRunSnapshot, through reader: inout some Reader) {
        let run = snapshot.run
        let request = snapshot.understandInPlace(through: &reader)
        var view = InPlaceView(request)
        let space = run.metadata.namespace ?? ""
        let planned = snapshot.record.inPlace
        if let name = request?.service { view.service = reader.object(ManagedService.self, space, name) }
        if let name = planned?.workload ?? view.service.value?.spec?.workload?.name {
            view.workload = watching(ServiceWorkload.self, space, name, &reader)
        }
        let isUnderWay = snapshot.state == .running || snapshot.record.ending != nil
        if isUnderWay, snapshot.record.ending == nil, !snapshot.isDone(.serve), let workload = view.workload.value,
            view.lock?.runUID != run.metadata.uid
        {
            // A watch may be behind the lock that this run has put there.
            view.workload = reader.confirmed(ServiceWorkload.self, space, workload.metadata.name)
        }
        if let lock = view.lock, lock.runUID != run.metadata.uid, !lock.runName.isEmpty {
            view.holder = confirming(RestoreRun.self, space, lock.runName, &reader)
        }
        if isUnderWay, let planned {
            observeWork(planned, &view, &snapshot, &reader)
        } else if let request {
            observeForPlan(request, &view, &snapshot, &reader)
        }
        snapshot.inPlace = view
    }

    private static func observeWork(
        _ planned: InPlaceRecord, _ view: inout InPlaceView, _ snapshot: inout RestoreRunSnapshot,
        _ reader: inout some Reader
    ) {
        let run = snapshot.run
        let space = run.metadata.namespace ?? ""
        let scope = RunScope(namespace: space, runUID: run.metadata.uid ?? "")
        snapshot.pod = watching(Pod.self, space, planned.pod, &reader)
        snapshot.claim = watching(PersistentVolumeClaim.self, space, planned.claim, &reader)
        for role in [JobRole.replace, .undo] {
            view.permits[role] = watching(ConfigMap.self, space, scope.permit(role), &reader)
        }
        if snapshot.record.ending != nil {
            snapshot.jobs[.replace] = .observe(.replace, of: scope, through: &reader)
            if planned.isBegun == true, planned.isSwapped != true {
                snapshot.lookAtSpace(through: &reader)
                snapshot.jobs[.undo] = .observe(.undo, of: scope, through: &reader)
            }
            return
        }
        if snapshot.record.mayWriteSince == nil {
            view.approvals = reader.objects(
                RestoreApproval.self, space, labelled: RestoreApproval.runIndex, scope.runUID)
        }
        if snapshot.isDone(.start), !snapshot.isDone(.serve), snapshot.pod.value == nil,
            let owner = view.workload.value, owner.replicas > 0, !owner.isDeleting
        {
            snapshot.podRefusal = reader.podRefusal(of: owner.seen)
        }
        if let request = view.request { observePlannedSource(request, &view, &snapshot, &reader) }
        if view.repository.isConfirmedAbsent || view.sourceService.isConfirmedAbsent {
            snapshot.lookAtSpace(through: &reader)
        }
        if snapshot.isDone(.permit), !snapshot.isDone(.replace) {
            let job = JobObservation.observe(.replace, of: scope, through: &reader)
            snapshot.jobs[.replace] = job
            if view.permits[.replace]?.isConfirmedAbsent == true {
                snapshot.lookAtSpace(through: &reader)
            }
            if job.made != nil { followLog(of: scope.job(.replace, job.ordinal), &snapshot, &reader) }
        }
    }

    /// How far the Job has come is told by its log, as in a restoring pod.
    private static func followLog(
        of job: String, _ snapshot: inout RestoreRunSnapshot, _ reader: inout some Reader
    ) {
        let space = snapshot.run.metadata.namespace ?? ""
        let pods = reader.objects(Pod.self, space, labelled: Label.job, job).value ?? []
        for pod in pods where !pod.metadata.isDeleting {
            let status = pod.status?.containerStatuses?.first { $0.name == PostgresJobs.container }
            guard status?.hasBegun == true else { continue }
            let format = LineFormat(patterns: PostgresLog.patterns, restart: 0)
            snapshot.lines[.fetcher] = reader.lines(of: pod.seen, container: PostgresJobs.container, as: format)
            return
        }
    }

    private static func observeForPlan(
        _ request: InPlaceRequest, _ view: inout InPlaceView, _ snapshot: inout RestoreRunSnapshot,
        _ reader: inout some Reader
    ) {
        guard snapshot.status.plan == nil else {
            view.approvals = reader.objects(
                RestoreApproval.self, request.namespace, labelled: RestoreApproval.runIndex, request.runUID)
            if let planned = snapshot.record.inPlace {
                observePlannedSource(request, &view, &snapshot, &reader)
                snapshot.claim = watching(PersistentVolumeClaim.self, request.namespace, planned.claim, &reader)
                if view.lock?.runUID == request.runUID {
                    snapshot.jobs[.recheck] = .observe(.recheck, of: request.scope, through: &reader)
                }
                if case .done = snapshot.jobs[.recheck]?.state {
                    view.catalog = catalog(of: request, planned, view, &reader)
                }
            }
            return
        }
        observeSource(request, &view, &snapshot, &reader)
        view.ledgerServices = LedgerTarget.observe(request, snapshot.run, through: &reader)
        guard let service = view.service.value, let workload = view.workload.value,
            case .success(let unit) = ServiceUnit.read(service, workload)
        else { return }
        snapshot.claim = watching(PersistentVolumeClaim.self, request.namespace, unit.claim, &reader)
        snapshot.pod = watching(Pod.self, request.namespace, unit.pod, &reader)
        snapshot.jobs[.inspect] = .observe(.inspect, of: request.scope, through: &reader)
        if view.repository.value != nil, !request.isRollback {
            snapshot.jobs[.scanSource] = .observe(.scanSource, of: request.scope, through: &reader)
        }
    }

    static func observeSource(
        _ request: InPlaceRequest, _ view: inout InPlaceView, _ snapshot: inout RestoreRunSnapshot,
        _ reader: inout some Reader
    ) {
        let space = request.namespace
        switch request.source {
        case .service(let name) where name != request.service:
            view.sourceService = reader.object(ManagedService.self, space, name)
        case .rollback(let name): view.rolledBack = confirming(RestoreRun.self, space, name, &reader)
        case .backup(let name):
            view.discovered = snapshot.record.discovered
            if view.discovered == nil {
                view.sourceBackup = reader.object(ServiceBackup.self, space, name)
                view.discovered = view.sourceBackup.value?.spec?.discovered
            }
        case .service, .archive: break
        }
        if let source = view.source { view.repository = reader.object(BackupRepository.self, space, source.repository) }
    }

    private static func catalog(
        of request: InPlaceRequest, _ planned: InPlaceRecord, _ view: InPlaceView, _ reader: inout some Reader
    ) -> Observed<ConfigMap>? {
        guard !request.isRollback, let source = view.source, let major = planned.major,
            let path = view.repository.value.flatMap({ RepositoryAccess($0)?.path(of: source) })
        else { return nil }
        let name = PublishedCatalog.configMapName(
            repository: source.repository, path: RepositoryAccess.trimmed(path), major: major)
        return reader.confirmed(ConfigMap.self, request.namespace, name)
    }

    /// Once planned, a run ends when what it was planned for is gone: that must be sure.
    private static func observePlannedSource(
        _ request: InPlaceRequest, _ view: inout InPlaceView, _ snapshot: inout RestoreRunSnapshot,
        _ reader: inout some Reader
    ) {
        observeSource(request, &view, &snapshot, &reader)
        if case .service(let name) = request.source, case .absent(confirmed: false) = view.sourceService {
            view.sourceService = reader.confirmed(ManagedService.self, request.namespace, name)
        }
        if let source = view.source, case .absent(confirmed: false) = view.repository {
            view.repository = reader.confirmed(BackupRepository.self, request.namespace, source.repository)
        }
    }

    /// From the watch of the one object, and by a quorum read where it is not there: absence is believed only then.
    static func watching<R: Resource>(
        _ type: R.Type, _ namespace: String, _ name: String, _ reader: inout some Reader
    ) -> Observed<R> {
        let seen = reader.watched(type, namespace, name)
        if case .absent(confirmed: false) = seen { return reader.confirmed(type, namespace, name) }
        return seen
    }
}

extension InPlaceView {
    /// Where the data is read from, or, for a rollback, the archive in which recovery looks for timelines: the service's own.
    var source: RunRequest.Source? {
        switch request?.source {
        case .archive(let source): source
        case .service(let name): Self.archive(of: name == request?.service ? service.value : sourceService.value)
        case .rollback: Self.archive(of: service.value)
        case .backup:
            discovered.flatMap { found in
                guard let repository = found.repository?.name, let path = found.path else { return nil }
                return RunRequest.Source(repository: repository, path: path)
            }
        case nil: nil
        }
    }

    /// The service's own archive.
    var own: RunRequest.Source? { Self.archive(of: service.value) }

    private static func archive(of service: ManagedService?) -> RunRequest.Source? {
        guard let archive = service?.spec?.archive, let repository = archive.repository?.name, let path = archive.path
        else { return nil }
        return RunRequest.Source(repository: repository, path: path)
    }
}
