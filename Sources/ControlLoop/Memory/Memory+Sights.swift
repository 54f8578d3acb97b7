// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Seams

/// Which shelf an informer keeps.
enum Place: Hashable, Sendable {
    /// That of a kind.
    case kind(Int)
    /// That of one object, since it was opened with this number.
    case sight(Key, opening: UInt64)
}

/// One object that is watched by itself.
struct Sight: Sendable {
    /// While it waits for its watch, it is read so often.
    static let interval: Milliseconds = 30_000

    /// What a watch of an earlier opening still tells is not heard.
    let opening: UInt64
    /// A shelf of one.
    var shelf: Shelf
    /// Its watch has had its turn.
    var isWatched = false
    /// Drawn anew with every change: a quorum read that began before it does not count.
    var generation: UInt64
    /// A quorum read has answered.
    var wasRead = false
    var failures = 0
    /// Ends its watch.
    var dropped = Bell()

    var isKnown: Bool { shelf.isSynced || wasRead }
}

/// Objects that are watched by themselves.
///
/// One that is read has a `Sight`; it waits in `lookouts` for its turn, and then is watched until its last reader has
/// left. So long as it waits it is read by quorum, from time to time. Everybody who reads it has the same one.
extension Memory {
    /// Sees to it that an object is watched.
    /// - Returns: Whether something is known of it.
    mutating func look(at key: Key) -> Bool {
        if let sight = sights[key] { return sight.isKnown }
        let shelf = Shelf(namespace: key.namespace)
        sights[key] = Sight(opening: nextSerial(), shelf: shelf, generation: nextSerial())
        if lookouts.add(key) { rings.follows += 1 }
        readIfWaiting(key)
        return false
    }

    /// Nobody reads it any more: ends its watch.
    mutating func dropSight(_ key: Key) {
        guard let sight = sights.removeValue(forKey: key) else { return }
        unread[.sight(key)] = nil
        timers.cancel(.fetch(.sight(key)))
        rings.dropped.append(sight.dropped)
    }

    /// The next object to watch, if another one may be watched now. Whoever takes it must `finishSighting`.
    mutating func takeSighting() -> Sighting? {
        while watching < watchLimit, let key = lookouts.take() {
            guard let sight = sights[key] else {
                lookouts.finish(key)
                continue
            }
            sights[key]?.isWatched = true
            timers.cancel(.fetch(.sight(key)))
            watching += 1
            return Sighting(
                key: key, kind: kinds.entries[key.kind].kind, opening: sight.opening, dropped: sight.dropped)
        }
        return nil
    }

    /// A watch has ended.
    mutating func finishSighting(_ ended: Sighting) {
        watching -= 1
        if lookouts.finish(ended.key) { readIfWaiting(ended.key) }
        if lookouts.depth > 0 { rings.follows += 1 }
    }

    /// There are more objects than may be watched.
    private mutating func readIfWaiting(_ key: Key) {
        if watching + lookouts.depth > watchLimit { request(.sight(key)) }
    }

    /// The generation to ask for; `nil` when nobody waits for an answer.
    func wanted(_ fetch: Fetch) -> UInt64? {
        guard case .sight(let key) = fetch else { return answers.wanted(fetch) }
        return sights[key].flatMap { $0.isWatched ? nil : $0.generation }
    }

    /// A quorum read of an object that waited for its watch.
    mutating func sightArrived(_ key: Key, _ generation: UInt64, _ live: Live, askAgain moment: Uptime) {
        guard let sight = sights[key] else { return }
        guard sight.generation == generation else {
            // It may be from before an own write. Where the watch has come by now, that will tell.
            if !sight.isWatched { request(.sight(key)) }
            return
        }
        sights[key]?.wasRead = true
        sights[key]?.failures = 0
        unread[.sight(key)] = nil
        if !sight.isKnown { wake(readersOf: .watched(key)) }
        changeSight(key) { shelf in
            switch live {
            case .present(let object, _): shelf.put(object, from: .answer)
            case .absent: shelf.held[ObjectName(key)].flatMap { shelf.remove(ObjectName(key), $0.stamp) }
            }
        }
        if !sight.isWatched { timers.set(.fetch(.sight(key)), at: moment, for: .resync) }
    }

    /// Hears of an object that may be watched by itself.
    mutating func changeSight(_ key: Key, _ body: (inout Shelf) -> Shelf.Change?) {
        if let change = sights[key]?.shelf.change(body) { tell(change, of: key) }
    }

    /// Takes a list.
    /// - Returns: Whether it was taken; not when it is older than what is known.
    mutating func listSight(_ key: Key, _ opening: UInt64, _ body: (inout Shelf) -> [Shelf.Change]?) -> Bool {
        // Nobody reads it any more: its watch is about to end.
        guard let sight = sights[key], sight.opening == opening else { return true }
        let wasKnown = sight.isKnown
        guard let changes = sights[key]?.shelf.change(body) else { return false }
        unread[.sight(key)] = nil
        if !wasKnown { wake(readersOf: .watched(key)) }
        for change in changes { tell(change, of: key) }
        return true
    }

    private mutating func tell(_ change: Shelf.Change, of key: Key) {
        let generation = nextSerial()
        sights[key]?.generation = generation
        wake(readersOf: .watched(key))
        for asker in subscriptions.readers(of: .confirmed(key)) { reconsider(asker, key, change) }
    }
}
