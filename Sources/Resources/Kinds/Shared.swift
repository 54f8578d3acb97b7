// SPDX-License-Identifier: Apache-2.0

// Types that several of our kinds share. Field names and meanings: the API reference in docs/api.md.
// Everything is optional here, because decoding never validates: what is missing or wrong is a decision's business.

/// The API group of every kind that is ours, and its version.
package let apiGroup = "reprise.dev"
package let apiVersion = "v1alpha1"

package func repriseKind(_ kind: String, _ plural: String) -> ResourceKind {
    ResourceKind(group: apiGroup, version: apiVersion, plural: plural, kind: kind)
}

/// Names something in the same namespace.
package typealias NameReference = LocalReference

/// Where the data comes from. Exactly one member is set in a valid object.
package struct RestoreSource: Codable, Equatable, Sendable {
    package var backup: NameReference?
    package var service: NameReference?
    package var archive: ArchiveReference?
    package var location: BackupLocation?

    package init(
        backup: NameReference? = nil, service: NameReference? = nil, archive: ArchiveReference? = nil,
        location: BackupLocation? = nil
    ) {
        self.backup = backup
        self.service = service
        self.archive = archive
        self.location = location
    }
}

/// An archive in a repository: `path` below the repository's prefix, without the major version.
package struct ArchiveReference: Codable, Equatable, Sendable {
    package var repository: NameReference?
    package var path: String?

    package init(repository: NameReference?, path: String?) {
        self.repository = repository
        self.path = path
    }
}

/// A backup that nobody recorded.
package struct BackupLocation: Codable, Equatable, Sendable {
    package var uri: String?
    package var engine: Open<EngineName>?
    package var repository: NameReference?

    package init(uri: String?, engine: Open<EngineName>?, repository: NameReference?) {
        self.uri = uri
        self.engine = engine
        self.repository = repository
    }
}

package enum EngineName: String, CaseIterable, Sendable {
    case postgres = "Postgres"
    case redis = "Redis"
    case mongodb = "MongoDB"
    case s3 = "S3"
}

/// The moment to recover to.
package struct RecoveryTarget: Codable, Equatable, Sendable {
    package var kind: Open<RecoveryTargetKind>?
    package var time: String?
    package var xid: String?
    package var lsn: String?
    package var name: String?
    package var inclusive: Bool?
    /// `Latest`, `Current` or a decimal timeline.
    package var timeline: String?

    package init(kind: Open<RecoveryTargetKind>?) { self.kind = kind }
}

package enum RecoveryTargetKind: String, CaseIterable, Sendable {
    case latest = "Latest"
    case backupEnd = "BackupEnd"
    case time = "Time"
    case xid = "Xid"
    case lsn = "Lsn"
    case name = "Name"
}

/// The service that a restore creates: a closed struct, not a pod template.
package struct NewService: Codable, Equatable, Sendable {
    package var name: String?
    package var templateRef: NameReference?
    package var image: String?
    package var imagePullPolicy: String?
    package var imagePullSecrets: [NameReference]?
    package var imageProfile: String?
    package var major: Int?
    package var storage: Storage?
    package var resources: ResourceRequirements?
    package var nodeSelector: [String: String]?
    package var tolerations: [Toleration]?
    package var affinity: Passthrough?
    package var topologySpreadConstraints: [Passthrough]?
    package var labels: [String: String]?
    package var annotations: [String: String]?
    package var securityContext: SecurityContext?
    package var env: [Variable]?
    package var configMapRef: NameReference?
    package var port: Int?
    package var database: String?
    package var archive: OwnArchive?
    package var credentials: Credentials?

    package init() {}

    package struct Storage: Codable, Equatable, Sendable {
        /// A Kubernetes quantity.
        package var size: String?
        package var className: String?

        package init(size: String?, className: String? = nil) {
            self.size = size
            self.className = className
        }
    }

    package struct SecurityContext: Codable, Equatable, Sendable {
        package var runAsUser: Int64?
        package var runAsGroup: Int64?
        package var fsGroup: Int64?

        package init() {}
    }

    package struct Variable: Codable, Equatable, Sendable {
        package var name: String?
        package var value: String?

        package init(name: String?, value: String?) {
            self.name = name
            self.value = value
        }
    }

    /// The service's own archive, or `mode: Disabled`.
    package struct OwnArchive: Codable, Equatable, Sendable {
        package var repository: NameReference?
        package var path: String?
        /// Five-field cron expression for the image's own base backups.
        package var schedule: String?
        package var mode: String?

        package init(
            repository: NameReference? = nil, path: String? = nil, schedule: String? = nil, mode: String? = nil
        ) {
            self.repository = repository
            self.path = path
            self.schedule = schedule
            self.mode = mode
        }

        package var isDisabled: Bool { mode == "Disabled" }
    }

    package struct Credentials: Codable, Equatable, Sendable {
        package var secretName: String?
        /// `Always` or `Never`.
        package var rotate: String?

        package init(secretName: String? = nil, rotate: String? = nil) {
            self.secretName = secretName
            self.rotate = rotate
        }
    }
}

/// A named query that shows that the right data came back.
package struct VerificationCheck: Codable, Equatable, Sendable {
    package var name: String?
    package var query: String?
    /// Where it runs; `postgres` if it is not said.
    package var database: String?
    /// As text; `true` if it is not said.
    package var expect: String?

    package init() {}
}

/// The plan as people see it: what will run, what it costs, and what speaks against it.
package struct PlanStatus: Codable, Equatable, Sendable {
    package var strategy: String?
    package var path: String?
    package var baseBackup: String?
    package var timeline: String?
    package var systemIdentifier: String?
    package var recoveryTarget: String?
    package var destructive: Bool?
    package var reversible: Bool?
    package var undo: String?
    /// What `spec.confirm` must say, when data is replaced.
    package var confirm: String?
    package var steps: [PlanStep]?
    package var bytes: Int64?
    package var estimatedSeconds: Int64?
    package var catalogAge: String?
    package var warnings: [PlanFinding]?
    package var errors: [PlanFinding]?
    package var hash: String?

    package init() {}
}

package struct PlanStep: Codable, Equatable, Sendable {
    package var name: String
    package var detail: String?

    package init(name: String, detail: String? = nil) {
        self.name = name
        self.detail = detail
    }
}

package struct PlanFinding: Codable, Equatable, Sendable {
    package var reason: String
    package var message: String

    package init(reason: String, message: String) {
        self.reason = reason
        self.message = message
    }
}

/// How far a restore has come.
package struct RestoreProgress: Codable, Equatable, Sendable {
    package var bytesDone: Int64?
    package var bytesTotal: Int64?
    package var segmentsDone: Int64?
    package var segmentsTotal: Int64?
    package var percent: Int?
    package var eta: Timestamp?
    /// When this was written: progress is written at most once in five seconds.
    package var updatedAt: Timestamp?

    package init() {}
}
