// SPDX-License-Identifier: Apache-2.0

import Resources

/// The condition types of a run.
package enum RunCondition {
    package static let planned = "Planned"
    package static let approved = "Approved"
    package static let locked = "Locked"
    package static let recorded = "Recorded"
    package static let pointOfNoReturn = "PointOfNoReturn"
    package static let provisioned = "Provisioned"
    package static let dataRestored = "DataRestored"
    package static let promoted = "Promoted"
    package static let quarantined = "Quarantined"
    package static let sealed = "Sealed"
    package static let verified = "Verified"
    package static let ownArchive = "OwnArchive"
    package static let credentialsRotated = "CredentialsRotated"
    package static let cloneEnvRemoved = "CloneEnvRemoved"
    package static let freshBackup = "FreshBackup"
    package static let sourceUntouched = "SourceUntouched"
    package static let rolledBack = "RolledBack"
    package static let cleanedUp = "CleanedUp"
    package static let finished = "Finished"
    package static let succeeded = "Succeeded"
    package static let reconciling = "Reconciling"
    package static let stalled = "Stalled"
}

/// A status being written in one pass: the run's own, with the pass's moment and the spec's generation at hand.
struct StatusDraft {
    var status: RestoreRunStatus
    let generation: Int64?
    let now: Timestamp
    private let before: [Condition]
    /// When the approval that the run goes on with runs out.
    var approvedUntil: Timestamp?

    init(_ snapshot: RestoreRunSnapshot, at now: Timestamp) {
        status = snapshot.status
        before = status.conditions ?? []
        generation = snapshot.run.metadata.generation
        self.now = now
        status.observedGeneration = generation
    }

    var record: RestoreRecord {
        get { status.restore ?? RestoreRecord() }
        set { status.restore = newValue }
    }

    mutating func set(_ type: String, _ value: ConditionStatus, _ reason: String, _ message: String) {
        var conditions = status.conditions ?? []
        conditions.set(type, value, reason, message, generation: generation, at: now)
        conditions.keepTransition(of: type, from: before)
        status.conditions = conditions
    }

    /// What the run is doing, for `kubectl get`, `kubectl wait` and kstatus.
    mutating func working(_ reason: String, _ message: String) {
        status.message = message
        set(RunCondition.reconciling, .yes, reason, message)
        set(RunCondition.stalled, .no, "Working", "the run goes on by itself")
    }

    /// The run needs a person, but goes on by itself once that is done.
    mutating func waiting(_ reason: String, _ message: String) {
        status.message = message
        set(RunCondition.reconciling, .yes, reason, message)
        set(RunCondition.stalled, .yes, reason, message)
    }

    /// Ends the run. Terminal states are final: nothing changes after this but `Recorded`.
    mutating func finish(_ state: RunState, _ reason: String, _ message: String) {
        let phase = status.phase?.known ?? .prepare
        if state != .completed { status.failedPhase = Open(phase) }
        status.state = Open(state)
        status.phase = Open(state == .completed ? .completed : .failed)
        status.message = message
        status.finishedAt = now.wholeSecond
        set(RunCondition.finished, .yes, reason, message)
        set(RunCondition.succeeded, state == .completed ? .yes : .no, reason, message)
        set(RunCondition.reconciling, .no, reason, message)
        set(RunCondition.stalled, state == .completed || state == .cancelled ? .no : .yes, reason, message)
    }
}
