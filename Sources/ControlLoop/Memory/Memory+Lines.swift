// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Seams

/// Logs that are followed.
///
/// A log that is read has a slot; it waits in `follows` for its turn, is followed by one connection at a time, and
/// pauses between two of them (`Due.follow`). It leaves with its last reader.
extension Memory {
    /// Readers hear of a log so often at most, but for what they have never heard of.
    static let tellingInterval: Milliseconds = 1_000

    mutating func lines(_ request: LineRequest) -> Observed<LineFacts> {
        if let slot = answers.lines[request] { return slot.facts.map { .present($0) } ?? .unknown }
        answers.lines[request] = Answers.LineSlot(generation: nextSerial())
        follow(request)
        return .unknown
    }

    /// Nobody reads it any more: ends its connection.
    mutating func dropLines(_ request: LineRequest) {
        guard let slot = answers.lines.removeValue(forKey: request) else { return }
        timers.cancel(.follow(request))
        timers.cancel(.tell(request))
        rings.dropped.append(slot.dropped)
    }

    /// It waits for its turn from now on.
    mutating func follow(_ request: LineRequest) {
        guard answers.lines[request] != nil else { return }
        if follows.add(request) { rings.follows += 1 }
    }

    /// The next log to follow, if another one may be followed now. Whoever takes it must `finishFollowing`.
    mutating func takeFollowing() -> Following? {
        while following < Following.limit, let request = follows.take() {
            guard let slot = answers.lines[request], !slot.isOver else {
                follows.finish(request)
                continue
            }
            following += 1
            return Following(
                request: request, generation: slot.generation, facts: slot.facts, position: slot.position,
                failures: slot.failures, emptyEnds: slot.emptyEnds, dropped: slot.dropped)
        }
        return nil
    }

    /// A connection has ended.
    mutating func finishFollowing(_ ended: Following, _ outcome: Following.Outcome, at now: Uptime) {
        following -= 1
        let request = ended.request
        follows.finish(request)
        if follows.depth > 0 { rings.follows += 1 }
        if let facts = outcome.facts { linesArrived(request, ended.generation, facts, at: now) }
        guard var slot = answers.lines[request], slot.generation == ended.generation else { return }
        slot.position = outcome.position
        slot.failures = outcome.failures
        slot.emptyEnds = outcome.emptyEnds
        slot.isOver = outcome.again == nil
        answers.lines[request] = slot
        if let wait = outcome.again { timers.set(.follow(request), at: now.adding(wait), for: .retry) }
    }

    /// What a log has given away so far.
    mutating func linesArrived(_ request: LineRequest, _ generation: UInt64, _ facts: LineFacts, at now: Uptime) {
        guard var slot = answers.lines[request], slot.generation == generation, slot.facts != facts else { return }
        let known = slot.facts?.counts ?? [:]
        let isFirst = slot.facts == nil || facts.counts.keys.contains { known[$0] == nil }
        slot.facts = facts
        let due = slot.toldAt.map { $0.adding(Self.tellingInterval) } ?? now
        if isFirst || due <= now {
            slot.toldAt = now
            slot.isTelling = false
            timers.cancel(.tell(request))
            wake(readersOf: .lines(request))
        } else if !slot.isTelling {
            slot.isTelling = true
            timers.set(.tell(request), at: due, for: .wake)
        }
        answers.lines[request] = slot
    }

    /// Tells the readers what has gathered since they were last told.
    mutating func tellLines(_ request: LineRequest, at now: Uptime) {
        answers.lines[request]?.isTelling = false
        answers.lines[request]?.toldAt = now
        wake(readersOf: .lines(request))
    }
}
