// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

extension Story {
    static func time(_ moment: Timestamp, inclusive: Bool? = nil) -> RecoveryTarget {
        var target = RecoveryTarget(kind: Open(.time))
        target.time = moment.rfc3339
        target.inclusive = inclusive
        return target
    }

    static func location(_ uri: String) -> RestoreSource {
        RestoreSource(location: BackupLocation(uri: uri, engine: Open(.postgres), repository: .init(name: "prod")))
    }

    /// A second base backup, finished 200 seconds ago, after the story's own.
    static var newer: ScannedBackup {
        var newer = backup
        newer.name = "base_000000010000000000000004"
        newer.startLSN = "0/4000028"
        newer.finishLSN = "0/4000138"
        newer.startTime = now.adding(seconds: -240)
        newer.finishTime = now.adding(seconds: -200)
        newer.lastModified = now.adding(seconds: -199)
        return newer
    }

    /// Both backups.
    static var two: ScanResult {
        listed {
            $0.backups = [newer, backup]
            $0.backupsTotal = 2
        }
    }
}

/// Which way a restore goes, and what it is told.
@Suite("A plan's way")
struct PlannerTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var scan: ScanResult
        var path: String
        var backup: String
        var timeline = "Latest"
        var environment: [String: String]
        var spec: @Sendable (inout RestoreRunSpec) -> Void
    }

    static let first = "base_000000010000000000000002"
    static let second = "base_000000010000000000000004"
    /// Between the two backups, and after both.
    static let between = Story.now.adding(seconds: -300)
    static let late = Story.now.adding(seconds: -100)

    static var cases: [Case] {
        let from = "s3://backups/prod/orders/15"
        func at(_ target: RecoveryTarget) -> @Sendable (inout RestoreRunSpec) -> Void {
            { spec in
                spec.mode = Open(.pointInTime)
                spec.recoveryTarget = target
            }
        }
        func named(_ kind: RecoveryTargetKind, _ change: (inout RecoveryTarget) -> Void) -> RecoveryTarget {
            var target = RecoveryTarget(kind: Open(kind))
            change(&target)
            return target
        }
        let uri = "\(from)/basebackups_005/\(first)"
        return [
            Case(
                testDescription: "latest", scan: Story.two, path: "Entrypoint", backup: second,
                environment: ["WALG_CLONE_FROM": from, "WALG_CLONE_TARGET_TIME": ""], spec: { _ in }),
            Case(
                testDescription: "a time after the newest backup", scan: Story.two, path: "Entrypoint", backup: second,
                environment: ["WALG_CLONE_FROM": from, "WALG_CLONE_TARGET_TIME": "2027-01-15 07:58:20 UTC"],
                spec: at(Story.time(late))),
            Case(
                testDescription: "a time of another zone, told in UTC", scan: Story.two, path: "Entrypoint",
                backup: second, environment: ["WALG_CLONE_TARGET_TIME": "2027-01-15 07:58:20 UTC"],
                spec: { spec in
                    spec.mode = Open(.pointInTime)
                    spec.recoveryTarget = Story.time(late)
                    spec.recoveryTarget?.time = "2027-01-15T09:28:20+01:30"
                }),
            Case(
                testDescription: "a time before the newest backup", scan: Story.two, path: "InitContainer",
                backup: first, timeline: "1",
                environment: [
                    "WALG_CLONE_FROM": "", "REPRISE_BACKUP": first, "REPRISE_TARGET_KIND": "time",
                    "REPRISE_TARGET": "2027-01-15 07:55:00 UTC", "REPRISE_TIMELINE": "1",
                ], spec: at(Story.time(between))),
            Case(
                testDescription: "just before a time: no image can be told so", scan: Story.two, path: "InitContainer",
                backup: second, timeline: "1", environment: ["REPRISE_TARGET_INCLUSIVE": "false"],
                spec: at(Story.time(late, inclusive: false))),
            Case(
                testDescription: "the end of a backup named by its address", scan: Story.two, path: "InitContainer",
                backup: first, timeline: "1",
                environment: ["REPRISE_BACKUP": first, "REPRISE_TARGET_KIND": "immediate"],
                spec: { $0.source = Story.location(uri) }),
            Case(
                testDescription: "an archive by its address", scan: Story.two, path: "Entrypoint", backup: second,
                environment: ["WALG_CLONE_FROM": from], spec: { $0.source = Story.location(from) }),
            Case(
                testDescription: "a named backup to latest", scan: Story.two, path: "InitContainer", backup: first,
                timeline: "1", environment: ["REPRISE_TARGET_KIND": "latest"],
                spec: {
                    $0.source = Story.location(uri + "_backup_stop_sentinel.json")
                    $0.recoveryTarget = RecoveryTarget(kind: Open(.latest))
                }),
            Case(
                testDescription: "an LSN", scan: Story.two, path: "InitContainer", backup: first, timeline: "1",
                environment: ["REPRISE_TARGET_KIND": "lsn", "REPRISE_TARGET": "0/3000060"],
                spec: at(named(.lsn) { $0.lsn = "0/3000060" })),
            Case(
                testDescription: "a transaction", scan: Story.two, path: "InitContainer", backup: first, timeline: "1",
                environment: ["REPRISE_TARGET_KIND": "xid", "REPRISE_TARGET": "727"],
                spec: at(named(.xid) { $0.xid = "727" })),
            Case(
                testDescription: "latest, where an old sentinel was written again",
                scan: Story.listed {
                    $0.backups = [Story.newer, Story.backup]
                    $0.backups[1].lastModified = Story.now.adding(seconds: -5)
                }, path: "InitContainer", backup: second, timeline: "1",
                environment: ["REPRISE_BACKUP": second, "REPRISE_TARGET_KIND": "latest"], spec: { _ in }),
            Case(
                testDescription: "latest, beside a side branch",
                scan: Story.listed {
                    // Timeline 2 left timeline 1 in segment 3, and timeline 1 went on.
                    $0.backups = [Story.backup]
                    var branch = ScannedTimeline(timeline: 2, parent: 1, switchLSN: "0/3000080")
                    branch.lastModified = Story.now.adding(seconds: -400)
                    $0.timelines = [branch]
                    $0.ranges.append(
                        SegmentRange(
                            first: "000000020000000000000003", last: "000000020000000000000004",
                            firstModified: Story.now.adding(seconds: -390), lastModified: Story.now.adding(seconds: -90)
                        ))
                }, path: "InitContainer", backup: first, timeline: "2",
                environment: ["REPRISE_TIMELINE": "2"], spec: { _ in }),
        ]
    }

    @Test("the way, the base backup and what is told follow from the target and the archive", arguments: cases)
    func way(_ expected: Case) throws {
        let (run, _, _) = settle(Story.run(nil, expected.spec), Story.scanned(source: expected.scan))
        let plan = try #require(run.status?.plan)
        #expect(plan.errors == nil, "\(plan.errors ?? [])")
        #expect(plan.path == expected.path)
        #expect(plan.baseBackup == expected.backup)
        #expect(plan.timeline == expected.timeline)
        if run.spec?.recoveryTarget?.time != nil { #expect(plan.recoveryTarget?.contains("Z") == true, "in UTC") }
        #expect(run.status?.restore?.pinnedBackup?.name == expected.backup)
        var reader = Story.scanned(source: expected.scan)
        reader.recorded(run, run.status ?? RestoreRunStatus())
        reader.add(AdvanceTests.claim())
        let manifest = try #require(
            pass(run, &reader).effects.compactMap { effect -> StatefulSetManifest? in
                if case .create(.statefulSet(let manifest)) = effect { return manifest }
                return nil
            }.first)
        let spec = manifest.spec.template.spec
        let variables = (spec.initContainers ?? []).flatMap(\.env) + spec.containers.flatMap(\.env)
        for (name, value) in expected.environment.sorted(by: { $0.key < $1.key }) {
            #expect((variables.first { $0.name == name }?.value ?? "") == value, "\(name)")
        }
        #expect((spec.initContainers?.isEmpty ?? true) == (expected.path == "Entrypoint"))
    }

    @Test("what is only a warning is shown, and the run goes on")
    func warned() throws {
        let run = settle(
            Story.run(nil) { $0.target?.newService?.storage = .init(size: "35M") }, Story.scanned()
        ).run
        #expect(run.status?.plan?.warnings?.map(\.reason).contains("VolumeTight") == true)
        #expect(run.status?.plan?.errors == nil && run.status?.state?.known == .running)
        let planned = try #require(run.status?.conditions?.condition(RunCondition.planned))
        #expect(planned.isTrue && planned.message.contains("leaves little room"))
    }

    @Test("an attempt after one whose image took another base backup names the backup")
    func namedAfterOther() throws {
        var earlier = RestoreRunStatus()
        earlier.state = Open(.failed)
        earlier.conditions = [
            Condition(
                type: RunCondition.finished, status: "True", reason: "OtherBaseBackup", message: "m",
                lastTransitionTime: Story.now)
        ]
        for (reason, path) in [("OtherBaseBackup", "InitContainer"), ("NoProgress", "Entrypoint")] {
            var reader = Story.scanned(source: Story.two)
            earlier.conditions?[0].reason = reason
            var before = Story.run(earlier)
            before.metadata.name = "orders-0"
            before.metadata.uid = "earlier"
            reader.add(before)
            let run = settle(Story.run(nil) { $0.retryOf = .init(name: "orders-0") }, reader).run
            #expect(run.status?.plan?.path == path)
        }
    }

    @Test("what was committed since the archive's end may still be on the service's volume")
    func unarchivedTail() throws {
        var reader = Story.scanned()
        var service = ManagedService(metadata: ObjectMeta(name: "orders-db", namespace: "staging", uid: "m"))
        service.spec = ManagedServiceSpec()
        service.spec?.archive = .init(repository: .init(name: "prod"), path: "orders")
        reader.add(service)
        let run = settle(
            Story.run(nil) {
                $0.source = RestoreSource(service: .init(name: "orders-db"))
                $0.mode = Open(.pointInTime)
                $0.recoveryTarget = Story.time(Story.now.adding(seconds: -10))
            }, reader
        ).run
        let finished = try #require(run.status?.conditions?.condition(RunCondition.finished))
        #expect(finished.reason == "TargetInUnarchivedTail")
        #expect(finished.message.contains("pg_switch_wal"))
        #expect(finished.message.contains(Story.now.adding(seconds: -60).rfc3339), "\(finished.message)")
    }

    @Test("a service of another engine is no source")
    func otherEngine() throws {
        var reader = Story.scanned()
        var service = ManagedService(metadata: ObjectMeta(name: "cache", namespace: "staging", uid: "m"))
        service.spec = ManagedServiceSpec()
        service.spec?.engine = Open(.redis)
        service.spec?.archive = .init(repository: .init(name: "prod"), path: "orders")
        reader.add(service)
        let run = settle(Story.run(nil) { $0.source = RestoreSource(service: .init(name: "cache")) }, reader).run
        let finished = try #require(run.status?.conditions?.condition(RunCondition.finished))
        #expect(finished.reason == "UnsupportedMode" && finished.message.contains("Redis"))
    }

    @Test("the hash is over the commitments, and not over what may change from scan to scan")
    func hash() throws {
        func hash(_ scan: ScanResult, _ change: @escaping (inout RestoreRunSpec) -> Void = { _ in }) -> String? {
            settle(Story.run(nil, change), Story.scanned(source: scan)).run.status?.plan?.hash
        }
        let plain = hash(Story.two)
        #expect(plain != nil)
        #expect(
            hash(
                Story.listed {
                    $0.backups = [Story.newer, Story.backup]
                    $0.ranges[0].last = "000000010000000000000009"
                    $0.objects = 99
                }) == plain)
        #expect(hash(Story.scan()) != plain, "another base backup")
        #expect(hash(Story.two) { $0.target?.newService?.image = "registry.example.com/postgres-walg:15.1" } != plain)
        let timed = hash(Story.two) {
            $0.mode = Open(.pointInTime)
            $0.recoveryTarget = Story.time(Self.late)
        }
        #expect(timed != nil && timed != plain)
    }

    @Test(
        "an address names a backup, an archive, or nothing that WAL-G has made",
        arguments: [
            ("s3://b/p/15/basebackups_005/base_000000010000000000000002", "b p 15 base_000000010000000000000002"),
            ("s3://b/p/15/basebackups_005/base_000000010000000000000002/", "b p 15 base_000000010000000000000002"),
            (
                "s3://b/a/p/15/basebackups_005/base_000000010000000000000002/tar_partitions/part_001.tar.lz4",
                "b a/p 15 base_000000010000000000000002"
            ),
            ("s3://b/p/15", "b p 15 -"), ("s3://b/a/p", "b a/p - -"), ("s3://b/p/base.tar", "none"),
            ("s3://b/15", "none"), ("s3://b", "none"), ("https://b/p", "none"),
            ("s3://b/p/15/basebackups_005/", "none"),
            ("s3://b/p/basebackups_005/base_000000010000000000000002", "none"),
        ])
    func addresses(_ text: String, _ expected: String) {
        let uri = BackupURI(text)
        let seen = uri.map { "\($0.bucket) \($0.archive) \($0.major.map(String.init) ?? "-") \($0.backup ?? "-")" }
        #expect((seen ?? "none") == expected)
    }
}
