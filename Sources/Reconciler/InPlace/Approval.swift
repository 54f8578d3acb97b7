// SPDX-License-Identifier: Apache-2.0

package import Resources

/// What becomes of a run that needs somebody's yes.
package enum ApprovalState: Equatable, Sendable {
    case approved(by: String, until: Timestamp)
    case rejected(by: String, reason: String)
    /// Nobody has decided, or what was decided does not count; says why.
    case missing(PlanFinding)
}

/// Reads the RestoreApprovals of one run.
package enum Approval {
    /// How long a yes counts, in seconds from when it was made.
    package static let lifetime: Int64 = 7 * 3_600
    package static let reasonLength = 12...280

    /// - Parameters:
    ///   - approvals: Those that name the run's UID.
    ///   - requester: Who asked for the run, if that is known: nobody approves his own.
    package static func judge(
        _ approvals: [RestoreApproval], planHash: String, requester: String?, at now: Timestamp
    ) -> ApprovalState {
        let sound = approvals.filter { !$0.metadata.isDeleting && problem($0) == nil }
        if let no = sound.first(where: { $0.spec?.decision?.known == .reject }) {
            return .rejected(by: no.spec?.approver ?? "", reason: no.spec?.reason ?? "")
        }
        let yes = sound.filter { $0.spec?.decision?.known == .approve }
        let mine = yes.filter { $0.spec?.planHash == planHash }
        let others = mine.filter { requester == nil || $0.spec?.approver != requester }
        let newest = others.max { made($0) < made($1) }
        if let newest {
            let until = made(newest).adding(seconds: lifetime)
            if now < until { return .approved(by: newest.spec?.approver ?? "", until: until) }
            return .missing(
                PlanFinding(
                    reason: "ApprovalExpired",
                    message: "RestoreApproval \(newest.metadata.name) is older than \(Durations.text(lifetime)); make "
                        + "another one"))
        }
        if let own = mine.first {
            return .missing(
                PlanFinding(
                    reason: "SelfApproval",
                    message:
                        "RestoreApproval \(own.metadata.name) is by \(own.spec?.approver ?? ""), who asked for the run; "
                        + "somebody else must approve it"))
        }
        if let stale = yes.first {
            return .missing(
                PlanFinding(
                    reason: "ApprovalOfAnotherPlan",
                    message:
                        "RestoreApproval \(stale.metadata.name) approves plan \(stale.spec?.planHash ?? ""), and this "
                        + "run's is \(planHash)"))
        }
        if let broken = approvals.first(where: { !$0.metadata.isDeleting }), let why = problem(broken) {
            return .missing(
                PlanFinding(
                    reason: "ApprovalInvalid", message: "RestoreApproval \(broken.metadata.name): \(why)"))
        }
        return .missing(PlanFinding(reason: "ApprovalRequired", message: "nobody has approved it yet"))
    }

    private static func made(_ approval: RestoreApproval) -> Timestamp {
        approval.metadata.creationTimestamp ?? Timestamp(seconds: 0)
    }

    private static func problem(_ approval: RestoreApproval) -> String? {
        let findings = validate(approval.spec)
        return findings.isEmpty ? nil : findings.map(\.message).joined(separator: "; ")
    }

    /// What somebody may apply to approve a run: everything but his name and his reason.
    package static func manifest(_ run: RestoreRun, planHash: String) -> String {
        """
        apiVersion: reprise.dev/v1alpha1
        kind: RestoreApproval
        metadata: {name: \(run.metadata.name)-approval, namespace: \(run.metadata.namespace ?? "")}
        spec:
          run: {name: \(run.metadata.name), uid: \(run.metadata.uid ?? "")}
          planHash: "\(planHash)"
          decision: Approve
          approver: # your user name
          reason: # why, in 12 to 280 characters
        """
    }
}
