// SPDX-License-Identifier: Apache-2.0

/// Where a run's own objects are, and what they are called: derived from the run's UID, so that making one twice makes one.
package struct RunScope: Equatable, Sendable {
    package var namespace: String
    package var runUID: String

    package init(namespace: String, runUID: String) {
        self.namespace = namespace
        self.runUID = runUID
    }

    private var prefix: String { "reprise-\(runUID.prefix(13).lowercased())" }

    /// `ordinal` counts repetitions from 1.
    package func job(_ role: JobRole, _ ordinal: Int) -> String { "\(prefix)-\(role.rawValue)-\(ordinal)" }

    /// What a result of that Job must carry to be believed.
    package func attemptToken(_ role: JobRole, _ ordinal: Int) -> String { "\(runUID)/\(role.rawValue)/\(ordinal)" }

    /// The ConfigMap without which no pod of such a Job can start: fencing is deleting it.
    package func permit(_ role: JobRole) -> String { "\(prefix)-permit-\(role.rawValue)" }
}
