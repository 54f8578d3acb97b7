// SPDX-License-Identifier: Apache-2.0

package import Reconciler
package import Seams

/// What a loop is started with, beside its surroundings.
package struct LoopConfiguration: Sendable {
    /// Shown to every behaviour by its reader.
    package var settings: Settings
    /// Where the leader's Lease is.
    package var namespace: String
    package var leaseName = "reprise-controller"
    /// Who this is, e.g. the pod's name. A drawn suffix is added, so that no two incarnations are taken for one.
    package var identity: String
    /// Passes at the same time.
    package var workers = 4
    /// Quorum reads, logs and ledger questions at the same time.
    package var fetchers = 4
    /// Objects that are watched by themselves at the same time (`Reader.watched`); others wait for their turn.
    package var watches = 200
    /// Items in one page of a list.
    package var pageSize = 500
    /// How long one call to the API server may take.
    package var callTimeout: Milliseconds = 30_000
    package var election = ElectionTimes()
    /// Ends the loop in good order.
    package var stop: StopSignal
    /// Where the loop shows how it is doing.
    package var state: LoopState

    package init(
        settings: Settings, identity: String, stop: StopSignal = StopSignal(), state: LoopState = LoopState()
    ) {
        self.settings = settings
        self.namespace = settings.controllerNamespace
        self.identity = identity
        self.stop = stop
        self.state = state
    }
}

/// The times of leader election.
package struct ElectionTimes: Hashable, Sendable {
    /// How long others wait for a silent holder, since they last saw the record change.
    package var duration: Milliseconds = 15_000
    /// How long the holder goes on without a renewal, counted from the moment when it sent the last good one.
    package var renewDeadline: Milliseconds = 10_000
    /// Between two renewals, and between two looks of a standby.
    package var retryPeriod: Milliseconds = 2_000
    /// So long before the deadline nothing is sent any more.
    package var margin: Milliseconds = 1_000

    package init() {}
}

/// Why a loop has ended other than by its stop signal.
package enum LoopEnded: Error, Equatable, Sendable {
    /// Another holds the lease, or nobody can tell. Says why.
    case leadershipLost(String)
    /// The API server's lists have gone back in time and stay there (a restored etcd): only a fresh start helps.
    case timeWentBack(kind: String)
}
