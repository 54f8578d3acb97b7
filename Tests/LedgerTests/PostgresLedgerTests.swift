// SPDX-License-Identifier: Apache-2.0

import Foundation
import Postgres
import Resources
import Seams
import Testing

@testable import Ledger

/// Where the ledger is, as the controller is told.
@Suite struct LedgerHostTests {
    @Test func hostsOfAConnectionString() {
        let cases: [(String, [String])] = [
            ("host=ledger.db dbname=reprise user=reprise sslmode=verify-full", ["ledger.db"]),
            ("postgresql://reprise:a%2Fb@one.db:5432,two.db/reprise", ["one.db", "two.db"]),
            ("host=ledger.db hostaddr=10.0.0.8 user=reprise", ["ledger.db", "10.0.0.8"]),
            ("host=/run/postgresql dbname=reprise", []), ("dbname=reprise", []), ("host", []),
        ]
        for (text, hosts) in cases { #expect(PostgresLedger.hosts(of: text) == hosts, "\(text)") }
    }
}

/// What only the real ledger has: schema, triggers, roles.
@Suite(.enabled(if: TestDatabase.isAvailable)) struct PostgresLedgerTests {
    @Test func migratesFromNothingAndThenNotAgain() async throws {
        let database = try TestDatabase()
        // Several at once, as replicas do.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 { group.addTask { try await database.ledger().prepare() } }
            try await group.waitForAll()
        }
        let before = try await database.text("SELECT string_agg(xmin::text, ',') AS x FROM reprise.schema_migrations")
        try await database.ledger().prepare()
        let rows = try await database.sql("SELECT version, name FROM reprise.schema_migrations ORDER BY version")
        #expect(try rows.map { try $0.value("version", as: Int.self) } == Migrations.all.map(\.version))
        #expect(
            try await database.text("SELECT string_agg(xmin::text, ',') AS x FROM reprise.schema_migrations") == before)
        #expect(Migrations.all.map(\.version) == Array(1...Migrations.latest))
    }

    @Test func upgradesAndRefusesNewer() async throws {
        let database = try TestDatabase()
        try await database.ledger(knowing: Array(Migrations.all.prefix(1))).prepare()
        #expect(try await database.text("SELECT max(version)::text AS x FROM reprise.schema_migrations") == "1")
        try await database.ledger().prepare()
        // An older controller may use a newer schema that still admits it...
        let older = try database.ledger(knowing: Array(Migrations.all.prefix(1)))
        #expect(try await older.record(cloneEntry(), epoch: 1).status == "pending")
        // ... and must not use one that doesn't.
        let next = Migration(version: 3, name: "next", minReader: 3, sql: "SELECT 1")
        try await database.ledger(knowing: Migrations.all + [next]).prepare()
        let current = try database.ledger()
        #expect(await code { try await current.record(cloneEntry("run-2"), epoch: 1) } == .newerSchema)
        #expect(await code { try await current.run(uid: "run-1") } == .newerSchema)
    }

    @Test func failedMigrationLeavesNothing() async throws {
        let database = try TestDatabase()
        let bad = Migration(version: 3, name: "bad", minReader: 1, sql: "CREATE TABLE reprise.x (); SELECT 1/0")
        #expect(await code { try await database.ledger(knowing: Migrations.all + [bad]).prepare() } != nil)
        #expect(try await database.text("SELECT max(version)::text AS x FROM reprise.schema_migrations") == "2")
        #expect(try await database.text("SELECT to_regclass('reprise.x')::text AS x") == nil)
    }

    @Test func columnsAreThoseOfTheTable() async throws {
        let database = try TestDatabase()
        try await database.ledger().prepare()
        let rows = try await database.sql(
            """
            SELECT column_name::text AS name, data_type::text AS type FROM information_schema.columns
            WHERE table_schema = 'reprise' AND table_name = 'restore_runs'
            """)
        let actual = try rows.map { try $0.value("name", as: String.self) }
        let known = ["id", "cluster_uid", "epoch", "updated_at"] + RunColumns.all.map(\.name)
        #expect(Set(actual) == Set(known) && actual.count == known.count)
    }

    @Test func everyColumnIsWritten() async throws {
        let database = try TestDatabase()
        let ledger = try database.ledger()
        let entry = try Self.fullEntry()
        _ = try await ledger.record(entry, epoch: 42)
        for column in RunColumns.all {
            let isSet = try await database.text(
                "SELECT (\(raw: column.name) IS NOT NULL)::text AS x FROM reprise.restore_runs")
            #expect(isSet == "true", "\(column.name)")
            // What was bound is what is there, in the column's own terms.
            let same = try await database.text(
                """
                SELECT (\(raw: column.name) = \(try column.read(entry))::\(raw: column.type))::text AS x
                FROM reprise.restore_runs
                """)
            #expect(same == "true", "\(column.name)")
        }
        let text = try await database.text(
            """
            SELECT concat_ws('|', mode, status, phase, failed_phase, engine, strategy, destructive, to_new_service,
                source_backup, source_location, origin_service, target_service, target_kind, target_uid,
                target_service_name, plan_hash, plan_version, spec_digest, request_id, retry_of, rollback_of, epoch,
                inferred, log_id, attempt, error_message, requested_by, approved_by, bytes_total, bytes_restored,
                rto_seconds, rpo_seconds, recovery_target ->> 'kind', parameter_overrides ->> 'image',
                plan ->> 'hash', resume_token -> 'completedSteps' ->> 0, verification -> 0 ->> 'name',
                extract(epoch FROM created_at)::numeric(20, 6), extract(epoch FROM started_at)::bigint,
                extract(epoch FROM finished_at)::bigint, updated_at > now() - interval '1 hour') AS x
            FROM reprise.restore_runs WHERE cluster_uid = 'cluster-a' AND run_uid = 'run-1' AND namespace = 'staging'
                AND name = 'name-of-run-1'
            """)
        #expect(
            text == """
                pitr|failed|failed|verify|postgres|walg_restore|t|f|backup|s3://b/p|origin|target|StatefulSet|uid-1|\
                orders-run-1|plan-hash|3|digest|request|retry|rollback|42|f|log|2|boom|alice|bob|100|50|60|30|Time|\
                image:18|h|stepA|rows|1780000000.123456|1780000060|1780000120|t
                """)
    }

    static func fullEntry() throws -> LedgerEntry {
        var entry = cloneEntry(status: "failed", phase: "failed")
        entry.createdAt = Timestamp(microseconds: dawn.microseconds + 123_456)
        entry.mode = "pitr"
        entry.failedPhase = "verify"
        entry.strategy = "walg_restore"
        entry.destructive = true
        entry.toNewService = false
        entry.sourceBackup = "backup"
        entry.sourceLocation = "s3://b/p"
        entry.originService = "origin"
        entry.targetService = "target"
        entry.targetUID = "uid-1"
        entry.recoveryTarget = RecoveryTarget(kind: Open(.time))
        entry.parameterOverrides = NewService()
        entry.parameterOverrides?.image = "image:18"
        entry.plan = PlanStatus()
        entry.plan?.hash = "h"
        entry.planHash = "plan-hash"
        entry.planVersion = 3
        entry.requestID = "request"
        entry.retryOf = "retry"
        entry.rollbackOf = "rollback"
        entry.resumeToken = RestoreRecord()
        entry.resumeToken?.completedSteps = ["stepA"]
        entry.logID = "log"
        entry.attempt = 2
        entry.errorMessage = "boom"
        entry.requestedBy = "alice"
        entry.approvedBy = "bob"
        entry.bytesTotal = 100
        entry.bytesRestored = 50
        entry.rtoSeconds = 60
        entry.rpoSeconds = 30
        entry.verification = try JSONDecoder().decode(
            [RestoreRunStatus.VerificationResult].self,
            from: Data(#"[{"name": "rows", "passed": true, "milliseconds": 1}]"#.utf8))
        entry.startedAt = dawn.adding(seconds: 60)
        entry.finishedAt = dawn.adding(seconds: 120)
        return entry
    }

    @Test func textsWithNULsAreStored() async throws {
        let database = try TestDatabase()
        var entry = cloneEntry()
        entry.errorMessage = "a\0b"
        entry.plan = PlanStatus()
        entry.plan?.undo = "a\0b \\u0000 \"\\"
        _ = try await database.ledger().record(entry, epoch: 1)
        #expect(
            try await database.text("SELECT plan ->> 'undo' AS x FROM reprise.restore_runs")
                == "a\u{FFFD}b \\u0000 \"\\")
    }

    @Test func triggersGuardRunsAgainstOtherWriters() async throws {
        let database = try TestDatabase()
        let ledger = try database.ledger()
        var entry = try Self.fullEntry()
        entry.status = "running"
        entry.phase = "restore"
        entry.failedPhase = nil
        _ = try await ledger.record(entry, epoch: 5)
        let refused: [(String, String)] = [
            ("name = 'x'", "RP002"), ("mode = 'in_place'", "RP002"), ("spec_digest = 'x'", "RP002"),
            ("created_at = now()", "RP002"), ("recovery_target = '{}'", "RP002"), ("request_id = NULL", "RP002"),
            ("parameter_overrides = NULL", "RP002"), ("requested_by = 'x'", "RP002"), ("engine = 'x'", "RP002"),
            ("source_backup = 'x'", "RP002"), ("target_uid = 'x'", "RP002"), ("destructive = false", "RP002"),
            ("epoch = 4", "RP003"), ("status = 'pending'", "RP004"), ("status = 'done'", "23514"),
            ("phase = 'x'", "23514"), ("failed_phase = 'x'", "23514"), ("attempt = 0", "23514"),
        ]
        for (change, state) in refused {
            let error = await Self.refusal(database, "UPDATE reprise.restore_runs SET \(change)")
            #expect(error?.sqlState == state, "\(change)")
        }
        try await database.script("UPDATE reprise.restore_runs SET status = 'failed', phase = 'failed'")
        for change in ["status = 'running'", "error_message = 'x'", "inferred = true", "updated_at = now()"] {
            let error = await Self.refusal(database, "UPDATE reprise.restore_runs SET \(change)")
            #expect(error?.sqlState == "RP001", "\(change)")
        }
        // Touching without changing is no change.
        try await database.script("UPDATE reprise.restore_runs SET status = status")
    }

    static func refusal(_ database: TestDatabase, _ sql: String) async -> PostgresError? {
        do {
            try await database.script(sql)
            return nil
        } catch {
            return error as? PostgresError
        }
    }

    @Test func auditIsChainedAndAppendOnly() async throws {
        let database = try TestDatabase()
        let ledger = try database.ledger()
        var entry = cloneEntry()
        entry.audit = [audit(.accepted), audit(.approved), audit(.started), audit(.finished)]
        let head = try await ledger.record(entry, epoch: 1).auditHead
        #expect(try await database.sql("SELECT 1 FROM reprise.audit_breaks").isEmpty)
        let activity = try await database.text("SELECT DISTINCT activity AS x FROM reprise.restore_audit")
        #expect(activity == "EXTERNAL_SERVICE_RESTORE_RUN")
        for change in [
            "UPDATE reprise.restore_audit SET actor = 'mallory'", "DELETE FROM reprise.restore_audit",
            "TRUNCATE reprise.restore_audit",
            "SET LOCAL session_replication_role = replica; DELETE FROM reprise.restore_audit",
        ] {
            #expect(await Self.refusal(database, change)?.sqlState == "RP005", "\(change)")
        }
        #expect(try await ledger.run(uid: "run-1")?.auditHead == head)
        // Whoever takes the triggers away is found out.
        let tampering: [(String, Int)] = [
            ("UPDATE reprise.restore_audit SET actor = 'mallory' WHERE sequence = 2", 2),
            ("DELETE FROM reprise.restore_audit WHERE sequence = 1", 2),
        ]
        for (change, sequence) in tampering {
            try await database.script("ALTER TABLE reprise.restore_audit DISABLE TRIGGER ALL; \(change)")
            let broken = try await database.sql("SELECT sequence FROM reprise.audit_breaks ORDER BY 1")
            #expect(try broken.first?.value("sequence", as: Int.self) == sequence)
        }
    }

    @Test func brokenAuditRowsAreReportedAndNotRepeated() async throws {
        let database = try TestDatabase()
        let notes = Notes()
        let ledger = try database.ledger(journal: notes)
        var entry = cloneEntry()
        entry.audit = [audit(.attempt, attempt: -1), audit(.accepted)]
        #expect(try await ledger.record(entry, epoch: 1).auditHead != nil)
        #expect(ledger.audit.waiting == 0)
        #expect(notes.all.count == 1)
        #expect(notes.all.first?.fields["sqlState"] == "23514")
    }

    @Test func rolesAllowWhatTheyShould() async throws {
        let database = try TestDatabase()
        try await database.ledger().prepare()
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let roles = try String(
            contentsOf: folder.appendingPathComponent("../../docs/ledger-roles.sql"), encoding: .utf8)
        try await database.script(roles)
        try await database.script(roles)
        let user = "writer_\(database.name)"
        try await database.script("CREATE ROLE \(user) LOGIN IN ROLE reprise_writer")
        guard let server = PostgresServer.shared, database.conninfo == server.conninfo() else { return }
        let writer = try TestDatabase(conninfo: server.conninfo(user: user), name: database.name)
        var entry = cloneEntry()
        entry.audit = [audit(.accepted)]
        let ledger = try writer.ledger()
        #expect(try await ledger.record(entry, epoch: 1).auditHead != nil)
        entry.status = "running"
        #expect(try await ledger.record(entry, epoch: 1).status == "running")
        for change in [
            "DELETE FROM reprise.restore_runs", "UPDATE reprise.restore_audit SET actor = 'mallory'",
            "DELETE FROM reprise.restore_audit", "TRUNCATE reprise.restore_audit",
            "CREATE TABLE reprise.mine ()", "UPDATE reprise.schema_migrations SET min_reader = 0",
        ] {
            #expect(await Self.refusal(writer, change)?.sqlState == "42501", "\(change)")
        }
        // A controller that is ahead of the schema and may not change it waits.
        let next = Migration(version: 3, name: "next", minReader: 1, sql: "SELECT 1")
        let ahead = try writer.ledger(knowing: Migrations.all + [next])
        #expect(await code { try await ahead.run(uid: "run-1") } == .unavailable)
    }
}
