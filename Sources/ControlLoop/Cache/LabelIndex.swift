// SPDX-License-Identifier: Apache-2.0

import Resources

/// One object's name within its kind.
struct ObjectName: Hashable, Comparable, Sendable {
    var namespace: String
    var name: String

    init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    init(_ object: any Resource) {
        self.init(namespace: object.metadata.namespace ?? "", name: object.metadata.name)
    }

    init(_ key: Key) { self.init(namespace: key.namespace, name: key.name) }

    static func < (left: ObjectName, right: ObjectName) -> Bool {
        (left.namespace, left.name) < (right.namespace, right.name)
    }
}

/// Names by namespace and label, for those labels that somebody has asked for.
struct LabelIndex: Sendable {
    /// Everything with one value of one label in one namespace.
    struct Slot: Hashable, Comparable, Sendable {
        var namespace: String
        var pair: LabelPair

        static func < (left: Slot, right: Slot) -> Bool {
            (left.namespace, left.pair.label, left.pair.value) < (right.namespace, right.pair.label, right.pair.value)
        }
    }

    private var labels: [String] = []
    private var slots: [Slot: Set<String>] = [:]

    func covers(_ label: String) -> Bool { labels.contains(label) }

    /// Begins to keep this label. The caller adds the objects that there are.
    mutating func cover(_ label: String) { labels.append(label) }

    /// The slots that an object with these labels is in.
    func slots(of name: ObjectName, _ labels: [String: String]?) -> [Slot] {
        guard let labels, !self.labels.isEmpty else { return [] }
        return self.labels.compactMap { label in
            labels[label].map { Slot(namespace: name.namespace, pair: LabelPair(label, $0)) }
        }
    }

    mutating func add(_ name: ObjectName, to slot: Slot) { slots[slot, default: []].insert(name.name) }

    mutating func remove(_ name: ObjectName, from slot: Slot) {
        slots[slot]?.remove(name.name)
        if slots[slot]?.isEmpty == true { slots[slot] = nil }
    }

    /// In order.
    func names(in slot: Slot) -> [String] { slots[slot]?.sorted() ?? [] }
}
