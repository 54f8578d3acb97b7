// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What the seal's facts are held against, and what follows when they do not fit.
@Suite("The seal's verdict")
struct SealTests {
    struct Verdict: Sendable, CustomTestStringConvertible {
        var reason: String
        var names: String
        var result: SealResult
        var testDescription: String { reason }
    }

    static var verdicts: [Verdict] {
        func changed(_ change: (inout SealResult) -> Void) -> SealResult {
            var result = AdvanceTests.seal
            change(&result)
            return result
        }
        return [
            Verdict(
                reason: "RestoreNotPerformed", names: "42",
                result: changed {
                    $0.systemIdentifier = "42"; $0.code = "RestoreNotPerformed"
                }),
            Verdict(reason: "RestoreNotPerformed", names: "base backup", result: changed { $0.backupLabel = nil }),
            Verdict(reason: "NotPromoted", names: "timeline 1", result: changed { $0.timeline = 1 }),
            Verdict(reason: "MajorMismatch", names: "14", result: changed { $0.serverVersionNum = 140_011 }),
            Verdict(
                reason: "InheritedRecoveryTarget", names: "before 2026-05-01",
                result: changed { $0.historyReason = "before 2026-05-01 00:00:00+00" }),
            Verdict(
                reason: "WALGap", names: "000000010000000000000005",
                result: changed {
                    $0.parentTimeline = 1
                    $0.switchLsn = "0/4FFFFD8"
                }),
            Verdict(
                reason: "PasswordNotSet", names: "step passwords",
                result: changed {
                    $0.code = "PasswordNotSet"; $0.step = "passwords"
                }),
        ]
    }

    @Test("what the seal could not prove ends the run, and what it made is taken away", arguments: verdicts)
    func unproven(_ verdict: Verdict) {
        var (run, reader) = AdvanceTests.started()
        run.status?.restore?.completedSteps = ["Claim", "Provision", "Restore", "Quiesce"]
        run.status?.restore?.claimUID = "claim-1"
        run.status?.restore?.targetUID = "set-1"
        reader.add(AdvanceTests.claim())
        reader.add(AdvanceTests.statefulSet(replicas: 0, quarantined: true))
        reader.finish(.seal, .seal(verdict.result))
        run.status = pass(run, &reader).status ?? run.status
        #expect(run.status?.state?.known == .running, "first what it made goes")
        #expect(run.status?.restore?.ending?.reason == verdict.reason)
        #expect(run.status?.restore?.ending?.message.contains(verdict.names) == true)
        var decision = pass(run, &reader)
        #expect(decision.effects.contains(.delete(AdvanceTests.statefulSet(replicas: 0, quarantined: true).seen)))
        let job = Ref(Job.resourceKind, "staging", Story.names.job(.seal, 1))
        #expect(decision.effects.contains { if case .delete(let seen) = $0 { seen.ref == job } else { false } })
        #expect(!decision.effects.contains(.delete(AdvanceTests.claim().seen)), "the claim goes last")
        reader.objects[AdvanceTests.statefulSet(replicas: 0, quarantined: true).ref] = nil
        reader.objects[job] = nil
        decision = pass(run, &reader)
        #expect(decision.effects.contains(.delete(AdvanceTests.claim().seen)))
        reader.objects[AdvanceTests.claim().ref] = nil
        run.status = pass(run, &reader).status ?? run.status
        #expect(run.status?.state?.known == .failed)
        #expect(run.status?.failedPhase?.known == .verify)
        #expect(run.status?.conditions?.condition(RunCondition.finished)?.reason == verdict.reason)
    }
}
