// SPDX-License-Identifier: Apache-2.0

package import Resources

/// Who restores the data of a new service, and how far.
package enum ServiceRestore: Equatable, Sendable {
    /// The image's own entrypoint, from `LATEST`: to the archive's end, or to a moment.
    case entrypoint(targetTime: Timestamp?)
    /// An init container of the same image, from a named base backup.
    case initContainer(InitRestore)
}

/// What the program `restore` is told: the base backup to fetch, and where recovery is to end.
package struct InitRestore: Equatable, Sendable {
    /// `base_...`
    package var backup: String
    /// `X/X`: where the fetched data must say that it starts.
    package var startLSN: String
    /// What the base backup takes on the volume; held against the free space before it is fetched.
    package var bytes: Int64
    /// `latest`, `immediate`, `time`, `lsn`, `xid` or `name`.
    package var targetKind: String
    /// The target as PostgreSQL reads it; empty with `latest` and `immediate`.
    package var target: String
    /// `false` stops just before a target of time, LSN or xid.
    package var inclusive: Bool
    /// The timeline to recover along.
    package var timeline: Int64
    /// How PostgreSQL is told so, where not by its number: `current`.
    package var targetTimeline: String?
    /// The time for one start of the init container, in seconds: then it ends itself.
    package var deadlineSeconds: Int64

    package init(
        backup: String, startLSN: String, bytes: Int64, targetKind: String, target: String, inclusive: Bool,
        timeline: Int64, targetTimeline: String? = nil, deadlineSeconds: Int64
    ) {
        self.backup = backup
        self.startLSN = startLSN
        self.bytes = bytes
        self.targetKind = targetKind
        self.target = target
        self.inclusive = inclusive
        self.timeline = timeline
        self.targetTimeline = targetTimeline
        self.deadlineSeconds = deadlineSeconds
    }
}

extension PostgresService {
    /// The init container's name, in the pod and in its status.
    package static let initContainer = "restore"

    /// Until sealed, restored roles have the source's passwords, restored subscriptions would consume the source's
    /// slots, and restored jobs would run: so nothing listens, nothing is archived, and no background worker starts.
    /// With `hot_standby=off` the server rejects connections until recovery has ended: ready means promoted.
    /// - Parameter parameters: What the opened server is to be started with too; of two values of one setting the last counts.
    package static func quarantineArguments(major: Int, parameters: [String] = []) -> [String] {
        var settings = [
            "listen_addresses=", "hot_standby=off", "logging_collector=off", "archive_command=/bin/false",
            "max_logical_replication_workers=0", "cron.launch_active_jobs=off",
            // A standby that the source waited for would keep every commit here waiting too.
            "synchronous_standby_names=",
        ]
        // A restored library would be used instead of the command.
        if major >= 15 { settings.append("archive_library=") }
        return arguments(parameters) + settings.flatMap { ["-c", $0] }
    }

    /// The command line of a server with these settings.
    private static func arguments(_ parameters: [String]) -> [String] {
        ["postgres"] + parameters.flatMap { ["-c", Expansion.escaped($0)] }
    }

    /// Of the opened server; `nil` leaves it to the image.
    var openArguments: [String]? { parameters.isEmpty ? nil : Self.arguments(parameters) }

    var parameters: [String] { request.copied?.parameters ?? [] }

    /// Whether a StatefulSet still has anything of the quarantine: the clone variables, the arguments, or the init container.
    package static func isQuarantined(_ statefulSet: StatefulSet, _ profile: ImageProfile) -> Bool {
        let pod = statefulSet.spec?.template?.spec
        guard let container = pod?.containers?.first(where: { $0.name == profile.container }) else { return false }
        let variables = container.env ?? []
        return variables.contains { $0.name == profile.cloneFrom || $0.name == profile.cloneTargetTime }
            || isUnreachable(statefulSet, profile)
            || (pod?.initContainers ?? []).contains { $0.name == initContainer }
    }

    /// Whether a restored service is not open yet: it has something of the quarantine, or is stopped.
    package static func isToBeOpened(_ statefulSet: StatefulSet, _ profile: ImageProfile) -> Bool {
        isQuarantined(statefulSet, profile) || statefulSet.spec?.replicas == 0
    }

    /// Whether nobody can connect to the server of a StatefulSet. What else the quarantine has somebody may have put back into
    /// an open one; this is what keeps clients out.
    package static func isUnreachable(_ statefulSet: StatefulSet, _ profile: ImageProfile) -> Bool {
        let container = statefulSet.spec?.template?.spec?.containers?.first { $0.name == profile.container }
        return (container?.args ?? []).contains("listen_addresses=")
    }

    /// The variables of the server's container before the service is opened.
    var quarantineEnvironment: [VariableManifest] {
        // The image wants a prefix and a schedule of its own before it restores at all. Nothing is archived before the
        // seal (archive_command, read-only credentials), and February 31st keeps its backup job from ever starting.
        let prefix =
            archive.flatMap { access in request.archive.map { access.uri($0.path) } }
            ?? "s3://no-archive-in-quarantine/\(request.serviceName)"
        // The source's credentials and endpoint on either path: with an init container restore_command needs them.
        return userEnvironment + source.environment + cloneVariables + [
            VariableManifest(profile.ownPrefix, value: prefix),
            VariableManifest(profile.backupSchedule, value: "0 0 31 2 *"),
            password,
        ]
    }

    /// What makes the image's entrypoint restore; nothing where an init container has done it.
    private var cloneVariables: [VariableManifest] {
        guard case .entrypoint(let targetTime) = restore else { return [] }
        let moment = targetTime.map { VariableManifest(profile.cloneTargetTime, value: $0.postgres) }
        return [VariableManifest(profile.cloneFrom, value: sourceURI)] + (moment.map { [$0] } ?? [])
    }

    /// The source archive's address, with the major version.
    private var sourceURI: String { "\(source.uri(sourcePath))/\(request.major)" }

    /// Fetches the named base backup into the volume and writes the recovery settings; `nil` when the image does it.
    ///
    /// Kubernetes runs it again at every restart of the pod; the program then finds its work done, and says so.
    var restoreContainer: ContainerManifest? {
        guard case .initContainer(let restore) = restore else { return nil }
        var container = imageContainer(named: Self.initContainer)
        container.command = PostgresCommands.restore
        container.env =
            userEnvironment + source.environment + [
                VariableManifest("PGDATA", value: profile.dataDirectory(major: request.major)),
                VariableManifest("PG_MAJOR", value: "\(request.major)"),
                VariableManifest("REPRISE_ATTEMPT_TOKEN", value: "\(request.runUID)/\(Self.initContainer)"),
                VariableManifest("REPRISE_RUN_UID", value: request.runUID),
                VariableManifest("REPRISE_VOLUME", value: profile.mountPath),
                VariableManifest("REPRISE_DEADLINE_SECONDS", value: "\(restore.deadlineSeconds)"),
                VariableManifest("REPRISE_SOURCE_PREFIX", value: sourceURI),
                VariableManifest("REPRISE_BACKUP", value: restore.backup),
                VariableManifest("REPRISE_BACKUP_BYTES", value: "\(restore.bytes)"),
                VariableManifest("REPRISE_EXPECT_MAJOR", value: "\(request.major)"),
                VariableManifest("REPRISE_EXPECT_START_LSN", value: restore.startLSN),
                VariableManifest("REPRISE_TARGET_KIND", value: restore.targetKind),
                VariableManifest("REPRISE_TARGET", value: restore.target),
                VariableManifest("REPRISE_TARGET_INCLUSIVE", value: restore.inclusive ? "true" : "false"),
                VariableManifest("REPRISE_TIMELINE", value: restore.targetTimeline ?? "\(restore.timeline)"),
            ]
        return container
    }
}
