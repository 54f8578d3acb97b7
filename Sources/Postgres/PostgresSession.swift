// SPDX-License-Identifier: Apache-2.0

import CPostgres
import Glibc

/// A live connection, as seen by work on its thread: calls here block that thread, never longer than the call's
/// deadline. Not for keeping: it is valid until the closure that received it returns.
///
/// libpq's own `PQcancel` is not used: it opens a connection and may block as long as the network pleases. A statement
/// that outlives its deadline loses its connection; what the server still does of it is bounded by the
/// `statement_timeout` and `lock_timeout` that every transaction sets.
package final class PostgresSession {
    private let connection: OpaquePointer
    private let interrupt: Int32
    private let settings: PostgresSettings
    /// In monotonic milliseconds.
    var deadline: Int64
    /// Nothing more can be sent.
    private(set) var isBroken = false
    /// The call may go on, the next one needs another connection.
    private(set) var isSpoiled = false
    /// Something other than BEGIN was sent since `begin(deadline:)`.
    private(set) var hasSent = false

    /// Takes over a connection that is ready for statements.
    init(_ connection: OpaquePointer, interrupt: Int32, settings: PostgresSettings, deadline: Int64) {
        self.connection = connection
        self.interrupt = interrupt
        self.settings = settings
        self.deadline = deadline
        PQsetnonblocking(connection, 1)
        PQsetNoticeReceiver(connection, { _, _ in }, nil)
    }

    deinit {
        // Shut down first: PQfinish says goodbye, and that must not wait for a server that no longer reads.
        if isBroken, PQsocket(connection) >= 0 { shutdown(PQsocket(connection), Int32(SHUT_RDWR)) }
        PQfinish(connection)
    }

    /// Gets ready for the next call.
    func begin(deadline: Int64) {
        self.deadline = deadline
        hasSent = false
    }

    /// Whether the server has closed an idle connection meanwhile.
    func isStale() -> Bool {
        if isBroken || PQstatus(connection) != CONNECTION_OK { return true }
        var descriptor = pollfd(fd: PQsocket(connection), events: Int16(POLLIN), revents: 0)
        guard poll(&descriptor, 1, 0) > 0 else { return false }
        return PQconsumeInput(connection) != 1 || PQstatus(connection) != CONNECTION_OK
    }

    /// What a transaction may do.
    package enum Access: Sendable {
        case readOnly
        case readWrite
    }

    /// Runs `body` in a transaction (READ COMMITTED) and commits it; rolls back when `body` throws.
    ///
    /// Within it, names must be qualified: the `search_path` is `pg_catalog`. The settings are local to the
    /// transaction, so a pooler between here and the server may share connections between transactions.
    /// - Throws: what `body` throws, or `PostgresError`. After `timedOut` or `connectionLost` the transaction may have
    ///   been committed or not.
    package func transaction<Value>(
        _ access: Access = .readWrite, statementTimeout: Int64? = nil,
        _ body: (PostgresTransaction) throws -> Value
    ) throws -> Value {
        let mode = access == .readOnly ? "READ ONLY" : "READ WRITE"
        _ = try execute(
            """
            BEGIN ISOLATION LEVEL READ COMMITTED \(mode);
            SET LOCAL search_path = pg_catalog, pg_temp;
            SET LOCAL lock_timeout = \(settings.lockTimeout);
            SET LOCAL statement_timeout = \(statementTimeout ?? settings.statementTimeout);
            SET LOCAL idle_in_transaction_session_timeout = \(settings.callTimeout)
            """, nil)
        let value: Value
        do {
            value = try body(PostgresTransaction(session: self))
        } catch {
            rollback()
            throw error
        }
        hasSent = true
        let answer = try execute("COMMIT", nil)
        guard answer.tag == "COMMIT" else {
            throw PostgresError(.server, "the transaction was rolled back by the server", sqlState: "40000")
        }
        return value
    }

    private func rollback() {
        if isBroken { return }
        do { _ = try execute("ROLLBACK", nil) } catch { isBroken = true }
    }

    func send(_ sql: String, _ values: [String?]?) throws(PostgresError) -> PostgresRows {
        hasSent = true
        return try execute(sql, values)
    }

    /// Sends a statement (with `values`) or a script (without) and reads everything that comes of it.
    private func execute(_ sql: String, _ values: [String?]?) throws(PostgresError) -> PostgresRows {
        guard !isBroken else { throw PostgresError(.connectionLost, "the connection was lost before") }
        guard !sql.utf8.contains(0), !(values ?? []).contains(where: { $0?.utf8.contains(0) == true }) else {
            throw PostgresError(.unsupported, "PostgreSQL has no text with a NUL in it")
        }
        let sent: Int32
        if let values {
            let copies = values.map { $0.flatMap { strdup($0) } }
            defer { for copy in copies { free(copy) } }
            let pointers = copies.map { $0.map { UnsafePointer($0) } }
            sent = PQsendQueryParams(connection, sql, Int32(pointers.count), nil, pointers, nil, nil, 0)
        } else {
            sent = PQsendQuery(connection, sql)
        }
        guard sent == 1 else { throw lost() }
        try flush()
        return try collect()
    }

    private func flush() throws(PostgresError) {
        while true {
            let left = PQflush(connection)
            if left == 0 { return }
            guard left == 1 else { throw lost() }
            // The server may have to be read before it reads on.
            try wait(for: POLLIN | POLLOUT)
            guard PQconsumeInput(connection) == 1 else { throw lost() }
        }
    }

    private func collect() throws(PostgresError) -> PostgresRows {
        var rows = PostgresRows()
        var failure: PostgresError?
        while true {
            while PQisBusy(connection) == 1 {
                try wait(for: POLLIN)
                guard PQconsumeInput(connection) == 1 else { throw lost() }
            }
            guard let result = PQgetResult(connection) else { break }
            defer { PQclear(result) }
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
                rows = Self.copy(result)
            case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE:
                failure = failure ?? error(of: result)
            default:
                isBroken = true
                throw PostgresError(.unsupported, "an answer of a kind that is not handled")
            }
        }
        if PQstatus(connection) != CONNECTION_OK { isBroken = true }
        if let failure {
            if failure.spoilsConnection { isSpoiled = true }
            throw failure
        }
        return rows
    }

    private func error(of result: OpaquePointer) -> PostgresError {
        guard let state = reprise_sqlstate(result) else { return lost() }
        return PostgresError(
            .server, reprise_primary_message(result).map { String(cString: $0) } ?? "no message",
            sqlState: String(cString: state), constraint: reprise_constraint(result).map { String(cString: $0) })
    }

    private func lost() -> PostgresError {
        isBroken = true
        return PostgresError(.connectionLost, "the connection to PostgreSQL was lost")
    }

    /// Waits until the socket is ready for one of `events`.
    private func wait(for events: Int32) throws(PostgresError) {
        while true {
            var descriptors = [
                pollfd(fd: PQsocket(connection), events: Int16(events), revents: 0),
                pollfd(fd: interrupt, events: Int16(POLLIN), revents: 0),
            ]
            let left = deadline - monotonicMilliseconds()
            guard left > 0 else {
                isBroken = true
                throw PostgresError(.timedOut, "PostgreSQL did not answer in time")
            }
            let ready = poll(&descriptors, 2, Int32(min(left, 60_000)))
            if descriptors[1].revents != 0 {
                isBroken = true
                throw PostgresError(.closed, "the connection is closed")
            }
            if ready > 0 { return }
            if ready < 0, errno != EINTR { throw lost() }
        }
    }

    private static func copy(_ result: OpaquePointer) -> PostgresRows {
        let width = PQnfields(result)
        let columns = (0..<width).map { String(cString: PQfname(result, $0)) }
        let cells = (0..<PQntuples(result)).map { row in
            (0..<width).map { column -> String? in
                guard PQgetisnull(result, row, column) == 0 else { return nil }
                return String(cString: PQgetvalue(result, row, column))
            }
        }
        return PostgresRows(columns: columns, cells: cells, tag: String(cString: PQcmdStatus(result)))
    }
}

/// The statements of one transaction.
package struct PostgresTransaction {
    fileprivate let session: PostgresSession

    /// Runs one statement.
    /// - Throws: `PostgresError`; after one, only `attempt` or the end of the transaction goes on.
    package func query(_ statement: PostgresStatement) throws(PostgresError) -> PostgresRows {
        try session.send(statement.sql, statement.values)
    }

    /// Runs several statements without values, separated by semicolons.
    /// - Throws: `PostgresError`.
    package func script(_ sql: String) throws(PostgresError) {
        _ = try session.send(sql, nil)
    }

    /// Runs `body` behind a savepoint: when it throws, what it did is undone and the transaction can go on.
    /// - Throws: what `body` throws, or `PostgresError`.
    package func attempt<Value>(_ body: () throws -> Value) throws -> Value {
        _ = try session.send("SAVEPOINT attempt", nil)
        let value: Value
        do {
            value = try body()
        } catch {
            if !session.isBroken { _ = try session.send("ROLLBACK TO attempt; RELEASE attempt", nil) }
            throw error
        }
        _ = try session.send("RELEASE attempt", nil)
        return value
    }
}
