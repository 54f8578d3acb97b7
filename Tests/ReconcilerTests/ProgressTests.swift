// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

/// What is told of a restore under way, from what its log gives away.
@Suite("A restore's progress")
struct ProgressTests {
    /// A run whose image restores, with its pod running.
    static func restoring() -> (RestoreRun, FakeReader) {
        var (run, reader) = AdvanceTests.provisioned()
        reader.add(pod())
        reader.lineFacts["postgres"] = LineFacts()
        reader.recorded(run, run.status ?? RestoreRunStatus())
        return (run, reader)
    }

    static func pod(restarts: Int = 0, down: Bool = false, code: String? = nil, fetcher: Bool = false) -> Pod {
        var pod = Pod(
            metadata: AdvanceTests.mine("orders-0", uid: "pod-1"), status: .init(phase: "Running", podIP: "10.0.0.7"))
        var status = Pod.ContainerStatus(
            name: fetcher ? "restore" : "postgres", restartCount: restarts,
            waiting: down ? .init(reason: "CrashLoopBackOff") : nil)
        if down {
            let message = code.map { "{\"v\":1,\"code\":\"\($0)\",\"bytes\":2,\"sha256\":\"00\"}" }
            status.lastState = .init(terminated: .init(exitCode: 1, message: message))
        } else {
            status.state = .init(running: .init())
        }
        if fetcher { pod.status?.initContainerStatuses = [status] } else { pod.status?.containerStatuses = [status] }
        return pod
    }

    @Test("bytes, then segments, with a percentage and an end, and never backwards")
    func grows() throws {
        var (run, reader) = Self.restoring()
        var now = Story.now
        func look(_ counts: [String: Int], _ words: [String: String] = [:]) -> RestoreProgress? {
            now = now.adding(seconds: 10)
            reader.lineFacts["postgres"] = LineFacts(counts: counts, words: words)
            run.status = pass(run, &reader, at: now).status ?? run.status
            return run.status?.progress
        }
        var progress = try #require(look(["part": 1]))
        #expect(progress.bytesDone == 2_000_000)
        #expect(progress.bytesTotal == 8_000_000)
        #expect(progress.segmentsTotal == 4)
        #expect(run.status?.phase?.known == .restore)
        let first = try #require(progress.percent)
        #expect(progress.eta.map { $0 > now } == true)
        progress = try #require(look(["part": 4, "fetched": 1, "segment": 2], ["segment": "000000010000000000000003"]))
        #expect(progress.bytesDone == 8_000_000)
        #expect(progress.segmentsDone == 2)
        #expect(try #require(progress.percent) > first)
        #expect(run.status?.phase?.known == .recover)
        #expect(run.status?.restore?.recoverStartedAt == now)
        progress = try #require(look(["part": 1]))
        #expect(progress.bytesDone == 8_000_000, "the container was started again, and its log began anew")
        #expect(progress.segmentsDone == 2)
        reader.add(AdvanceTests.pod(ready: true))
        run.status = pass(run, &reader, at: now).status ?? run.status
        #expect(run.status?.progress?.percent == 100)
    }

    @Test("written at most once in five seconds, and then without anybody asking")
    func throttled() throws {
        var (run, reader) = Self.restoring()
        reader.lineFacts["postgres"] = LineFacts(counts: ["part": 1])
        run.status = pass(run, &reader).status
        let written = try #require(run.status?.progress?.updatedAt)
        for second in 1...4 {
            reader.lineFacts["postgres"] = LineFacts(counts: ["part": 1 + second])
            let decision = pass(run, &reader, at: written.adding(seconds: Int64(second)))
            #expect(decision.status == run.status, "nothing is written after \(second) s")
            #expect(decision.wake == .at(written.adding(seconds: 5)))
        }
        let later = pass(run, &reader, at: written.adding(seconds: 5))
        #expect(later.status?.progress?.bytesDone == 8_000_000)
    }

    @Test("what has not moved for long is said, and its deadline ends it")
    func quiet() throws {
        var (run, reader) = Self.restoring()
        run.spec?.deadlines = .init(restore: "2h")
        run.status?.restore?.specDigest = nil
        let first = pass(run, &reader)
        #expect(first.status?.conditions?.isTrue(RunCondition.stalled) == false)
        #expect(first.wake == .at(Story.now.adding(seconds: RestoreRunBehavior.quietLimit)))
        run.status = first.status
        let quiet = pass(run, &reader, at: Story.now.adding(seconds: RestoreRunBehavior.quietLimit))
        #expect(quiet.status?.conditions?.condition(RunCondition.stalled)?.reason == "NoProgress")
        #expect(quiet.status?.restore?.ending == nil)
        let ended = pass(run, &reader, at: Story.now.adding(seconds: 7_200))
        #expect(ended.status?.restore?.ending?.reason == "NoProgress")
    }

    @Test("a size that only a hostile bucket has does no harm")
    func hostileSizes() throws {
        var (run, reader) = Self.restoring()
        run.status?.restore?.pinnedBackup?.downloadBytes = .max
        run.status?.restore?.pinnedBackup?.downloadParts = 1
        run.status?.restore?.pinnedBackup?.segments = .max
        reader.lineFacts["postgres"] = LineFacts(counts: ["part": 1])
        let progress = try #require(pass(run, &reader).status?.progress)
        #expect(progress.bytesDone == .max)
        #expect((0...99).contains(try #require(progress.percent)))
    }

    @Test("a pod that is started again while it replays does not fall back to the fetch's deadline")
    func startedAgain() throws {
        var (run, reader) = Self.restoring()
        run.spec?.deadlines = .init(restore: "1h", recover: "6h")
        run.status?.restore?.specDigest = nil
        reader.lineFacts["postgres"] = LineFacts(words: ["segment": "000000010000000000000003"])
        run.status = pass(run, &reader, at: Story.now.adding(seconds: 1_800)).status
        reader.lineFacts["postgres"] = LineFacts()
        reader.add(Self.pod(restarts: 1))
        #expect(pass(run, &reader, at: Story.now.adding(seconds: 5 * 3_600)).status?.restore?.ending == nil)
    }

    @Test("what was in the way and has passed is forgotten, and a container that runs is not judged by its log")
    func passed() throws {
        var (run, reader) = Self.restoring()
        reader.lineFacts["postgres"] = LineFacts(counts: ["StorageAccessDenied": 1])
        run.status = pass(run, &reader).status
        #expect(run.status?.restore?.lastReason == "StorageAccessDenied")
        reader.lineFacts["postgres"] = LineFacts(counts: ["part": 1])
        run.status = pass(run, &reader, at: Story.now.adding(seconds: 10)).status
        #expect(run.status?.restore?.lastReason == nil)
        // The node went down twice; what runs now has had a hiccup.
        reader.add(Self.pod(restarts: 2))
        reader.lineFacts["postgres"] = LineFacts(counts: ["StorageUnreachable": 1])
        let decision = pass(run, &reader, at: Story.now.adding(seconds: 20))
        #expect(decision.status?.restore?.ending == nil)
        #expect(decision.status?.conditions?.isTrue(RunCondition.stalled) == false)
    }

    @Test("replaying has a deadline of its own, from when it began")
    func recoverDeadline() throws {
        var (run, reader) = Self.restoring()
        run.spec?.deadlines = .init(restore: "1h", recover: "2h")
        run.status?.restore?.specDigest = nil
        let begun = Story.now.adding(seconds: 3_000)
        reader.lineFacts["postgres"] = LineFacts(words: ["segment": "000000010000000000000003"])
        run.status = pass(run, &reader, at: begun).status
        #expect(pass(run, &reader, at: begun.adding(seconds: 7_100)).status?.restore?.ending == nil)
        #expect(pass(run, &reader, at: begun.adding(seconds: 7_200)).status?.restore?.ending?.reason == "NoProgress")
    }

    struct Trouble: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var pod: Pod
        var counts: [String: Int] = [:]
        var reason: String
        var isFatal: Bool
    }

    static let troubles: [Trouble] = [
        Trouble(
            testDescription: "a full disk ends it at once", pod: pod(down: true), counts: ["DiskFull": 1],
            reason: "DiskFull", isFatal: true),
        Trouble(
            testDescription: "a server that stops at its target instead of opening", pod: pod(down: true),
            counts: ["PromotionPending": 1], reason: "PromotionPending", isFatal: true),
        Trouble(
            testDescription: "settings that are smaller than the source's", pod: pod(down: true),
            counts: ["ParameterTooSmall": 1], reason: "ParameterTooSmall", isFatal: true),
        Trouble(
            testDescription: "a target that was not reached is tried twice", pod: pod(down: true),
            counts: ["TargetNotReached": 1], reason: "TargetNotReached", isFatal: false),
        Trouble(
            testDescription: "and then ends it", pod: pod(restarts: 1, down: true), counts: ["TargetNotReached": 1],
            reason: "TargetNotReached", isFatal: true),
        Trouble(
            testDescription: "what is only in the log of a container that runs is nothing", pod: pod(),
            counts: ["StorageUnreachable": 3], reason: "Working", isFatal: false),
        Trouble(
            testDescription: "no reason known", pod: pod(restarts: 2, down: true), reason: "RestoreCrashed",
            isFatal: false),
        Trouble(
            testDescription: "no reason known, too often", pod: pod(restarts: 3, down: true), reason: "RestoreCrashed",
            isFatal: true),
        Trouble(
            testDescription: "our own program's code", pod: pod(down: true, code: "BackupUnusable", fetcher: true),
            reason: "BackupUnusable", isFatal: true),
        Trouble(
            testDescription: "retention was quicker: the backup that was planned is gone",
            pod: pod(down: true, code: "SourceExpired", fetcher: true), reason: "SourceExpired", isFatal: true),
        Trouble(
            testDescription: "our own program was interrupted",
            pod: pod(down: true, code: "Interrupted", fetcher: true),
            reason: "RestoreCrashed", isFatal: false),
    ]

    @Test("why a restore fails is told from its log, and not from a count of restarts", arguments: troubles)
    func trouble(_ expected: Trouble) throws {
        var (run, reader) = Self.restoring()
        reader.add(expected.pod)
        reader.lineFacts = ["postgres": LineFacts(counts: expected.counts)]
        let status = try #require(pass(run, &reader).status)
        #expect(status.restore?.ending?.reason == (expected.isFatal ? expected.reason : nil))
        if !expected.isFatal {
            #expect(status.conditions?.condition(RunCondition.stalled)?.reason == expected.reason)
        } else if let known = PostgresLog.reason(expected.reason) {
            #expect(status.restore?.ending?.message.contains(known.wayOut) == true)
        }
        run.status = status
    }

    /// Jobs match their logs by themselves, with a table of their own in `programs/postgres/prologue.sh`.
    @Test("the controller and the programs of Jobs have one word for one trouble")
    func oneVocabulary() {
        let program = PostgresPrograms.seal
        for reason in PostgresLog.reasons where !reason.lines.isEmpty {
            // Only an image's entrypoint leaves that behind.
            guard reason.name != "StagingLeftOver" else { continue }
            #expect(program.contains("\(reason.name)\t"), "\(reason.name)")
        }
    }

    @Test("a reason that was seen is not forgotten when the container is started again")
    func remembered() throws {
        var (run, reader) = Self.restoring()
        reader.lineFacts["postgres"] = LineFacts(counts: ["DiskFull": 1])
        run.status = pass(run, &reader).status
        #expect(run.status?.restore?.lastReason == "DiskFull")
        reader.lineFacts["postgres"] = LineFacts()
        reader.add(Self.pod(restarts: 1))
        #expect(pass(run, &reader).status?.restore?.ending == nil, "it runs again")
        reader.lineFacts["postgres"] = LineFacts(counts: ["StagingLeftOver": 1])
        reader.add(Self.pod(restarts: 1, down: true))
        #expect(pass(run, &reader).status?.restore?.ending?.reason == "DiskFull")
    }

    @Test("with a moment as target, another LATEST ends the attempt as soon as the log tells it")
    func otherLatest() throws {
        let spec: (inout RestoreRunSpec) -> Void = {
            $0.mode = Open(.pointInTime)
            $0.recoveryTarget = Story.time(Story.now.adding(seconds: -100))
        }
        for (target, ends) in [(true, true), (false, false)] {
            var (run, reader) = Self.restoring()
            if target { run = settle(Story.run(nil, spec), Story.scanned()).run }
            run.status?.restore?.completedSteps = ["Claim", "Provision"]
            run.status?.restore?.claimUID = "claim-1"
            run.status?.restore?.targetUID = "set-1"
            reader.recorded(run, run.status ?? RestoreRunStatus())
            reader.lineFacts["postgres"] = LineFacts(words: ["latest": "base_000000010000000000000005"])
            let ending = pass(run, &reader).status?.restore?.ending
            #expect((ending?.reason == "OtherBaseBackup") == ends)
        }
    }
}
