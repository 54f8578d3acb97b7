// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// The objects of a service that restores itself, on either path: what is in them before it is opened, and that nothing
/// of it is left afterwards.
@Suite("A PostgreSQL service's objects")
struct PostgresServiceTests {
    static let moment = Timestamp(rfc3339: "2026-05-27T18:30:00.25Z")

    static var initRestore: InitRestore {
        InitRestore(
            backup: "base_000000010000000000000004", startLSN: "0/4000028", bytes: 30_000_000, targetKind: "lsn",
            target: "0/5000060", inclusive: false, timeline: 3, deadlineSeconds: 3_600)
    }

    static func repository(_ name: String) -> RepositoryAccess {
        let spec = BackupRepositorySpec(
            s3: S3Location(endpoint: "https://\(name).example.com", bucket: "backups", prefix: name),
            credentials: RepositoryCredentials(secretRef: .init(name: "\(name)-keys")))
        let repository = BackupRepository(metadata: ObjectMeta(name: name), spec: spec)
        return RepositoryAccess(repository) ?? .nowhere
    }

    static func service(_ restore: ServiceRestore, env: [NewService.Variable] = []) throws -> PostgresService {
        var wanted = NewService()
        wanted.name = "orders"
        wanted.image = "registry.example.com/postgres-walg:15"
        wanted.major = 15
        wanted.storage = .init(size: "10Gi")
        wanted.archive = .init(repository: .init(name: "own"), path: "orders", schedule: "0 3 * * *")
        wanted.env = env
        wanted.resources = ResourceRequirements(requests: ["memory": "1Gi"])
        wanted.configMapRef = .init(name: "settings")
        var spec = RestoreRunSpec()
        spec.mode = Open(.newService)
        spec.source = RestoreSource(archive: .init(repository: .init(name: "prod"), path: "orders"))
        spec.target = .init(newService: wanted)
        var run = RestoreRun(metadata: ObjectMeta(name: "r", namespace: "staging", uid: "3f2a91c0"))
        run.spec = spec
        let request = try #require(RunRequest.read(run).request)
        return PostgresService(
            request: request, source: repository("prod"), sourcePath: "orders", archive: repository("own"),
            restore: restore)
    }

    @Test("what is overridden is in its objects")
    func overrides() throws {
        var service = try Self.service(.entrypoint(targetTime: nil))
        var wanted = service.request.service
        wanted.port = 6_432
        wanted.storage?.className = "fast"
        wanted.imagePullSecrets = [.init(name: "registry")]
        wanted.nodeSelector = ["disk": "nvme"]
        wanted.labels = ["team": "orders"]
        wanted.annotations = ["note": "copy"]
        service.request.service = wanted
        #expect(service.clientService.spec.ports.map(\.port) == [6_432])
        #expect(service.claim.spec.storageClassName == "fast")
        for manifest in [service.quarantined, service.opened] {
            let template = manifest.spec.template
            let container = try #require(template.spec.containers.first)
            #expect(container.image == "registry.example.com/postgres-walg:15")
            #expect(container.resources?.requests == ["memory": "1Gi"])
            #expect(template.spec.imagePullSecrets == wanted.imagePullSecrets)
            #expect(template.spec.nodeSelector == wanted.nodeSelector)
            #expect(template.metadata.labels["team"] == "orders" && template.metadata.annotations?["note"] == "copy")
        }
    }

    static func values(_ variables: [VariableManifest]) -> [String: String] {
        Dictionary(variables.map { ($0.name, $0.value ?? "(from a Secret)") }) { _, last in last }
    }

    static let paths: [(ServiceRestore, [String: String])] = [
        (.entrypoint(targetTime: nil), ["WALG_CLONE_FROM": "s3://backups/prod/orders/15"]),
        (
            .entrypoint(targetTime: moment),
            [
                "WALG_CLONE_FROM": "s3://backups/prod/orders/15",
                "WALG_CLONE_TARGET_TIME": "2026-05-27 18:30:00.250000 UTC",
            ]
        ),
        (.entrypoint(targetTime: Timestamp(seconds: 0)), ["WALG_CLONE_TARGET_TIME": "1970-01-01 00:00:00 UTC"]),
        (.initContainer(initRestore), [:]),
    ]

    @Test(
        "in quarantine the server has the source's keys, its own prefix, and the clone variables of its path",
        arguments: paths)
    func quarantined(_ restore: ServiceRestore, _ clone: [String: String]) throws {
        let container = try #require(try Self.service(restore).quarantined.spec.template.spec.containers.first)
        let values = Self.values(container.env)
        let expected = clone.merging(
            [
                "AWS_ENDPOINT": "https://prod.example.com", "AWS_ACCESS_KEY_ID": "(from a Secret)",
                "WALG_S3_PREFIX": "s3://backups/own/orders", "BACKUP_SCHEDULE": "0 0 31 2 *",
                "POSTGRES_PASSWORD": "(from a Secret)",
            ]
        ) { first, _ in first }
        for (name, value) in expected.sorted(by: { $0.key < $1.key }) { #expect(values[name] == value, "\(name)") }
        if case .initContainer = restore {
            #expect(values.keys.filter { $0.hasPrefix("WALG_CLONE") || $0.hasPrefix("REPRISE") }.isEmpty)
        }
        #expect(values["WALG_CLONE_TARGET_TIME"] == clone["WALG_CLONE_TARGET_TIME"])
        #expect(container.args?.contains("hot_standby=off") == true)
    }

    @Test("the init container has the image, the data, the source's keys and what the program reads")
    func initContainer() throws {
        let restore = ServiceRestore.initContainer(Self.initRestore)
        let variable = NewService.Variable(name: "HTTPS_PROXY", value: "http://proxy:3128")
        let spec = try Self.service(restore, env: [variable]).quarantined.spec.template.spec
        let server = try #require(spec.containers.first)
        let container = try #require(spec.initContainers?.first)
        #expect(spec.initContainers?.count == 1)
        #expect(container.name == PostgresService.initContainer)
        #expect(container.command == Expansion.shell(PostgresPrograms.restore))
        #expect((container.image, container.resources?.requests) == (server.image, server.resources?.requests))
        #expect(container.volumeMounts == server.volumeMounts)
        #expect(container.envFrom == server.envFrom)
        #expect(container.ports == nil)
        let expected = [
            "HTTPS_PROXY": "http://proxy:3128", "AWS_ENDPOINT": "https://prod.example.com",
            "AWS_ACCESS_KEY_ID": "(from a Secret)", "PGDATA": "/var/lib/postgresql/15/docker",
            "REPRISE_RUN_UID": "3f2a91c0", "REPRISE_VOLUME": "/var/lib/postgresql",
            "REPRISE_SOURCE_PREFIX": "s3://backups/prod/orders/15",
            "REPRISE_BACKUP": "base_000000010000000000000004", "REPRISE_BACKUP_BYTES": "30000000",
            "REPRISE_EXPECT_MAJOR": "15", "REPRISE_EXPECT_START_LSN": "0/4000028", "REPRISE_TARGET_KIND": "lsn",
            "REPRISE_TARGET": "0/5000060", "REPRISE_TARGET_INCLUSIVE": "false", "REPRISE_TIMELINE": "3",
            "REPRISE_DEADLINE_SECONDS": "3600",
        ]
        let values = Self.values(container.env)
        for (name, value) in expected.sorted(by: { $0.key < $1.key }) { #expect(values[name] == value, "\(name)") }
        #expect(values["REPRISE_ATTEMPT_TOKEN"]?.isEmpty == false, "the prologue refuses to start without one")
        #expect(values["POSTGRES_PASSWORD"] == nil, "the clone's password is none of its business")
    }

    @Test("the program reads no variable that the init container does not give it")
    func everyVariableIsGiven() throws {
        let restore = ServiceRestore.initContainer(Self.initRestore)
        let container = try #require(try Self.service(restore).quarantined.spec.template.spec.initContainers?.first)
        let given = Set(container.env.map(\.name))
        let read = PostgresPrograms.restore.matches(of: /\$\{(REPRISE_[A-Z_]+):\?\}/).map { String($0.output.1) }
        #expect(read.contains("REPRISE_TIMELINE"))
        for name in read { #expect(given.contains(name), "\(name)") }
    }

    @Test("opening takes out everything of the quarantine, and the init container where there is one", arguments: paths)
    func opening(_ restore: ServiceRestore, _ clone: [String: String]) throws {
        let service = try Self.service(restore)
        let quarantined = try #require(service.quarantined.spec.template.spec.containers.first)
        let change = service.opening
        var env = Self.values(quarantined.env)
        // Somebody has set them meanwhile, whatever the quarantine itself had: they go too, or it would never be opened.
        env["WALG_CLONE_FROM"] = "s3://prod/elsewhere/15"
        env["WALG_CLONE_TARGET_TIME"] = "2026-05-01 00:00:00"
        for name in change.removeEnv { env[name] = nil }
        env.merge(Self.values(change.env)) { _, new in new }
        let opened = try #require(service.opened.spec.template.spec.containers.first)
        #expect(env == Self.values(opened.env), "what the patch leaves is what a new manifest has")
        #expect(change.args == nil && change.removeStartupProbe)
        let hasInitContainer = service.quarantined.spec.template.spec.initContainers != nil
        #expect(change.removeInitContainers == hasInitContainer)
        #expect(service.opened.spec.template.spec.initContainers == nil)
    }

    @Test("what came with the data reaches nobody before it is sealed: every argument has its reason")
    func quarantine() throws {
        let wanted = [
            // Clients with the source's passwords; and ready means promoted.
            "listen_addresses=", "hot_standby=off",
            // The log is read from the container.
            "logging_collector=off",
            // The source's archive is only read.
            "archive_command=/bin/false",
            // Subscriptions would consume the source's slots, and scheduled jobs would run.
            "max_logical_replication_workers=0", "cron.launch_active_jobs=off",
            // Nobody would confirm a commit.
            "synchronous_standby_names=",
        ]
        func arguments(_ settings: [String]) -> [String] { ["postgres"] + settings.flatMap { ["-c", $0] } }
        #expect(PostgresService.quarantineArguments(major: 14) == arguments(wanted))
        // From 15 on a library of the source's would archive instead of the command.
        #expect(PostgresService.quarantineArguments(major: 15) == arguments(wanted + ["archive_library="]))
        let service = try Self.service(.entrypoint(targetTime: nil))
        let container = try #require(service.quarantined.spec.template.spec.containers.first)
        #expect(container.args == PostgresService.quarantineArguments(major: 15))
        #expect(service.opened.spec.template.spec.containers.first?.args == nil)
    }

    @Test(
        "a StatefulSet is in quarantine as long as it has anything of it",
        arguments: [
            (PodSpec.Container(name: "postgres"), false),
            (PodSpec.Container(name: "postgres", env: [.init(name: "WALG_S3_PREFIX", value: "x")]), false),
            (PodSpec.Container(name: "postgres", env: [.init(name: "WALG_CLONE_FROM", value: "x")]), true),
            (PodSpec.Container(name: "postgres", env: [.init(name: "WALG_CLONE_TARGET_TIME", value: "x")]), true),
            (PodSpec.Container(name: "postgres", args: PostgresService.quarantineArguments(major: 15)), true),
        ])
    func isQuarantined(_ container: PodSpec.Container, _ expected: Bool) {
        let template = PodTemplate(spec: PodSpec(containers: [container]))
        let set = StatefulSet(metadata: ObjectMeta(name: "orders"), spec: .init(template: template))
        #expect(PostgresService.isQuarantined(set, .walgClone) == expected)
    }
}
