// SPDX-License-Identifier: Apache-2.0

/// One row of `restore_runs` as the controller wants it, with the audit rows that its last change means.
///
/// Written by upsert on `(cluster_uid, run_uid)`; the cluster's UID and the leader's epoch are added by the writer.
/// Codable because a spooled outcome is kept as its JSON. Words are the ledger's (`new_service`, `running`), not the
/// API's (`NewService`, `Running`): `LedgerWords` is the one place that maps them.
package struct LedgerEntry: Codable, Equatable, Sendable {
    package var runUID: String
    package var namespace: String
    package var name: String
    package var mode: String
    package var status: String
    package var phase: String
    package var failedPhase: String?
    package var engine: String
    package var strategy: String?
    package var destructive: Bool
    package var toNewService: Bool
    package var sourceBackup: String?
    package var sourceLocation: String?
    package var originService: String?
    package var targetService: String?
    package var targetKind: String?
    package var targetUID: String?
    package var targetServiceName: String?
    package var recoveryTarget: RecoveryTarget?
    /// What the request set beside the source and the target's name: image, storage, port and the like.
    package var parameterOverrides: NewService?
    package var plan: PlanStatus?
    package var planHash: String?
    package var planVersion: Int
    package var specDigest: String
    package var requestID: String?
    package var retryOf: String?
    package var rollbackOf: String?
    package var inferred: Bool
    package var resumeToken: RestoreRecord?
    package var logID: String?
    package var attempt: Int
    package var errorMessage: String?
    package var requestedBy: String?
    package var approvedBy: String?
    package var bytesTotal: Int64?
    package var bytesRestored: Int64?
    package var rtoSeconds: Int64?
    package var rpoSeconds: Int64?
    package var verification: [RestoreRunStatus.VerificationResult]?
    package var createdAt: Timestamp
    package var startedAt: Timestamp?
    package var finishedAt: Timestamp?
    package var audit: [AuditEntry]

    package init(runUID: String, namespace: String, name: String, specDigest: String, createdAt: Timestamp) {
        self.runUID = runUID
        self.namespace = namespace
        self.name = name
        self.mode = LedgerWords.mode(.newService)
        self.status = LedgerWords.state(.pending)
        self.phase = LedgerWords.phase(.prepare)
        self.engine = LedgerWords.engine(.postgres)
        self.destructive = false
        self.toNewService = true
        self.planVersion = 1
        self.specDigest = specDigest
        self.inferred = false
        self.attempt = 1
        self.createdAt = createdAt
        self.audit = []
    }
}

/// One row of `restore_audit`. Rows of one run are chained in the order in which they were written; writing the same
/// `(run, operation, attempt)` again adds nothing.
package struct AuditEntry: Codable, Equatable, Sendable {
    package enum Operation: String, Codable, Sendable {
        case accepted, refused, approved, started, attempt, finished, cancelled
        case rolledBack = "rolled_back"
    }

    package var operation: Operation
    package var attempt: Int
    package var actor: String?
    package var detail: String?
    package var at: Timestamp

    package init(operation: Operation, attempt: Int, actor: String?, detail: String?, at: Timestamp) {
        self.operation = operation
        self.attempt = attempt
        self.actor = actor
        self.detail = detail
        self.at = at
    }
}

/// What the ledger holds of a run.
package struct LedgerRow: Equatable, Sendable {
    /// The row's identity, as decimal text.
    package var id: String
    package var status: String
    package var phase: String
    package var failedPhase: String?
    package var attempt: Int
    package var planHash: String?
    package var errorMessage: String?
    package var bytesRestored: Int64?
    package var inferred: Bool
    /// Hash of the newest audit row of the run.
    package var auditHead: String?
    /// For a destructive run that has not ended: the newest completed run of any cluster that was asked for the very
    /// same.
    package var repeats: AppliedRun?

    package init(id: String, status: String, phase: String, attempt: Int) {
        self.id = id
        self.status = status
        self.phase = phase
        self.attempt = attempt
        self.inferred = false
    }

    /// Whether this row is terminal: nothing but an inferred row is ever replaced then.
    package var isTerminal: Bool { LedgerWords.isTerminal(status) }
}

/// A row that has not ended.
package struct UnfinishedRun: Equatable, Sendable {
    /// Identity of its row: rows are told in this order.
    package var id: Int64
    package var runUID: String
    package var namespace: String
    package var name: String

    package init(id: Int64, runUID: String, namespace: String, name: String) {
        self.id = id
        self.runUID = runUID
        self.namespace = namespace
        self.name = name
    }

    /// How many are told at once.
    package static let page = 500
}

/// What the ledger says of a run whose object is gone before its end was known.
package enum LostRun {
    package static let reason = "ObjectGone"
    package static let message =
        "the RestoreRun is gone, and its end was never seen; what it made, if anything, carries its UID in the label "
        + "reprise.dev/run-uid"

    /// That it was presumed: with attempt 0, so that it takes the place of no row that the run itself may still bring.
    package static func audit(at moment: Timestamp) -> AuditEntry {
        AuditEntry(operation: .finished, attempt: 0, actor: nil, detail: reason, at: moment)
    }

    /// What becomes of the row of a run that had not ended.
    package static func presumed(_ run: LedgerEntry, at moment: Timestamp) -> LedgerEntry {
        var run = run
        run.status = LedgerWords.state(.interrupted)
        run.inferred = true
        run.failedPhase = run.phase
        run.phase = LedgerWords.phase(.failed)
        run.errorMessage = message
        run.finishedAt = moment
        run.audit.append(audit(at: moment))
        return run
    }
}

/// A destructive run that was completed, as the ledger has it.
package struct AppliedRun: Equatable, Sendable {
    /// Identity of its row, as decimal text.
    package var id: String
    package var namespace: String
    package var name: String
    package var runUID: String
    /// Of another cluster that writes to the same ledger.
    package var isElsewhere: Bool
    package var finishedAt: Timestamp?

    package init(
        id: String, namespace: String, name: String, runUID: String, isElsewhere: Bool, finishedAt: Timestamp?
    ) {
        self.id = id
        self.namespace = namespace
        self.name = name
        self.runUID = runUID
        self.isElsewhere = isElsewhere
        self.finishedAt = finishedAt
    }
}

/// What can be asked of the ledger. Asking is reading: the answer wakes the asker when it changes.
package enum LedgerQuestion: Hashable, Sendable {
    /// The row of one run of this cluster.
    case run(uid: String)
}

package enum LedgerAnswer: Equatable, Sendable {
    case run(LedgerRow)
    /// The ledger could not be asked; `message` says why, without secrets.
    case unavailable(message: String)
}

/// The ledger's words for the API's: the only place where they are mapped.
package enum LedgerWords {
    package static func mode(_ mode: RestoreMode) -> String {
        switch mode {
        case .inPlace: "in_place"
        case .newService: "new_service"
        case .pointInTime: "pitr"
        }
    }

    package static func state(_ state: RunState) -> String { state.rawValue.lowercased() }

    package static func phase(_ phase: RunPhase) -> String { phase.rawValue.lowercased() }

    package static func engine(_ engine: EngineName) -> String { engine.rawValue.lowercased() }

    /// `WalgRestore` is `walg_restore`.
    package static func strategy(_ strategy: String) -> String {
        strategy.reduce(into: "") { word, letter in
            if letter.isUppercase, !word.isEmpty { word.append("_") }
            word += letter.lowercased()
        }
    }

    package static func isTerminal(_ status: String) -> Bool {
        RunState.allCases.contains { $0.isTerminal && state($0) == status }
    }
}
