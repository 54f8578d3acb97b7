// SPDX-License-Identifier: Apache-2.0

/// "A service exists, pre-loaded from X": long-lived, and restores once.
package struct ServiceClone: CustomResource {
    package static let resourceKind = repriseKind("ServiceClone", "serviceclones")

    package var metadata: ObjectMeta
    package var spec: ServiceCloneSpec?
    package var status: ServiceCloneStatus?

    package init(metadata: ObjectMeta, spec: ServiceCloneSpec? = nil, status: ServiceCloneStatus? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }
}

package struct ServiceCloneSpec: Codable, Equatable, Sendable {
    package var source: RestoreSource?
    package var recoveryTarget: RecoveryTarget?
    package var service: NewService?
    /// `Retain` (default) or `Delete`: what becomes of the service when the clone is deleted.
    package var deletionPolicy: String?
    package var retry: Retry?
    package var expiresAfter: String?
    package var managed: Bool?
    /// Changing it asks for one more restore, after the data was lost or every attempt failed.
    package var requestID: String?
    package var verification: [VerificationCheck]?

    package init() {}

    package struct Retry: Codable, Equatable, Sendable {
        package var limit: Int?

        package init(limit: Int?) { self.limit = limit }
    }
}

package struct ServiceCloneStatus: Codable, Equatable, Sendable {
    package var observedGeneration: Int64?
    package var run: RunReference?
    /// Set once a run has completed: this clone never restores again for the same request.
    package var completedRunUID: String?
    /// The service as that run made it, where it copies another one.
    package var copied: CopiedService?
    /// The `spec.requestID` that `run` and `completedRunUID` belong to.
    package var requestID: String?
    package var attempts: Int?
    /// The run of the attempt before this one.
    package var retryOf: String?
    package var plan: PlanStatus?
    package var progress: RestoreProgress?
    package var phase: String?
    package var message: String?
    package var conditions: [Condition]?

    package init() {}

    package struct RunReference: Codable, Equatable, Sendable {
        package var name: String
        package var uid: String?

        package init(name: String, uid: String?) {
            self.name = name
            self.uid = uid
        }
    }
}

/// A run that a ServiceClone creates.
package struct RestoreRunManifest: Manifest {
    package static let resourceKind = RestoreRun.resourceKind

    package var metadata: ManifestMeta
    package var spec: RestoreRunSpec

    package init(metadata: ManifestMeta, spec: RestoreRunSpec) {
        self.metadata = metadata
        self.spec = spec
    }
}
