// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What happens to a run that has ended, and to the row of its outcome.
@Suite("A run that has ended")
struct EndTests {
    static var ended: RestoreRun {
        var status = RestoreRunStatus()
        status.state = Open(.failed)
        status.phase = Open(.failed)
        status.attempt = 1
        status.finishedAt = Story.now
        status.message = "it failed"
        return Story.run(status)
    }

    @Test("the outcome reaches the ledger before the finalizer comes off")
    func recorded() {
        var run = Self.ended
        var reader = FakeReader()
        let entry = RestoreRunBehavior.entry(for: run, run.status ?? RestoreRunStatus())
        #expect(pass(run, &reader).effects == [.record(entry)])
        reader.recorded(run, run.status ?? RestoreRunStatus())
        let noted = pass(run, &reader)
        #expect(noted.status?.conditions?.isTrue(RunCondition.recorded) == true)
        #expect(noted.effects.isEmpty, "status first")
        run.status = noted.status
        #expect(pass(run, &reader).effects == [.setFinalizers(run.seen, [])])
        run.metadata.finalizers = []
        reader.reads = 0
        #expect(pass(run, &reader) == Decision())
        #expect(reader.reads == 0, "a recorded run holds no subscription")
    }

    @Test("while the ledger is away the spool keeps the outcome, and the object may go")
    func spooled() {
        var run = Self.ended
        var reader = FakeReader()
        reader.ledgerAnswer = .present(.unavailable(message: "down"))
        let entry = RestoreRunBehavior.entry(for: run, run.status ?? RestoreRunStatus())
        #expect(pass(run, &reader).effects == [.spool(entry)])
        reader.addSpool(entry)
        run.status = pass(run, &reader).status
        #expect(run.status?.conditions?.condition(RunCondition.recorded)?.reason == "Spooled")
        #expect(pass(run, &reader).effects == [.setFinalizers(run.seen, [])])
    }

    @Test("a terminal state is final, whatever the spec says now")
    func final() {
        var run = Self.ended
        run.spec?.cancel = true
        run.metadata.deletionTimestamp = Story.now
        var reader = FakeReader()
        reader.recorded(run, run.status ?? RestoreRunStatus())
        #expect(pass(run, &reader).status?.state?.known == .failed)
    }

    @Test("a state of a newer controller is left alone")
    func newer() {
        var run = Self.ended
        run.status?.state = Open(text: "Hibernating")
        var reader = FakeReader()
        #expect(pass(run, &reader) == Decision())
    }

    @Test("the spool is drained when the ledger is back, and only then removed")
    func drained() throws {
        let entry = RestoreRunBehavior.entry(for: Self.ended, Self.ended.status ?? RestoreRunStatus())
        let manifest = try SpoolBehavior.manifest(entry, in: "reprise-system")
        let map = ConfigMap(
            metadata: ObjectMeta(
                name: manifest.metadata.name, namespace: "reprise-system", uid: "s", resourceVersion: "1",
                labels: manifest.metadata.labels),
            data: manifest.data)
        var reader = FakeReader()
        func decide() -> Decision<NoStatus> {
            SpoolBehavior.decide(SpoolBehavior.observe(map, through: &reader), at: Story.now)
        }
        reader.ledgerAnswer = .present(.unavailable(message: "down"))
        #expect(decide() == Decision())
        reader.ledgerAnswer = .absent(confirmed: true)
        #expect(decide().effects == [.record(entry)])
        reader.recorded(Self.ended, Self.ended.status ?? RestoreRunStatus())
        #expect(decide().effects == [.delete(map.seen)])
    }
}
