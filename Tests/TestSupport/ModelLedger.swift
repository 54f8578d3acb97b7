// SPDX-License-Identifier: Apache-2.0

package import Resources
import Seams
import Synchronization

/// A ledger in memory with the constraints of the real one, for simulations.
///
/// Written independently of `PostgresLedger` and checked against it by generated call sequences. A call is one
/// transaction: it takes effect at once, or not at all. Nothing here suspends.
package final class ModelLedger: RunLedger {
    /// What stands for the database: shared by clusters, and by the incarnations of a controller.
    package let store: ModelLedgerStore
    private let clusterUID: String

    /// The ledger as one cluster's controller sees it.
    package init(store: ModelLedgerStore = ModelLedgerStore(), clusterUID: String) {
        self.store = store
        self.clusterUID = clusterUID
    }

    /// As `RunLedger.record`.
    package func record(_ entry: LedgerEntry, epoch: Int64) async throws -> LedgerRow {
        try store.record(entry, cluster: clusterUID, epoch: epoch)
    }

    /// As `RunLedger.run`.
    package func run(uid: String) async throws -> LedgerRow? {
        try store.run(ModelLedgerStore.Key(cluster: clusterUID, run: uid))
    }

    /// As `RunLedger.unfinished`.
    package func unfinished(beyond id: Int64) async throws -> [UnfinishedRun] {
        try store.unfinished(clusterUID, beyond: id)
    }

    /// As `RunLedger.presumeInterrupted`.
    package func presumeInterrupted(uid: String, at moment: Timestamp, epoch: Int64) async throws {
        try store.presumeInterrupted(
            ModelLedgerStore.Key(cluster: clusterUID, run: uid), at: moment, epoch: epoch)
    }
}

/// The database behind `ModelLedger`.
package final class ModelLedgerStore: Sendable {
    /// Names a row.
    package struct Key: Hashable, Sendable {
        package var cluster: String
        package var run: String

        /// Names the row of a run in a cluster.
        package init(cluster: String, run: String) {
            self.cluster = cluster
            self.run = run
        }
    }

    /// A row of `restore_runs`, whole.
    package struct Run: Equatable, Sendable {
        package var id: Int64
        /// What the columns hold; `audit` is empty here.
        package var columns: LedgerEntry
        package var epoch: Int64
        /// How often the content changed: stands for `updated_at`.
        package var revision: Int
    }

    /// One change of a row, as it was committed.
    package struct Commit: Sendable {
        package var key: Key
        package var before: Run?
        package var after: Run
    }

    private struct State {
        var runs: [Key: Run] = [:]
        var audit: [Key: [AuditEntry]] = [:]
        var backlog: [(Key, AuditEntry)] = []
        var lastID: Int64 = 0
        var isDown = false
        var auditFails = false
        var losesNextAnswer = false
    }

    private let state = Mutex(State())
    private let observer: (@Sendable (Commit) -> Void)?

    /// An empty database.
    /// - Parameter observer: Called after each change of a row, outside of any lock: for invariants.
    package init(observer: (@Sendable (Commit) -> Void)? = nil) { self.observer = observer }

    /// While down, every call fails with `unavailable` and changes nothing.
    package func setDown(_ isDown: Bool) { state.withLock { $0.isDown = isDown } }

    /// The next record is committed, and nobody hears of it.
    package func loseNextAnswer() { state.withLock { $0.losesNextAnswer = true } }

    /// While failing, audit rows are not written; they follow with the first record after.
    package func setAuditFailing(_ fails: Bool) { state.withLock { $0.auditFails = fails } }

    /// All rows, sorted by cluster and run.
    package var runs: [(key: Key, run: Run)] {
        state.withLock { $0.runs.map { (key: $0.key, run: $0.value) } }
            .sorted { ($0.key.cluster, $0.key.run) < ($1.key.cluster, $1.key.run) }
    }

    /// The audit rows of a run, in order.
    package func audit(_ key: Key) -> [AuditEntry] { state.withLock { $0.audit[key] ?? [] } }

    /// One row.
    package subscript(key: Key) -> Run? { state.withLock { $0.runs[key] } }

    func run(_ key: Key) throws -> LedgerRow? {
        try state.withLock { state in
            try Self.requireUp(state)
            return state.runs[key].map { Self.row($0, key, state) }
        }
    }

    func record(_ entry: LedgerEntry, cluster: String, epoch: Int64) throws -> LedgerRow {
        let key = Key(cluster: cluster, run: entry.runUID)
        let (row, commit, isLost) = try state.withLock { state in
            try Self.requireUp(state)
            let before = state.runs[key]
            let after = try Self.outcome(entry, over: before, key: key, epoch: epoch, state: state)
            if before == nil { state.lastID = after.id }
            state.runs[key] = after
            Self.addAudit(entry.audit.map { (key, $0) }, &state)
            let isChange = before != after
            let isLost = state.losesNextAnswer
            state.losesNextAnswer = false
            return (
                Self.row(after, key, state),
                isChange ? Commit(key: key, before: before, after: after) : nil, isLost
            )
        }
        if let commit { observer?(commit) }
        if isLost { throw LedgerError(.unavailable, "the connection was lost at COMMIT") }
        return row
    }

    func requireUp() throws { try state.withLock { try Self.requireUp($0) } }

    private static func requireUp(_ state: State) throws {
        if state.isDown { throw LedgerError(.unavailable, "the model ledger is down") }
    }

    /// What the row becomes; the same row when there is nothing to change.
    private static func outcome(
        _ entry: LedgerEntry, over before: Run?, key: Key, epoch: Int64, state: State
    ) throws -> Run {
        var wanted = entry
        wanted.audit = []
        wanted.errorMessage = entry.errorMessage.map { String($0.map { $0 == "\0" ? "\u{FFFD}" : $0 }) }
        guard let before else {
            try check(wanted, key: key, state: state)
            return Run(id: state.lastID + 1, columns: wanted, epoch: epoch, revision: 1)
        }
        if before.epoch > epoch { throw LedgerError(.fenced, "epoch \(before.epoch) has written") }
        let old = before.columns
        if LedgerWords.isTerminal(old.status) {
            let isOutcome = !entry.inferred && LedgerWords.isTerminal(entry.status)
            if !(old.inferred && isOutcome) {
                if (old.status, old.phase, old.failedPhase) == (entry.status, entry.phase, entry.failedPhase) {
                    return before
                }
                throw LedgerError(.terminalRow, "the run is \(old.status)")
            }
        } else if old.status == "running" && entry.status == "pending" {
            return before
        }
        let merged = try merge(wanted, into: old)
        if merged == old {
            var same = before
            if !LedgerWords.isTerminal(old.status) { same.epoch = epoch }
            return same
        }
        try check(merged, key: key, state: state)
        return Run(id: before.id, columns: merged, epoch: epoch, revision: before.revision + 1)
    }

    private static func merge(_ new: LedgerEntry, into old: LedgerEntry) throws -> LedgerEntry {
        guard new.namespace == old.namespace, new.name == old.name, new.mode == old.mode,
            new.specDigest == old.specDigest
        else { throw LedgerError(.invalid, "what was requested can't be changed") }
        var merged = new
        merged.engine = old.engine
        merged.createdAt = old.createdAt
        merged.targetKind = old.targetKind ?? new.targetKind
        merged.targetServiceName = old.targetServiceName ?? new.targetServiceName
        merged.recoveryTarget = old.recoveryTarget ?? new.recoveryTarget
        merged.parameterOverrides = old.parameterOverrides ?? new.parameterOverrides
        merged.requestID = old.requestID ?? new.requestID
        merged.retryOf = old.retryOf ?? new.retryOf
        merged.rollbackOf = old.rollbackOf ?? new.rollbackOf
        merged.requestedBy = old.requestedBy ?? new.requestedBy
        if old.status != "pending" {
            merged.destructive = old.destructive
            merged.toNewService = old.toNewService
            merged.sourceBackup = old.sourceBackup ?? new.sourceBackup
            merged.sourceLocation = old.sourceLocation ?? new.sourceLocation
            merged.originService = old.originService ?? new.originService
            if old.destructive { merged.targetUID = old.targetUID ?? new.targetUID }
        }
        return merged
    }

    /// CHECK constraints, then the two unique indexes.
    private static func check(_ row: LedgerEntry, key: Key, state: State) throws {
        let phases = RunPhase.allCases.map { LedgerWords.phase($0) }
        guard RestoreMode.allCases.contains(where: { LedgerWords.mode($0) == row.mode }),
            RunState.allCases.contains(where: { LedgerWords.state($0) == row.status }),
            phases.contains(row.phase), row.failedPhase.map(phases.contains) ?? true,
            row.attempt >= 1, !row.inferred || row.status == "interrupted"
        else { throw LedgerError(.invalid, "the entry breaks a constraint") }
        guard row.status == "running" else { return }
        for (other, run) in state.runs.sorted(by: { $0.key.run < $1.key.run })
        where other.cluster == key.cluster && other.run != key.run && run.columns.status == "running" {
            let held = run.columns
            let sameTarget =
                row.destructive && held.destructive && row.targetUID != nil && row.targetUID == held.targetUID
            let sameName =
                row.toNewService && held.toNewService && row.namespace == held.namespace
                && row.targetServiceName != nil && row.targetServiceName == held.targetServiceName
            if sameTarget || sameName {
                throw LedgerError(.busy, "held by the running run \(held.namespace)/\(held.name) (\(held.runUID))")
            }
        }
    }

    private static func addAudit(_ entries: [(Key, AuditEntry)], _ state: inout State) {
        let due = entries + state.backlog
        state.backlog = []
        for (key, entry) in due where entry.attempt >= 0 {
            if state.auditFails {
                state.backlog.append((key, entry))
            } else if state.audit[key]?.contains(where: {
                $0.operation == entry.operation && $0.attempt == entry.attempt
            }) != true {
                state.audit[key, default: []].append(entry)
            }
        }
    }

    private static func row(_ run: Run, _ key: Key, _ state: State) -> LedgerRow {
        let columns = run.columns
        var row = LedgerRow(
            id: String(run.id), status: columns.status, phase: columns.phase, attempt: columns.attempt)
        row.failedPhase = columns.failedPhase
        row.planHash = columns.planHash
        row.errorMessage = columns.errorMessage
        row.bytesRestored = columns.bytesRestored
        row.inferred = columns.inferred
        row.auditHead = head(state.audit[key] ?? [])
        row.repeats = repeated(run, key, state)
        return row
    }

    /// The last completed run that destroyed the same at the same request.
    private static func repeated(_ run: Run, _ key: Key, _ state: State) -> AppliedRun? {
        guard run.columns.destructive, !LedgerWords.isTerminal(run.columns.status) else { return nil }
        var last: (key: Key, run: Run)?
        for (other, found) in state.runs where other != key && found.columns.destructive {
            guard found.columns.status == "completed", found.columns.specDigest == run.columns.specDigest else {
                continue
            }
            let moment = { (run: Run) in (run.columns.finishedAt?.microseconds ?? .min, run.id) }
            if let known = last, moment(known.run) > moment(found) { continue }
            last = (other, found)
        }
        guard let (other, found) = last else { return nil }
        return AppliedRun(
            id: String(found.id), namespace: found.columns.namespace, name: found.columns.name, runUID: other.run,
            isElsewhere: other.cluster != key.cluster, finishedAt: found.columns.finishedAt)
    }

    /// Not a cryptographic hash: 64 hex digits that change with every audit row.
    private static func head(_ audit: [AuditEntry]) -> String? {
        guard !audit.isEmpty else { return nil }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for entry in audit {
            for byte in "\(entry.operation.rawValue)/\(entry.attempt)/\(entry.at.microseconds);".utf8 {
                hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
            }
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 64 - digits.count) + digits
    }
}
