// SPDX-License-Identifier: Apache-2.0

package import JSON
import Resources
import Seams

/// The story that most tests tell: production's archive is cloned into namespace `staging`.
package final class Story {
    package static let space = "staging"
    package static let image = "docker.io/reprise/postgres-walg:15"
    package static let endpoint = "https://s3.example.com"
    package static let sourcePath = "postgres/orders-db"
    package static let name = "orders-staging"

    package let world: Simulation

    package init(seed: UInt64 = 1, repositories: Bool = true) {
        world = Simulation(seed: seed)
        let stores = world.stores
        stores.seed(Self.archive(world), bucket: "prod", path: Self.sourcePath)
        stores.addBucket("staging")
        stores.keys["reader"] = ("r", ["prod": false])
        stores.keys["writer"] = ("w", ["staging": true])
        stores.keys["both"] = ("b", ["prod": true, "staging": true])
        world.api.addNamespace(Self.space)
        secret("prod-readonly", key: "reader", value: "r")
        secret("staging-backups", key: "writer", value: "w")
        if repositories { applyRepositories() }
    }

    package static func archive(_ world: Simulation) -> ModelStores.Archive {
        let epoch = world.scheduler.epoch
        return ModelStores.Archive(
            systemIdentifier: "7301234567890123456",
            backups: [
                .init(
                    name: "base_000000010000000000000002", startLSN: "0/2000028",
                    written: epoch.adding(seconds: -86_400)),
                .init(
                    name: "base_000000010000000000000005", startLSN: "0/5000028",
                    written: epoch.adding(seconds: -7_200)),
            ], rows: ["order 1", "order 2", "order 3"])
    }

    /// Gives the source four orders: one before both backups, then one, the second backup, and two more.
    package func seedFourOrders() {
        let epoch = world.scheduler.epoch
        var archive = Self.archive(world)
        archive.rows = ["order 1", "order 2", "order 3", "order 4"]
        archive.commits = [
            "order 2": epoch.adding(seconds: -50_000), "order 3": epoch.adding(seconds: -5_000),
            "order 4": epoch.adding(seconds: -100),
        ]
        world.stores.seed(archive, bucket: "prod", path: Self.sourcePath)
    }

    package func applyRepositories() {
        world.apply(Self.repository("prod-readonly", bucket: "prod", prefix: "postgres"))
        world.apply(Self.repository("staging-backups", bucket: "staging"))
    }

    package func secret(_ name: String, key: String, value: String) {
        world.apply([
            "apiVersion": "v1", "kind": "Secret",
            "metadata": ["name": .string(name), "namespace": .string(Self.space)],
            "stringData": ["AWS_ACCESS_KEY_ID": .string(key), "AWS_SECRET_ACCESS_KEY": .string(value)],
        ])
    }

    package static func repository(_ name: String, bucket: String, prefix: String? = nil) -> JSONValue {
        var object: JSONValue = [
            "apiVersion": "reprise.dev/v1alpha1", "kind": "BackupRepository",
            "metadata": ["name": .string(name), "namespace": .string(space)],
            "spec": [
                "s3": ["endpoint": .string(endpoint), "bucket": .string(bucket)],
                "credentials": ["secretRef": ["name": .string(name)]],
                "allowedImages": ["docker.io/reprise/postgres-walg"],
                // Once, and not again while a story is told.
                "scan": ["interval": "720h"],
            ],
        ]
        if let prefix { object.set(["spec", "s3", "prefix"], .string(prefix)) }
        return object
    }

    /// The clone's manifest; `change` makes it another.
    package static func clone(_ change: (inout JSONValue) -> Void = { _ in }) -> JSONValue {
        var object: JSONValue = [
            "apiVersion": "reprise.dev/v1alpha1", "kind": "ServiceClone",
            "metadata": ["name": .string(name), "namespace": .string(space)],
            "spec": [
                "source": ["archive": ["repository": ["name": "prod-readonly"], "path": "orders-db"]],
                "recoveryTarget": ["kind": "Latest"],
                "service": [
                    "name": .string(name), "image": .string(image), "major": 15, "storage": ["size": "20Gi"],
                    "archive": [
                        "repository": ["name": "staging-backups"], "path": "orders-staging",
                        "schedule": "0 3 * * *",
                    ],
                ],
            ],
        ]
        change(&object)
        return object
    }

    // MARK: Looking

    private func key(_ kind: ModelKind, _ name: String) -> ModelKey { ModelKey(kind, Self.space, name) }

    package var clone: JSONValue? { world.api[key(.clones, Self.name)] }
    package var runs: [JSONValue] { world.api.all(.runs, in: Self.space).map(\.object) }
    package var run: JSONValue? { runs.last }
    package var statefulSets: [JSONValue] { world.api.all(.statefulSets, in: Self.space).map(\.object) }
    package var claims: [JSONValue] { world.api.all(.claims, in: Self.space).map(\.object) }
    package var services: [String] { world.api.all(.services, in: Self.space).map(\.key.name) }
    package var secrets: [String] { world.api.all(.secrets, in: Self.space).map(\.key.name) }
    /// Those of runs. Repositories have theirs at all times.
    package var jobs: [String] {
        world.api.all(.jobs, in: Self.space).map(\.key.name).filter { !$0.contains("-catalog-") }
    }
    package var rows: [ModelLedgerStore.Run] { world.ledger.runs.map(\.run) }
    package var volume: ModelVolume? { world.kubelet.volume(Self.space, "data-\(Self.name)-0") }

    package var cloneReason: String? { Self.condition(clone, "Ready")?.text("reason") }
    package var runState: String? { run?.text("status", "state") }
    package var runReason: String? { Self.condition(run, "Finished")?.text("reason") }

    package static func condition(_ object: JSONValue?, _ type: String) -> JSONValue? {
        object?.items("status", "conditions").first { $0.text("type") == type }
    }

    package var isReady: Bool { Self.condition(clone, "Ready")?.text("status") == "True" }

    /// For a failed expectation: what happened, in short.
    package var report: String {
        let journals = world.incarnations.flatMap { $0.journal.lines(from: .info) }.suffix(40)
        let conditions = (run?.items("status", "conditions") ?? []).map { condition in
            let words = ["type", "status", "reason", "message"].map { condition.text($0) ?? "" }
            return words.joined(separator: " ")
        }
        let message = clone?.text("status", "message") ?? ""
        let lines: [String] = journals + conditions + ["clone: \(message)"]
        return (lines + world.kubelet.violations).joined(separator: "\n")
    }
}
