// SPDX-License-Identifier: Apache-2.0

package import Resources

/// The Kubernetes objects of a PostgreSQL service that restores itself: in quarantine, and open.
///
/// Pure builders: the same input gives the same bytes, so that making an object twice makes one.
package struct PostgresService: Sendable {
    package var request: RunRequest
    package var source: RepositoryAccess
    /// Path of the source archive below its repository's prefix, without the major version.
    package var sourcePath: String
    /// `nil` when the service's own archiving is disabled.
    package var archive: RepositoryAccess?
    /// Who restores the data, and how far.
    package var restore: ServiceRestore

    package init(
        request: RunRequest, source: RepositoryAccess, sourcePath: String, archive: RepositoryAccess?,
        restore: ServiceRestore = .entrypoint(targetTime: nil)
    ) {
        self.request = request
        self.source = source
        self.sourcePath = sourcePath
        self.archive = archive
        self.restore = restore
    }

    var profile: ImageProfile { request.profile }

    // MARK: The claim

    package var claim: PersistentVolumeClaimManifest {
        PersistentVolumeClaimManifest(
            metadata: ManifestMeta(
                name: request.names.claim, namespace: request.namespace, labels: request.labels),
            spec: claimSpec)
    }

    private var claimSpec: PersistentVolumeClaimManifest.Spec {
        PersistentVolumeClaimManifest.Spec(
            storage: request.storageSize, className: request.service.storage?.className)
    }

    // MARK: Services and credentials

    /// The StatefulSet's own headless Service: gives its pod a name, and no client a way in.
    package var headlessService: ServiceManifest {
        ServiceManifest(
            metadata: ManifestMeta(
                name: request.names.headlessService, namespace: request.namespace, labels: request.labels),
            spec: ServiceManifest.Spec(headless: true, selector: request.selector, ports: [port]))
    }

    /// What clients connect to. Made when the service is opened, and not before.
    package var clientService: ServiceManifest {
        ServiceManifest(
            metadata: ManifestMeta(
                name: request.names.clientService, namespace: request.namespace, labels: request.labels),
            spec: ServiceManifest.Spec(headless: false, selector: request.selector, ports: [port]))
    }

    private var port: ServiceManifest.Port {
        ServiceManifest.Port(
            name: "postgres", port: request.service.port ?? profile.port, targetPort: profile.port)
    }

    package var credentials: SecretRecipe {
        SecretRecipe(
            metadata: ManifestMeta(
                name: request.credentialsSecret, namespace: request.namespace, labels: request.labels),
            username: profile.superuser, database: request.database)
    }

    // MARK: The StatefulSet

    /// The StatefulSet as it restores itself: nobody can reach it, and it can reach nobody but the source's repository.
    package var quarantined: StatefulSetManifest {
        var container = serverContainer
        container.args = Self.quarantineArguments(major: request.major, parameters: parameters)
        container.env = quarantineEnvironment
        // Nothing may kill a long restore: the startup probe holds the others back and practically never gives up.
        // `pg_isready` answers 1 while the server recovers, so "started" means that the fetch is over.
        container.startupProbe = Probe(
            command: ["sh", "-c", "pg_isready -q -U \(profile.superuser); [ $? -le 1 ]"], period: 2, timeout: 5,
            failureThreshold: 1_000_000_000)
        container.readinessProbe = readinessProbe
        var manifest = statefulSet(container)
        manifest.spec.template.spec.initContainers = restoreContainer.map { [$0] }
        return manifest
    }

    /// The StatefulSet as the opened service has it; used when it must be made again around its data.
    package var opened: StatefulSetManifest {
        var container = serverContainer
        container.args = openArguments
        container.env = openEnvironment
        container.readinessProbe = readinessProbe
        container.livenessProbe = livenessProbe
        return statefulSet(container)
    }

    /// From quarantined to opened in one change.
    package var opening: TemplateChange {
        let kept = Set(openEnvironment.map(\.name))
        // What would restore goes whoever has set it: the quarantine's own container has it on one of two ways only.
        let restoring = [profile.cloneFrom, profile.cloneTargetTime]
        let others = quarantineEnvironment.map(\.name).filter { !restoring.contains($0) }
        return TemplateChange(
            container: profile.container, replicas: 1, args: openArguments, env: openEnvironment,
            removeEnv: (others + restoring).filter { !kept.contains($0) },
            readinessProbe: readinessProbe, livenessProbe: livenessProbe, removeStartupProbe: true,
            removeInitContainers: restoreContainer != nil)
    }

    private func statefulSet(_ container: ContainerManifest) -> StatefulSetManifest {
        var spec = PodSpecManifest(containers: [container])
        spec.terminationGracePeriodSeconds = 120
        spec.securityContext = podSecurityContext.map { .own($0) }
        spec.imagePullSecrets = request.service.imagePullSecrets
        spec.nodeSelector = request.service.nodeSelector
        spec.tolerations = request.service.tolerations
        spec.affinity = request.service.affinity
        spec.topologySpreadConstraints = request.service.topologySpreadConstraints
        let labels = (request.service.labels ?? [:]).merging(request.labels) { _, ours in ours }
        return StatefulSetManifest(
            metadata: ManifestMeta(
                name: request.names.statefulSet, namespace: request.namespace, labels: labels,
                annotations: request.service.annotations ?? [:]),
            spec: StatefulSetManifest.Spec(
                serviceName: request.names.headlessService, replicas: 1,
                selector: LabelSelector(matchLabels: request.selector),
                template: PodTemplateManifest(
                    labels: labels, annotations: request.service.annotations ?? [:], spec: spec),
                volumeClaimTemplates: [
                    // Without the run's UID: a claim that Kubernetes makes again is empty, and must not pass for the data.
                    StatefulSetManifest.ClaimTemplate(
                        name: "data", labels: request.labels.filter { $0.key != Label.runUID }, spec: claimSpec)
                ]))
    }

    private var serverContainer: ContainerManifest {
        var container = imageContainer(named: profile.container)
        container.ports = [ContainerManifest.Port(name: "postgres", containerPort: profile.port)]
        return container
    }

    /// A container of the service's image with what every one has: the data, the resources, the user's ConfigMap.
    func imageContainer(named name: String) -> ContainerManifest {
        var container = ContainerManifest(
            name: name, image: request.image,
            volumeMounts: [VolumeMount(name: "data", mountPath: profile.mountPath)])
        container.imagePullPolicy = request.service.imagePullPolicy
        container.resources = request.service.resources
        container.envFrom = request.service.configMapRef.map { [.configMap($0)] }
        return container
    }

    private var podSecurityContext: PodSecurityContextManifest? {
        guard let wanted = request.service.securityContext else { return nil }
        var context = PodSecurityContextManifest()
        context.runAsUser = wanted.runAsUser
        context.runAsGroup = wanted.runAsGroup
        context.fsGroup = wanted.fsGroup
        return context
    }

    private var readinessProbe: Probe {
        Probe(
            command: ["pg_isready", "-q", "-U", profile.superuser], period: 2, timeout: 5, failureThreshold: 3)
    }

    private var livenessProbe: Probe {
        Probe(
            command: ["sh", "-c", "pg_isready -q -U \(profile.superuser); [ $? -le 1 ]"], period: 10, timeout: 10,
            failureThreshold: 30, initialDelay: 30)
    }

    // MARK: Environment

    private var openEnvironment: [VariableManifest] {
        var variables = userEnvironment
        if let archive, let own = request.archive {
            variables += archive.environment
            variables.append(VariableManifest(profile.ownPrefix, value: archive.uri(own.path)))
            variables.append(VariableManifest(profile.backupSchedule, value: own.schedule))
        } else {
            // A value of its own, even an empty one, wins over what a ConfigMap of the user's may bring along: a copied one
            // could name the source's archive.
            variables.append(VariableManifest(profile.ownPrefix, value: ""))
            variables.append(VariableManifest("WALE_S3_PREFIX", value: ""))
        }
        return variables + [password]
    }

    var userEnvironment: [VariableManifest] {
        (request.service.env ?? []).compactMap { variable in
            variable.name.map { VariableManifest($0, value: variable.value ?? "") }
        }
    }

    var password: VariableManifest {
        VariableManifest(profile.passwordVariable, secret: request.credentialsSecret, key: "password")
    }
}
