// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What a run's row in the ledger says, and when.
@Suite("A run's row")
struct RecordTests {
    static func entry(_ run: RestoreRun) -> LedgerEntry {
        RestoreRunBehavior.entry(for: run, run.status ?? RestoreRunStatus())
    }

    @Test("every state and phase that a run comes through is written to it, and its id is in the status")
    func followed() {
        var world = InPlaceTests.approved()
        var seen: [String] = []
        for _ in 0..<60 {
            let before = world.run.status
            let decision = world.pass()
            if let status = world.run.status {
                let entry = Self.entry(world.run)
                if seen.last != "\(entry.status) \(entry.phase)" { seen.append("\(entry.status) \(entry.phase)") }
                #expect(status.ledgerID == "1")
            }
            if decision.effects.isEmpty, world.run.status == before { break }
        }
        let written = world.effects.compactMap { effect in
            if case .record(let entry) = effect { "\(entry.status) \(entry.phase)" } else { nil }
        }
        #expect(seen.first == "pending prepare" && seen.last == "completed completed")
        #expect(seen.contains("running restore"), "\(seen)")
        #expect(Set(seen).subtracting(written).isEmpty, "\(seen), and written was \(written)")
        #expect(written.last == "completed completed")
    }

    static func target(_ kind: RecoveryTargetKind, _ change: (inout RecoveryTarget) -> Void) -> RecoveryTarget {
        var target = RecoveryTarget(kind: Open(kind))
        change(&target)
        return target
    }

    static let targets: [RecoveryTarget?] = [
        nil, target(.latest) { _ in }, Story.time(PlannerTests.late, inclusive: false),
        target(.xid) { $0.xid = "727" }, target(.lsn) { $0.lsn = "0/3000060" }, target(.name) { $0.name = "before" },
    ]

    @Test("the recovery target is in it as it was asked for, and nothing where none was", arguments: targets)
    func recoveryTarget(_ target: RecoveryTarget?) {
        let run = settle(Story.run(nil) { $0.recoveryTarget = target }, Story.scanned(source: Story.two)).run
        #expect(Self.entry(run).recoveryTarget == target)
    }

    struct Place: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var source: RestoreSource
        var origin: String?
        var backup: String
        var location: String?
    }

    static let places = [
        Place(
            testDescription: "a service", source: RestoreSource(service: .init(name: "shop")), origin: "shop",
            backup: Story.newer.name),
        Place(
            testDescription: "an archive", source: Story.spec.source ?? RestoreSource(), backup: Story.newer.name,
            location: "prod:orders"),
        Place(
            testDescription: "a backup", source: RestoreSource(backup: .init(name: BackupSourceTests.name)),
            backup: Story.backup.name, location: "prod:orders"),
        Place(
            testDescription: "an address", source: Story.location("s3://backups/prod/orders/15"),
            backup: Story.newer.name, location: "s3://backups/prod/orders/15"),
    ]

    @Test("from which service, backup and place the data comes, as far as it is known", arguments: places)
    func source(_ place: Place) {
        var reader = BackupSourceTests.reader()
        var shop = InPlaceWorld.service
        shop.metadata.name = "shop"
        reader.add(shop)
        let entry = Self.entry(settle(Story.run(nil) { $0.source = place.source }, reader).run)
        #expect(entry.originService == place.origin)
        #expect(entry.sourceBackup == place.backup)
        #expect(entry.sourceLocation == place.location)
    }

    @Test("where it lands: in place from the start, a new service once it is made")
    func landing() {
        let world = InPlaceTests.approved()
        let inPlace = Self.entry(world.run)
        #expect(inPlace.status == "pending")
        #expect((inPlace.targetService, inPlace.targetServiceName) == ("orders", "orders"))
        #expect((inPlace.targetKind, inPlace.targetUID) == ("StatefulSet", InPlaceWorld.workloadUID))
        var run = settle(Story.run(), Story.scanned()).run
        #expect((Self.entry(run).targetService, Self.entry(run).targetUID) == (nil, nil))
        #expect(Self.entry(run).targetServiceName == "orders", "the name is known from the start")
        run.status?.restore?.targetUID = "set-1"
        #expect(Self.entry(run).targetUID == "set-1")
    }
}
