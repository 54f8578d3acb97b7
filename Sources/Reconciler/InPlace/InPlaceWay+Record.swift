// SPDX-License-Identifier: Apache-2.0

import Resources

// In place: what a run remembers and shows of a step that was seen done.

extension InPlaceWay {
    func note(_ step: Step, _ warning: PlanFinding?, _ draft: inout StatusDraft) {
        var record = draft.record.inPlace ?? planned
        switch step.name {
        case .stop: record.stoppedAt = draft.now.wholeSecond
        // From here on a Job may have been asked for: the status says so before that happens.
        case .permit: record.isBegun = true
        case .replace:
            record.isSwapped = true
            record.keptUntil = draft.now.wholeSecond.adding(
                seconds: view.request?.keepSeconds ?? InPlaceRequest.keptByDefault)
            noteReplaced(warning, &draft)
        case .serve:
            draft.set(RunCondition.promoted, .yes, "Serving", "the service is as it was, with the restored data")
        default: break
        }
        draft.record.inPlace = record
    }

    /// How the checks went is shown whatever became of them.
    func noteChecks(_ draft: inout StatusDraft) {
        guard case .done(.replace(let result)) = snapshot.jobs[.replace]?.state else { return }
        Verification(result).note(&draft)
    }

    private func noteReplaced(_ warning: PlanFinding?, _ draft: inout StatusDraft) {
        guard case .done(.replace(let result)) = snapshot.jobs[.replace]?.state else { return }
        var sealed = SealRecord(systemIdentifier: result.systemIdentifier ?? "", timeline: result.timeline ?? 0)
        sealed.backupStartLSN = result.backupLabel?.startWalLocation
        sealed.recoveredTo = recoveredTo(result.historyReason)
        sealed.dataBytes = result.dataBytes
        draft.record.sealed = sealed
        noteChecks(&draft)
        if planned.rollbackUID == nil { RestoreRunBehavior.finishProgress(&draft, snapshot) }
        draft.record.lastReason = nil
        draft.set(
            RunCondition.dataRestored, .yes, "Swapped",
            "the restored data has the place of the old; system identifier \(sealed.systemIdentifier), timeline "
                + "\(sealed.timeline)")
        draft.set(
            RunCondition.verified, .yes, warning?.reason ?? "Proven",
            warning?.message
                ?? "system identifier, timeline and base backup are those of the plan" + Verification(result).passed)
    }
}

/// What the facts of a replacement prove, held against the plan. The program has verified before it swapped: what is wrong
/// here can't be undone by it any more, and is said.
enum InPlaceProof {
    static func judge(_ result: ReplaceResult) -> Evidence {
        guard result.code == "OK", result.swapped == true || result.already == true else {
            return .failed(
                PlanFinding(
                    reason: result.code == "OK" ? "NotSwapped" : result.code,
                    message: "the data was not replaced, in step \(result.step ?? "unknown"): "
                        + RestoreRunBehavior.words(result.code, result.reasons) + Verification(result).failed))
        }
        return .done(warning: Verification(result).warning)
    }
}
