// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources

/// The second half of a pass's thinking: a pure function of the moment.
typealias Deliberation = @Sendable (Timestamp) -> Proposal

/// PUTs the decided status onto the incarnation that was read, and answers with the object as it then is.
typealias StatusWrite = @Sendable (APIClient, Seen) async throws -> any Resource

/// A decision without its Swift types.
struct Proposal: Sendable {
    /// `nil` when the status is to stay as it was read.
    var statusWrite: StatusWrite?
    /// What people should read of the status change.
    var notices: [Notice] = []
    var effects: [Effect] = []
    var wake: Wake = .onChange

    init() {}

    init<B: Behavior>(
        _ behavior: B.Type, _ object: B.Object, _ decision: Decision<B.Status>,
        writing write: (B.Status) -> StatusWrite?
    ) {
        effects = decision.effects
        wake = decision.wake
        let old = B.status(of: object)
        guard let new = decision.status, new != old, let statusWrite = write(new) else { return }
        self.statusWrite = statusWrite
        notices = B.notices(from: old, to: new)
    }
}
