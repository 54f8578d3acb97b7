// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// A clone restores once, follows its runs, and watches over what came back.
@Suite("A clone")
struct ServiceCloneTests {
    static func clone(_ status: ServiceCloneStatus? = nil, _ change: (inout ServiceCloneSpec) -> Void = { _ in })
        -> ServiceClone
    {
        var spec = ServiceCloneSpec()
        spec.source = Story.spec.source
        spec.service = Story.service
        change(&spec)
        return ServiceClone(
            metadata: ObjectMeta(
                name: "orders", namespace: "staging", uid: "clone-1", resourceVersion: "3", generation: 1),
            spec: spec, status: status)
    }

    static func decide(_ clone: ServiceClone, _ reader: inout FakeReader) -> Decision<ServiceCloneStatus> {
        ServiceCloneBehavior.decide(ServiceCloneBehavior.observe(clone, through: &reader), at: Story.now)
    }

    static func run(
        _ name: String, _ state: RunState, reason: String = "Failed", started: Bool = true, steps: [String] = []
    ) -> RestoreRun {
        var status = RestoreRunStatus()
        status.state = Open(state)
        status.message = "as it went"
        status.startedAt = started ? Story.now : nil
        var record = RestoreRecord()
        record.completedSteps = steps
        status.restore = record
        var conditions: [Condition] = []
        conditions.set("Finished", state.isTerminal ? .yes : .no, reason, "m", generation: 1, at: Story.now)
        conditions.set("OwnArchive", .yes, "Archiving", "archives", generation: 1, at: Story.now)
        status.conditions = conditions
        return RestoreRun(
            metadata: ObjectMeta(
                name: name, namespace: "staging", uid: Story.uid, resourceVersion: "9",
                labels: [Label.cloneUID: "clone-1"]),
            spec: Story.spec, status: status)
    }

    /// A clone that follows its first run.
    static func following(_ change: (inout ServiceCloneSpec) -> Void = { _ in }) -> (ServiceClone, String) {
        var reader = FakeReader()
        let status = decide(clone(nil, change), &reader).status
        return (clone(status, change), status?.run?.name ?? "")
    }

    @Test("the run's name is pinned first, then the run is made once")
    func pinned() {
        var reader = FakeReader()
        let first = Self.decide(Self.clone(), &reader)
        #expect(first.effects.isEmpty)
        let (clone, name) = Self.following()
        #expect(name.hasPrefix("orders-"))
        let second = Self.decide(clone, &reader)
        guard case .create(.restoreRun(let manifest)) = second.effects.first else {
            Issue.record("no run was made")
            return
        }
        #expect(manifest.metadata.name == name)
        #expect(manifest.metadata.ownerReferences.first?.uid == "clone-1")
        #expect(manifest.spec.target?.newService == Story.service)
        #expect(Self.decide(clone, &reader).effects == second.effects, "the same every time")
    }

    @Test("a completed run is remembered for good")
    func completes() {
        let (clone, name) = Self.following()
        var reader = FakeReader()
        reader.add(Self.run(name, .completed))
        let decision = Self.decide(clone, &reader)
        #expect(decision.status?.completedRunUID == Story.uid)
        #expect(decision.status?.conditions?.isTrue("OwnArchive") == true)
        #expect(decision.status?.conditions?.isTrue("Ready") == false, "not before it is seen serving")
    }

    struct End: Sendable, CustomTestStringConvertible {
        var what: String
        var run: @Sendable (String) -> RestoreRun
        var retries: Bool
        var testDescription: String { what }
    }

    static let ends = [
        End(what: "a crash is tried again", run: { run($0, .failed, reason: "RestoreCrashed") }, retries: true),
        End(
            what: "an interrupted run is tried again", run: { run($0, .interrupted, reason: "TargetDeleted") },
            retries: true),
        End(
            what: "a refused request is not", run: { run($0, .failed, reason: "TargetNotEmpty", started: false) },
            retries: false),
        End(
            what: "an image that does not restore is not", run: { run($0, .failed, reason: "RestoreNotPerformed") },
            retries: false),
        End(
            what: "a server that is told not to open is not", run: { run($0, .failed, reason: "PromotionPending") },
            retries: false),
        End(
            what: "a database that is not in the data is not", run: { run($0, .failed, reason: "DatabaseNotFound") },
            retries: false),
        End(what: "a cancelled run is not", run: { run($0, .cancelled, reason: "Cancelled") }, retries: false),
        End(
            what: "a run that opened its service is not",
            run: { run($0, .failed, reason: "NoProgress", steps: ["Open"]) }, retries: false),
    ]

    @Test("another attempt is made only where it may go differently", arguments: ends)
    func attempts(_ end: End) {
        var (clone, name) = Self.following()
        var reader = FakeReader()
        reader.add(end.run(name))
        let status = Self.decide(clone, &reader).status
        if end.retries {
            clone.status = status
            let next = Self.decide(clone, &reader).effects.first?.child
            guard case .restoreRun(let manifest) = next else {
                Issue.record("no run was made")
                return
            }
            #expect(manifest.spec.retryOf?.name == name, "what it found out decides how the next one goes about it")
        }
        #expect((status?.run?.name != name) == end.retries)
        #expect((status?.attempts == 2) == end.retries)
        #expect(status?.conditions?.isTrue("Stalled") == !end.retries)
    }

    @Test("the last attempt is the last")
    func limit() {
        var (clone, name) = Self.following { $0.retry = .init(limit: 0) }
        var reader = FakeReader()
        reader.add(Self.run(name, .failed, reason: "RestoreCrashed"))
        clone.status = Self.decide(clone, &reader).status
        #expect(clone.status?.run?.name == name)
        #expect(clone.status?.message?.contains("requestID") == true)
    }

    static func restored() -> (ServiceClone, FakeReader) {
        var (clone, name) = following()
        clone.status?.completedRunUID = Story.uid
        var reader = FakeReader()
        reader.add(run(name, .completed))
        reader.add(Story.repository("own", prefix: "staging"))
        reader.add(AdvanceTests.claim())
        reader.add(AdvanceTests.statefulSet(replicas: 1, quarantined: false))
        reader.add(AdvanceTests.pod(ready: true))
        return (clone, reader)
    }

    @Test("a restored service is ready while it serves, and costs no writes")
    func ready() {
        var (clone, reader) = Self.restored()
        let first = Self.decide(clone, &reader)
        #expect(first.status?.conditions?.isTrue("Ready") == true)
        #expect(first.effects.isEmpty)
        clone.status = first.status
        #expect(Self.decide(clone, &reader).status == clone.status)
    }

    @Test("a service that somebody has stopped is left so, and does not look as if it went on by itself")
    func stopped() throws {
        var (clone, reader) = Self.restored()
        reader.add(AdvanceTests.statefulSet(replicas: 0, quarantined: false))
        let decision = Self.decide(clone, &reader)
        #expect(decision.effects.isEmpty)
        clone.status = decision.status
        let words = try #require(clone.status?.conditions?.condition(RunCondition.stalled))
        #expect(words.status == "True" && words.reason == "ScaledToZero")
        #expect(words.message.contains("kubectl -n staging scale statefulset orders --replicas=1"))
        reader.add(AdvanceTests.statefulSet(replicas: 1, quarantined: false))
        let back = Self.decide(clone, &reader).status
        #expect(back?.conditions?.isTrue("Ready") == true && back?.conditions?.isTrue(RunCondition.stalled) == false)
    }

    @Test("a deleted StatefulSet is made again around its data, without the clone variables")
    func madeAgain() throws {
        var (clone, reader) = Self.restored()
        reader.objects[AdvanceTests.statefulSet(replicas: 1, quarantined: false).ref] = nil
        let decision = Self.decide(clone, &reader)
        let made = decision.effects.compactMap(\.child).compactMap { child -> StatefulSetManifest? in
            if case .statefulSet(let manifest) = child { return manifest }
            return nil
        }
        let manifest = try #require(made.first)
        let container = try #require(manifest.spec.template.spec.containers.first)
        #expect(!container.env.contains { $0.name == "WALG_CLONE_FROM" })
        #expect(container.args == nil)
        #expect(manifest.metadata.labels[Label.runUID] == Story.uid)
        #expect(!decision.effects.contains { if case .create(.restoreRun) = $0 { true } else { false } })
        clone.status = decision.status
        #expect(clone.status?.conditions?.condition("Ready")?.reason == "StatefulSetDeleted")
    }

    @Test("a StatefulSet is not made again before its data was seen: Kubernetes would make an empty volume for it")
    func notMadeAgainBlindly() {
        let (clone, seen) = Self.restored()
        var reader = seen
        reader.objects[AdvanceTests.statefulSet(replicas: 1, quarantined: false).ref] = nil
        reader.objects[AdvanceTests.claim().ref] = nil
        var snapshot = ServiceCloneBehavior.observe(clone, through: &reader)
        for claim in [Observed<PersistentVolumeClaim>.unknown, .absent(confirmed: false)] {
            snapshot.claim = claim
            #expect(ServiceCloneBehavior.decide(snapshot, at: Story.now).effects.isEmpty)
        }
    }

    @Test("a cache that still has the claim is not believed when the StatefulSet is gone")
    func lateCache() {
        let (clone, seen) = Self.restored()
        var reader = seen
        reader.objects[AdvanceTests.statefulSet(replicas: 1, quarantined: false).ref] = nil
        reader.gone = [AdvanceTests.claim().ref]
        let decision = Self.decide(clone, &reader)
        #expect(decision.effects.isEmpty)
        #expect(decision.status?.conditions?.condition("Ready")?.reason == "DataMissing")
    }

    @Test("what was said of a claim that is gone stands while it is looked up again", arguments: [0, 1])
    func quietWhileReading(_ replicas: Int) {
        let (restored, seen) = Self.restored()
        var (clone, reader) = (restored, seen)
        reader.add(AdvanceTests.statefulSet(replicas: replicas, quarantined: false))
        reader.objects[AdvanceTests.claim().ref] = nil
        clone.status = Self.decide(clone, &reader).status
        #expect(clone.status?.conditions?.condition("Ready")?.reason == "DataMissing")
        reader.unread = [AdvanceTests.claim().ref]
        let asked = Self.decide(clone, &reader)
        #expect(asked.status == nil || asked.status == clone.status)
    }

    @Test("data that is gone is not restored again until someone asks")
    func dataMissing() {
        var (clone, reader) = Self.restored()
        reader.objects[AdvanceTests.statefulSet(replicas: 1, quarantined: false).ref] = nil
        reader.objects[AdvanceTests.claim().ref] = nil
        let decision = Self.decide(clone, &reader)
        #expect(decision.effects.isEmpty)
        #expect(decision.status?.conditions?.condition("Ready")?.reason == "DataMissing")
        clone.status = decision.status
        clone.spec?.requestID = "again"
        let again = Self.decide(clone, &reader)
        #expect(again.status?.completedRunUID == nil)
        #expect(again.status?.run?.name != clone.status?.run?.name, "another request, another run")
    }

    @Test("a new requestID alone restores nothing over data that is there")
    func requestWithData() {
        var (clone, reader) = Self.restored()
        clone.spec?.requestID = "again"
        let decision = Self.decide(clone, &reader)
        #expect(decision.status?.completedRunUID == Story.uid)
        #expect(decision.effects.isEmpty)
    }

    @Test("a new requestID waits for the run that is under way")
    func requestMeanwhile() {
        var (clone, name) = Self.following()
        clone.spec?.requestID = "again"
        var reader = FakeReader()
        reader.add(Self.run(name, .running))
        #expect(Self.decide(clone, &reader).status?.run?.name == name)
        reader.add(Self.run(name, .failed, reason: "TargetNotEmpty", started: false))
        #expect(Self.decide(clone, &reader).status?.run?.name != name)
        reader.add(Self.run(name, .failed, reason: "NoProgress", steps: ["Open"]))
        #expect(Self.decide(clone, &reader).status?.run?.name == name, "its service is open and stays")
    }

    @Test("a clone variable that someone puts back is said")
    func putBack() {
        var (clone, reader) = Self.restored()
        reader.add(AdvanceTests.statefulSet(replicas: 1, quarantined: true))
        clone.status = Self.decide(clone, &reader).status
        #expect(clone.status?.conditions?.condition("CloneEnvRemoved")?.reason == "CloneEnvPutBack")
    }

    @Test("a moment of its own makes a point-in-time recovery")
    func mode() {
        let (clone, _) = Self.following {
            var target = RecoveryTarget(kind: Open(.time))
            target.time = "2026-05-27T18:30:00Z"
            $0.recoveryTarget = target
        }
        var reader = FakeReader()
        guard case .create(.restoreRun(let manifest)) = Self.decide(clone, &reader).effects.first else {
            Issue.record("no run was made")
            return
        }
        #expect(manifest.spec.mode?.known == .pointInTime)
    }
}

/// `deletionPolicy: Delete`: the service goes with the clone, and nothing else does.
@Suite("A clone that is deleted")
struct CloneDeletionTests {
    @Test("Retain holds nothing and removes nothing")
    func retained() {
        var (clone, reader) = ServiceCloneTests.restored()
        clone.metadata.deletionTimestamp = Story.now
        #expect(ServiceCloneTests.decide(clone, &reader) == Decision())
    }

    @Test("Delete holds the clone from the start, and takes the claim away last")
    func deleted() {
        var (clone, reader) = ServiceCloneTests.restored()
        clone.spec?.deletionPolicy = "Delete"
        #expect(ServiceCloneTests.decide(clone, &reader).effects == [.setFinalizers(clone.seen, [cloneFinalizer])])
        clone.metadata.finalizers = [cloneFinalizer]
        clone.metadata.deletionTimestamp = Story.now
        reader.finish(.seal, .seal(AdvanceTests.seal))
        let set = AdvanceTests.statefulSet(replicas: 1, quarantined: false)
        let first = ServiceCloneTests.decide(clone, &reader).effects
        let job = Ref(Job.resourceKind, "staging", Story.names.job(.seal, 1))
        #expect(first.first == .delete(set.seen))
        #expect(
            first.contains { if case .delete(let seen) = $0 { seen.ref == job } else { false } }, "it holds the claim")
        reader.objects[set.ref] = nil
        reader.objects[job] = nil
        #expect(ServiceCloneTests.decide(clone, &reader).effects.isEmpty, "its pod still uses the volume")
        reader.objects[AdvanceTests.pod(ready: true).ref] = nil
        #expect(ServiceCloneTests.decide(clone, &reader).effects == [.delete(AdvanceTests.claim().seen)])
        reader.objects[AdvanceTests.claim().ref] = nil
        #expect(ServiceCloneTests.decide(clone, &reader).effects == [.setFinalizers(clone.seen, [])])
    }

    @Test("a clone that is deleted before anything was asked for is let go", arguments: [true, false])
    func deletedAtOnce(isReadable: Bool) {
        var (clone, reader) = ServiceCloneTests.restored()
        clone.status = nil
        if !isReadable { clone.spec?.service = nil }
        clone.metadata.finalizers = [cloneFinalizer]
        clone.metadata.deletionTimestamp = Story.now
        #expect(ServiceCloneTests.decide(clone, &reader).effects == [.setFinalizers(clone.seen, [])])
    }

    @Test("what belongs to another run is left alone")
    func others() {
        var (clone, reader) = ServiceCloneTests.restored()
        clone.status?.completedRunUID = "another"
        clone.metadata.finalizers = [cloneFinalizer]
        clone.metadata.deletionTimestamp = Story.now
        #expect(ServiceCloneTests.decide(clone, &reader).effects == [.setFinalizers(clone.seen, [])])
    }

    @Test("a run that is under way is cancelled first")
    func underWay() {
        var (clone, name) = ServiceCloneTests.following { $0.deletionPolicy = "Delete" }
        if name.isEmpty {
            // The finalizer came first.
            clone.metadata.finalizers = [cloneFinalizer]
            var reader = FakeReader()
            clone.status = ServiceCloneTests.decide(clone, &reader).status
            name = clone.status?.run?.name ?? ""
        }
        clone.metadata.deletionTimestamp = Story.now
        var reader = FakeReader()
        let run = ServiceCloneTests.run(name, .running)
        reader.add(run)
        #expect(ServiceCloneTests.decide(clone, &reader).effects == [.delete(run.seen)])
    }
}
