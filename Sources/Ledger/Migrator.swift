// SPDX-License-Identifier: Apache-2.0

import Postgres
import Seams

/// Brings a ledger's schema up to what this controller knows, or refuses to use it.
struct Migrator: Sendable {
    /// What is known here; tests leave some out.
    let migrations: [Migration]
    /// What one migration may take on the server, in milliseconds.
    private let statementTimeout: Int64 = 240_000
    /// Any number, the same in every controller: "reprise" in ASCII.
    private static let lock: Int64 = 0x72_65_70_72_69_73_65

    init(_ migrations: [Migration] = Migrations.all) { self.migrations = migrations }

    private var latest: Int { migrations.last?.version ?? 0 }

    /// Runs on every new connection: the server behind it may be another one, or restored from an old backup.
    ///
    /// Needs no right to change the schema when there is nothing to change.
    /// - Throws: `LedgerError` or `PostgresError`.
    func prepare(_ session: PostgresSession) throws {
        let state = try session.transaction(.readOnly) { transaction in
            try requireUTF8(transaction)
            return try installed(transaction)
        }
        try check(state)
        if let state, state.version >= latest { return }
        for migration in migrations { try apply(migration, session) }
    }

    private struct State {
        let version: Int
        let minReader: Int
    }

    private func installed(_ transaction: PostgresTransaction) throws -> State? {
        let exists = try transaction.query("SELECT to_regclass('reprise.schema_migrations') IS NOT NULL AS yes")
        guard try exists.first?.value("yes", as: Bool.self) == true else { return nil }
        let rows = try transaction.query(
            """
            SELECT coalesce(max(version), 0) AS version, coalesce(max(min_reader), 0) AS min_reader
            FROM reprise.schema_migrations
            """)
        return try rows.first.map { State(version: try $0.value("version"), minReader: try $0.value("min_reader")) }
    }

    private func check(_ state: State?) throws(LedgerError) {
        guard let state, state.minReader > latest else { return }
        throw LedgerError(
            .newerSchema, "the ledger's schema needs a controller that knows migration \(state.minReader) or later")
    }

    private func requireUTF8(_ transaction: PostgresTransaction) throws {
        let rows = try transaction.query("SELECT current_setting('server_encoding') AS encoding")
        guard try rows.first?.value("encoding", as: String.self) == "UTF8" else {
            throw LedgerError(.unavailable, "the ledger's database must have the encoding UTF8")
        }
    }

    private func apply(_ migration: Migration, _ session: PostgresSession) throws {
        try session.transaction(.readWrite, statementTimeout: statementTimeout) { transaction in
            _ = try transaction.query("SELECT pg_advisory_xact_lock(\(Self.lock))")
            try transaction.script(Migrations.bookkeeping)
            // Again, now that nobody else is at it.
            let state = try installed(transaction)
            try check(state)
            if let state, state.version >= migration.version { return }
            try transaction.script(migration.sql)
            _ = try transaction.query(
                """
                INSERT INTO reprise.schema_migrations (version, name, min_reader)
                VALUES (\(migration.version), \(migration.name), \(migration.minReader))
                """)
        }
    }
}
