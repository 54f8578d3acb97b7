// SPDX-License-Identifier: Apache-2.0

package import Resources

// The run in the ledger: its row before the first write, its outcome before the finalizer comes off.

/// Name of the ConfigMap that keeps a run's outcome while the ledger is away.
package func spoolName(runUID: String) -> String { "reprise-spool-\(runUID.lowercased())" }

extension RestoreRunBehavior {
    /// Adds the ledger write that the status asks for, if the row says something else. Last among the effects: a ledger
    /// that is away must not keep the others from happening. What must wait for the row waits for the row as read.
    static func withRecord(
        _ decision: Decision<Status>, _ snapshot: RestoreRunSnapshot, _ status: RestoreRunStatus
    ) -> Decision<Status> {
        var decision = decision
        switch snapshot.ledger {
        case .unknown, .present(.unavailable): return decision
        case .absent: decision.effects.append(.record(entry(for: snapshot.run, status)))
        case .present(.run(let row)):
            guard !row.isTerminal else { return decision }
            let wanted = entry(for: snapshot.run, status)
            if !agrees(row, wanted) { decision.effects.append(.record(wanted)) }
        }
        return decision
    }

    private static func agrees(_ row: LedgerRow, _ entry: LedgerEntry) -> Bool {
        row.status == entry.status && row.phase == entry.phase && row.failedPhase == entry.failedPhase
            && row.attempt == entry.attempt && row.planHash == entry.planHash
            && row.errorMessage == entry.errorMessage && row.bytesRestored == entry.bytesRestored
    }

    /// Says in the status what the ledger holds.
    static func noteRecorded(_ draft: inout StatusDraft, _ snapshot: RestoreRunSnapshot) {
        switch snapshot.ledger {
        case .unknown: break
        case .absent:
            draft.set(RunCondition.recorded, .no, "NotYet", "the ledger has no row of this run yet")
        case .present(.unavailable(let message)):
            guard draft.record.startedWithoutLedger == true else {
                draft.set(RunCondition.recorded, .no, "LedgerUnavailable", "the ledger can't be reached: \(message)")
                return
            }
            draft.set(
                RunCondition.recorded, .no, "BestEffort",
                "the ledger can't be reached (\(message)); the run was started without it (spec.ledger: BestEffort), "
                    + "with \(spoolWords(snapshot)) as its row until the ledger has it")
        case .present(.run(let row)):
            draft.status.ledgerID = row.id
            draft.status.auditHead = row.auditHead
            draft.set(RunCondition.recorded, .yes, "Recorded", "row \(row.id) of reprise.restore_runs")
        }
    }

    /// A terminal run: its outcome goes to the ledger, or to the spool while the ledger is away; then nothing holds the
    /// object any more. Its state never changes again.
    static func afterEnd(_ snapshot: RestoreRunSnapshot, at now: Timestamp) -> Decision<Status> {
        let run = snapshot.run
        let wanted = entry(for: run, snapshot.status)
        var draft = StatusDraft(snapshot, at: now)
        draft.status.observedGeneration = snapshot.status.observedGeneration
        switch snapshot.ledger {
        case .unknown: return Decision()
        case .absent: return Decision(effects: [.record(wanted)])
        case .present(.run(let row)):
            guard row.isTerminal else { return Decision(effects: [.record(wanted)]) }
            if row.status == wanted.status || !row.inferred {
                note(row, against: wanted, &draft)
                return released(draft, snapshot)
            }
            return Decision(effects: [.record(wanted)])
        case .present(.unavailable(let message)):
            switch snapshot.spool {
            case .unknown: return Decision()
            case .absent: return Decision(effects: [.spool(wanted)])
            case .present(let map):
                // One that began without the ledger has spooled that it runs.
                guard SpoolBehavior.entry(in: map)?.status == wanted.status else {
                    return Decision(effects: [spooling(wanted, over: map, snapshot)])
                }
                draft.set(
                    RunCondition.recorded, .no, "Spooled",
                    "the ledger can't be reached (\(message)); the outcome is kept in \(spoolWords(snapshot)) until it "
                        + "can")
                return released(draft, snapshot)
            }
        }
    }

    private static func note(_ row: LedgerRow, against wanted: LedgerEntry, _ draft: inout StatusDraft) {
        draft.status.ledgerID = row.id
        draft.status.auditHead = row.auditHead
        if row.status == wanted.status {
            draft.set(RunCondition.recorded, .yes, "Recorded", "row \(row.id) of reprise.restore_runs")
        } else {
            draft.set(
                RunCondition.recorded, .yes, "LedgerDisagrees",
                "row \(row.id) of reprise.restore_runs says \(row.status) and can't be changed any more")
        }
    }

    /// Status first, in a pass of its own; then the finalizer.
    private static func released(_ draft: StatusDraft, _ snapshot: RestoreRunSnapshot) -> Decision<Status> {
        guard draft.status == snapshot.status else { return Decision(status: draft.status) }
        let finalizers = snapshot.run.metadata.finalizers ?? []
        guard finalizers.contains(recordFinalizer) else { return Decision() }
        return Decision(effects: [
            .setFinalizers(snapshot.run.seen, finalizers.filter { $0 != recordFinalizer })
        ])
    }

    /// The row that a status means. Pure: the same status gives the same row, so writing it twice changes nothing.
    package static func entry(for run: RestoreRun, _ status: RestoreRunStatus) -> LedgerEntry {
        let created = run.metadata.creationTimestamp ?? Timestamp(seconds: 0)
        let spec = run.spec
        var entry = LedgerEntry(
            runUID: run.metadata.uid ?? "", namespace: run.metadata.namespace ?? "", name: run.metadata.name,
            specDigest: status.restore?.specDigest ?? specDigest(run), createdAt: created)
        entry.mode = LedgerWords.mode(spec?.mode?.known ?? .newService)
        entry.status = LedgerWords.state(status.state?.known ?? .pending)
        entry.phase = LedgerWords.phase(status.phase?.known ?? .prepare)
        entry.failedPhase = status.failedPhase?.known.map(LedgerWords.phase)
        entry.destructive = status.destructive ?? false
        entry.toNewService = spec?.target?.service == nil
        entry.strategy = status.plan?.strategy.map(LedgerWords.strategy)
        entry.sourceBackup = status.restore?.pinnedBackup?.name
        entry.sourceLocation = sourceLocation(spec?.source, status.restore?.discovered)
        entry.originService = spec?.source?.service?.name
        entry.targetService = spec?.target?.service?.name
        entry.targetKind = StatefulSet.resourceKind.kind
        entry.targetUID = status.restore?.targetUID
        entry.targetServiceName = spec?.target?.newService?.name ?? spec?.target?.service?.name
        entry.recoveryTarget = spec?.recoveryTarget
        entry.parameterOverrides = withoutValues(spec?.target?.newService)
        entry.plan = status.plan
        entry.planHash = status.plan?.hash
        entry.requestID = spec?.requestID
        entry.retryOf = spec?.retryOf?.name
        entry.rollbackOf = spec?.rollbackOf?.name
        entry.resumeToken = status.restore
        if let copied = status.restore?.copied, let masked = withoutValues(copied.service) {
            entry.resumeToken?.copied?.service = masked
        }
        entry.attempt = status.attempt ?? 1
        entry.requestedBy = status.requestedBy?.name
        entry.approvedBy = status.approvedBy
        entry.bytesTotal = status.restore?.pinnedBackup?.bytes
        entry.bytesRestored = status.restore?.sealed?.dataBytes
        entry.verification = status.verification
        entry.startedAt = status.startedAt
        entry.finishedAt = status.finishedAt
        if let finished = status.finishedAt, status.state?.known == .completed {
            entry.rtoSeconds = finished.seconds(since: created)
        }
        if let state = status.state?.known, state != .completed, state.isTerminal {
            entry.errorMessage = status.message
        }
        entry.audit = audit(created, status, entry)
        return entry
    }

    /// Values of variables may be secrets, and the ledger outlives the object.
    private static func withoutValues(_ service: NewService?) -> NewService? {
        guard var masked = service, let variables = masked.env else { return service }
        masked.env = variables.map { NewService.Variable(name: $0.name, value: "(not recorded)") }
        return masked
    }

    private static func sourceLocation(_ source: RestoreSource?, _ found: DiscoveredBackup?) -> String? {
        if source?.backup != nil { return found.map { "\($0.repository?.name ?? ""):\($0.path ?? "")" } }
        if let archive = source?.archive {
            return "\(archive.repository?.name ?? ""):\(archive.path ?? "")"
        }
        return source?.location?.uri
    }

    /// Every audit row that the run's life so far means; rows that are there already are not written again.
    private static func audit(
        _ created: Timestamp, _ status: RestoreRunStatus, _ entry: LedgerEntry
    ) -> [AuditEntry] {
        func row(_ operation: AuditEntry.Operation, _ detail: String?, _ at: Timestamp) -> AuditEntry {
            AuditEntry(
                operation: operation, attempt: entry.attempt, actor: entry.requestedBy, detail: detail, at: at)
        }
        var rows = [row(.accepted, nil, created)]
        if let approver = status.approvedBy {
            let approved = status.conditions?.condition(RunCondition.approved)?.lastTransitionTime ?? created
            rows.append(
                AuditEntry(
                    operation: .approved, attempt: entry.attempt, actor: approver, detail: entry.planHash, at: approved)
            )
        }
        if let started = status.startedAt {
            let consent = status.restore?.startedWithoutLedger == true ? bestEffortMark : nil
            let detail = [entry.planHash, consent].compactMap { $0 }.joined(separator: " ")
            rows.append(row(.started, detail, started))
        }
        if status.restore?.inPlace?.isUndone == true,
            let undone = status.conditions?.condition(RunCondition.rolledBack)?.lastTransitionTime
        {
            rows.append(row(.rolledBack, "the old data is in its place", undone))
        }
        guard let finished = status.finishedAt, let state = status.state?.known else { return rows }
        let reason = status.conditions?.condition(RunCondition.finished)?.reason
        switch state {
        case .pending, .running: break
        case .completed: rows.append(row(.finished, reason, finished))
        case .cancelled: rows.append(row(.cancelled, reason, finished))
        case .failed, .interrupted:
            rows.append(row(status.startedAt == nil ? .refused : .finished, reason, finished))
        }
        return rows
    }
}
