// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// A repository in a fixed world: Jobs are made and end as the test says, ConfigMaps are written as decided.
struct RepositoryWorld {
    static let uid = "5c1e77aa-2222-4333-8444-555566667777"

    var repository: BackupRepository
    var reader = FakeReader()
    var now = Story.now
    private(set) var statusWrites = 0
    private(set) var versions = 100

    init(_ change: (inout BackupRepositorySpec) -> Void = { _ in }) {
        var spec = BackupRepositorySpec(
            s3: S3Location(endpoint: "https://s3.example.com", bucket: "backups", prefix: "prod"),
            credentials: RepositoryCredentials(secretRef: .init(name: "prod-s3")))
        change(&spec)
        repository = BackupRepository(
            metadata: ObjectMeta(
                name: "prod", namespace: "staging", uid: Self.uid, resourceVersion: "1", generation: 1,
                creationTimestamp: Story.now),
            spec: spec)
    }

    mutating func snapshot() -> BackupRepositorySnapshot {
        BackupRepositoryBehavior.observe(repository, through: &reader)
    }

    mutating func decide() -> Decision<BackupRepositoryStatus> {
        BackupRepositoryBehavior.decide(snapshot(), at: now)
    }

    /// Passes until nothing changes any more; gives all effects.
    mutating func settle() -> [Effect] {
        var effects: [Effect] = []
        for _ in 0..<12 {
            let decision = decide()
            var isNews = false
            if let status = decision.status, status != repository.status {
                repository.status = status
                statusWrites += 1
                isNews = true
            }
            for effect in decision.effects {
                carryOut(effect)
                effects.append(effect)
                isNews = true
            }
            if !isNews { return effects }
        }
        Issue.record("it never comes to rest")
        return effects
    }

    mutating func carryOut(_ effect: Effect) {
        versions += 1
        switch effect {
        case .create(.job(let manifest)):
            reader.add(
                Job(
                    metadata: ObjectMeta(
                        name: manifest.metadata.name, namespace: "staging", uid: "j-\(manifest.metadata.name)",
                        resourceVersion: "\(versions)", creationTimestamp: now, labels: manifest.metadata.labels,
                        annotations: manifest.metadata.annotations)))
        case .create(.serviceBackup(let manifest)):
            #expect(reader.objects[manifest.ref] == nil)
            reader.add(
                ServiceBackup(
                    metadata: ObjectMeta(
                        name: manifest.metadata.name, namespace: "staging", uid: "b-\(versions)",
                        resourceVersion: "\(versions)", generation: 1, labels: manifest.metadata.labels,
                        ownerReferences: manifest.metadata.ownerReferences),
                    spec: manifest.spec))
        case .create(.configMap(let manifest)):
            #expect(reader.objects[manifest.ref] == nil)
            add(manifest)
        case .replaceConfigMap(let seen, let manifest):
            #expect(reader.objects[manifest.ref]?.seen == seen)
            add(manifest)
        case .delete(let seen):
            #expect(reader.objects[seen.ref]?.seen == seen)
            reader.objects[seen.ref] = nil
        default: Issue.record("\(effect) is not a repository's")
        }
    }

    mutating func add(_ manifest: ConfigMapManifest) {
        let old = reader.objects[manifest.ref]?.metadata
        reader.add(
            ConfigMap(
                metadata: ObjectMeta(
                    name: manifest.metadata.name, namespace: "staging", uid: old?.uid ?? "c-\(versions)",
                    resourceVersion: "\(versions)", labels: old?.labels ?? manifest.metadata.labels,
                    annotations: manifest.metadata.annotations,
                    ownerReferences: old?.ownerReferences ?? manifest.metadata.ownerReferences),
                data: manifest.data))
    }

    func job(_ sequence: Int64, _ ordinal: Int = 1) -> String {
        RepositoryScanJobs(repository, sequence: sequence).name(ordinal)
    }

    /// A Job ends, with this result.
    mutating func finish(_ sequence: Int64, _ facts: LogFacts, ordinal: Int = 1) {
        let name = job(sequence, ordinal)
        let ref = Ref(Job.resourceKind, "staging", name)
        guard var job = reader.objects[ref] as? Job else {
            Issue.record("there is no Job \(name)")
            return
        }
        job.status = .init(conditions: [.init(type: "Complete", status: "True")])
        reader.add(job)
        var pod = Pod(
            metadata: ObjectMeta(
                name: "\(name)-x", namespace: "staging", uid: "p-\(name)", resourceVersion: "4",
                labels: [Label.job: name]),
            status: .init(phase: "Succeeded"))
        pod.status?.containerStatuses = [.init(name: "main", terminated: .init(exitCode: 0, message: "{}"))]
        reader.add(pod)
        reader.logs["\(name)-x"] = facts
    }

    var configMaps: [String] {
        reader.objects.keys.filter { $0.kind == ConfigMap.resourceKind }.map(\.name).sorted()
    }
    var jobs: [String] { reader.objects.keys.filter { $0.kind == Job.resourceKind }.map(\.name).sorted() }
    var backups: [ServiceBackup] {
        reader.objects.values.compactMap { $0 as? ServiceBackup }.sorted { $0.metadata.name < $1.metadata.name }
    }
    var lines: [BackupRepositoryStatus.ArchiveSummary] { repository.status?.archives ?? [] }

    func condition(_ type: String) -> String {
        let found = repository.status?.conditions?.condition(type)
        return "\(found?.status ?? "-") \(found?.reason ?? "-")"
    }

    // MARK: Results

    static func listing(_ path: String = "prod/orders", backups: Int = 1, major: Int = 15) -> ArchiveListing {
        var listing = ArchiveListing(path: path, major: major, seenAt: Story.now)
        listing.backups = (0..<backups).map { index in
            let digits = String(index + 2, radix: 16, uppercase: true)
            let name = "base_0000000100000000" + String(repeating: "0", count: 8 - digits.count) + digits
            var backup = ScannedBackup(
                name: name, lastModified: Story.now.adding(seconds: Int64(index) * 3_600 - 90_000))
            backup.startLSN = "0/\(digits)000028"
            backup.finishLSN = "0/\(digits)000138"
            backup.finishTime = backup.lastModified
            backup.pgVersion = major * 10_000 + 15
            backup.systemIdentifier = Story.systemIdentifier
            return backup
        }
        listing.backupsTotal = backups
        let last = String(format(backups + 4))
        listing.ranges = [
            SegmentRange(
                first: "000000010000000000000001", last: "0000000100000000\(last)",
                firstModified: Story.now.adding(seconds: -100_000), lastModified: Story.now.adding(seconds: -60))
        ]
        return listing
    }

    private static func format(_ number: Int) -> String {
        let digits = String(number, radix: 16, uppercase: true)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    static func result(
        _ archives: [ScannedArchive], total: Int? = nil, isFull: Bool = false
    ) -> LogFacts {
        var result = RepositoryScanResult(attempt: "", code: "OK")
        result.archives = archives
        result.archivesTotal = total ?? archives.count
        result.objects = 42
        result.seconds = 7
        result.isFull = isFull
        return .repositoryScan(result)
    }

    static func archive(_ listing: ArchiveListing) -> ScannedArchive {
        ScannedArchive(path: listing.path, major: listing.major, listing: listing)
    }

    /// A world whose first scan has ended.
    static func scanned(
        _ listings: [ArchiveListing] = [listing()], _ change: (inout BackupRepositorySpec) -> Void = { _ in }
    ) -> RepositoryWorld {
        var world = RepositoryWorld(change)
        _ = world.settle()
        world.finish(1, result(listings.map(archive), isFull: true))
        _ = world.settle()
        return world
    }
}
