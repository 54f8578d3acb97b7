// SPDX-License-Identifier: Apache-2.0

package import Resources

/// The Jobs of a PostgreSQL restore. Everything that touches data or credentials runs in one, in the service's
/// namespace, with that namespace's Secrets and without a Kubernetes token.
package struct PostgresJobs: Sendable {
    package var request: RunRequest
    package var settings: Settings
    /// The Jobs are the run's: they go when it goes.
    package var owner: OwnerReference

    package init(request: RunRequest, settings: Settings, owner: OwnerReference) {
        self.request = request
        self.settings = settings
        self.owner = owner
    }

    /// The one container of a Job's pod.
    package static let container = "main"

    /// Lists an archive with the agent.
    /// - Parameter fingerprint: compare the archive with this earlier state of it.
    package func scan(
        _ role: JobRole, _ ordinal: Int, of access: RepositoryAccess, path: String,
        comparing fingerprint: SourceFingerprint? = nil
    ) -> JobManifest {
        var arguments = ["scan", "--bucket", access.bucket, "--path", access.key(path)]
        // A new archive must be empty altogether; a source is read at its major version.
        arguments += role == .scanArchive ? ["--expect-empty"] : ["--major", "\(request.major)"]
        if let fingerprint {
            arguments += [
                "--compare-digest", fingerprint.digest, "--compare-keys", "\(fingerprint.keys)",
                "--compare-at", fingerprint.at.rfc3339,
            ]
        }
        let pod = AgentPod(
            settings: settings, arguments: arguments, environment: access.environment,
            attemptToken: request.names.attemptToken(role, ordinal))
        return job(role, ordinal, pod.spec, deadline: RestoreRunBehavior.scanDeadline)
    }

    /// Proves what was restored and makes it ours: private socket, same quarantine, service at 0.
    package func seal(
        _ ordinal: Int, expecting pinned: PinnedBackup, after restore: ServiceRestore, checks: [VerificationCheck],
        deadline: Int64
    ) -> JobManifest {
        var container = serviceContainer(PostgresCommands.seal)
        container.env += [
            token(.seal, ordinal),
            VariableManifest("REPRISE_DEADLINE_SECONDS", value: "\(deadline)"),
            VariableManifest("REPRISE_EXPECT_SYSTEM_IDENTIFIER", value: pinned.systemIdentifier),
            VariableManifest("REPRISE_ROTATE_PASSWORDS", value: request.rotatesPasswords ? "true" : "false"),
            VariableManifest("REPRISE_OWN_RECOVERY_SETTINGS", value: Self.ownSettings(restore)),
        ]
        let needed = (request.copied?.parameters ?? []).filter { setting in
            Self.neededByData.contains { setting.hasPrefix("\($0)=") }
        }
        if !needed.isEmpty {
            container.env.append(VariableManifest("REPRISE_PARAMETERS", value: needed.joined(separator: "\n")))
        }
        // Only what somebody asked for must be there: a cluster may have no database postgres.
        if let database = request.service.database {
            container.env.append(VariableManifest("REPRISE_DATABASE", value: database))
        }
        container.env += Self.variables(checks, amcheck: request.amcheck)
        container.volumeMounts = [dataMount(readOnly: false), credentialsMount]
        return job(
            .seal, ordinal, serviceSpec(container, volumes: [dataVolume(readOnly: false), credentialsVolume]),
            deadline: deadline + 120)
    }

    /// Settings without which a server may refuse data that was written with them.
    private static let neededByData = ["shared_preload_libraries", "max_prepared_transactions"]

    /// What the data must pass, as the library `checks` of the programs reads it.
    static func variables(_ checks: [VerificationCheck], amcheck: Bool) -> [VariableManifest] {
        var variables = [
            VariableManifest("REPRISE_AMCHECK", value: amcheck ? "true" : "false"),
            VariableManifest("REPRISE_CHECKS", value: "\(checks.count)"),
        ]
        for (index, check) in checks.enumerated() {
            let words = [
                ("NAME", check.name), ("QUERY", check.query), ("DATABASE", check.database), ("EXPECT", check.expect),
            ]
            for (word, value) in words {
                if let value { variables.append(VariableManifest("REPRISE_CHECK_\(index + 1)_\(word)", value: value)) }
            }
        }
        return variables
    }

    /// Takes a full base backup of the opened service, beside its running pod.
    /// - Parameter podUID: Of that pod.
    package func backup(
        _ ordinal: Int, podIP: String, podUID: String, to access: RepositoryAccess, path: String, deadline: Int64
    ) -> JobManifest {
        var container = serviceContainer(PostgresCommands.backup)
        container.env += access.environment
        container.env += [
            token(.backup, ordinal),
            VariableManifest("REPRISE_DEADLINE_SECONDS", value: "\(deadline)"),
            VariableManifest("WALG_S3_PREFIX", value: "\(access.uri(path))/\(request.major)"),
            VariableManifest("PGUSER", value: request.profile.superuser),
            VariableManifest("PGHOST", value: podIP),
            VariableManifest("PGPORT", value: "\(request.profile.port)"),
        ]
        container.volumeMounts = [dataMount(readOnly: true), credentialsMount]
        var spec = serviceSpec(container, volumes: [dataVolume(readOnly: true), credentialsVolume])
        spec.affinity = .affinity(besidePodsWith: request.selector)
        var made = job(.backup, ordinal, spec, deadline: deadline + 120)
        made.metadata.labels[Label.serverUID] = podUID
        return made
    }

    /// Recovery settings that this restore wrote itself: what is found beyond them came with the backup.
    private static func ownSettings(_ restore: ServiceRestore) -> String {
        let always = ["recovery_target_action", "recovery_target_timeline"]
        switch restore {
        case .entrypoint(targetTime: nil): return always.joined(separator: " ")
        case .entrypoint:
            return (always + ["recovery_target_time", "recovery_target_inclusive"]).joined(separator: " ")
        case .initContainer(let restore):
            let kind = restore.targetKind == "immediate" ? "recovery_target" : "recovery_target_\(restore.targetKind)"
            return (always + [kind, "recovery_target_inclusive"]).joined(separator: " ")
        }
    }

    private func serviceContainer(_ command: [String]) -> ContainerManifest {
        var container = ContainerManifest(name: Self.container, image: request.image)
        container.imagePullPolicy = request.service.imagePullPolicy
        container.command = command
        container.env = [
            VariableManifest("PGDATA", value: request.profile.dataDirectory(major: request.major)),
            VariableManifest("PG_MAJOR", value: "\(request.major)"),
            VariableManifest("REPRISE_RUN_UID", value: request.runUID),
            VariableManifest("REPRISE_VOLUME", value: request.profile.mountPath),
            VariableManifest("REPRISE_USER", value: request.profile.superuser),
            VariableManifest("REPRISE_CONFIG_FILE", value: request.profile.configFile),
        ]
        container.resources = request.service.resources
        return container
    }

    private func serviceSpec(_ container: ContainerManifest, volumes: [VolumeManifest]) -> PodSpecManifest {
        var spec = PodSpecManifest(containers: [container])
        spec.volumes = volumes
        spec.terminationGracePeriodSeconds = 60
        spec.imagePullSecrets = request.service.imagePullSecrets
        spec.nodeSelector = request.service.nodeSelector
        spec.tolerations = request.service.tolerations
        if let wanted = request.service.securityContext {
            var context = PodSecurityContextManifest()
            context.runAsUser = wanted.runAsUser
            context.runAsGroup = wanted.runAsGroup
            context.fsGroup = wanted.fsGroup
            spec.securityContext = .own(context)
        }
        return spec
    }

    private func dataVolume(readOnly: Bool) -> VolumeManifest {
        VolumeManifest(name: "data", claim: request.names.claim, readOnly: readOnly ? true : nil)
    }

    private func dataMount(readOnly: Bool) -> VolumeMount {
        VolumeMount(name: "data", mountPath: request.profile.mountPath, readOnly: readOnly ? true : nil)
    }

    private var credentialsVolume: VolumeManifest {
        VolumeManifest(name: "credentials", secret: request.credentialsSecret)
    }

    private var credentialsMount: VolumeMount {
        VolumeMount(name: "credentials", mountPath: "/reprise/credentials", readOnly: true)
    }

    private func token(_ role: JobRole, _ ordinal: Int) -> VariableManifest {
        VariableManifest("REPRISE_ATTEMPT_TOKEN", value: request.names.attemptToken(role, ordinal))
    }

    private func job(_ role: JobRole, _ ordinal: Int, _ spec: PodSpecManifest, deadline: Int64) -> JobManifest {
        let name = request.names.job(role, ordinal)
        // Without the service's own label: its Services must never select a Job's pod.
        let labels = [
            Label.managedBy: Label.managedByValue, Label.runUID: request.runUID, Label.job: name,
        ]
        return JobManifest(
            metadata: ManifestMeta(
                name: name, namespace: request.namespace, labels: labels, ownerReferences: [owner]),
            template: .ofJob(labels: labels, spec, deadline: deadline))
    }
}
