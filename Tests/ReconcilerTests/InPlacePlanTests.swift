// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// A preview of replacing a service's data.
@Suite("A preview in place")
struct InPlacePlanTests {
    private static func plan(_ change: (inout RestoreRunSpec) -> Void = { _ in }) -> RestorePlan {
        RestorePlanTests.plan { spec in
            spec.mode = Open(.inPlace)
            spec.source = RestoreSource(service: .init(name: "orders"))
            spec.target = .init(service: .init(name: "orders"))
            spec.recoveryTarget = nil
            change(&spec)
        }
    }

    private static func reader() -> FakeReader {
        var reader = RestorePlanTests.reader(Story.listing)
        reader.add(InPlaceWorld.service)
        reader.add(InPlaceWorld.workload())
        return reader
    }

    private func look(_ plan: RestorePlan, _ reader: FakeReader) throws -> RestorePlanStatus {
        var reader = reader
        let decision = RestorePlanBehavior.decide(
            RestorePlanBehavior.observe(plan, through: &reader), at: Story.now)
        #expect(decision.effects.isEmpty, "a preview makes nothing")
        return try #require(decision.status)
    }

    @Test("it is the plan of the run, with the same hash, and says what to confirm")
    func same() throws {
        let preview = try look(Self.plan(), Self.reader())
        var world = InPlaceWorld()
        world.settle()
        let run = try #require(world.run.status?.plan)
        #expect(preview.errors == nil)
        #expect(preview.hash == run.hash && run.hash != nil)
        #expect(preview.steps == run.steps && preview.baseBackup == run.baseBackup)
        #expect(preview.destructive == true && preview.reversible == true)
        #expect(preview.confirm == "orders/9c41b7aa" && run.confirm == preview.confirm)
        #expect(preview.warnings?.map(\.reason) == ["VolumeNotLookedAt"])
    }

    @Test("a backup, a mode and a service are enough to ask, and the answer repeats them")
    func asked() throws {
        var plan = Self.plan()
        plan.spec = RestorePlanSpec()
        plan.spec?.mode = Open(.inPlace)
        plan.spec?.source = RestoreSource(backup: .init(name: BackupSourceTests.name))
        plan.spec?.target = .init(service: .init(name: "orders"))
        var reader = Self.reader()
        reader.add(BackupSourceTests.backup())
        let preview = try look(plan, reader)
        #expect(preview.conditions?.isTrue("Ready") == true && preview.hash != nil && preview.errors == nil)
        #expect((preview.mode, preview.engine) == ("InPlace", "Postgres"))
        #expect(preview.targetService == .init(name: "orders", isNew: false))
        #expect(
            preview.sourceBackup
                == .init(
                    name: Story.backup.name, repository: "prod", path: "orders", finishTime: Story.backup.finishTime))
        #expect(preview.strategy == "WalgRestore" && preview.destructive == true)
        #expect(preview.steps?.map(\.name) == Step.inPlace.map(\.name.rawValue))
    }

    @Test("that the data of another service is meant is said")
    func other() throws {
        var reader = Self.reader()
        var service = InPlaceWorld.service
        service.metadata.name = "other"
        service.spec?.archive?.path = "elsewhere"
        reader.add(service)
        let preview = try look(Self.plan { $0.target = .init(service: .init(name: "other")) }, reader)
        #expect(preview.warnings?.map(\.reason) == ["VolumeNotLookedAt", "CrossService"])
        #expect(preview.confirm == "other/9c41b7aa")
    }

    @Test("a service that an operator runs is refused")
    func operated() throws {
        var reader = Self.reader()
        var workload = InPlaceWorld.workload()
        workload.metadata.ownerReferences = [
            OwnerReference(
                apiVersion: "acid.zalan.do/v1", kind: "postgresql", name: "orders", uid: "o", controller: true)
        ]
        reader.add(workload)
        let preview = try look(Self.plan(), reader)
        #expect(preview.errors?.first?.reason == "ManagedByOperator")
        #expect(preview.hash == nil)
    }
}
