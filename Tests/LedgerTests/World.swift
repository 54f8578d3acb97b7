// SPDX-License-Identifier: Apache-2.0

import Postgres
import Seams
import TestSupport
import Testing

@testable import Ledger

/// The two ledgers that the same tests run against.
enum Backend: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case model, postgres

    static var available: [Backend] { TestDatabase.isAvailable ? allCases : [.model] }

    var testDescription: String { rawValue }
}

/// An empty ledger, with what a test must be able to do past it.
struct World: Sendable {
    private let store: ModelLedgerStore
    private let database: TestDatabase?

    init(_ backend: Backend) throws {
        store = ModelLedgerStore()
        database = backend == .postgres ? try TestDatabase() : nil
    }

    func ledger(_ cluster: String = "cluster-a") throws -> any RunLedger {
        if let database { return try database.ledger(cluster) }
        return ModelLedger(store: store, clusterUID: cluster)
    }

    /// Changes whenever the content of the row does.
    func revision(_ uid: String, _ cluster: String = "cluster-a") async throws -> String? {
        if let database {
            return try await database.text(
                """
                SELECT updated_at::text AS x FROM reprise.restore_runs
                WHERE cluster_uid = \(cluster) AND run_uid = \(uid)
                """)
        }
        return store[ModelLedgerStore.Key(cluster: cluster, run: uid)].map { String($0.revision) }
    }

    func auditCount(_ uid: String, _ cluster: String = "cluster-a") async throws -> Int? {
        if let database {
            return try await database.sql(
                """
                SELECT count(*) AS x FROM reprise.restore_audit WHERE cluster_uid = \(cluster) AND run_uid = \(uid)
                """
            ).first?.value("x")
        }
        return store.audit(ModelLedgerStore.Key(cluster: cluster, run: uid)).count
    }

    func setAuditFailing(_ fails: Bool) async throws {
        if let database {
            try await database.script(
                fails
                    ? "ALTER TABLE reprise.restore_audit RENAME TO away"
                    : "ALTER TABLE reprise.away RENAME TO restore_audit")
        }
        store.setAuditFailing(fails)
    }
}
