// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// `source.backup`: a run or a preview of one backup, by the name of its object.
@Suite("A restore from a ServiceBackup")
struct BackupSourceTests {
    static let name = "prod-backup-1"

    static func spec(_ spec: inout RestoreRunSpec) {
        spec.source = RestoreSource(backup: NameReference(name: name))
    }

    static func backup(_ change: (inout DiscoveredBackup) -> Void = { _ in }) -> ServiceBackup {
        var found = DiscoveredBackup(
            repository: NameReference(name: "prod"), path: "orders", major: 15, name: Story.backup.name)
        change(&found)
        return ServiceBackup(
            metadata: ObjectMeta(name: name, namespace: "staging", uid: "b", resourceVersion: "1", generation: 1),
            spec: ServiceBackupSpec(discovered: found))
    }

    /// The archive has a newer backup as well.
    static func reader(_ backup: ServiceBackup? = backup(), scan: ScanResult = Story.two) -> FakeReader {
        var reader = Story.scanned(source: scan)
        if let backup { reader.add(backup) }
        return reader
    }

    private func refusal(_ reader: FakeReader, _ change: (inout RestoreRunSpec) -> Void = { _ in }) -> PlanFinding? {
        let run = Story.run(nil) {
            Self.spec(&$0)
            change(&$0)
        }
        let settled = settle(run, reader)
        #expect(settled.run.status?.state?.known == .failed)
        #expect(settled.effects.compactMap(\.child).isEmpty)
        return settled.run.status?.plan?.errors?.first
    }

    @Test("it is planned as if its archive and its name had been written, and without a target it ends with the backup")
    func commitments() throws {
        let (run, _, _) = settle(Story.run(nil, Self.spec), Self.reader())
        let plan = try #require(run.status?.plan)
        #expect(plan.baseBackup == Story.backup.name && plan.recoveryTarget == "BackupEnd")
        #expect(plan.path == RestorePath.initContainer.rawValue)
        #expect(run.status?.restore?.pinnedBackup?.name == Story.backup.name)
        #expect(run.status?.state?.known == .running)
        let uri = "s3://backups/prod/orders/15/basebackups_005/\(Story.backup.name)"
        let byAddress = Story.run(nil) {
            $0.source = RestoreSource(
                location: BackupLocation(uri: uri, engine: Open(.postgres), repository: NameReference(name: "prod")))
        }
        #expect(settle(byAddress, Self.reader(nil)).run.status?.plan?.hash == plan.hash && plan.hash != nil)
    }

    @Test("a moment after the backup's end is recovered to from this backup, though a newer one is there")
    func toAMoment() throws {
        let (run, _, _) = settle(
            Story.run(nil) {
                Self.spec(&$0)
                $0.recoveryTarget = RecoveryTarget(kind: Open(.latest))
            }, Self.reader())
        #expect(run.status?.plan?.baseBackup == Story.backup.name && run.status?.plan?.recoveryTarget == "Latest")
    }

    @Test("a preview is that plan")
    func preview() throws {
        var reader = RestorePlanTests.reader()
        reader.add(Self.backup())
        let plan = RestorePlanTests.plan(Self.spec)
        let decision = RestorePlanBehavior.decide(RestorePlanBehavior.observe(plan, through: &reader), at: Story.now)
        let run = settle(Story.run(nil, Self.spec), Self.reader()).run
        #expect(decision.status?.hash == run.status?.plan?.hash && decision.status?.hash != nil)
        #expect(decision.effects.isEmpty)
        reader.objects[Self.backup().ref] = nil
        let missing = RestorePlanBehavior.decide(RestorePlanBehavior.observe(plan, through: &reader), at: Story.now)
        #expect(missing.status?.conditions?.condition("Ready")?.reason == "BackupNotFound")
    }

    @Test("once it has been read, it may be edited or go: the run does what it first read")
    func pinned() throws {
        var reader = Self.reader()
        var run = Story.run(nil, Self.spec)
        run.status = pass(run, &reader).status
        #expect(run.status?.restore?.discovered == Self.backup().spec?.discovered)
        #expect(run.status?.plan == nil || run.status?.restore?.sourceURI != nil)
        for other in [nil, Self.backup { $0.path = "billing" }] {
            var reader = Self.reader(other)
            reader.recorded(run, try #require(run.status))
            let (ended, last, _) = settle(run, reader)
            #expect(ended.status?.state?.known == .running)
            #expect(ended.status?.restore?.sourceURI == "https://s3.example.com s3://backups/prod/orders")
            #expect(last.effects.contains { $0.child?.ref.name == "data-orders-0" })
            let entry = RestoreRunBehavior.entry(for: ended, try #require(ended.status))
            #expect(entry.sourceLocation == "prod:orders" && entry.sourceBackup == Story.backup.name)
        }
    }

    @Test("it is waited for as long as for a repository, and then the run says what is missing")
    func absent() throws {
        var reader = Self.reader(nil)
        var run = Story.run(nil, Self.spec)
        let first = pass(run, &reader)
        #expect(first.status?.state?.known == .pending)
        #expect(first.status?.conditions?.condition("Planned")?.reason == "BackupNotFound")
        #expect(first.effects.compactMap(\.child).isEmpty)
        run.status = first.status
        reader.recorded(run, try #require(first.status))
        let late = pass(run, &reader, at: Story.now.adding(seconds: 600))
        #expect(late.status?.conditions?.condition("Finished")?.reason == "BackupNotFound")
        #expect(late.status?.message?.contains(Self.name) == true)
    }

    @Test("a backup that is not in the archive any more is SourceExpired, whatever its object still says")
    func expired() throws {
        var backup = Self.backup()
        backup.status = ServiceBackupStatus()
        backup.status?.state = Open(.ready)
        let newer = Story.listed { listing in
            listing.backups = [Story.newer]
            listing.backupsTotal = 1
        }
        let empty = Story.listed { listing in
            listing.backups = []
            listing.backupsTotal = 0
        }
        for scan in [newer, empty] {
            let finding = try #require(refusal(Self.reader(backup, scan: scan)))
            #expect(finding.reason == "SourceExpired")
            #expect(
                finding.message.contains(Story.backup.name) && finding.message.contains("s3://backups/prod/orders/15"))
        }
    }

    @Test("another major version, one that was not found in a repository, and a spec that says nothing are refused")
    func refused() throws {
        #expect(refusal(Self.reader(Self.backup { $0.major = 16 }))?.reason == "MajorMismatch")
        var asked = Self.backup()
        asked.spec = ServiceBackupSpec(discovered: nil)
        asked.spec?.service = NameReference(name: "orders-db")
        #expect(refusal(Self.reader(asked))?.reason == "UnsupportedMode")
        asked.spec = ServiceBackupSpec(discovered: nil)
        #expect(refusal(Self.reader(asked))?.reason == "InvalidSpec")
        #expect(refusal(Self.reader(Self.backup { $0.path = "../up" }))?.reason == "InvalidSpec")
        let own = refusal(Self.reader()) { $0.target?.newService?.archive?.repository = NameReference(name: "prod") }
        #expect(own?.reason == "PrefixOverlap")
    }
}
