// SPDX-License-Identifier: Apache-2.0

import Postgres
import Resources
import Seams

/// One entry on its way into `restore_runs`.
struct RunWrite: Sendable {
    let cluster: String
    let entry: LedgerEntry
    let epoch: Int64
    private let values: [String?]

    init(_ entry: LedgerEntry, cluster: String, epoch: Int64) throws {
        self.cluster = cluster
        self.entry = entry
        self.epoch = epoch
        values = try RunColumns.values(of: entry, cluster: cluster, epoch: epoch)
    }

    /// A row and what is only for deciding.
    struct Found {
        var row: LedgerRow
        var epoch: Int64
        /// What was asked for, if it destroys something and has not ended.
        private var openRequest: String?

        init(_ cells: PostgresRow) throws(PostgresError) {
            row = LedgerRow(
                id: try cells.value("id"), status: try cells.value("status"), phase: try cells.value("phase"),
                attempt: try cells.value("attempt"))
            row.failedPhase = try cells.optional("failed_phase")
            row.planHash = try cells.optional("plan_hash")
            row.errorMessage = try cells.optional("error_message")
            row.bytesRestored = try cells.optional("bytes_restored")
            row.inferred = try cells.value("inferred")
            epoch = try cells.value("epoch")
            openRequest = try cells.optional("open_request")
        }

        /// The row, with the completed run of any cluster that it repeats: of a request left in Git, say.
        ///
        /// `spec_digest` covers the whole spec, `confirm` and `requestID` in it.
        func whole(
            _ cluster: String, _ uid: String, _ transaction: PostgresTransaction
        ) throws(PostgresError) -> LedgerRow {
            guard let openRequest else { return row }
            let rows = try transaction.query(
                """
                SELECT id, namespace, name, run_uid, cluster_uid <> \(cluster) AS elsewhere,
                    (extract(epoch FROM finished_at) * 1000000)::bigint AS finished
                FROM reprise.restore_runs
                WHERE spec_digest = \(openRequest) AND status = 'completed' AND destructive
                    AND NOT (cluster_uid = \(cluster) AND run_uid = \(RunColumns.storable(uid)))
                ORDER BY finished_at DESC NULLS LAST, id DESC LIMIT 1
                """)
            guard let first = rows.first else { return row }
            let finished: Int64? = try first.optional("finished")
            var whole = row
            whole.repeats = AppliedRun(
                id: try first.value("id"), namespace: try first.value("namespace"), name: try first.value("name"),
                runUID: try first.value("run_uid"), isElsewhere: try first.value("elsewhere"),
                finishedAt: finished.map { Timestamp(microseconds: $0) })
            return whole
        }
    }

    /// Writes the row, if that is due.
    /// - Throws: `LedgerError` (`fenced`, `terminalRow`) or `PostgresError`.
    func perform(_ transaction: PostgresTransaction) throws -> LedgerRow {
        try write(transaction).whole(cluster, entry.runUID, transaction)
    }

    private func write(_ transaction: PostgresTransaction) throws -> Found {
        if let found = try Self.read(cluster, entry.runUID, transaction, lock: true) {
            return try change(found, transaction)
        }
        if let inserted = try transaction.query(PostgresStatement(Self.insert, values: values)).first {
            return try Found(inserted)
        }
        // Someone else inserted it in between.
        guard let found = try Self.read(cluster, entry.runUID, transaction, lock: true) else {
            throw LedgerError(.unavailable, "the row of the run appeared and disappeared")
        }
        return try change(found, transaction)
    }

    private func change(_ found: Found, _ transaction: PostgresTransaction) throws -> Found {
        guard found.epoch <= epoch else {
            throw LedgerError(.fenced, "a leader of epoch \(found.epoch) has written this run, this is \(epoch)")
        }
        let row = found.row
        if row.isTerminal {
            let replacesGuess = row.inferred && !entry.inferred && LedgerWords.isTerminal(entry.status)
            if !replacesGuess {
                guard row.status == entry.status, row.phase == entry.phase, row.failedPhase == entry.failedPhase
                else {
                    throw LedgerError(.terminalRow, "the run is \(row.status) in the ledger, not \(entry.status)")
                }
                return found
            }
        } else if Self.rank(entry.status) < Self.rank(row.status) {
            return found
        }
        if let updated = try transaction.query(PostgresStatement(Self.update, values: values)).first {
            return try Found(updated)
        }
        if found.epoch < epoch {
            _ = try transaction.query(
                """
                UPDATE reprise.restore_runs SET epoch = \(epoch)
                WHERE cluster_uid = \(cluster) AND run_uid = \(RunColumns.storable(entry.runUID))
                """)
        }
        return found
    }

    /// Who holds what this entry wanted, as `namespace/name`.
    func holder(_ index: ActiveIndex, _ session: PostgresSession) throws -> String? {
        try session.transaction(.readOnly) { transaction in
            let rows =
                switch index {
                case .target:
                    try transaction.query(
                        """
                        SELECT namespace || '/' || name || ' (' || run_uid || ')' AS holder FROM reprise.restore_runs
                        WHERE cluster_uid = \(cluster) AND target_uid = \(entry.targetUID.map(RunColumns.storable))
                            AND status = 'running' AND destructive
                        """)
                case .newService:
                    try transaction.query(
                        """
                        SELECT namespace || '/' || name || ' (' || run_uid || ')' AS holder FROM reprise.restore_runs
                        WHERE cluster_uid = \(cluster) AND namespace = \(RunColumns.storable(entry.namespace))
                            AND target_service_name = \(entry.targetServiceName.map(RunColumns.storable))
                            AND status = 'running' AND to_new_service
                        """)
                }
            return try rows.first?.value("holder")
        }
    }

    /// The row of a run; locked until the transaction ends, if asked.
    static func read(
        _ cluster: String, _ uid: String, _ transaction: PostgresTransaction, lock: Bool = false
    ) throws(PostgresError) -> Found? {
        let rows = try transaction.query(
            """
            SELECT \(raw: answer) FROM reprise.restore_runs AS r
            WHERE cluster_uid = \(cluster) AND run_uid = \(RunColumns.storable(uid))\(raw: lock ? " FOR UPDATE" : "")
            """)
        guard let first = rows.first else { return nil }
        return try Found(first)
    }

    /// A word the table doesn't know ranks highest, so that it is written, and refused by the CHECK.
    private static func rank(_ status: String) -> Int {
        if LedgerWords.isTerminal(status) { return 2 }
        return status == LedgerWords.state(.running) ? 1 : status == LedgerWords.state(.pending) ? 0 : 3
    }

    private static let answer =
        "r.id, r.status, r.phase, r.failed_phase, r.attempt, r.plan_hash, r.error_message, r.bytes_restored, "
        + "r.inferred, r.epoch, "
        + "CASE WHEN r.destructive AND r.status IN ('pending', 'running') THEN r.spec_digest END AS open_request"

    private static let parameters = RunColumns.all.enumerated().map { "$\($0.offset + 3)::\($0.element.type)" }

    private static let insert = """
        INSERT INTO reprise.restore_runs AS r
            (cluster_uid, epoch, \(RunColumns.all.map(\.name).joined(separator: ", ")))
        VALUES ($1::text, $2::bigint, \(parameters.joined(separator: ", ")))
        ON CONFLICT (cluster_uid, run_uid) DO NOTHING
        RETURNING \(answer)
        """

    private static let update = """
        UPDATE reprise.restore_runs AS r
        SET epoch = v.epoch, updated_at = clock_timestamp(),
            \(RunColumns.all.map { "\($0.name) = \($0.updated)" }.joined(separator: ", "))
        FROM (SELECT $1::text AS cluster_uid, $2::bigint AS epoch,
            \(zip(parameters, RunColumns.all).map { "\($0) AS \($1.name)" }.joined(separator: ", "))) AS v
        WHERE r.cluster_uid = v.cluster_uid AND r.run_uid = v.run_uid
            AND ROW(\(RunColumns.all.map { "r.\($0.name)" }.joined(separator: ", ")))
            IS DISTINCT FROM ROW(\(RunColumns.all.map(\.updated).joined(separator: ", ")))
        RETURNING \(answer)
        """
}
