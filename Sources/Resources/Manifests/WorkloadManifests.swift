// SPDX-License-Identifier: Apache-2.0

/// A new StatefulSet with one claim template.
package struct StatefulSetManifest: Manifest {
    package static let resourceKind = StatefulSet.resourceKind

    package var metadata: ManifestMeta
    package var spec: Spec

    package init(metadata: ManifestMeta, spec: Spec) {
        self.metadata = metadata
        self.spec = spec
    }

    package struct Spec: Encodable, Equatable, Sendable {
        package var serviceName: String
        package var replicas: Int
        package var podManagementPolicy = "Parallel"
        package var revisionHistoryLimit = 2
        package var selector: LabelSelector
        package var template: PodTemplateManifest
        package var volumeClaimTemplates: [ClaimTemplate]

        package init(
            serviceName: String, replicas: Int, selector: LabelSelector, template: PodTemplateManifest,
            volumeClaimTemplates: [ClaimTemplate]
        ) {
            self.serviceName = serviceName
            self.replicas = replicas
            self.selector = selector
            self.template = template
            self.volumeClaimTemplates = volumeClaimTemplates
        }
    }

    package struct ClaimTemplate: Encodable, Equatable, Sendable {
        package var metadata: Meta
        package var spec: PersistentVolumeClaimManifest.Spec

        package init(name: String, labels: [String: String], spec: PersistentVolumeClaimManifest.Spec) {
            self.metadata = Meta(name: name, labels: labels)
            self.spec = spec
        }

        package struct Meta: Encodable, Equatable, Sendable {
            package var name: String
            package var labels: [String: String]
        }
    }
}

/// A new claim: the first thing that is created of a new service, and its lock.
package struct PersistentVolumeClaimManifest: Manifest {
    package static let resourceKind = PersistentVolumeClaim.resourceKind

    package var metadata: ManifestMeta
    package var spec: Spec

    package init(metadata: ManifestMeta, spec: Spec) {
        self.metadata = metadata
        self.spec = spec
    }

    package struct Spec: Encodable, Equatable, Sendable {
        package var accessModes = ["ReadWriteOnce"]
        package var storageClassName: String?
        package var resources: ResourceRequirements

        package init(storage: String, className: String?) {
            self.storageClassName = className
            self.resources = ResourceRequirements(requests: ["storage": storage])
        }
    }
}

/// A new Job. Never retried by Kubernetes (`backoffLimit: 0`), never deleted by it before its result is read.
package struct JobManifest: Manifest {
    package static let resourceKind = Job.resourceKind

    package var metadata: ManifestMeta
    package var spec: Spec

    package init(metadata: ManifestMeta, template: PodTemplateManifest) {
        self.metadata = metadata
        self.spec = Spec(template: template)
    }

    package struct Spec: Encodable, Equatable, Sendable {
        package var backoffLimit = 0
        package var template: PodTemplateManifest
    }
}

/// A new Service.
package struct ServiceManifest: Manifest {
    package static let resourceKind = Service.resourceKind

    package var metadata: ManifestMeta
    package var spec: Spec

    package init(metadata: ManifestMeta, spec: Spec) {
        self.metadata = metadata
        self.spec = spec
    }

    package struct Spec: Encodable, Equatable, Sendable {
        /// `None` for a headless Service, absent otherwise.
        package var clusterIP: String?
        package var publishNotReadyAddresses: Bool?
        package var selector: [String: String]
        package var ports: [Port]

        package init(headless: Bool, selector: [String: String], ports: [Port]) {
            self.clusterIP = headless ? "None" : nil
            self.publishNotReadyAddresses = headless ? true : nil
            self.selector = selector
            self.ports = ports
        }
    }

    package struct Port: Encodable, Equatable, Sendable {
        package var name: String
        package var port: Int
        package var targetPort: Int

        package init(name: String, port: Int, targetPort: Int) {
            self.name = name
            self.port = port
            self.targetPort = targetPort
        }
    }
}

/// A ConfigMap: the spool of a run's outcome, or the published catalog of an archive.
package struct ConfigMapManifest: Manifest {
    package static let resourceKind = ConfigMap.resourceKind

    package var metadata: ManifestMeta
    package var data: [String: String]

    package init(metadata: ManifestMeta, data: [String: String]) {
        self.metadata = metadata
        self.data = data
    }
}

/// A new Secret. Only the performer makes one, since only it draws the values.
package struct SecretManifest: Manifest {
    package static let resourceKind = secretKind

    package var metadata: ManifestMeta
    package var type = "Opaque"
    package var stringData: [String: String]

    package init(metadata: ManifestMeta, stringData: [String: String]) {
        self.metadata = metadata
        self.stringData = stringData
    }
}

/// A new `v1` Event about one of our objects.
package struct EventManifest: Manifest {
    package static let resourceKind = eventKind

    package var metadata: ManifestMeta
    package var involvedObject: ObjectReference
    package var reason: String
    package var message: String
    /// `Normal` or `Warning`.
    package var type: String
    package var source = Source()
    package var firstTimestamp: Timestamp
    package var lastTimestamp: Timestamp
    package var count = 1

    package init(
        metadata: ManifestMeta, involvedObject: ObjectReference, reason: String, message: String, type: String,
        at moment: Timestamp
    ) {
        self.metadata = metadata
        self.involvedObject = involvedObject
        self.reason = reason
        self.message = message
        self.type = type
        self.firstTimestamp = moment.wholeSecond
        self.lastTimestamp = moment.wholeSecond
    }

    package struct ObjectReference: Encodable, Equatable, Sendable {
        package var apiVersion: String
        package var kind: String
        package var namespace: String
        package var name: String
        package var uid: String

        package init(apiVersion: String, kind: String, namespace: String, name: String, uid: String) {
            self.apiVersion = apiVersion
            self.kind = kind
            self.namespace = namespace
            self.name = name
            self.uid = uid
        }
    }

    package struct Source: Encodable, Equatable, Sendable {
        package var component = "reprise"
    }
}

/// A new Lease for leader election.
package struct LeaseManifest: Manifest {
    package static let resourceKind = Lease.resourceKind

    package var metadata: ManifestMeta
    package var spec: LeaseSpecManifest

    package init(metadata: ManifestMeta, spec: LeaseSpecManifest) {
        self.metadata = metadata
        self.spec = spec
    }
}

/// What a holder writes into the Lease: `metav1.MicroTime` wants six fraction digits, so times are text here.
package struct LeaseSpecManifest: Encodable, Equatable, Sendable {
    package var holderIdentity: String
    package var leaseDurationSeconds: Int
    package var acquireTime: String?
    package var renewTime: String?
    package var leaseTransitions: Int?

    package init(
        holderIdentity: String, leaseDurationSeconds: Int, acquireTime: Timestamp? = nil, renewTime: Timestamp? = nil,
        leaseTransitions: Int? = nil
    ) {
        self.holderIdentity = holderIdentity
        self.leaseDurationSeconds = leaseDurationSeconds
        self.acquireTime = acquireTime?.rfc3339Micro
        self.renewTime = renewTime?.rfc3339Micro
        self.leaseTransitions = leaseTransitions
    }
}
