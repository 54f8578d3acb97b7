// SPDX-License-Identifier: Apache-2.0

/// Labels and annotations that the controller sets and reads.
package enum Label {
    /// On everything the controller creates; the watch selector of children.
    package static let managedBy = "app.kubernetes.io/managed-by"
    package static let managedByValue = "reprise"
    /// The UID of the run that made an object: ownership of data goes by it.
    package static let runUID = "reprise.dev/run-uid"
    /// The service that an object belongs to.
    package static let service = "reprise.dev/service"
    /// Which of a run's Jobs this is.
    package static let job = "reprise.dev/job"
    /// On a Job that works with a running server: the UID of that server's pod, whose address the Job was given.
    package static let serverUID = "reprise.dev/server-uid"
    /// The UID of the clone that asked for a run.
    package static let cloneUID = "reprise.dev/clone-uid"
    /// On ConfigMaps that hold a run's outcome until the ledger is back.
    package static let spool = "reprise.dev/spool"
}

/// Holds a deleted run until its outcome is in the ledger or in the spool.
package let recordFinalizer = "reprise.dev/record"
