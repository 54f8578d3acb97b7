// SPDX-License-Identifier: Apache-2.0

import Frames
import JSON
import KubeClient
import Reconciler
import Resources
import Seams
import Testing

@testable import ControlLoop

@Suite struct WriteTests {
    private let seen = Seen(ref: Ref(StatefulSet.resourceKind, "a", "db"), uid: "u", resourceVersion: "7")

    @Test func templatePatchMergesByNameAndRemovesByName() throws {
        let change = TemplateChange(
            container: "postgres", replicas: 1, args: nil, env: [VariableManifest("KEEP", value: "1")],
            removeEnv: ["WALG_CLONE_FROM"], readinessProbe: nil,
            livenessProbe: Probe(command: ["true"], period: 1, timeout: 2, failureThreshold: 3),
            removeStartupProbe: true, removeInitContainers: true, annotations: ["a": "b"])
        let patch = try TemplatePatch.make(seen, change)
        #expect(patch.format == .strategicMerge)
        let text = String(decoding: patch.body, as: UTF8.self)
        #expect(
            text == """
                {"metadata":{"uid":"u","resourceVersion":"7"},"spec":{"replicas":1,"template":\
                {"metadata":{"annotations":{"a":"b"}},"spec":{"initContainers":null,\
                "containers":[{"name":"postgres","args":null,\
                "readinessProbe":null,"livenessProbe":{"exec":{"command":["true"]},"periodSeconds":1,\
                "timeoutSeconds":2,"failureThreshold":3},"startupProbe":null,"env":[{"name":"KEEP","value":"1"},\
                {"$patch":"delete","name":"WALG_CLONE_FROM"}]}]}}}}
                """)
    }

    @Test func templatePatchNeedsAnIncarnation() throws {
        let change = TemplateChange(
            container: "c", replicas: 1, args: nil, env: [], removeEnv: [], readinessProbe: nil, livenessProbe: nil,
            removeStartupProbe: false)
        let nobody = Seen(ref: seen.ref, uid: "", resourceVersion: "7")
        #expect(throws: (any Error).self) { try TemplatePatch.make(nobody, change) }
        // and init containers stay unless they are to go
        let body = try TemplatePatch.make(seen, change).body
        #expect(!String(decoding: body, as: UTF8.self).contains("initContainers"))
    }

    @Test(
        arguments: [
            ([], ""), ([0], "AA"), ([255, 255], "__8"), ([1, 2, 3], "AQID"), ([0xFB, 0xFF, 0xBF, 0x10], "-_-_EA"),
        ] as [([UInt8], String)])
    func base64url(_ bytes: [UInt8], _ text: String) { #expect(Performer.base64url(bytes) == text) }

    @Test func eventNamesFollowFromWhatTheySay() {
        func name(_ version: String, _ number: Int) -> String {
            let about = Seen(ref: seen.ref, uid: "u", resourceVersion: version)
            let notice = Notice(isWarning: true, reason: "R", message: "m")
            let moment = Timestamp(seconds: 0)
            let manifest = Announcement(notice: notice, about: about, number: number, at: moment).manifest
            #expect(manifest.type == "Warning")
            return manifest.metadata.name
        }
        #expect(name("7", 0) == name("7", 0))
        #expect(name("7", 0) != name("7", 1))
        #expect(name("7", 0) != name("8", 0))
        #expect(name("7", 0).hasPrefix("db."))
    }

    @Test func resultIsBelievedOnlyWhenAllFits() throws {
        let result = BackupResult(attempt: "t1", code: "OK")
        let json = try JSON.encode(result)
        let log = Array("noise\n".utf8) + (try ResultFrame.encode(json)) + Array("more\n".utf8)
        let message = String(decoding: try TerminationMessage(code: "OK", result: json).encoded(), as: UTF8.self)
        let other = String(decoding: try TerminationMessage(code: "OK", result: [1]).encoded(), as: UTF8.self)
        func read(_ log: [UInt8], _ attempt: String, _ message: String?) -> LogFacts {
            LogReading.facts(in: log, as: LogFormat(.backup, attempt: attempt, message: message))
        }
        #expect(read(log, "t1", message) == .backup(result))
        let disbelieved: [LogFacts] = [
            read(log, "t2", message), read(log, "t1", nil), read(log, "t1", "OOM"), read(log, "t1", other),
            read([], "t1", message), read(Array(log.dropLast(20)), "t1", message),
        ]
        for facts in disbelieved {
            guard case .unbelievable = facts else {
                Issue.record("believed: \(facts)")
                continue
            }
        }
    }

    /// The status of a StatefulSet changes all the time: that is no reason to call a server that has asked for a pause.
    @Test func aPauseThatTheServerAskedForHoldsForLaterVersionsToo() {
        let later = Seen(ref: seen.ref, uid: "u", resourceVersion: "8")
        let now = Uptime(milliseconds: 1_000)
        let step = FailedStep.effect(.scale(later, generation: 1, to: 0))
        func record(_ disposition: Disposition) -> FailureRecord {
            var record = FailureRecord(
                step: .effect(.scale(seen, generation: 1, to: 0)),
                failure: Failure(
                    effect: "scale db to 0", reason: "TooManyRequests", message: "", disposition: disposition, count: 1,
                    since: Timestamp(seconds: 0)), notBefore: now.adding(7_000), lastAt: now)
            if case .retry(after: _?) = disposition { record.pauses["scale db to 0"] = record.notBefore }
            return record
        }
        func held(_ record: FailureRecord, _ what: String, _ moment: Uptime) -> Bool {
            record.heldUntil(step, what, at: moment) != nil
        }
        #expect(held(record(.retry(after: 7_000)), "scale db to 0", now.adding(6_999)))
        #expect(!held(record(.retry(after: 7_000)), "scale db to 0", now.adding(7_000)))
        #expect(!held(record(.retry(after: 7_000)), "delete db", now))
        // Where nobody asked for one, what has changed may be tried at once.
        #expect(!held(record(.retry(after: nil)), "scale db to 0", now))
        #expect(!held(record(.conflict), "scale db to 0", now))
        // The step that failed last went through: the pause of an earlier one goes on.
        #expect(record(.conflict).after(successAt: now) == nil)
        let rest = record(.retry(after: 7_000)).after(successAt: now)
        #expect(rest.map { held($0, "scale db to 0", now.adding(6_999)) } == true)
        #expect(rest?.isPast == true)
    }

    @Test func holdEndsBeforeItsDeadline() throws {
        let time = SteppedTime()
        let hold = Hold(until: time.uptime.adding(10_000), margin: 1_000, time: time)
        try hold.check()
        time.move(to: time.uptime.adding(8_999))
        try hold.check()
        time.move(to: time.uptime.adding(1))
        #expect(throws: NotHeld.self) { try hold.check() }
        hold.extend(until: hold.until.adding(10_000))
        try hold.check()
    }

    @Test func circlesAreNoticed() {
        var circle = Circle(since: Uptime(milliseconds: 0))
        let verdicts = (1...41).map { circle.noteWrite(at: Uptime(milliseconds: $0)) }
        #expect(verdicts.count { $0 } == 1)
        #expect(circle.pausedUntil(Uptime(milliseconds: 50)) != nil)
        #expect(circle.pausedUntil(Uptime(milliseconds: 60_000)) == nil)
        var slow = Circle(since: Uptime(milliseconds: 0))
        let slowVerdicts = (1...400).map { slow.noteWrite(at: Uptime(milliseconds: $0 * 1_000)) }
        #expect(slowVerdicts.count { $0 } == 0)
    }
}
