// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Postgres
import Resources
import Seams
import Testing

@testable import Ledger

/// The ledger while things go wrong.
@Suite(.enabled(if: TestDatabase.isAvailable)) struct FaultTests {
    /// Repeats a call until it works: what the loop does.
    static func eventually<Value>(_ body: () async throws -> Value) async throws -> Value {
        let clock = ContinuousClock()
        let end = clock.now + .seconds(30)
        while true {
            do { return try await body() } catch {
                guard clock.now < end else { throw error }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    @Test(.enabled(if: PostgresServer.isAvailable))
    func serverDownThenUpAgain() async throws {
        let server = try PostgresServer()
        let database = try TestDatabase(conninfo: server.conninfo(), name: "postgres")
        let ledger = try database.ledger()
        let first = try await ledger.record(cloneEntry(), epoch: 1)
        try server.stop()
        for _ in 0..<3 {
            #expect(await code { try await ledger.record(cloneEntry(status: "running"), epoch: 1) } == .unavailable)
            #expect(await code { try await ledger.run(uid: "run-1") } == .unavailable)
        }
        // One that starts while the server is down.
        let other = try database.ledger("cluster-b")
        #expect(await code { try await other.run(uid: "run-1") } == .unavailable)
        try server.start()
        let row = try await Self.eventually { try await ledger.record(cloneEntry(status: "running"), epoch: 1) }
        #expect(row.id == first.id && row.status == "running")
        _ = try await Self.eventually { try await other.record(cloneEntry(), epoch: 1) }
        // Restarted while nobody looked: not even noticed.
        try server.stop()
        try server.start()
        #expect(try await ledger.run(uid: "run-1")?.status == "running")
    }

    @Test(.enabled(if: PostgresServer.isAvailable))
    func frozenServerIsAnsweredForInTime() async throws {
        let server = try PostgresServer()
        let database = try TestDatabase(conninfo: server.conninfo(), name: "postgres")
        var settings = database.settings
        settings.callTimeout = 500
        let ledger = try database.ledger(settings: settings)
        _ = try await Self.eventually { try await ledger.record(cloneEntry(), epoch: 1) }
        let pid = try await database.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'reprise'")
        let pids = try pid.map { try $0.value("pid", as: Int.self) }
        for pid in pids { kill(pid_t(pid), SIGSTOP) }
        let clock = ContinuousClock()
        let start = clock.now
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<10 {
                group.addTask {
                    #expect(await code { try await ledger.run(uid: "run-\(number)") } != .busy)
                }
            }
        }
        #expect(clock.now - start < .seconds(5))
        for pid in pids { kill(pid_t(pid), SIGCONT) }
        #expect(try await Self.eventually { try await ledger.run(uid: "run-1") } != nil)
    }

    @Test func lostAtCommitIsUnavailable() async throws {
        let database = try TestDatabase()
        let ledger = try database.ledger()
        try await ledger.prepare()
        try await database.script(
            """
            CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
            CREATE CONSTRAINT TRIGGER die AFTER INSERT ON reprise.restore_runs DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION public.die();
            """)
        #expect(await code { try await ledger.record(cloneEntry(), epoch: 1) } == .unavailable)
        try await database.script("DROP TRIGGER die ON reprise.restore_runs")
        #expect(try await Self.eventually { try await ledger.record(cloneEntry(), epoch: 1) }.status == "pending")
    }

    @Test func connectionKilledBetweenCallsIsReplaced() async throws {
        let database = try TestDatabase()
        let ledger = try database.ledger()
        _ = try await ledger.record(cloneEntry(), epoch: 1)
        for _ in 0..<5 {
            try await database.sql(
                """
                SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
                """)
            #expect(try await ledger.run(uid: "run-1") != nil)
        }
    }

    @Test func lockedAuditCostsTimeAndNotTheRow() async throws {
        let database = try TestDatabase()
        var settings = database.settings
        settings.lockTimeout = 100
        let ledger = try database.ledger(settings: settings)
        _ = try await ledger.record(cloneEntry(), epoch: 1)
        let blocker = try PostgresConnection(conninfo: database.conninfo, settings: database.settings)
        var entry = cloneEntry(status: "running")
        entry.audit = [audit(.accepted), audit(.started), audit(.attempt)]
        let wanted = entry
        async let blocked: Void = blocker.transaction { transaction in
            try transaction.script("LOCK TABLE reprise.restore_audit IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4)")
        }
        try await database.waitUntilAsleep()
        let row = try await ledger.record(wanted, epoch: 1)
        #expect(row.status == "running" && row.auditHead == nil)
        #expect(ledger.audit.waiting == 3)
        try await blocked
        #expect(try await ledger.record(wanted, epoch: 1).auditHead != nil)
        #expect(ledger.audit.waiting == 0)
    }

    @Test func lockedRowIsUnavailable() async throws {
        let database = try TestDatabase()
        var settings = database.settings
        settings.lockTimeout = 100
        let ledger = try database.ledger(settings: settings)
        _ = try await ledger.record(cloneEntry(), epoch: 1)
        async let blocked: Void = database.script("SELECT 1 FROM reprise.restore_runs FOR UPDATE; SELECT pg_sleep(3)")
        try await database.waitUntilAsleep()
        #expect(await code { try await ledger.record(cloneEntry(status: "running"), epoch: 1) } == .unavailable)
        try await blocked
        #expect(try await ledger.record(cloneEntry(status: "running"), epoch: 1).status == "running")
    }

    @Test func droppedTableIsUnavailable() async throws {
        let database = try TestDatabase()
        let ledger = try database.ledger()
        _ = try await ledger.record(cloneEntry(), epoch: 1)
        try await database.script("ALTER TABLE reprise.restore_runs RENAME COLUMN log_id TO away")
        #expect(await code { try await ledger.record(cloneEntry(status: "running"), epoch: 1) } == .unavailable)
    }

    @Test func cancelledCallerIsAnsweredAtOnce() async throws {
        let database = try TestDatabase()
        var settings = database.settings
        settings.lockTimeout = 60_000
        settings.statementTimeout = 60_000
        settings.callTimeout = 60_000
        let ledger = try database.ledger(settings: settings)
        _ = try await ledger.record(cloneEntry(), epoch: 1)
        // The row stays locked until this connection is closed: only cancellation can answer the call.
        let blocker = try PostgresConnection(conninfo: database.conninfo, settings: settings)
        let locked = Task {
            try await blocker.transaction { transaction in
                try transaction.script("SELECT 1 FROM reprise.restore_runs FOR UPDATE; SELECT pg_sleep(50)")
            }
        }
        try await database.waitUntilAsleep()
        let call = Task { await code { try await ledger.record(cloneEntry(status: "running"), epoch: 1) } }
        try await Task.sleep(for: .milliseconds(200))
        let clock = ContinuousClock()
        let start = clock.now
        call.cancel()
        #expect(await call.value == .unavailable)
        #expect(clock.now - start < .seconds(20))
        blocker.close()
        #expect(await locked.result.isFailure)
    }

    @Test func closedLedgerIsUnavailable() async throws {
        let database = try TestDatabase()
        let ledger = try database.ledger()
        _ = try await ledger.record(cloneEntry(), epoch: 1)
        async let blocked: Void = database.script("SELECT 1 FROM reprise.restore_runs FOR UPDATE; SELECT pg_sleep(3)")
        try await database.waitUntilAsleep()
        async let call = code { try await ledger.record(cloneEntry(status: "running"), epoch: 1) }
        try await Task.sleep(for: .milliseconds(50))
        ledger.close()
        #expect(await call == .unavailable)
        #expect(await code { try await ledger.run(uid: "run-1") } == .unavailable)
        try await blocked
    }

    @Test func errorsMapToCodes() {
        let table: [(String, LedgerError.Code)] = [
            ("08006", .unavailable), ("53100", .unavailable), ("53300", .unavailable), ("57014", .unavailable),
            ("57P01", .unavailable), ("40001", .unavailable), ("40P01", .unavailable), ("25006", .unavailable),
            ("55P03", .unavailable), ("42501", .unavailable), ("42P01", .unavailable), ("42703", .unavailable),
            ("XX000", .unavailable), ("23514", .invalid), ("23502", .invalid), ("22P02", .invalid),
            ("54000", .invalid), ("RP001", .terminalRow), ("RP002", .invalid), ("RP003", .fenced),
        ]
        for (state, code) in table {
            #expect(LedgerError(mapping: PostgresError(.server, "no", sqlState: state)).code == code, "\(state)")
        }
        for index in ["restore_runs_active_target", "restore_runs_active_new_service"] {
            let error = PostgresError(.server, "no", sqlState: "23505", constraint: index)
            #expect(LedgerError(mapping: error).code == .busy)
        }
        for code in [PostgresError.Code.unreachable, .timedOut, .connectionLost, .closed, .cancelled] {
            #expect(LedgerError(mapping: PostgresError(code, "no")).code == .unavailable)
        }
    }
}

extension Result {
    fileprivate var isFailure: Bool {
        switch self {
        case .success: false
        case .failure: true
        }
    }
}

/// Nothing of a password in what people see.
@Suite struct CredentialTests {
    @Test(arguments: [
        "postgres://reprise:canary%2Fcanary@nowhere.invalid/db?connect_timeout=2",
        "postgres://reprise:canary/canary@nowhere.invalid/db", "postgres://reprise:1/canary@nowhere.invalid/db",
        "postgres://reprise:canary@canary@nowhere.invalid/db", "postgres://reprise:canary?canary@nowhere.invalid/db",
        "postgres://reprise:[canary@nowhere.invalid/db", "host=nowhere.invalid password=canary connect_timeout=2",
        "host=/nowhere password='canary", "host=/nowhere canary", "host=/nowhere password=x canary=1",
        "host=/nowhere password=canary port=5432 sslmode=nonsense",
    ])
    func passwordsAreNotShown(_ conninfo: String) async {
        do {
            let ledger = try PostgresLedger(conninfo: conninfo, clusterUID: "cluster-a")
            #expect(!String(reflecting: ledger).contains("canary"))
            _ = try await ledger.run(uid: "run-1")
            Issue.record("connected to nowhere")
        } catch {
            #expect(error is LedgerError)
            #expect(!"\(error)".contains("canary"), "\(error)")
        }
    }
}
