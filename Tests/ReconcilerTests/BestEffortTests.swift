// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// `ledger: BestEffort`, for the day when the ledger is what is lost.
@Suite("A run that may begin without the ledger")
struct BestEffortTests {
    /// A new service, one pass at a time: what is spooled is there, and nothing else happens.
    struct NewService {
        var run: RestoreRun
        var reader = Story.scanned()
        var effects: [Effect] = []
        var wake = Wake.onChange
        var isSpoolSeen = true

        init(_ ledger: String?) {
            run = Story.run { $0.ledger = ledger }
            reader.ledgerAnswer = BestEffortTests.away
        }

        mutating func settle(after seconds: Int64) {
            for _ in 0..<12 {
                let decision = pass(run, &reader, at: Story.now.adding(seconds: seconds))
                effects += decision.effects
                wake = decision.wake
                for case .spool(let entry) in decision.effects where isSpoolSeen { reader.addSpool(entry) }
                guard let status = decision.status, status != run.status else { return }
                run.status = status
            }
        }

        var made: Set<String> { Set(effects.compactMap { $0.child?.ref.name }) }
        var recorded: Condition? { run.status?.conditions?.condition(RunCondition.recorded) }
    }

    static let away = Observed<LedgerAnswer>.present(.unavailable(message: "connection refused"))

    @Test(
        "two minutes after the plan it begins, and one that requires the ledger never",
        arguments: [
            ("BestEffort", 119, false), ("BestEffort", 120, true), ("Required", 100_000, false), (nil, 100_000, false),
        ] as [(String?, Int64, Bool)])
    func begins(_ ledger: String?, _ seconds: Int64, _ isBegun: Bool) {
        var world = NewService(ledger)
        world.settle(after: 0)
        #expect(world.made.isEmpty && world.recorded?.reason == "LedgerUnavailable")
        world.settle(after: seconds)
        #expect((world.run.status?.state?.known == .running) == isBegun)
        #expect(world.made == (isBegun ? ["data-orders-0"] : []))
        #expect(world.recorded?.reason == (isBegun ? "BestEffort" : "LedgerUnavailable"))
    }

    @Test("it says when it is going to begin, and looks again then")
    func says() {
        var world = NewService("BestEffort")
        world.settle(after: 0)
        let moment = Story.now.adding(seconds: 120)
        #expect(world.run.status?.message?.contains("starts without it at \(moment.rfc3339)") == true)
        #expect(world.wake == .at(moment))
        world.settle(after: 120)
        #expect(world.recorded?.message.contains("reprise-system/\(spoolName(runUID: Story.uid))") == true)
    }

    @Test("nothing is made before the spool is seen to have the run under way")
    func spoolFirst() throws {
        var world = NewService("BestEffort")
        world.isSpoolSeen = false
        world.settle(after: 120)
        world.settle(after: 240)
        world.settle(after: 241)
        #expect(world.made.isEmpty)
        guard case .spool(let entry) = try #require(world.effects.last) else {
            Issue.record("it is spooled")
            return
        }
        #expect(entry.status == "running" && entry.planHash == world.run.status?.plan?.hash)
        // Of another plan, or of a run that has not begun: that stands for nothing.
        for change in [{ $0.status = "pending" }, { $0.planHash = "v1:other" }] as [(inout LedgerEntry) -> Void] {
            var other = entry
            change(&other)
            world.reader.addSpool(other)
            world.effects = []
            world.settle(after: 242)
            #expect(world.made.isEmpty)
            guard case .replaceConfigMap = try #require(world.effects.last) else {
                Issue.record("it is spooled anew")
                return
            }
        }
        world.reader.addSpool(entry)
        world.settle(after: 243)
        #expect(world.made == ["data-orders-0"])
    }

    @Test("once the ledger is back it has to have the run, as ever")
    func ledgerBack() {
        var world = NewService("BestEffort")
        world.isSpoolSeen = false
        world.settle(after: 0)
        world.settle(after: 120)
        world.reader.ledgerAnswer = .absent(confirmed: true)
        world.effects = []
        world.settle(after: 130)
        #expect(world.made.isEmpty)
        guard case .record(let entry) = world.effects.last else {
            Issue.record("it is recorded")
            return
        }
        #expect(entry.status == "running")
        let started = entry.audit.first { $0.operation == .started }
        #expect(started?.detail == "\(world.run.status?.plan?.hash ?? "?") ledger=BestEffort")
        world.reader.recorded(world.run, world.run.status ?? RestoreRunStatus())
        world.settle(after: 131)
        #expect(world.made == ["data-orders-0"])
    }

    @Test("with a ledger it is a run like any other")
    func ledgerThere() {
        let (run, _, effects) = settle(Story.run { $0.ledger = "BestEffort" }, Story.scanned())
        let (other, _, expected) = settle(Story.run(), Story.scanned())
        #expect(run.status?.conditions == other.status?.conditions)
        #expect(effects.compactMap(\.child) == expected.compactMap(\.child))
        let entry = RestoreRunBehavior.entry(for: run, run.status ?? RestoreRunStatus())
        #expect(entry.audit.map(\.detail) == [nil, run.status?.plan?.hash])
    }

    // MARK: In place

    private static let looks = ["create Job inspect-1", "create Job scan-source-1"]

    @Test("in place, the service is stopped when the spool says that the run is under way")
    func inPlace() {
        var world = InPlaceWorld { $0.ledger = "BestEffort" }
        world.reader.ledgerAnswer = Self.away
        world.settle()
        world.now = world.now.adding(seconds: 119)
        world.settle()
        #expect(world.deeds == Self.looks)
        world.now = world.now.adding(seconds: 1)
        world.settle()
        #expect(world.deeds == Self.looks && world.condition(RunCondition.approved)?.reason == "ApprovalRequired")
        world.approve()
        world.settle()
        #expect(
            world.deeds == Self.looks + [
                "lock", "create Job recheck-1", "spool running", "scale to 0", "create ConfigMap permit-replace",
                "create Job replace-1", "delete ConfigMap permit-replace", "scale to 1", "unlock", "spool again",
            ])
        #expect(world.state == .completed)
        #expect(world.condition(RunCondition.recorded)?.reason == "Spooled")
        #expect(world.run.metadata.finalizers == [])
    }

    @Test("a ledger that is lost while a run waits for its approval is waited for from then on")
    func lostLater() {
        var world = InPlaceWorld { $0.ledger = "BestEffort" }
        world.settle()
        world.now = world.now.adding(seconds: 3_000)
        world.reader.ledgerAnswer = Self.away
        world.approve()
        world.settle()
        #expect(world.deeds == Self.looks && world.state == .pending)
        world.now = world.now.adding(seconds: 120)
        world.settle()
        #expect(world.deeds.contains("spool running") && world.state == .completed)
    }

    // MARK: The spool

    @Test("the outcome takes the place of what was spooled, and only then may the object go")
    func outcome() throws {
        var run = EndTests.ended
        var reader = FakeReader()
        reader.ledgerAnswer = Self.away
        var running = run.status ?? RestoreRunStatus()
        running.state = Open(.running)
        reader.addSpool(RestoreRunBehavior.entry(for: run, running))
        let decision = pass(run, &reader)
        #expect(decision.status == nil)
        guard case .replaceConfigMap(_, let manifest) = try #require(decision.effects.first) else {
            Issue.record("it is replaced")
            return
        }
        reader.addSpool(manifest)
        run.status = pass(run, &reader).status
        #expect(run.status?.conditions?.condition(RunCondition.recorded)?.reason == "Spooled")
        #expect(pass(run, &reader).effects == [.setFinalizers(run.seen, [])])
    }

    struct Case: Sendable, CustomTestStringConvertible {
        enum Becomes: Sendable { case kept, recorded, removed }
        enum Run: Sendable { case there, gone, another }

        /// `nil`: no row. An empty one: the ledger is away.
        var row: String?
        var run: Run
        var becomes: Becomes
        var testDescription: String { "\(row ?? "no row"), the run is \(run)" }
    }

    static let cases = [
        Case(row: "", run: .there, becomes: .kept), Case(row: "", run: .gone, becomes: .kept),
        Case(row: nil, run: .there, becomes: .kept), Case(row: nil, run: .gone, becomes: .recorded),
        Case(row: nil, run: .another, becomes: .recorded), Case(row: "pending", run: .there, becomes: .kept),
        Case(row: "pending", run: .gone, becomes: .recorded), Case(row: "running", run: .there, becomes: .removed),
        Case(row: "running", run: .gone, becomes: .removed), Case(row: "completed", run: .there, becomes: .removed),
        Case(row: "interrupted", run: .gone, becomes: .removed),
    ]

    /// Nobody knows what became of it, and the row says that this is a guess.
    private static func presumed(_ entry: LedgerEntry) -> LedgerEntry {
        var guess = entry
        (guess.status, guess.phase, guess.failedPhase) = ("interrupted", "failed", entry.phase)
        (guess.inferred, guess.errorMessage, guess.finishedAt) = (true, LostRun.message, Story.now.wholeSecond)
        guess.audit.append(
            AuditEntry(
                operation: .finished, attempt: 0, actor: nil, detail: "ObjectGone", at: Story.now.wholeSecond))
        return guess
    }

    @Test("that a run is under way is never written over what is later, and does not stay behind", arguments: cases)
    func drained(_ example: Case) throws {
        var run = Story.run { $0.ledger = "BestEffort" }
        var status = RestoreRunStatus()
        status.state = Open(.running)
        var reader = FakeReader()
        let entry = RestoreRunBehavior.entry(for: run, status)
        let spooled = reader.addSpool(entry)
        let map = try #require(spooled)
        if example.run == .another { run.metadata.uid = "another" }
        if example.run != .gone { reader.add(run) }
        if let word = example.row {
            var row = LedgerRow(id: "1", status: word, phase: "prepare", attempt: 1)
            row.inferred = word == "interrupted"
            reader.ledgerAnswer = word.isEmpty ? Self.away : .present(.run(row))
        }
        let decision = SpoolBehavior.decide(SpoolBehavior.observe(map, through: &reader), at: Story.now)
        let expected: [Effect] =
            switch example.becomes {
            case .kept: []
            case .recorded: [.record(Self.presumed(entry))]
            case .removed: [.delete(map.seen)]
            }
        #expect(decision.effects == expected)
    }
}

extension FakeReader {
    /// What a run has spooled.
    @discardableResult
    mutating func addSpool(_ entry: LedgerEntry) -> ConfigMap? {
        (try? SpoolBehavior.manifest(entry, in: settings.controllerNamespace)).map { addSpool($0) }
    }

    @discardableResult
    mutating func addSpool(_ manifest: ConfigMapManifest) -> ConfigMap {
        let map = ConfigMap(
            metadata: ObjectMeta(
                name: manifest.metadata.name, namespace: manifest.metadata.namespace, uid: "s", resourceVersion: "1",
                labels: manifest.metadata.labels),
            data: manifest.data)
        add(map)
        return map
    }
}
