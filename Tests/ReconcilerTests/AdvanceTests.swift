// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// The steps of a running restore, each from the world as it would stand before it.
@Suite("A run under way")
struct AdvanceTests {
    /// A run that is about to write for the first time, with its row saying `running`.
    static func started() -> (RestoreRun, FakeReader) {
        var reader = Story.scanned()
        let run = settle(Story.run(), reader).run
        reader.recorded(run, run.status ?? RestoreRunStatus())
        return (run, reader)
    }

    /// A run whose restored server has been stopped: the seal is next.
    static func stopped() -> (RestoreRun, FakeReader) {
        var (run, reader) = started()
        run.status?.restore?.completedSteps = ["Claim", "Provision", "Restore", "Quiesce"]
        run.status?.restore?.claimUID = "claim-1"
        run.status?.restore?.targetUID = "set-1"
        reader.add(claim())
        reader.add(statefulSet(replicas: 0, quarantined: true))
        return (run, reader)
    }

    static func mine(_ name: String, uid: String, resourceVersion: String = "5") -> ObjectMeta {
        ObjectMeta(
            name: name, namespace: "staging", uid: uid, resourceVersion: resourceVersion,
            labels: [
                Label.runUID: Story.uid, Label.managedBy: Label.managedByValue, Label.service: "orders",
            ])
    }

    static func statefulSet(replicas: Int, quarantined: Bool) -> StatefulSet {
        let container = PodSpec.Container(
            name: "postgres", image: "i", args: quarantined ? PostgresService.quarantineArguments(major: 15) : nil,
            env: quarantined ? [.init(name: "WALG_CLONE_FROM", value: "s3://backups/prod/orders/15")] : [])
        return StatefulSet(
            metadata: mine("orders", uid: "set-1"),
            spec: .init(replicas: replicas, template: .init(spec: .init(containers: [container]))))
    }

    static func pod(ready: Bool, restarts: Int = 0, waiting: String? = nil) -> Pod {
        var pod = Pod(metadata: mine("orders-0", uid: "pod-1"), status: .init(phase: "Running", podIP: "10.0.0.7"))
        pod.status?.conditions = [.init(type: "Ready", status: ready ? "True" : "False")]
        pod.status?.containerStatuses = [
            .init(name: "postgres", restartCount: restarts, waiting: waiting.map { .init(reason: $0) })
        ]
        return pod
    }

    static var seal: SealResult {
        var seal = SealResult(attempt: "", code: "OK")
        seal.systemIdentifier = Story.systemIdentifier
        seal.timeline = 2
        seal.backupLabel = BackupLabel(startWalLocation: "0/2000028")
        seal.parentTimeline = 1
        seal.switchLsn = "0/50001B0"
        seal.historyReason = "no recovery target specified"
        seal.serverVersionNum = 150_015
        seal.dataBytes = 25_000_000
        seal.subscriptionsDisabled = 1
        seal.rolesReset = 2
        return seal
    }

    static func claim(uid: String = "claim-1") -> PersistentVolumeClaim {
        PersistentVolumeClaim(metadata: mine("data-orders-0", uid: uid), status: .init(phase: "Bound"))
    }

    @Test("nothing is written before the ledger says running")
    func rowFirst() {
        var (run, reader) = Self.started()
        reader.ledgerAnswer = .present(.unavailable(message: "down"))
        let decision = pass(run, &reader)
        #expect(decision.effects.isEmpty)
        run.status = decision.status
        #expect(run.status?.state?.known == .running)
    }

    @Test("claim, then Secret, Service and StatefulSet, then one step after the other to the end")
    func story() throws {
        var (run, reader) = Self.started()
        reader.add(Self.claim())
        var decision = pass(run, &reader)
        #expect(decision.status?.restore?.claimUID == "claim-1")
        guard case .makeSecret(let secret) = try #require(decision.effects.first) else {
            Issue.record("the Secret comes first")
            return
        }
        #expect(secret.metadata.name == "orders-credentials")
        let kinds = decision.effects.compactMap(\.child).map(\.ref.kind.kind)
        #expect(kinds == ["Service", "StatefulSet"], "and no Service for clients")
        Self.advance(&run, decision, &reader)

        reader.add(Self.statefulSet(replicas: 1, quarantined: true))
        reader.add(Self.pod(ready: false))
        Self.advance(&run, pass(run, &reader), &reader)
        #expect(run.status?.conditions?.isTrue(RunCondition.quarantined) == true)
        reader.add(Self.pod(ready: true))
        decision = pass(run, &reader)
        #expect(
            decision.effects.first
                == .scale(Self.statefulSet(replicas: 1, quarantined: true).seen, generation: 0, to: 0))
        Self.advance(&run, decision, &reader)

        reader.add(Self.statefulSet(replicas: 0, quarantined: true))
        reader.add(Self.pod(ready: false))
        decision = pass(run, &reader)
        #expect(decision.effects.allSatisfy { $0.child == nil }, "the seal waits until the pod object is gone")
        reader.objects[Self.pod(ready: false).ref] = nil
        Self.advance(&run, pass(run, &reader), &reader)
        decision = pass(run, &reader)
        #expect(decision.effects.compactMap(\.child).map(\.ref.name) == [Story.names.job(.seal, 1)])
        reader.finish(.seal, .seal(Self.seal))
        decision = pass(run, &reader)
        let isOpened = decision.effects.contains { if case .changeTemplate = $0 { true } else { false } }
        #expect(!isOpened, "the claim is looked up before the service is opened")
        Self.advance(&run, decision, &reader)
        decision = pass(run, &reader)
        guard case .changeTemplate(let seen, let change) = try #require(decision.effects.first) else {
            Issue.record("open is one template change")
            return
        }
        #expect(seen.uid == "set-1")
        #expect(change.args == nil)
        #expect(change.replicas == 1)
        #expect(change.removeEnv == ["WALG_CLONE_FROM", "WALG_CLONE_TARGET_TIME"])
        #expect(change.env.first { $0.name == "WALG_S3_PREFIX" }?.value == "s3://backups/staging/orders")
        let key = change.env.first { $0.name == "AWS_ACCESS_KEY_ID" }
        #expect(key?.valueFrom?.secretKeyRef?.name == "own-s3")
        #expect(decision.effects.compactMap(\.child).isEmpty, "and no Service before it is open")
        Self.advance(&run, decision, &reader)
        #expect(run.status?.restore?.sealed?.timeline == 2)

        reader.add(Self.statefulSet(replicas: 1, quarantined: false))
        decision = pass(run, &reader)
        #expect(decision.effects.compactMap(\.child).map(\.ref) == [Ref(Service.resourceKind, "staging", "orders")])
        Self.advance(&run, decision, &reader)
        reader.add(Service(metadata: Self.mine("orders", uid: "svc-1")))
        reader.add(Self.pod(ready: true))
        Self.advance(&run, pass(run, &reader), &reader)
        decision = pass(run, &reader)
        #expect(decision.effects.compactMap(\.child).map(\.ref.name) == [Story.names.job(.backup, 1)])
        var backup = BackupResult(attempt: "", code: "OK")
        backup.backup = TakenBackup(name: "base_000000020000000000000004")
        reader.finish(.backup, .backup(backup))
        Self.advance(&run, pass(run, &reader), &reader)
        decision = pass(run, &reader)
        #expect(decision.effects.compactMap(\.child).map(\.ref.name) == [Story.names.job(.compareSource, 1)])
        var compared = ScanResult(attempt: "", code: "OK")
        compared.comparison = FingerprintComparison(unchanged: true, keys: 11, newHistories: [])
        reader.finish(.compareSource, .scan(compared))
        Self.advance(&run, pass(run, &reader), &reader)
        #expect(run.status?.state?.known == .completed)
        #expect(run.status?.restore?.completedSteps == Step.newService(ownArchive: true).map(\.name.rawValue))
        for type in [
            RunCondition.ownArchive, RunCondition.credentialsRotated, RunCondition.cloneEnvRemoved,
            RunCondition.freshBackup, RunCondition.sourceUntouched, RunCondition.succeeded,
        ] {
            #expect(run.status?.conditions?.isTrue(type) == true, "\(type)")
        }
        let entry = RestoreRunBehavior.entry(for: run, try #require(run.status))
        #expect(entry.status == "completed")
        #expect(entry.bytesRestored == 25_000_000)
        #expect(entry.audit.map(\.operation) == [.accepted, .started, .finished])
    }

    static func advance(_ run: inout RestoreRun, _ decision: Decision<RestoreRunStatus>, _ reader: inout FakeReader) {
        run.status = decision.status ?? run.status
        reader.recorded(run, run.status ?? RestoreRunStatus())
    }

    @Test("another base backup than the pinned one is told from the data")
    func otherBackup() {
        var (run, reader) = Self.stopped()
        var other = Self.seal
        other.backupLabel = BackupLabel(startWalLocation: "0/1000028")
        reader.finish(.seal, .seal(other))
        Self.advance(&run, pass(run, &reader), &reader)
        let verified = run.status?.conditions?.condition(RunCondition.verified)
        #expect(verified?.reason == "OtherBaseBackup")
        #expect(verified?.message.contains("0/1000028") == true)
        #expect(run.status?.restore?.sealed?.backupStartLSN == "0/1000028")
    }

    /// Its claim and StatefulSet are made, and there is no pod yet.
    static func provisioned() -> (RestoreRun, FakeReader) {
        var (run, reader) = started()
        run.status?.restore?.completedSteps = ["Claim", "Provision"]
        run.status?.restore?.claimUID = "claim-1"
        run.status?.restore?.targetUID = "set-1"
        reader.add(claim())
        reader.add(statefulSet(replicas: 1, quarantined: true))
        return (run, reader)
    }

    @Test("a volume or StatefulSet that is no longer the one that was made ends the run as interrupted")
    func replaced() {
        var (run, reader) = Self.provisioned()
        reader.add(Self.claim(uid: "claim-2"))
        let decision = pass(run, &reader)
        #expect(decision.status?.restore?.ending?.state.known == .interrupted)
        #expect(decision.status?.restore?.ending?.reason == "TargetReplaced")
    }

    @Test("a step that is not done in time fails with what held it up")
    func late() {
        var (run, reader) = Self.started()
        run.status?.restore?.completedSteps = ["Claim", "Provision"]
        run.status?.restore?.claimUID = "claim-1"
        reader.add(Self.claim())
        reader.add(Self.statefulSet(replicas: 1, quarantined: true))
        reader.add(Self.pod(ready: false, waiting: "ImagePullBackOff"))
        let soon = pass(run, &reader)
        #expect(soon.status?.conditions?.condition(RunCondition.stalled)?.reason == "ImagePullFailed")
        let late = pass(run, &reader, at: Story.now.adding(seconds: 7 * 3_600))
        #expect(late.status?.restore?.ending?.reason == "ImagePullFailed")
        reader.add(Self.pod(ready: false, restarts: 3, waiting: "CrashLoopBackOff"))
        #expect(pass(run, &reader).status?.restore?.ending?.reason == "RestoreCrashed")
    }

    @Test("a controller that was away looks before it judges how late it is")
    func away() {
        var (run, reader) = Self.stopped()
        reader.finish(.seal, .seal(Self.seal))
        let facts = reader.logs
        reader.logs = [:]
        let later = Story.now.adding(seconds: 7_200)
        let looking = pass(run, &reader, at: later)
        #expect(looking.status?.restore?.ending == nil, "its result is still being read")
        #expect(looking.wake == .at(later.adding(seconds: 900)), "and no wake in the past")
        reader.logs = facts
        #expect(pass(run, &reader, at: later).status?.restore?.sealed != nil)
    }

    @Test("a Job whose pod never began is repeated, and one whose pod is being replaced is waited for")
    func pods() {
        var (run, reader) = Self.stopped()
        reader.finish(.seal, .seal(Self.seal))
        let name = Story.names.job(.seal, 1)
        let ref = Ref(Job.resourceKind, "staging", name)
        guard var job = reader.objects[ref] as? Job else { return }
        job.status = .init(active: 1)
        reader.objects[ref] = job
        #expect(pass(run, &reader).status?.restore?.sealed == nil, "the Job has not ended")
        job.status = .init(conditions: [.init(type: "Failed", status: "True")])
        reader.objects[ref] = job
        let labels = [Label.runUID: Story.uid, Label.job: name]
        reader.add(
            Pod(
                metadata: ObjectMeta(
                    name: "\(name)-x", namespace: "staging", uid: "p", resourceVersion: "6", labels: labels),
                status: .init(phase: "Failed")))
        #expect(pass(run, &reader).effects.compactMap(\.child).map(\.ref.name) == [Story.names.job(.seal, 2)])
    }

    @Test("a repository that leads elsewhere than planned ends the run, and after the opening only what is left of it")
    func repositoryChanged() throws {
        let all = Step.newService(ownArchive: true).map(\.name.rawValue)
        for (steps, isOver) in [(Array(all.prefix(2)), false), (all.dropLast(2), true)] {
            var (run, reader) = Self.started()
            run.status?.restore?.completedSteps = steps
            run.status?.restore?.claimUID = "claim-1"
            run.status?.restore?.targetUID = "set-1"
            reader.add(Self.claim())
            reader.add(Self.statefulSet(replicas: 1, quarantined: !isOver))
            reader.add(Story.repository("own", prefix: "elsewhere"))
            let status = try #require(pass(run, &reader).status)
            if isOver {
                #expect(status.state?.known == .completed)
                #expect(status.conditions?.condition(RunCondition.freshBackup)?.reason == "RepositoryChanged")
            } else {
                #expect(status.restore?.ending?.reason == "RepositoryChanged")
                #expect(status.restore?.ending?.message.contains("s3://backups/elsewhere/orders") == true)
            }
        }
    }

    @Test("a step whose world can't be read does not wait for ever")
    func blind() throws {
        var (run, reader) = Self.stopped()
        reader.finish(.seal, .seal(Self.seal))
        reader.logs = [:]
        let late = Story.now.adding(seconds: 7_200)
        run.status = pass(run, &reader, at: late).status
        #expect(run.status?.restore?.ending == nil)
        #expect(pass(run, &reader, at: late.adding(seconds: 900)).status?.restore?.ending?.reason == "NoProgress")
    }

    @Test("a timeline that was begun in the source's archive is said")
    func newHistory() {
        var (run, reader) = Self.started()
        run.status?.restore?.completedSteps = Step.newService(ownArchive: true).map(\.name.rawValue).dropLast()
        run.status?.restore?.targetUID = "set-1"
        reader.add(Self.claim())
        var compared = ScanResult(attempt: "", code: "OK")
        compared.comparison = FingerprintComparison(
            unchanged: true, keys: 11, newHistories: ["wal_005/00000002.history"])
        reader.finish(.compareSource, .scan(compared))
        let condition = pass(run, &reader).status?.conditions?.condition(RunCondition.sourceUntouched)
        #expect(condition?.status == "False")
        #expect(condition?.message.contains("00000002.history") == true)
    }

    @Test("cancelling takes away what was made; once the service is open it is kept")
    func cancelled() {
        var (run, reader) = Self.started()
        run.spec?.cancel = true
        run.status?.restore?.completedSteps = ["Claim", "Provision"]
        var decision = pass(run, &reader)
        #expect(decision.status?.restore?.ending?.state.known == .cancelled)
        #expect(decision.status?.cancelRequestedAt != nil)
        run.status?.restore?.completedSteps = ["Claim", "Provision", "Restore", "Quiesce", "Seal", "Open"]
        decision = pass(run, &reader)
        #expect(decision.status?.state?.known == .cancelled)
        #expect(decision.status?.message?.contains("kept") == true)
        #expect(!decision.effects.contains { if case .delete = $0 { true } else { false } })
    }

    @Test(
        "a service whose opening was sent already is kept, whatever happens then, and whatever somebody puts back into it",
        arguments: [false, true])
    func halfOpen(edited: Bool) {
        var (run, reader) = Self.started()
        run.spec?.cancel = true
        run.status?.restore?.completedSteps = ["Claim", "Provision", "Restore", "Quiesce", "Seal"]
        run.status?.restore?.targetUID = "set-1"
        reader.add(Self.claim())
        var set = Self.statefulSet(replicas: 1, quarantined: false)
        if edited { set.spec?.template?.spec?.containers?[0].env = [.init(name: "WALG_CLONE_FROM", value: "s3://x")] }
        reader.add(set)
        let cancelled = pass(run, &reader)
        #expect(cancelled.status?.state?.known == .cancelled)
        #expect(cancelled.status?.message?.contains("kept") == true)
        // The same when the end was decided while the change was still on its way.
        run.status?.restore?.ending = Ending(state: .failed, reason: "NoProgress", message: "late")
        let kept = pass(run, &reader)
        #expect(kept.status?.state?.known == .failed)
        #expect(!kept.effects.contains { if case .delete = $0 { true } else { false } })
    }

    @Test("a seal that was interrupted is run again")
    func interruptedSeal() {
        var (run, reader) = Self.stopped()
        var evicted = SealResult(attempt: "", code: "Interrupted")
        evicted.step = "passwords"
        reader.finish(.seal, .seal(evicted))
        #expect(pass(run, &reader).effects.compactMap(\.child).map(\.ref.name) == [Story.names.job(.seal, 2)])
    }

    @Test("kept passwords are the source's: no Secret is drawn for them")
    func keptPasswords() {
        var (run, reader) = Self.started()
        run.spec?.target?.newService?.credentials = .init(secretName: "mine", rotate: "Never")
        run.status?.restore?.specDigest = nil
        reader.add(Self.claim())
        let effects = pass(run, &reader).effects
        #expect(!effects.contains { if case .makeSecret = $0 { true } else { false } })
        #expect(effects.contains { $0.child?.ref.kind == StatefulSet.resourceKind })
    }

    @Test("a spec that is edited under way ends the run")
    func edited() {
        var (run, reader) = Self.started()
        run.spec?.target?.newService?.image = "registry.example.com/postgres-walg:15.1"
        #expect(pass(run, &reader).status?.restore?.ending?.reason == "SpecChanged")
    }

    @Test(
        "what was made is found by the name first asked for, whatever the spec says now",
        arguments: ["other", "NOT A NAME"])
    func renamed(name: String) {
        var (run, reader) = Self.started()
        run.status?.restore?.completedSteps = ["Claim", "Provision"]
        run.status?.restore?.claimUID = "claim-1"
        run.status?.restore?.targetUID = "set-1"
        reader.add(Self.claim())
        let set = Self.statefulSet(replicas: 1, quarantined: true)
        reader.add(set)
        run.spec?.target?.newService?.name = name
        Self.advance(&run, pass(run, &reader), &reader)
        #expect(run.status?.restore?.ending?.reason == "SpecChanged")
        #expect(pass(run, &reader).effects.contains(.delete(set.seen)))
        reader.objects[set.ref] = nil
        #expect(pass(run, &reader).effects.contains(.delete(Self.claim().seen)))
        reader.objects[Self.claim().ref] = nil
        #expect(pass(run, &reader).status?.state?.known == .failed)
    }
}
