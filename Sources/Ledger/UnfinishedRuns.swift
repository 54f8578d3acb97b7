// SPDX-License-Identifier: Apache-2.0

import Postgres
import Resources
import Seams

/// Rows of runs that have not ended, and what becomes of them when nobody is left to end them.
enum UnfinishedRuns {
    /// Rows of other clusters are none of ours: their objects can't be seen from here.
    static func read(
        _ cluster: String, beyond id: Int64, _ transaction: PostgresTransaction
    ) throws(PostgresError) -> [UnfinishedRun] {
        let rows = try transaction.query(
            """
            SELECT id, run_uid, namespace, name FROM reprise.restore_runs
            WHERE cluster_uid = \(cluster) AND status IN ('pending', 'running') AND id > \(id)
            ORDER BY id LIMIT \(Int64(UnfinishedRun.page))
            """)
        var runs: [UnfinishedRun] = []
        for row in rows {
            runs.append(
                UnfinishedRun(
                    id: try row.value("id"), runUID: try row.value("run_uid"),
                    namespace: try row.value("namespace"), name: try row.value("name")))
        }
        return runs
    }

    /// - Returns: What the row says now, as far as an audit row copies it, with the audit row that this means; `nil` when there
    ///   was nothing to end.
    /// - Throws: `LedgerError` (`fenced`) or `PostgresError`.
    static func presumeInterrupted(
        _ cluster: String, _ uid: String, at moment: Timestamp, _ epoch: Int64, _ transaction: PostgresTransaction
    ) throws -> LedgerEntry? {
        let stored = RunColumns.storable(uid)
        let open = try transaction.query(
            """
            SELECT epoch FROM reprise.restore_runs
            WHERE cluster_uid = \(cluster) AND run_uid = \(stored) AND status IN ('pending', 'running') FOR UPDATE
            """)
        guard let found: Int64 = try open.first?.value("epoch") else { return nil }
        guard found <= epoch else {
            throw LedgerError(.fenced, "a leader of epoch \(found) has written this run, this is \(epoch)")
        }
        let rows = try transaction.query(
            """
            UPDATE reprise.restore_runs
            SET status = 'interrupted', inferred = true, failed_phase = phase, phase = 'failed',
                error_message = \(LostRun.message), finished_at = \(moment.rfc3339)::timestamptz,
                epoch = \(epoch), updated_at = clock_timestamp()
            WHERE cluster_uid = \(cluster) AND run_uid = \(stored)
            RETURNING namespace, name, mode, spec_digest, source_backup, source_location, origin_service,
                target_service_name
            """)
        guard let row = rows.first else { return nil }
        var run = LedgerEntry(
            runUID: uid, namespace: try row.value("namespace"), name: try row.value("name"),
            specDigest: try row.value("spec_digest"), createdAt: moment)
        run.mode = try row.value("mode")
        run.sourceBackup = try row.optional("source_backup")
        run.sourceLocation = try row.optional("source_location")
        run.originService = try row.optional("origin_service")
        run.targetServiceName = try row.optional("target_service_name")
        run.audit = [LostRun.audit(at: moment)]
        return run
    }
}
