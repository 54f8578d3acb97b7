// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// Everything before the point of no return: what is refused, what is waited for, and that nothing is made.
@Suite("A run before it starts")
struct PrepareTests {
    @Test("the finalizer comes first, in a pass of its own")
    func finalizer() {
        var run = Story.run()
        run.metadata.finalizers = nil
        var reader = Story.scanned()
        let decision = pass(run, &reader)
        #expect(decision.status == nil)
        #expect(decision.effects == [.setFinalizers(run.seen, [recordFinalizer])])
    }

    @Test("scans are the only things made before the plan")
    func scansFirst() {
        var reader = FakeReader()
        reader.add(Story.repository("prod", prefix: "prod"))
        reader.add(Story.repository("own", prefix: "staging"))
        let decision = pass(Story.run(), &reader)
        let jobs = decision.effects.compactMap(\.child).map(\.ref.name)
        #expect(jobs == [Story.names.job(.scanSource, 1), Story.names.job(.scanArchive, 1)])
        #expect(decision.effects.count == 3, "and the row of the ledger")
    }

    @Test("a plan pins the backup that LATEST names and starts only when the ledger says so")
    func plans() {
        let (run, last, effects) = settle(Story.run(), Story.scanned())
        #expect(run.status?.restore?.pinnedBackup?.name == Story.backup.name)
        #expect(run.status?.restore?.pinnedBackup?.timeline == 1)
        #expect(run.status?.state?.known == .running)
        #expect(run.status?.conditions?.isTrue(RunCondition.pointOfNoReturn) == true)
        #expect(run.status?.plan?.hash?.hasPrefix("v1:") == true)
        let made = Set(effects.compactMap(\.child).map(\.ref.kind.kind))
        #expect(made == ["PersistentVolumeClaim"], "the claim is the first thing made, after the row said running")
        #expect(last.effects.contains { $0.child?.ref.name == "data-orders-0" })
    }

    @Test("nothing starts while the ledger is away")
    func ledgerAway() {
        var reader = Story.scanned()
        reader.ledgerAnswer = .present(.unavailable(message: "connection refused"))
        var run = Story.run()
        for _ in 0..<5 {
            let decision = pass(run, &reader)
            #expect(decision.effects.isEmpty)
            run.status = decision.status ?? run.status
        }
        #expect(run.status?.state?.known == .pending)
        #expect(run.status?.conditions?.condition(RunCondition.recorded)?.reason == "LedgerUnavailable")
        #expect(run.status?.message?.contains("connection refused") == true)
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var reason: String
        var names: [String]
        var reader: FakeReader
        var spec: @Sendable (inout RestoreRunSpec) -> Void = { _ in }
        var testDescription: String { "\(reason): \(names.joined(separator: ", "))" }
    }

    static var refusals: [Refusal] {
        var occupied = Story.scanned()
        let set = StatefulSet(
            metadata: ObjectMeta(name: "orders", namespace: "staging", uid: "x", resourceVersion: "1"))
        occupied.strangers[set.ref] = set
        var claimed = Story.scanned()
        let claim = PersistentVolumeClaim(
            metadata: ObjectMeta(name: "data-orders-0", namespace: "staging", uid: "x", resourceVersion: "1"))
        claimed.strangers[claim.ref] = claim
        var notAllowed = Story.scanned()
        notAllowed.add(Story.repository("prod", prefix: "prod", allowed: ["registry.example.com/postgres"]))
        var full = ScanResult(attempt: "", code: "OK")
        full.objects = 1
        full.sampleKeys = ["staging/orders/15/wal_005/x"]
        return [
            Refusal(reason: "TargetNotEmpty", names: ["StatefulSet orders"], reader: occupied),
            Refusal(reason: "TargetNotEmpty", names: ["data-orders-0"], reader: claimed),
            Refusal(reason: "ImageNotAllowed", names: ["postgres-walg:15", "prod"], reader: notAllowed),
            Refusal(
                reason: "ArchiveNotEmpty", names: ["staging/orders/15/wal_005/x"], reader: Story.scanned(own: full)),
            Refusal(
                reason: "WrongCredentials", names: ["prod", "SignatureDoesNotMatch"],
                reader: Story.scanned(
                    source: ScanResult(attempt: "", code: "WrongCredentials", message: "SignatureDoesNotMatch"))),
            Refusal(
                reason: "BucketNotFound", names: ["own"],
                reader: Story.scanned(own: ScanResult(attempt: "", code: "BucketNotFound"))),
            Refusal(
                reason: "NoBackupsFound", names: ["s3://backups/prod/orders/15"],
                reader: Story.scanned(source: Story.scan { $0.listing = nil })),
            Refusal(
                reason: "MajorMismatch", names: ["15", "16"],
                reader: Story.scanned(
                    source: Story.scan {
                        $0.listing = nil; $0.majors = [16]
                    })),
            Refusal(
                reason: "MajorMismatch", names: ["14"],
                reader: Story.scanned(source: Story.listed { $0.backups[0].pgVersion = 140_011 })),
            Refusal(
                reason: "BackupUnusable", names: [Story.backup.name, "pg_control"],
                reader: Story.scanned(source: Story.listed { $0.backups[0].problem = "lacks pg_control" })),
            Refusal(
                reason: "PrefixWithoutVersion", names: ["s3://backups/prod/orders/15"],
                reader: Story.scanned(
                    source: Story.scan {
                        $0.listing = nil; $0.majors = []; $0.lacksVersion = true
                    })),
            Refusal(
                reason: "VolumeTooSmall", names: ["9223372036854775807"],
                reader: Story.scanned(source: Story.listed { $0.backups[0].uncompressedSize = .max })),
            Refusal(reason: "VolumeTooSmall", names: ["1Mi", "24000000"], reader: Story.scanned()) {
                $0.target?.newService?.storage?.size = "1Mi"
            },
            Refusal(
                reason: "PrefixOverlap", names: ["spec.target.newService.archive", "choose another path"],
                reader: Story.scanned()
            ) {
                $0.target?.newService?.archive = .init(
                    repository: .init(name: "prod"), path: "orders/clone", schedule: "0 3 * * *")
            },
            Refusal(
                reason: "TargetOutsideWindow", names: ["spec.recoveryTarget.time", "future"], reader: Story.scanned()
            ) {
                $0.mode = Open(.pointInTime)
                $0.recoveryTarget = Story.time(Story.now.adding(seconds: 60))
            },
            Refusal(reason: "TargetOutsideWindow", names: ["s3://backups/prod/orders/15"], reader: Story.scanned()) {
                $0.mode = Open(.pointInTime)
                $0.recoveryTarget = Story.time(Story.now.adding(seconds: -620))
            },
            Refusal(reason: "NotWalg", names: ["PITR requires a WAL-G backup", "base.tar"], reader: Story.scanned()) {
                $0.mode = Open(.pointInTime)
                $0.source = Story.location("s3://backups/prod/orders/base.tar")
                $0.recoveryTarget = Story.time(Story.now.adding(seconds: -100))
            },
            Refusal(
                reason: "LocationOutsideRepository", names: ["s3://other/prod/orders", "s3://backups/prod"],
                reader: Story.scanned()
            ) { $0.source = Story.location("s3://other/prod/orders/15") },
            Refusal(reason: "LocationOutsideRepository", names: ["s3://backups/dev"], reader: Story.scanned()) {
                $0.source = Story.location("s3://backups/dev/orders/15")
            },
            Refusal(reason: "MajorMismatch", names: ["16"], reader: Story.scanned()) {
                $0.source = Story.location("s3://backups/prod/orders/16")
            },
        ]
    }

    @Test("a refusal names what is wrong, writes a row and makes nothing", arguments: refusals)
    func refused(_ refusal: Refusal) {
        let asked = Story.run(nil) { spec in
            spec.target?.newService?.env = [.init(name: "SMTP_PASSWORD", value: "hunter2")]
            refusal.spec(&spec)
        }
        let (run, _, effects) = settle(asked, refusal.reader)
        let condition = run.status?.conditions?.condition(RunCondition.finished)
        #expect(run.status?.state?.known == .failed)
        #expect(condition?.reason == refusal.reason)
        for name in refusal.names { #expect(condition?.message.contains(name) == true, "\(condition?.message ?? "")") }
        #expect(effects.allSatisfy { $0.child == nil }, "nothing is made for a refused run")
        #expect(run.status?.startedAt == nil)
        let rows = effects.compactMap { effect -> LedgerEntry? in
            if case .record(let entry) = effect { return entry }
            return nil
        }
        #expect(rows.last?.status == "failed")
        #expect(rows.last?.audit.last?.operation == .refused)
        #expect(rows.last?.errorMessage == condition?.message)
        #expect(rows.last?.parameterOverrides?.env?.first?.value != "hunter2", "no value of a variable in the ledger")
    }

    @Test("what is not there yet is waited for, and refused when the time is up")
    func missing() {
        var reader = Story.scanned()
        reader.objects[Story.repository("prod", prefix: "prod").ref] = nil
        let (waiting, last, _) = settle(Story.run(), reader)
        #expect(waiting.status?.state?.known == .pending)
        #expect(waiting.status?.conditions?.condition(RunCondition.planned)?.reason == "RepositoryNotFound")
        let deadline = Story.now.adding(seconds: RestoreRunBehavior.prepareDeadline)
        #expect(last.wake == .at(deadline))
        let (ended, _, _) = settle(waiting, reader, at: deadline)
        #expect(ended.status?.state?.known == .failed)
        #expect(ended.status?.conditions?.condition(RunCondition.finished)?.reason == "RepositoryNotFound")
    }

    @Test("a result that is not to be believed is asked for again, three times at most")
    func repeats() {
        var reader = Story.scanned()
        reader.finish(.scanSource, .unbelievable("no frame"), ordinal: 1)
        var decision = pass(Story.run(), &reader)
        #expect(decision.effects.contains { $0.child?.ref.name == Story.names.job(.scanSource, 2) })
        reader.finish(.scanSource, .unbelievable("no frame"), ordinal: 2)
        reader.finish(.scanSource, .unbelievable("digest differs"), ordinal: 3)
        decision = pass(Story.run(), &reader)
        #expect(decision.status?.conditions?.condition(RunCondition.finished)?.reason == "JobResultUnreadable")
        #expect(decision.status?.message?.contains("digest differs") == true)
    }
}
