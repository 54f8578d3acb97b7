// SPDX-License-Identifier: Apache-2.0

// Kubernetes' own workload kinds as facts: only the fields that a decision reads. Field names and meanings are those of
// the Kubernetes API reference.

/// `apps/v1` StatefulSet.
package struct StatefulSet: Resource {
    package static let resourceKind = ResourceKind(
        group: "apps", version: "v1", plural: "statefulsets", kind: "StatefulSet")

    package var metadata: ObjectMeta
    package var spec: Spec?
    package var status: Status?

    package init(metadata: ObjectMeta, spec: Spec? = nil, status: Status? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    package struct Spec: Decodable, Equatable, Sendable {
        package var replicas: Int?
        package var template: PodTemplate?

        package init(replicas: Int? = nil, template: PodTemplate? = nil) {
            self.replicas = replicas
            self.template = template
        }
    }

    package struct Status: Decodable, Equatable, Sendable {
        package var observedGeneration: Int64?
        package var replicas: Int?
        package var readyReplicas: Int?

        package init(observedGeneration: Int64? = nil, replicas: Int? = nil, readyReplicas: Int? = nil) {
            self.observedGeneration = observedGeneration
            self.replicas = replicas
            self.readyReplicas = readyReplicas
        }
    }
}

/// The pod template inside a workload.
package struct PodTemplate: Decodable, Equatable, Sendable {
    package var spec: PodSpec?

    package init(spec: PodSpec? = nil) { self.spec = spec }
}

/// The part of a pod's spec that decisions read.
package struct PodSpec: Decodable, Equatable, Sendable {
    package var nodeName: String?
    package var initContainers: [Container]?
    package var containers: [Container]?

    package init(
        nodeName: String? = nil, containers: [Container]? = nil, initContainers: [Container]? = nil
    ) {
        self.nodeName = nodeName
        self.containers = containers
        self.initContainers = initContainers
    }

    package struct Container: Decodable, Equatable, Sendable {
        package var name: String
        package var image: String?
        package var args: [String]?
        package var env: [Variable]?

        package init(name: String, image: String? = nil, args: [String]? = nil, env: [Variable]? = nil) {
            self.name = name
            self.image = image
            self.args = args
            self.env = env
        }
    }

    /// A variable's literal value; variables taken from elsewhere have only a name here.
    package struct Variable: Decodable, Equatable, Sendable {
        package var name: String
        package var value: String?

        package init(name: String, value: String? = nil) {
            self.name = name
            self.value = value
        }
    }
}

/// `v1` Pod.
package struct Pod: Resource {
    package static let resourceKind = ResourceKind(group: "", version: "v1", plural: "pods", kind: "Pod")

    package var metadata: ObjectMeta
    package var spec: PodSpec?
    package var status: Status?

    package init(metadata: ObjectMeta, spec: PodSpec? = nil, status: Status? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    package struct Status: Decodable, Equatable, Sendable {
        /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        package var phase: String?
        package var podIP: String?
        package var reason: String?
        package var message: String?
        package var conditions: [PodCondition]?
        package var initContainerStatuses: [ContainerStatus]?
        package var containerStatuses: [ContainerStatus]?

        package init(
            phase: String? = nil, podIP: String? = nil, conditions: [PodCondition]? = nil,
            containerStatuses: [ContainerStatus]? = nil
        ) {
            self.phase = phase
            self.podIP = podIP
            self.conditions = conditions
            self.containerStatuses = containerStatuses
        }
    }

    package struct PodCondition: Decodable, Equatable, Sendable {
        package var type: String
        package var status: String
        package var reason: String?
        package var message: String?
        package var lastTransitionTime: Timestamp?

        package init(type: String, status: String, reason: String? = nil, message: String? = nil) {
            self.type = type
            self.status = status
            self.reason = reason
            self.message = message
        }
    }

    package struct ContainerStatus: Decodable, Equatable, Sendable {
        package var name: String
        package var ready: Bool?
        /// The startup probe has succeeded.
        package var started: Bool?
        package var restartCount: Int?
        package var containerID: String?
        package var imageID: String?
        package var state: ContainerState?
        package var lastState: ContainerState?

        package init(
            name: String, ready: Bool? = nil, started: Bool? = nil, restartCount: Int? = nil,
            terminated: Terminated? = nil, waiting: Waiting? = nil
        ) {
            self.name = name
            self.ready = ready
            self.started = started
            self.restartCount = restartCount
            let state = ContainerState(waiting: waiting, running: nil, terminated: terminated)
            self.state = state
        }
    }

    package struct ContainerState: Decodable, Equatable, Sendable {
        package var waiting: Waiting?
        package var running: Running?
        package var terminated: Terminated?

        package init(waiting: Waiting? = nil, running: Running? = nil, terminated: Terminated? = nil) {
            self.waiting = waiting
            self.running = running
            self.terminated = terminated
        }
    }

    package struct Waiting: Decodable, Equatable, Sendable {
        package var reason: String?
        package var message: String?

        package init(reason: String?, message: String? = nil) {
            self.reason = reason
            self.message = message
        }
    }

    package struct Running: Decodable, Equatable, Sendable {
        package var startedAt: Timestamp?

        package init(startedAt: Timestamp? = nil) { self.startedAt = startedAt }
    }

    package struct Terminated: Decodable, Equatable, Sendable {
        package var exitCode: Int?
        package var reason: String?
        package var message: String?
        package var startedAt: Timestamp?
        package var finishedAt: Timestamp?

        package init(exitCode: Int?, message: String? = nil, finishedAt: Timestamp? = nil) {
            self.exitCode = exitCode
            self.message = message
            self.finishedAt = finishedAt
        }
    }

    /// Whether the kubelet says that the pod is ready.
    package var isReady: Bool { status?.conditions?.contains { $0.type == "Ready" && $0.status == "True" } ?? false }
}

/// `batch/v1` Job.
package struct Job: Resource {
    package static let resourceKind = ResourceKind(group: "batch", version: "v1", plural: "jobs", kind: "Job")

    package var metadata: ObjectMeta
    package var status: Status?

    package init(metadata: ObjectMeta, status: Status? = nil) {
        self.metadata = metadata
        self.status = status
    }

    package struct Status: Decodable, Equatable, Sendable {
        package var active: Int?
        package var succeeded: Int?
        package var failed: Int?
        package var conditions: [JobCondition]?

        package init(
            active: Int? = nil, succeeded: Int? = nil, failed: Int? = nil, conditions: [JobCondition]? = nil
        ) {
            self.active = active
            self.succeeded = succeeded
            self.failed = failed
            self.conditions = conditions
        }
    }

    package struct JobCondition: Decodable, Equatable, Sendable {
        package var type: String
        package var status: String
        package var reason: String?
        package var message: String?

        package init(type: String, status: String, reason: String? = nil, message: String? = nil) {
            self.type = type
            self.status = status
            self.reason = reason
            self.message = message
        }
    }

    package var isComplete: Bool { has("Complete") }
    package var isFailed: Bool { has("Failed") }

    private func has(_ type: String) -> Bool {
        status?.conditions?.contains { $0.type == type && $0.status == "True" } ?? false
    }
}
