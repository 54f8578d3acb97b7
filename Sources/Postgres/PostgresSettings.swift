// SPDX-License-Identifier: Apache-2.0

/// How long things may take. Lengths of time are milliseconds unless the name says otherwise.
package struct PostgresSettings: Equatable, Sendable {
    /// Per address, in whole seconds (libpq's unit; at least 2). A `connect_timeout` in the connection string wins.
    package var connectTimeoutSeconds: Int
    /// What the server allows one statement.
    package var statementTimeout: Int64
    /// What the server allows waiting for one lock.
    package var lockTimeout: Int64
    /// What a whole call may take, waiting for its turn included.
    package var callTimeout: Int64
    /// What preparing a new connection (for the ledger: migrations) may take. Callers don't wait longer than
    /// `callTimeout` for it.
    package var prepareTimeout: Int64
    /// The first pause after a failed attempt to connect; it doubles up to `longestPause`. A call within a pause
    /// fails at once with the error of the last attempt.
    package var firstPause: Int64
    /// The longest pause between attempts to connect.
    package var longestPause: Int64
    /// Sent as `application_name` unless the connection string has one.
    package var applicationName: String
    /// Replaces the database that the connection string names.
    package var database: String?

    /// Settings for a small, near database.
    package init() {
        connectTimeoutSeconds = 5
        statementTimeout = 5_000
        lockTimeout = 2_000
        callTimeout = 15_000
        prepareTimeout = 300_000
        firstPause = 200
        longestPause = 5_000
        applicationName = "reprise"
        database = nil
    }
}
