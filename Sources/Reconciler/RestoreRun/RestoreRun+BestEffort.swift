// SPDX-License-Identifier: Apache-2.0

import Resources

// `ledger: BestEffort`: a run for the day when the ledger is what is lost. What it spools is its row until it is back.

extension RestoreRunBehavior {
    /// How long such a run waits for a ledger that is away, in seconds.
    package static let bestEffortWait: Int64 = 120
    /// What the audit says of a run that began without the ledger.
    package static let bestEffortMark = "ledger=BestEffort"

    /// When the run begins without the ledger, if that stays away; `nil` when it does not.
    ///
    /// Counted from the plan, or from when the ledger was lost if that was later: one that is away for a moment while a
    /// run waits for its approval is no reason to do without it.
    static func startsWithoutLedger(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Timestamp? {
        guard snapshot.run.spec?.ledger == "BestEffort", case .present(.unavailable) = snapshot.ledger,
            let planned = draft.status.conditions?.condition(RunCondition.planned), planned.isTrue
        else { return nil }
        let since = planned.lastTransitionTime
        let lost = draft.status.conditions?.condition(RunCondition.recorded)?.lastTransitionTime ?? since
        return max(since, lost).adding(seconds: bestEffortWait)
    }

    static func consentWords(_ moment: Timestamp?) -> String {
        moment.map {
            "; spec.ledger is BestEffort: if the ledger stays away, the run starts without it at \($0.rfc3339)"
        }
            ?? ""
    }

    /// The target may have been written to already.
    static func hasWritten(_ snapshot: RestoreRunSnapshot) -> Bool {
        !(snapshot.record.completedSteps ?? []).isEmpty || !(snapshot.isInPlace || snapshot.record.claimUID == nil)
    }

    /// Its next step may depend on what it has spooled.
    static func mayRelyOnSpool(_ snapshot: RestoreRunSnapshot) -> Bool {
        snapshot.run.spec?.ledger == "BestEffort" && snapshot.state == .running && !hasWritten(snapshot)
    }

    /// The spool says that the run is under way.
    static func isSpooled(_ snapshot: RestoreRunSnapshot) -> Bool {
        guard let map = snapshot.spool.value, let entry = SpoolBehavior.entry(in: map) else { return false }
        return entry.runUID == snapshot.run.metadata.uid && entry.status == LedgerWords.state(.running)
            && entry.planHash == snapshot.status.plan?.hash
    }

    /// Writes down that the run is under way, where it will be found.
    static func spoolBeforeFirstWrite(_ snapshot: RestoreRunSnapshot, _ draft: StatusDraft) -> Decision<Status> {
        var draft = draft
        draft.record.startedWithoutLedger = true
        draft.working("Starting", "writing \(spoolWords(snapshot)), which is this run's row until the ledger is back")
        noteFailure(&draft, snapshot)
        let entry = entry(for: snapshot.run, draft.status)
        switch snapshot.spool {
        case .unknown: return Decision()
        case .absent: return Decision(status: draft.status, effects: [.spool(entry)])
        case .present(let map):
            return Decision(status: draft.status, effects: [spooling(entry, over: map, snapshot)])
        }
    }

    /// Puts an entry in the place of what was spooled before.
    static func spooling(_ entry: LedgerEntry, over map: ConfigMap, _ snapshot: RestoreRunSnapshot) -> Effect {
        // What can't be written says so when it is to be sent.
        guard let manifest = try? SpoolBehavior.manifest(entry, in: snapshot.settings.controllerNamespace) else {
            return .spool(entry)
        }
        return .replaceConfigMap(map.seen, manifest)
    }

    static func spoolWords(_ snapshot: RestoreRunSnapshot) -> String {
        "ConfigMap \(snapshot.settings.controllerNamespace)/\(spoolName(runUID: snapshot.run.metadata.uid ?? ""))"
    }
}
