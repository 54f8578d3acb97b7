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
        var (run, reader) = AdvanceTests.stopped()
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

    /// With segments of 64 MiB the names count otherwise: the segment 16 begins at 0/58000000.
    @Test(
        "where recovery ended is told with the archive's own size of segments",
        arguments: [
            ("0/20000000", "WALGap"), ("0/58000000", "WALGap"), ("0/58000100", nil), (nil, "WALGap"),
        ] as [(String?, String?)])
    func geometry(_ end: String?, _ reason: String?) throws {
        var (run, reader) = AdvanceTests.stopped()
        run.status?.restore?.pinnedBackup?.name = "base_000000010000000000000010"
        run.status?.restore?.pinnedBackup?.startLSN = "0/40000028"
        run.status?.restore?.pinnedBackup?.newestSegment = "000000010000000000000016"
        var seal = AdvanceTests.seal
        seal.backupLabel = BackupLabel(startWalLocation: "0/40000028")
        seal.switchLsn = end
        reader.finish(.seal, .seal(seal))
        #expect(try #require(pass(run, &reader).status).restore?.ending?.reason == reason)
    }

    struct Moment: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var target: RecoveryTarget
        /// What PostgreSQL wrote into the history of the new timeline.
        var history: String
        var start = "0/2000028"
        var parent: Int64 = 1
        /// `nil`: proven.
        var reason: String?
        /// How the status has it; `nil`: as PostgreSQL wrote it.
        var told: String?
    }

    static var moments: [Moment] {
        // 2027-01-15 07:58:20 UTC
        let late = Story.now.adding(seconds: -100)
        func target(_ kind: RecoveryTargetKind, _ change: (inout RecoveryTarget) -> Void) -> RecoveryTarget {
            var target = RecoveryTarget(kind: Open(kind))
            change(&target)
            return target
        }
        return [
            Moment(
                testDescription: "the first commit after the moment", target: Story.time(late),
                history: "before 2027-01-15 07:58:20.000001+00", told: "before 2027-01-15 07:58:20.000001 UTC"),
            Moment(
                testDescription: "in another zone", target: Story.time(late),
                history: "before 2027-01-15 13:28:21+05:30", told: "before 2027-01-15 07:58:21 UTC"),
            Moment(
                testDescription: "a commit before the moment", target: Story.time(late),
                history: "before 2027-01-15 07:58:19+00", reason: "TargetNotReached"),
            Moment(
                testDescription: "the image went on to the end", target: Story.time(late),
                history: "no recovery target specified", reason: "TargetIgnored"),
            Moment(
                testDescription: "another base backup, however right the moment looks", target: Story.time(late),
                history: "before 2027-01-15 07:58:30+00", start: "0/4000028", reason: "OtherBaseBackup"),
            Moment(
                testDescription: "an exclusive moment stops before its own commit",
                target: Story.time(late, inclusive: false), history: "before 2027-01-15 07:58:20+00",
                told: "before 2027-01-15 07:58:20 UTC"),
            Moment(
                testDescription: "another timeline than the one to follow",
                target: Story.time(late, inclusive: false), history: "before 2027-01-15 07:58:20+00", parent: 3,
                reason: "OtherTimeline"),
            Moment(
                testDescription: "an LSN that version 12 did not reach, and said nothing of",
                target: target(.lsn) { $0.lsn = "0/3000060" }, history: "before LSN 0/0", reason: "TargetNotReached"),
            Moment(
                testDescription: "a transaction number of 64 bits",
                target: target(.xid) { $0.xid = "4294968040" }, history: "after transaction 744"),
            Moment(
                testDescription: "an LSN", target: target(.lsn) { $0.lsn = "0/3000060" }, history: "after LSN 0/3000088"
            ),
            Moment(
                testDescription: "a transaction", target: target(.xid) { $0.xid = "727" },
                history: "after transaction 727"),
            Moment(
                testDescription: "another transaction", target: target(.xid) { $0.xid = "727" },
                history: "after transaction 728", reason: "TargetNotReached"),
            Moment(
                testDescription: "a restore point", target: target(.name) { $0.name = "before drop" },
                history: "at restore point \"before drop\""),
        ]
    }

    @Test("that the moment was met is told from the data", arguments: moments)
    func moment(_ expected: Moment) throws {
        var reader = Story.scanned()
        var run = settle(
            Story.run(nil) {
                $0.mode = Open(.pointInTime)
                $0.recoveryTarget = expected.target
            }, reader
        ).run
        run.status?.restore?.completedSteps = ["Claim", "Provision", "Restore", "Quiesce"]
        run.status?.restore?.claimUID = "claim-1"
        run.status?.restore?.targetUID = "set-1"
        reader.recorded(run, run.status ?? RestoreRunStatus())
        reader.add(AdvanceTests.claim())
        reader.add(AdvanceTests.statefulSet(replicas: 0, quarantined: true))
        var seal = AdvanceTests.seal
        seal.historyReason = expected.history
        seal.backupLabel = BackupLabel(startWalLocation: expected.start)
        seal.parentTimeline = expected.parent
        reader.finish(.seal, .seal(seal))
        let status = try #require(pass(run, &reader).status)
        #expect(status.restore?.ending?.reason == expected.reason, "\(status.restore?.ending?.message ?? "")")
        #expect((status.restore?.sealed != nil) == (expected.reason == nil))
        if let told = status.restore?.sealed?.recoveredTo {
            #expect(told == expected.told ?? expected.history, "a moment is told in UTC")
        }
    }
}
