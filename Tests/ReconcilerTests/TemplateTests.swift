// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What a new service takes over from the service that its `templateRef` names, field by field.
@Suite("What a copy takes over")
struct TemplateTests {
    /// A request that says nothing but what it must.
    static func run(_ change: @escaping (inout NewService) -> Void = { _ in }) -> RestoreRun {
        Story.run { spec in
            var service = NewService()
            service.name = "orders"
            service.templateRef = .init(name: "orders")
            service.archive = .init(repository: .init(name: "own"), path: "orders", schedule: "0 3 * * *")
            change(&service)
            spec.target = .init(newService: service)
        }
    }

    static func claim(_ size: String? = "40Gi", _ className: String? = "fast") -> PersistentVolumeClaim {
        PersistentVolumeClaim(
            metadata: ObjectMeta(name: "data-orders-db-0", namespace: "staging", uid: "claim-9"),
            status: .init(phase: "Bound"), spec: ClaimFacts(size: size, className: className))
    }

    /// A StatefulSet with all that can be copied.
    static func workload() -> ServiceWorkload {
        var workload = InPlaceWorld.workload()
        workload.metadata.labels = ["argocd.argoproj.io/instance": "shop", "app": "orders"]
        workload.spec?.volumeClaimTemplates = [.init(name: "data", spec: ClaimFacts(size: "20Gi", className: "slow"))]
        edit(&workload) { pod, container in
            container.imagePullPolicy = "IfNotPresent"
            container.resources = ResourceRequirements(requests: ["memory": "1Gi"], limits: ["memory": "2Gi"])
            container.args = ["-c", "shared_buffers=512MB", "-cmax_connections=300", "--wal-level=logical"]
            container.securityContext = .object(["runAsUser": .integer(70)])
            pod.securityContext = .object([
                "runAsUser": .integer(999), "runAsGroup": .integer(999), "fsGroup": .integer(1_000),
            ])
            pod.imagePullSecrets = [.init(name: "registry")]
            pod.nodeSelector = ["disk": "nvme"]
            pod.tolerations = [toleration("db")]
            pod.affinity = .object(["nodeAffinity": .object([:])])
            pod.topologySpreadConstraints = [.object(["maxSkew": .integer(1)])]
        }
        return workload
    }

    static func toleration(_ key: String) -> Toleration {
        var toleration = Toleration()
        toleration.key = key
        toleration.operator = "Exists"
        return toleration
    }

    static func edit(
        _ workload: inout ServiceWorkload,
        _ change: (inout ServiceWorkload.PodFacts, inout ServiceWorkload.Container) -> Void
    ) {
        guard var pod = workload.spec?.template?.spec, var container = pod.containers?.first else { return }
        change(&pod, &container)
        pod.containers?[0] = container
        workload.spec?.template?.spec = pod
    }

    static func reader(
        _ workload: ServiceWorkload? = TemplateTests.workload(),
        claim: PersistentVolumeClaim? = TemplateTests.claim(),
        _ change: (inout ManagedServiceSpec) -> Void = { _ in }
    ) -> FakeReader {
        var reader = Story.scanned()
        var service = InPlaceWorld.service
        if var spec = service.spec {
            change(&spec)
            service.spec = spec
        }
        reader.add(service)
        if let workload { reader.strangers[workload.ref] = workload }
        if let claim { reader.strangers[claim.ref] = claim }
        return reader
    }

    static func copied(_ run: RestoreRun, _ reader: FakeReader) -> CopiedService? {
        settle(run, reader).run.status?.restore?.copied
    }

    @Test("image, major, storage, resources, placement, user, variables and parameters; nothing that makes it itself")
    func all() throws {
        let copied = try #require(Self.copied(Self.run(), Self.reader()))
        var wanted = try #require(Self.run().spec?.target?.newService)
        wanted.image = InPlaceWorld.image
        wanted.imagePullPolicy = "IfNotPresent"
        wanted.imagePullSecrets = [.init(name: "registry")]
        wanted.major = 15
        wanted.storage = .init(size: "40Gi", className: "fast")
        wanted.resources = ResourceRequirements(requests: ["memory": "1Gi"], limits: ["memory": "2Gi"])
        wanted.nodeSelector = ["disk": "nvme"]
        wanted.tolerations = [Self.toleration("db")]
        wanted.affinity = .object(["nodeAffinity": .object([:])])
        wanted.topologySpreadConstraints = [.object(["maxSkew": .integer(1)])]
        wanted.securityContext = .init()
        wanted.securityContext?.runAsUser = 70
        wanted.securityContext?.runAsGroup = 999
        wanted.securityContext?.fsGroup = 1_000
        wanted.env = [.init(name: "LANG", value: "C")]
        #expect(copied.service == wanted)
        #expect(copied.parameters == ["shared_buffers=512MB", "max_connections=300", "wal_level=logical"])
        #expect(copied.omitted == nil)
        #expect((copied.from, copied.workload) == ("orders", "orders-db"))
    }

    struct Own: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var give: @Sendable (inout NewService) -> Void
        /// What is copied beside it.
        var holds: @Sendable (NewService) -> Bool
    }

    static let given: [Own] = [
        Own(testDescription: "image", give: { $0.image = "registry.example.com/postgres-walg:15-b" }) {
            $0.image == "registry.example.com/postgres-walg:15-b" && $0.major == 15
        },
        Own(testDescription: "imagePullPolicy", give: { $0.imagePullPolicy = "Always" }) {
            $0.imagePullPolicy == "Always"
        },
        Own(testDescription: "imagePullSecrets", give: { $0.imagePullSecrets = [] }) { $0.imagePullSecrets == [] },
        Own(testDescription: "storage, without a class", give: { $0.storage = .init(size: "5Gi") }) {
            $0.storage == .init(size: "5Gi", className: "fast")
        },
        Own(testDescription: "storage", give: { $0.storage = .init(size: "5Gi", className: "cheap") }) {
            $0.storage == .init(size: "5Gi", className: "cheap")
        },
        Own(testDescription: "resources", give: { $0.resources = ResourceRequirements(requests: ["cpu": "1"]) }) {
            $0.resources == ResourceRequirements(requests: ["cpu": "1"])
        },
        Own(testDescription: "nodeSelector", give: { $0.nodeSelector = [:] }) { $0.nodeSelector == [:] },
        Own(testDescription: "tolerations", give: { $0.tolerations = [] }) { $0.tolerations == [] },
        Own(testDescription: "affinity", give: { $0.affinity = .object([:]) }) { $0.affinity == .object([:]) },
        Own(testDescription: "topologySpreadConstraints", give: { $0.topologySpreadConstraints = [] }) {
            $0.topologySpreadConstraints == []
        },
        Own(
            testDescription: "one number of securityContext",
            give: {
                $0.securityContext = .init()
                $0.securityContext?.runAsUser = 5
            }
        ) { $0.securityContext?.runAsUser == 5 && $0.securityContext?.fsGroup == 1_000 },
        Own(
            testDescription: "one variable",
            give: { $0.env = [.init(name: "LANG", value: "de_DE"), .init(name: "TZ", value: "UTC")] }
        ) { $0.env == [.init(name: "LANG", value: "de_DE"), .init(name: "TZ", value: "UTC")] },
    ]

    @Test("what the manifest says goes first", arguments: given)
    func own(_ own: Own) throws {
        let copied = try #require(Self.copied(Self.run { own.give(&$0) }, Self.reader()))
        #expect(own.holds(copied.service))
    }

    @Test("storage is copied as the claim has it; without one, as the StatefulSet asks for it")
    func storage() {
        #expect(
            Self.copied(Self.run(), Self.reader(claim: nil))?.service.storage == .init(size: "20Gi", className: "slow"))
        #expect(
            Self.copied(Self.run(), Self.reader(claim: Self.claim("40Gi", nil)))?.service.storage
                == .init(size: "40Gi", className: "slow"))
    }

    struct Left: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var words: [String]
        var change: @Sendable (inout ServiceWorkload.PodFacts, inout ServiceWorkload.Container) -> Void
        var parameters: [String]? = ["shared_buffers=512MB", "max_connections=300", "wal_level=logical"]
        var variables: [String] = ["LANG"]
    }

    static func arguments(_ arguments: [String], command: [String]? = nil, _ words: [String], _ left: [String]?) -> Left
    {
        Left(
            testDescription: "\((command ?? []) + arguments)", words: words,
            change: { _, container in
                container.command = command
                container.args = arguments
            }, parameters: left)
    }

    static func variables(_ variables: [CopiedVariable], _ words: [String], _ left: [String]) -> Left {
        Left(
            testDescription: "\(variables.map(\.name))", words: words, change: { $1.env = variables },
            variables: left)
    }

    static let omissions: [Left] = [
        arguments([], [], nil),
        arguments(["postgres", "-c", "work_mem=8MB"], [], ["work_mem=8MB"]),
        arguments(
            ["-c", "work_mem=8MB"], command: ["/usr/local/bin/docker-entrypoint.sh", "postgres"], [], ["work_mem=8MB"]),
        arguments(["-c", "work_mem=8MB", "-c", "work_mem=9MB"], [], ["work_mem=9MB"]),
        arguments(["-c", "search_path=\"$$user\", public"], [], ["search_path=\"$user\", public"]),
        arguments(["-c", "exec postgres -c a=b"], command: ["/bin/sh"], ["its command line"], nil),
        arguments(
            ["-c", "work_mem=$(MEM)", "-N", "7", "-c", "jit=off"], ["parameter work_mem", "argument \"-N\""],
            ["jit=off"]),
        arguments(["-c", "work_mem", "--x"], ["argument \"-c\"", "argument \"--x\""], nil),
        arguments(
            [
                "-c", "archive_command=wal-g wal-push %p", "-c", "Listen-Addresses=*", "--port=6432", "-c", "ssl=on",
                "-c", "ssl_cert_file=/tls/a", "-c", "recovery_target_time=2020-01-01", "-c", "primary_conninfo=host=a",
                "-c", "archive_timeout=60", "-c", "my.conninfo=a", "-c", "vault.token=a", "-c",
                "password_encryption=md5",
            ],
            [
                "parameter archive_command", "parameter listen_addresses", "parameter port", "parameter ssl",
                "parameter ssl_cert_file", "parameter recovery_target_time", "parameter primary_conninfo",
                "parameter my.conninfo", "parameter vault.token",
            ], ["archive_timeout=60", "password_encryption=md5"]),
        variables(
            [
                .init(name: "WALG_S3_PREFIX", value: "s3://a"), .init(name: "AWS_REGION", value: "x"),
                .init(name: "PGDATA", value: "/x"), .init(name: "POSTGRES_PASSWORD", value: "y"),
                .init(name: "BACKUP_SCHEDULE", value: "z"),
            ], [], []),
        variables(
            [
                .init(name: "A", value: "1"), .init(name: "DB_PASSWORD", value: "s"),
                .init(name: "api_token", value: "s"),
                .init(name: "B", value: nil, valueFrom: .object(["secretKeyRef": .object([:])])),
                .init(name: "C", value: "$(A)/x"), .init(name: "D", value: "$$(A)"), .init(name: "e.f", value: "1"),
                .init(name: "U", value: "postgres://a:b@c"), .init(name: "A", value: "2"),
                .init(name: "L", value: String(repeating: "x", count: 4_097)),
            ],
            ["DB_PASSWORD", "api_token", "B", "C", "e.f", "U", "L"].map { "variable \"\($0)\"" }, ["D", "A"]),
        Left(testDescription: "envFrom", words: ["envFrom"], change: { $1.envFrom = [.object([:])] }),
        Left(
            testDescription: "volumes and others of the pod",
            words: [
                "volume config", "volume tls", "init container chown", "container exporter", "priorityClassName",
                "runtimeClassName", "securityContext.capabilities", "securityContext.fsGroupChangePolicy",
            ],
            change: { pod, container in
                container.volumeMounts =
                    (container.volumeMounts ?? []) + [
                        CopiedMount(name: "tls", mountPath: "/tls"),
                        CopiedMount(name: "config", mountPath: "/etc/postgresql"),
                    ]
                pod.containers?.append(.init(name: "exporter", image: "e"))
                pod.initContainers = [.init(name: "chown", image: "b")]
                pod.priorityClassName = "high"
                pod.runtimeClassName = "gvisor"
                pod.securityContext = .object(["fsGroupChangePolicy": .string("OnRootMismatch")])
                container.securityContext = .object(["capabilities": .object([:]), "runAsUser": .integer(70)])
            }),
    ]

    @Test("what can't be copied is left out and said", arguments: omissions)
    func left(_ left: Left) throws {
        var workload = Self.workload()
        Self.edit(&workload, left.change)
        let run = settle(Self.run(), Self.reader(workload)).run
        let copied = try #require(run.status?.restore?.copied)
        #expect((copied.omitted ?? []) == left.words)
        #expect(copied.parameters == left.parameters)
        #expect((copied.service.env ?? []).compactMap(\.name) == left.variables)
        #expect(copied.service.env?.first { $0.name == "A" }?.value ?? "2" == "2", "the last one counts")
        #expect(copied.service.env?.first { $0.name == "D" }?.value ?? "$(A)" == "$(A)", "as the kubelet reads it")
        let warning = run.status?.plan?.warnings?.first { $0.reason == "NotCopied" }
        #expect((warning == nil) == left.words.isEmpty)
        for words in left.words { #expect(warning?.message.contains(words) == true) }
    }
}
