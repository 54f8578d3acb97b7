// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// A run that is deleted: whether its namespace goes with it is looked up first, and if that can't be read, it is said.
@Suite struct LeavingSpaceTests {
    @Test(
        "a run that is deleted is cancelled, and one whose namespace is deleted is interrupted: that is looked up first"
    )
    func deleted() {
        var (run, reader) = AdvanceTests.started()
        run.status?.restore?.completedSteps = ["Claim", "Provision"]
        run.metadata.deletionTimestamp = Story.now
        var space = Namespace(metadata: ObjectMeta(name: "staging", uid: "space-1"))
        reader.add(space)
        let cancelled = pass(run, &reader).status?.restore?.ending
        #expect((cancelled?.state.known, cancelled?.reason) == (.cancelled, "Deleted"))
        space.metadata.deletionTimestamp = Story.now
        reader.add(space)
        let interrupted = pass(run, &reader).status
        #expect(interrupted?.restore?.ending?.state.known == .interrupted)
        #expect(interrupted?.restore?.ending?.reason == "NamespaceDeleted")
        #expect(interrupted?.cancelRequestedAt == nil)
        reader.unread = [space.ref]
        #expect(pass(run, &reader) == Decision())
        // Whoever has cancelled it before gets what he has asked for.
        run.spec?.cancel = true
        #expect(pass(run, &reader).status?.restore?.ending?.state.known == .cancelled)
    }

    @Test("a read that is refused is said, once, until it is answered; what has ended says nothing more")
    func unread() {
        var (run, reader) = AdvanceTests.started()
        run.metadata.deletionTimestamp = Story.now
        let space = Namespace(metadata: ObjectMeta(name: "staging", uid: "space-1"))
        reader.add(space)
        reader.unread = [space.ref]
        #expect(pass(run, &reader) == Decision(), "it may yet be answered")
        reader.refusal = ReadFailure(
            what: "object Namespace staging", message: "no right to get it")
        run.status = pass(run, &reader).status
        let stalled = run.status?.conditions?.condition(RunCondition.stalled)
        #expect((stalled?.status, stalled?.reason) == ("True", "ReadRefused"))
        #expect(run.status?.message == "object Namespace staging can't be read: no right to get it")
        #expect(run.status?.state?.known == .running)
        #expect(pass(run, &reader).status == run.status, "the same again is no write")
        reader.unread = []
        reader.refusal = nil
        let answered = pass(run, &reader).status
        #expect(answered?.restore?.ending?.state.known == .cancelled)
        #expect(answered?.conditions?.isTrue(RunCondition.stalled) == false)
    }

    @Test("it takes no other words away: those of an end, of what else holds the run up, and of what is over")
    func otherWords() {
        func reason(_ run: RestoreRun, _ reader: inout FakeReader) -> String? {
            reader.refusal = ReadFailure(what: "x", message: "y")
            let decision = pass(run, &reader)
            #expect(decision.effects.isEmpty && decision.status != nil)
            return decision.status?.conditions?.condition(RunCondition.reconciling)?.reason
        }
        var (run, reader) = AdvanceTests.started()
        run.spec?.cancel = true
        #expect(reason(run, &reader) == "CleaningUp")
        run.spec?.cancel = nil
        reader.ledgerAnswer = .present(.unavailable(message: "down"))
        run.status?.state = Open(.pending)
        #expect(reason(run, &reader) == "WaitingForLedger")
        let ended = EndTests.ended
        reader.recorded(ended, ended.status ?? RestoreRunStatus())
        #expect(reason(ended, &reader) != "ReadRefused")
    }
}
