// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources

/// What can't be read, and won't be by itself. The key that reads it is told, so that its status can tell a person. It is
/// told so until it was read: an own status write makes a quorum read begin anew, but not the count of its failures, or
/// the words would come and go.
extension Memory {
    func readFailure(of place: Answers.Confirmation) -> ReadFailure? {
        answers.confirmed[place].flatMap { Self.told($0.refusal, $0.failures) }
    }

    func readFailure(of place: Answers.ListConfirmation) -> ReadFailure? {
        answers.lists[place].flatMap { Self.told($0.refusal, $0.failures) }
    }

    func readFailure(of log: LogRequest) -> ReadFailure? {
        answers.logs[log].flatMap { Self.told($0.refusal, $0.failures) }
    }

    /// Of an object that is watched by itself, and was never read.
    func readFailure(ofSight key: Key) -> ReadFailure? {
        sights[key].flatMap { $0.isKnown ? nil : Self.told($0.refusal, $0.failures) }
    }

    /// The list that a watch of one object begins with failed.
    mutating func sightFailed(_ key: Key, _ opening: UInt64, _ refusal: ReadFailure?) {
        guard sights[key]?.opening == opening else { return }
        sights[key]?.failures += 1
        sights[key]?.refusal = refusal
        if readFailure(ofSight: key) != nil { wake(readersOf: .watched(key)) }
    }

    private static func told(_ refusal: ReadFailure?, _ failures: Int) -> ReadFailure? {
        failures >= ReadFailure.patience ? refusal : nil
    }
}
