// SPDX-License-Identifier: Apache-2.0

/// Why a call to PostgreSQL failed. Never holds a password, a bound value or a row's content.
package struct PostgresError: Error, Equatable, Sendable {
    /// What kind of failure it is; whether anything was committed is unknown for `timedOut` and `connectionLost`.
    package enum Code: String, Sendable {
        /// The connection string is not one. Its text is not repeated, because it may hold a password.
        case malformedConninfo
        /// No connection could be made, or the last attempt was too recent to try again.
        case unreachable
        case timedOut
        /// The connection ended while it was in use.
        case connectionLost
        /// The connection was closed by its owner.
        case closed
        /// The calling task was cancelled. What it had begun may still be done.
        case cancelled
        /// The server refused a statement; `sqlState` says why.
        case server
        /// A statement or an answer that this client can't handle: a NUL in a value, a missing column, a COPY.
        case unsupported
    }

    /// The kind of failure.
    package var code: Code
    /// The five characters of SQLSTATE, for `server`.
    package var sqlState: String?
    /// The constraint or index that refused, where the server names one.
    package var constraint: String?
    /// The server's primary message or libpq's text, one line, bounded.
    package var message: String

    /// Makes an error; the message is cut to its first line and 400 characters.
    package init(_ code: Code, _ message: String, sqlState: String? = nil, constraint: String? = nil) {
        self.code = code
        self.sqlState = sqlState
        self.constraint = constraint
        let line = message.split(whereSeparator: \.isNewline).first ?? ""
        self.message = String(line.prefix(400))
    }

    /// The class of the SQLSTATE: its first two characters.
    package var sqlClass: String? { sqlState.map { String($0.prefix(2)) } }

    /// Whether a connection that saw this error from its server should not be used again: the server is going away,
    /// out of resources, confused, or has become a standby.
    var spoilsConnection: Bool {
        guard let sqlState, let sqlClass else { return true }
        if sqlState == "57014" { return false }
        return ["08", "53", "57", "58", "XX"].contains(sqlClass) || sqlState == "25006"
    }
}
