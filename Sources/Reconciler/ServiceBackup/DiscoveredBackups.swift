// SPDX-License-Identifier: Apache-2.0

import Catalog
import Digest
package import Resources

/// The ServiceBackups that a repository's catalog means: pure, from a listing and the repository's policy.
package enum DiscoveredBackups {
    package static let defaultLimit = 20

    /// Whether a repository makes any.
    package static func areWanted(_ repository: BackupRepository) -> Bool {
        repository.spec?.discovery?.createBackups == "Newest"
    }

    /// The object for each of the newest usable backups of an archive, newest first.
    /// - Parameter path: Below the repository's prefix, without the major version.
    package static func wanted(
        _ listing: ArchiveListing, path: String, of repository: BackupRepository
    ) -> [ServiceBackupManifest] {
        guard areWanted(repository) else { return [] }
        let limit = max(0, repository.spec?.discovery?.limit ?? defaultLimit)
        func key(_ backup: ScannedBackup) -> (Timestamp, String) {
            (backup.finishTime ?? backup.lastModified, backup.name)
        }
        let usable = ArchiveCatalog(listing).backups.filter(\.isUsable).map(\.backup)
        return usable.sorted { key($0) > key($1) }.prefix(limit).compactMap { backup in
            manifest(backup.name, path: path, major: listing.major, of: repository)
        }
    }

    /// - Returns: `nil` for what no spec can name: an archive at the prefix itself, or one whose path somebody has chosen
    ///   to be none.
    private static func manifest(
        _ backup: String, path: String, major: Int, of repository: BackupRepository
    ) -> ServiceBackupManifest? {
        let spec = ServiceBackupSpec(
            discovered: DiscoveredBackup(
                repository: NameReference(name: repository.metadata.name), path: path, major: major, name: backup))
        guard validate(spec).isEmpty else { return nil }
        return ServiceBackupManifest(
            metadata: ManifestMeta(
                name: name(repository: repository.metadata.name, path: path, major: major, backup: backup),
                namespace: repository.metadata.namespace ?? "",
                labels: [
                    Label.managedBy: Label.managedByValue, Label.repositoryUID: repository.metadata.uid ?? "",
                    Label.catalog: PublishedCatalog.label(repository: repository.metadata.name),
                ], ownerReferences: [RepositoryScanJobs.owner(repository)]),
            spec: spec)
    }

    /// The same backup has the same name for ever, and the name means nothing else.
    package static func name(repository: String, path: String, major: Int, backup: String) -> String {
        let hex = Digest.sha256Hex("\(repository)\n\(path)\n\(major)\n\(backup)".utf8).prefix(12)
        return "\(PublishedCatalog.stem(repository))-backup-\(hex)"
    }

    /// What a listing says of its backups, and nothing of the log that grows: it changes when one comes, goes, or can be
    /// used no more.
    static func digest(_ catalog: ArchiveCatalog) -> String {
        struct Said: Encodable {
            var backup: ScannedBackup
            var problem: String?
        }
        let said = catalog.backups.map { Said(backup: $0.backup, problem: $0.problem?.reason) }
        return String(Planner.digest(of: said).prefix(16))
    }

    /// Made by this repository, and not by a person.
    static func isOurs(_ backup: ServiceBackup, _ repository: BackupRepository) -> Bool {
        backup.metadata.ownerReferences?.contains { $0.uid == repository.metadata.uid } == true
    }
}
