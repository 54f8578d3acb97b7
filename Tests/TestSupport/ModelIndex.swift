// SPDX-License-Identifier: Apache-2.0

import JSON

/// Where objects are found without looking at all of them: by kind and namespace, by UID, by owner.
package final class ModelIndex: @unchecked Sendable {
    /// By plural and namespace; sorted.
    private var names: [String: [String: [String]]] = [:]
    private var kinds: [String: ModelKind] = [:]
    private var keys: [String: ModelKey] = [:]
    /// By the owner's UID; in the order of `ModelKey`.
    private var children: [String: [ModelKey]] = [:]

    package init() {}

    /// Hears of every change, before anybody else does.
    func note(_ change: ModelAPI.Change) {
        switch change.kind {
        case .added:
            insert(change.key)
            if let uid = change.object.text("metadata", "uid") { keys[uid] = change.key }
            for owner in Self.owners(change.object) { adopt(change.key, owner) }
        case .modified:
            let before = change.before?[path: ["metadata", "ownerReferences"]]
            let after = change.object[path: ["metadata", "ownerReferences"]]
            guard before != after else { return }
            for owner in Self.owners(change.before ?? .null) { release(change.key, owner) }
            for owner in Self.owners(change.object) { adopt(change.key, owner) }
        case .deleted:
            remove(change.key)
            if let uid = change.object.text("metadata", "uid") { keys[uid] = nil }
            for owner in Self.owners(change.before ?? change.object) { release(change.key, owner) }
        }
    }

    /// Those of a kind, in the order of `ModelKey`.
    package func keys(of kind: ModelKind, in namespace: String? = nil) -> [ModelKey] {
        let spaces = names[kind.plural] ?? [:]
        if let namespace { return (spaces[namespace] ?? []).map { ModelKey(kind, namespace, $0) } }
        return spaces.keys.sorted().flatMap { space in (spaces[space] ?? []).map { ModelKey(kind, space, $0) } }
    }

    /// Everything that lies in a namespace.
    package func keys(in namespace: String) -> [ModelKey] {
        names.keys.sorted().compactMap { kinds[$0] }.flatMap { $0.isNamespaced ? keys(of: $0, in: namespace) : [] }
    }

    /// The object that has this UID now.
    package func key(uid: String) -> ModelKey? { keys[uid] }

    /// What names this UID among its owners.
    package func owned(by uid: String) -> [ModelKey] { children[uid] ?? [] }

    static func owners(_ object: JSONValue) -> [String] {
        object.items("metadata", "ownerReferences").compactMap { $0.text("uid") }
    }

    private func insert(_ key: ModelKey) {
        kinds[key.kind.plural] = key.kind
        let place = Self.place(names[key.kind.plural]?[key.namespace] ?? [], key.name)
        names[key.kind.plural, default: [:]][key.namespace, default: []].insert(key.name, at: place)
    }

    private func remove(_ key: ModelKey) {
        guard let list = names[key.kind.plural]?[key.namespace] else { return }
        let place = Self.place(list, key.name)
        guard place < list.count, list[place] == key.name else { return }
        names[key.kind.plural]?[key.namespace]?.remove(at: place)
    }

    private static func place(_ list: [String], _ name: String) -> Int {
        var (low, high) = (0, list.count)
        while low < high {
            let middle = (low + high) / 2
            if list[middle] < name { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func adopt(_ key: ModelKey, _ owner: String) {
        var list = children[owner] ?? []
        guard !list.contains(key) else { return }
        list.insert(key, at: list.firstIndex { key < $0 } ?? list.count)
        children[owner] = list
    }

    private func release(_ key: ModelKey, _ owner: String) {
        children[owner]?.removeAll { $0 == key }
        if children[owner]?.isEmpty == true { children[owner] = nil }
    }
}
