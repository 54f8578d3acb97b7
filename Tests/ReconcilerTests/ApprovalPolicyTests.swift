// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// `protection.approval` of a ManagedService: who wants a copy of its data waits for somebody's yes.
@Suite("Where the owner of the source asks for approvals")
struct ApprovalPolicyTests {
    static func service(_ name: String = "shop", path: String = "orders", asks modes: [String]) -> ManagedService {
        var spec = InPlaceWorld.service.spec ?? ManagedServiceSpec()
        spec.archive = .init(repository: .init(name: "prod"), path: path)
        spec.protection = .init(approval: modes, verification: nil)
        return ManagedService(
            metadata: ObjectMeta(name: name, namespace: "staging", uid: "m-\(name)", resourceVersion: "2"), spec: spec)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var modes: [String]
        var path = "orders"
        var source: @Sendable () -> RestoreSource
        var waits: Bool
        var testDescription: String
    }

    static let cases = [
        Case(modes: ["NewService"], source: archive, waits: true, testDescription: "its archive"),
        Case(modes: ["NewService"], source: byName, waits: true, testDescription: "its name"),
        Case(modes: ["NewService"], source: location, waits: true, testDescription: "the address of its archive"),
        Case(modes: ["NewService"], path: "/orders/", source: archive, waits: true, testDescription: "slashes"),
        Case(modes: ["NewService"], path: "bills", source: archive, waits: false, testDescription: "another archive"),
        Case(
            modes: ["InPlace", "PointInTime"], source: archive, waits: false,
            testDescription: "approvals of other modes"),
        Case(modes: [], source: archive, waits: false, testDescription: "no approvals"),
    ]

    private static let archive: @Sendable () -> RestoreSource = {
        RestoreSource(archive: .init(repository: .init(name: "prod"), path: "orders"))
    }
    private static let byName: @Sendable () -> RestoreSource = { RestoreSource(service: .init(name: "shop")) }
    private static let location: @Sendable () -> RestoreSource = {
        RestoreSource(
            location: BackupLocation(
                uri: "s3://backups/prod/orders/15", engine: Open(.postgres), repository: .init(name: "prod")))
    }

    private static func reader(_ service: ManagedService) -> FakeReader {
        var reader = Story.scanned()
        reader.add(service)
        return reader
    }

    private static func approval(
        _ run: RestoreRun, _ decision: ApprovalDecision = .approve, at now: Timestamp = Story.now
    ) -> RestoreApproval {
        var spec = RestoreApprovalSpec()
        spec.run = .init(name: run.metadata.name, uid: Story.uid)
        spec.planHash = run.status?.plan?.hash
        spec.decision = Open(decision)
        spec.approver = "bob"
        spec.reason = "for the audit of May"
        return RestoreApproval(
            metadata: ObjectMeta(name: "yes", namespace: "staging", uid: "a-1", creationTimestamp: now), spec: spec)
    }

    @Test("it holds for every way to name the archive, and for these modes alone", arguments: cases)
    func waits(_ example: Case) {
        let reader = Self.reader(Self.service(path: example.path, asks: example.modes))
        let (run, _, effects) = settle(Story.run { $0.source = example.source() }, reader)
        let approved = run.status?.conditions?.condition(RunCondition.approved)
        let said = Comment(rawValue: run.status?.message ?? "")
        #expect(run.status?.state?.known == (example.waits ? .pending : .running), said)
        #expect(approved?.reason == (example.waits ? "ApprovalRequired" : "NotRequired"))
        #expect(effects.contains { $0.child?.ref.kind.kind == "PersistentVolumeClaim" } != example.waits)
        guard example.waits else { return }
        #expect(approved?.message.contains("ManagedService shop asks for") == true)
        #expect(approved?.message.contains("planHash: \"\(run.status?.plan?.hash ?? "?")\"") == true)
        #expect(run.status?.plan?.warnings?.map(\.reason).contains("ApprovalRequired") == true)
    }

    @Test("a moment is a mode of its own")
    func moment() {
        let reader = Self.reader(Self.service(asks: ["PointInTime"]))
        let (run, _, _) = settle(
            Story.run { spec in
                spec.mode = Open(.pointInTime)
                spec.recoveryTarget = RecoveryTarget(kind: Open(.time))
                spec.recoveryTarget?.time = Story.now.adding(seconds: -610).rfc3339
            }, reader)
        #expect(run.status?.conditions?.condition(RunCondition.approved)?.reason == "ApprovalRequired")
    }

    @Test("approved, it starts, and the audit says by whom")
    func approved() {
        var reader = Self.reader(Self.service(asks: ["NewService"]))
        let (asked, _, _) = settle(Story.run(), reader)
        reader.recorded(asked, asked.status ?? RestoreRunStatus())
        reader.add(Self.approval(asked))
        let (run, _, effects) = settle(asked, reader)
        #expect(run.status?.state?.known == .running)
        #expect(effects.contains { $0.child?.ref.kind.kind == "PersistentVolumeClaim" })
        let entry = RestoreRunBehavior.entry(for: run, run.status ?? RestoreRunStatus())
        #expect(entry.audit.map(\.operation) == [.accepted, .approved, .started])
        #expect(entry.approvedBy == "bob")
    }

    @Test("rejected, it ends, and nothing was made")
    func rejected() {
        var reader = Self.reader(Self.service(asks: ["NewService"]))
        let (asked, _, _) = settle(Story.run(), reader)
        reader.recorded(asked, asked.status ?? RestoreRunStatus())
        reader.add(Self.approval(asked, .reject))
        let (run, _, effects) = settle(asked, reader)
        #expect(run.status?.conditions?.condition(RunCondition.finished)?.reason == "Rejected")
        #expect(!effects.contains { $0.child?.ref.kind.kind == "PersistentVolumeClaim" })
    }

    @Test("an approval counts for seven hours")
    func expired() {
        var reader = Self.reader(Self.service(asks: ["NewService"]))
        let (asked, _, _) = settle(Story.run(), reader)
        reader.recorded(asked, asked.status ?? RestoreRunStatus())
        reader.add(Self.approval(asked))
        let (late, _, _) = settle(asked, reader, at: Story.now.adding(seconds: 7 * 3_600))
        #expect(late.status?.conditions?.condition(RunCondition.approved)?.reason == "ApprovalExpired")
        #expect(late.status?.state?.known == .pending)
    }

    @Test("a policy that is taken back later does not let a planned run go")
    func pinned() {
        var reader = Self.reader(Self.service(asks: ["NewService"]))
        let (asked, _, _) = settle(Story.run(), reader)
        reader.recorded(asked, asked.status ?? RestoreRunStatus())
        reader.add(Self.service(asks: []))
        let (run, _, _) = settle(asked, reader)
        #expect(run.status?.state?.known == .pending)
    }

    @Test("a preview says so, and its hash is the run's")
    func preview() {
        var reader = RestorePlanTests.reader()
        reader.add(Self.service(asks: ["NewService"]))
        let snapshot = RestorePlanBehavior.observe(RestorePlanTests.plan(), through: &reader)
        let status = RestorePlanBehavior.decide(snapshot, at: Story.now).status
        #expect(status?.warnings?.map(\.reason).contains("ApprovalRequired") == true)
    }
}
