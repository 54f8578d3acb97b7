// SPDX-License-Identifier: Apache-2.0

/// `v1` PersistentVolumeClaim.
package struct PersistentVolumeClaim: Resource {
    package static let resourceKind = ResourceKind(
        group: "", version: "v1", plural: "persistentvolumeclaims", kind: "PersistentVolumeClaim")

    package var metadata: ObjectMeta
    package var spec: ClaimFacts?
    package var status: Status?

    package init(metadata: ObjectMeta, status: Status? = nil, spec: ClaimFacts? = nil) {
        self.metadata = metadata
        self.status = status
        self.spec = spec
    }

    package struct Status: Decodable, Equatable, Sendable {
        /// `Pending`, `Bound` or `Lost`.
        package var phase: String?
        package var capacity: [String: String]?

        package init(phase: String? = nil, capacity: [String: String]? = nil) {
            self.phase = phase
            self.capacity = capacity
        }
    }
}

/// What a claim asks for, by itself or in a StatefulSet's template.
package struct ClaimFacts: Decodable, Equatable, Sendable {
    package var storageClassName: String?
    package var resources: ResourceRequirements?

    package init(size: String?, className: String? = nil) {
        storageClassName = className
        resources = size.map { ResourceRequirements(requests: ["storage": $0]) }
    }

    /// A quantity.
    package var size: String? { resources?.requests?["storage"] }
}

/// `v1` Service; only its existence and its marks matter.
package struct Service: Resource {
    package static let resourceKind = ResourceKind(group: "", version: "v1", plural: "services", kind: "Service")

    package var metadata: ObjectMeta
    package var spec: Spec?

    package init(metadata: ObjectMeta, selector: [String: String]? = nil) {
        self.metadata = metadata
        spec = selector.map { Spec(selector: $0) }
    }

    package struct Spec: Decodable, Equatable, Sendable {
        package var selector: [String: String]?
    }
}

/// `v1` ConfigMap. Only those that the controller made are ever read.
package struct ConfigMap: Resource {
    package static let resourceKind = ResourceKind(group: "", version: "v1", plural: "configmaps", kind: "ConfigMap")

    package var metadata: ObjectMeta
    package var data: [String: String]?

    package init(metadata: ObjectMeta, data: [String: String]? = nil) {
        self.metadata = metadata
        self.data = data
    }
}

/// `v1` Namespace.
package struct Namespace: Resource {
    package static let resourceKind = ResourceKind(
        group: "", version: "v1", plural: "namespaces", kind: "Namespace")

    package var metadata: ObjectMeta

    package init(metadata: ObjectMeta) { self.metadata = metadata }
}

/// `coordination.k8s.io/v1` Lease, used for leader election.
package struct Lease: Resource {
    package static let resourceKind = ResourceKind(
        group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease")

    package var metadata: ObjectMeta
    package var spec: Spec?

    package init(metadata: ObjectMeta, spec: Spec? = nil) {
        self.metadata = metadata
        self.spec = spec
    }

    package struct Spec: Decodable, Equatable, Sendable {
        package var holderIdentity: String?
        package var leaseDurationSeconds: Int?
        package var acquireTime: Timestamp?
        package var renewTime: Timestamp?
        package var leaseTransitions: Int?

        package init(
            holderIdentity: String? = nil, leaseDurationSeconds: Int? = nil, acquireTime: Timestamp? = nil,
            renewTime: Timestamp? = nil, leaseTransitions: Int? = nil
        ) {
            self.holderIdentity = holderIdentity
            self.leaseDurationSeconds = leaseDurationSeconds
            self.acquireTime = acquireTime
            self.renewTime = renewTime
            self.leaseTransitions = leaseTransitions
        }
    }
}

/// What `v1` Secret is called. The controller never reads one, so there is no fact for it: a created Secret's answer is
/// dropped unread.
package let secretKind = ResourceKind(group: "", version: "v1", plural: "secrets", kind: "Secret")

/// What `v1` Event is called.
package let eventKind = ResourceKind(group: "", version: "v1", plural: "events", kind: "Event")
