// SPDX-License-Identifier: Apache-2.0

import Postgres
import Resources
import Seams
import Synchronization

/// One audit row, with the run whose circumstances it copies.
struct AuditItem: Sendable {
    let cluster: String
    let run: LedgerEntry
    let audit: AuditEntry

    /// What makes it the same row: the table's unique constraint.
    var key: [String] { [cluster, run.runUID, audit.operation.rawValue, String(audit.attempt)] }
}

/// Adds audit rows: best effort, never in the way of the row they describe, tried again with later records.
///
/// What could not be written is kept in memory, at most `capacity` rows; the oldest go first. The loop repeats an
/// entry's audit rows with its next record anyway, so this only helps runs that have none.
final class AuditWriter: Sendable {
    /// What became of the audit rows of one record, if its transaction is committed.
    struct Outcome: Sendable {
        var head: String?
        fileprivate var done: [AuditItem] = []
        fileprivate var left: [AuditItem] = []
        fileprivate var trouble: PostgresError?
    }

    private let journal: (any Journal)?
    private let backlog = Mutex<[AuditItem]>([])
    private let capacity = 1_000
    /// How many of the backlog one record tries along with its own.
    private let share = 8

    init(journal: (any Journal)?) { self.journal = journal }

    /// How many rows wait for another try.
    var waiting: Int { backlog.withLock { $0.count } }

    /// Writes the audit rows of a run within the transaction that writes its row, each behind a savepoint.
    /// - Parameter run: What the row says, with the audit rows to add.
    /// - Throws: `PostgresError`, only when the transaction can't go on.
    func perform(
        _ run: LedgerEntry, cluster: String, _ transaction: PostgresTransaction
    ) throws -> Outcome {
        var outcome = Outcome()
        let own = run.audit.map { AuditItem(cluster: cluster, run: run, audit: $0) }
        for item in own + backlog.withLock({ Array($0.prefix(share)) }) {
            // After trouble the rest waits too: each try may cost a lock timeout.
            if outcome.trouble != nil && !outcome.left.isEmpty {
                outcome.left.append(item)
                continue
            }
            do {
                try transaction.attempt { try Self.insert(item, transaction) }
                outcome.done.append(item)
            } catch let error as PostgresError where error.code == .server {
                outcome.trouble = error
                if Self.isHopeless(error) { outcome.done.append(item) } else { outcome.left.append(item) }
            }
        }
        outcome.head = try Self.head(cluster, run.runUID, transaction)
        return outcome
    }

    /// Takes note of an outcome, once it is committed.
    func settle(_ outcome: Outcome, run: String) {
        backlog.withLock { kept in
            let done = Set(outcome.done.map(\.key))
            kept.removeAll { done.contains($0.key) }
            let known = Set(kept.map(\.key))
            kept.append(contentsOf: outcome.left.filter { !known.contains($0.key) })
            kept.removeFirst(max(0, kept.count - capacity))
        }
        guard let trouble = outcome.trouble else { return }
        journal?.note(
            LoopEvent(
                .warning, "Audit rows were not written",
                ["run": run, "reason": trouble.message, "sqlState": trouble.sqlState ?? ""]))
    }

    /// Hash of the newest audit row; `nil` when there is none or it can't be read.
    /// - Throws: `PostgresError`, only when the transaction can't go on.
    static func head(_ cluster: String, _ runUID: String, _ transaction: PostgresTransaction) throws -> String? {
        do {
            return try transaction.attempt {
                let rows = try transaction.query(
                    """
                    SELECT hash FROM reprise.restore_audit
                    WHERE cluster_uid = \(cluster) AND run_uid = \(RunColumns.storable(runUID))
                    ORDER BY sequence DESC LIMIT 1
                    """)
                return try rows.first?.value("hash")
            }
        } catch let error as PostgresError where error.code == .server {
            return nil
        }
    }

    /// Whether the row itself is at fault, so that trying again is no use.
    private static func isHopeless(_ error: PostgresError) -> Bool {
        ["22", "23", "54"].contains(error.sqlClass)
    }

    private static func insert(_ item: AuditItem, _ transaction: PostgresTransaction) throws {
        let run = item.run
        let clean = { (text: String?) in text.map(RunColumns.storable) }
        _ = try transaction.query(
            """
            INSERT INTO reprise.restore_audit (cluster_uid, run_uid, operation, attempt, actor, detail, at,
                namespace, name, mode, source_backup, source_location, origin_service, target_service_name)
            VALUES (\(item.cluster), \(clean(run.runUID)), \(item.audit.operation.rawValue), \(item.audit.attempt),
                \(clean(item.audit.actor)), \(clean(item.audit.detail)), \(item.audit.at.rfc3339)::timestamptz,
                \(clean(run.namespace)), \(clean(run.name)), \(clean(run.mode)), \(clean(run.sourceBackup)),
                \(clean(run.sourceLocation)), \(clean(run.originService)), \(clean(run.targetServiceName)))
            ON CONFLICT (cluster_uid, run_uid, operation, attempt) DO NOTHING
            """)
    }
}
