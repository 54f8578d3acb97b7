// SPDX-License-Identifier: Apache-2.0

import Resources
import Seams

/// What the Lease says, as far as election goes.
struct LeaseRecord: Equatable, Sendable {
    var uid: String
    var resourceVersion: String
    /// Empty when it was released.
    var holder: String
    var durationSeconds: Int?
    var acquireTime: Timestamp?
    var renewTime: Timestamp?
    var transitions: Int

    init(_ lease: Lease) {
        uid = lease.metadata.uid ?? ""
        resourceVersion = lease.metadata.resourceVersion ?? ""
        holder = lease.spec?.holderIdentity ?? ""
        durationSeconds = lease.spec?.leaseDurationSeconds
        acquireTime = lease.spec?.acquireTime
        renewTime = lease.spec?.renewTime
        transitions = lease.spec?.leaseTransitions ?? 0
    }

    /// Fences what is written elsewhere: rises with every change of holder.
    var epoch: Int64 { Int64(transitions) + 1 }

    /// Whether the holder has done something in between. A label set by a passer-by is no sign of life.
    func isSameTerm(as other: LeaseRecord) -> Bool {
        uid == other.uid && holder == other.holder && transitions == other.transitions
            && renewTime == other.renewTime && acquireTime == other.acquireTime
            && durationSeconds == other.durationSeconds
    }
}

/// What a look at the Lease showed.
enum LeaseFact: Equatable, Sendable {
    case absent
    case present(LeaseRecord)

    init(_ lease: Lease?) { self = lease.map { .present(LeaseRecord($0)) } ?? .absent }
}

/// A standby's side of leader election, as a pure machine: what was seen, and when by the own clock, to what to do.
///
/// A holder counts as gone when its record has not changed for its duration *since we saw it change*, by our own
/// uptime: no remote timestamp is ever compared with anything.
struct Election: Sendable {
    enum Step: Equatable, Sendable {
        /// There is no Lease: make it, with this many transitions.
        case create(transitions: Int)
        /// Take the Lease over, if it still is this record.
        case claim(LeaseRecord, transitions: Int)
        /// It is ours already: our write was committed, and only its answer got lost.
        case adopt(LeaseRecord)
        /// Somebody else leads.
        case wait(holder: String)
    }

    let identity: String
    let times: ElectionTimes
    private var observed: LeaseRecord?
    private var observedAt: Uptime?

    init(identity: String, times: ElectionTimes) {
        self.identity = identity
        self.times = times
    }

    /// - Parameters:
    ///   - fact: The Lease, just read.
    ///   - now: When it had been read.
    ///   - wall: What the wall clock says; only for a first epoch.
    mutating func step(on fact: LeaseFact, at now: Uptime, wall: Timestamp) -> Step {
        guard case .present(let record) = fact else {
            observed = nil
            // A Lease that was deleted must not begin with the first epoch again: what an earlier leader wrote
            // elsewhere would fence us off for ever. Units of five seconds rise faster than leaders change, who wait for
            // a lease to run out; and they fit into the 32 bits of the field.
            return .create(transitions: Int(max(0, wall.microseconds / 5_000_000)))
        }
        if record.holder == identity { return .adopt(record) }
        if record.holder.isEmpty { return .claim(record, transitions: record.transitions + 1) }
        if let observed, let observedAt, observed.isSameTerm(as: record) {
            self.observed = record
            let duration = record.durationSeconds.map { Milliseconds($0) * 1_000 } ?? times.duration
            if now.since(observedAt) > max(duration, 0) {
                return .claim(record, transitions: record.transitions + 1)
            }
        } else {
            observed = record
            observedAt = now
        }
        return .wait(holder: record.holder)
    }
}

/// The holder's side: what to make of the Lease after a renewal went wrong.
struct Tenure: Sendable {
    enum Finding: Equatable, Sendable {
        /// Still ours. When our last renewal is in it, it counts from the moment when it was sent.
        case ours(LeaseRecord, renewedAt: Uptime?)
        case lost(String)
    }

    let identity: String
    /// The Lease as it was last known to be ours.
    var record: LeaseRecord
    /// The renewal that was sent last, and when.
    var sent: (renewTime: Timestamp, at: Uptime)?

    func finding(_ fact: LeaseFact) -> Finding {
        guard case .present(let found) = fact else { return .lost("the Lease is gone") }
        guard found.uid == record.uid else { return .lost("the Lease was made anew") }
        guard found.holder == identity else {
            return .lost(found.holder.isEmpty ? "the Lease was released" : "\(found.holder) holds the Lease")
        }
        guard found.transitions == record.transitions else { return .lost("the Lease is of another term") }
        let isCommitted = sent.map { $0.renewTime == found.renewTime } ?? false
        return .ours(found, renewedAt: isCommitted ? sent?.at : nil)
    }
}
