// SPDX-License-Identifier: Apache-2.0

/// One backup that can be restored from by its name.
package struct ServiceBackup: CustomResource {
    package static let resourceKind = repriseKind("ServiceBackup", "servicebackups")

    package var metadata: ObjectMeta
    package var spec: ServiceBackupSpec?
    package var status: ServiceBackupStatus?

    package init(metadata: ObjectMeta, spec: ServiceBackupSpec? = nil, status: ServiceBackupStatus? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }
}

package struct ServiceBackupSpec: Codable, Equatable, Sendable {
    /// Whose backup it is, for one that was asked for.
    package var service: NameReference?
    /// Where it is, for one that was found.
    package var discovered: DiscoveredBackup?
    package var deletionPolicy: String?

    package init(discovered: DiscoveredBackup?) { self.discovered = discovered }
}

/// A base backup that lies in a repository.
package struct DiscoveredBackup: Codable, Equatable, Sendable {
    package var repository: NameReference?
    /// Its archive below the repository's prefix, without the major version.
    package var path: String?
    package var major: Int?
    /// WAL-G's name of it.
    package var name: String?

    package init(repository: NameReference?, path: String?, major: Int?, name: String?) {
        self.repository = repository
        self.path = path
        self.major = major
        self.name = name
    }
}

package enum ServiceBackupState: String, CaseIterable, Sendable {
    case creating = "Creating"
    case ready = "Ready"
    case failed = "Failed"
}

package struct ServiceBackupStatus: Codable, Equatable, Sendable {
    package var observedGeneration: Int64?
    package var state: Open<ServiceBackupState>?
    package var location: String?
    package var format: String?
    package var systemIdentifier: String?
    package var sizeBytes: Int64?
    package var startTime: Timestamp?
    package var finishTime: Timestamp?
    package var startLSN: String?
    package var finishLSN: String?
    package var checksum: String?
    /// The repository's `backupsDigest` that this follows from: nothing is read again before that is another one.
    package var catalog: String?
    /// When it was first seen to be gone from the store.
    package var expiredAt: Timestamp?
    package var conditions: [Condition]?

    package init() {}
}

/// A new ServiceBackup, as a repository makes it.
package struct ServiceBackupManifest: Manifest {
    package static let resourceKind = ServiceBackup.resourceKind

    package var metadata: ManifestMeta
    package var spec: ServiceBackupSpec

    package init(metadata: ManifestMeta, spec: ServiceBackupSpec) {
        self.metadata = metadata
        self.spec = spec
    }
}
