// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// Somebody scales to 0 what a run needs at 1.
@Suite struct ScaledToZeroTests {
    /// A run whose StatefulSet is there, and whose server restores.
    private func restoring() -> (RestoreRun, FakeReader) {
        var (run, reader) = AdvanceTests.started()
        reader.add(AdvanceTests.claim())
        AdvanceTests.advance(&run, pass(run, &reader), &reader)
        scale(&reader, to: 1)
        AdvanceTests.advance(&run, pass(run, &reader), &reader)
        return (run, reader)
    }

    private func scale(_ reader: inout FakeReader, to replicas: Int) {
        reader.add(AdvanceTests.statefulSet(replicas: replicas, quarantined: true))
    }

    private func scales(_ decision: Decision<RestoreRunStatus>) -> [Int] {
        decision.effects.compactMap { if case .scale(_, _, let replicas) = $0 { replicas } else { nil } }
    }

    private func stalled(_ run: RestoreRun) -> Condition? {
        run.status?.conditions?.condition(RunCondition.stalled)
    }

    @Test("the run says so at once, and scales its own StatefulSet back, once")
    func once() throws {
        var (run, reader) = restoring()
        scale(&reader, to: 0)
        let first = pass(run, &reader)
        #expect(scales(first) == [1])
        AdvanceTests.advance(&run, first, &reader)
        #expect(stalled(run)?.reason == "ScaledToZero" && stalled(run)?.status == "True")
        #expect(run.status?.conditions?.isTrue(RunCondition.provisioned) == false)
        #expect(scales(pass(run, &reader)) == [1], "what was lost on its way is sent again")
        scale(&reader, to: 1)
        AdvanceTests.advance(&run, pass(run, &reader), &reader)
        #expect(stalled(run)?.status == "False", "\(stalled(run)?.message ?? "")")
        #expect(run.status?.conditions?.condition(RunCondition.provisioned)?.reason == "ScaledBack")
        scale(&reader, to: 0)
        let second = pass(run, &reader)
        #expect(scales(second).isEmpty, "nobody wins against a machine")
        AdvanceTests.advance(&run, second, &reader)
        let words = try #require(stalled(run))
        #expect(words.reason == "ScaledToZero")
        #expect(words.message.contains("kubectl -n staging scale statefulset orders --replicas=1"))
        #expect(run.status?.message == words.message)
    }

    @Test("who scales it to 0 again ends the run after a quarter of an hour; who scales it back lets it go on")
    func again() {
        var (run, reader) = restoring()
        for replicas in [0, 1, 0] {
            scale(&reader, to: replicas)
            AdvanceTests.advance(&run, pass(run, &reader), &reader)
        }
        let decision = pass(run, &reader)
        #expect(decision.wake == .at(Story.now.adding(seconds: 900)))
        #expect(decision.status == run.status, "what was said is not said again")
        #expect(pass(run, &reader, at: Story.now.adding(seconds: 899)).status?.restore?.ending == nil)
        let late = pass(run, &reader, at: Story.now.adding(seconds: 900))
        #expect(late.status?.restore?.ending?.reason == "ScaledToZero")
        scale(&reader, to: 1)
        let back = pass(run, &reader, at: Story.now.adding(seconds: 900))
        #expect(back.status?.restore?.ending == nil)
        #expect(back.status?.conditions?.isTrue(RunCondition.provisioned) == true)
    }

    @Test("nor is it fought for longer against one who is quicker than the run's own look")
    func unseen() {
        var (run, reader) = restoring()
        scale(&reader, to: 0)
        AdvanceTests.advance(&run, pass(run, &reader), &reader)
        #expect(scales(pass(run, &reader, at: Story.now.adding(seconds: 1_799))) == [1])
        let late = pass(run, &reader, at: Story.now.adding(seconds: 1_800))
        #expect(late.status?.restore?.ending?.reason == "ScaledToZero")
    }

    @Test("a server that had promoted by then is enough")
    func promoted() {
        var (run, reader) = restoring()
        scale(&reader, to: 0)
        AdvanceTests.advance(&run, pass(run, &reader), &reader)
        reader.add(AdvanceTests.pod(ready: true))
        let decision = pass(run, &reader)
        #expect(scales(decision).isEmpty)
        #expect(decision.status?.restore?.completedSteps?.contains("Restore") == true)
        #expect(decision.status?.conditions?.isTrue(RunCondition.provisioned) == true)
    }

    @Test("an opened service is people's own: it is said, waited for as long as the step takes, and kept")
    func opened() {
        var (run, reader) = AdvanceTests.started()
        run.status?.restore?.completedSteps = ["Claim", "Provision", "Restore", "Quiesce", "Seal", "Open"]
        run.status?.restore?.claimUID = "claim-1"
        run.status?.restore?.targetUID = "set-1"
        reader.add(AdvanceTests.claim())
        reader.add(AdvanceTests.statefulSet(replicas: 0, quarantined: false))
        let decision = pass(run, &reader)
        #expect(scales(decision).isEmpty)
        let words = decision.status?.conditions?.condition(RunCondition.stalled)
        #expect(words?.reason == "ScaledToZero" && words?.message.contains("--replicas=1") == true)
        let late = pass(run, &reader, at: Story.now.adding(seconds: 901))
        #expect(late.status?.state?.known == .failed)
        #expect(late.status?.conditions?.condition(RunCondition.finished)?.reason == "ScaledToZero")
        #expect(late.status?.conditions?.condition(RunCondition.cleanedUp)?.reason == "Kept")
    }

    @Test("and so it is said of a service whose data was replaced")
    func inPlace() {
        var world = InPlaceTests.approved()
        world.settle { $0.deeds.contains("scale to 1") }
        world.edit { $0.spec?.replicas = 1 }
        world.reader.objects[InPlaceWorld.pod().ref] = nil
        world.settle()
        world.edit { $0.spec?.replicas = 0 }
        world.settle()
        let words = world.condition(RunCondition.stalled)
        #expect(
            words?.reason == "ScaledToZero" && words?.message.contains("statefulset orders-db --replicas=1") == true)
    }
}
