// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Postgres
import Resources
import Seams
import Synchronization

@testable import Ledger

/// An empty database of its own: in the server of `REPRISE_TEST_LEDGER` (a connection string that may create
/// databases), else in a private server.
struct TestDatabase: Sendable {
    let conninfo: String
    let name: String
    private let admin: PostgresConnection

    private static let count = Atomic<Int>(0)

    static var isAvailable: Bool { given != nil || PostgresServer.isAvailable }

    private static var given: String? { ProcessInfo.processInfo.environment["REPRISE_TEST_LEDGER"] }

    init() throws {
        let number = Self.count.add(1, ordering: .relaxed).newValue
        let name = "reprise_test_\(getpid())_\(number)"
        if let given = Self.given {
            try PostgresServer.shell("psql '\(given)' -qc 'CREATE DATABASE \(name)'", in: "/tmp")
            try self.init(conninfo: given, name: name)
        } else {
            guard let server = PostgresServer.shared else {
                throw PostgresServer.Failure(description: "the private PostgreSQL did not start")
            }
            try server.run("createdb -h \(server.directory) -U postgres \(name)")
            try self.init(conninfo: server.conninfo(), name: name)
        }
    }

    init(conninfo: String, name: String) throws {
        self.conninfo = conninfo
        self.name = name
        var settings = PostgresSettings()
        settings.database = name
        admin = try PostgresConnection(conninfo: conninfo, settings: settings)
    }

    /// Settings that connect here; quick to give up.
    var settings: PostgresSettings {
        var settings = PostgresSettings()
        settings.database = name
        settings.firstPause = 20
        settings.longestPause = 100
        return settings
    }

    func ledger(
        _ cluster: String = "cluster-a", journal: (any Journal)? = nil, settings: PostgresSettings? = nil
    ) throws -> PostgresLedger {
        try PostgresLedger(
            conninfo: conninfo, clusterUID: cluster, settings: settings ?? self.settings, journal: journal)
    }

    func ledger(knowing migrations: [Migration]) throws -> PostgresLedger {
        try PostgresLedger(
            conninfo: conninfo, clusterUID: "cluster-a", settings: settings, journal: nil,
            migrator: Migrator(migrations))
    }

    /// One statement, past the ledger.
    @discardableResult
    func sql(_ statement: PostgresStatement) async throws -> PostgresRows {
        try await admin.transaction { try $0.query(statement) }
    }

    /// One text from the first row.
    func text(_ statement: PostgresStatement, _ column: String = "x") async throws -> String? {
        try await sql(statement).first?.optional(column)
    }

    /// Waits until some connection is in `pg_sleep`: it holds the locks that it took before.
    func waitUntilAsleep() async throws {
        let watcher = try PostgresConnection(conninfo: conninfo, settings: settings)
        for _ in 0..<1_000 {
            let asleep = try await watcher.transaction { transaction in
                try transaction.query(
                    """
                    SELECT 1 FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event = 'PgSleep'
                    """)
            }
            if !asleep.isEmpty { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw PostgresServer.Failure(description: "nobody sleeps")
    }

    /// Several statements, past the ledger.
    func script(_ sql: String) async throws {
        try await admin.transaction { try $0.script(sql) }
    }
}

/// Collects what is noted.
final class Notes: Journal {
    private let events = Mutex<[LoopEvent]>([])

    func note(_ event: LoopEvent) { events.withLock { $0.append(event) } }

    var all: [LoopEvent] { events.withLock { $0 } }
}

let dawn = Timestamp(seconds: 1_780_000_000)

/// An entry for a run that makes a new service.
func cloneEntry(_ uid: String = "run-1", status: String = "pending", phase: String = "prepare") -> LedgerEntry {
    var entry = LedgerEntry(
        runUID: uid, namespace: "staging", name: "name-of-\(uid)", specDigest: "digest", createdAt: dawn)
    entry.status = status
    entry.phase = phase
    entry.targetKind = "StatefulSet"
    entry.targetServiceName = "orders-\(uid)"
    return entry
}

/// An entry for a run that overwrites a target.
func inPlaceEntry(_ uid: String, target: String, status: String = "running") -> LedgerEntry {
    var entry = cloneEntry(uid, status: status, phase: "restore")
    entry.mode = "in_place"
    entry.destructive = true
    entry.toNewService = false
    entry.targetUID = target
    return entry
}

func audit(_ operation: AuditEntry.Operation, attempt: Int = 1) -> AuditEntry {
    AuditEntry(operation: operation, attempt: attempt, actor: "alice", detail: "why", at: dawn)
}

/// The error code of a call that must fail.
func code(_ body: () async throws -> some Any) async -> LedgerError.Code? {
    do {
        _ = try await body()
        return nil
    } catch {
        return (error as? LedgerError)?.code
    }
}
