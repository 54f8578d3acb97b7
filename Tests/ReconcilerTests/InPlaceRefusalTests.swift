// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What speaks against replacing a service's data, all of it said before anything is touched; and who may say yes.
@Suite("A run in place that must not start")
struct InPlaceRefusalTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var reason: String
        var words: String
        var change: @Sendable (inout InPlaceWorld) -> Void
        var testDescription: String { "\(reason): \(words)" }

        init(_ reason: String, _ words: String, _ change: @escaping @Sendable (inout InPlaceWorld) -> Void) {
            self.reason = reason
            self.words = words
            self.change = change
        }
    }

    private static func inspected(_ change: @escaping @Sendable (inout InspectResult) -> Void)
        -> @Sendable (inout InPlaceWorld) -> Void
    {
        { world in
            var seen = InPlaceWorld.inspection()
            change(&seen)
            world.results[.inspect] = .inspect(seen)
        }
    }

    static let cases = [
        Case("ConfirmMismatch", "write orders/9c41b7aa") { $0.run.spec?.confirm = nil },
        Case("ConfirmMismatch", "says orders/00000000") { $0.run.spec?.confirm = "orders/00000000" },
        Case("ManagedByOperator", "Cluster orders") { world in
            world.edit {
                $0.metadata.ownerReferences = [
                    OwnerReference(apiVersion: "x/v1", kind: "Cluster", name: "orders", uid: "o", controller: true)
                ]
            }
        },
        Case("UnsupportedMode", "it has 3 replicas") { world in world.edit { $0.spec?.replicas = 3 } },
        Case("SeveralDataClaims", "mounts 2 claims") { world in
            var service = InPlaceWorld.service
            service.spec?.claim = nil
            world.reader.add(service)
            world.edit {
                $0.spec?.volumeClaimTemplates?.append(.init(name: "wal"))
                $0.spec?.template?.spec?.containers?[0].volumeMounts?.append(
                    CopiedMount(name: "wal", mountPath: "/wal"))
            }
        },
        Case("PgdataIsMountpoint", "is the mount point itself") { world in
            world.edit {
                $0.spec?.template?.spec?.containers?[0].env?.append(
                    CopiedVariable(name: "PGDATA", value: "/var/lib/postgresql/"))
            }
        },
        Case("InvalidSpec", "is not on claim") { world in
            world.edit {
                $0.spec?.template?.spec?.containers?[0].env?.append(CopiedVariable(name: "PGDATA", value: "/data/db"))
            }
        },
        Case("ImageNotAllowed", "may not run") { world in
            world.edit { $0.spec?.template?.spec?.containers?[0].image = "registry.example.com/other:1" }
        },
        Case("TablespacesUnsupported", "tablespaces", inspected { $0.hasTablespaces = true }),
        Case("WalVolumeUnsupported", "another volume", inspected { $0.walIsLink = true }),
        Case("PgdataIsMountpoint", "mount point", inspected { $0.pgdataIsMountpoint = true }),
        Case("HeldByOther", "run-before", inspected { $0.heldBy = "run-before" }),
        Case("TargetIsNewer", "timeline 2, and the archive ends on timeline 1", inspected { $0.timeline = 2 }),
        Case("VolumeTooSmall", "bytes are free", inspected { $0.freeBytes = 20_000_000 }),
        Case("ConfirmMismatch", "confirmCrossService", inspected { $0.systemIdentifier = "1" }),
        Case("ConfirmMismatch", "the data of another service") { world in
            world.run.spec?.source = RestoreSource(archive: .init(repository: .init(name: "prod"), path: "invoices"))
        },
        Case("MajorMismatch", "spec.source.location.uri is of major version 14, and the data of orders of 15") {
            $0.run.spec?.source = Story.location("s3://backups/prod/orders/14")
        },
        Case("MajorMismatch", "ServiceBackup prod-backup-1 is of major version 14") {
            $0.run.spec?.source = RestoreSource(backup: .init(name: BackupSourceTests.name))
            $0.reader.add(BackupSourceTests.backup { $0.major = 14 })
        },
        Case("NotWalg", "write s3://bucket/path/<major>/basebackups_005") {
            $0.run.spec?.source = Story.location(
                "s3://backups/prod/orders/basebackups_005/base_000000010000000000000002")
        },
        Case("InvalidSpec", "path must not end in a major version") { world in
            world.run.spec?.source = RestoreSource(
                archive: .init(repository: .init(name: "prod"), path: "orders/15"))
        },
        Case("InvalidSpec", "has no check rows") { $0.run.spec?.verification = .init(checks: ["rows"], amcheck: nil) },
        Case("TargetOutsideWindow", "spec.recoveryTarget.time") { world in
            world.run.spec?.mode = Open(.pointInTime)
            var target = RecoveryTarget(kind: Open(.time))
            target.time = "2020-01-01T00:00:00Z"
            world.run.spec?.recoveryTarget = target
        },
        Case("NothingToRollBack", "there is no such RestoreRun") { world in
            world.run.spec?.source = nil
            world.run.spec?.rollbackOf = .init(name: "orders-0")
        },
    ]

    @Test("is refused, in so many words, and nothing of the service is touched", arguments: cases)
    func refused(refusal: Case) {
        var world = InPlaceWorld()
        refusal.change(&world)
        let before = world.workload
        world.settle()
        #expect(world.state == .failed)
        #expect(world.reason == refusal.reason, "\(world.run.status?.message ?? "")")
        #expect(world.run.status?.message?.contains(refusal.words) == true, "\(world.run.status?.message ?? "")")
        #expect(world.workload == before)
        #expect(!world.deeds.contains { !$0.hasPrefix("create Job inspect") && !$0.hasPrefix("create Job scan") })
    }

    @Test("what only the service's newer timeline has is given up when the request names the one before, and not else")
    func newerTimeline() {
        var seen = InPlaceWorld.inspection()
        seen.timeline = 2
        var named = RecoveryTarget(kind: Open(.latest))
        named.timeline = "1"
        for (target, warned) in [(named, false), (RecoveryTarget(kind: Open(.backupEnd)), true)] {
            var world = InPlaceWorld { $0.recoveryTarget = target }
            world.results[.inspect] = .inspect(seen)
            world.settle()
            let plan = world.run.status?.plan
            #expect(plan?.errors == nil, "\(plan?.errors?.first?.message ?? "")")
            #expect(plan?.warnings?.contains { $0.reason == "TargetIsNewer" } ?? false == warned)
        }
    }

    @Test("what changed since the plan ends the run before anything is touched")
    func outdated() {
        var world = InPlaceTests.approved()
        world.edit { $0.spec?.template?.spec?.containers?[0].image = "registry.example.com/postgres-walg:16" }
        world.settle()
        #expect(world.reason == "PlanOutdated")
        #expect(!world.deeds.contains("lock"))
    }

    @Test("another cluster's service of that name, made after the plan, is not touched")
    func replacedBefore() {
        var world = InPlaceTests.approved()
        world.edit { $0.metadata.uid = "9c41b7aa-0000-4000-8000-000000000002" }
        world.settle()
        #expect(world.reason == "TargetReplaced")
        #expect(!world.deeds.contains("lock"))
    }

    // MARK: Approval

    struct Vote: Sendable, CustomTestStringConvertible {
        var reason: String
        var change: @Sendable (inout RestoreApprovalSpec) -> Void
        var testDescription: String { reason }
    }

    @Test(
        "a yes that does not count is said, and the run goes on waiting",
        arguments: [
            Vote(reason: "SelfApproval") { $0.approver = "alice" },
            Vote(reason: "ApprovalOfAnotherPlan") { $0.planHash = "v1:00" },
            Vote(reason: "ApprovalInvalid") { $0.reason = "ok" },
            Vote(reason: "ApprovalInvalid") { $0.decision = nil },
        ])
    func notCounted(vote: Vote) {
        var world = InPlaceWorld()
        world.run.metadata.annotations = ["reprise.dev/requested-by": "alice"]
        world.settle()
        world.approve(vote.change)
        world.settle()
        #expect(world.state == .pending)
        #expect(world.condition(RunCondition.approved)?.reason == vote.reason)
        #expect(!world.deeds.contains("lock"))
        world.approve(by: "carol")
        world.settle()
        #expect(world.state == .completed)
    }

    @Test("a yes counts for seven hours")
    func expires() {
        var world = InPlaceTests.approved()
        world.now = world.now.adding(seconds: 7 * 3_600)
        world.settle()
        #expect(world.condition(RunCondition.approved)?.reason == "ApprovalExpired")
        #expect(!world.deeds.contains("lock"))
        world.approve(by: "carol")
        world.settle()
        #expect(world.state == .completed)
    }

    @Test("a no ends the run, whoever said yes")
    func rejected() {
        var world = InPlaceTests.approved()
        world.approve(by: "carol") { $0.decision = Open(.reject) }
        world.settle()
        #expect(world.state == .failed)
        #expect(world.reason == "Rejected")
        #expect(world.run.status?.message?.contains("rejected by carol") == true)
        #expect(!world.deeds.contains("lock"))
    }

    // MARK: The lock

    @Test("while another run works on the service this one waits, and names it")
    func busy() {
        var world = InPlaceTests.approved()
        world.lock()
        world.reader.add(InPlaceWorld.other(.running))
        world.settle()
        #expect(world.state == .pending)
        #expect(world.condition(RunCondition.locked)?.reason == "TargetBusy")
        #expect(world.condition(RunCondition.locked)?.message.contains("RestoreRun other works on") == true)
        world.reader.add(InPlaceWorld.other(.completed))
        world.settle()
        #expect(world.state == .completed, "a lock of a run that has ended is none")
    }

    @Test("with onBusy Fail it ends instead")
    func busyFails() {
        var world = InPlaceTests.approved { $0.onBusy = "Fail" }
        world.lock()
        world.reader.add(InPlaceWorld.other(.running))
        world.settle()
        #expect(world.reason == "TargetBusy")
        #expect(world.state == .failed)
    }

    @Test("a lock of a run that is gone, or of an earlier one of its name, is none", arguments: [true, false])
    func staleLock(isGone: Bool) {
        var world = InPlaceTests.approved()
        world.lock(byOther: "u-before")
        if !isGone { world.reader.add(InPlaceWorld.other(.running)) }
        world.settle()
        #expect(world.state == .completed)
    }
}
