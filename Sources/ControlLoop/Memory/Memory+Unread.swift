// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources

/// How often in a row something could not be read, in a way that won't pass by itself.
struct Refusals: Sendable {
    var count = 0
    var last: ReadFailure
}

/// What can't be read, and won't be by itself. Whoever reads it is told, so that its status can tell a person. It is told so
/// until it was read: an own status write makes a quorum read begin anew, but not the count of its refusals, or the words
/// would come and go.
extension Memory {
    /// What is to be said of something that is unknown.
    func readFailure(of fetch: Fetch) -> ReadFailure? {
        unread[fetch].flatMap { $0.count >= ReadFailure.patience ? $0.last : nil }
    }

    /// Takes in how a fetch failed; a failure that passes by itself (`nil`) ends the row.
    mutating func note(_ refusal: ReadFailure?, of fetch: Fetch) {
        guard let refusal else {
            unread[fetch] = nil
            return
        }
        unread[fetch] = Refusals(count: 1 + (unread[fetch]?.count ?? 0), last: refusal)
        guard readFailure(of: fetch) != nil else { return }
        switch fetch {
        case .confirmed(let asker, _), .confirmedList(let asker, _): wake(asker)
        case .sight(let key): wake(readersOf: .watched(key))
        case .log(let request): wake(readersOf: .log(request))
        // Nobody waits for these.
        case .podRefusal, .ledger: break
        }
    }

    /// The list that a watch of one object begins with failed.
    mutating func sightFailed(_ key: Key, _ opening: UInt64, _ refusal: ReadFailure?) {
        if sights[key]?.opening == opening { note(refusal, of: .sight(key)) }
    }
}
