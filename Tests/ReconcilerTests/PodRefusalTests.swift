// SPDX-License-Identifier: Apache-2.0

import Resources
import Testing

@testable import Reconciler

/// A Job or StatefulSet whose pods are refused says so, in the words of whoever refuses.
@Suite("Refused pods")
struct PodRefusalTests {
    static let quota = "exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4"
    static let told = Observed.present(PodRefusal.told(quota))

    // MARK: The words

    private static let table: [(String, String, String)] = [
        (
            "reprise-3f2a-seal-1", "Error creating: pods \"reprise-3f2a-seal-1-x7k2p\" is forbidden: \(quota)",
            "pods \"reprise-3f2a-seal-1-\" is forbidden: \(quota)"
        ),
        (
            "reprise-3f2a-seal-1",
            "(combined from similar events): Error creating: pods \"reprise-3f2a-seal-1-9zzzz\" is forbidden: \(quota)",
            "pods \"reprise-3f2a-seal-1-\" is forbidden: \(quota)"
        ),
        (
            "orders",
            "create Pod orders-0 in StatefulSet orders failed error: pods \"orders-0\" is forbidden: \(quota)",
            "pods \"orders-0\" is forbidden: \(quota)"
        ),
        (
            "orders-12345", "create Pod orders-12345-0 in StatefulSet orders-12345 failed error: no \"orders-12345-0\"",
            "no \"orders-12345-0\""
        ),
        (
            "j", "Error creating: admission webhook \"pods.example.com\" denied the request:\n\tnot\u{7}here",
            "admission webhook \"pods.example.com\" denied the request: not here"
        ),
        ("j", "", "the Event does not say why"), ("", "Error creating: pods \"-abcde\"", "pods \"-abcde\""),
    ]

    @Test("the words are those of the API server, and the same for each attempt", arguments: table)
    func words(_ owner: String, _ message: String, _ words: String) {
        #expect(PodRefusal.words(message, about: owner) == words)
    }

    @Test("words without end are cut off")
    func long() {
        let words = PodRefusal.words(String(repeating: "x", count: 100_000), about: "j")
        #expect(words.count == PodRefusal.longest)
    }

    private static func event(_ reason: String, _ message: String, at seconds: Int64?) -> EventFact {
        var event = EventFact(
            metadata: ObjectMeta(name: "e", creationTimestamp: Story.now.adding(seconds: -3_000)), reason: reason,
            message: message)
        event.lastTimestamp = seconds.map { Story.now.adding(seconds: $0) }
        return event
    }

    @Test("the newest refusal counts, unless a pod was made after it")
    func newest() {
        func find(_ events: EventFact...) -> Observed<PodRefusal> { PodRefusal.find(in: events, about: "j") }
        let first = Self.event("FailedCreate", "one", at: -60)
        let second = Self.event("FailedCreate", "two", at: -30)
        #expect(find(first, second) == .present(.told("two")))
        #expect(find(second, first) == .present(.told("two")))
        #expect(find(Self.event("FailedCreate", "old", at: nil), first) == .present(.told("one")))
        #expect(find() == .absent(confirmed: true))
        #expect(find(Self.event("Suspended", "waits", at: 0)) == .absent(confirmed: true))
        #expect(find(first, Self.event("SuccessfulCreate", "made", at: -59)) == .absent(confirmed: true))
        #expect(find(second, Self.event("SuccessfulCreate", "made", at: -31)) == .present(.told("two")))
        #expect(find(second, Self.event("SuccessfulCreate", "made", at: -30)) == .present(.told("two")))
        var modern = first
        modern.eventTime = Story.now
        #expect(find(second, modern) == .present(.told("one")), "whichever field says it")
    }

    // MARK: What follows

    private static let job = Ref(Job.resourceKind, "staging", "j")
    private static let set = Ref(StatefulSet.resourceKind, "staging", "orders")

    @Test("who is refused, since when and why stands in the message; whoever can't be read leads to kubectl")
    func findings() throws {
        #expect(PodObstacle.find(Self.job, .unknown) == nil)
        let finding = try #require(PodObstacle.find(Self.job, since: Story.now, Self.told))
        #expect(finding.reason == "JobPodsForbidden")
        for part in ["Job staging/j", Story.now.rfc3339, Self.quota] {
            #expect(finding.message.contains(part))
        }
        #expect(PodObstacle.find(Self.set, Self.told)?.reason == "PodsForbidden")
        let silent = try #require(PodObstacle.find(Self.set, .absent(confirmed: true)))
        let blind = try #require(PodObstacle.find(Self.set, .present(.unreadable("events is forbidden"))))
        #expect(blind.message.contains("events is forbidden"))
        for finding in [silent, blind] {
            #expect(finding.reason == "NoPod")
            #expect(finding.message.contains("kubectl -n staging describe statefulset orders"))
        }
    }

    private static func made(_ role: JobRole, _ change: (inout Job) -> Void = { _ in }) -> Job {
        let name = RunScope(namespace: "staging", runUID: Story.uid).job(role, 1)
        var job = Job(
            metadata: ObjectMeta(
                name: name, namespace: "staging", uid: "j-\(name)", resourceVersion: "3",
                creationTimestamp: Story.now, labels: [Label.runUID: Story.uid, Label.job: name]), status: .init())
        change(&job)
        return job
    }

    private static func pod(of job: Job) -> Pod {
        Pod(
            metadata: ObjectMeta(
                name: "\(job.metadata.name)-x", namespace: "staging", uid: "p", labels: job.metadata.labels),
            status: .init(phase: "Pending"))
    }

    private static func obstacle(of job: Job, _ refusal: Observed<PodRefusal>, _ pods: [Pod] = []) -> PlanFinding? {
        var reader = FakeReader()
        reader.refusals[job.metadata.name] = refusal
        for pod in pods { reader.add(pod) }
        guard case .running(let obstacle, _) = JobObservation.state(of: job, .seal, attempt: "", through: &reader)
        else { return PlanFinding(reason: "not running", message: "") }
        return obstacle
    }

    @Test("a Job is asked after only while it has no pod, counts none and is not on its way out")
    func jobs() {
        let job = Self.made(.seal)
        #expect(Self.obstacle(of: job, Self.told)?.reason == "JobPodsForbidden")
        #expect(Self.obstacle(of: job, .unknown) == nil)
        #expect(Self.obstacle(of: job, Self.told, [Self.pod(of: job)]) == nil)
        #expect(Self.obstacle(of: Self.made(.seal) { $0.status?.active = 1 }, Self.told) == nil)
        #expect(Self.obstacle(of: Self.made(.seal) { $0.metadata.deletionTimestamp = Story.now }, Self.told) == nil)
        #expect(Self.obstacle(of: Self.made(.seal) { $0.status = nil }, Self.told) != nil)
    }

    private static func stalled(_ decision: Decision<RestoreRunStatus>) -> String? {
        let condition = decision.status?.conditions?.condition(RunCondition.stalled)
        return condition?.isTrue == true ? condition?.reason : nil
    }

    @Test("the run says it while it lasts, and fails with it when the step's time is up")
    func seal() throws {
        var (run, reader) = AdvanceTests.stopped()
        let job = Self.made(.seal)
        reader.add(job)
        let before = pass(run, &reader)
        #expect(Self.stalled(before) == nil)
        reader.refusals[job.metadata.name] = Self.told
        let said = pass(run, &reader)
        #expect(Self.stalled(said) == "JobPodsForbidden")
        #expect(said.status?.message?.contains(Self.quota) == true)
        let late = pass(run, &reader, at: Story.now.adding(seconds: 7_200))
        #expect(late.status?.restore?.ending?.reason == "JobPodsForbidden")
        run.status = said.status
        reader.add(Self.pod(of: job))
        #expect(Self.stalled(pass(run, &reader)) == nil)
    }

    @Test("a StatefulSet without a pod says it, also while the pod's absence is read again")
    func restoring() {
        var (run, reader) = AdvanceTests.provisioned()
        reader.refusals["orders"] = Self.told
        let said = pass(run, &reader)
        #expect(Self.stalled(said) == "PodsForbidden")
        #expect(said.status?.message?.contains(Self.quota) == true)
        run.status = said.status
        reader.unread = [AdvanceTests.pod(ready: false).ref]
        #expect(Self.stalled(pass(run, &reader)) == "PodsForbidden", "or it would say so and not so in turns")
        reader.add(AdvanceTests.pod(ready: false))
        #expect(Self.stalled(pass(run, &reader)) == nil)
        reader.objects[AdvanceTests.pod(ready: false).ref] = nil
        reader.unread = []
        reader.add(AdvanceTests.statefulSet(replicas: 0, quarantined: true))
        #expect(Self.stalled(pass(run, &reader)) != "PodsForbidden", "it should have none")
    }

    @Test("before anything is made a refusal has ten minutes; where nobody says why, a scan has its hour")
    func scans() {
        let table: [(Observed<PodRefusal>, Int64)] = [
            (Self.told, RestoreRunBehavior.prepareDeadline),
            (.absent(confirmed: true), RestoreRunBehavior.scanDeadline),
        ]
        for (refusal, limit) in table {
            var reader = Story.scanned()
            let job = Self.made(.scanSource)
            reader.add(job)
            reader.objects = reader.objects.filter { $0.key.kind != Pod.resourceKind }
            reader.refusals[job.metadata.name] = refusal
            let run = settle(Story.run(), reader).run
            let reason = run.status?.conditions?.condition(RunCondition.stalled)?.reason
            #expect(["JobPodsForbidden", "NoPod"].contains(reason ?? ""))
            reader.recorded(run, run.status ?? RestoreRunStatus())
            let soon = pass(run, &reader, at: Story.now.adding(seconds: limit - 1)).status
            #expect(soon?.state?.known != .failed)
            let late = pass(run, &reader, at: Story.now.adding(seconds: limit)).status
            #expect(late?.state?.known == .failed)
            #expect(late?.conditions?.condition(RunCondition.finished)?.reason == reason)
        }
    }

    // MARK: In place

    /// The Job of this role has been made and gets no pod.
    private static func refuse(_ role: JobRole, _ world: inout InPlaceWorld) -> Ref {
        let ref = Ref(Job.resourceKind, "staging", InPlaceWorld.scope.job(role, 1))
        world.reader.add(made(role))
        world.reader.refusals[ref.name] = told
        return ref
    }

    @Test("an undo whose Job gets no pod says so, waits however long it takes, and goes on")
    func undo() {
        var world = InPlaceTests.approved()
        world.results[.replace] = nil
        world.settle { $0.deeds.contains("create Job replace-1") }
        let undone = world.results[.undo]
        world.results[.undo] = nil
        world.run.spec?.cancel = true
        world.settle { $0.deeds.contains("create Job undo-1") }
        let job = Self.refuse(.undo, &world)
        for _ in 0..<3 {
            world.settle()
            #expect(world.condition(RunCondition.stalled)?.reason == "JobPodsForbidden")
            #expect(world.run.status?.message?.contains(Self.quota) == true)
            #expect(world.state == .running)
            world.now = world.now.adding(seconds: 86_400)
        }
        world.reader.add(Self.pod(of: Self.made(.undo)))
        world.settle()
        #expect(world.condition(RunCondition.stalled)?.status == "False")
        world.reader.objects = world.reader.objects.filter { $0.key.name != "\(job.name)-x" }
        if let undone { world.reader.finish(.undo, undone, names: InPlaceWorld.scope) }
        world.settle()
        #expect(world.state == .cancelled)
        #expect(world.condition(RunCondition.rolledBack)?.reason == "PutBack")
    }

    @Test("a service that is started again and gets no pod says so")
    func serving() {
        var world = InPlaceTests.approved()
        world.reader.refusals[InPlaceWorld.workload().metadata.name] = Self.told
        world.settle { $0.run.status?.restore?.completedSteps?.contains("Revoke") == true }
        // Scaled up, and its pod does not come.
        world.edit { $0.spec?.replicas = 1 }
        world.reader.objects[InPlaceWorld.pod().ref] = nil
        world.settle()
        #expect(world.condition(RunCondition.stalled)?.reason == "PodsForbidden")
        world.reader.add(InPlaceWorld.pod())
        world.settle()
        #expect(world.state == .completed)
    }

    @Test("replaced data that can't be removed for want of a pod is said by the run that has ended")
    func tidying() {
        var world = InPlaceTests.approved()
        world.settle()
        world.settle()
        world.now = world.now.adding(seconds: 86_400)
        world.settle()
        #expect(world.deeds.last == "create Job tidy-1")
        _ = Self.refuse(.tidy, &world)
        world.settle()
        let said = world.condition(RunCondition.cleanedUp)
        #expect(said?.reason == "JobPodsForbidden" && said?.status == "False")
        #expect(said?.message.contains(Self.quota) == true)
        world.reader.finish(.tidy, .replace(ReplaceResult(attempt: "", code: "OK")), names: InPlaceWorld.scope)
        world.settle()
        #expect(world.condition(RunCondition.cleanedUp)?.reason == "Removed")
    }

    // MARK: The others

    @Test("a repository whose scan gets no pod says so after a minute, and goes on")
    func repository() {
        var world = RepositoryWorld.scanned()
        world.now = world.now.adding(seconds: 300)
        _ = world.settle()
        world.reader.objects = world.reader.objects.filter { $0.key.kind != Pod.resourceKind }
        let name = world.job(2)
        world.reader.refusals[name] = Self.told
        world.now = world.now.adding(seconds: 60)
        _ = world.settle()
        #expect(world.condition("Stalled") == "True JobPodsForbidden")
        world.finish(2, RepositoryWorld.result([ScannedArchive(path: "prod/orders", major: 15)]))
        _ = world.settle()
        #expect(world.condition("Stalled") == "False Scanned")
    }

    @Test("a clone whose service has lost its pod, and gets no other, says why")
    func clone() {
        var (clone, name) = ServiceCloneTests.following()
        clone.status?.completedRunUID = Story.uid
        var reader = FakeReader()
        reader.add(ServiceCloneTests.run(name, .completed))
        reader.add(AdvanceTests.claim())
        reader.add(AdvanceTests.statefulSet(replicas: 1, quarantined: false))
        #expect(ServiceCloneTests.decide(clone, &reader).status?.conditions?.condition("Ready")?.reason == "NotServing")
        reader.refusals["orders"] = Self.told
        let ready = ServiceCloneTests.decide(clone, &reader).status?.conditions?.condition("Ready")
        #expect(ready?.reason == "PodsForbidden")
        #expect(ready?.message.contains(Self.quota) == true)
        reader.add(AdvanceTests.pod(ready: true))
        #expect(ServiceCloneTests.decide(clone, &reader).status?.conditions?.isTrue("Ready") == true)
    }
}
