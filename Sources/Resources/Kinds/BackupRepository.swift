// SPDX-License-Identifier: Apache-2.0

/// An S3 location and the credentials to reach it.
package struct BackupRepository: CustomResource {
    package static let resourceKind = repriseKind("BackupRepository", "backuprepositories")

    package var metadata: ObjectMeta
    package var spec: BackupRepositorySpec?
    package var status: BackupRepositoryStatus?

    package init(metadata: ObjectMeta, spec: BackupRepositorySpec? = nil, status: BackupRepositoryStatus? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }
}

package struct BackupRepositorySpec: Codable, Equatable, Sendable {
    package var s3: S3Location?
    package var credentials: RepositoryCredentials?
    package var encryption: RepositoryEncryption?
    package var allowedImages: [String]?
    package var scan: ScanPolicy?
    package var discovery: DiscoveryPolicy?

    package init(s3: S3Location?, credentials: RepositoryCredentials?, allowedImages: [String]? = nil) {
        self.s3 = s3
        self.credentials = credentials
        self.allowedImages = allowedImages
    }
}

package struct S3Location: Codable, Equatable, Sendable {
    /// `https://host[:port]`; plain http only with `insecure`.
    package var endpoint: String?
    package var bucket: String?
    package var prefix: String?
    package var region: String?
    package var forcePathStyle: Bool?
    package var insecure: Bool?
    package var caBundle: CABundle?

    package init(endpoint: String?, bucket: String?, prefix: String? = nil, region: String? = nil) {
        self.endpoint = endpoint
        self.bucket = bucket
        self.prefix = prefix
        self.region = region
    }

    package struct CABundle: Codable, Equatable, Sendable {
        package var configMapRef: KeyReference?
    }

    package struct KeyReference: Codable, Equatable, Sendable {
        package var name: String?
        package var key: String?
    }
}

package struct RepositoryCredentials: Codable, Equatable, Sendable {
    package var secretRef: SecretKeys?
    package var serviceAccountName: String?

    package init(secretRef: SecretKeys?) { self.secretRef = secretRef }

    package struct SecretKeys: Codable, Equatable, Sendable {
        package var name: String?
        package var accessKeyIDKey: String?
        package var secretAccessKeyKey: String?
        package var sessionTokenKey: String?

        package init(name: String?) { self.name = name }
    }
}

package struct RepositoryEncryption: Codable, Equatable, Sendable {
    package var libsodium: Libsodium?
    package var openpgp: OpenPGP?
    package var sseC: SSEC?

    package struct Libsodium: Codable, Equatable, Sendable {
        package var secretRef: SecretKey?
        package var transform: String?
    }

    package struct OpenPGP: Codable, Equatable, Sendable {
        package var secretRef: SecretKey?
        package var passphraseKey: String?
    }

    package struct SSEC: Codable, Equatable, Sendable {
        package var secretRef: SecretKey?
    }

    package struct SecretKey: Codable, Equatable, Sendable {
        package var name: String?
        package var key: String?
    }
}

package struct ScanPolicy: Codable, Equatable, Sendable {
    package var interval: String?
    package var maxArchives: Int?
    package var requestID: String?

    package init(interval: String? = nil, maxArchives: Int? = nil, requestID: String? = nil) {
        self.interval = interval
        self.maxArchives = maxArchives
        self.requestID = requestID
    }
}

package struct DiscoveryPolicy: Codable, Equatable, Sendable {
    package var createBackups: String?
    package var limit: Int?

    package init(createBackups: String?, limit: Int? = nil) {
        self.createBackups = createBackups
        self.limit = limit
    }
}

package struct BackupRepositoryStatus: Codable, Equatable, Sendable {
    package var observedGeneration: Int64?
    package var archives: [ArchiveSummary]?
    package var archivesTotal: Int?
    package var truncated: Bool?
    package var lastScan: ScanSummary?
    package var conditions: [Condition]?

    package init() {}

    /// One archive at one major version.
    package struct ArchiveSummary: Codable, Equatable, Sendable {
        /// Below the repository's prefix, without the major version; `.` for an archive at the prefix itself.
        package var path: String?
        package var engine: String?
        package var major: Int?
        package var systemIdentifier: String?
        /// Those that can be used.
        package var backups: Int?
        package var earliest: Timestamp?
        package var latestCertain: Timestamp?
        package var latestEstimated: Timestamp?
        /// Segments that are lost, counted by holes.
        package var gaps: Int?
        package var problem: String?
        /// The ConfigMap with the whole listing.
        package var configMap: String?
        /// SHA-256 of the listing in it, as hexadecimal digits.
        package var digest: String?
        /// Changes when a base backup comes, goes, or can be used no more.
        package var backupsDigest: String?

        package init(path: String, major: Int) {
            self.path = path
            self.major = major
        }
    }

    package struct ScanSummary: Codable, Equatable, Sendable {
        /// When it ended, by the controller's clock.
        package var time: Timestamp?
        package var duration: String?
        package var objects: Int64?
        /// How many scans have ended, this one included: names the next one's Job.
        package var sequence: Int64?
        /// The `spec.scan.requestID` and the generation that it was made for.
        package var requestID: String?
        package var generation: Int64?
        /// When everything was last listed anew.
        package var fullAt: Timestamp?

        package init() {}
    }
}
