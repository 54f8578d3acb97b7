// SPDX-License-Identifier: Apache-2.0

/// A person's yes or no to one run and one plan of it. It can't be changed; another one is made instead.
package struct RestoreApproval: Resource {
    package static let resourceKind = repriseKind("RestoreApproval", "restoreapprovals")

    package var metadata: ObjectMeta
    package var spec: RestoreApprovalSpec?

    package init(metadata: ObjectMeta, spec: RestoreApprovalSpec? = nil) {
        self.metadata = metadata
        self.spec = spec
    }

    /// Found by the UID of the run that it is about.
    package static let runIndex = "reprise.dev/run-uid"
    package var indexed: [String: String]? { labels(and: Self.runIndex, spec?.run?.uid) }
}

package struct RestoreApprovalSpec: Codable, Equatable, Sendable {
    package var run: RunReference?
    /// `status.plan.hash` of the run: what is approved is that plan and no other.
    package var planHash: String?
    package var decision: Open<ApprovalDecision>?
    /// Why; 12 to 280 characters.
    package var reason: String?
    /// Who decides. An admission policy holds it to the name that the API server knows.
    package var approver: String?

    package init() {}

    package struct RunReference: Codable, Equatable, Sendable {
        package var name: String?
        package var uid: String?

        package init(name: String?, uid: String?) {
            self.name = name
            self.uid = uid
        }
    }
}

package enum ApprovalDecision: String, CaseIterable, Sendable {
    case approve = "Approve"
    case reject = "Reject"
}
