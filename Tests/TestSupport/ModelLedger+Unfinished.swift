// SPDX-License-Identifier: Apache-2.0

import Resources
import Seams

extension ModelLedgerStore {
    /// The rows of a cluster that have not ended.
    func unfinished(_ cluster: String, beyond id: Int64) throws -> [UnfinishedRun] {
        try requireUp()
        let found = runs.filter { key, run in
            key.cluster == cluster && run.id > id && !LedgerWords.isTerminal(run.columns.status)
        }
        return found.sorted { $0.run.id < $1.run.id }.prefix(UnfinishedRun.page).map { key, run in
            UnfinishedRun(
                id: run.id, runUID: key.run, namespace: run.columns.namespace, name: run.columns.name)
        }
    }

    /// Ends a row that nobody else will end.
    func presumeInterrupted(_ key: Key, at moment: Timestamp, epoch: Int64) throws {
        try requireUp()
        guard let found = self[key], !LedgerWords.isTerminal(found.columns.status) else { return }
        var entry = found.columns
        entry.status = LedgerWords.state(.interrupted)
        entry.inferred = true
        entry.failedPhase = entry.phase
        entry.phase = LedgerWords.phase(.failed)
        entry.errorMessage = LostRun.message
        entry.finishedAt = moment
        entry.audit = [
            AuditEntry(operation: .finished, attempt: 0, actor: nil, detail: LostRun.reason, at: moment)
        ]
        _ = try record(entry, cluster: key.cluster, epoch: epoch)
    }
}
