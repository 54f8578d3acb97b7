// SPDX-License-Identifier: Apache-2.0

package import Resources

/// The Jobs that work on the volume of a user's service: its own image, volumes, variables and node constraints, without
/// its ports, probes, sidecars and labels. All of them run the program `inplace`; those that change the volume can start
/// only while their permit exists.
package struct PostgresInPlaceJobs: Equatable, Sendable {
    package var scope: RunScope
    package var unit: ServiceUnit
    /// As planned: the template's may have changed since.
    package var image: String
    package var settings: Settings
    /// The Jobs are the run's: they go when it goes.
    package var owner: OwnerReference

    package init(scope: RunScope, unit: ServiceUnit, image: String, settings: Settings, owner: OwnerReference) {
        self.scope = scope
        self.unit = unit
        self.image = image
        self.settings = settings
        self.owner = owner
    }

    /// Looks at the volume beside the running service, and changes nothing.
    /// - Parameter isCrossService: The replacement is going to need the password: a Secret or key that is not there is
    ///   noticed while the service still runs.
    package func inspect(_ ordinal: Int, again: Bool = false, isCrossService: Bool = false) -> JobManifest {
        let role: JobRole = again ? .recheck : .inspect
        let variables = [VariableManifest("REPRISE_ACTION", value: "inspect")]
        var pod = podSpec(role, ordinal, variables, isReadOnly: true, deadline: 300)
        if isCrossService { mountPassword(&pod) }
        return job(role, ordinal, beside(pod), deadline: 300)
    }

    /// The programs read the file `password`, whatever its key is called.
    private func mountPassword(_ pod: inout PodSpecManifest) {
        guard let secret = unit.credentials?.secretName else { return }
        let key = unit.credentials?.passwordKey ?? ManagedServiceSpec.ServiceCredentials.defaultPasswordKey
        pod.volumes =
            (pod.volumes ?? []) + [VolumeManifest(name: "reprise-credentials", secret: secret, passwordKey: key)]
        pod.containers[0].volumeMounts.append(
            VolumeMount(name: "reprise-credentials", mountPath: "/reprise/credentials", readOnly: true))
    }

    /// One claim, one node: where the service's pod is. The label is set on every pod of a StatefulSet.
    private func beside(_ pod: PodSpecManifest) -> PodSpecManifest {
        guard unit.replicas > 0 else { return pod }
        var pod = pod
        pod.affinity = .affinity(besidePodsWith: ["statefulset.kubernetes.io/pod-name": unit.pod])
        return pod
    }

    /// Lists the source's archive with the agent.
    package func scan(_ ordinal: Int, of access: RepositoryAccess, path: String, major: Int) -> JobManifest {
        let pod = AgentPod(
            settings: settings,
            arguments: ["scan", "--bucket", access.bucket, "--path", access.key(path), "--major", "\(major)"],
            environment: access.environment, attemptToken: scope.attemptToken(.scanSource, ordinal))
        return job(.scanSource, ordinal, pod.spec, deadline: RestoreRunBehavior.scanDeadline)
    }

    /// What of a plan the program needs to know.
    package struct Replacement: Equatable, Sendable {
        package var access: RepositoryAccess
        /// Below the repository's prefix, without the major version.
        package var path: String
        package var major: Int
        package var pinned: PinnedBackup?
        package var targetKind: String
        package var target: String
        package var isInclusive: Bool
        /// The timeline that recovery is told to follow.
        package var timeline: String
        package var isCrossService: Bool
        /// What is on the volume and not in the archive is taken as well.
        package var takesTail: Bool
        package var rollbackUID: String?
        package var stoppedAt: Timestamp?
        package var checks: [VerificationCheck]
        package var amcheck: Bool
    }

    /// Sets the data aside, restores beside it, verifies, and swaps.
    package func replace(_ ordinal: Int, _ what: Replacement, deadline: Int64) -> JobManifest {
        var variables = what.access.environment
        func set(_ name: String, _ value: String?) {
            if let value { variables.append(VariableManifest(name, value: value)) }
        }
        set("REPRISE_ACTION", what.rollbackUID == nil ? "restore" : "rollback")
        set("REPRISE_ROLLBACK_OF", what.rollbackUID)
        set("REPRISE_SOURCE_PREFIX", "\(what.access.uri(what.path))/\(what.major)")
        set("REPRISE_BACKUP", what.pinned?.name)
        set("REPRISE_EXPECT_START_LSN", what.pinned?.startLSN)
        set("REPRISE_BACKUP_BYTES", what.pinned.map { "\($0.bytes)" })
        set("REPRISE_EXPECT_SYSTEM_IDENTIFIER", what.pinned?.systemIdentifier)
        set("REPRISE_EXPECT_SEGMENT", what.pinned?.newestSegment)
        set("REPRISE_EXPECT_MAJOR", "\(what.major)")
        set("REPRISE_TARGET_KIND", what.targetKind)
        set("REPRISE_TARGET", what.target)
        set("REPRISE_TARGET_INCLUSIVE", what.isInclusive ? "true" : "false")
        set("REPRISE_TIMELINE", what.timeline)
        set("REPRISE_CROSS_SERVICE", what.isCrossService ? "true" : "false")
        set("REPRISE_OWN_TAIL", what.takesTail ? "true" : "false")
        set("REPRISE_STOPPED_AT", what.stoppedAt.map { "\($0.microseconds / 1_000_000)" })
        variables += PostgresJobs.variables(what.checks, amcheck: what.amcheck)
        var pod = podSpec(.replace, ordinal, variables, isReadOnly: false, deadline: deadline)
        if what.isCrossService { mountPassword(&pod) }
        return job(.replace, ordinal, pod, deadline: deadline + 120)
    }

    /// Puts the old data back, if an unfinished replacement holds it.
    package func undo(_ ordinal: Int) -> JobManifest {
        let variables = [VariableManifest("REPRISE_ACTION", value: "undo")]
        return job(
            .undo, ordinal, podSpec(.undo, ordinal, variables, isReadOnly: false, deadline: 900), deadline: 1_020)
    }

    /// Removes what this run has kept of replaced data, beside the running service.
    package func tidy(_ ordinal: Int) -> JobManifest {
        let variables = [
            VariableManifest("REPRISE_ACTION", value: "tidy"),
            VariableManifest("REPRISE_TIDY", value: scope.runUID),
        ]
        let pod = podSpec(.tidy, ordinal, variables, isReadOnly: false, deadline: 900)
        return job(.tidy, ordinal, beside(pod), deadline: 1_020)
    }

    /// Without this ConfigMap no pod of a Job can start.
    package func permit(_ role: JobRole) -> ConfigMapManifest {
        ConfigMapManifest(
            metadata: ManifestMeta(
                name: scope.permit(role), namespace: scope.namespace,
                labels: [Label.managedBy: Label.managedByValue, Label.runUID: scope.runUID], ownerReferences: [owner]),
            data: ["run": scope.runUID, "step": role.rawValue])
    }

    // MARK: The pod

    private func podSpec(
        _ role: JobRole, _ ordinal: Int, _ variables: [VariableManifest], isReadOnly: Bool, deadline: Int64
    ) -> PodSpecManifest {
        var own = [
            VariableManifest("PGDATA", value: unit.dataDirectory),
            VariableManifest("REPRISE_RUN_UID", value: scope.runUID),
            VariableManifest("REPRISE_ATTEMPT_TOKEN", value: scope.attemptToken(role, ordinal)),
            VariableManifest("REPRISE_VOLUME", value: unit.mount.mountPath),
            VariableManifest("REPRISE_USER", value: unit.profile.superuser),
            VariableManifest("REPRISE_CONFIG_FILE", value: unit.profile.configFile),
            VariableManifest("REPRISE_DEADLINE_SECONDS", value: "\(deadline)"),
        ]
        own += variables
        let stores = variables.map(\.name).filter(Self.isStores)
        own.append(VariableManifest("REPRISE_STORE_VARIABLES", value: stores.joined(separator: " ")))
        var container = ContainerManifest(name: PostgresJobs.container, image: image)
        container.imagePullPolicy = unit.container.imagePullPolicy
        container.command = PostgresCommands.inplace
        let names = Set(own.map(\.name))
        // Ours last, and each name once: what the service is told about its own archive is not for this program, which
        // unsets what comes by `envFrom`.
        container.env =
            (unit.container.env ?? []).filter { !names.contains($0.name) && !Self.isStores($0.name) }
            .map { VariableManifest(copied: $0) } + own
        container.envFrom = unit.container.envFrom?.map { .copied($0) }
        container.resources = unit.container.resources
        container.securityContext = unit.container.securityContext.map { .copied($0) }
        container.volumeMounts = mounts(isReadOnly: isReadOnly)
        var spec = PodSpecManifest(containers: [container])
        spec.volumes = volumes(isReadOnly: isReadOnly)
        if role.changesVolume {
            spec.volumes?.append(VolumeManifest(name: "reprise-permit", configMap: scope.permit(role)))
            spec.containers[0].volumeMounts.append(
                VolumeMount(name: "reprise-permit", mountPath: "/reprise/permit", readOnly: true))
        }
        spec.terminationGracePeriodSeconds = 120
        spec.imagePullSecrets = unit.template.imagePullSecrets
        spec.nodeSelector = unit.template.nodeSelector
        spec.tolerations = unit.template.tolerations
        spec.affinity = unit.template.affinity
        spec.securityContext = unit.template.securityContext.map { .copied($0) }
        spec.runtimeClassName = unit.template.runtimeClassName
        spec.priorityClassName = unit.template.priorityClassName
        return spec
    }

    /// Variables that say where archives are and who may read them: those of the source are set instead.
    private static func isStores(_ name: String) -> Bool {
        ["AWS_", "WALG_", "WALE_"].contains { name.hasPrefix($0) }
    }

    private func mounts(isReadOnly: Bool) -> [VolumeMount] {
        let known = Set((unit.template.volumes ?? []).filter(\.isKnown).map(\.name))
        let others = (unit.container.volumeMounts ?? []).filter { known.contains($0.name) }
        return [VolumeMount(copied: unit.mount, readOnly: isReadOnly ? true : nil)]
            + others.map { VolumeMount(copied: $0, readOnly: $0.readOnly) }
    }

    private func volumes(isReadOnly: Bool) -> [VolumeManifest] {
        let wanted = Set((unit.container.volumeMounts ?? []).map(\.name))
        let others = (unit.template.volumes ?? []).filter { wanted.contains($0.name) }
        return [VolumeManifest(name: unit.volume, claim: unit.claim, readOnly: isReadOnly ? true : nil)]
            + others.compactMap { VolumeManifest(copied: $0) }
    }

    private func job(_ role: JobRole, _ ordinal: Int, _ spec: PodSpecManifest, deadline: Int64) -> JobManifest {
        let name = scope.job(role, ordinal)
        // Without the service's own labels: its Services must never select a Job's pod.
        let labels = [Label.managedBy: Label.managedByValue, Label.runUID: scope.runUID, Label.job: name]
        return JobManifest(
            metadata: ManifestMeta(
                name: name, namespace: scope.namespace, labels: labels, ownerReferences: [owner]),
            template: .ofJob(labels: labels, spec, deadline: deadline))
    }
}
