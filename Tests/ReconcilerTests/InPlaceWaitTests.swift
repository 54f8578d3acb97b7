// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// A run in place that has to wait, for another run or for people, and what has become of its plan meanwhile.
@Suite("A run in place that waited")
struct InPlaceWaitTests {
    @Test("nothing is looked at, and so nothing planned, while another run works on the service")
    func busy() {
        var world = InPlaceWorld()
        world.lock()
        world.reader.add(InPlaceWorld.other(.running))
        world.settle()
        #expect(world.deeds.isEmpty)
        #expect(world.condition(RunCondition.stalled)?.reason == "TargetBusy")
        #expect(world.run.status?.message?.contains("RestoreRun other works on StatefulSet orders-db") == true)
        // For as long as it takes: that run may fetch for hours.
        world.now = world.now.adding(seconds: 20_000)
        world.settle()
        #expect(world.state == .pending)
        world.reader.add(InPlaceWorld.other(.completed))
        world.settle()
        world.approve()
        world.settle()
        #expect(world.state == .completed)
    }

    @Test("who does not want to wait is told who is at work")
    func refused() {
        var world = InPlaceWorld { $0.onBusy = "Fail" }
        world.lock()
        world.reader.add(InPlaceWorld.other(.running))
        world.settle()
        #expect(world.state == .failed && world.reason == "TargetBusy")
        #expect(world.deeds.isEmpty)
    }

    @Test("what it saw while another run held the data is not believed: it looks again")
    func heldMeanwhile() {
        var world = InPlaceWorld()
        var held = InspectResult(attempt: "", code: "OK")
        held.heldBy = "other-uid"
        world.results[.inspect] = .inspect(held)
        world.settle { $0.deeds.contains("create Job inspect-1") }
        world.results[.inspect] = .inspect(InPlaceWorld.inspection())
        world.settle()
        #expect(world.deeds.contains("create Job inspect-2"))
        #expect(world.condition(RunCondition.planned)?.isTrue == true)
    }

    struct Change: Sendable, CustomTestStringConvertible {
        var reason: String
        var words: String
        var make: @Sendable (inout InspectResult) -> Void
        var testDescription: String { words }
    }

    static let changes = [
        Change(reason: "PlanOutdated", words: "timeline 1 when the run was planned, and is of 2 now") {
            $0.timeline = 2
        },
        Change(reason: "PlanOutdated", words: "is of 42 now") { $0.systemIdentifier = "42" },
        Change(reason: "VolumeTooSmall", words: "1000 bytes are free") { $0.freeBytes = 1_000 },
        Change(reason: "TablespacesUnsupported", words: "tablespaces") { $0.hasTablespaces = true },
        Change(reason: "NoData", words: "could not be looked at") { $0.code = "NoData" },
    ]

    @Test("a plan that no longer holds ends the run before anything is stopped", arguments: changes)
    func outdated(_ change: Change) {
        var world = InPlaceTests.approved()
        var seen = InPlaceWorld.inspection()
        change.make(&seen)
        world.results[.recheck] = .inspect(seen)
        world.settle()
        #expect(world.state == .failed && world.reason == change.reason)
        #expect(world.run.status?.message?.contains(change.words) == true, "\(world.run.status?.message ?? "")")
        #expect(!world.deeds.contains { $0.hasPrefix("scale") })
        #expect(!world.isLocked)
        #expect(world.workload?.replicas == 1)
    }

    @Test("a rollback whose data was removed while it waited ends as well")
    func nothingLeft() {
        var planned = InPlaceRecord(workload: "orders-db", pod: "orders-db-0", claim: "c", image: "i")
        planned.rollbackUID = "gone"
        #expect(
            InPlacePlanner.changes(of: planned, nil, since: InPlaceWorld.inspection()).map(\.reason) == [
                "NothingToRollBack"
            ])
        var seen = InPlaceWorld.inspection()
        seen.leftovers = [.init(run: "gone", bytes: 1, hasPreRestore: true)]
        #expect(InPlacePlanner.changes(of: planned, nil, since: seen).isEmpty)
    }

    // MARK: An approval that runs out

    private static func ends(_ world: InPlaceWorld) -> Timestamp { world.now.adding(seconds: Approval.lifetime) }

    @Test("an approval that runs out while another run is at work is said in time, and a new one lets the run go on")
    func runsOutWhileItWaits() {
        var world = InPlaceTests.approved()
        world.lock()
        world.reader.add(InPlaceWorld.other(.running))
        world.settle()
        #expect(world.condition(RunCondition.locked)?.reason == "TargetBusy")
        let ends = Self.ends(world)
        #expect(world.pass().wake == .at(ends), "nothing else would tell before the other run ends")
        world.now = ends
        world.settle()
        #expect(world.state == .pending)
        #expect(world.condition(RunCondition.approved)?.reason == "ApprovalExpired")
        world.reader.add(InPlaceWorld.other(.completed))
        world.settle()
        #expect(world.state == .pending && !world.isLocked)
        world.approve(by: "carol")
        world.settle()
        #expect(world.state == .completed)
    }

    @Test("nothing is held for people: a run whose approval runs out when it has the lock gives it back and ends")
    func runsOutUnderTheLock() {
        var world = InPlaceTests.approved()
        world.results[.recheck] = nil
        world.now = Self.ends(world).adding(seconds: -60)
        world.settle()
        #expect(world.isLocked && world.deeds.contains("create Job recheck-1"))
        #expect(world.pass().wake == .at(world.now.adding(seconds: 60)))
        world.now = world.now.adding(seconds: 60)
        world.settle()
        #expect(world.state == .failed && world.reason == "ApprovalExpired")
        #expect(world.run.status?.message?.contains("make a new RestoreRun") == true)
        #expect(!world.isLocked && world.workload?.replicas == 1)
        #expect(!world.deeds.contains { $0.hasPrefix("scale") })
    }

    @Test("so does one whose approval somebody takes back then")
    func takenBackUnderTheLock() {
        var world = InPlaceTests.approved()
        world.results[.recheck] = nil
        world.settle()
        world.reader.objects[Ref(RestoreApproval.resourceKind, "staging", "approval-by-bob")] = nil
        world.settle()
        #expect(world.state == .failed && world.reason == "ApprovalRequired")
        #expect(!world.isLocked && world.workload?.replicas == 1)
    }

    @Test("what is not there is said once: while it is read again nothing is written, which would have it read again")
    func notThere() {
        for ref in [
            InPlaceWorld.workload().ref, Ref(PersistentVolumeClaim.resourceKind, "staging", "data-orders-db-0"),
        ] {
            var world = InPlaceWorld()
            world.reader.objects[ref] = nil
            world.settle()
            #expect(world.condition(RunCondition.stalled)?.reason == "TargetNotFound")
            let said = world.run.status
            world.reader.unread = [ref]
            world.pass()
            #expect(world.run.status == said)
        }
    }

    @Test("nothing is planned before the claim is known, so that another one is noticed")
    func claimFirst() {
        var world = InPlaceWorld()
        world.settle()
        #expect(world.run.status?.restore?.claimUID == "claim-1")
    }
}
