// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import TestSupport
import Testing

/// Requests that can't be carried out: each ends with its reason, and nothing was made for it but looking.
@Suite struct RefusalTests {
    /// A way to ask for something that can't be done.
    struct Case: CustomTestStringConvertible, Sendable {
        var name: String
        var reason: String
        var prepare: @Sendable (Story) -> Void = { _ in }
        var change: @Sendable (inout JSONValue) -> Void = { _ in }

        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(
            name: "wrong credentials", reason: "WrongCredentials",
            prepare: { $0.secret("prod-readonly", key: "reader", value: "wrong") }),
        Case(
            name: "unreachable", reason: "Unreachable",
            prepare: { $0.world.stores.unreachable.insert(Story.endpoint) }),
        Case(
            name: "bucket missing", reason: "BucketNotFound",
            prepare: { $0.world.apply(Story.repository("prod-readonly", bucket: "nowhere", prefix: "postgres")) }),
        Case(
            name: "no backups", reason: "NoBackupsFound",
            change: { $0.set(["spec", "source", "archive", "path"], "empty-db") }),
        Case(
            name: "major mismatch", reason: "MajorMismatch",
            change: { $0.set(["spec", "service", "major"], 16) }),
        Case(
            name: "image not allowed", reason: "ImageNotAllowed",
            change: { $0.set(["spec", "service", "image"], "docker.io/library/postgres:15") }),
        Case(
            name: "archive not empty", reason: "ArchiveNotEmpty",
            prepare: { $0.world.stores.put("staging", "orders-staging/15/wal_005/1.br", by: "somebody") }),
        Case(
            name: "prefix overlap", reason: "PrefixOverlap",
            prepare: { story in
                story.secret("staging-backups", key: "both", value: "b")
                story.world.apply(Story.repository("staging-backups", bucket: "prod"))
            },
            change: { $0.set(["spec", "service", "archive", "path"], "postgres/orders-db/below") }),
        Case(
            name: "volume too small", reason: "VolumeTooSmall",
            change: { $0.set(["spec", "service", "storage", "size"], "1Gi") }),
        Case(
            name: "somebody's claim", reason: "TargetNotEmpty",
            prepare: { story in
                story.world.apply([
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "metadata": ["name": "data-orders-staging-0", "namespace": "staging"],
                    "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
                ])
            }),
        Case(
            name: "somebody's StatefulSet", reason: "TargetNotEmpty",
            prepare: { story in
                story.world.apply([
                    "apiVersion": "apps/v1", "kind": "StatefulSet",
                    "metadata": ["name": "orders-staging", "namespace": "staging"],
                    "spec": [
                        "replicas": 0, "serviceName": "x", "selector": ["matchLabels": ["app": "x"]],
                        "template": ["metadata": ["labels": ["app": "x"]]],
                    ],
                ])
            }),
    ]

    @Test(arguments: cases) func isRefused(_ refusal: Case) throws {
        let story = Story()
        let world = story.world
        refusal.prepare(story)
        let before = Footprint(story)
        let puts = world.stores.puts.count
        world.start()
        world.apply(Story.clone(refusal.change))
        #expect(world.runUntilQuiet(120))
        #expect(story.cloneReason == refusal.reason, "\(story.report)")
        #expect(Story.condition(story.clone, "Stalled")?.text("status") == "True", "\(story.report)")
        #expect(story.runs.count == 1, "\(story.report)")
        #expect(story.runState == "Failed", "\(story.report)")
        #expect(story.runReason == refusal.reason, "\(story.report)")
        #expect(story.rows.map(\.columns.status) == ["failed"])
        #expect(Footprint(story) == before)
        #expect(world.stores.puts.count == puts)
        #expect(world.scheduler.foreign == 0)
    }

    /// The API server's schema and CEL rules refuse most of these; a server without CEL does not.
    static let malformed: [Case] = [
        Case(
            name: "bad name", reason: "InvalidName", change: { $0.set(["spec", "service", "name"], "Orders_Staging") }),
        Case(
            name: "name too long", reason: "InvalidName",
            change: { $0.set(["spec", "service", "name"], .string(String(repeating: "a", count: 60))) }),
        Case(name: "no source", reason: "InvalidSpec", change: { $0.set(["spec", "source"], [:]) }),
        Case(
            name: "two sources", reason: "InvalidSpec",
            change: { $0.set(["spec", "source", "service"], ["name": "orders"]) }),
    ]

    @Test(arguments: malformed) func malformedIsSaidAtOnce(_ refusal: Case) throws {
        let story = Story()
        let before = Footprint(story)
        story.world.start()
        story.world.apply(Story.clone(refusal.change))
        #expect(story.world.runUntilQuiet())
        #expect(story.cloneReason == refusal.reason, "\(story.report)")
        #expect(story.runs.isEmpty && story.jobs.isEmpty)
        #expect(Footprint(story) == before)
    }

    @Test(arguments: malformed) func aMalformedRunIsRecordedAndRefused(_ refusal: Case) throws {
        let story = Story()
        let before = Footprint(story)
        story.world.start()
        let spec = Story.clone(refusal.change)["spec"] ?? .null
        story.world.apply([
            "apiVersion": "reprise.dev/v1alpha1", "kind": "RestoreRun",
            "metadata": ["name": "by-hand", "namespace": "staging"],
            "spec": [
                "mode": "NewService", "source": spec["source"] ?? .null, "recoveryTarget": ["kind": "Latest"],
                "target": ["newService": spec["service"] ?? .null],
            ],
        ])
        #expect(story.world.runUntilQuiet())
        #expect(story.runReason == refusal.reason, "\(story.report)")
        #expect(story.rows.map(\.columns.status) == ["failed"])
        #expect(story.jobs.isEmpty)
        #expect(Footprint(story) == before)
    }

    @Test func aMissingRepositoryIsWaitedForAndThenRefused() throws {
        let story = Story(repositories: false)
        let before = Footprint(story)
        story.world.start()
        story.world.apply(Story.clone())
        story.world.run(seconds: 300)
        #expect(story.cloneReason == "RepositoryNotFound", "\(story.report)")
        #expect(story.runState == "Pending", "\(story.report)")
        story.world.run(seconds: 400)
        #expect(story.runState == "Failed", "\(story.report)")
        #expect(story.cloneReason == "RepositoryNotFound", "\(story.report)")
        #expect(story.rows.map(\.columns.status) == ["failed"])
        #expect(Footprint(story) == before)
        #expect(story.jobs.isEmpty)
    }

    @Test func aRepositoryThatComesLateIsEnough() throws {
        let story = Story(repositories: false)
        story.world.start()
        story.world.apply(Story.clone())
        story.world.run(seconds: 120)
        story.applyRepositories()
        #expect(story.world.runUntilQuiet())
        #expect(story.isReady, "\(story.report)")
        try expectOneService(story)
    }
}

/// What a refused request must leave as it was.
struct Footprint: Equatable {
    var statefulSets: Int
    var claims: Int
    var services: [String]
    var secrets: [String]

    init(_ story: Story) {
        statefulSets = story.statefulSets.count
        claims = story.claims.count
        services = story.services
        secrets = story.secrets
    }
}
