// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What a run in place has replaced is kept for as long as it says, and then removed.
@Suite("Replaced data")
struct InPlaceTidyTests {
    private static func ended(_ change: (inout RestoreRunSpec) -> Void = { _ in }) -> InPlaceWorld {
        var world = InPlaceTests.approved(change)
        world.settle()
        world.settle()
        world.effects = []
        return world
    }

    private static func tidied(_ change: (inout ReplaceResult) -> Void = { _ in }) -> LogFacts {
        var result = ReplaceResult(attempt: "", code: "OK")
        change(&result)
        return .replace(result)
    }

    @Test("before its time nothing is read, made or written, and the run wakes when it has come")
    func kept() {
        var world = Self.ended { $0.preRestore = .init(keepFor: "2h") }
        #expect(world.run.metadata.finalizers == [])
        world.reader.reads = 0
        let decision = world.pass()
        #expect(decision.status == nil && decision.effects.isEmpty)
        #expect(decision.wake == Wake.at(world.now.wholeSecond.adding(seconds: 7_200)))
        #expect(world.reader.reads == 0)
    }

    @Test("then it is removed by one Job beside the service, and said so; nothing is done a second time")
    func removed() throws {
        var world = Self.ended()
        world.now = world.now.adding(seconds: 86_400)
        world.results[.tidy] = Self.tidied()
        world.settle()
        #expect(world.deeds == ["create Job tidy-1"])
        let job = try #require(
            world.effects.compactMap { effect in
                if case .create(.job(let job)) = effect { job } else { nil }
            }.first)
        let pod = job.spec.template.spec
        #expect(pod.containers[0].env.first { $0.name == "REPRISE_TIDY" }?.value == Story.uid)
        #expect(pod.containers[0].env.first { $0.name == "REPRISE_ACTION" }?.value == "tidy")
        #expect(pod.affinity != nil, "a volume may be on one node alone")
        #expect(world.condition(RunCondition.cleanedUp)?.reason == "Removed")
        #expect(world.run.status?.restore?.inPlace?.tidiedAt == world.now.wholeSecond)
        #expect(world.state == .completed)
        world.now = world.now.adding(seconds: 86_400)
        world.settle()
        #expect(world.deeds.count == 1)
    }

    @Test("while another run works on the volume it waits for that one's end")
    func busy() {
        var world = Self.ended()
        var other = Story.run()
        other.metadata.name = "other"
        other.metadata.uid = "other-uid"
        other.status = RestoreRunStatus()
        other.status?.state = Open(RunState.running)
        world.reader.add(other)
        world.edit {
            $0.metadata.annotations = [
                TargetLock.annotation: "other-uid", TargetLock.nameAnnotation: other.metadata.name,
            ]
        }
        world.now = world.now.adding(seconds: 90_000)
        world.settle()
        #expect(world.deeds.isEmpty)
        other.status?.state = Open(RunState.completed)
        world.reader.add(other)
        world.results[.tidy] = Self.tidied()
        world.settle()
        #expect(world.deeds == ["create Job tidy-1"])
    }

    @Test("what could not be removed is said, with where it is", arguments: ["kept", "failed", "replaced", "gone"])
    func notRemoved(_ trouble: String) {
        var world = Self.ended()
        world.now = world.now.adding(seconds: 90_000)
        switch trouble {
        case "kept": world.results[.tidy] = Self.tidied { $0.kept = [Story.uid] }
        case "failed": world.results[.tidy] = Self.tidied { $0.code = "TargetBusy" }
        case "replaced": world.edit { $0.metadata.uid = "another" }
        default:
            world.reader.objects[
                Ref(PersistentVolumeClaim.resourceKind, "staging", "data-orders-db-0")] = nil
        }
        world.settle()
        let cleaned = world.condition(RunCondition.cleanedUp)
        #expect(cleaned?.reason == (trouble == "gone" ? "Gone" : "NotRemoved"))
        if trouble != "gone" { #expect(cleaned?.message.contains(".reprise/\(Story.uid)") == true) }
        #expect(world.run.status?.restore?.inPlace?.tidiedAt != nil, "it is not tried for ever")
        #expect(world.state == .completed)
    }

    @Test("a run whose data was put back removes what it has left behind as well")
    func undone() {
        var world = InPlaceTests.approved()
        var failed = ReplaceResult(attempt: "", code: "VerificationFailed")
        failed.swapped = false
        failed.undone = true
        world.results[.replace] = .replace(failed)
        world.settle()
        #expect(world.state == .failed)
        #expect(world.run.status?.restore?.inPlace?.keptUntil != nil)
    }
}
