// SPDX-License-Identifier: Apache-2.0

import Resources

// A manifest left in Git must not replace the same data twice.

extension RestoreRunBehavior {
    /// The very same replacement of data was completed before, by this cluster or another one that writes to the ledger.
    ///
    /// Goes by the digest of the whole spec, in which `confirm` names the incarnation of the target: a rebuilt service is
    /// another one, and a new `requestID` says that it is meant. Runs that destroy nothing are never asked.
    static func appliedAlready(_ snapshot: RestoreRunSnapshot) -> PlanFinding? {
        guard case .present(.run(let row)) = snapshot.ledger, let applied = row.repeats else { return nil }
        let place = applied.isElsewhere ? "of another cluster " : ""
        let moment = applied.finishedAt.map { " at \($0.wholeSecond.rfc3339)" } ?? ""
        return PlanFinding(
            reason: "AlreadyApplied",
            message: "RestoreRun \(applied.namespace)/\(applied.name) \(place)has done exactly this\(moment) (row "
                + "\(applied.id) of reprise.restore_runs); nothing was touched. If it is to be done again, make a "
                + "RestoreRun with another spec.requestID")
    }
}
