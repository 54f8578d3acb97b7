// SPDX-License-Identifier: Apache-2.0

/// A value that PostgreSQL can be given and asked for as text.
package protocol PostgresText: Sendable {
    /// The text form PostgreSQL reads.
    var postgresText: String { get }
    /// Reads the text form PostgreSQL writes; `nil` when it is something else.
    init?(postgresText: String)
}

extension String: PostgresText {
    package var postgresText: String { self }
    package init?(postgresText: String) { self = postgresText }
}

extension Int: PostgresText {
    package var postgresText: String { String(self) }
    package init?(postgresText: String) { self.init(postgresText) }
}

extension Int64: PostgresText {
    package var postgresText: String { String(self) }
    package init?(postgresText: String) { self.init(postgresText) }
}

extension Bool: PostgresText {
    package var postgresText: String { self ? "t" : "f" }
    package init?(postgresText: String) {
        switch postgresText {
        case "t": self = true
        case "f": self = false
        default: return nil
        }
    }
}

/// One SQL statement with its bound values.
///
/// Interpolating a value binds it (`"SELECT \(name)::text"` sends `SELECT $1::text`), so that no value can become SQL.
/// The server infers a value's type from where it stands; write a cast where it can't.
package struct PostgresStatement: Equatable, Sendable, ExpressibleByStringInterpolation {
    /// The text, with `$1`, `$2`, ... for the values.
    package var sql: String
    /// The values in text form; `nil` is NULL.
    package var values: [String?]

    /// A statement whose text holds its own `$n`.
    package init(_ sql: String, values: [String?] = []) {
        self.sql = sql
        self.values = values
    }

    /// A statement without values.
    package init(stringLiteral value: String) { self.init(value) }

    /// A statement with the values that were interpolated.
    package init(stringInterpolation: StringInterpolation) {
        self.init(stringInterpolation.sql, values: stringInterpolation.values)
    }

    /// Collects text and values of an interpolated statement.
    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var sql = ""
        fileprivate var values: [String?] = []

        /// Starts with nothing.
        package init(literalCapacity: Int, interpolationCount: Int) {
            sql.reserveCapacity(literalCapacity + 4 * interpolationCount)
        }

        /// Adds SQL.
        package mutating func appendLiteral(_ literal: String) { sql += literal }

        /// Binds a value.
        package mutating func appendInterpolation<Value: PostgresText>(_ value: Value?) {
            values.append(value?.postgresText)
            sql += "$\(values.count)"
        }

        /// Puts in SQL as it is: for constants of ours such as a list of columns, never for a value.
        package mutating func appendInterpolation(raw text: String) { sql += text }
    }
}
