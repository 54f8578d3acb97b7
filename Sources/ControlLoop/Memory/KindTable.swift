// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources

/// The kinds that the loop has met, numbered in the order in which it met them.
struct KindTable: Sendable {
    struct Entry: Sendable {
        var kind: any AnyKind
        /// What decides about objects of this kind.
        var behavior: BoundBehavior?
    }

    private(set) var entries: [Entry] = []
    private var numbers: [ObjectIdentifier: Int] = [:]

    /// The kind's number; a new one when it was not known.
    mutating func number<R: Resource>(of type: R.Type) -> Int {
        if let number = numbers[ObjectIdentifier(type)] { return number }
        return add(KindBox<R>())
    }

    func number(of type: ObjectIdentifier) -> Int? { numbers[type] }

    mutating func add(_ kind: any AnyKind) -> Int {
        if let number = numbers[kind.typeID] { return number }
        entries.append(Entry(kind: kind))
        numbers[kind.typeID] = entries.count - 1
        return entries.count - 1
    }

    mutating func bind(_ behavior: BoundBehavior) {
        let number = add(behavior.kind)
        entries[number].behavior = behavior
    }

    /// One for each kind of facts that describes such an object, in the order in which they were met.
    func keys(_ ref: Ref) -> [Key] {
        entries.indices.filter { entries[$0].kind.resourceKind == ref.kind }
            .map { Key(kind: $0, namespace: ref.namespace, name: ref.name) }
    }

    func ref(_ key: Key) -> Ref { Ref(entries[key.kind].kind.resourceKind, key.namespace, key.name) }
}
