// SPDX-License-Identifier: Apache-2.0

import Catalog
package import Resources

/// Says of a backup whether it can be restored, from what its BackupRepository has published.
///
/// The published listing is read when the object is new and whenever the repository says that something has become of the
/// archive's backups (`backupsDigest`), and not otherwise: an archive's log grows all the time, its backups don't. An object
/// whose backup is gone says so, and is kept for a day for people to read; then it is deleted, if the repository made it.
/// Nothing is ever deleted in a store.
package enum ServiceBackupBehavior: Behavior {
    package typealias Object = ServiceBackup
    package typealias Status = ServiceBackupStatus

    package struct Snapshot: Equatable, Sendable {
        package var backup: ServiceBackup
        package var findings: [Finding]
        package var repository: Observed<BackupRepository>
        /// The listing of its archive; read only where it may say something new.
        package var catalog: Observed<ConfigMap>?
    }

    /// How long an object is kept whose backup is gone, in seconds.
    package static let keptAfterExpiry: Int64 = 86_400
    /// The reason for a backup that is gone from the store.
    package static let expired = "SourceExpired"

    package static func observe(_ backup: ServiceBackup, through reader: inout some Reader) -> Snapshot {
        var snapshot = Snapshot(backup: backup, findings: [], repository: .unknown, catalog: nil)
        guard !backup.metadata.isDeleting else { return snapshot }
        snapshot.findings = validate(backup.spec)
        guard snapshot.findings.isEmpty, let found = backup.spec?.discovered, let name = found.repository?.name
        else { return snapshot }
        let space = backup.metadata.namespace ?? ""
        snapshot.repository = reader.object(BackupRepository.self, space, name)
        guard let repository = snapshot.repository.value else { return snapshot }
        let line = line(of: found, in: repository)
        let known = backup.status?.conditions?.condition("Ready").map { $0.status != ConditionStatus.unknown.rawValue }
        let isNews = known != true || line?.backupsDigest == nil || line?.backupsDigest != backup.status?.catalog
        guard isNews, let major = found.major ?? line?.major else { return snapshot }
        // By its own name, and not by the line's: it is there before the line says so.
        let path = RepositoryAccess.trimmed(found.path ?? "")
        snapshot.catalog = reader.confirmed(
            ConfigMap.self, space, PublishedCatalog.configMapName(repository: name, path: path, major: major))
        return snapshot
    }

    package static func decide(_ snapshot: Snapshot, at now: Timestamp) -> Decision<ServiceBackupStatus> {
        let backup = snapshot.backup
        guard !backup.metadata.isDeleting else { return Decision() }
        var draft = Draft(backup, at: now)
        if let first = snapshot.findings.first {
            draft.failed(first.reason, snapshot.findings.map(\.message).joined(separator: "; "), isStalled: true)
            return Decision(status: draft.status)
        }
        guard let found = backup.spec?.discovered, let name = found.repository?.name else {
            draft.failed(
                "UnsupportedMode", "spec.service: not available in this version; use discovered", isStalled: true)
            return Decision(status: draft.status)
        }
        guard !snapshot.repository.isUnknown else { return Decision() }
        guard let repository = snapshot.repository.value else {
            draft.unknown("RepositoryNotFound", "there is no BackupRepository \(name) in this namespace; create it")
            return Decision(status: draft.status)
        }
        if let catalog = snapshot.catalog {
            guard !catalog.isUnknown else { return Decision() }
            judge(found, catalog.value.flatMap { listing(in: $0, of: found, repository) }, repository, &draft)
        } else if line(of: found, in: repository) == nil {
            gone(found, repository, &draft)
        }
        return aged(draft, repository)
    }

    /// Without a major version, the newest that archives at the path.
    private static func line(
        of found: DiscoveredBackup, in repository: BackupRepository
    ) -> BackupRepositoryStatus.ArchiveSummary? {
        let path = RepositoryAccess.trimmed(found.path ?? "")
        return (repository.status?.archives ?? []).filter { line in
            line.path == path && (found.major == nil || line.major == found.major)
        }.max { ($0.major ?? 0) < ($1.major ?? 0) }
    }

    /// The archive's listing, and not what somebody else has put under its name.
    private static func listing(
        in configMap: ConfigMap, of found: DiscoveredBackup, _ repository: BackupRepository
    ) -> ArchiveListing? {
        guard PublishedCatalog.isOurs(configMap, repository), let access = RepositoryAccess(repository),
            let listing = PublishedCatalog.listing(in: configMap), listing.path == access.key(found.path ?? "")
        else { return nil }
        return listing
    }

    // MARK: What is known of it

    private static func judge(
        _ found: DiscoveredBackup, _ listing: ArchiveListing?, _ repository: BackupRepository, _ draft: inout Draft
    ) {
        let name = found.name ?? ""
        guard let listing else {
            if line(of: found, in: repository) == nil { return gone(found, repository, &draft) }
            return draft.unknown(
                "CatalogPending",
                "the catalog of archive \(found.path ?? "") is not there; the next scan makes it again")
        }
        let catalog = ArchiveCatalog(listing)
        draft.status.catalog = DiscoveredBackups.digest(catalog)
        guard let judged = catalog.backups.first(where: { $0.backup.name == name }) else {
            guard listing.backupsTotal <= listing.backups.count else {
                return draft.unknown(
                    "BackupNotListed",
                    "the archive has \(listing.backupsTotal) base backups, and \(name) is not among the "
                        + "\(listing.backups.count) newest, which are all that is listed")
            }
            return draft.expired(message(name, found, repository))
        }
        draft.note(judged.backup, location(found, listing, repository))
        if let problem = judged.problem {
            draft.failed(problem.reason, problem.message, isStalled: false)
        } else {
            draft.ready("base backup \(name) of archive \(found.path ?? "")")
        }
    }

    /// The repository shows no such archive.
    private static func gone(_ found: DiscoveredBackup, _ repository: BackupRepository, _ draft: inout Draft) {
        let name = repository.metadata.name
        let status = repository.status
        if status?.truncated == true {
            return draft.unknown(
                "ArchiveNotListed",
                "BackupRepository \(name) has more archives than its spec.scan.maxArchives, and \(found.path ?? "") is not "
                    + "among those listed; raise it")
        }
        guard status?.lastScan?.time != nil, status?.conditions?.isTrue(reachableCondition) == true else {
            let why = status?.conditions?.condition("Ready").map { ": \($0.message)" } ?? ""
            return draft.unknown("CatalogPending", "BackupRepository \(name) has not been looked through\(why)")
        }
        draft.expired(message(found.name ?? "", found, repository))
    }

    private static func message(
        _ backup: String, _ found: DiscoveredBackup, _ repository: BackupRepository
    ) -> String {
        "base backup \(backup) is not in archive \(found.path ?? "") of BackupRepository \(repository.metadata.name), as its "
            + "last scan saw it; choose another one"
    }

    private static func location(
        _ found: DiscoveredBackup, _ listing: ArchiveListing, _ repository: BackupRepository
    ) -> String? {
        RepositoryAccess(repository).map { access in
            "\(access.uri(found.path ?? ""))/\(listing.major)/basebackups_005/\(found.name ?? "")"
        }
    }

    // MARK: Its end

    /// What a repository has made goes when its backup has been gone for long enough.
    private static func aged(_ draft: Draft, _ repository: BackupRepository) -> Decision<Status> {
        guard let since = draft.status.expiredAt, DiscoveredBackups.isOurs(draft.backup, repository) else {
            return Decision(status: draft.status)
        }
        let ends = since.adding(seconds: keptAfterExpiry)
        guard draft.now >= ends, draft.status == draft.backup.status else {
            return Decision(status: draft.status, wake: .at(max(ends, draft.now.adding(seconds: 1))))
        }
        return Decision(effects: [.delete(draft.backup.seen)])
    }

    package static func notices(from old: ServiceBackupStatus?, to new: ServiceBackupStatus) -> [Notice] {
        guard let ready = new.conditions?.condition("Ready"), ready.status == ConditionStatus.no.rawValue else {
            return []
        }
        let before = old?.conditions?.condition("Ready")
        guard before?.status != ready.status || before?.reason != ready.reason else { return [] }
        return [Notice(isWarning: true, reason: ready.reason, message: ready.message)]
    }

    /// A backup's status being written in one pass.
    private struct Draft {
        let backup: ServiceBackup
        let now: Timestamp
        var status: ServiceBackupStatus

        init(_ backup: ServiceBackup, at now: Timestamp) {
            self.backup = backup
            self.now = now
            status = backup.status ?? ServiceBackupStatus()
            status.observedGeneration = backup.metadata.generation
        }

        mutating func note(_ found: ScannedBackup, _ location: String?) {
            status.location = location
            status.format = "walg"
            status.systemIdentifier = found.systemIdentifier
            status.sizeBytes = found.partBytes ?? found.compressedSize
            status.startTime = found.startTime
            status.finishTime = found.finishTime
            status.startLSN = found.startLSN
            status.finishLSN = found.finishLSN
        }

        mutating func ready(_ message: String) {
            status.state = Open(.ready)
            status.expiredAt = nil
            set(.yes, "Restorable", message)
        }

        mutating func failed(_ reason: String, _ message: String, isStalled: Bool) {
            status.state = Open(.failed)
            if reason != ServiceBackupBehavior.expired { status.expiredAt = nil }
            set(.no, reason, message, isStalled: isStalled)
        }

        mutating func expired(_ message: String) {
            status.expiredAt = status.expiredAt ?? now.wholeSecond
            failed(ServiceBackupBehavior.expired, message, isStalled: false)
        }

        /// Nothing is known now; what was known of the backup itself stays.
        mutating func unknown(_ reason: String, _ message: String) {
            set(.unknown, reason, message, isReconciling: true)
        }

        private mutating func set(
            _ ready: ConditionStatus, _ reason: String, _ message: String, isReconciling: Bool = false,
            isStalled: Bool = false
        ) {
            var conditions = status.conditions ?? []
            let generation = backup.metadata.generation
            for (type, value) in [
                ("Ready", ready), (RunCondition.reconciling, isReconciling ? ConditionStatus.yes : .no),
                (RunCondition.stalled, isStalled ? .yes : .no),
            ] { conditions.set(type, value, reason, message, generation: generation, at: now) }
            status.conditions = conditions
        }
    }
}
