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
    /// Seconds from its start on its node. It stands in the pod and not on the Job: a Job's own deadline deletes the pod
    /// with its log and message.
    var deadline: Int
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
        spec.restartPolicy = "Never"
        spec.activeDeadlineSeconds = deadline
        spec.volumes = volumes.isEmpty ? nil : volumes
        return spec
    }
}
