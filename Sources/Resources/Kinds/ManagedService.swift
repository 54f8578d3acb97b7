// SPDX-License-Identifier: Apache-2.0

/// An existing stateful service: what it runs, where its data lives and where it archives to.
package struct ManagedService: CustomResource {
    package static let resourceKind = repriseKind("ManagedService", "managedservices")

    package var metadata: ObjectMeta
    package var spec: ManagedServiceSpec?
    package var status: ManagedServiceStatus?

    package init(metadata: ObjectMeta, spec: ManagedServiceSpec? = nil, status: ManagedServiceStatus? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Found by the archive that it writes to.
    package static let archiveIndex = "reprise.dev/archive"
    package var indexed: [String: String]? {
        guard let archive = spec?.archive, let repository = archive.repository?.name, let path = archive.path else {
            return metadata.labels
        }
        return labels(and: Self.archiveIndex, Self.archiveKey(repository, path))
    }

    /// - Parameter path: Below the repository's prefix, without the major version; slashes at its ends don't count.
    package static func archiveKey(_ repository: String, _ path: String) -> String {
        ([repository] + path.split(separator: "/").map(String.init)).joined(separator: "/")
    }
}

package struct ManagedServiceSpec: Codable, Equatable, Sendable {
    package var engine: Open<EngineName>?
    package var workload: NameReference?
    package var container: String?
    package var claim: String?
    package var imageProfile: String?
    package var major: Int?
    package var archive: ArchiveReference?
    package var credentials: ServiceCredentials?
    package var protection: Protection?
    package var backup: BackupPolicy?

    package init() {}

    package struct ServiceCredentials: Codable, Equatable, Sendable {
        package var secretName: String?
        package var userKey: String?
        package var passwordKey: String?

        package static let defaultPasswordKey = "password"

        package init(secretName: String?, passwordKey: String? = nil) {
            self.secretName = secretName
            self.passwordKey = passwordKey
        }
    }

    package struct Protection: Codable, Equatable, Sendable {
        package var approval: [String]?
        package var verification: [VerificationCheck]?

        package init(approval: [String]?, verification: [VerificationCheck]?) {
            self.approval = approval
            self.verification = verification
        }
    }

    package struct BackupPolicy: Codable, Equatable, Sendable {
        package var maxPerService: Int?
        package var retainFull: Int?
    }
}

package struct ManagedServiceStatus: Codable, Equatable, Sendable {
    package var observedGeneration: Int64?
    package var restoreCapabilities: RestoreCapabilities?
    package var suggestedNewServiceName: String?
    package var activeOperation: ActiveOperation?
    package var conditions: [Condition]?

    package init() {}

    package struct RestoreCapabilities: Codable, Equatable, Sendable {
        package var restoreInPlace: Bool?
        package var restoreToNewService: Bool?
        package var pitr: Bool?
        package var earliestPitrTime: Timestamp?
        /// Surely reachable.
        package var latestPitrTime: Timestamp?
        /// Nothing later is reachable.
        package var latestPitrTimeEstimated: Timestamp?

        package init(restoreInPlace: Bool, restoreToNewService: Bool, pitr: Bool) {
            self.restoreInPlace = restoreInPlace
            self.restoreToNewService = restoreToNewService
            self.pitr = pitr
        }
    }

    package struct ActiveOperation: Codable, Equatable, Sendable {
        package var kind: String?
        package var name: String?
        package var uid: String?
        package var phase: String?

        package init(kind: String?, name: String?, uid: String?, phase: String?) {
            self.kind = kind
            self.name = name
            self.uid = uid
            self.phase = phase
        }
    }
}
