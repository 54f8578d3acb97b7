// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// A manifest that stays in Git replaces the data once.
@Suite struct AppliedTests {
    private static func twin(isElsewhere: Bool = false) -> AppliedRun {
        AppliedRun(
            id: "41", namespace: "staging", name: "monday", runUID: "run-of-monday", isElsewhere: isElsewhere,
            finishedAt: Story.now.adding(seconds: -86_400))
    }

    /// The ledger's row of the run as it stands, with what it repeats.
    private static func answer(_ world: inout InPlaceWorld, _ twin: AppliedRun?, status: String? = nil) {
        world.reader.recorded(world.run, world.run.status ?? RestoreRunStatus())
        guard case .present(.run(var row)) = world.reader.ledgerAnswer else { return }
        row.repeats = twin
        if let status { row.status = status }
        world.reader.ledgerAnswer = .present(.run(row))
    }

    @Test("what was completed before is refused before the volume is looked at, and how to do it again is said")
    func refused() throws {
        var world = InPlaceWorld()
        world.settle { $0.state == .pending }
        Self.answer(&world, Self.twin())
        world.pass()
        #expect(world.state == .failed)
        #expect(world.reason == "AlreadyApplied")
        #expect(world.condition(RunCondition.planned)?.reason == "AlreadyApplied")
        let message = try #require(world.run.status?.message)
        #expect(message.contains("RestoreRun staging/monday has done exactly this at"))
        #expect(message.contains("row 41") && message.contains("spec.requestID"))
        #expect(!world.deeds.contains { $0.hasPrefix("scale") || $0 == "lock" })
        Self.answer(&world, Self.twin(isElsewhere: true))
        var other = InPlaceWorld()
        other.settle { $0.state == .pending }
        Self.answer(&other, Self.twin(isElsewhere: true))
        other.pass()
        #expect(other.run.status?.message?.contains("of another cluster") == true)
    }

    @Test("one that was completed while this run waited for its approval ends it before it locks anything")
    func meanwhile() {
        var world = InPlaceWorld()
        world.settle { $0.condition(RunCondition.approved)?.reason == "ApprovalRequired" }
        Self.answer(&world, Self.twin())
        world.approve()
        world.pass()
        #expect(world.reason == "AlreadyApplied")
        #expect(!world.isLocked)
        #expect(world.run.status?.plan?.errors == nil, "the plan was good")
    }

    @Test("what the row says when it runs counts: another run may have been completed up to that moment")
    func atTheLastMoment() {
        var world = InPlaceWorld()
        world.settle { $0.condition(RunCondition.approved)?.reason == "ApprovalRequired" }
        world.approve()
        world.settle { $0.state == .running }
        #expect(world.isLocked)
        Self.answer(&world, Self.twin())
        world.settle()
        #expect(world.state == .failed)
        #expect(world.reason == "AlreadyApplied")
        #expect(!world.isLocked, "the lock is given back")
        #expect(world.workload?.replicas == 1)
        #expect(!world.deeds.contains("scale to 0") && !world.deeds.contains("create Job replace-1"))
    }

    @Test("once the service is stopped the run goes on: what it has begun is not left half done")
    func tooLate() {
        var world = InPlaceWorld()
        world.settle { $0.condition(RunCondition.approved)?.reason == "ApprovalRequired" }
        world.approve()
        world.settle { $0.deeds.contains("scale to 0") }
        Self.answer(&world, Self.twin(), status: "running")
        world.settle()
        #expect(world.state == .completed)
    }

    @Test("while the ledger is away nobody knows, and nothing is replaced")
    func away() {
        var world = InPlaceWorld()
        world.settle { $0.state == .pending }
        world.reader.ledgerAnswer = .present(.unavailable(message: "connection refused"))
        world.settle()
        world.approve()
        world.now = world.now.adding(seconds: 100_000)
        world.settle()
        #expect(world.state == .pending)
        #expect(!world.isLocked && world.workload?.replicas == 1)
    }

    @Test("another requestID is another request, and so is another incarnation of the target")
    func digests() {
        func digest(_ change: (inout RestoreRunSpec) -> Void) -> String {
            let run = InPlaceWorld(change).run
            return RestoreRunBehavior.entry(for: run, RestoreRunStatus()).specDigest
        }
        let first = digest { _ in }
        #expect(digest { $0.cancel = true } == first, "a cancelled one was asked for the same")
        #expect(digest { $0.requestID = "again" } != first)
        #expect(digest { $0.confirm = "orders/11111111" } != first)
    }
}
