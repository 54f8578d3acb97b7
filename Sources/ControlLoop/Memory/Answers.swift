// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Seams

/// Something to be asked for, because a key reads it and it can't be watched.
enum Fetch: Hashable, Sendable {
    /// A quorum read of an object on behalf of one reader.
    case confirmed(asker: Key, target: Key)
    /// A quorum list of what has a label, on behalf of one reader.
    case confirmedList(asker: Key, query: LabelQuery)
    /// A quorum read of an object that waits for its watch, on behalf of all its readers.
    case sight(Key)
    indirect case log(LogRequest)
    indirect case podRefusal(RefusalRequest)
    case ledger(LedgerQuestion)
}

/// What a quorum read showed.
enum Live: Sendable {
    case absent
    case present(any Resource, Stamp)

    init(_ object: (any Resource)?) {
        guard let object else {
            self = .absent
            return
        }
        let metadata = object.metadata
        self = .present(object, Stamp(uid: metadata.uid ?? "", version: Version(metadata.resourceVersion ?? "")))
    }
}

/// Answers of the sources that are asked on demand. An answer lives as long as somebody reads it.
///
/// Every slot has a generation, drawn anew whenever what it may have been told has become doubtful: an answer of an
/// earlier generation is thrown away when it arrives.
struct Answers: Sendable {
    struct Confirmation: Hashable, Sendable {
        var asker: Key
        var target: Key
    }

    struct ConfirmedSlot: Sendable {
        /// The asker's own resourceVersion when it asked: valid for no other.
        var askerVersion: String
        var generation: UInt64
        var live: Live?
        var failures = 0
    }

    struct ListConfirmation: Hashable, Sendable {
        var asker: Key
        var query: LabelQuery
    }

    struct ListSlot: Sendable {
        /// The asker's own resourceVersion when it asked: valid for no other.
        var askerVersion: String
        var generation: UInt64
        var objects: [any Resource]?
        var failures = 0
    }

    struct Slot<Value: Equatable & Sendable>: Sendable {
        var generation: UInt64
        var value: Value?
        var failures = 0
    }

    struct RefusalSlot: Sendable {
        var generation: UInt64
        var value: Observed<PodRefusal>?
        /// How often it was answered.
        var answers = 0
        var failures = 0
    }

    /// A log that is followed.
    struct LineSlot: Sendable {
        var generation: UInt64
        /// What it has given away; `nil` until it could be opened.
        var facts: LineFacts?
        var position: LogPosition?
        var failures = 0
        var emptyEnds = 0
        /// The container has ended; there is nothing more to read.
        var isOver = false
        /// When its readers were last woken.
        var toldAt: Uptime?
        /// They are to be woken at a moment that is set.
        var isTelling = false
        /// Ends its connection.
        var dropped = Bell()
    }

    var confirmed: [Confirmation: ConfirmedSlot] = [:]
    var lists: [ListConfirmation: ListSlot] = [:]
    var logs: [LogRequest: Slot<Observed<LogFacts>>] = [:]
    var lines: [LineRequest: LineSlot] = [:]
    var refusals: [RefusalRequest: RefusalSlot] = [:]
    var ledger: [LedgerQuestion: Slot<Observed<LedgerAnswer>>] = [:]

    /// Forgets the answer to a fetch; whether there is anything to ask is decided by its slot.
    mutating func remove(_ fetch: Fetch) {
        switch fetch {
        case .confirmed(let asker, let target): confirmed[Confirmation(asker: asker, target: target)] = nil
        case .confirmedList(let asker, let query): lists[ListConfirmation(asker: asker, query: query)] = nil
        // Not answered here: `Memory.sights`.
        case .sight: break
        case .log(let request): logs[request] = nil
        case .podRefusal(let request): refusals[request] = nil
        case .ledger(let question): ledger[question] = nil
        }
    }

    /// The generation to ask for; `nil` when nobody waits for an answer.
    func wanted(_ fetch: Fetch) -> UInt64? {
        switch fetch {
        case .confirmed(let asker, let target):
            let slot = confirmed[Confirmation(asker: asker, target: target)]
            return slot?.live == nil ? slot?.generation : nil
        case .confirmedList(let asker, let query):
            let slot = lists[ListConfirmation(asker: asker, query: query)]
            return slot?.objects == nil ? slot?.generation : nil
        case .sight: return nil
        case .log(let request):
            let slot = logs[request]
            return slot?.value == nil ? slot?.generation : nil
        // Asked for by its timer alone.
        case .podRefusal(let request): return refusals[request]?.generation
        case .ledger(let question):
            // An answer that says that there is none is asked for again.
            guard let slot = ledger[question] else { return nil }
            return slot.value == nil || slot.failures > 0 ? slot.generation : nil
        }
    }
}
