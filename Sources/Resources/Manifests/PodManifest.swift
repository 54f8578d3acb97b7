// SPDX-License-Identifier: Apache-2.0

// The closed set of pod fields that the controller ever writes. What is not here (service accounts of a user's choice,
// host paths, host networking, privileges) can't be written at all.

/// A pod template in a StatefulSet or Job.
package struct PodTemplateManifest: Encodable, Equatable, Sendable {
    package var metadata: Meta
    package var spec: PodSpecManifest

    package init(labels: [String: String], annotations: [String: String] = [:], spec: PodSpecManifest) {
        self.metadata = Meta(labels: labels, annotations: annotations.isEmpty ? nil : annotations)
        self.spec = spec
    }

    package struct Meta: Encodable, Equatable, Sendable {
        package var labels: [String: String]
        package var annotations: [String: String]?
    }
}

package struct PodSpecManifest: Encodable, Equatable, Sendable {
    package var restartPolicy: String?
    package var terminationGracePeriodSeconds: Int?
    package var activeDeadlineSeconds: Int?
    package var automountServiceAccountToken = false
    package var enableServiceLinks = false
    package var securityContext: OwnOrCopied<PodSecurityContextManifest>?
    package var runtimeClassName: String?
    package var priorityClassName: String?
    package var imagePullSecrets: [LocalReference]?
    package var nodeSelector: [String: String]?
    package var tolerations: [Toleration]?
    package var affinity: Passthrough?
    package var topologySpreadConstraints: [Passthrough]?
    /// Run one after the other, to their end, before `containers`; all of them again when the pod is restarted.
    package var initContainers: [ContainerManifest]?
    package var containers: [ContainerManifest]
    package var volumes: [VolumeManifest]?

    package init(containers: [ContainerManifest]) { self.containers = containers }
}

/// Ours, or as it stands on a user's pod.
package enum OwnOrCopied<Own: Encodable & Equatable & Sendable>: Encodable, Equatable, Sendable {
    case own(Own)
    case copied(Passthrough)

    /// Ours, if it is.
    package var own: Own? {
        if case .own(let value) = self { value } else { nil }
    }

    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .own(let value): try value.encode(to: encoder)
        case .copied(let value): try value.encode(to: encoder)
        }
    }
}

/// A reference by name in the same namespace.
package struct LocalReference: Codable, Equatable, Sendable {
    package var name: String

    package init(name: String) { self.name = name }
}

package struct PodSecurityContextManifest: Encodable, Equatable, Sendable {
    package var runAsNonRoot: Bool?
    package var runAsUser: Int64?
    package var runAsGroup: Int64?
    package var fsGroup: Int64?
    package var seccompProfile: SeccompProfile?

    package init() {}

    package struct SeccompProfile: Encodable, Equatable, Sendable {
        package var type = "RuntimeDefault"

        package init() {}
    }
}

package struct ContainerSecurityContextManifest: Encodable, Equatable, Sendable {
    package var allowPrivilegeEscalation: Bool?
    package var readOnlyRootFilesystem: Bool?
    package var runAsNonRoot: Bool?
    package var runAsUser: Int64?
    package var capabilities: Capabilities?

    package init() {}

    package struct Capabilities: Encodable, Equatable, Sendable {
        package var drop: [String]

        package init(drop: [String]) { self.drop = drop }
    }
}

package struct ContainerManifest: Encodable, Equatable, Sendable {
    package var name: String
    package var image: String
    package var imagePullPolicy: String?
    package var command: [String]?
    package var args: [String]?
    package var env: [VariableManifest]
    package var envFrom: [EnvironmentSource]?
    package var ports: [Port]?
    package var resources: ResourceRequirements?
    package var startupProbe: Probe?
    package var readinessProbe: Probe?
    package var livenessProbe: Probe?
    package var securityContext: OwnOrCopied<ContainerSecurityContextManifest>?
    package var terminationMessagePath: String?
    package var terminationMessagePolicy: String?
    package var volumeMounts: [VolumeMount]

    package init(name: String, image: String, env: [VariableManifest] = [], volumeMounts: [VolumeMount] = []) {
        self.name = name
        self.image = image
        self.env = env
        self.volumeMounts = volumeMounts
    }

    package struct Port: Encodable, Equatable, Sendable {
        package var name: String
        package var containerPort: Int

        package init(name: String, containerPort: Int) {
            self.name = name
            self.containerPort = containerPort
        }
    }
}

/// One environment variable: a literal, or one key of a Secret.
package struct VariableManifest: Encodable, Equatable, Sendable {
    package var name: String
    package var value: String?
    package var valueFrom: Source?

    /// - Parameter value: Literal text.
    package init(_ name: String, value: String) {
        self.name = name
        self.value = Expansion.escaped(value)
    }

    package init(_ name: String, secret: String, key: String, optional: Bool? = nil) {
        self.name = name
        self.valueFrom = .secret(KeyReference(name: secret, key: key, optional: optional))
    }

    /// As it stands on a user's container.
    package init(copied variable: CopiedVariable) {
        name = variable.name
        value = variable.value
        valueFrom = variable.valueFrom.map { .copied($0) }
    }

    package enum Source: Encodable, Equatable, Sendable {
        case secret(KeyReference)
        case copied(Passthrough)

        private enum CodingKeys: CodingKey { case secretKeyRef }

        /// The Secret's key, if it is one of ours.
        package var secretKeyRef: KeyReference? {
            if case .secret(let reference) = self { reference } else { nil }
        }

        package func encode(to encoder: any Encoder) throws {
            switch self {
            case .copied(let value): try value.encode(to: encoder)
            case .secret(let reference):
                var container = encoder.container(keyedBy: CodingKeys.self)
                try container.encode(reference, forKey: .secretKeyRef)
            }
        }
    }

    package struct KeyReference: Encodable, Equatable, Sendable {
        package var name: String
        package var key: String
        package var optional: Bool?
    }
}

/// Variables from elsewhere: all keys of a ConfigMap, or as it stands on a user's container.
package enum EnvironmentSource: Encodable, Equatable, Sendable {
    case configMap(LocalReference)
    case copied(Passthrough)

    private enum CodingKeys: CodingKey { case configMapRef }

    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .copied(let value): try value.encode(to: encoder)
        case .configMap(let reference):
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(reference, forKey: .configMapRef)
        }
    }
}

/// Requests and limits, as Kubernetes quantities.
package struct ResourceRequirements: Codable, Equatable, Sendable {
    package var requests: [String: String]?
    package var limits: [String: String]?

    package init(requests: [String: String]? = nil, limits: [String: String]? = nil) {
        self.requests = requests
        self.limits = limits
    }
}

/// A probe that runs a command in the container.
package struct Probe: Encodable, Equatable, Sendable {
    package var exec: Command
    package var initialDelaySeconds: Int?
    package var periodSeconds: Int?
    package var timeoutSeconds: Int?
    package var failureThreshold: Int?

    package init(command: [String], period: Int, timeout: Int, failureThreshold: Int, initialDelay: Int? = nil) {
        self.exec = Command(command: command)
        self.initialDelaySeconds = initialDelay
        self.periodSeconds = period
        self.timeoutSeconds = timeout
        self.failureThreshold = failureThreshold
    }

    package struct Command: Encodable, Equatable, Sendable {
        package var command: [String]
    }
}

package struct VolumeMount: Encodable, Equatable, Sendable {
    package var name: String
    package var mountPath: String
    package var subPath: String?
    package var subPathExpr: String?
    package var readOnly: Bool?

    package init(name: String, mountPath: String, readOnly: Bool? = nil) {
        self.name = name
        self.mountPath = mountPath
        self.readOnly = readOnly
    }

    /// As it stands on a user's container.
    package init(copied mount: CopiedMount, readOnly: Bool?) {
        name = mount.name
        mountPath = mount.mountPath
        subPath = mount.subPath
        subPathExpr = mount.subPathExpr
        self.readOnly = readOnly
    }
}

/// One volume: a claim, keys of a Secret, a ConfigMap, files out of several ConfigMaps, scratch space, or one of a user's
/// pod, as it stands there.
package struct VolumeManifest: Encodable, Equatable, Sendable {
    package var name: String
    package var persistentVolumeClaim: Claim?
    package var secret: SecretFiles?
    package var configMap: ConfigMapFiles?
    package var projected: Projection?
    package var emptyDir: EmptyDir?
    private var copied: CopiedVolume?

    /// - Returns: `nil` for a kind that is not taken over.
    package init?(copied volume: CopiedVolume) {
        guard volume.isKnown else { return nil }
        name = volume.name
        copied = volume
    }

    private enum CodingKeys: CodingKey { case name, persistentVolumeClaim, secret, configMap, projected, emptyDir }

    package func encode(to encoder: any Encoder) throws {
        if let copied { return try copied.encode(to: encoder) }
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encodeIfPresent(persistentVolumeClaim, forKey: .persistentVolumeClaim)
        try container.encodeIfPresent(secret, forKey: .secret)
        try container.encodeIfPresent(configMap, forKey: .configMap)
        try container.encodeIfPresent(projected, forKey: .projected)
        try container.encodeIfPresent(emptyDir, forKey: .emptyDir)
    }

    package init(name: String, claim: String, readOnly: Bool? = nil) {
        self.name = name
        self.persistentVolumeClaim = Claim(claimName: claim, readOnly: readOnly)
    }

    /// - Parameter passwordKey: Of all keys only this one, as the file `password`.
    package init(name: String, secret: String, mode: Int? = nil, passwordKey: String? = nil) {
        self.name = name
        let items = passwordKey.map { [Projection.Item(key: $0, path: "password")] }
        self.secret = SecretFiles(secretName: secret, defaultMode: mode, items: items)
    }

    package init(name: String, configMap: String) {
        self.name = name
        self.configMap = ConfigMapFiles(name: configMap)
    }

    /// One key of each of some ConfigMaps, as the file `<name of the ConfigMap>.json`. Those that are not there are left
    /// out.
    package init(name: String, key: String, ofConfigMaps configMaps: [String]) {
        self.name = name
        self.projected = Projection(
            sources: configMaps.map { configMap in
                .init(
                    configMap: .init(
                        name: configMap, items: [.init(key: key, path: "\(configMap).json")], optional: true))
            })
    }

    package init(name: String, emptyDirSizeLimit: String?) {
        self.name = name
        self.emptyDir = EmptyDir(sizeLimit: emptyDirSizeLimit)
    }

    package struct Claim: Encodable, Equatable, Sendable {
        package var claimName: String
        package var readOnly: Bool?
    }

    package struct SecretFiles: Encodable, Equatable, Sendable {
        package var secretName: String
        package var defaultMode: Int?
        package var items: [Projection.Item]?
    }

    package struct ConfigMapFiles: Encodable, Equatable, Sendable {
        package var name: String
    }

    package struct Projection: Encodable, Equatable, Sendable {
        package var sources: [Source]

        package struct Source: Encodable, Equatable, Sendable {
            package var configMap: Files
        }

        package struct Files: Encodable, Equatable, Sendable {
            package var name: String
            package var items: [Item]
            package var optional: Bool
        }

        package struct Item: Encodable, Equatable, Sendable {
            package var key: String
            package var path: String
        }
    }

    package struct EmptyDir: Encodable, Equatable, Sendable {
        package var sizeLimit: String?
    }
}

/// A toleration, as in the Kubernetes API.
package struct Toleration: Codable, Equatable, Sendable {
    package var key: String?
    package var `operator`: String?
    package var value: String?
    package var effect: String?
    package var tolerationSeconds: Int64?

    package init() {}
}

package struct LabelSelector: Encodable, Equatable, Sendable {
    package var matchLabels: [String: String]

    package init(matchLabels: [String: String]) { self.matchLabels = matchLabels }
}
