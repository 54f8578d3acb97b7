// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import Seams
import TestSupport
import Testing

/// The world without a controller of ours: a namespace, a source's archive, and what a test puts there.
final class WorldStage {
    static let space = "play"
    static let source = "prod/postgres/orders-db/15"
    static let pod = ModelKey(.pods, space, "db-0")
    static let set = ModelKey(.statefulSets, space, "db")
    static let claim = ModelKey(.claims, space, "data-db-0")

    let world: Simulation
    var api: ModelAPI { world.api }
    var stores: ModelStores { world.stores }

    init(seed: UInt64 = 1) {
        world = Simulation(seed: seed)
        let epoch = world.scheduler.epoch
        var archive = Story.archive(world)
        archive.rows = ["order 1", "order 2", "order 3", "order 4"]
        archive.commits = [
            "order 2": epoch.adding(seconds: -50_000), "order 3": epoch.adding(seconds: -5_000),
            "order 4": epoch.adding(seconds: -100),
        ]
        stores.seed(archive, bucket: "prod", path: Story.sourcePath)
        stores.addBucket("staging")
        stores.keys["both"] = ("b", ["prod": true, "staging": true])
        world.api.addNamespace(Self.space)
    }

    static let probe: JSONValue = [
        "exec": ["command": ["sh", "-c", "pg_isready -q; [ $? -le 1 ]"]], "periodSeconds": 2,
        "failureThreshold": 1_000_000_000,
    ]

    /// A StatefulSet of the contract image that clones the source.
    static func manifest(
        quarantined: Bool = true, variables: [String: String] = [:], _ change: (inout JSONValue) -> Void = { _ in }
    ) -> JSONValue {
        var environment = [
            "WALG_CLONE_FROM": "s3://\(source)", "WALG_S3_PREFIX": "s3://staging/db", "BACKUP_SCHEDULE": "0 0 31 2 *",
            "AWS_ACCESS_KEY_ID": "both", "AWS_SECRET_ACCESS_KEY": "b", "POSTGRES_PASSWORD": "own",
        ]
        environment.merge(variables) { _, new in new }
        let env = environment.sorted { $0.key < $1.key }.map { name, value -> JSONValue in
            ["name": .string(name), "value": .string(value)]
        }
        var container: JSONValue = [
            "name": "postgres", "image": .string(Story.image), "env": .array(env), "startupProbe": probe,
            "readinessProbe": ["exec": ["command": ["pg_isready", "-q"]], "periodSeconds": 2],
        ]
        if quarantined {
            container.set(
                ["args"],
                ["postgres", "-c", "listen_addresses=", "-c", "hot_standby=off", "-c", "archive_command=/bin/false"]
            )
        }
        var object: JSONValue = [
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": ["name": "db", "namespace": .string(space)],
            "spec": [
                "replicas": 1, "podManagementPolicy": "Parallel", "selector": ["matchLabels": ["app": "db"]],
                "template": ["metadata": ["labels": ["app": "db"]], "spec": ["containers": .array([container])]],
                "volumeClaimTemplates": [
                    ["metadata": ["name": "data"], "spec": ["resources": ["requests": ["storage": "1Gi"]]]]
                ],
            ],
        ]
        change(&object)
        return object
    }

    /// A Job of the agent's image, which scans.
    static func job(_ change: (inout JSONValue) -> Void = { _ in }) -> JSONValue {
        var object: JSONValue = [
            "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "x-scan-1", "namespace": .string(space)],
            "spec": [
                "backoffLimit": 0,
                "template": [
                    "spec": [
                        "restartPolicy": "Never",
                        "containers": [["name": "main", "image": "docker.io/reprise/agent:test"]],
                    ]
                ],
            ],
        ]
        change(&object)
        return object
    }

    func run(_ seconds: Int64) {
        world.scheduler.after(seconds * 1_000, "the test goes on") {}
        world.run(seconds: seconds)
    }

    /// Lets time pass until something holds.
    func wait(_ seconds: Int64 = 600, until condition: () -> Bool) -> Bool {
        for _ in 0..<seconds where !condition() { run(1) }
        return condition()
    }

    var pod: JSONValue? { api[Self.pod] }
    var isReady: Bool {
        pod?.items("status", "conditions").contains { $0["type"] == "Ready" && $0["status"] == "True" } ?? false
    }
    var volume: ModelVolume? { world.kubelet.volume(Self.space, "data-db-0") }
    var container: JSONValue? { pod?.items("status", "containerStatuses").first }
    var waiting: String? { container?.text("state", "waiting", "reason") }
    var pods: [JSONValue] { api.all(.pods, in: Self.space).map(\.object) }
    var deeds: [String] { volume?.journal.map(\.what) ?? [] }

    /// The last lines that the server's container wrote.
    var log: String {
        guard let pod, let log = api.logs(pod, "postgres") else { return "" }
        return log.lines.map { String(decoding: $0.text, as: UTF8.self) }.joined(separator: "\n")
    }

    /// The source's moment so many seconds from the beginning of the story, as the image wants it.
    func moment(_ seconds: Int64) -> String {
        world.scheduler.epoch.adding(seconds: seconds).rfc3339.replacing("T", with: " ").replacing("Z", with: " UTC")
    }
}
