// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What a run in place may begin with can be taken from it: before its first write, and after it.
@Suite("A run in place that loses its approval or its lock")
struct InPlaceLockTests {
    /// Under way, with the lock and an approval; the ledger is away, so nothing was written to the service yet.
    private static func waiting() -> InPlaceWorld {
        var world = InPlaceTests.approved()
        world.settle { $0.state == .running }
        world.reader.ledgerAnswer = .present(.unavailable(message: "down"))
        world.settle()
        return world
    }

    /// Another run that may have written to the service: the ledger was away.
    private static func begun(_ state: RunState) -> RestoreRun {
        var other = InPlaceWorld.other(state)
        other.status?.restore = RestoreRecord()
        other.status?.restore?.mayWriteSince = Story.now
        return other
    }

    /// Its Job is at work, and does not end by itself.
    private static func replacing() -> InPlaceWorld {
        var world = InPlaceTests.approved()
        world.results[.replace] = nil
        world.settle { $0.deeds.contains("create Job replace-1") }
        return world
    }

    private static func strip(_ world: inout InPlaceWorld) {
        world.edit { $0.metadata.annotations = ["mine": "1"] }
    }

    private static func ledgerIsBack(_ world: inout InPlaceWorld) {
        world.reader.recorded(world.run, world.run.status ?? RestoreRunStatus())
        world.settle()
    }

    private static func expectUntouched(_ world: InPlaceWorld) {
        #expect(!world.deeds.contains { $0.hasPrefix("scale") })
        #expect(world.workload?.replicas == 1)
    }

    // MARK: Before the first write

    @Test("a service is not stopped when the approval is taken back while the run waits for the ledger")
    func takenBack() {
        var world = Self.waiting()
        world.reader.objects[Ref(RestoreApproval.resourceKind, "staging", "approval-by-bob")] = nil
        Self.ledgerIsBack(&world)
        #expect(world.state == .failed && world.reason == "ApprovalRequired")
        Self.expectUntouched(world)
        #expect(!world.isLocked)
    }

    @Test("nor when it has run out, which is noticed while the ledger is away")
    func runsOut() {
        var world = Self.waiting()
        let ends = world.now.adding(seconds: Approval.lifetime)
        #expect(world.pass().wake == .at(ends))
        world.now = ends
        world.settle()
        #expect(world.reason == "ApprovalExpired")
        Self.expectUntouched(world)
        #expect(!world.isLocked)
    }

    @Test("nor when somebody else says no")
    func rejected() {
        var world = Self.waiting()
        world.approve(by: "carol") { $0.decision = Open(.reject) }
        Self.ledgerIsBack(&world)
        #expect(world.state == .failed && world.reason == "Rejected")
        Self.expectUntouched(world)
    }

    @Test("nor without the lock: what was seen under it does not hold any more")
    func stripped() {
        var world = Self.waiting()
        Self.strip(&world)
        Self.ledgerIsBack(&world)
        #expect(world.state == .interrupted && world.reason == "LockLost")
        #expect(world.run.status?.message?.contains("somebody has taken the lock off StatefulSet orders-db") == true)
        Self.expectUntouched(world)
        #expect(world.workload?.metadata.annotations == ["mine": "1"])
    }

    @Test("nor when another run has taken it, which keeps it")
    func taken() {
        var world = Self.waiting()
        world.reader.add(InPlaceWorld.other(.running))
        world.lock()
        world.edit { $0.spec?.replicas = 0 }
        Self.ledgerIsBack(&world)
        #expect(world.state == .interrupted && world.reason == "LockLost")
        #expect(world.run.status?.message?.contains("RestoreRun other has taken the lock") == true)
        #expect(!world.deeds.contains { $0.hasPrefix("scale") }, "the other one has stopped it")
        #expect(world.workload?.metadata.annotations?[TargetLock.annotation] == "u-other")
    }

    @Test("once something may have been written the approval is not asked for again")
    func approvedForGood() {
        var world = Self.replacing()
        world.reader.objects[Ref(RestoreApproval.resourceKind, "staging", "approval-by-bob")] = nil
        world.reader.finish(.replace, .replace(InPlaceWorld.replaced()), ordinal: 1, names: InPlaceWorld.scope)
        world.settle()
        #expect(world.state == .completed)
    }

    @Test("what somebody has stopped while the run waited stays stopped when the run ends")
    func stoppedByOther() {
        var world = Self.waiting()
        world.edit { $0.spec?.replicas = 0 }
        world.run.spec?.cancel = true
        world.settle()
        #expect(world.state == .cancelled)
        #expect(world.workload?.replicas == 0)
        #expect(!world.isLocked)
    }

    @Test("a run that is cancelled as its predecessor has locked takes the lock off, once it can see it")
    func cancelledUnseen() throws {
        var world = InPlaceTests.approved()
        world.settle { $0.isLocked }
        let workload = try #require(world.workload)
        #expect(world.state == .pending)
        world.reader.objects[workload.seen.ref] = nil
        world.reader.unread = [workload.seen.ref]
        world.run.spec?.cancel = true
        #expect(world.pass() == Decision(), "nobody knows yet whether it has the lock")
        world.reader.unread = []
        world.reader.add(workload)
        world.settle()
        #expect(world.state == .cancelled && !world.isLocked)
    }

    // MARK: After it

    @Test("a lock that somebody takes off is put on again, and said; the run goes on")
    func putOnAgain() {
        var world = Self.replacing()
        Self.strip(&world)
        world.pass()
        #expect(world.condition(RunCondition.locked)?.reason == "LockLost")
        #expect(world.isLocked && world.workload?.metadata.annotations?["mine"] == "1")
        world.pass()
        #expect(world.condition(RunCondition.locked)?.message.contains("again") == true)
        #expect(world.condition(RunCondition.locked)?.isTrue == true)
        world.reader.finish(.replace, .replace(InPlaceWorld.replaced()), ordinal: 1, names: InPlaceWorld.scope)
        world.settle()
        #expect(world.state == .completed && !world.isLocked)
        #expect(world.deeds.filter { $0 == "lock" }.count == 2)
    }

    @Test("nothing is done without the lock")
    func lockFirst() {
        var world = InPlaceTests.approved()
        world.settle { $0.run.status?.restore?.inPlace?.isSwapped == true && $0.deeds.last?.contains("permit") == true }
        let before = world.deeds.count
        Self.strip(&world)
        world.settle()
        #expect(Array(world.deeds.dropFirst(before)) == ["lock", "scale to 1", "unlock"])
        #expect(world.state == .completed)
    }

    @Test("so is one that names a run that has ended, or nobody's, but not the one of a run that is over")
    func staleLocks() {
        for (holder, isNamed) in [(InPlaceWorld.other(.completed), true), (InPlaceWorld.other(.running), false)] {
            var world = Self.replacing()
            world.reader.add(holder)
            world.lock()
            if !isNamed { world.edit { $0.metadata.annotations?[TargetLock.nameAnnotation] = nil } }
            world.settle()
            #expect(world.isLocked && world.state == .running)
        }
        var ended = InPlaceTests.approved()
        ended.settle { $0.deeds.contains("scale to 1") }
        Self.strip(&ended)
        ended.settle()
        #expect(ended.state == .completed && !ended.isLocked)
    }

    @Test("it is taken back from a run that has not begun, which would wait for this one's end")
    func takenBackFromOther() {
        var world = Self.replacing()
        world.reader.add(InPlaceWorld.other(.running))
        world.lock()
        world.settle()
        #expect(world.isLocked && world.state == .running)
        var ending = Self.replacing()
        ending.reader.add(InPlaceWorld.other(.running))
        ending.run.spec?.cancel = true
        ending.settle { $0.deeds.contains("create Job undo-1") }
        ending.lock()
        ending.settle()
        #expect(ending.state == .cancelled && ending.workload?.replicas == 1)
    }

    @Test(
        "to another run that has begun as well it yields: old data back, and the service only when that one has ended")
    func yields() {
        var world = Self.replacing()
        world.reader.add(Self.begun(.running))
        world.lock()
        world.settle()
        #expect(world.state == .running && world.condition(RunCondition.rolledBack)?.isTrue == true)
        #expect(world.run.status?.message?.contains("RestoreRun other works on StatefulSet orders-db") == true)
        #expect(world.workload?.replicas == 0)
        world.reader.add(Self.begun(.failed))
        world.settle()
        #expect(world.state == .interrupted && world.reason == "LockLost")
        #expect(world.workload?.replicas == 1)
        #expect(Array(world.deeds.suffix(3)) == ["lock", "scale to 1", "unlock"])
    }

    @Test("after the swap it says so, and starts the service when the other run has ended")
    func takenAfterTheSwap() {
        var world = InPlaceTests.approved()
        world.settle { $0.run.status?.restore?.inPlace?.isSwapped == true && $0.workload?.replicas == 0 }
        world.reader.add(Self.begun(.running))
        world.lock()
        world.settle()
        #expect(world.state == .running && world.workload?.replicas == 0)
        #expect(world.condition(RunCondition.locked)?.reason == "LockLost")
        #expect(world.run.status?.message?.contains("RestoreRun other works on") == true)
        world.reader.add(Self.begun(.completed))
        world.settle()
        #expect(world.state == .completed && world.workload?.replicas == 1)
    }

    @Test("a cache that is behind takes no lock away")
    func behind() {
        var world = Self.waiting()
        let there = world.workload
        Self.strip(&world)
        if let there { world.reader.newer[there.ref] = there }
        world.reader.recorded(world.run, world.run.status ?? RestoreRunStatus())
        world.pass()
        #expect(world.state == .running && world.deeds.last == "scale to 0")
    }

    @Test("a lock without a name is waited for, and says how to get rid of it")
    func nameless() {
        var world = InPlaceWorld()
        world.lock()
        world.edit { $0.metadata.annotations?[TargetLock.nameAnnotation] = nil }
        world.settle()
        #expect(world.state == .pending)
        #expect(world.run.status?.message?.contains("remove annotation reprise.dev/run if no such run") == true)
        world.edit { $0.metadata.annotations = nil }
        world.settle()
        #expect(world.condition(RunCondition.planned)?.isTrue == true)
    }
}
