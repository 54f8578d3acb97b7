// SPDX-License-Identifier: Apache-2.0

/// The rows that a statement returned, in order, copied out of libpq.
package struct PostgresRows: Sendable, RandomAccessCollection {
    /// Column names, as the server gave them.
    package let columns: [String]
    /// The command tag: `COMMIT`, `UPDATE 1` and the like.
    package let tag: String
    private let cells: [[String?]]

    init(columns: [String] = [], cells: [[String?]] = [], tag: String = "") {
        self.columns = columns
        self.cells = cells
        self.tag = tag
    }

    /// Always 0.
    package var startIndex: Int { 0 }
    /// How many rows there are.
    package var endIndex: Int { cells.count }
    /// The row at a position.
    package subscript(position: Int) -> PostgresRow { PostgresRow(columns: columns, cells: cells[position]) }
}

/// One row.
package struct PostgresRow: Sendable {
    fileprivate let columns: [String]
    fileprivate let cells: [String?]

    /// A value that is not NULL.
    /// - Throws: `PostgresError` (`unsupported`) for a missing column, NULL, or text that is no `Value`.
    package func value<Value: PostgresText>(
        _ column: String, as type: Value.Type = Value.self
    ) throws(PostgresError) -> Value {
        guard let value = try optional(column, as: type) else {
            throw PostgresError(.unsupported, "column \(column) is NULL")
        }
        return value
    }

    /// A value, or `nil` for NULL.
    /// - Throws: `PostgresError` (`unsupported`) for a missing column, or text that is no `Value`.
    package func optional<Value: PostgresText>(
        _ column: String, as type: Value.Type = Value.self
    ) throws(PostgresError) -> Value? {
        guard let index = columns.firstIndex(of: column) else {
            throw PostgresError(.unsupported, "no column \(column) in the answer")
        }
        guard let text = cells[index] else { return nil }
        guard let value = Value(postgresText: text) else {
            throw PostgresError(.unsupported, "column \(column) is not a \(type)")
        }
        return value
    }
}
