// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// Somebody has deleted a service and asks for another of its name at once.
@Suite struct LeavingClaimTests {
    private func claim(isDeleting: Bool) -> PersistentVolumeClaim {
        var claim = PersistentVolumeClaim(
            metadata: ObjectMeta(name: "data-orders-0", namespace: "staging", uid: "x", resourceVersion: "1"))
        if isDeleting { claim.metadata.deletionTimestamp = Story.now }
        return claim
    }

    private func planned(_ run: RestoreRun) -> Condition? {
        run.status?.conditions?.condition(RunCondition.planned)
    }

    @Test("a claim on its way out is waited for, and then the run goes on")
    func waits() {
        var reader = Story.scanned()
        let leaving = claim(isDeleting: true)
        reader.strangers[leaving.ref] = leaving
        let (run, last, effects) = settle(Story.run(), reader)
        #expect(run.status?.state?.known == .pending)
        #expect(planned(run)?.reason == "TargetNotEmpty")
        #expect(run.status?.message?.contains("data-orders-0") == true)
        #expect(run.status?.message?.contains("is being deleted") == true)
        #expect(run.status?.conditions?.condition(RunCondition.stalled)?.status == "True")
        #expect(last.wake == .at(Story.now.adding(seconds: RestoreRunBehavior.prepareDeadline)))
        #expect(effects.compactMap(\.child).isEmpty)
        reader.strangers[leaving.ref] = nil
        #expect(planned(settle(run, reader).run)?.isTrue == true)
    }

    @Test("what was said of it stands while the names are looked up again: each write is a reason to")
    func quietWhileReading() {
        var reader = Story.scanned()
        let leaving = claim(isDeleting: true)
        reader.strangers[leaving.ref] = leaving
        let (run, _, _) = settle(Story.run(), reader)
        reader.unread = [
            leaving.ref, Ref(StatefulSet.resourceKind, "staging", "orders"),
            Ref(Service.resourceKind, "staging", "orders"), Ref(Service.resourceKind, "staging", "orders-pods"),
        ]
        let asked = pass(run, &reader)
        #expect(asked.status == nil || asked.status == run.status)
    }

    @Test("one that stays is a refusal after ten minutes, and one that does not go is one at once")
    func refuses() {
        var reader = Story.scanned()
        let leaving = claim(isDeleting: true)
        reader.strangers[leaving.ref] = leaving
        let waiting = settle(Story.run(), reader).run
        let late = Story.now.adding(seconds: RestoreRunBehavior.prepareDeadline)
        let refused = settle(waiting, reader, at: late).run
        #expect(refused.status?.state?.known == .failed)
        #expect(refused.status?.conditions?.condition(RunCondition.finished)?.reason == "TargetNotEmpty")
        let staying = claim(isDeleting: false)
        reader.strangers[staying.ref] = staying
        #expect(settle(Story.run(), reader).run.status?.state?.known == .failed)
    }

    @Test("nor is it waited for beside a StatefulSet that stays")
    func besideAnother() {
        var reader = Story.scanned()
        let leaving = claim(isDeleting: true)
        reader.strangers[leaving.ref] = leaving
        let set = StatefulSet(
            metadata: ObjectMeta(name: "orders", namespace: "staging", uid: "y", resourceVersion: "1"))
        reader.strangers[set.ref] = set
        let run = settle(Story.run(), reader).run
        #expect(run.status?.state?.known == .failed)
        #expect(run.status?.message?.contains("StatefulSet orders") == true)
    }
}
