// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// A run that replaces a service's data, from its manifest to its end.
@Suite("A run in place")
struct InPlaceTests {
    /// Planned, recorded and approved: the next pass locks.
    static func approved(_ change: (inout RestoreRunSpec) -> Void = { _ in }) -> InPlaceWorld {
        var world = InPlaceWorld(change)
        world.settle()
        world.approve()
        return world
    }

    @Test("the order is: look, lock, look again, stop, permit, replace, revoke, start, unlock")
    func story() {
        var world = Self.approved()
        world.settle()
        #expect(
            world.deeds == [
                "create Job inspect-1", "create Job scan-source-1", "lock", "create Job recheck-1", "scale to 0",
                "create ConfigMap permit-replace", "create Job replace-1", "delete ConfigMap permit-replace",
                "scale to 1", "unlock",
            ])
        #expect(world.state == .completed)
        #expect(world.condition(RunCondition.approved)?.message == "approved by bob")
        #expect(world.run.status?.verification?.map(\.name) == ["orders-are-there"])
        #expect(world.run.status?.restore?.inPlace?.isSwapped == true)
        #expect(world.run.status?.restore?.inPlace?.keptUntil == world.now.adding(seconds: 86_400))
        #expect(!world.isLocked)
    }

    @Test("nothing of the service is touched while nobody has approved it")
    func waitsForApproval() throws {
        var world = InPlaceWorld()
        world.settle()
        #expect(world.deeds == ["create Job inspect-1", "create Job scan-source-1"])
        #expect(world.state == .pending)
        let approved = try #require(world.condition(RunCondition.approved))
        #expect(approved.status == "False" && approved.reason == "ApprovalRequired")
        #expect(approved.message.contains("kind: RestoreApproval"))
        #expect(approved.message.contains(world.run.status?.plan?.hash ?? "?"))
        #expect(approved.message.contains("uid: \(Story.uid)"))
    }

    @Test("the row stands in the ledger before anything is written to the service")
    func rowFirst() {
        var world = Self.approved()
        world.settle { $0.state == .running }
        world.reader.ledgerAnswer = .present(.unavailable(message: "down"))
        world.settle()
        #expect(!world.deeds.contains("scale to 0"))
        // Somebody else's scaling is no sign that the run has begun.
        let before = world.deeds
        world.edit { $0.spec?.replicas = 0 }
        world.reader.objects[InPlaceWorld.pod().ref] = nil
        world.settle()
        #expect(world.deeds == before, "no permit and no Job")
        world.reader.recorded(world.run, world.run.status ?? RestoreRunStatus())
        world.settle()
        #expect(world.state == .completed)
    }

    @Test("the replica count is written down in a pass before the one that scales")
    func replicasFirst() {
        var world = Self.approved()
        world.settle { $0.state == .running }
        #expect(world.run.status?.restore?.originalReplicas == 1)
        #expect(!world.deeds.contains("scale to 0"))
    }

    @Test("a service that was stopped stays stopped")
    func stoppedBefore() {
        var world = InPlaceWorld()
        world.edit { $0.spec?.replicas = 0 }
        world.reader.objects[InPlaceWorld.pod().ref] = nil
        world.settle()
        world.approve()
        world.settle()
        #expect(world.state == .completed)
        #expect(!world.deeds.contains { $0.hasPrefix("scale") })
        #expect(world.run.status?.message?.contains("stopped as it was") == true)
    }

    @Test("no Job is made while the old pod's object is there")
    func podFirst() {
        var world = Self.approved()
        world.settle { $0.deeds.contains("scale to 0") }
        world.reader.add(InPlaceWorld.pod())
        world.settle()
        #expect(!world.deeds.contains("create Job replace-1"))
        #expect(world.run.status?.message?.contains("waiting until pod orders-db-0 is gone") == true)
        world.now = world.now.adding(seconds: 1_000)
        var pod = InPlaceWorld.pod()
        pod.metadata.deletionTimestamp = Story.now
        world.reader.add(pod)
        world.settle()
        #expect(world.state == .failed || world.run.status?.restore?.ending?.reason == "PodStuckTerminating")
        world.reader.objects[pod.ref] = nil
        world.settle()
        #expect(world.reason == "PodStuckTerminating")
        #expect(world.workload?.replicas == 1, "and it is started again")
        #expect(!world.isLocked)
    }

    @Test("who scales the service up meanwhile is scaled back, and told")
    func scaledUp() {
        var world = Self.approved()
        world.results[.replace] = nil
        world.settle { $0.deeds.contains("create Job replace-1") }
        world.edit { $0.spec?.replicas = 1 }
        let seen = world.pass()
        let stalled = seen.status?.conditions?.condition(RunCondition.stalled)
        #expect(stalled?.reason == "ReplicasChangedByOther")
        #expect(stalled?.message.contains("get statefulset orders-db -o yaml --show-managed-fields") == true)
        #expect(world.workload?.replicas == 0)
        world.reader.finish(.replace, .replace(InPlaceWorld.replaced()), ordinal: 1, names: InPlaceWorld.scope)
        world.settle()
        #expect(world.state == .completed)
    }

    @Test("a replacement that fails leaves the old data, started again and unlocked")
    func failed() {
        var world = Self.approved()
        var result = ReplaceResult(attempt: "", code: "VerificationFailed")
        result.checks = [.init(name: "orders-are-there", passed: false, milliseconds: 3)]
        world.results[.replace] = .replace(result)
        world.settle()
        #expect(
            Array(world.deeds.suffix(7)) == [
                "create Job replace-1", "delete ConfigMap permit-replace", "create ConfigMap permit-undo",
                "create Job undo-1", "delete ConfigMap permit-undo", "scale to 1", "unlock",
            ])
        #expect(world.state == .failed)
        #expect(world.reason == "VerificationFailed")
        #expect(world.condition(RunCondition.rolledBack)?.status == "True")
    }

    @Test("a cancel before the point of no return touches nothing")
    func cancelledEarly() {
        var world = InPlaceWorld()
        world.settle()
        world.run.spec?.cancel = true
        world.settle()
        #expect(world.state == .cancelled)
        #expect(world.deeds == ["create Job inspect-1", "create Job scan-source-1"])
    }

    @Test("a cancel that comes when the lock is taken takes it off again")
    func cancelledLocked() {
        var world = Self.approved()
        world.settle { $0.isLocked }
        world.run.spec?.cancel = true
        world.settle()
        #expect(world.state == .cancelled)
        #expect(!world.isLocked)
        #expect(!world.deeds.contains("scale to 0"))
    }

    @Test("a cancel while the data is being replaced fences the Job before the volume is asked")
    func cancelledLate() {
        var world = Self.approved()
        world.results[.replace] = nil
        world.settle { $0.deeds.contains("create Job replace-1") }
        world.run.spec?.cancel = true
        world.settle()
        #expect(
            Array(world.deeds.suffix(7)) == [
                "delete ConfigMap permit-replace", "delete Job replace-1", "create ConfigMap permit-undo",
                "create Job undo-1", "delete ConfigMap permit-undo", "scale to 1", "unlock",
            ])
        #expect(world.state == .cancelled)
    }

    @Test(
        "the volume decides: a cancel that came after the swap leaves the new data, and a run that goes says where the old is",
        arguments: [false, true])
    func cancelledTooLate(isDeleted: Bool) {
        var world = Self.approved()
        world.results[.replace] = nil
        var swapped = ReplaceResult(attempt: "", code: "OK")
        swapped.swapped = true
        world.results[.undo] = .replace(swapped)
        world.settle { $0.deeds.contains("create Job replace-1") }
        if isDeleted { world.run.metadata.deletionTimestamp = world.now } else { world.run.spec?.cancel = true }
        world.settle()
        #expect(world.state == .cancelled)
        #expect(world.run.status?.restore?.inPlace?.isSwapped == true)
        #expect(world.condition(RunCondition.rolledBack)?.status == "False")
        let words = world.run.status?.message ?? ""
        #expect(words.contains("the restored data is in place"))
        // There is no run any more that a rollback could name.
        #expect(words.contains("kept for rollbackOf") == !isDeleted)
        #expect(words.contains(".reprise/\(world.run.metadata.uid ?? "")") == isDeleted)
        #expect(world.workload?.replicas == 1)
    }

    @Test("a StatefulSet that was made again ends the run as interrupted; its volume gets its data back first")
    func targetReplaced() {
        var world = Self.approved()
        world.results[.replace] = nil
        world.settle { $0.deeds.contains("create Job replace-1") }
        world.edit { $0.metadata.uid = "another" }
        world.settle()
        #expect(world.state == .interrupted)
        #expect(world.reason == "TargetReplaced")
        #expect(world.deeds.contains("create Job undo-1"))
        #expect(world.workload?.replicas == 0, "whose it is now is not scaled")
    }

    @Test("in a namespace that is going nothing can be started any more")
    func terminating() {
        var world = Self.approved()
        world.results[.replace] = nil
        world.settle { $0.deeds.contains("create Job replace-1") }
        var space = Namespace(metadata: ObjectMeta(name: "staging", uid: "space-1"))
        space.metadata.deletionTimestamp = world.now
        world.reader.add(space)
        world.reader.objects[InPlaceWorld.workload().ref] = nil
        world.settle()
        #expect(world.state == .interrupted)
        #expect(!world.deeds.contains("create Job undo-1"))
    }

    @Test("the audit says who approved it, and what became of it")
    func audit() {
        var world = Self.approved()
        world.results[.replace] = .replace(ReplaceResult(attempt: "", code: "DiskFull"))
        world.settle()
        let entry = RestoreRunBehavior.entry(for: world.run, world.run.status ?? RestoreRunStatus())
        #expect(entry.audit.map(\.operation) == [.accepted, .approved, .started, .rolledBack, .finished])
        #expect(entry.audit[1].actor == "bob")
        #expect(entry.audit[1].detail == world.run.status?.plan?.hash)
        #expect(entry.destructive && !entry.toNewService)
        #expect(entry.targetServiceName == "orders")
        #expect(entry.targetUID == InPlaceWorld.workloadUID)
    }

    /// What the Job that replaces the data was told.
    private static func replaceVariables(_ world: InPlaceWorld) throws -> [VariableManifest] {
        let job = try #require(
            world.effects.compactMap { effect in
                if case .create(.job(let job)) = effect, job.metadata.name.contains("replace") { job } else { nil }
            }.first)
        return try #require(job.spec.template.spec.containers.first).env
    }

    @Test("the backup that a ServiceBackup names is restored, wherever it says to be from then on")
    func namedBackup() throws {
        var world = InPlaceWorld {
            $0.source = RestoreSource(backup: .init(name: "monday"))
            $0.confirmCrossService = true
        }
        world.settle()
        #expect(world.condition(RunCondition.planned)?.reason == "BackupNotFound", "it is waited for")
        var spec = ServiceBackupSpec(
            discovered: DiscoveredBackup(
                repository: .init(name: "prod"), path: "orders", major: 15, name: Story.backup.name))
        func backup() -> ServiceBackup {
            ServiceBackup(metadata: ObjectMeta(name: "monday", namespace: "staging", uid: "b-1"), spec: spec)
        }
        world.reader.add(backup())
        world.settle()
        #expect(world.run.status?.plan?.baseBackup == Story.backup.name)
        #expect(world.run.status?.plan?.recoveryTarget == "BackupEnd")
        spec.discovered?.path = "elsewhere"
        world.reader.add(backup())
        world.approve()
        world.settle()
        #expect(world.state == .completed)
        let variables = try Self.replaceVariables(world)
        #expect(variables.first { $0.name == "REPRISE_SOURCE_PREFIX" }?.value == "s3://backups/prod/orders/15")
        #expect(variables.first { $0.name == "REPRISE_BACKUP" }?.value == Story.backup.name)
        #expect(
            variables.first { $0.name == "REPRISE_OWN_TAIL" }?.value == "false", "to the backup's end, and no further")
    }

    @Test("an archive that nobody recorded is restored in place, once it is said that it may be another's")
    func orphan() throws {
        func world(_ confirmed: Bool?) -> InPlaceWorld {
            InPlaceWorld {
                $0.source = RestoreSource(
                    location: BackupLocation(
                        uri: "s3://backups/prod/lost/15", engine: Open(.postgres), repository: .init(name: "prod")))
                $0.confirmCrossService = confirmed
            }
        }
        var refused = world(nil)
        refused.settle()
        #expect(refused.reason == "ConfirmMismatch")
        #expect(refused.run.status?.message?.contains("confirmCrossService") == true)
        var world = world(true)
        world.settle()
        world.approve()
        world.settle()
        #expect(world.state == .completed)
        let variables = try Self.replaceVariables(world)
        #expect(variables.first { $0.name == "REPRISE_SOURCE_PREFIX" }?.value == "s3://backups/prod/lost/15")
        let entry = RestoreRunBehavior.entry(for: world.run, world.run.status ?? RestoreRunStatus())
        #expect(entry.sourceLocation == "s3://backups/prod/lost/15")
    }
}
