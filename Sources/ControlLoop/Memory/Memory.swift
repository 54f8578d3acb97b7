// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Reconciler
import Resources
import Seams

/// Everything that the loop knows, as one value behind one lock.
///
/// That is what makes "read and subscribe" and "change and wake" each one step: nothing can change between a read and
/// its subscription. All of it is synchronous; whoever must be told is told after the lock is open again (`Rings`).
struct Memory: Sendable {
    /// What becomes due at some moment.
    enum Due: Hashable, Sendable {
        case pass(Key)
        case fetch(Fetch)
        /// A log is to be followed again.
        indirect case follow(LineRequest)
        /// Readers of a log are to be told what has gathered.
        indirect case tell(LineRequest)
    }

    /// Who must be told after the lock is open.
    struct Rings: Sendable {
        var work = 0
        var fetches = 0
        /// Of logs and of single objects.
        var follows = 0
        var notices = 0
        var timers = false
        var synced = false
        var gone = false
        /// Of the logs and single objects that nobody reads any more.
        var dropped: [Bell] = []
    }

    var kinds = KindTable()
    /// The kind whose objects have rows in the ledger.
    var recorded: Int?
    /// By kind number; `nil` for kinds that are only read by quorum.
    var shelves: [Shelf?] = []
    var subscriptions = Subscriptions()
    var answers = Answers()
    var work = KeyedQueue<Key>()
    var fetches = KeyedQueue<Fetch>()
    /// Logs that wait to be followed.
    var follows = KeyedQueue<LineRequest>()
    /// How many logs are followed just now.
    var following = 0
    /// Objects that are watched by themselves, for as long as somebody reads them so.
    var sights: [Key: Sight] = [:]
    /// Those of them that wait for their watch.
    var lookouts = KeyedQueue<Key>()
    /// How many of them are watched just now, and how many may be.
    var watching = 0
    var watchLimit = 1
    var timers = Timers<Due>()
    var failures: [Key: FailureRecord] = [:]
    /// What is refused, as long as somebody reads it.
    var unread: [Fetch: Refusals] = [:]
    /// Who has lately written a status.
    var circles: [Key: Circle] = [:]
    /// What passes over a key have concluded from what hardly ever changes, by topic.
    var conclusions: [Key: [String: any AnyObject & Sendable]] = [:]
    var announcements: [Announcement] = []
    private var serial: UInt64 = 0
    /// The moment that the timer task sleeps for.
    private var armed: Timers<Due>.Moment?
    var rings = Rings()

    /// The next number of a count that only ever rises.
    mutating func nextSerial() -> UInt64 {
        serial += 1
        return serial
    }

    mutating func watch(_ watched: WatchedKind) -> Int {
        let number = kinds.add(watched.kind)
        while shelves.count <= number { shelves.append(nil) }
        shelves[number] = Shelf(selector: watched.selector, namespace: watched.namespace)
        return number
    }

    func shelf(_ kind: Int) -> Shelf? { kind < shelves.count ? shelves[kind] : nil }

    /// An incarnation that was read, in the latest version that a watch or an own write has told of since.
    func latest(of key: Key, _ object: any Resource, _ stamp: Stamp) -> any Resource {
        var latest = (object, stamp)
        for shelf in [shelf(key.kind), sights[key]?.shelf] {
            if case .present(let heard, let now)? = shelf?.held[ObjectName(key)], now.uid == stamp.uid,
                now.version.order(to: latest.1.version) == .later
            {
                latest = (heard, now)
            }
        }
        return latest.0
    }

    var isSynced: Bool { shelves.allSatisfy { $0?.isSynced ?? true } }

    /// Whether the cache has this incarnation.
    func holds(uid: String, _ namespace: String, _ name: String, kind: ObjectIdentifier) -> Bool {
        guard let number = kinds.number(of: kind),
            let held = shelf(number)?.held[ObjectName(namespace: namespace, name: name)]
        else { return false }
        if case .buried = held { return false }
        return held.stamp.uid == uid
    }

    // MARK: Who must be told

    /// What has gathered since this was last called.
    mutating func takeRings() -> Rings {
        var taken = rings
        taken.timers = timers.earliest != armed
        rings = Rings()
        return taken
    }

    /// The moment to sleep for; it is remembered, so that only another one rings.
    mutating func arm() -> Timers<Due>.Moment? {
        armed = timers.earliest
        return armed
    }

    mutating func wake(_ key: Key) {
        if work.add(key) { rings.work += 1 }
    }

    mutating func finishWork(_ key: Key) {
        if work.finish(key) { rings.work += 1 }
    }

    mutating func wake(readersOf topic: Topic) {
        for key in subscriptions.readers(of: topic) { wake(key) }
    }

    mutating func request(_ fetch: Fetch) {
        if fetches.add(fetch) { rings.fetches += 1 }
    }

    mutating func finishFetch(_ fetch: Fetch) {
        if fetches.finish(fetch) { rings.fetches += 1 }
    }

    mutating func announce(_ announcement: Announcement) {
        announcements.append(announcement)
        rings.notices += 1
    }

    /// Makes everything due whose moment has come.
    mutating func fire(at now: Uptime) {
        for due in timers.takeDue(at: now) {
            switch due {
            case .fetch(let fetch): request(fetch)
            case .follow(let request): follow(request)
            case .tell(let request): tellLines(request, at: now)
            case .pass(let key):
                // Time is a reason to look again: quorum reads of before don't count.
                for topic in subscriptions.topics(of: key) {
                    switch topic {
                    case .confirmed(let target): doubt(key, target)
                    case .confirmedList(let query): doubt(key, query)
                    case .object, .watched, .labelled, .log, .lines, .podRefusal, .ledger: break
                    }
                }
                wake(key)
            }
        }
    }

    // MARK: Objects

    /// Takes in an object: the watch's, an own write's answer, or a quorum read's.
    mutating func store(_ object: any Resource, from origin: Shelf.Origin, kind: Int) {
        let key = Key(kind: kind, namespace: object.metadata.namespace ?? "", name: object.metadata.name)
        if origin == .answer { changeSight(key) { $0.put(object, from: .answer) } }
        guard kind < shelves.count, shelves[kind] != nil else {
            noteQuorum(key, Live(object))
            return
        }
        if let change = shelves[kind]?.put(object, from: origin) { apply(change, kind: kind) }
    }

    /// The key of an object. A kind of the API server may be known as several kinds of facts (a user's StatefulSet and one
    /// of ours): then as those by which the object is watched by itself.
    func key(_ ref: Ref) -> Key? {
        let keys = kinds.keys(ref)
        return keys.first { sights[$0] != nil } ?? keys.first
    }

    /// Whether a watch tells nothing new of an object.
    func holds(_ seen: ObjectVersion, on place: Place) -> Bool {
        let stamp = Stamp(uid: seen.uid, version: Version(seen.resourceVersion))
        let name = ObjectName(namespace: seen.namespace, name: seen.name)
        switch place {
        case .kind(let kind): return shelf(kind)?.holds(stamp, at: name) ?? false
        case .sight(let key, let opening):
            guard let sight = sights[key], sight.opening == opening else { return false }
            return sight.shelf.holds(stamp, at: name)
        }
    }

    /// Hears something from a watch.
    mutating func hear(on place: Place, _ body: (inout Shelf) -> Shelf.Change?) {
        switch place {
        case .kind(let kind):
            if let change = shelves[kind]?.change(body) { apply(change, kind: kind) }
        case .sight(let key, let opening):
            guard sights[key]?.opening == opening else { return }
            changeSight(key, body)
        }
    }

    /// Our own delete of this incarnation is done and it is gone.
    mutating func bury(_ seen: Seen) {
        guard let key = key(seen.ref) else { return }
        let serial = nextSerial()
        let name = ObjectName(key)
        changeSight(key) { $0.bury(name, uid: seen.uid, serial: serial) }
        guard key.kind < shelves.count, shelves[key.kind] != nil else {
            noteQuorum(key, .absent)
            return
        }
        if let change = shelves[key.kind]?.bury(name, uid: seen.uid, serial: serial) { apply(change, kind: key.kind) }
    }

    /// Takes a whole list.
    /// - Returns: Whether it was taken; not when it is older than what is known.
    mutating func replace(
        _ objects: [any Resource], _ broken: [UndecodableObject], at version: String, begunAt serial: UInt64,
        on place: Place
    ) -> Bool {
        switch place {
        case .kind(let kind): replace(objects, broken, at: Version(version), begunAt: serial, kind: kind)
        case .sight(let key, let opening):
            listSight(key, opening) { $0.replace(objects, broken, at: Version(version), begunAt: serial) }
        }
    }

    private mutating func replace(
        _ objects: [any Resource], _ broken: [UndecodableObject], at version: Version, begunAt serial: UInt64, kind: Int
    ) -> Bool {
        let wasSynced = isSynced
        guard let changes = shelves[kind]?.replace(objects, broken, at: version, begunAt: serial) else {
            return false
        }
        for change in changes { apply(change, kind: kind) }
        if !wasSynced, isSynced { rings.synced = true }
        return true
    }

    private mutating func apply(_ change: Shelf.Change, kind: Int) {
        let key = Key(kind: kind, namespace: change.name.namespace, name: change.name.name)
        wake(readersOf: .object(key))
        if kind == recorded, change.isEnd { rings.gone = true }
        for slot in change.slots {
            wake(readersOf: .labelled(LabelQuery(kind: kind, namespace: slot.namespace, pair: slot.pair)))
        }
        if change.isUnreadable {
            for reader in subscriptions.readersOfLabels(kind: kind, namespace: key.namespace) { wake(reader) }
        }
        for asker in subscriptions.readers(of: .confirmed(key)) { reconsider(asker, key, change) }
        if kinds.entries[kind].behavior != nil { wake(key) }
    }
}
