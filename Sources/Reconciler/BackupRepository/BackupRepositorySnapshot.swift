// SPDX-License-Identifier: Apache-2.0

import Catalog
package import Resources

/// Everything that a decision about a repository looks at.
package struct BackupRepositorySnapshot: Equatable, Sendable {
    package var repository: BackupRepository
    package var settings: Settings
    package var failure: Failure?
    /// What speaks against looking at all.
    package var findings: [PlanFinding]
    /// The next scan, which may not have been made yet.
    package var scan: RepositoryScanObservation
    /// All Jobs of this repository that are known.
    package var jobs: Observed<[Job]>
    /// What the scan's result is about, archive by archive.
    package var archives: [SeenArchive]
    /// Catalogs of archives that are not there any more, or not shown any more.
    package var orphans: [Catalog]
    /// ServiceBackups that the result asks for and that are not there.
    package var missingBackups: [ServiceBackupManifest]
    /// Those of this repository that its policy does not ask for any more. Not those whose backup is gone.
    package var superfluousBackups: [ServiceBackup]
    /// Which ServiceBackups there are is known, or nobody asks.
    package var areBackupsKnown: Bool

    /// A ConfigMap by its name.
    package struct Catalog: Equatable, Sendable {
        package var name: String
        /// A quorum read.
        package var configMap: Observed<ConfigMap>
    }

    /// One archive of the result, with what was known of it.
    package struct SeenArchive: Equatable, Sendable {
        package var scanned: ScannedArchive
        /// Below the repository's prefix; `.` for one at the prefix itself.
        package var path: String
        package var former: BackupRepositoryStatus.ArchiveSummary?
        /// Its ConfigMap, where that has to be looked at.
        package var catalog: Catalog?
    }

    init(_ repository: BackupRepository, _ settings: Settings) {
        self.repository = repository
        self.settings = settings
        findings = []
        scan = RepositoryScanObservation(ordinal: 1, state: .unknown)
        jobs = .unknown
        archives = []
        orphans = []
        missingBackups = []
        superfluousBackups = []
        areBackupsKnown = true
    }

    /// Why the server takes no ServiceBackup, when it has refused more often than a catalog should wait for. A refusal may
    /// pass: a quota, or a webhook that is being updated. The next scan with news tries again.
    var backupsRefused: String? {
        guard let failure, failure.effect.contains("\(ServiceBackup.resourceKind.kind) "), failure.count > 2
        else { return nil }
        return "\(failure.effect): \(failure.message)"
    }

    /// The number of the scan that is next or under way.
    ///
    /// Who edits a status may have written any number; none of them may end the controller.
    package var sequence: Int64 { min(max(0, repository.status?.lastScan?.sequence ?? 0), .max - 1) + 1 }
}

extension BackupRepositoryBehavior {
    package static func observe(
        _ repository: BackupRepository, through reader: inout some Reader
    ) -> BackupRepositorySnapshot {
        var snapshot = BackupRepositorySnapshot(repository, reader.settings)
        guard !repository.metadata.isDeleting else { return snapshot }
        let settings = reader.settings
        snapshot.findings = reader.remembered("findings", of: repository.spec) { findings($0, settings) }
        guard snapshot.findings.isEmpty else { return snapshot }
        snapshot.failure = reader.lastFailure()
        let space = repository.metadata.namespace ?? ""
        snapshot.jobs = reader.objects(
            Job.self, space, labelled: Label.repositoryUID, repository.metadata.uid ?? "")
        let jobs = RepositoryScanJobs(repository, sequence: snapshot.sequence)
        snapshot.scan = RepositoryScanObservation.observe(jobs, through: &reader)
        if case .done(let result) = snapshot.scan.state, result.code == "OK" {
            observe(result, &snapshot, &reader)
        }
        return snapshot
    }

    /// Reads what is published of the archives that have news, and nothing of the others.
    private static func observe(
        _ result: RepositoryScanResult, _ snapshot: inout BackupRepositorySnapshot, _ reader: inout some Reader
    ) {
        let repository = snapshot.repository
        let space = repository.metadata.namespace ?? ""
        let prefix = RepositoryAccess(repository)?.prefix ?? ""
        let former = repository.status?.archives ?? []
        let lines = Dictionary(former.map { (key($0.path, $0.major), $0) }) { first, _ in first }
        var names: Set<String> = []
        for scanned in result.archives {
            let path = relative(scanned.path, to: prefix)
            let line = lines[key(path, scanned.major)]
            var archive = BackupRepositorySnapshot.SeenArchive(scanned: scanned, path: path, former: line)
            let name = PublishedCatalog.configMapName(
                repository: repository.metadata.name, path: path, major: scanned.major)
            // A first attempt that got lost may have published what this one found unchanged.
            // And a problem of the last scan says nothing of this one.
            let isInDoubt = line?.digest == nil || line?.problem != nil || snapshot.scan.ordinal > 1
            let isWanted = scanned.listing != nil || (scanned.problem == nil && isInDoubt)
            // Two archives never share one: the second has none.
            if names.insert(name).inserted, isWanted {
                archive.catalog = .init(name: name, configMap: reader.confirmed(ConfigMap.self, space, name))
            }
            snapshot.archives.append(archive)
        }
        for name in Set(former.compactMap(\.configMap)).subtracting(names).sorted() {
            snapshot.orphans.append(.init(name: name, configMap: reader.confirmed(ConfigMap.self, space, name)))
        }
        observeBackups(&snapshot, &reader)
    }

    /// Holds the ServiceBackups that are there against those that the archives with news ask for.
    private static func observeBackups(_ snapshot: inout BackupRepositorySnapshot, _ reader: inout some Reader) {
        let repository = snapshot.repository
        let space = repository.metadata.namespace ?? ""
        let found = reader.objects(
            ServiceBackup.self, space, labelled: Label.repositoryUID, repository.metadata.uid ?? "")
        snapshot.areBackupsKnown = !found.isUnknown || !DiscoveredBackups.areWanted(repository)
        let own = (found.value ?? []).filter { DiscoveredBackups.isOurs($0, repository) && !$0.metadata.isDeleting }
        guard DiscoveredBackups.areWanted(repository) else {
            snapshot.superfluousBackups = own
            return
        }
        for archive in snapshot.archives {
            guard let listing = archive.scanned.listing.map(PublishedCatalog.bounded) else { continue }
            let wanted = DiscoveredBackups.wanted(listing, path: archive.path, of: repository)
            let names = Set(wanted.map(\.metadata.name))
            // Whoever has made one under that name: it is there.
            snapshot.missingBackups += wanted.filter { manifest in
                if case .absent = reader.object(ServiceBackup.self, space, manifest.metadata.name) {
                    true
                } else {
                    false
                }
            }
            let usable = Set(ArchiveCatalog(listing).backups.filter(\.isUsable).map(\.backup.name))
            snapshot.superfluousBackups += own.filter { backup in
                guard let spec = backup.spec?.discovered, spec.path == archive.path, spec.major == listing.major
                else { return false }
                return usable.contains(spec.name ?? "") && !names.contains(backup.metadata.name)
            }
        }
    }

    private static func key(_ path: String?, _ major: Int?) -> String { "\(major ?? 0) \(path ?? "")" }

    /// The part of an archive's key that is below the prefix.
    static func relative(_ path: String, to prefix: String) -> String {
        guard !prefix.isEmpty else { return path.isEmpty ? "." : path }
        if path == prefix { return "." }
        return path.hasPrefix(prefix + "/") ? String(path.dropFirst(prefix.count + 1)) : path
    }

    /// What is wrong with the spec, or asks for what this version does not do.
    static func findings(_ spec: BackupRepositorySpec?, _ settings: Settings) -> [PlanFinding] {
        let wrong = validate(spec, allowLoopback: settings.allowLoopbackEndpoints)
        guard wrong.isEmpty else { return wrong.map { PlanFinding(reason: $0.reason, message: $0.message) } }
        let fields: [(Bool, String)] = [
            (spec?.credentials?.serviceAccountName != nil, "spec.credentials.serviceAccountName"),
            (spec?.s3?.caBundle != nil, "spec.s3.caBundle"), (spec?.encryption?.sseC != nil, "spec.encryption.sseC"),
        ]
        return fields.filter(\.0).map { _, field in
            PlanFinding(reason: "UnsupportedMode", message: "\(field): not available in this version; leave it out")
        }
    }
}
