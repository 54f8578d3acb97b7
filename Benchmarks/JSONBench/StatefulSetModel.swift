// SPDX-License-Identifier: Apache-2.0

// A StatefulSet in full, as a controller that decodes everything would have it (the controller itself reads less).

struct StatefulSet: Codable, Equatable {
    var apiVersion: String?
    var kind: String?
    var metadata: Metadata
    var spec: StatefulSetSpec?
    var status: StatefulSetStatus?
}

struct Metadata: Codable, Equatable {
    var name: String?
    var namespace: String?
    var uid: String?
    var resourceVersion: String?
    var generation: Int64?
    var creationTimestamp: String?
    var deletionTimestamp: String?
    var labels: [String: String]?
    var annotations: [String: String]?
    var finalizers: [String]?
    var ownerReferences: [OwnerReference]?
    var managedFields: [ManagedField]?
}

struct OwnerReference: Codable, Equatable {
    var apiVersion: String
    var kind: String
    var name: String
    var uid: String
    var controller: Bool?
    var blockOwnerDeletion: Bool?
}

struct ManagedField: Codable, Equatable {
    var manager: String?
    var operation: String?
    var apiVersion: String?
    var time: String?
    var fieldsType: String?
}

struct StatefulSetSpec: Codable, Equatable {
    var replicas: Int32?
    var selector: Selector
    var template: PodTemplate
    var volumeClaimTemplates: [Claim]?
    var serviceName: String?
    var podManagementPolicy: String?
    var updateStrategy: UpdateStrategy?
    var revisionHistoryLimit: Int32?
    var persistentVolumeClaimRetentionPolicy: [String: String]?
}

struct Selector: Codable, Equatable { var matchLabels: [String: String]? }
struct UpdateStrategy: Codable, Equatable {
    struct Rolling: Codable, Equatable { var partition: Int32? }
    var type: String?
    var rollingUpdate: Rolling?
}

struct PodTemplate: Codable, Equatable {
    var metadata: Metadata?
    var spec: PodSpec
}

struct PodSpec: Codable, Equatable {
    var volumes: [Volume]?
    var initContainers: [Container]?
    var containers: [Container]
    var restartPolicy: String?
    var terminationGracePeriodSeconds: Int64?
    var dnsPolicy: String?
    var serviceAccountName: String?
    var nodeName: String?
    var securityContext: PodSecurityContext?
    var imagePullSecrets: [Reference]?
    var affinity: Affinity?
    var schedulerName: String?
    var priorityClassName: String?
}

struct Reference: Codable, Equatable { var name: String? }
struct PodSecurityContext: Codable, Equatable {
    var runAsUser: Int64?
    var runAsNonRoot: Bool?
    var fsGroup: Int64?
    var fsGroupChangePolicy: String?
}

struct Affinity: Codable, Equatable { var podAntiAffinity: PodAntiAffinity? }
struct PodAntiAffinity: Codable, Equatable {
    var preferredDuringSchedulingIgnoredDuringExecution: [WeightedTerm]?
}

struct WeightedTerm: Codable, Equatable {
    var weight: Int32
    var podAffinityTerm: AffinityTerm
}

struct AffinityTerm: Codable, Equatable {
    var labelSelector: Selector?
    var topologyKey: String
    var namespaces: [String]?
}

struct Volume: Codable, Equatable {
    struct ConfigMap: Codable, Equatable {
        var name: String?
        var defaultMode: Int32?
    }
    struct Secret: Codable, Equatable {
        var secretName: String?
        var defaultMode: Int32?
    }
    var name: String
    var configMap: ConfigMap?
    var secret: Secret?
}

struct Container: Codable, Equatable {
    var name: String
    var image: String?
    var command: [String]?
    var args: [String]?
    var workingDir: String?
    var ports: [Port]?
    var env: [Variable]?
    var resources: Resources?
    var volumeMounts: [Mount]?
    var livenessProbe: Probe?
    var readinessProbe: Probe?
    var terminationMessagePath: String?
    var terminationMessagePolicy: String?
    var imagePullPolicy: String?
    var securityContext: SecurityContext?
}

struct Port: Codable, Equatable {
    var name: String?
    var containerPort: Int32
    var hostPort: Int32?
    var `protocol`: String?
}

struct Variable: Codable, Equatable {
    struct Source: Codable, Equatable {
        struct Key: Codable, Equatable {
            var name: String?
            var key: String
        }
        struct Field: Codable, Equatable {
            var apiVersion: String?
            var fieldPath: String
        }
        var secretKeyRef: Key?
        var fieldRef: Field?
    }
    var name: String
    var value: String?
    var valueFrom: Source?
}

struct Resources: Codable, Equatable {
    var limits: [String: String]?
    var requests: [String: String]?
}

struct Mount: Codable, Equatable {
    var name: String
    var mountPath: String
    var subPath: String?
    var readOnly: Bool?
}

struct Probe: Codable, Equatable {
    struct Exec: Codable, Equatable { var command: [String]? }
    var exec: Exec?
    var initialDelaySeconds: Int32?
    var timeoutSeconds: Int32?
    var periodSeconds: Int32?
    var successThreshold: Int32?
    var failureThreshold: Int32?
}

struct SecurityContext: Codable, Equatable {
    var runAsUser: Int64?
    var allowPrivilegeEscalation: Bool?
    var readOnlyRootFilesystem: Bool?
}

struct Claim: Codable, Equatable {
    struct Spec: Codable, Equatable {
        var accessModes: [String]?
        var resources: Resources?
        var storageClassName: String?
        var volumeMode: String?
        var volumeName: String?
    }
    struct Status: Codable, Equatable { var phase: String? }
    var apiVersion: String?
    var kind: String?
    var metadata: Metadata?
    var spec: Spec?
    var status: Status?
}

struct StatefulSetStatus: Codable, Equatable {
    struct Condition: Codable, Equatable {
        var type: String
        var status: String
        var lastTransitionTime: String?
        var reason: String?
        var message: String?
    }
    var observedGeneration: Int64?
    var replicas: Int32?
    var readyReplicas: Int32?
    var currentReplicas: Int32?
    var updatedReplicas: Int32?
    var availableReplicas: Int32?
    var currentRevision: String?
    var updateRevision: String?
    var collisionCount: Int32?
    var conditions: [Condition]?
}
