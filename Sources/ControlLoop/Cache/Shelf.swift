// SPDX-License-Identifier: Apache-2.0

import KubeClient
import Resources

/// All known objects of one kind.
///
/// Guarantees: an object never goes back in resourceVersion, whatever the order in which a watch, a list, a quorum read
/// and the answers to own writes arrive; what was deleted does not come back through any of them; an object that can't
/// be decoded is neither shown in an older version nor taken for absent.
struct Shelf: Sendable {
    /// Where news of an object comes from.
    enum Origin: Equatable, Sendable {
        case watch
        /// The answer to an own write or to a quorum read: it may be late.
        case answer
    }

    /// What is known under one name.
    enum Held: Sendable {
        case present(any Resource, Stamp)
        /// It exists and can't be decoded. `labels` are those of its last good version, if there was one.
        case unreadable(Stamp, labels: [String: String]?)
        /// We deleted this incarnation and the server said that it is gone; the watch has yet to say so. The serial
        /// tells which lists began later.
        case buried(Stamp, serial: UInt64)

        var stamp: Stamp {
            switch self {
            case .present(_, let stamp), .unreadable(let stamp, _), .buried(let stamp, _): stamp
            }
        }

        var labels: [String: String]? {
            switch self {
            case .present(let object, _): object.indexed
            case .unreadable(_, let labels): labels
            case .buried: nil
            }
        }
    }

    /// Something about one name is different now.
    struct Change: Equatable, Sendable {
        var name: ObjectName
        /// What it was or is part of.
        var slots: [LabelIndex.Slot]
        /// The incarnation and version that is there now, if it can be read.
        var present: Stamp?
        /// It is not there any more.
        var isGone: Bool
        /// It can't be decoded, so it may be part of any slot of its namespace.
        var isUnreadable: Bool
        /// An incarnation that was there is there no more, whether or not there is another one now.
        var isEnd = false
    }

    /// Only objects with this label are watched.
    let selector: LabelPair?
    /// Only this namespace is watched; `nil` means all.
    let namespace: String?
    private(set) var isSynced = false
    /// How far the watch has been heard.
    private(set) var position = Version("")
    private(set) var held: [ObjectName: Held] = [:]
    private var index = LabelIndex()
    private var unreadable: Set<ObjectName> = []

    init(selector: LabelPair? = nil, namespace: String? = nil) {
        self.selector = selector
        self.namespace = namespace
    }

    var unreadableCount: Int { unreadable.count }

    func isSelected(_ labels: [String: String]?) -> Bool {
        guard let selector else { return true }
        return labels?[selector.label] == selector.value
    }

    /// Whether an object is part of what is watched.
    func takes(_ object: any Resource) -> Bool {
        isSelected(object.metadata.labels) && (namespace == nil || namespace == object.metadata.namespace)
    }

    /// All objects with a label in one namespace, in the order of their names; `nil` when one of them can't be read.
    mutating func objects(_ namespace: String, _ pair: LabelPair) -> [any Resource]? {
        if !index.covers(pair.label) { cover(pair.label) }
        for name in unreadable where name.namespace == namespace {
            guard case .unreadable(_, let labels) = held[name] else { continue }
            // Without any labels known it may be part of everything.
            if labels == nil || labels?[pair.label] == pair.value { return nil }
        }
        return index.names(in: LabelIndex.Slot(namespace: namespace, pair: pair)).compactMap { name in
            guard case .present(let object, _) = held[ObjectName(namespace: namespace, name: name)] else { return nil }
            return object
        }
    }

    /// Whether this very incarnation is held, and a watch that tells of that version tells nothing new.
    func holds(_ stamp: Stamp, at name: ObjectName) -> Bool {
        guard case .present(_, let known)? = held[name], known.uid == stamp.uid else { return false }
        return !isNews(stamp, at: name, from: .watch)
    }

    /// In place, where the shelf itself is out of reach.
    mutating func change<Value>(_ body: (inout Shelf) -> Value) -> Value { body(&self) }

    /// Hears of an object.
    mutating func put(_ object: any Resource, from origin: Origin) -> Change? {
        let metadata = object.metadata
        let name = ObjectName(namespace: metadata.namespace ?? "", name: metadata.name)
        let stamp = Stamp(uid: metadata.uid ?? "", version: Version(metadata.resourceVersion ?? ""))
        if origin == .watch { advance(to: stamp.version) }
        guard isSelected(metadata.labels) else { return remove(name, stamp) }
        guard isNews(stamp, at: name, from: origin) else { return nil }
        return set(name, .present(object, stamp))
    }

    /// Hears from the watch of an object that can't be decoded.
    mutating func markUnreadable(_ object: UndecodableObject) -> Change? {
        let name = ObjectName(namespace: object.ref.namespace, name: object.ref.name)
        let stamp = Stamp(uid: object.uid, version: Version(object.resourceVersion))
        advance(to: stamp.version)
        guard isNews(stamp, at: name, from: .watch) else { return nil }
        return set(name, .unreadable(stamp, labels: held[name]?.labels))
    }

    /// Hears that an object is gone, or that the selector no longer matches it.
    mutating func remove(_ name: ObjectName, _ stamp: Stamp, from origin: Origin = .answer) -> Change? {
        if origin == .watch { advance(to: stamp.version) }
        guard let known = held[name] else { return nil }
        switch stamp.version.order(to: known.stamp.version) {
        case .earlier: return nil
        case .unknown where known.stamp.uid != stamp.uid && !known.stamp.uid.isEmpty: return nil
        case .same, .later, .unknown: return set(name, nil)
        }
    }

    /// Our own delete of this incarnation is done and it is gone: nothing that is still under way brings it back.
    mutating func bury(_ name: ObjectName, uid: String, serial: UInt64) -> Change? {
        guard let known = held[name], known.stamp.uid == uid else { return nil }
        if case .buried = known { return nil }
        return set(name, .buried(known.stamp, serial: serial))
    }

    /// The watch has been heard up to here.
    mutating func advance(to version: Version) {
        switch version.order(to: position) {
        case .later: position = version
        case .unknown where !version.text.isEmpty: position = version
        case .earlier, .same, .unknown: break
        }
    }

    /// Takes a whole consistent list.
    /// - Parameter serial: The serial when the list was begun.
    /// - Returns: What is different; `nil` when the list is older than what the watch has told already.
    mutating func replace(
        _ objects: [any Resource], _ broken: [UndecodableObject], at version: Version, begunAt serial: UInt64
    ) -> [Change]? {
        if case .earlier = version.order(to: position) { return nil }
        var changes: [Change] = []
        var listed: Set<ObjectName> = []
        for object in objects {
            let name = ObjectName(namespace: object.metadata.namespace ?? "", name: object.metadata.name)
            listed.insert(name)
            exhume(name, uid: object.metadata.uid ?? "", before: serial)
            if let change = put(object, from: .watch) { changes.append(change) }
        }
        for object in broken where !object.ref.name.isEmpty {
            let name = ObjectName(namespace: object.ref.namespace, name: object.ref.name)
            listed.insert(name)
            exhume(name, uid: object.uid, before: serial)
            if let change = markUnreadable(object) { changes.append(change) }
        }
        let gone = held.filter { !listed.contains($0.key) && $0.value.stamp.version.order(to: version) != .later }
        for name in gone.keys.sorted() {
            if let change = set(name, nil) { changes.append(change) }
        }
        position = version
        isSynced = true
        return changes
    }

    /// A consistent list that began after our delete was done shows the incarnation: so it lives.
    private mutating func exhume(_ name: ObjectName, uid: String, before serial: UInt64) {
        guard case .buried(let stamp, let at) = held[name], stamp.uid == uid, at <= serial else { return }
        held[name] = nil
    }

    private func isNews(_ stamp: Stamp, at name: ObjectName, from origin: Origin) -> Bool {
        guard let known = held[name] else {
            // The watch is past this version and has nothing: it was deleted meanwhile.
            return origin == .watch || !stamp.version.isAtMost(position)
        }
        if case .buried(let buried, _) = known, buried.uid == stamp.uid { return false }
        switch stamp.version.order(to: known.stamp.version) {
        case .later: return true
        case .earlier, .same: return false
        case .unknown: return stamp != known.stamp
        }
    }

    private mutating func set(_ name: ObjectName, _ new: Held?) -> Change? {
        let old = held[name]
        let before = index.slots(of: name, old?.labels)
        let after = index.slots(of: name, new?.labels)
        if before != after {
            for slot in before { index.remove(name, from: slot) }
            for slot in after { index.add(name, to: slot) }
        }
        held[name] = new
        var change = Change(
            name: name, slots: Set(before + after).sorted(), present: nil, isGone: false, isUnreadable: false)
        let wasUnreadable = unreadable.remove(name) != nil
        switch new {
        case .present(_, let stamp): change.present = stamp
        case .unreadable:
            change.isUnreadable = true
            unreadable.insert(name)
        case .buried, nil: change.isGone = true
        }
        if wasUnreadable { change.isUnreadable = true }
        if let old { change.isEnd = change.isGone || old.stamp.uid != new?.stamp.uid }
        // Forgetting a burial changes nothing that anybody can see.
        if case .buried = old, new == nil { return nil }
        return change
    }

    private mutating func cover(_ label: String) {
        index.cover(label)
        for (name, held) in held {
            guard let value = held.labels?[label] else { continue }
            index.add(name, to: LabelIndex.Slot(namespace: name.namespace, pair: LabelPair(label, value)))
        }
    }
}
