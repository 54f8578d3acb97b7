// SPDX-License-Identifier: Apache-2.0

import Catalog
import Resources

/// What follows from a scan's result and from what is published: what to write, and the status lines once all of it is.
struct Publication {
    typealias Line = BackupRepositoryStatus.ArchiveSummary

    private(set) var lines: [Line] = []
    private(set) var effects: [Effect] = []
    private let repository: BackupRepository

    /// - Returns: `nil` as long as something that has to be read is not known.
    init?(_ snapshot: BackupRepositorySnapshot) {
        guard snapshot.areBackupsKnown else { return nil }
        repository = snapshot.repository
        let catalogs = snapshot.archives.compactMap(\.catalog) + snapshot.orphans
        for catalog in catalogs {
            switch catalog.configMap {
            case .unknown, .absent(confirmed: false): return nil
            case .absent(confirmed: true), .present: break
            }
        }
        for archive in snapshot.archives { lines.append(line(archive)) }
        lines.sort { ($0.path ?? "", $0.major ?? 0) < ($1.path ?? "", $1.major ?? 0) }
        for orphan in snapshot.orphans {
            guard let configMap = orphan.configMap.value, !configMap.metadata.isDeleting,
                PublishedCatalog.isOurs(configMap, repository)
            else { continue }
            effects.append(.delete(configMap.seen))
        }
        // After what they are judged by, and only as long as the server takes them: a catalog waits for nothing else.
        if snapshot.backupsRefused == nil {
            effects += snapshot.missingBackups.map { .create(.serviceBackup($0)) }
            effects += snapshot.superfluousBackups.map { .delete($0.seen) }
        }
    }

    private mutating func line(_ archive: BackupRepositorySnapshot.SeenArchive) -> Line {
        let blank = Line(path: archive.path, major: archive.scanned.major)
        if let problem = archive.scanned.problem, archive.scanned.listing == nil {
            // What was known of it before is still the best that is known.
            var line = archive.former ?? blank
            line.problem = problem
            return line
        }
        guard let catalog = archive.catalog else {
            guard let listing = archive.scanned.listing else { return archive.former ?? blank }
            var line = Self.summary(listing, blank)
            line.problem = "NotPublished: another archive's catalog has the same name"
            return line
        }
        let published = catalog.configMap.value
        if let published, !PublishedCatalog.isOurs(published, repository) || published.metadata.isDeleting {
            var line = archive.scanned.listing.map { Self.summary($0, blank) } ?? blank
            line.problem =
                "NotPublished: a ConfigMap named \(catalog.name) exists and is not this repository's, or is about to "
                + "go; remove it"
            return line
        }
        let former = published.flatMap(PublishedCatalog.listing)
        guard let listing = archive.scanned.listing.map(PublishedCatalog.bounded) else {
            guard let former, let published else {
                var line = archive.former ?? blank
                line.problem = "NotPublished: ConfigMap \(catalog.name) is gone; the next scan makes it again"
                return line
            }
            return finished(Self.summary(former, blank), catalog.name, published.metadata.annotations?[Label.digest])
        }
        if let former, let published, PublishedCatalog.saysTheSame(former, listing) {
            return finished(Self.summary(former, blank), catalog.name, published.metadata.annotations?[Label.digest])
        }
        let manifest = PublishedCatalog.manifest(listing, path: archive.path, of: repository)
        effects.append(
            published.map { .replaceConfigMap($0.seen, manifest) } ?? .create(.configMap(manifest)))
        return finished(Self.summary(listing, blank), catalog.name, manifest.metadata.annotations[Label.digest])
    }

    private func finished(_ line: Line, _ name: String, _ digest: String?) -> Line {
        var line = line
        line.configMap = name
        line.digest = digest
        return line
    }

    /// A listing in one line.
    static func summary(_ listing: ArchiveListing, _ blank: Line) -> Line {
        let catalog = ArchiveCatalog(listing)
        var line = blank
        line.engine = EngineName.postgres.rawValue
        line.systemIdentifier = catalog.systemIdentifier
        line.backups = catalog.backups.count { $0.isUsable }
        line.earliest = catalog.earliest
        line.latestCertain = catalog.latestCertain
        line.latestEstimated = catalog.latestEstimated
        line.gaps = catalog.lostGaps
        line.backupsDigest = DiscoveredBackups.digest(catalog)
        line.problem = catalog.problem
        if line.problem == nil, line.path == "." {
            line.problem = "AtPrefix: it lies at spec.s3.prefix itself; leave the last part off the prefix to name it"
        }
        return line
    }
}
