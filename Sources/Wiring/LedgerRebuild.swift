// SPDX-License-Identifier: Apache-2.0

package import KubeClient
import Reconciler
import Resources
package import Seams

/// Fills a ledger that was lost, or brought back from an old backup, from the objects that the cluster still has.
///
/// A run that has not ended writes its row itself. One that has ended is never looked at again, so its row is written
/// here: the same row that its status once meant, with the audit that follows from it. Rows that are there stay as they
/// are, whoever wrote them; what only the lost ledger knew (runs whose objects are gone) does not come back.
package struct LedgerRebuild: Sendable {
    /// What became of the runs.
    package struct Summary: Equatable, Sendable {
        package var written = 0
        package var alreadyThere = 0
        /// The controller writes their rows.
        package var stillOpen = 0
        package var failed = 0

        package init(written: Int = 0, alreadyThere: Int = 0, stillOpen: Int = 0, failed: Int = 0) {
            self.written = written
            self.alreadyThere = alreadyThere
            self.stillOpen = stillOpen
            self.failed = failed
        }
    }

    private let client: APIClient
    private let ledger: any RunLedger
    private let isDryRun: Bool
    private let say: @Sendable (String) -> Void

    /// - Parameters:
    ///   - isDryRun: Only says what would be written.
    ///   - say: Hears one line for each run whose row is missing, and for each that can't be read.
    package init(
        _ client: APIClient, _ ledger: any RunLedger, isDryRun: Bool, say: @escaping @Sendable (String) -> Void
    ) {
        self.client = client
        self.ledger = ledger
        self.isDryRun = isDryRun
        self.say = say
    }

    /// - Throws: `APIError` when the runs can't be listed; `LedgerError` when the ledger can't be reached. What was written
    ///   stays, and it can be run again.
    package func run() async throws -> Summary {
        let found = try await client.list(RestoreRun.self)
        var summary = Summary()
        for broken in found.undecodable {
            summary.failed += 1
            say("\(broken.ref) can't be read and is left out: \(broken.message)")
        }
        let runs = found.items.sorted {
            ($0.metadata.creationTimestamp ?? Timestamp(seconds: 0), $0.metadata.uid ?? "")
                < ($1.metadata.creationTimestamp ?? Timestamp(seconds: 0), $1.metadata.uid ?? "")
        }
        for run in runs { try await rebuild(run, &summary) }
        return summary
    }

    private func rebuild(_ run: RestoreRun, _ summary: inout Summary) async throws {
        guard let status = run.status, let uid = run.metadata.uid, status.state?.known?.isTerminal == true else {
            summary.stillOpen += 1
            return
        }
        if try await ledger.run(uid: uid) != nil {
            summary.alreadyThere += 1
            return
        }
        let name = "RestoreRun \(run.metadata.namespace ?? "")/\(run.metadata.name)"
        let entry = RestoreRunBehavior.entry(for: run, status)
        do {
            // As the oldest of all leaders: whatever a controller has written, now or later, is better.
            if !isDryRun { _ = try await ledger.record(entry, epoch: 0) }
            summary.written += 1
            say("\(name): \(entry.status)\(isDryRun ? ", would be written" : "")")
        } catch let error as LedgerError {
            switch error.code {
            case .fenced, .terminalRow: summary.alreadyThere += 1
            case .invalid, .busy:
                summary.failed += 1
                say("\(name) can't be written: \(error.message)")
            case .unavailable, .newerSchema: throw error
            }
        }
    }
}
