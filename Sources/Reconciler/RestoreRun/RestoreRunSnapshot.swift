// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Everything that a decision about a run looks at.
package struct RestoreRunSnapshot: Equatable, Sendable {
    private let given: Given
    package var settings: Settings
    package var failure: Failure?
    package var ledger: Observed<LedgerAnswer>
    /// What stands in for the run's row; read only when the ledger could not be asked, when the run has ended, or is to
    /// begin without the ledger.
    package var spool: Observed<ConfigMap>
    /// The spec, read and checked; `nil` when it asks for what can't be done.
    package var request: RunRequest?
    package var findings: [PlanFinding]
    /// What the new service is to copy; read only to plan.
    package var template: TemplateView?
    /// The digest of what was asked for.
    var specDigest: String { knownDigest ?? RestoreRunBehavior.specDigest(run) }
    private var knownDigest: String?
    /// What is wrong with the repositories' specs, if that was looked at already.
    private(set) var sourceFindings: [Finding]?
    private(set) var archiveFindings: [Finding]?
    /// The same for a run that works in place.
    package var inPlace: InPlaceView?
    package var sourceService: Observed<ManagedService>
    /// The services that write to the archive which is read: what their owners ask of a restore holds, however the archive
    /// was named. Read only to plan.
    package var archiveServices: Observed<[ManagedService]> = .unknown
    /// Read only while the run waits for one.
    package var approvals: Observed<[RestoreApproval]> = .unknown
    /// Read until it has said where it is; that is remembered.
    package var sourceBackup: Observed<ServiceBackup>
    package var sourceRepository: Observed<BackupRepository>
    package var archiveRepository: Observed<BackupRepository>
    /// The run that this one repeats; read only to plan.
    package var retryOf: Observed<RestoreRun>
    /// The clone that asked for the run, if checks are to be found there; read only to plan.
    package var clone: Observed<ServiceClone>
    package var jobs: [JobRole: JobObservation]
    /// What the logs of the restoring pod's containers say; read only while it restores.
    package var lines: [RestoringContainer: Observed<LineFacts>]
    /// Every Job of the run; read only to take away what it made.
    package var ownJobs: Observed<[Job]>
    /// What has the service's names, by quorum reads: seen by the plan, to refuse what is there already.
    package var occupants: Occupants
    package var claim: Observed<PersistentVolumeClaim>
    /// The same by a quorum read; read only while the service is about to be opened.
    package var claimToOpen: Observed<PersistentVolumeClaim> = .unknown
    package var statefulSet: Observed<StatefulSet>
    package var pod: Observed<Pod>
    /// Why there is none; read only while there should be one.
    package var podRefusal: Observed<PodRefusal> = .unknown
    package var clientService: Observed<Service>
    package var headlessService: Observed<Service>
    /// What can't be read, and keeps the run from going on.
    package var unread: ReadFailure?
    /// The run's namespace, by a quorum read; read only where something is gone that may have gone with it.
    package var space: Observed<Namespace> = .unknown
    /// Whether the namespace is going or gone, and everything of the run with it, in any order; `nil` while that is being
    /// read.
    var isSpaceLeaving: Bool? { space.isUnknown ? nil : space.value?.metadata.isDeleting ?? true }

    package struct Occupants: Equatable, Sendable {
        package var claim: Observed<PersistentVolumeClaim> = .unknown
        package var statefulSet: Observed<StatefulSet> = .unknown
        package var clientService: Observed<Service> = .unknown
        package var headlessService: Observed<Service> = .unknown

        package init() {}
    }

    /// The run as it was read, with the parts of it that decisions look at all the time. Behind a reference: a run is
    /// large, and neither a copy of the snapshot nor a look at one field of the record should copy it.
    private final class Given: Equatable, Sendable {
        let run: RestoreRun
        let status: RestoreRunStatus
        let record: RestoreRecord

        init(_ run: RestoreRun) {
            self.run = run
            status = run.status ?? RestoreRunStatus()
            record = status.restore ?? RestoreRecord()
        }

        static func == (left: Given, right: Given) -> Bool { left === right || left.run == right.run }
    }

    package init(run: RestoreRun, settings: Settings) {
        given = Given(run)
        self.settings = settings
        self.ledger = .unknown
        self.spool = .unknown
        self.findings = []
        self.inPlace = nil
        self.sourceService = .unknown
        self.sourceBackup = .unknown
        self.sourceRepository = .unknown
        self.archiveRepository = .unknown
        self.retryOf = .unknown
        self.clone = .unknown
        self.jobs = [:]
        self.lines = [:]
        self.ownJobs = .unknown
        self.occupants = Occupants()
        self.claim = .unknown
        self.statefulSet = .unknown
        self.pod = .unknown
        self.clientService = .unknown
        self.headlessService = .unknown
    }

    package var run: RestoreRun { given.run }
    package var status: RestoreRunStatus { given.status }
    package var state: RunState? { given.status.state?.known }
    package var record: RestoreRecord { given.record }

    /// The names of what this run made: as first asked for, and not as an edited spec says.
    package var madeNames: ServiceNames? {
        let name = record.serviceName ?? request?.serviceName
        return name.map { ServiceNames(service: $0, runUID: run.metadata.uid ?? "") }
    }

    /// It replaces the data of a service. Goes by the record: a spec may have been edited.
    package var isInPlace: Bool {
        record.inPlace != nil
            || (record.serviceName == nil && run.spec?.target?.service != nil)
    }

    package func isDone(_ step: Step.Name) -> Bool {
        given.record.completedSteps?.contains(step.rawValue) ?? false
    }

    /// All that a request is made of.
    private struct Asked: Equatable, Sendable {
        var namespace: String?
        var name: String
        var uid: String?
        var spec: RestoreRunSpec?
        var copied: CopiedService?
    }

    /// What follows from the spec alone: nearly all passes are about something else.
    private struct Understood<Request: Sendable>: Sendable {
        var request: Request?
        var findings: [PlanFinding]
        var digest: String
    }

    /// Reads what is asked for of a run that makes a new service.
    fileprivate mutating func understand(through reader: inout some Reader) {
        request = understand("request", through: &reader) { RunRequest.read($0) }
    }

    /// Reads what is asked for of a run in place.
    mutating func understandInPlace(through reader: inout some Reader) -> InPlaceRequest? {
        understand("request in place", through: &reader, InPlaceRequest.read)
    }

    private mutating func understand<Request: Sendable>(
        _ topic: String, through reader: inout some Reader,
        _ read: (RestoreRun) -> (request: Request?, findings: [PlanFinding])
    ) -> Request? {
        let run = run
        let metadata = run.metadata
        let asked = Asked(
            namespace: metadata.namespace, name: metadata.name, uid: metadata.uid, spec: run.spec,
            copied: record.copied)
        let understood = reader.remembered(topic, of: asked) { _ in
            let (request, findings) = read(run)
            return Understood(request: request, findings: findings, digest: RestoreRunBehavior.specDigest(run))
        }
        findings = understood.findings
        knownDigest = understood.digest
        return understood.request
    }

    mutating func lookAtSpace(through reader: inout some Reader) {
        space = reader.confirmed(Namespace.self, "", run.metadata.namespace ?? "")
    }

    /// Checks the repositories that are there.
    fileprivate mutating func checkRepositories(through reader: inout some Reader) {
        let isLoopbackAllowed = settings.allowLoopbackEndpoints
        if let spec = sourceRepository.value?.spec {
            sourceFindings = reader.remembered("source repository", of: spec) {
                validate($0, allowLoopback: isLoopbackAllowed)
            }
        }
        if let spec = archiveRepository.value?.spec {
            archiveFindings = reader.remembered("archive repository", of: spec) {
                validate($0, allowLoopback: isLoopbackAllowed)
            }
        }
    }
}

extension RestoreRunBehavior {
    /// Reads what the run's stage needs and nothing else: a run that has ended and is recorded reads nothing.
    package static func observe(_ run: RestoreRun, through reader: inout some Reader) -> RestoreRunSnapshot {
        var snapshot = look(at: run, through: &reader)
        snapshot.unread = reader.readFailure()
        return snapshot
    }

    private static func look(at run: RestoreRun, through reader: inout some Reader) -> RestoreRunSnapshot {
        var snapshot = RestoreRunSnapshot(run: run, settings: reader.settings)
        let uid = run.metadata.uid ?? ""
        let status = snapshot.status
        let isTerminal = status.state?.known?.isTerminal ?? false
        let isRecorded = status.conditions?.isTrue(RunCondition.recorded) ?? false
        if isTerminal && isRecorded && !(run.metadata.finalizers?.contains(recordFinalizer) ?? false) {
            if mustTidy(snapshot) { observeTidying(&snapshot, through: &reader) }
            return snapshot
        }
        snapshot.failure = reader.lastFailure()
        snapshot.ledger = reader.ledger(.run(uid: uid))
        if isTerminal || mayRelyOnSpool(snapshot), case .present(.unavailable) = snapshot.ledger {
            snapshot.spool = reader.object(
                ConfigMap.self, snapshot.settings.controllerNamespace, spoolName(runUID: uid))
        }
        if isTerminal { return snapshot }
        if mustKnowSpace(snapshot) { snapshot.lookAtSpace(through: &reader) }
        if snapshot.isInPlace {
            observeInPlace(&snapshot, through: &reader)
            return snapshot
        }
        snapshot.understand(through: &reader)
        if snapshot.record.ending != nil {
            if let names = snapshot.madeNames { observeWhatIsToBeRemoved(names, &snapshot, &reader) }
            return snapshot
        }
        observeTemplate(&snapshot, through: &reader)
        guard let request = snapshot.request else { return snapshot }
        observeRepositories(request, &snapshot, &reader)
        if snapshot.state == .running {
            observeTarget(request, &snapshot, &reader)
        } else {
            observeForPlan(request, &snapshot, &reader)
        }
        return snapshot
    }

    static func observeRepositories(
        _ request: RunRequest, _ snapshot: inout RestoreRunSnapshot, _ reader: inout some Reader
    ) {
        if let name = request.sourceServiceName {
            snapshot.sourceService = reader.object(ManagedService.self, request.namespace, name)
        }
        if let name = request.sourceBackupName {
            if snapshot.record.discovered == nil {
                snapshot.sourceBackup = reader.object(ServiceBackup.self, request.namespace, name)
            }
            snapshot.request = request.resolved(discovered(snapshot))
        }
        if let source = resolvedSource(snapshot) {
            snapshot.sourceRepository = reader.object(BackupRepository.self, request.namespace, source.repository)
        }
        if let archive = request.archive {
            snapshot.archiveRepository = reader.object(BackupRepository.self, request.namespace, archive.repository)
        }
    }

    private static func observeForPlan(
        _ request: RunRequest, _ snapshot: inout RestoreRunSnapshot, _ reader: inout some Reader
    ) {
        let space = request.namespace
        guard snapshot.status.plan == nil else {
            // Already planned: nothing more is asked until the run starts.
            if snapshot.record.approvalAskedBy != nil {
                snapshot.approvals = reader.objects(
                    RestoreApproval.self, space, labelled: RestoreApproval.runIndex, request.scope.runUID)
            }
            return
        }
        observeArchiveServices(request, &snapshot, &reader)
        if let name = request.retryOf { snapshot.retryOf = reader.object(RestoreRun.self, space, name) }
        if !request.checks.isEmpty, let name = request.clone {
            snapshot.clone = reader.object(ServiceClone.self, space, name)
        }
        snapshot.checkRepositories(through: &reader)
        guard snapshot.sourceRepository.value != nil else { return }
        snapshot.jobs[.scanSource] = .observe(.scanSource, of: request.scope, through: &reader)
        if snapshot.archiveRepository.value != nil {
            snapshot.jobs[.scanArchive] = .observe(.scanArchive, of: request.scope, through: &reader)
        }
        // Last, and once: a quorum read is asked again whenever the run's own status was written.
        let isSeen = snapshot.jobs.values.allSatisfy { job in
            if case .done = job.state { true } else { false }
        }
        if isSeen { observeOccupants(request, &snapshot, &reader) }
    }

    /// What has the service's names already, strangers' objects too.
    static func observeOccupants(
        _ request: RunRequest, _ snapshot: inout RestoreRunSnapshot, _ reader: inout some Reader
    ) {
        let names = request.names
        let space = request.namespace
        snapshot.occupants.claim = reader.confirmed(PersistentVolumeClaim.self, space, names.claim)
        snapshot.occupants.statefulSet = reader.confirmed(StatefulSet.self, space, names.statefulSet)
        snapshot.occupants.clientService = reader.confirmed(Service.self, space, names.clientService)
        snapshot.occupants.headlessService = reader.confirmed(Service.self, space, names.headlessService)
        // Whosever it is: its end is heard of, and then it is read again.
        if snapshot.occupants.claim.value?.metadata.isDeleting == true {
            _ = reader.watched(PersistentVolumeClaim.self, space, names.claim)
        }
    }

    private static func observeTarget(
        _ request: RunRequest, _ snapshot: inout RestoreRunSnapshot, _ reader: inout some Reader
    ) {
        let names = request.names
        let space = request.namespace
        snapshot.claim = confirming(PersistentVolumeClaim.self, space, names.claim, &reader)
        snapshot.statefulSet = confirming(StatefulSet.self, space, names.statefulSet, &reader)
        if snapshot.isDone(.seal), !snapshot.isDone(.open), let statefulSet = snapshot.statefulSet.value,
            PostgresService.isToBeOpened(statefulSet, request.profile)
        {
            snapshot.claimToOpen = reader.confirmed(PersistentVolumeClaim.self, space, names.claim)
        }
        snapshot.pod = confirming(Pod.self, space, names.pod, &reader)
        // Also while the pod's absence is being confirmed: what is not asked for is forgotten.
        if !snapshot.isDone(.serve) {
            snapshot.podRefusal = reader.podRefusal(of: snapshot.statefulSet.value, without: snapshot.pod)
        }
        // Of no interest before the service is opened, and each quorum read is one for the API server.
        snapshot.clientService =
            snapshot.isDone(.seal)
            ? confirming(Service.self, space, names.clientService, &reader) : .absent(confirmed: false)
        if !snapshot.isDone(.restore), let pod = snapshot.pod.value, !pod.metadata.isDeleting {
            snapshot.lines = RestoringContainer.observe(pod, request.profile, through: &reader)
        }
        if !snapshot.isDone(.provision) {
            snapshot.headlessService = confirming(Service.self, space, names.headlessService, &reader)
        }
        let roles: [(Step.Name, Step.Name, JobRole)] = [
            (.quiesce, .seal, .seal), (.serve, .backup, .backup), (.serve, .compareSource, .compareSource),
        ]
        for (after, step, role) in roles where snapshot.isDone(after) && !snapshot.isDone(step) {
            snapshot.jobs[role] = .observe(role, of: request.scope, through: &reader)
        }
    }

    private static func observeWhatIsToBeRemoved(
        _ names: ServiceNames, _ snapshot: inout RestoreRunSnapshot, _ reader: inout some Reader
    ) {
        let space = snapshot.run.metadata.namespace ?? ""
        snapshot.claim = confirming(PersistentVolumeClaim.self, space, names.claim, &reader)
        snapshot.statefulSet = confirming(StatefulSet.self, space, names.statefulSet, &reader)
        snapshot.pod = confirming(Pod.self, space, names.pod, &reader)
        snapshot.clientService = confirming(Service.self, space, names.clientService, &reader)
        snapshot.headlessService = confirming(Service.self, space, names.headlessService, &reader)
        snapshot.ownJobs = reader.objects(Job.self, space, labelled: Label.runUID, snapshot.run.metadata.uid ?? "")
    }

    /// From the cache, and by a quorum read where the cache has nothing: absence is believed only then.
    static func confirming<R: Resource>(
        _ type: R.Type, _ namespace: String, _ name: String, _ reader: inout some Reader
    ) -> Observed<R> {
        let cached = reader.object(type, namespace, name)
        if case .absent = cached { return reader.confirmed(type, namespace, name) }
        return cached
    }

    /// What the run's ServiceBackup says of where it is, as first read.
    static func discovered(_ snapshot: RestoreRunSnapshot) -> DiscoveredBackup? {
        snapshot.record.discovered ?? snapshot.sourceBackup.value?.spec?.discovered
    }

    /// The archive to read, once the ManagedService that may name it has been read.
    static func resolvedSource(_ snapshot: RestoreRunSnapshot) -> RunRequest.Source? {
        if let source = snapshot.request?.source { return source }
        guard let archive = snapshot.sourceService.value?.spec?.archive, let repository = archive.repository?.name,
            let path = archive.path
        else { return nil }
        return RunRequest.Source(repository: repository, path: path)
    }
}
