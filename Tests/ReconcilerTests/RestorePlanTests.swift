// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// A preview: the plan that a run would make, from what the repositories have published.
@Suite("A preview")
struct RestorePlanTests {
    static func plan(_ change: (inout RestoreRunSpec) -> Void = { _ in }) -> RestorePlan {
        let run = Story.run(nil, change)
        var spec = RestorePlanSpec()
        spec.mode = run.spec?.mode
        spec.source = run.spec?.source
        spec.target = run.spec?.target
        spec.recoveryTarget = run.spec?.recoveryTarget
        return RestorePlan(
            metadata: ObjectMeta(
                name: "orders-plan", namespace: "staging", uid: "plan-1", resourceVersion: "3", generation: 1,
                creationTimestamp: Story.now), spec: spec)
    }

    /// Both repositories, scanned; the source's with this listing published.
    static func reader(_ listing: ArchiveListing? = Story.two.listing) -> FakeReader {
        var reader = FakeReader()
        var source = Story.repository("prod", prefix: "prod")
        source.status = status
        if let listing {
            let manifest = PublishedCatalog.manifest(listing, path: "orders", of: source)
            reader.add(
                ConfigMap(
                    metadata: ObjectMeta(
                        name: manifest.metadata.name, namespace: "staging", uid: "c",
                        annotations: manifest.metadata.annotations),
                    data: manifest.data))
            var line = BackupRepositoryStatus.ArchiveSummary(path: "orders", major: 15)
            line.configMap = manifest.metadata.name
            source.status?.archives = [line]
        }
        reader.add(source)
        var own = Story.repository("own", prefix: "staging")
        own.status = status
        reader.add(own)
        return reader
    }

    static var status: BackupRepositoryStatus {
        var status = BackupRepositoryStatus()
        status.archives = []
        status.lastScan = .init()
        status.lastScan?.time = Story.now.adding(seconds: -30)
        return status
    }

    private func look(
        _ plan: RestorePlan, _ reader: FakeReader, at now: Timestamp = Story.now
    ) -> Decision<RestorePlanStatus> {
        var reader = reader
        return RestorePlanBehavior.decide(RestorePlanBehavior.observe(plan, through: &reader), at: now)
    }

    @Test("it is the plan of the run, with the same hash, and makes nothing")
    func same() throws {
        let decision = look(Self.plan(), Self.reader())
        #expect(decision.effects.isEmpty)
        let preview = try #require(decision.status)
        let run = try #require(settle(Story.run(), Story.scanned(source: Story.two)).run.status?.plan)
        #expect(preview.hash == run.hash && run.hash != nil)
        #expect(preview.steps == run.steps)
        #expect(preview.baseBackup == Story.newer.name)
        #expect(preview.conditions?.isTrue("Ready") == true)
        #expect(preview.catalogAge == "0s")
        #expect((preview.mode, preview.engine) == ("NewService", "Postgres"))
        #expect(preview.targetService == .init(name: "orders", isNew: true))
        #expect(preview.sourceBackup?.name == Story.newer.name && preview.sourceBackup?.path == "orders")
    }

    @Test("once made it stays as it is, whatever is published later, until the spec changes")
    func once() throws {
        var plan = Self.plan()
        plan.status = look(plan, Self.reader()).status
        #expect(look(plan, Self.reader(Story.listing)).status == nil)
        plan.metadata.generation = 2
        #expect(look(plan, Self.reader(Story.listing)).status?.baseBackup == Story.backup.name)
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var reason: String
        var reader: FakeReader
        var isFinal = true
        var spec: @Sendable (inout RestoreRunSpec) -> Void = { _ in }
        var testDescription: String { reason }
    }

    static var refusals: [Refusal] {
        var occupied = reader()
        let claim = PersistentVolumeClaim(
            metadata: ObjectMeta(name: "data-orders-0", namespace: "staging", uid: "x", resourceVersion: "1"))
        occupied.strangers[claim.ref] = claim
        var used = reader()
        var own = Story.repository("own", prefix: "staging")
        own.status = status
        own.status?.archives = [.init(path: "orders", major: 14)]
        used.add(own)
        var unknown = reader()
        unknown.add(Story.repository("prod", prefix: "prod"))
        var gone = reader()
        gone.objects[Story.repository("prod", prefix: "prod").ref] = nil
        return [
            Refusal(reason: "TargetNotEmpty", reader: occupied),
            Refusal(reason: "ArchiveNotEmpty", reader: used),
            Refusal(reason: "NoBackupsFound", reader: reader(nil)),
            Refusal(reason: "CatalogPending", reader: unknown, isFinal: false),
            Refusal(reason: "RepositoryNotFound", reader: gone, isFinal: false),
            Refusal(reason: "ServiceNotFound", reader: reader(), isFinal: false) {
                $0.mode = Open(.inPlace)
                $0.target = .init(service: .init(name: "orders"))
                $0.confirm = nil
            },
            Refusal(reason: "TargetOutsideWindow", reader: reader()) {
                $0.mode = Open(.pointInTime)
                $0.recoveryTarget = Story.time(Story.now.adding(seconds: -5_000))
            },
        ]
    }

    @Test("what speaks against it is said, and what is not there yet is waited for", arguments: refusals)
    func refused(_ refusal: Refusal) throws {
        var plan = Self.plan(refusal.spec)
        let decision = look(plan, refusal.reader)
        let status = try #require(decision.status)
        #expect(decision.effects.isEmpty)
        #expect(status.conditions?.condition("Ready")?.reason == refusal.reason)
        #expect(status.conditions?.isTrue("Ready") == false)
        #expect(status.conditions?.isTrue(RunCondition.reconciling) == !refusal.isFinal)
        #expect(status.hash == nil)
        #expect(!refusal.isFinal || status.mode == plan.spec?.mode?.text, "what was asked is repeated")
        #expect((status.errors?.first?.reason == refusal.reason) == refusal.isFinal)
        plan.status = status
        #expect(look(plan, Self.reader()).status?.hash == nil || !refusal.isFinal, "final is final")
    }

    @Test("with a time to live it expires, and then goes")
    func expires() throws {
        var plan = Self.plan()
        plan.spec?.ttlSecondsAfterFinished = 60
        plan.status = look(plan, Self.reader()).status
        #expect(look(plan, Self.reader()).wake == .at(Story.now.adding(seconds: 60)))
        let later = Story.now.adding(seconds: 60)
        plan.status = look(plan, Self.reader(), at: later).status
        #expect(plan.status?.conditions?.isTrue(RestorePlanBehavior.expired) == true)
        #expect(look(plan, Self.reader(), at: later).effects == [.delete(plan.seen)])
    }
}
