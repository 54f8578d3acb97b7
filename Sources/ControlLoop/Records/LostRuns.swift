// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
package import Resources
import Seams

/// The kind whose objects have rows in the ledger, and where an outcome waits that is not there yet.
package struct RecordedKind: Sendable {
    let kind: any AnyKind
    let isKept: @Sendable (APIClient, UnfinishedRun) async throws -> Bool

    /// - Parameters:
    ///   - type: The kind's facts.
    ///   - spool: Where the outcome of a run is kept while the ledger is away.
    package init<R: Resource>(_ type: R.Type, spool: @escaping @Sendable (UnfinishedRun) -> Ref) {
        kind = KindBox<R>()
        isKept = { client, run in
            let place = spool(run)
            guard let map = try await client.get(ConfigMap.self, place.namespace, place.name) else { return false }
            // What can't be read may be an outcome: whoever knows what became of the run says so, and nobody guesses.
            return SpoolBehavior.entry(in: map).map { LedgerWords.isTerminal($0.status) } ?? true
        }
    }
}

/// Rows of runs whose objects went without telling how they ended: a finalizer that somebody took off, an etcd that was
/// brought back from yesterday. Such a row says `running` for ever, and holds its target against every other run.
///
/// Asked for when a term begins, and when an object of the kind goes; nothing polls. Absence is believed from a quorum
/// read only, and the ledger takes the guess from no leader but the newest.
extension Loop {
    /// Looks for lost runs until the task is cancelled.
    func endLostRunsForever(_ recorded: RecordedKind) async throws {
        var failures = 0
        while true {
            let seen = goneBell.count
            do {
                try await endLostRuns(recorded)
                failures = 0
                try await goneBell.wait(beyond: seen)
            } catch is NotHeld {
                // The term is over, or as good as over: the next leader asks anew.
                try await goneBell.wait(beyond: seen)
            } catch {
                try Task.checkCancellation()
                if error is CancellationError { throw error }
                failures += 1
                let trouble = Self.trouble(error)
                note(
                    .warning, LoopEvents.fetchFailed,
                    ["what": "unfinished runs", "reason": trouble.reason, "message": trouble.message])
                let wait = Backoff.ledger.wait(
                    failures: failures, atLeast: 500, entropy: entropy, for: "lost runs backoff")
                try await time.sleep(until: time.uptime.adding(wait), for: .retry)
            }
        }
    }

    private func endLostRuns(_ recorded: RecordedKind) async throws {
        var last: Int64 = 0
        while true {
            let page = try await surroundings.ledger.unfinished(beyond: last)
            for run in page {
                last = max(last, run.id)
                if try await isLost(run, recorded) { try await end(run) }
            }
            if page.count < UnfinishedRun.page { return }
        }
    }

    private func isLost(_ run: UnfinishedRun, _ recorded: RecordedKind) async throws -> Bool {
        let type = recorded.kind.typeID
        // Most are there: a cache that is behind is told of their end later, and then this is asked again.
        if update({ $0.holds(uid: run.runUID, run.namespace, run.name, kind: type) }) { return false }
        let found = try await recorded.kind.get(client, run.namespace, run.name)
        guard found?.metadata.uid != run.runUID else { return false }
        return try await !recorded.isKept(client, run)
    }

    private func end(_ run: UnfinishedRun) async throws {
        try hold.check()
        try await surroundings.ledger.presumeInterrupted(uid: run.runUID, at: clock.now, epoch: epoch)
        update { $0.ledgerWritten(run.runUID, nil) }
        note(.warning, LoopEvents.runLost, ["object": "RestoreRun \(run.namespace)/\(run.name)", "uid": run.runUID])
    }
}
