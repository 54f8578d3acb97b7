// SPDX-License-Identifier: Apache-2.0

package import JSON

/// Paths through untyped objects.
extension JSONValue {
    package subscript(path path: [String]) -> JSONValue? {
        var value: JSONValue? = self
        for key in path { value = value?[key] }
        return value
    }

    package func text(_ path: String...) -> String? { self[path: path]?.string }

    package func integer(_ path: String...) -> Int64? {
        guard case .integer(let number) = self[path: path] else { return nil }
        return number
    }

    package func items(_ path: String...) -> [JSONValue] { self[path: path]?.array ?? [] }

    /// Sets a value, with the objects on the way; `nil` removes it.
    package mutating func set(_ path: [String], _ new: JSONValue?) {
        set(path[...], new)
    }

    private mutating func set(_ path: ArraySlice<String>, _ new: JSONValue?) {
        guard let key = path.first else { return }
        var object = JSONObject()
        if case .object(let present) = self { object = present }
        // There must be no second reference while it is changed, or all of it is copied.
        self = .null
        defer { self = .object(object) }
        if path.count == 1 {
            object[key] = new
        } else if object.change(key, { $0.set(path.dropFirst(), new) }) == nil, new != nil {
            var child = JSONValue.object(JSONObject())
            child.set(path.dropFirst(), new)
            object[key] = child
        }
    }

    /// A map of texts (labels).
    package var texts: [String: String] {
        Dictionary(
            (object?.members ?? []).compactMap { member in member.value.string.map { (member.key, $0) } },
            uniquingKeysWith: { first, _ in first })
    }

    package init(texts: [String: String]) {
        self = .object(
            JSONObject(
                keepingFirst: texts.sorted { $0.key < $1.key }.map {
                    JSONObject.Member(key: $0.key, value: .string($0.value))
                }))
    }

    /// Its JSON text.
    package var bytes: [UInt8] { (try? JSON.encode(self)) ?? [] }
}

/// RFC 7396.
package func mergePatched(_ target: JSONValue, _ patch: JSONValue) -> JSONValue {
    guard let changes = patch.object else { return patch }
    var result = target.object ?? JSONObject()
    for member in changes.members {
        if member.value == .null {
            result[member.key] = nil
        } else {
            result[member.key] = mergePatched(result[member.key] ?? .null, member.value)
        }
    }
    return .object(result)
}

/// Kubernetes' strategic merge: as a merge patch, but the lists that have a merge key are merged by it.
package func strategicallyPatched(_ target: JSONValue, _ patch: JSONValue) -> JSONValue {
    guard let changes = patch.object else { return patch }
    if changes["$patch"] == "replace" {
        var replaced = changes
        replaced["$patch"] = nil
        return .object(replaced)
    }
    var result = target.object ?? JSONObject()
    for member in changes.members {
        if member.value == .null {
            result[member.key] = nil
        } else if let entries = member.value.array, let key = mergeKey(member.key, entries),
            entries.allSatisfy({ $0.object != nil })
        {
            result[member.key] = .array(mergedList(result[member.key]?.array ?? [], entries, by: key))
        } else if member.key == "finalizers", let entries = member.value.array {
            let present = result[member.key]?.array ?? []
            let merged = present + entries.filter { !present.contains($0) }
            result[member.key] = .array(ordered(merged, like: entries, then: present) { $0 })
        } else if let present = result[member.key] {
            result[member.key] = strategicallyPatched(present, member.value)
        } else {
            // As it stands: a null in it is no deletion.
            result[member.key] = member.value
        }
    }
    return .object(result)
}

private let mergeKeys = [
    "containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
    "ports": "containerPort", "imagePullSecrets": "name", "conditions": "type", "ownerReferences": "uid",
]

private func mergeKey(_ name: String, _ entries: [JSONValue]) -> String? {
    // Those of a Service are merged by another name.
    if name == "ports", entries.first?["containerPort"] == nil { return "port" }
    return mergeKeys[name]
}

private func mergedList(_ list: [JSONValue], _ entries: [JSONValue], by key: String) -> [JSONValue] {
    var result = list
    for entry in entries {
        let place = result.firstIndex { $0[key] == entry[key] }
        if entry["$patch"] == "delete" {
            if let place { result.remove(at: place) }
        } else if let place {
            result[place] = strategicallyPatched(result[place], entry)
        } else {
            result.append(strategicallyPatched(.object(JSONObject()), entry))
        }
    }
    return ordered(result, like: entries, then: list) { $0[key] ?? .null }
}

/// The order of a merged list: what the patch names stands in the patch's order, the rest in the old one, and a rest item
/// comes before a named one only where it did before.
private func ordered(
    _ merged: [JSONValue], like patch: [JSONValue], then old: [JSONValue], by identity: (JSONValue) -> JSONValue
) -> [JSONValue] {
    func place(_ item: JSONValue, in list: [JSONValue]) -> Int? {
        list.firstIndex { identity($0) == identity(item) }
    }
    var named = merged.filter { place($0, in: patch) != nil }
    named.sort { place($0, in: patch) ?? 0 < place($1, in: patch) ?? 0 }
    var (rest, result) = (merged.filter { place($0, in: patch) == nil }[...], [JSONValue]())
    var left = named[...]
    while let item = left.first {
        if let other = rest.first, let before = place(other, in: old), let after = place(item, in: old), before < after
        {
            result.append(rest.removeFirst())
        } else {
            result.append(left.removeFirst())
        }
    }
    return result + rest
}
