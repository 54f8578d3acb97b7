// SPDX-License-Identifier: Apache-2.0

import JSON
import Reconciler
import Resources
import Testing

@Suite("A managed service")
struct ManagedServiceTests {
    private static func service(
        _ engine: EngineName = .postgres, archive: String? = "orders", major: Int? = 15,
        _ change: (inout ManagedService) -> Void = { _ in }
    ) -> ManagedService {
        var spec = ManagedServiceSpec()
        spec.engine = Open(engine)
        spec.workload = .init(name: "orders")
        spec.major = major
        spec.archive = archive.map { .init(repository: .init(name: "prod"), path: $0) }
        var service = ManagedService(
            metadata: ObjectMeta(
                name: "orders", namespace: "staging", uid: "m-1", resourceVersion: "1", generation: 3,
                creationTimestamp: Timestamp(seconds: 1_795_000_000)),
            spec: spec)
        change(&service)
        return service
    }

    private static let line: BackupRepositoryStatus.ArchiveSummary = {
        var line = BackupRepositoryStatus.ArchiveSummary(path: "orders", major: 15)
        line.earliest = Timestamp(seconds: 1_799_000_000)
        line.latestCertain = Timestamp(seconds: 1_799_900_000)
        line.latestEstimated = Timestamp(seconds: 1_799_999_000)
        return line
    }()

    /// A repository that was looked through.
    private static func repository(
        _ lines: [BackupRepositoryStatus.ArchiveSummary] = [line],
        _ change: (inout BackupRepositoryStatus) -> Void = { _ in }
    ) -> BackupRepository {
        var repository = Story.repository("prod", prefix: "prod")
        var status = BackupRepositoryStatus()
        status.archives = lines
        status.conditions = [
            Condition(type: "Ready", status: "True", reason: "Scanned", message: "m", lastTransitionTime: Story.now)
        ]
        change(&status)
        repository.status = status
        return repository
    }

    private static func status(_ service: ManagedService, _ repository: BackupRepository?) -> ManagedServiceStatus? {
        var reader = FakeReader()
        if let repository { reader.add(repository) }
        let snapshot = ManagedServiceBehavior.observe(service, through: &reader)
        let decision = ManagedServiceBehavior.decide(snapshot, at: Story.now)
        #expect(decision.effects.isEmpty && decision.wake == .onChange)
        var again = service
        again.status = decision.status
        let later = ManagedServiceBehavior.decide(
            ManagedServiceBehavior.observe(again, through: &reader), at: Story.now.adding(seconds: 4_000))
        #expect(later.status == decision.status, "it changes with what is known, not with time")
        return decision.status
    }

    @Test(
        "what the engines allow",
        arguments: [
            (.postgres, [.inPlace, .newService, .pointInTime]), (.redis, [.inPlace]), (.mongodb, [.inPlace]),
            (.s3, [.inPlace, .newService]),
        ] as [(EngineName, Set<EngineDescription.Capability>)])
    func engines(_ engine: EngineName, _ capabilities: Set<EngineDescription.Capability>) {
        let description = EngineDescription.of(engine)
        #expect(description.capabilities == capabilities)
        #expect(description.implemented.isSubset(of: capabilities))
        #expect(EngineDescription(engine).capabilities == [.inPlace], "what is said of no engine in particular")
        #expect(EngineDescription.all.map(\.engine) == EngineName.allCases)
    }

    @Test(
        "what is offered: what the engine allows, this version does and there is an archive for",
        arguments: [
            (.postgres, true, [true, true, true]), (.postgres, false, [false, false, false]),
            (.redis, true, [false, false, false]), (.mongodb, false, [false, false, false]),
            (.s3, true, [false, false, false]),
        ] as [(EngineName, Bool, [Bool])])
    func offers(_ engine: EngineName, _ hasArchive: Bool, _ expected: [Bool]) throws {
        let service = Self.service(engine, archive: hasArchive ? "orders" : nil)
        let status = try #require(Self.status(service, Self.repository()))
        let found = try #require(status.restoreCapabilities)
        #expect([found.restoreInPlace, found.restoreToNewService, found.pitr] == expected)
        #expect((found.latestPitrTime != nil) == (expected[2] == true))
        #expect((status.suggestedNewServiceName != nil) == (expected[1] == true))
    }

    @Test("which run works on it is shown, and else the one that waits longest")
    func activeOperation() throws {
        func run(_ name: String, _ state: RunState, age: Int64, of service: String = "orders-db") -> RestoreRun {
            var spec = RestoreRunSpec()
            spec.target = .init(service: .init(name: service))
            var status = RestoreRunStatus()
            status.state = Open(state)
            status.phase = Open(.restore)
            // Whoever writes a label writes what he likes: what the spec names counts.
            return RestoreRun(
                metadata: ObjectMeta(
                    name: name, namespace: "staging", uid: "u-\(name)", resourceVersion: "1",
                    creationTimestamp: Story.now.adding(seconds: -age),
                    labels: [RestoreRun.targetIndex: "orders-db"]), spec: spec, status: status)
        }
        let service = Self.service(.postgres, archive: nil)
        func active(_ runs: [RestoreRun]) -> String? {
            var reader = FakeReader()
            for run in runs { reader.add(run) }
            let snapshot = ManagedServiceBehavior.observe(service, through: &reader)
            return ManagedServiceBehavior.decide(snapshot, at: Story.now).status?.activeOperation?.name
        }
        let name = service.metadata.name
        #expect(active([]) == nil)
        #expect(active([run("done", .completed, age: 9, of: name), run("other", .running, age: 9, of: "x")]) == nil)
        let waiting = [run("a-young", .pending, age: 1, of: name), run("old", .pending, age: 2, of: name)]
        #expect(active(waiting) == "old")
        #expect(active(waiting + [run("z-works", .running, age: 0, of: name)]) == "z-works")
    }

    @Test("the window is that of its archive at its major version")
    func window() throws {
        var other = Self.line
        other.major = 16
        other.earliest = Timestamp(seconds: 1_799_990_000)
        var stranger = Self.line
        stranger.path = "orders2"
        let repository = Self.repository([stranger, Self.line, other])
        let fifteen = try #require(Self.status(Self.service(), repository)?.restoreCapabilities)
        #expect(fifteen.earliestPitrTime == Self.line.earliest)
        #expect(fifteen.latestPitrTime == Self.line.latestCertain)
        #expect(fifteen.latestPitrTimeEstimated == Self.line.latestEstimated)
        let newest = try #require(Self.status(Self.service(major: nil), repository)?.restoreCapabilities)
        #expect(newest.earliestPitrTime == other.earliest, "the newest version when none is named")
        let slashes = try #require(Self.status(Self.service(archive: "orders"), repository))
        #expect(slashes.conditions?.condition("Ready")?.reason == "Restorable")
        #expect(slashes.observedGeneration == 3)
    }

    @Test("the window is told as RFC 3339 in UTC")
    func zone() throws {
        let found = try #require(Self.status(Self.service(), Self.repository())?.restoreCapabilities)
        let text = String(decoding: try JSON.encode(found, sortedKeys: true), as: UTF8.self)
        #expect(text.contains(#""earliestPitrTime":"2027-01-03T18:13:20Z""#), "\(text)")
        #expect(text.contains(#""latestPitrTime":"2027-01-14T04:13:20Z""#))
    }

    @Test("while its data is replaced it says that it is down, and what can be restored all the same")
    func announced() throws {
        func ready(_ state: RunState) throws -> (Condition, ManagedServiceStatus) {
            var spec = RestoreRunSpec()
            spec.target = .init(service: .init(name: "orders"))
            var status = RestoreRunStatus()
            status.state = Open(state)
            var reader = FakeReader()
            reader.add(Self.repository())
            reader.add(
                RestoreRun(
                    metadata: ObjectMeta(name: "back", namespace: "staging", uid: "u", resourceVersion: "1"),
                    spec: spec, status: status))
            let found = ManagedServiceBehavior.decide(
                ManagedServiceBehavior.observe(Self.service(), through: &reader), at: Story.now
            ).status
            return (try #require(found?.conditions?.condition("Ready")), try #require(found))
        }
        let (waiting, before) = try ready(.pending)
        #expect(waiting.isTrue && before.activeOperation?.name == "back")
        let (running, during) = try ready(.running)
        #expect(running.reason == "BeingRestored" && !running.isTrue)
        #expect(running.message.contains("RestoreRun back replaces its data"))
        #expect(during.restoreCapabilities == before.restoreCapabilities)
        let notices = ManagedServiceBehavior.notices(from: before, to: during)
        #expect(notices.map(\.reason) == ["BeingRestored"] && notices.first?.isWarning == true)
        #expect(try ready(.completed).0.isTrue)
    }

    struct Reason: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var isStalled = false
        /// `nil`: there is no repository.
        var change: (@Sendable (inout BackupRepositoryStatus) -> Void)?
    }

    @Test(
        "why there is no window",
        arguments: [
            Reason(testDescription: "RepositoryNotFound", isStalled: true, change: nil),
            Reason(testDescription: "CatalogPending") { $0.archives = nil },
            Reason(testDescription: "ArchiveNotFound") { $0.archives = [] },
            Reason(testDescription: "ArchiveNotFound") { $0.archives?[0].major = 14 },
            Reason(testDescription: "WALGap") {
                $0.archives?[0].earliest = nil
                $0.archives?[0].problem = "WALGap: 3 segments are missing"
            },
            Reason(testDescription: "NoUsableBackup") { $0.archives?[0].earliest = nil },
            Reason(testDescription: "RepositoryNotReady") {
                $0.conditions?[0].status = "False"
                $0.conditions?[0].message = "the keys are wrong"
            },
        ])
    func reasons(_ reason: Reason) throws {
        let repository = reason.change.map { Self.repository([Self.line], $0) }
        let status = try #require(Self.status(Self.service(), repository))
        let ready = status.conditions?.condition("Ready")
        #expect(ready?.status == "False")
        #expect(ready?.reason == reason.testDescription, "\(ready?.message ?? "")")
        #expect(status.conditions?.condition("Stalled")?.status == (reason.isStalled ? "True" : "False"))
        let isKnown = reason.testDescription == "RepositoryNotReady"
        #expect((status.restoreCapabilities?.earliestPitrTime != nil) == isKnown)
        #expect(status.suggestedNewServiceName != nil)
    }

    @Test("a spec that is refused offers nothing")
    func refused() throws {
        var service = Self.service { $0.spec?.engine = Open(text: "Oracle") }
        var old = ManagedServiceStatus()
        old.restoreCapabilities = .init(restoreInPlace: true, restoreToNewService: true, pitr: true)
        service.status = old
        let status = try #require(Self.status(service, nil))
        #expect(status.restoreCapabilities == nil)
        #expect(status.conditions?.condition("Ready")?.reason == "NeedsNewerController")
        #expect(status.conditions?.isTrue("Stalled") == true)
    }

    @Test("a repository that is not known yet decides nothing")
    func unknown() {
        let snapshot = ManagedServiceBehavior.Snapshot(service: Self.service(), repository: .unknown)
        #expect(ManagedServiceBehavior.decide(snapshot, at: Story.now) == Decision())
    }

    @Test("the suggested name follows the newest data that is surely there")
    func suggestion() throws {
        let known = try #require(Self.status(Self.service(), Self.repository()))
        #expect(known.suggestedNewServiceName == "orders-restore-20270114-0413")
        let blank = try #require(Self.status(Self.service(), nil))
        #expect(blank.suggestedNewServiceName == "orders-restore-20261118-1106", "from when it was made")
    }

    @Test(
        "a name is a DNS-1035 label of at most 52 characters, and its time is never cut",
        arguments: [
            ("orders", "orders-restore-20270115-0800"), ("orders.db", "orders-db-restore-20270115-0800"),
            ("1st", "s-1st-restore-20270115-0800"), ("-", "s-restore-20270115-0800"),
            (String(repeating: "x", count: 60), String(repeating: "x", count: 30) + "-restore-20270115-0800"),
            (
                String(repeating: "x", count: 29) + "-tail",
                String(repeating: "x", count: 29) + "-restore-20270115-0800"
            ),
        ])
    func names(_ source: String, _ expected: String) {
        let name = SuggestedName.make(source: source, moment: Timestamp(seconds: 1_800_000_000))
        #expect(name == expected)
        #expect(Names.isDNS1035Label(name, maximum: Names.longestService))
    }
}
