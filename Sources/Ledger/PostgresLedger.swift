// SPDX-License-Identifier: Apache-2.0

package import Postgres
package import Resources
package import Seams

/// The ledger in PostgreSQL: `reprise.restore_runs` and `reprise.restore_audit`.
///
/// - Flow of `record`: one transaction locks the run's row, inserts or updates it, and adds the audit rows behind a
///   savepoint. The schema is brought up to date with the first call on each connection.
/// - Guarantees: a row that already says what the entry says is not touched; a leader of an older epoch writes nothing;
///   a terminal row never changes, unless it was inferred; the status never goes back (an entry that comes late is
///   answered with the row as it stands).
/// - Assumptions: calls with one epoch come from one process. `unavailable` may mean that the transaction was
///   committed: repeating the call is always right.
package final class PostgresLedger: RunLedger {
    private let connection: PostgresConnection
    private let clusterUID: String
    let audit: AuditWriter

    /// Makes a ledger; connects with the first call.
    ///
    /// - Parameters:
    ///   - conninfo: A libpq connection string or URI.
    ///   - clusterUID: UID of the namespace `kube-system`. Rows of other clusters are neither seen nor touched.
    ///   - settings: Timeouts.
    ///   - journal: Hears of audit rows that could not be written.
    /// - Throws: `LedgerError` (`invalid`) when the connection string is malformed or the cluster has no UID.
    package convenience init(
        conninfo: String, clusterUID: String, settings: PostgresSettings = PostgresSettings(),
        journal: (any Journal)? = nil
    ) throws(LedgerError) {
        try self.init(
            conninfo: conninfo, clusterUID: clusterUID, settings: settings, journal: journal, migrator: Migrator())
    }

    init(
        conninfo: String, clusterUID: String, settings: PostgresSettings, journal: (any Journal)?, migrator: Migrator
    ) throws(LedgerError) {
        guard !clusterUID.isEmpty else { throw LedgerError(.invalid, "the cluster has no UID") }
        self.clusterUID = clusterUID
        audit = AuditWriter(journal: journal)
        do {
            connection = try PostgresConnection(conninfo: conninfo, settings: settings) { session in
                try migrator.prepare(session)
            }
        } catch {
            throw error.code == .malformedConninfo ? LedgerError(.invalid, error.message) : LedgerError(mapping: error)
        }
    }

    /// The hosts that a connection string names, without sockets.
    package static func hosts(of conninfo: String) -> [String] { PostgresConnection.hosts(of: conninfo) }

    /// Closes the connection. Calls under way fail with `unavailable`.
    package func close() { connection.close() }

    /// Connects and brings the schema up to date, without reading or writing a run.
    /// - Throws: `LedgerError`.
    package func prepare() async throws {
        do { try await connection.perform { _ in } } catch { throw LedgerError(mapping: error) }
    }

    /// Writes a row and its audit rows; answers with the row as it now stands.
    /// - Throws: `LedgerError`; `unavailable` too when the calling task is cancelled.
    package func record(_ entry: LedgerEntry, epoch: Int64) async throws -> LedgerRow {
        let write: RunWrite
        do {
            write = try RunWrite(entry, cluster: clusterUID, epoch: epoch)
        } catch {
            throw LedgerError(.invalid, "the entry has no JSON form")
        }
        do {
            let audit = audit
            return try await connection.perform { session in
                do {
                    let (row, outcome) = try session.transaction { transaction in
                        (
                            try write.perform(transaction),
                            try audit.perform(write.entry, cluster: write.cluster, transaction)
                        )
                    }
                    audit.settle(outcome, run: write.entry.runUID)
                    return row.with(auditHead: outcome.head)
                } catch let error as PostgresError {
                    guard let index = ActiveIndex(error) else { throw error }
                    throw index.busy(holder: try? write.holder(index, session))
                }
            }
        } catch {
            throw LedgerError(mapping: error)
        }
    }

    /// The row of a run of this cluster; `nil` when there is none.
    /// - Throws: `LedgerError`.
    package func run(uid: String) async throws -> LedgerRow? {
        let cluster = clusterUID
        do {
            return try await connection.transaction(.readOnly) { transaction in
                guard let found = try RunWrite.read(cluster, uid, transaction) else { return nil }
                let row = try found.whole(cluster, uid, transaction)
                return row.with(auditHead: try AuditWriter.head(cluster, uid, transaction))
            }
        } catch {
            throw LedgerError(mapping: error)
        }
    }

    /// As `RunLedger.unfinished`.
    /// - Throws: `LedgerError`.
    package func unfinished(beyond id: Int64) async throws -> [UnfinishedRun] {
        let cluster = clusterUID
        do {
            return try await connection.transaction(.readOnly) { transaction in
                try UnfinishedRuns.read(cluster, beyond: id, transaction)
            }
        } catch {
            throw LedgerError(mapping: error)
        }
    }

    /// As `RunLedger.presumeInterrupted`.
    /// - Throws: `LedgerError`.
    package func presumeInterrupted(uid: String, at moment: Timestamp, epoch: Int64) async throws {
        let cluster = clusterUID
        do {
            let audit = audit
            try await connection.perform { session in
                let outcome = try session.transaction { transaction -> AuditWriter.Outcome? in
                    let run = try UnfinishedRuns.presumeInterrupted(cluster, uid, at: moment, epoch, transaction)
                    return try run.map { try audit.perform($0, cluster: cluster, transaction) }
                }
                if let outcome { audit.settle(outcome, run: uid) }
            }
        } catch {
            throw LedgerError(mapping: error)
        }
    }
}

extension LedgerRow {
    fileprivate func with(auditHead: String?) -> LedgerRow {
        var row = self
        row.auditHead = auditHead
        return row
    }
}
