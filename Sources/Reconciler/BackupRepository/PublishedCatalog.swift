// SPDX-License-Identifier: Apache-2.0

import Digest
import JSON
package import Resources

extension Label {
    /// On the ConfigMaps with a repository's catalogs: the repository's name. They carry no `managed-by`, so that no cache
    /// holds them.
    package static let catalog = "reprise.dev/catalog"
    /// The UID of the repository whose archives a Job looks at.
    package static let repositoryUID = "reprise.dev/repository-uid"
    /// Annotation: the SHA-256 of the listing in a ConfigMap.
    package static let digest = "reprise.dev/digest"
    /// Annotations: what a scan was made for.
    package static let scanSequence = "reprise.dev/scan-sequence"
    package static let scanRequestID = "reprise.dev/scan-request-id"
    package static let scanGeneration = "reprise.dev/scan-generation"
}

/// The listings of a repository's archives, each in a ConfigMap that the repository owns.
///
/// What is published is a listing as the agent saw it. Two that differ in nothing but when they were made and how many
/// objects that took say the same: the older one stays.
package enum PublishedCatalog {
    /// The key that holds the listing's JSON.
    package static let key = "archive.json"
    /// The most bytes of JSON: a ConfigMap takes 1 MiB.
    package static let byteLimit = 900 << 10

    /// - Parameter path: Below the repository's prefix, without the major version.
    package static func configMapName(repository: String, path: String, major: Int) -> String {
        let hex = Digest.sha256Hex("\(repository)\n\(path)\n\(major)".utf8).prefix(8)
        return "\(stem(repository))-catalog-\(hex)"
    }

    /// The value of `Label.catalog`: the repository's name, or what is left of one that is too long for a label.
    package static func label(repository: String) -> String {
        guard !Names.isLabelValue(repository) else { return repository }
        return "\(stem(repository))-\(Digest.sha256Hex(repository.utf8).prefix(8))"
    }

    /// The first 40 characters of a name, so that more may follow after a dash.
    static func stem(_ repository: String) -> String {
        let cut = repository.prefix(40)
        let end = cut.lastIndex { $0.isASCII && ($0.isLetter || $0.isNumber) }
        return end.map { String(cut[...$0]) } ?? "repository"
    }

    /// The listing in a ConfigMap; `nil` when it holds none, or not the one whose digest it carries.
    package static func listing(in configMap: ConfigMap) -> ArchiveListing? {
        guard let text = configMap.data?[key], configMap.metadata.annotations?[Label.digest] == digest(of: text)
        else { return nil }
        return try? JSON.decode(ArchiveListing.self, from: Array(text.utf8))
    }

    /// The ConfigMap for a listing.
    /// - Parameters:
    ///   - path: Below the repository's prefix.
    ///   - owner: The repository: its catalogs go when it goes.
    package static func manifest(
        _ listing: ArchiveListing, path: String, of repository: BackupRepository
    ) -> ConfigMapManifest {
        let text = text(of: listing)
        let name = repository.metadata.name
        return ConfigMapManifest(
            metadata: ManifestMeta(
                name: configMapName(repository: name, path: path, major: listing.major),
                namespace: repository.metadata.namespace ?? "", labels: [Label.catalog: label(repository: name)],
                annotations: [Label.digest: digest(of: text)],
                ownerReferences: [RepositoryScanJobs.owner(repository)]),
            data: [key: text])
    }

    /// Whether a ConfigMap is one of this repository's catalogs.
    static func isOurs(_ configMap: ConfigMap, _ repository: BackupRepository) -> Bool {
        configMap.metadata.ownerReferences?.contains { $0.uid == repository.metadata.uid } == true
            && configMap.metadata.labels?[Label.catalog] == label(repository: repository.metadata.name)
    }

    /// Whether two listings say the same of an archive.
    static func saysTheSame(_ one: ArchiveListing, _ other: ArchiveListing) -> Bool {
        var other = other
        other.seenAt = one.seenAt
        other.objects = one.objects
        return one == other
    }

    /// The listing as it is published: one that is too large loses its oldest backups and segments, so that it promises
    /// less and nothing that is not there.
    package static func bounded(_ listing: ArchiveListing) -> ArchiveListing {
        var listing = listing
        while text(of: listing).utf8.count > byteLimit {
            let (backups, ranges) = (listing.backups.count, listing.ranges.count)
            listing.backups = Array(listing.backups.prefix(backups * 9 / 10))
            // By age, and each timeline's in order still.
            let moments = listing.ranges.map(\.lastModified).sorted()
            let bound = ranges / 10 < moments.count ? moments[ranges / 10] : nil
            if let bound { listing.ranges.removeAll { $0.lastModified < bound } }
            guard listing.backups.count < backups || listing.ranges.count < ranges else { break }
        }
        return listing
    }

    private static func text(of listing: ArchiveListing) -> String {
        // Encoding can fail for numbers that are not finite only, and there are none.
        String(decoding: (try? JSON.encode(listing, sortedKeys: true)) ?? [], as: UTF8.self)
    }

    private static func digest(of text: String) -> String { Digest.sha256Hex(text.utf8) }
}
