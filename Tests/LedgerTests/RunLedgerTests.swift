// SPDX-License-Identifier: Apache-2.0

import Resources
import Seams
import Testing

/// What every `RunLedger` does: the real one and the model.
@Suite struct RunLedgerTests {
    @Test(arguments: Backend.available)
    func recordsAndReads(_ backend: Backend) async throws {
        let ledger = try World(backend).ledger()
        #expect(try await ledger.run(uid: "run-1") == nil)
        var entry = cloneEntry()
        let first = try await ledger.record(entry, epoch: 1)
        #expect((first.status, first.phase, first.attempt) == ("pending", "prepare", 1))
        #expect(first.auditHead == nil && !first.isTerminal && Int64(first.id) != nil)
        entry.status = "failed"
        entry.phase = "failed"
        entry.failedPhase = "restore"
        entry.attempt = 3
        entry.planHash = "hash"
        entry.errorMessage = "a \"quoted\"; DROP TABLE\0 ü"
        entry.bytesRestored = 1 << 50
        let second = try await ledger.record(entry, epoch: 1)
        #expect(second.id == first.id && second.isTerminal)
        #expect((second.failedPhase, second.attempt, second.planHash) == ("restore", 3, "hash"))
        #expect(second.errorMessage == "a \"quoted\"; DROP TABLE\u{FFFD} ü")
        #expect(second.bytesRestored == 1 << 50)
        #expect(try await ledger.run(uid: "run-1") == second)
    }

    @Test(arguments: Backend.available)
    func repeatingChangesNothing(_ backend: Backend) async throws {
        let world = try World(backend)
        let ledger = try world.ledger()
        var entry = cloneEntry(status: "running", phase: "restore")
        entry.recoveryTarget = RecoveryTarget(kind: Open(.time))
        entry.plan = PlanStatus()
        let first = try await ledger.record(entry, epoch: 1)
        let revision = try await world.revision("run-1")
        #expect(revision != nil)
        #expect(try await ledger.record(entry, epoch: 1) == first)
        #expect(try await world.revision("run-1") == revision)
        // A new leader that agrees makes no change that anyone sees.
        #expect(try await ledger.record(entry, epoch: 2) == first)
        #expect(try await world.revision("run-1") == revision)
        #expect(await code { try await ledger.record(entry, epoch: 1) } == .fenced)
        entry.bytesRestored = 1
        _ = try await ledger.record(entry, epoch: 2)
        #expect(try await world.revision("run-1") != revision)
    }

    @Test(arguments: Backend.available)
    func statusNeverGoesBack(_ backend: Backend) async throws {
        let ledger = try World(backend).ledger()
        let running = try await ledger.record(cloneEntry(status: "running", phase: "restore"), epoch: 1)
        let late = try await ledger.record(cloneEntry(), epoch: 1)
        #expect(late == running)
    }

    @Test(arguments: Backend.available)
    func terminalIsFinal(_ backend: Backend) async throws {
        let world = try World(backend)
        let ledger = try world.ledger()
        var done = cloneEntry(status: "completed", phase: "completed")
        let row = try await ledger.record(done, epoch: 1)
        let revision = try await world.revision("run-1")
        for status in ["pending", "running", "failed", "cancelled", "interrupted"] {
            let other = cloneEntry(status: status, phase: "restore")
            #expect(await code { try await ledger.record(other, epoch: 5) } == .terminalRow)
        }
        done.errorMessage = "a word more"
        done.audit = [audit(.finished)]
        let again = try await ledger.record(done, epoch: 5)
        #expect(again.errorMessage == nil && again.id == row.id && again.auditHead != nil)
        #expect(try await world.revision("run-1") == revision)
    }

    @Test(arguments: Backend.available)
    func guessIsReplacedOnce(_ backend: Backend) async throws {
        let ledger = try World(backend).ledger()
        _ = try await ledger.record(cloneEntry(status: "running", phase: "restore"), epoch: 1)
        var guess = cloneEntry(status: "interrupted", phase: "restore")
        guess.inferred = true
        #expect(try await ledger.record(guess, epoch: 2).inferred)
        #expect(try await ledger.record(guess, epoch: 2).inferred)
        let running = cloneEntry(status: "running", phase: "verify")
        #expect(await code { try await ledger.record(running, epoch: 2) } == .terminalRow)
        let outcome = cloneEntry(status: "completed", phase: "completed")
        let row = try await ledger.record(outcome, epoch: 2)
        #expect(row.status == "completed" && !row.inferred)
        #expect(await code { try await ledger.record(guess, epoch: 2) } == .terminalRow)
        let other = cloneEntry(status: "failed", phase: "failed")
        #expect(await code { try await ledger.record(other, epoch: 2) } == .terminalRow)
    }

    @Test(arguments: Backend.available)
    func olderLeaderIsFenced(_ backend: Backend) async throws {
        let ledger = try World(backend).ledger()
        var entry = cloneEntry()
        _ = try await ledger.record(entry, epoch: 7)
        entry.status = "running"
        entry.audit = [audit(.started)]
        #expect(await code { try await ledger.record(entry, epoch: 6) } == .fenced)
        let row = try #require(try await ledger.run(uid: "run-1"))
        #expect(row.status == "pending" && row.auditHead == nil)
        #expect(try await ledger.record(entry, epoch: 8).status == "running")
    }

    @Test(arguments: Backend.available)
    func oneDestructiveRunPerTarget(_ backend: Backend) async throws {
        let world = try World(backend)
        let ledger = try world.ledger()
        let first = inPlaceEntry("run-1", target: "sts-1")
        _ = try await ledger.record(first, epoch: 1)
        _ = try await ledger.record(inPlaceEntry("run-2", target: "sts-2"), epoch: 1)
        _ = try await ledger.record(inPlaceEntry("run-3", target: "sts-1", status: "pending"), epoch: 1)
        let third = inPlaceEntry("run-3", target: "sts-1")
        do {
            _ = try await ledger.record(third, epoch: 1)
            Issue.record("two runs hold one target")
        } catch let error as LedgerError {
            #expect(error.code == .busy)
            #expect(error.message.contains("staging/name-of-run-1 (run-1)"))
        }
        #expect(try await ledger.run(uid: "run-3")?.status == "pending")
        // Another cluster has targets of its own.
        _ = try await world.ledger("cluster-b").record(third, epoch: 1)
        var done = first
        done.status = "completed"
        done.phase = "completed"
        _ = try await ledger.record(done, epoch: 1)
        #expect(try await ledger.record(third, epoch: 1).status == "running")
    }

    @Test(arguments: Backend.available)
    func oneRunPerNewService(_ backend: Backend) async throws {
        let ledger = try World(backend).ledger()
        var first = cloneEntry("run-1", status: "running")
        var second = cloneEntry("run-2", status: "running")
        first.targetServiceName = "orders"
        second.targetServiceName = "orders"
        _ = try await ledger.record(first, epoch: 1)
        #expect(await code { try await ledger.record(second, epoch: 1) } == .busy)
        #expect(try await ledger.run(uid: "run-2") == nil)
        second.namespace = "elsewhere"
        #expect(try await ledger.record(second, epoch: 1).status == "running")
    }

    @Test(arguments: Backend.available)
    func requestDoesNotChange(_ backend: Backend) async throws {
        let ledger = try World(backend).ledger()
        let entry = cloneEntry(status: "running")
        _ = try await ledger.record(entry, epoch: 1)
        let changes: [(inout LedgerEntry) -> Void] = [
            { $0.namespace = "other" }, { $0.name = "other" }, { $0.mode = "pitr" }, { $0.specDigest = "other" },
        ]
        for change in changes {
            var other = entry
            change(&other)
            #expect(await code { try await ledger.record(other, epoch: 1) } == .invalid)
        }
    }

    @Test(arguments: Backend.available)
    func unknownWordsAreInvalid(_ backend: Backend) async throws {
        let ledger = try World(backend).ledger()
        let changes: [(inout LedgerEntry) -> Void] = [
            { $0.status = "Running" }, { $0.phase = "thinking" }, { $0.mode = "NewService" },
            { $0.failedPhase = "" }, { $0.attempt = 0 }, { $0.inferred = true },
        ]
        for change in changes {
            var entry = cloneEntry()
            change(&entry)
            #expect(await code { try await ledger.record(entry, epoch: 1) } == .invalid)
            #expect(try await ledger.run(uid: "run-1") == nil)
        }
    }

    @Test(arguments: Backend.available)
    func auditRowsAreWrittenOnce(_ backend: Backend) async throws {
        let world = try World(backend)
        let ledger = try world.ledger()
        var entry = cloneEntry()
        entry.audit = [audit(.accepted), audit(.approved)]
        let first = try await ledger.record(entry, epoch: 1)
        #expect(first.auditHead?.count == 64)
        #expect(try await ledger.record(entry, epoch: 1).auditHead == first.auditHead)
        #expect(try await world.auditCount("run-1") == 2)
        entry.status = "running"
        entry.audit = [audit(.approved), audit(.attempt, attempt: 2), audit(.attempt, attempt: 3)]
        let second = try await ledger.record(entry, epoch: 1)
        #expect(second.auditHead != first.auditHead)
        #expect(try await world.auditCount("run-1") == 4)
        #expect(try await ledger.run(uid: "run-1") == second)
    }

    @Test(arguments: Backend.available)
    func auditTroubleDoesNotFailTheRow(_ backend: Backend) async throws {
        let world = try World(backend)
        let ledger = try world.ledger()
        _ = try await ledger.record(cloneEntry(), epoch: 1)
        try await world.setAuditFailing(true)
        var entry = cloneEntry(status: "completed", phase: "completed")
        entry.audit = [audit(.started), audit(.finished)]
        let row = try await ledger.record(entry, epoch: 1)
        #expect(row.status == "completed" && row.auditHead == nil)
        #expect(try await ledger.run(uid: "run-1")?.status == "completed")
        try await world.setAuditFailing(false)
        #expect(try await world.auditCount("run-1") == 0)
        try await world.setAuditFailing(true)
        _ = try await ledger.record(cloneEntry("run-3"), epoch: 1)
        try await ledger.presumeInterrupted(uid: "run-3", at: dawn, epoch: 1)
        #expect(try await ledger.run(uid: "run-3")?.status == "interrupted")
        try await world.setAuditFailing(false)
        // The next record of any run brings them along.
        _ = try await ledger.record(cloneEntry("run-2"), epoch: 1)
        #expect(try await world.auditCount("run-1") == 2)
        #expect(try await world.auditCount("run-3") == 1)
        #expect(try await ledger.run(uid: "run-1")?.auditHead != nil)
    }

    @Test(arguments: Backend.available)
    func fiftyAtOnce(_ backend: Backend) async throws {
        let world = try World(backend)
        let ledgers = [try world.ledger(), try world.ledger()]
        let rows = try await withThrowingTaskGroup(of: LedgerRow.self) { group in
            for number in 0..<50 {
                group.addTask {
                    // Ten runs, five times each, through two connections.
                    var entry = cloneEntry("run-\(number % 10)", status: "running")
                    entry.audit = [audit(.accepted), audit(.attempt, attempt: number)]
                    return try await ledgers[number % 2].record(entry, epoch: 1)
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(rows.map(\.id)).count == 10)
        for number in 0..<10 { #expect(try await world.auditCount("run-\(number)") == 6) }
    }

    @Test(arguments: Backend.available)
    func aRequestThatWasCompletedIsKnown(_ backend: Backend) async throws {
        let world = try World(backend)
        let ledger = try world.ledger()
        func record(
            _ uid: String, _ status: String, in cluster: String = "cluster-a",
            _ change: (inout LedgerEntry) -> Void = { _ in }
        ) async throws -> LedgerRow {
            var entry = inPlaceEntry(uid, target: "sts-\(uid)", status: status)
            if status == "completed" { entry.phase = "completed" }
            change(&entry)
            return try await world.ledger(cluster).record(entry, epoch: 1)
        }
        // None of these has replaced the same: not completed, asked for something else, or destroyed nothing.
        _ = try await record("run-1", "failed")
        _ = try await record("run-2", "completed") { $0.specDigest = "another" }
        _ = try await record("run-3", "completed") { ($0.destructive, $0.toNewService) = (false, true) }
        _ = try await record("run-4", "running")
        #expect(try await record("run-9", "pending").repeats == nil)
        _ = try await record("run-5", "completed", in: "cluster-b") { $0.finishedAt = dawn }
        let elsewhere = try #require(try await record("run-9", "pending").repeats)
        #expect((elsewhere.name, elsewhere.runUID, elsewhere.isElsewhere) == ("name-of-run-5", "run-5", true))
        #expect(elsewhere.finishedAt == dawn)
        // The newest of them, and what was read is what was answered.
        _ = try await record("run-6", "completed") { $0.finishedAt = dawn.adding(seconds: 1) }
        let answered = try await record("run-9", "running")
        #expect(answered.repeats?.runUID == "run-6" && answered.repeats?.isElsewhere == false)
        #expect(try await ledger.run(uid: "run-9") == answered)
        // One that destroys nothing is not told, and neither is one that has ended.
        #expect(
            try await record("run-8", "pending") { ($0.destructive, $0.toNewService) = (false, true) }.repeats == nil)
        #expect(try await record("run-9", "failed").repeats == nil)
        #expect(try await ledger.run(uid: "run-6")?.repeats == nil)
    }

    @Test(arguments: Backend.available)
    func lostRunsFreeTheirTarget(_ backend: Backend) async throws {
        let world = try World(backend)
        let ledger = try world.ledger()
        _ = try await ledger.record(inPlaceEntry("run-1", target: "sts-1"), epoch: 3)
        _ = try await ledger.record(cloneEntry("run-2"), epoch: 3)
        _ = try await ledger.record(cloneEntry("run-3", status: "completed", phase: "completed"), epoch: 3)
        _ = try await world.ledger("cluster-b").record(cloneEntry("run-4", status: "running"), epoch: 3)
        let open = try await ledger.unfinished(beyond: 0)
        #expect(open.map(\.runUID) == ["run-1", "run-2"])
        #expect(open.first?.name == "name-of-run-1" && open.first?.namespace == "staging")
        #expect(try await ledger.unfinished(beyond: open[0].id).map(\.runUID) == ["run-2"])
        let waiting = inPlaceEntry("run-5", target: "sts-1")
        #expect(await code { try await ledger.record(waiting, epoch: 3) } == .busy)
        #expect(await code { try await ledger.presumeInterrupted(uid: "run-1", at: dawn, epoch: 2) } == .fenced)
        try await ledger.presumeInterrupted(uid: "run-1", at: dawn, epoch: 4)
        let row = try #require(try await ledger.run(uid: "run-1"))
        #expect((row.status, row.phase, row.failedPhase, row.inferred) == ("interrupted", "failed", "restore", true))
        #expect(row.errorMessage?.contains("reprise.dev/run-uid") == true)
        #expect(row.auditHead != nil, "it is in the audit")
        #expect(try await ledger.record(waiting, epoch: 4).status == "running")
        // Again, of none, of one that has ended, and of another cluster's: nothing changes.
        let revision = try await world.revision("run-1")
        for uid in ["run-1", "run-3", "run-4", "nobody"] {
            try await ledger.presumeInterrupted(uid: uid, at: dawn, epoch: 4)
        }
        #expect(try await world.revision("run-1") == revision)
        #expect(try await ledger.run(uid: "run-3")?.status == "completed")
        #expect(try await world.ledger("cluster-b").run(uid: "run-4")?.status == "running")
        // The real outcome is better than a guess, and has its place in the audit.
        var outcome = inPlaceEntry("run-1", target: "sts-1", status: "completed")
        outcome.phase = "completed"
        outcome.audit = [audit(.finished)]
        #expect(try await ledger.record(outcome, epoch: 4).status == "completed")
        #expect(try await world.auditCount("run-1") == 2)
    }

    @Test(arguments: Backend.available)
    func clustersShareOneLedger(_ backend: Backend) async throws {
        let world = try World(backend)
        let a = try world.ledger("cluster-a")
        let b = try world.ledger("cluster-b")
        let rowA = try await a.record(cloneEntry(status: "running"), epoch: 9)
        #expect(try await b.run(uid: "run-1") == nil)
        let rowB = try await b.record(cloneEntry(status: "completed", phase: "completed"), epoch: 1)
        #expect(rowA.id != rowB.id)
        #expect(try await a.run(uid: "run-1")?.status == "running")
    }
}
