// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources

/// How often in a row something could not be read, in a way that won't pass by itself.
struct Refusals: Sendable {
    private var count = 0
    private var last: ReadFailure?

    /// Takes in a failure; one that passes by itself ends the row.
    mutating func note(_ refusal: ReadFailure?) {
        count = refusal == nil ? 0 : count + 1
        last = refusal
    }

    /// What is to be said of it.
    var told: ReadFailure? { count >= ReadFailure.patience ? last : nil }
}

/// What can't be read, and won't be by itself. The key that reads it is told, so that its status can tell a person. It is
/// told so until it was read: an own status write makes a quorum read begin anew, but not the count of its refusals, or
/// the words would come and go.
extension Memory {
    func readFailure(of place: Answers.Confirmation) -> ReadFailure? {
        answers.confirmed[place]?.refusals.told
    }

    func readFailure(of place: Answers.ListConfirmation) -> ReadFailure? {
        answers.lists[place]?.refusals.told
    }

    func readFailure(of log: LogRequest) -> ReadFailure? {
        answers.logs[log]?.refusals.told
    }

    /// Of an object that is watched by itself, and was never read.
    func readFailure(ofSight key: Key) -> ReadFailure? {
        sights[key].flatMap { $0.isKnown ? nil : $0.refusals.told }
    }

    /// The list that a watch of one object begins with failed.
    mutating func sightFailed(_ key: Key, _ opening: UInt64, _ refusal: ReadFailure?) {
        guard sights[key]?.opening == opening else { return }
        sights[key]?.refusals.note(refusal)
        if readFailure(ofSight: key) != nil { wake(readersOf: .watched(key)) }
    }
}
