// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What a run in place works on is taken away while it is under way.
@Suite("A run in place that loses what it works on")
struct InPlaceLossTests {
    enum Loss: CaseIterable, Sendable {
        case deleted, leaving, madeAgain
    }

    private static let claim = Ref(PersistentVolumeClaim.resourceKind, "staging", "data-orders-db-0")

    private static func lose(_ loss: Loss, _ world: inout InPlaceWorld) {
        guard var claim = world.reader.objects[claim] as? PersistentVolumeClaim else { return }
        switch loss {
        case .deleted: world.reader.objects[Self.claim] = nil
        case .leaving:
            claim.metadata.deletionTimestamp = world.now
            world.reader.add(claim)
        case .madeAgain:
            claim.metadata.uid = "claim-2"
            world.reader.add(claim)
        }
    }

    /// Its Job is at work, and does not end by itself.
    private static func replacing() -> InPlaceWorld {
        var world = InPlaceTests.approved()
        world.results[.replace] = nil
        world.settle { $0.deeds.contains("create Job replace-1") }
        return world
    }

    @Test(
        "without its claim it is interrupted, and no Job waits for a volume that no pod can have",
        arguments: Loss.allCases)
    func claimLost(_ loss: Loss) {
        var world = Self.replacing()
        Self.lose(loss, &world)
        world.settle()
        #expect(world.state == .interrupted)
        #expect(world.reason == (loss == .madeAgain ? "TargetReplaced" : "TargetDeleted"))
        #expect(world.condition(RunCondition.cleanedUp)?.reason == "NotPossible")
        #expect(world.run.status?.message?.contains("claim data-orders-db-0") == true)
        #expect(!world.deeds.contains("create Job undo-1"))
        #expect(!world.isLocked)
    }

    @Test(
        "a service whose claim is lost is not started: its image would make an empty database", arguments: Loss.allCases
    )
    func emptyVolume(_ loss: Loss) {
        var stopped = InPlaceTests.approved()
        stopped.settle { $0.workload?.replicas == 0 }
        Self.lose(loss, &stopped)
        stopped.settle()
        #expect(stopped.state == .interrupted)
        #expect(stopped.workload?.replicas == 0)
        var swapped = InPlaceTests.approved()
        swapped.settle { $0.run.status?.restore?.inPlace?.isSwapped == true }
        Self.lose(loss, &swapped)
        swapped.settle()
        #expect(swapped.state == .interrupted)
        #expect(swapped.workload?.replicas == 0)
        #expect(!swapped.isLocked)
    }

    @Test(
        "nor does it count as served when the claim is lost while it starts, whatever answers", arguments: Loss.allCases
    )
    func lostAtTheEnd(_ loss: Loss) {
        var world = InPlaceTests.approved()
        world.settle { $0.deeds.contains("scale to 1") }
        world.reader.objects[InPlaceWorld.pod().ref] = nil
        world.settle()
        #expect(world.run.status?.restore?.completedSteps?.last == "Start")
        Self.lose(loss, &world)
        world.reader.add(InPlaceWorld.pod())
        world.settle()
        #expect(world.state == .interrupted)
        #expect(world.condition(RunCondition.cleanedUp)?.reason == "NotPossible")
        #expect(!world.isLocked)
    }

    @Test("a claim that is being deleted is no volume to plan for")
    func claimLeavesEarly() {
        var world = InPlaceWorld()
        Self.lose(.leaving, &world)
        world.settle()
        #expect(world.deeds.isEmpty)
        #expect(world.condition(RunCondition.planned)?.reason == "TargetDeleted")
        var planned = InPlaceTests.approved()
        Self.lose(.leaving, &planned)
        planned.settle()
        #expect(planned.state == .failed && planned.reason == "PlanOutdated")
        #expect(!planned.deeds.contains("lock"))
    }

    @Test("a namespace that is deleted interrupts it, whichever of its objects is seen to go first")
    func namespaceLeaves() {
        var world = Self.replacing()
        var space = Namespace(metadata: ObjectMeta(name: "staging", uid: "space-1"))
        space.metadata.deletionTimestamp = world.now
        world.reader.add(space)
        world.run.metadata.deletionTimestamp = world.now
        world.settle()
        #expect(world.state == .interrupted)
        #expect(world.reason == "NamespaceDeleted")
        var cancelled = Self.replacing()
        cancelled.run.metadata.deletionTimestamp = cancelled.now
        cancelled.settle()
        #expect(cancelled.state == .cancelled)
        #expect(cancelled.workload?.replicas == 1)
    }

    @Test("Job and permit may be the first to go with the namespace; a permit that goes by itself is something else")
    func permitLeaves() {
        func world(isLeaving: Bool) -> InPlaceWorld {
            var world = Self.replacing()
            var space = Namespace(metadata: ObjectMeta(name: "staging", uid: "space-1"))
            if isLeaving { space.metadata.deletionTimestamp = world.now }
            world.reader.add(space)
            for (ref, object) in world.reader.objects where object is Job || ref.name.contains("permit") {
                world.reader.objects[ref] = nil
            }
            world.settle()
            return world
        }
        let left = world(isLeaving: true)
        #expect((left.state, left.reason) == (.interrupted, "NamespaceDeleted"))
        let lost = world(isLeaving: false)
        #expect((lost.state, lost.reason) == (.failed, "PermitLost"))
    }

    @Test("somebody else's permit lets no Job of this run start, and stays where it is")
    func permitOfOthers() {
        var world = InPlaceTests.approved()
        world.settle { $0.deeds.contains("scale to 0") }
        let permit = Ref(ConfigMap.resourceKind, "staging", InPlaceWorld.scope.permit(.replace))
        world.reader.add(ConfigMap(metadata: ObjectMeta(name: permit.name, namespace: "staging", uid: "theirs")))
        world.settle()
        #expect((world.state, world.reason) == (.failed, "PermitNotOurs"))
        #expect(world.run.status?.message?.contains(permit.name) == true)
        #expect(!world.deeds.contains("create Job replace-1"))
        #expect(world.workload?.replicas == 1 && !world.isLocked)
        #expect(world.reader.objects[permit] != nil)
    }

    @Test("a service that never comes back is waited for, and then the run says where its data is")
    func neverBack() {
        var world = Self.replacing()
        world.reader.objects[InPlaceWorld.workload().ref] = nil
        world.settle()
        #expect(world.state == .running)
        #expect(world.condition(RunCondition.stalled)?.reason == "WorkplaceMissing")
        world.now = world.now.adding(seconds: RestoreRunBehavior.prepareDeadline)
        world.settle()
        #expect(world.state == .interrupted)
        #expect(world.condition(RunCondition.cleanedUp)?.reason == "NotUndone")
        #expect(world.run.status?.message?.contains("look at claim data-orders-db-0") == true)
    }

    @Test(
        "what was said stands while things are read again: an answer is no reason to write",
        arguments: [false, true])
    func quietWhileReading(hasFailed: Bool) {
        var world = Self.replacing()
        world.reader.objects[InPlaceWorld.workload().ref] = nil
        if hasFailed {
            world.reader.failure = Failure(
                effect: "create ConfigMap", reason: "Forbidden", message: "no more of them", disposition: .terminal,
                count: 2, since: world.now)
        }
        world.settle()
        let said = world.run.status
        #expect(world.condition(RunCondition.stalled)?.reason == (hasFailed ? "Forbidden" : "WorkplaceMissing"))
        world.reader.unread = [Ref(Namespace.resourceKind, "", "staging")]
        world.settle()
        #expect(world.run.status == said)
        world.reader.unread = []
        world.settle()
        #expect(world.run.status == said)
    }

    @Test("what holds up the Job that puts the data back is said")
    func undoIsHeldUp() throws {
        var world = Self.replacing()
        world.results[.undo] = nil
        world.run.spec?.cancel = true
        world.settle { $0.deeds.contains("create Job undo-1") }
        let name = InPlaceWorld.scope.job(.undo, 1)
        var pod = Pod(
            metadata: ObjectMeta(
                name: "undo-pod", namespace: "staging", uid: "pod-9",
                labels: [Label.job: name, Label.runUID: Story.uid]), status: .init(phase: "Pending"))
        pod.status?.conditions = [.init(type: "PodScheduled", status: "False", reason: "Unschedulable")]
        world.reader.add(pod)
        world.settle()
        #expect(world.condition(RunCondition.stalled)?.reason == "Unschedulable")
    }

    @Test("a run that has ended does not say that it waits for what was refused before")
    func endIsTheLastWord() {
        var world = Self.replacing()
        world.reader.failure = Failure(
            effect: "create ConfigMap", reason: "Forbidden", message: "no more of them", disposition: .terminal,
            count: 2,
            since: world.now)
        world.run.spec?.cancel = true
        world.settle()
        #expect(world.state == .cancelled)
        #expect(world.condition(RunCondition.reconciling)?.status == "False")
        #expect(world.run.status?.message?.contains("no more of them") == false)
    }
}
