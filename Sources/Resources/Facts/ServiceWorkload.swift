// SPDX-License-Identifier: Apache-2.0

/// A user's `apps/v1` StatefulSet, as far as replacing its data or copying it reads it: a Job is built from its pod
/// template, so what a decision does not look at is handed on as it came. The StatefulSets that the controller makes are read as `StatefulSet`,
/// which decodes less.
package struct ServiceWorkload: Resource {
    package static let resourceKind = StatefulSet.resourceKind

    package var metadata: ObjectMeta
    package var spec: Spec?
    package var status: StatefulSet.Status?

    package init(metadata: ObjectMeta, spec: Spec? = nil, status: StatefulSet.Status? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    package struct Spec: Decodable, Equatable, Sendable {
        package var replicas: Int?
        package var template: Template?
        package var volumeClaimTemplates: [ClaimTemplate]?
        /// Of the Service that gives its pods their names.
        package var serviceName: String?

        package init(replicas: Int?, template: Template?, volumeClaimTemplates: [ClaimTemplate]?) {
            self.replicas = replicas
            self.template = template
            self.volumeClaimTemplates = volumeClaimTemplates
        }
    }

    package struct ClaimTemplate: Decodable, Equatable, Sendable {
        package var metadata: Meta
        package var spec: ClaimFacts?

        package init(name: String, spec: ClaimFacts? = nil) {
            metadata = Meta(name: name)
            self.spec = spec
        }

        package struct Meta: Decodable, Equatable, Sendable {
            package var name: String
        }
    }

    package struct Template: Decodable, Equatable, Sendable {
        package var metadata: Meta?
        package var spec: PodFacts?

        package init(spec: PodFacts?, labels: [String: String]? = nil) {
            self.spec = spec
            metadata = labels.map { Meta(labels: $0) }
        }

        package struct Meta: Decodable, Equatable, Sendable {
            package var labels: [String: String]?
        }
    }

    /// What a Job's pod, or a new service, takes over from the service's.
    package struct PodFacts: Decodable, Equatable, Sendable {
        package var initContainers: [Container]?
        package var containers: [Container]?
        package var volumes: [CopiedVolume]?
        package var imagePullSecrets: [LocalReference]?
        package var nodeSelector: [String: String]?
        package var tolerations: [Toleration]?
        package var affinity: Passthrough?
        package var topologySpreadConstraints: [Passthrough]?
        package var securityContext: Passthrough?
        package var runtimeClassName: String?
        package var priorityClassName: String?

        package init(containers: [Container]?) { self.containers = containers }
    }

    package struct Container: Decodable, Equatable, Sendable {
        package var name: String
        package var image: String?
        package var imagePullPolicy: String?
        package var command: [String]?
        package var args: [String]?
        package var env: [CopiedVariable]?
        package var envFrom: [Passthrough]?
        package var resources: ResourceRequirements?
        package var securityContext: Passthrough?
        package var volumeMounts: [CopiedMount]?

        package init(name: String, image: String?) {
            self.name = name
            self.image = image
        }
    }

    package var isDeleting: Bool { metadata.isDeleting }
    /// As many as are asked for: Kubernetes takes 1 for none.
    package var replicas: Int { spec?.replicas ?? 1 }
}

/// A variable of a user's container: a literal, or from wherever its pod takes it.
package struct CopiedVariable: Codable, Equatable, Sendable {
    package var name: String
    package var value: String?
    package var valueFrom: Passthrough?

    package init(name: String, value: String?, valueFrom: Passthrough? = nil) {
        self.name = name
        self.value = value
        self.valueFrom = valueFrom
    }
}

/// A mount of a user's container.
package struct CopiedMount: Codable, Equatable, Sendable {
    package var name: String
    package var mountPath: String
    package var subPath: String?
    package var subPathExpr: String?
    package var readOnly: Bool?

    package init(name: String, mountPath: String, subPath: String? = nil, readOnly: Bool? = nil) {
        self.name = name
        self.mountPath = mountPath
        self.subPath = subPath
        self.readOnly = readOnly
    }
}

/// A volume of a user's pod, of the kinds that a Job takes over. Others (host paths above all) have only a name here, and
/// can't be written back.
package struct CopiedVolume: Codable, Equatable, Sendable {
    package var name: String
    package var configMap: Passthrough?
    package var secret: Passthrough?
    package var projected: Passthrough?
    package var downwardAPI: Passthrough?
    package var emptyDir: Passthrough?

    package init(name: String) { self.name = name }

    /// Of a kind that is taken over.
    package var isKnown: Bool {
        configMap != nil || secret != nil || projected != nil || downwardAPI != nil || emptyDir != nil
    }
}
