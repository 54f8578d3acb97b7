// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Seams

/// Every event of the loop by its constant name, which is also the name that it is counted under.
///
/// Fields: `object` is a reference in words, `pass` the number that all events of one pass share, `kind` a CamelCase
/// kind, `reason` and `message` an error's (bounded, no secrets), `milliseconds` a length of time, `epoch` the lease's.
enum LoopEvents {
    // Leadership
    /// Another holds the lease. Debug; once for each record seen. Fields: holder.
    static let standingBy = "standing by"
    /// Info. Fields: identity, epoch.
    static let leading = "leading"
    /// Warning. Fields: reason.
    static let leadershipLost = "leadership lost"
    /// Warning: tried again until the deadline. Fields: reason, message.
    static let renewalFailed = "lease renewal failed"
    /// Debug. A renewal that seemed to have failed is in the lease all the same.
    static let renewalFound = "lease renewal found committed"
    /// Warning; a standby could not read or write the lease.
    static let leaseUnreadable = "lease can't be read"
    /// Info.
    static let leaseReleased = "lease released"
    /// Warning. Fields: message. The others wait for it to expire.
    static let leaseNotReleased = "lease not released"
    /// Info: the stop signal was given.
    static let stopping = "stopping"

    // Watching
    /// Info. Fields: kind, objects, unreadable.
    static let listed = "kind listed"
    // Of an object that is watched by itself, these four have the field `object` as well.
    /// Warning. Fields: kind, reason, message.
    static let listFailed = "list failed"
    /// Warning. Fields: kind. The list is older than what was seen before, and not taken.
    static let listWentBack = "list went back in time"
    /// Warning. Fields: kind, reason, message.
    static let watchFailed = "watch failed"
    /// Info. Fields: kind. The watch's position is too old: everything is listed again.
    static let watchExpired = "watch expired"
    /// Debug. Fields: kind, object, objects (0 or 1). One object is watched from here on.
    static let objectListed = "object listed"
    /// Error, once for each version of the object. Fields: object, message. Nothing is decided about it.
    static let undecodable = "object can't be decoded"
    /// Info: every kind has been listed.
    static let synced = "caches synced"
    /// Error. Fields: kind, object. A behaviour reads a kind that the loop was not told to watch.
    static let notWatched = "kind is read and not watched"

    // Passes
    /// Debug. Fields: object, pass, milliseconds, outcome.
    static let passEnded = "pass ended"
    /// Warning. Fields: object, pass, effect, reason, message, count, disposition.
    static let stepFailed = "step failed"
    /// Debug. Fields: object, pass, effect. Somebody else wrote meanwhile.
    static let conflicted = "step conflicted"
    /// Info. Fields: object, pass. The status was written.
    static let statusWritten = "status written"
    /// Info. Fields: object, pass, effect.
    static let effectDone = "effect done"
    /// Info. Fields: object, pass. Something of that name is there already.
    static let existsAlready = "object exists already"
    /// Warning. Fields: object, pass. Nothing is sent without the lease.
    static let notHeld = "lease not held, nothing sent"
    /// Warning. Fields: object, pass. A decision wants to be woken in the past.
    static let wakeInPast = "wake in the past"

    /// Error. Fields: object, pass. A behaviour writes one status after another without end; it is made to pause.
    static let circling = "status written in circles"

    // Sources
    /// Warning. Fields: reason, message, what.
    static let fetchFailed = "fetch failed"
    /// Warning. Fields: reason, message, what. A log that could be, or was, followed; tried again.
    static let followFailed = "follow failed"
    /// Warning. Fields: reason, message.
    static let ledgerUnavailable = "ledger unavailable"
    /// Warning. Fields: object, uid. Its object is gone and its row had not ended; the row says interrupted now.
    static let runLost = "run lost"
    /// Warning. Fields: object, reason, message. An Event could not be posted, and is not tried again.
    static let noticeFailed = "notice failed"
    /// Warning. Fields: object. Too many Events wait; this one is dropped.
    static let noticeDropped = "notice dropped"
}
