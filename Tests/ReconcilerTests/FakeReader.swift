// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources

/// A reader over a fixed picture of the world: what is not in it is surely absent.
struct FakeReader: Reader {
    /// Quorum reads that are under way.
    var unread: Set<Ref> = []
    var settings = Settings(agentImage: "registry.example.com/agent:1", controllerNamespace: "reprise-system")
    var objects: [Ref: any Resource] = [:]
    /// Objects of strangers: the cache does not have them; a quorum read does, and a watch of one object.
    var strangers: [Ref: any Resource] = [:]
    /// What the cache still has, and the server has no more.
    var gone: Set<Ref> = []
    /// What the server has, where the cache is behind.
    var newer: [Ref: any Resource] = [:]
    /// Quorum lists have not been answered yet.
    var isLookingAtLists = false
    /// By pod name.
    var logs: [String: LogFacts] = [:]
    /// What running containers' logs give away, by container.
    var lineFacts: [String: LineFacts] = [:]
    /// Why pods are not made, by the name of their owner.
    var refusals: [String: Observed<PodRefusal>] = [:]
    var ledgerAnswer: Observed<LedgerAnswer> = .absent(confirmed: true)
    var failure: Failure?
    var refusal: ReadFailure?
    /// What was asked for, to see what a terminal run still holds.
    var reads = 0

    mutating func add(_ object: some Resource) { objects[object.ref] = object }

    mutating func object<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R> {
        reads += 1
        let found = objects[Ref(R.resourceKind, namespace, name)] as? R
        return found.map { .present($0) } ?? .absent(confirmed: false)
    }

    mutating func objects<R: Resource>(
        _ type: R.Type, _ namespace: String, labelled label: String, _ value: String
    ) -> Observed<[R]> {
        reads += 1
        let found = objects.values.compactMap { $0 as? R }.filter {
            $0.metadata.namespace == namespace && $0.indexed?[label] == value
        }
        return .present(found.sorted { $0.metadata.name < $1.metadata.name })
    }

    mutating func watched<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R> {
        reads += 1
        let ref = Ref(R.resourceKind, namespace, name)
        let found = (objects[ref] ?? strangers[ref]) as? R
        return found.map { .present($0) } ?? .absent(confirmed: false)
    }

    mutating func confirmed<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> Observed<R> {
        reads += 1
        let ref = Ref(R.resourceKind, namespace, name)
        if unread.contains(ref) { return .unknown }
        let found = gone.contains(ref) ? nil : (newer[ref] ?? objects[ref] ?? strangers[ref]) as? R
        return found.map { .present($0) } ?? .absent(confirmed: true)
    }

    mutating func confirmedObjects<R: Resource>(
        _ type: R.Type, _ namespace: String, labelled label: String, _ value: String
    ) -> Observed<[R]> {
        reads += 1
        guard !isLookingAtLists else { return .unknown }
        let found = (Array(objects.values) + Array(strangers.values)).compactMap { $0 as? R }.filter {
            $0.metadata.namespace == namespace && $0.metadata.labels?[label] == value
        }
        return .present(found.sorted { $0.metadata.name < $1.metadata.name })
    }

    mutating func log(of pod: Seen, container: String, as format: LogFormat) -> Observed<LogFacts> {
        reads += 1
        return logs[pod.ref.name].map { .present($0) } ?? .unknown
    }

    mutating func lines(of pod: Seen, container: String, as format: LineFormat) -> Observed<LineFacts> {
        reads += 1
        return lineFacts[container].map { .present($0) } ?? .unknown
    }

    mutating func podRefusal(of owner: Seen) -> Observed<PodRefusal> {
        reads += 1
        return refusals[owner.ref.name] ?? .unknown
    }

    mutating func ledger(_ question: LedgerQuestion) -> Observed<LedgerAnswer> {
        reads += 1
        return ledgerAnswer
    }

    mutating func lastFailure() -> Failure? {
        reads += 1
        return failure
    }

    func readFailure() -> ReadFailure? { refusal }
}

/// The objects of one story: `staging/orders`, cloned from `prod/orders` of repository `prod`.
enum Story {
    static let uid = "3f2a91c0-1111-4222-8333-444455556666"
    static let systemIdentifier = "7507672962298572862"
    static let now = Timestamp(seconds: 1_800_000_000)

    static var service: NewService {
        var service = NewService()
        service.name = "orders"
        service.image = "registry.example.com/postgres-walg:15"
        service.major = 15
        service.storage = .init(size: "10Gi")
        service.archive = .init(repository: .init(name: "own"), path: "orders", schedule: "0 3 * * *")
        return service
    }

    static var spec: RestoreRunSpec {
        var spec = RestoreRunSpec()
        spec.mode = Open(.newService)
        spec.source = RestoreSource(archive: .init(repository: .init(name: "prod"), path: "orders"))
        spec.target = .init(newService: service)
        return spec
    }

    static func run(_ status: RestoreRunStatus? = nil, _ change: (inout RestoreRunSpec) -> Void = { _ in })
        -> RestoreRun
    {
        var spec = spec
        change(&spec)
        return RestoreRun(
            metadata: ObjectMeta(
                name: "orders-1", namespace: "staging", uid: uid, resourceVersion: "7", generation: 1,
                creationTimestamp: now, finalizers: [recordFinalizer]),
            spec: spec, status: status)
    }

    static func repository(
        _ name: String, prefix: String, allowed: [String]? = ["registry.example.com/postgres-walg"]
    ) -> BackupRepository {
        BackupRepository(
            metadata: ObjectMeta(name: name, namespace: "staging", uid: "r-\(name)", resourceVersion: "1"),
            spec: BackupRepositorySpec(
                s3: S3Location(endpoint: "https://s3.example.com", bucket: "backups", prefix: prefix),
                credentials: RepositoryCredentials(secretRef: .init(name: "\(name)-s3")), allowedImages: allowed))
    }

    static var backup: ScannedBackup {
        var backup = ScannedBackup(name: "base_000000010000000000000002", lastModified: now.adding(seconds: -600))
        backup.startTime = now.adding(seconds: -660)
        backup.finishTime = now.adding(seconds: -620)
        backup.startLSN = "0/2000028"
        backup.finishLSN = "0/2000138"
        backup.pgVersion = 150_015
        backup.systemIdentifier = systemIdentifier
        backup.uncompressedSize = 24_000_000
        backup.parts = 4
        backup.partBytes = 8_000_000
        return backup
    }

    /// `prod/orders` as the bucket has it: one backup, and segments from one before it to the archive's end.
    static var listing: ArchiveListing {
        var listing = ArchiveListing(path: "prod/orders", major: 15, seenAt: now)
        listing.segmentSize = 16 << 20
        listing.backups = [backup]
        listing.backupsTotal = 1
        listing.ranges = [
            SegmentRange(
                first: "000000010000000000000001", last: "000000010000000000000005",
                firstModified: now.adding(seconds: -3_600), lastModified: now.adding(seconds: -60))
        ]
        listing.objects = 11
        return listing
    }

    static func listed(_ change: (inout ArchiveListing) -> Void) -> ScanResult {
        scan { result in
            var listing = Story.listing
            change(&listing)
            result.listing = listing
        }
    }

    static func scan(_ change: (inout ScanResult) -> Void = { _ in }) -> ScanResult {
        var scan = ScanResult(attempt: "", code: "OK")
        scan.majors = [15]
        scan.listing = listing
        scan.objects = 11
        scan.fingerprint = SourceFingerprint(keys: 11, digest: "d", at: now)
        change(&scan)
        return scan
    }

    /// A reader in which both repositories are there and both scans have answered.
    static func scanned(source: ScanResult = scan(), own: ScanResult = ScanResult(attempt: "", code: "OK"))
        -> FakeReader
    {
        var reader = FakeReader()
        reader.add(repository("prod", prefix: "prod"))
        reader.add(repository("own", prefix: "staging"))
        reader.finish(.scanSource, .scan(source))
        reader.finish(.scanArchive, .scan(own))
        return reader
    }

    static let names = ServiceNames(service: "orders", runUID: uid)
}

extension FakeReader {
    /// A Job of the story's run that has ended with this result.
    mutating func finish(
        _ role: JobRole, _ facts: LogFacts, ordinal: Int = 1,
        names: RunScope = RunScope(namespace: "staging", runUID: Story.uid)
    ) {
        let name = names.job(role, ordinal)
        let labels = [Label.runUID: Story.uid, Label.job: name]
        add(
            Job(
                metadata: ObjectMeta(
                    name: name, namespace: "staging", uid: "j-\(name)", resourceVersion: "3", labels: labels),
                status: .init(conditions: [.init(type: "Complete", status: "True")])))
        var pod = Pod(
            metadata: ObjectMeta(
                name: "\(name)-x", namespace: "staging", uid: "p-\(name)", resourceVersion: "4", labels: labels),
            status: .init(phase: "Succeeded"))
        pod.status?.containerStatuses = [Self.ended]
        add(pod)
        logs["\(name)-x"] = facts
    }

    private static var ended: Pod.ContainerStatus {
        .init(name: PostgresJobs.container, terminated: .init(exitCode: 0, message: "{}"))
    }

    /// The row as the ledger has it once `status` has been written.
    mutating func recorded(_ run: RestoreRun, _ status: RestoreRunStatus) {
        let entry = RestoreRunBehavior.entry(for: run, status)
        var row = LedgerRow(id: "1", status: entry.status, phase: entry.phase, attempt: entry.attempt)
        row.failedPhase = entry.failedPhase
        row.planHash = entry.planHash
        row.errorMessage = entry.errorMessage
        row.bytesRestored = entry.bytesRestored
        ledgerAnswer = .present(.run(row))
    }
}

/// One pass: what is seen, and what follows.
func pass(_ run: RestoreRun, _ reader: inout FakeReader, at now: Timestamp = Story.now) -> Decision<RestoreRunStatus> {
    RestoreRunBehavior.decide(RestoreRunBehavior.observe(run, through: &reader), at: now)
}

/// Passes until nothing changes any more, with the ledger following each status; gives the last status.
func settle(
    _ run: RestoreRun, _ reader: FakeReader, at now: Timestamp = Story.now
) -> (run: RestoreRun, last: Decision<RestoreRunStatus>, effects: [Effect]) {
    var run = run
    var reader = reader
    var effects: [Effect] = []
    for _ in 0..<12 {
        let decision = pass(run, &reader, at: now)
        effects += decision.effects
        guard let status = decision.status, status != run.status else { return (run, decision, effects) }
        run.status = status
        reader.recorded(run, status)
    }
    return (run, Decision(), effects)
}

extension Effect {
    /// What the effect creates, if it creates a child.
    var child: Child? {
        if case .create(let child) = self { return child }
        return nil
    }
}
