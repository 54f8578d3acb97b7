// SPDX-License-Identifier: Apache-2.0

import Resources

/// The pod of a Job that runs the agent: without a Kubernetes token, without rights on its node, with nothing to write to.
struct AgentPod {
    var settings: Settings
    var arguments: [String]
    /// Where the store is and who may read it.
    var environment: [VariableManifest]
    /// What the result must carry to be believed.
    var attemptToken: String
    var volumes: [VolumeManifest] = []
    var mounts: [VolumeMount] = []

    var spec: PodSpecManifest {
        var container = ContainerManifest(
            name: PostgresJobs.container, image: settings.agentImage,
            env: environment + [VariableManifest("REPRISE_ATTEMPT_TOKEN", value: attemptToken)], volumeMounts: mounts)
        container.imagePullPolicy = settings.agentImagePullPolicy
        container.args = arguments
        container.resources = ResourceRequirements(
            requests: ["cpu": "50m", "memory": "64Mi"], limits: ["memory": "256Mi"])
        var security = ContainerSecurityContextManifest()
        security.allowPrivilegeEscalation = false
        security.readOnlyRootFilesystem = true
        security.runAsNonRoot = true
        security.runAsUser = 65_532
        security.capabilities = .init(drop: ["ALL"])
        container.securityContext = security
        var spec = PodSpecManifest(containers: [container])
        var podSecurity = PodSecurityContextManifest()
        podSecurity.runAsNonRoot = true
        podSecurity.seccompProfile = .init()
        spec.securityContext = podSecurity
        spec.volumes = volumes.isEmpty ? nil : volumes
        return spec
    }
}

extension PodTemplateManifest {
    /// The template of a Job: its pod runs once, and no mesh keeps it alive.
    /// - Parameter deadline: Seconds from the pod's start on its node. It stands in the pod and not on the Job: a Job's own
    ///   deadline deletes the pod with its log and message.
    static func ofJob(labels: [String: String], _ spec: PodSpecManifest, deadline: Int64) -> PodTemplateManifest {
        var spec = spec
        spec.restartPolicy = "Never"
        spec.activeDeadlineSeconds = Int(deadline)
        return PodTemplateManifest(
            labels: labels, annotations: ["sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"],
            spec: spec)
    }
}
