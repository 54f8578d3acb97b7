// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What the simulation found: caches of two kinds that are not equally fresh, and people who take things apart.
@Suite struct FenceTests {
    private func job(_ reader: FakeReader) -> Bool {
        reader.objects[Ref(Job.resourceKind, "staging", Story.names.job(.seal, 1))] != nil
    }

    @Test("a Job that has ended and whose pod the cache does not have is looked up, and not taken for lost")
    func laggingPods() {
        var (run, reader) = AdvanceTests.stopped()
        reader.finish(.seal, .seal(AdvanceTests.seal))
        let name = "\(Story.names.job(.seal, 1))-x"
        let ref = Ref(Pod.resourceKind, "staging", name)
        let pod = reader.objects.removeValue(forKey: ref)
        reader.strangers[ref] = pod
        reader.isLookingAtLists = true
        let waiting = pass(run, &reader)
        #expect(waiting.effects.allSatisfy { $0.child == nil }, "the Job is not repeated")
        #expect(waiting.status?.restore?.ending == nil)
        reader.isLookingAtLists = false
        AdvanceTests.advance(&run, pass(run, &reader), &reader)
        #expect(run.status?.restore?.sealed != nil)
    }

    @Test("the pod of a StatefulSet that somebody made in its place proves nothing", arguments: [true, false])
    func strangersPod(_ isReady: Bool) {
        var (run, reader) = AdvanceTests.stopped()
        run.status?.restore?.completedSteps = ["Claim", "Provision"]
        reader.add(AdvanceTests.statefulSet(replicas: 1, quarantined: true))
        var pod = AdvanceTests.pod(ready: isReady, restarts: 9, waiting: isReady ? nil : "CrashLoopBackOff")
        pod.metadata.ownerReferences = [
            OwnerReference(apiVersion: "apps/v1", kind: "StatefulSet", name: "orders", uid: "another", controller: true)
        ]
        reader.add(pod)
        let seen = pass(run, &reader)
        #expect(seen.status?.restore?.ending == nil)
        #expect(seen.effects.allSatisfy { if case .scale = $0 { false } else { true } })
        #expect(seen.status?.restore?.completedSteps == ["Claim", "Provision"])
        pod.metadata.ownerReferences?[0].uid = "set-1"
        reader.add(pod)
        let own = pass(run, &reader).status?.restore
        #expect(own?.completedSteps?.last == "Restore" || own?.ending != nil, "its own one does")
    }

    @Test("no Job works on a volume on which a pod of an earlier one still works")
    func besideTheOldPod() {
        var (run, reader) = AdvanceTests.stopped()
        var pod = Pod(
            metadata: ObjectMeta(
                name: "old", namespace: "staging", uid: "p-old", resourceVersion: "9",
                labels: [Label.runUID: Story.uid, Label.job: Story.names.job(.seal, 1)]),
            status: .init(phase: "Running"))
        reader.strangers[pod.ref] = pod
        let waiting = pass(run, &reader)
        #expect(waiting.effects.allSatisfy { $0.child == nil })
        #expect(waiting.status?.conditions?.condition(RunCondition.stalled)?.reason == "PodStillRunning")
        pod.status?.phase = "Failed"
        reader.strangers[pod.ref] = pod
        #expect(pass(run, &reader).effects.contains { $0.child != nil })
        run.status = waiting.status
    }

    @Test("what was said stands while it is read again: an answer is no reason to write")
    func quietWhileLooking() {
        var (run, reader) = AdvanceTests.stopped()
        let pod = Pod(
            metadata: ObjectMeta(
                name: "old", namespace: "staging", uid: "p-old", resourceVersion: "9",
                labels: [Label.runUID: Story.uid, Label.job: Story.names.job(.seal, 1)]),
            status: .init(phase: "Running"))
        reader.strangers[pod.ref] = pod
        run.status = pass(run, &reader).status
        #expect(run.status?.conditions?.condition(RunCondition.stalled)?.reason == "PodStillRunning")
        reader.isLookingAtLists = true
        #expect(pass(run, &reader).status == run.status)
    }

    @Test("a StatefulSet that somebody has made again is left, with the claim that it works on")
    func madeAgain() {
        var (run, reader) = AdvanceTests.provisioned()
        run.status?.restore?.targetUID = "the one that was made"
        run.status?.restore?.ending = Ending(state: .interrupted, reason: "TargetReplaced", message: "replaced")
        let end = pass(run, &reader)
        #expect(!end.effects.contains { if case .delete = $0 { true } else { false } })
        #expect(end.status?.state?.known == .interrupted)
        #expect(end.status?.conditions?.condition(RunCondition.cleanedUp)?.reason == "Replaced")
    }

    /// A service that is open, with a Job that takes its first backup.
    private func opened() -> (RestoreRun, FakeReader) {
        var (run, reader) = AdvanceTests.started()
        run.status?.restore?.completedSteps = [
            "Claim", "Provision", "Restore", "Quiesce", "Seal", "Open", "Serve",
        ]
        run.status?.restore?.claimUID = "claim-1"
        run.status?.restore?.targetUID = "set-1"
        run.status?.phase = Open(.verify)
        reader.add(AdvanceTests.claim())
        reader.add(
            Job(
                metadata: AdvanceTests.mine(Story.names.job(.backup, 1), uid: "job-1"), status: .init(active: 1)))
        return (run, reader)
    }

    @Test("a backup of a service that somebody has deleted is not waited for")
    func deletedWhileBackedUp() {
        var (run, reader) = opened()
        let first = pass(run, &reader)
        #expect(first.effects.contains { if case .delete(let seen) = $0 { seen.uid == "job-1" } else { false } })
        #expect(first.status?.conditions?.condition(RunCondition.freshBackup) == nil, "only once the Job is gone")
        reader.objects[Ref(Job.resourceKind, "staging", Story.names.job(.backup, 1))] = nil
        AdvanceTests.advance(&run, pass(run, &reader), &reader)
        #expect(run.status?.restore?.completedSteps?.contains("Backup") == true)
        let backup = run.status?.conditions?.condition(RunCondition.freshBackup)
        #expect(backup?.status == "False" && backup?.reason == "TargetDeleted")
        let end = pass(run, &reader)
        #expect(end.effects.contains { $0.child?.ref.name == Story.names.job(.compareSource, 1) })
    }

    @Test("nor is a backup of a service that somebody has stopped")
    func stoppedWhileBackedUp() {
        var (run, reader) = opened()
        reader.add(AdvanceTests.statefulSet(replicas: 0, quarantined: false))
        reader.objects[Ref(Job.resourceKind, "staging", Story.names.job(.backup, 1))] = nil
        AdvanceTests.advance(&run, pass(run, &reader), &reader)
        #expect(run.status?.conditions?.condition(RunCondition.freshBackup)?.reason == "ScaledToZero")
    }

    @Test(
        "nor is a backup of data that somebody has deleted, unless it was begun",
        arguments: [nil, "Pending", "Running"])
    func deletedClaim(_ phase: String?) {
        var (run, reader) = opened()
        reader.add(AdvanceTests.statefulSet(replicas: 1, quarantined: false))
        var claim = AdvanceTests.claim()
        claim.metadata.deletionTimestamp = Story.now
        reader.add(claim)
        let job = Ref(Job.resourceKind, "staging", Story.names.job(.backup, 1))
        if let phase {
            var pod = Pod(
                metadata: ObjectMeta(
                    name: "backup", namespace: "staging", uid: "p-backup", resourceVersion: "9",
                    labels: [Label.runUID: Story.uid, Label.job: job.name]),
                status: .init(phase: phase))
            if phase == "Pending" {
                pod.status?.conditions = [.init(type: "PodScheduled", status: "False", reason: "Unschedulable")]
            }
            reader.add(pod)
            let first = pass(run, &reader)
            #expect(first.status?.conditions?.condition(RunCondition.freshBackup) == nil, "the Job is there still")
            let isEnded = first.effects.contains {
                if case .delete(let seen) = $0 { seen.uid == "job-1" } else { false }
            }
            #expect(isEnded == (phase == "Pending"))
            guard isEnded else { return }
        }
        reader.objects[job] = nil
        AdvanceTests.advance(&run, pass(run, &reader), &reader)
        let backup = run.status?.conditions?.condition(RunCondition.freshBackup)
        #expect(backup?.reason == "TargetDeleted")
        #expect(backup?.message.contains("data-orders-0") == true)
    }

    @Test(
        "a backup's Job whose server has moved is made again for where it is now, also within the same second",
        arguments: [false, true])
    func moved(_ hasMoved: Bool) throws {
        var (run, reader) = opened()
        let name = Story.names.job(.backup, 1)
        reader.add(AdvanceTests.statefulSet(replicas: 1, quarantined: false))
        var job = Job(metadata: AdvanceTests.mine(name, uid: "job-1"), status: .init(active: 1))
        job.metadata.creationTimestamp = Story.now
        var pod = AdvanceTests.pod(ready: true)
        pod.metadata.creationTimestamp = Story.now
        job.metadata.labels?[Label.serverUID] = hasMoved ? "pod-0" : pod.metadata.uid
        reader.add(job)
        reader.add(pod)
        let first = pass(run, &reader)
        let isEnded = first.effects.contains { if case .delete(let seen) = $0 { seen.uid == "job-1" } else { false } }
        #expect(isEnded == hasMoved)
        guard isEnded else { return }
        AdvanceTests.advance(&run, first, &reader)
        reader.objects[job.ref] = nil
        let child = pass(run, &reader).effects.compactMap(\.child).first { $0.ref.name == name }
        guard case .job(let made)? = child else { throw Missing() }
        #expect(made.metadata.labels[Label.serverUID] == pod.metadata.uid, "it is made for the pod of now")
    }

    private struct Missing: Error {}

    @Test("while the service is there, its backup goes on", arguments: [true, false])
    func backedUp(isAnothers: Bool) {
        var (run, reader) = opened()
        var service = AdvanceTests.statefulSet(replicas: 1, quarantined: false)
        service.metadata.uid = isAnothers ? "another" : "set-1"
        reader.add(service)
        let decision = pass(run, &reader)
        let isEnded = decision.effects.contains { if case .delete = $0 { true } else { false } }
        #expect(isEnded == isAnothers)
        run.status = decision.status
    }

    /// What can happen to the things that a seal works on.
    enum Loss: String, CaseIterable, Sendable {
        case claimGone, claimLeaving, claimReplaced, setGone, setReplaced, nothing
    }

    @Test("a seal without its data is not waited for, whatever its pod says", arguments: Loss.allCases)
    func sealWithoutData(_ loss: Loss) {
        var (run, reader) = AdvanceTests.stopped()
        let name = Story.names.job(.seal, 1)
        reader.add(Job(metadata: AdvanceTests.mine(name, uid: "job-1"), status: .init(active: 1)))
        reader.add(
            Pod(
                metadata: ObjectMeta(
                    name: "seal", namespace: "staging", uid: "p-seal", resourceVersion: "9",
                    labels: [Label.runUID: Story.uid, Label.job: name]),
                status: .init(
                    phase: "Pending",
                    conditions: [.init(type: "PodScheduled", status: "False", reason: "Unschedulable")])))
        var claim = AdvanceTests.claim()
        var set = AdvanceTests.statefulSet(replicas: 0, quarantined: true)
        switch loss {
        case .claimGone: reader.objects[claim.ref] = nil
        case .claimLeaving: claim.metadata.deletionTimestamp = Story.now
        case .claimReplaced: claim.metadata.uid = "claim-2"
        case .setGone: reader.objects[set.ref] = nil
        case .setReplaced: set.metadata.uid = "set-2"
        case .nothing: break
        }
        if loss != .claimGone { reader.add(claim) }
        if loss != .setGone { reader.add(set) }
        let decision = pass(run, &reader)
        let expected: String? =
            switch loss {
            case .claimGone, .claimLeaving, .setGone: "TargetDeleted"
            case .claimReplaced, .setReplaced: "TargetReplaced"
            case .nothing: nil
            }
        #expect(decision.status?.restore?.ending?.reason == expected)
        let stalled = decision.status?.conditions?.condition(RunCondition.stalled)
        #expect((stalled?.reason == "Unschedulable") == (loss == .nothing))
        run.status = decision.status ?? run.status
        let deletesJob = pass(run, &reader).effects.contains {
            if case .delete(let seen) = $0 { seen.uid == "job-1" } else { false }
        }
        #expect(deletesJob == (loss != .nothing), "its pod would wait on")
    }

    @Test(
        "a service is opened on the claim that the API server has, whatever the cache says",
        arguments: [Loss.claimGone, .claimLeaving, .claimReplaced, .nothing])
    func openedOnItsClaim(_ loss: Loss) {
        var (run, reader) = AdvanceTests.stopped()
        run.status?.restore?.completedSteps = ["Claim", "Provision", "Restore", "Quiesce", "Seal"]
        run.status?.restore?.claimUID = "claim-1"
        var claim = AdvanceTests.claim()
        reader.add(claim)
        let isOpened = { (decision: Decision<RestoreRunStatus>) in
            decision.effects.contains { if case .changeTemplate = $0 { true } else { false } }
        }
        reader.unread = [claim.ref]
        let asked = pass(run, &reader)
        #expect(!isOpened(asked) && asked.status?.restore?.ending == nil, "not before it is known")
        let late = pass(run, &reader, at: Story.now.adding(seconds: 7_200))
        #expect(!isOpened(late) && late.status?.restore?.ending == nil, "and no verdict either, however late it is")
        reader.unread = []
        switch loss {
        case .claimGone: reader.gone = [claim.ref]
        case .claimLeaving: claim.metadata.deletionTimestamp = Story.now
        case .claimReplaced: claim.metadata.uid = "claim-2"
        default: break
        }
        reader.newer[claim.ref] = claim
        let decision = pass(run, &reader)
        let expected: String? =
            switch loss {
            case .claimGone, .claimLeaving: "TargetDeleted"
            case .claimReplaced: "TargetReplaced"
            default: nil
            }
        #expect(decision.status?.restore?.ending?.reason == expected)
        #expect(isOpened(decision) == (expected == nil))
    }

    @Test("data is kept when the StatefulSet of a sealed service is gone: it may have been open")
    func goneAfterTheSeal() {
        var (run, reader) = AdvanceTests.started()
        run.status?.restore?.completedSteps = ["Claim", "Provision", "Restore", "Quiesce", "Seal"]
        run.status?.restore?.targetUID = "set-1"
        reader.add(AdvanceTests.claim())
        run.spec?.cancel = true
        let end = pass(run, &reader)
        #expect(end.status?.state?.known == .cancelled)
        #expect(end.status?.conditions?.condition(RunCondition.cleanedUp)?.reason == "Kept")
        #expect(!end.effects.contains { if case .delete = $0 { true } else { false } })
    }
}
