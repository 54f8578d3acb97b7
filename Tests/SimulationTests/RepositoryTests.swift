// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Resources
import Seams
import TestSupport
import Testing

/// A repository with two archives, a service that archives into one of them, and nothing else.
private final class RepositoryStory {
    let world: Simulation

    init(seed: UInt64 = 1) {
        world = Simulation(seed: seed)
        world.stores.seed(Story.archive(world), bucket: "prod", path: Story.sourcePath)
        world.stores.seed(Story.archive(world), bucket: "prod", path: "postgres/invoices")
        world.stores.keys["reader"] = ("r", ["prod": false])
        world.api.addNamespace(Story.space)
        world.apply([
            "apiVersion": "v1", "kind": "Secret",
            "metadata": ["name": "prod-readonly", "namespace": .string(Story.space)],
            "stringData": ["AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "r"],
        ])
    }

    func apply() {
        world.apply(Self.manifest)
        world.apply([
            "apiVersion": "reprise.dev/v1alpha1", "kind": "ManagedService",
            "metadata": ["name": "orders-db", "namespace": .string(Story.space)],
            "spec": [
                "engine": "Postgres", "workload": ["name": "orders-db"], "major": 15,
                "archive": ["repository": ["name": "prod-readonly"], "path": "orders-db"],
            ],
        ])
    }

    static var manifest: JSONValue {
        var manifest = Story.repository("prod-readonly", bucket: "prod", prefix: "postgres")
        manifest.set(["spec", "scan"], ["interval": "5m"])
        return manifest
    }

    var repository: JSONValue? { world.api[ModelKey(.repositories, Story.space, "prod-readonly")] }
    var service: JSONValue? { world.api[ModelKey(.managedServices, Story.space, "orders-db")] }
    var lines: [JSONValue] { repository?.items("status", "archives") ?? [] }
    var sequence: Int64 { repository?.integer("status", "lastScan", "sequence") ?? 0 }
    var jobs: [String] { world.api.all(.jobs, in: Story.space).map(\.key.name) }
    var catalogs: [JSONValue] { world.api.all(.configMaps, in: Story.space).map(\.object) }
    var ready: JSONValue? { Story.condition(repository, "Ready") }

    /// Lets time pass until this many scans have ended, and what follows from them is written.
    func run(scans: Int64) -> Bool {
        guard world.run(atMost: scans * 400 + 600, until: { sequence >= scans }) else { return false }
        world.run(seconds: 30)
        return true
    }

    /// Every archive has its line, and every line its catalog with what it says.
    func expectCatalogs(_ why: String = "", sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(lines.map { $0.text("path") } == ["invoices", "orders-db"], "\(why)", sourceLocation: sourceLocation)
        let names = Set(catalogs.compactMap { $0.text("metadata", "name") })
        #expect(Set(lines.compactMap { $0.text("configMap") }) == names, "\(why)", sourceLocation: sourceLocation)
        #expect(catalogs.count == 2, "\(why)", sourceLocation: sourceLocation)
        for line in lines {
            let catalog = catalogs.first { $0.text("metadata", "name") == line.text("configMap") }
            #expect(
                catalog?.text("metadata", "annotations", "reprise.dev/digest") == line.text("digest"), "\(why)",
                sourceLocation: sourceLocation)
            #expect(catalog?.text("metadata", "labels", "reprise.dev/catalog") == "prod-readonly")
            let text = catalog?.text("data", "archive.json") ?? ""
            let listing = try? JSON.decode(ArchiveListing.self, from: Array(text.utf8))
            #expect(listing?.path == "postgres/\(line.text("path") ?? "")", "\(why)", sourceLocation: sourceLocation)
            #expect(listing.map { Int64($0.backups.count) } == line.integer("backups"), sourceLocation: sourceLocation)
        }
        #expect(ready?.text("status") == "True", "\(why)", sourceLocation: sourceLocation)
        #expect(ready?.text("reason") == "Scanned", "\(why)", sourceLocation: sourceLocation)
        #expect(world.kubelet.violations.isEmpty, "\(why)", sourceLocation: sourceLocation)
    }
}

@Suite struct RepositorySimulationTests {
    @Test func aRepositoryShowsWhatCanBeRestored() throws {
        let story = RepositoryStory()
        let world = story.world
        world.start()
        story.apply()
        #expect(story.run(scans: 1))
        story.expectCatalogs()
        let newest = world.scheduler.epoch.adding(seconds: -7_200).rfc3339
        #expect(story.lines.last?.text("latestCertain") == newest)
        let capabilities = story.service?[path: ["status", "restoreCapabilities"]]
        #expect(capabilities?["restoreToNewService"] == true)
        #expect(capabilities?["pitr"] == true)
        #expect(capabilities?["restoreInPlace"] == true)
        #expect(capabilities?.text("latestPitrTime") == newest)
        #expect(capabilities?.text("earliestPitrTime") == story.lines.last?.text("earliest"))
        #expect(story.service?.text("status", "suggestedNewServiceName")?.hasPrefix("orders-db-restore-") == true)
        #expect(Story.condition(story.service, "Ready")?.text("reason") == "Restorable")
    }

    @Test func anArchiveWithNothingNewCostsThreeWritesForEachScan() throws {
        let story = RepositoryStory()
        let world = story.world
        world.start()
        story.apply()
        #expect(story.run(scans: 1))
        var writes: [String] = []
        world.api.observers.append { change in
            guard world.incarnations.contains(where: { $0.name == change.writer }), change.key.kind != .leases
            else { return }
            writes.append("\(change.kind.rawValue) \(change.key.kind.kind)")
        }
        #expect(story.run(scans: 4))
        let expected = [
            "ADDED Job", "ADDED Job", "ADDED Job", "DELETED Job", "DELETED Job", "DELETED Job",
            "MODIFIED BackupRepository", "MODIFIED BackupRepository", "MODIFIED BackupRepository",
        ]
        #expect(writes.sorted() == expected)
        #expect(story.jobs.count == 1, "\(story.jobs)")
        story.expectCatalogs()
    }

    @Test func aNewBackupMovesTheWindow() throws {
        let story = RepositoryStory()
        let world = story.world
        world.start()
        story.apply()
        #expect(story.run(scans: 1))
        let versions = story.catalogs.map { $0.text("metadata", "resourceVersion") }
        let before = story.lines
        let written = world.scheduler.wall.wholeSecond
        world.stores.archives["prod/\(Story.sourcePath)/15"]?.backups.append(
            .init(name: "base_000000010000000000000006", startLSN: "0/6000028", written: written))
        #expect(story.run(scans: 2))
        story.expectCatalogs()
        #expect(story.lines.last?.integer("backups") == 3)
        #expect(story.lines.last?.text("latestCertain") == written.rfc3339)
        #expect(story.lines.first == before.first)
        let changed = zip(versions, story.catalogs).filter { $0 != $1.text("metadata", "resourceVersion") }
        #expect(changed.count == 1, "only the catalog with news is written")
        #expect(
            story.service?.text("status", "restoreCapabilities", "latestPitrTime") == written.rfc3339)
        // An archive that is gone goes from the status, and its catalog with it.
        world.stores.archives["prod/postgres/invoices/15"] = nil
        #expect(story.run(scans: 3))
        #expect(story.lines.map { $0.text("path") } == ["orders-db"])
        #expect(story.catalogs.count == 1)
    }

    @Test func aStoreThatRefusesIsToldOfAndTriedAgain() throws {
        let story = RepositoryStory()
        let world = story.world
        world.stores.keys["reader"] = ("other", ["prod": false])
        world.start()
        story.apply()
        #expect(story.run(scans: 1))
        #expect(Story.condition(story.repository, "Reachable")?.text("reason") == "WrongCredentials")
        #expect(Story.condition(story.service, "Ready")?.text("reason") == "CatalogPending")
        world.stores.keys["reader"] = ("r", ["prod": false])
        // Asked for, so it does not wait for the interval.
        let began = world.scheduler.now
        var asked = RepositoryStory.manifest
        asked.set(["spec", "scan", "requestID"], "again")
        world.apply(asked)
        #expect(story.run(scans: 2))
        #expect(world.scheduler.now - began < 120_000)
        story.expectCatalogs()
        #expect(story.repository?.text("status", "lastScan", "requestID") == "again")
    }

    @Test func deletingTheRepositoryTakesItsCatalogsAlong() throws {
        let story = RepositoryStory()
        let world = story.world
        world.start()
        story.apply()
        #expect(story.run(scans: 2))
        #expect(story.catalogs.count == 2)
        world.user(.delete, ModelKey(.repositories, Story.space, "prod-readonly"))
        world.run(seconds: 120)
        #expect(story.catalogs.isEmpty)
        #expect(story.jobs.isEmpty)
        #expect(Story.condition(story.service, "Ready")?.text("reason") == "RepositoryNotFound")
    }

    /// Every fourth call by default; `REPRISE_SWEEP=all` takes them all (a minute).
    private static let step = ProcessInfo.processInfo.environment["REPRISE_SWEEP"] == "all" ? 1 : 4

    /// The controller dies at each of its calls, before it took effect and after; the next one comes to the same end.
    @Test(arguments: [false, true]) func deathAtEveryCall(isAnswered: Bool) throws {
        /// Two scans, with news in the second.
        func tell(_ interfere: ((RepositoryStory, Incarnation) -> Void)?) -> RepositoryStory {
            let story = RepositoryStory()
            let world = story.world
            let first = world.start()
            interfere?(story, first)
            story.apply()
            #expect(story.run(scans: 1))
            world.stores.archives["prod/\(Story.sourcePath)/15"]?.backups.append(
                .init(
                    name: "base_000000010000000000000006", startLSN: "0/6000028",
                    written: world.scheduler.epoch.adding(seconds: 60)))
            world.stores.archives["prod/postgres/invoices/15"]?.backups.removeLast()
            // One that began before has not seen it.
            #expect(story.run(scans: 3))
            return story
        }
        let undisturbed = tell(nil)
        undisturbed.expectCatalogs()
        let calls = undisturbed.world.wire.calls.filter { !$0.isAboutLease || $0.number < 8 }
        #expect(calls.count > 20)
        for call in calls where call.number % Self.step == 0 {
            let why = "call \(call.number), \(isAnswered ? "after" : "before") it took effect"
            let story = tell { story, first in
                let world = story.world
                world.wire.interfere = { now, moment in
                    let isHere = isAnswered ? moment == .answering : moment == .arriving
                    if now.number == call.number, isHere {
                        world.kill(first)
                        world.scheduler.after(1_000, "a new incarnation") { world.start() }
                    }
                    return .none
                }
            }
            story.expectCatalogs(why)
            #expect(story.lines.last?.integer("backups") == 3, "\(why)")
            #expect(story.lines.first?.integer("backups") == 1, "\(why)")
            #expect(
                story.lines.map { $0.text("latestCertain") }
                    == undisturbed.lines.map { $0.text("latestCertain") }, "\(why)")
            #expect(story.jobs.count <= 2, "\(why): \(story.jobs)")
        }
    }
}
