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

    /// The audit row has attempt 0, so that it takes the place of none that the run itself may still bring.
    /// - Throws: `LedgerError` (`fenced`) or `PostgresError`.
    static func presumeInterrupted(
        _ cluster: String, _ uid: String, at moment: Timestamp, _ epoch: Int64, _ transaction: PostgresTransaction
    ) throws {
        let uid = RunColumns.storable(uid)
        let open = try transaction.query(
            """
            SELECT epoch FROM reprise.restore_runs
            WHERE cluster_uid = \(cluster) AND run_uid = \(uid) AND status IN ('pending', 'running') FOR UPDATE
            """)
        guard let found: Int64 = try open.first?.value("epoch") else { return }
        guard found <= epoch else {
            throw LedgerError(.fenced, "a leader of epoch \(found) has written this run, this is \(epoch)")
        }
        _ = try transaction.query(
            """
            UPDATE reprise.restore_runs
            SET status = 'interrupted', inferred = true, failed_phase = phase, phase = 'failed',
                error_message = \(LostRun.message), finished_at = \(moment.rfc3339)::timestamptz,
                epoch = \(epoch), updated_at = clock_timestamp()
            WHERE cluster_uid = \(cluster) AND run_uid = \(uid)
            """)
        _ = try? transaction.attempt {
            try transaction.query(
                """
                INSERT INTO reprise.restore_audit (cluster_uid, run_uid, operation, attempt, detail, at,
                    namespace, name, mode, source_backup, source_location, origin_service, target_service_name)
                SELECT cluster_uid, run_uid, 'finished', 0, \(LostRun.reason), finished_at,
                    namespace, name, mode, source_backup, source_location, origin_service, target_service_name
                FROM reprise.restore_runs WHERE cluster_uid = \(cluster) AND run_uid = \(uid)
                ON CONFLICT (cluster_uid, run_uid, operation, attempt) DO NOTHING
                """)
        }
    }
}
