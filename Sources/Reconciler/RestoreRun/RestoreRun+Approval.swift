// SPDX-License-Identifier: Apache-2.0

import Resources

// Somebody's yes: always for a run that replaces data, and for others where the owner of the source asks for it.

extension RestoreRunBehavior {
    /// Whoever archives to the place that is read, however the request names it.
    static func observeArchiveServices(
        _ request: RunRequest, _ snapshot: inout RestoreRunSnapshot, _ reader: inout some Reader
    ) {
        guard let source = resolvedSource(snapshot), let repository = snapshot.sourceRepository.value,
            let path = RepositoryAccess(repository)?.path(of: source)
        else { return }
        snapshot.archiveServices = reader.objects(
            ManagedService.self, request.namespace, labelled: ManagedService.archiveIndex,
            ManagedService.archiveKey(source.repository, path))
    }

    /// The ManagedServices whose policy asks for an approval of such a run.
    /// - Returns: `nil` while they can't be read: then nobody knows, and nothing is planned.
    static func approvalAskedBy(_ snapshot: RestoreRunSnapshot) -> [String]? {
        let mode = snapshot.run.spec?.mode?.text ?? ""
        let services: [ManagedService]
        switch snapshot.archiveServices {
        case .unknown: return nil
        case .absent: services = []
        case .present(let found): services = found
        }
        let asking = services.filter { $0.spec?.protection?.approval?.contains(mode) ?? false }
        // One is enough to ask; the status has room for so many.
        return asking.prefix(16).map(\.metadata.name)
    }

    static func approvalWarning(_ names: [String]) -> [PlanFinding] {
        guard !names.isEmpty else { return [] }
        return [PlanFinding(reason: "ApprovalRequired", message: "\(askedBy(names)); the run will wait for it")]
    }

    private static func askedBy(_ names: [String]) -> String {
        "spec.protection.approval of ManagedService \(names.joined(separator: ", ")) asks for a RestoreApproval"
    }

    /// Of a run into a new service whose source's owner asks for it.
    static func awaitApproval(
        _ snapshot: RestoreRunSnapshot, _ draft: inout StatusDraft
    ) -> Decision<Status>? {
        guard let names = snapshot.record.approvalAskedBy else { return nil }
        return awaitApproval(snapshot, snapshot.approvals, "\(askedBy(names)) of a copy of its data", &draft)
    }

    /// - Parameter why: What the approval is needed for, as a sentence.
    static func awaitApproval(
        _ snapshot: RestoreRunSnapshot, _ approvals: Observed<[RestoreApproval]>, _ why: String,
        _ draft: inout StatusDraft
    ) -> Decision<Status>? {
        guard let approvals = approvals.value else { return Decision() }
        let hash = draft.status.plan?.hash ?? ""
        let state = Approval.judge(
            approvals, planHash: hash, requester: draft.status.requestedBy?.name, at: draft.now)
        switch state {
        case .approved(let approver, let until):
            draft.approvedUntil = until
            draft.set(RunCondition.approved, .yes, "Approved", "approved by \(approver)")
            draft.status.approvedBy = approver
            return nil
        case .rejected(let approver, let reason):
            draft.set(RunCondition.approved, .no, "Rejected", "rejected by \(approver): \(reason)")
            return fail(
                snapshot, draft, PlanFinding(reason: "Rejected", message: "rejected by \(approver): \(reason)"))
        case .missing(let finding) where holdsLock(snapshot):
            // Nothing is held for people, and what was seen under the lock does not hold once it is given back.
            let words =
                "its approval does not count any more (\(finding.reason)), now that it has the lock and nothing may be held "
                + "while somebody is asked; make a new RestoreRun"
            draft.set(RunCondition.approved, .no, finding.reason, finding.message)
            return fail(snapshot, draft, PlanFinding(reason: finding.reason, message: words))
        case .missing(let finding):
            let who = draft.status.requestedBy?.name.map { "somebody other than \($0)" } ?? "somebody"
            draft.set(
                RunCondition.approved, .no, finding.reason,
                "\(finding.message). \(why): \(who) who may create RestoreApprovals in namespace "
                    + "\(snapshot.run.metadata.namespace ?? "") must agree, for instance with\n"
                    + Approval.manifest(snapshot.run, planHash: hash))
            draft.waiting(
                finding.reason, "\(finding.message); condition Approved has the manifest of a RestoreApproval to apply")
            return withRecord(Decision(status: draft.status), snapshot, draft.status)
        }
    }
}
