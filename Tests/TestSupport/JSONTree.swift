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
        guard let key = path.first else { return }
        var object = self.object ?? JSONObject()
        if path.count == 1 {
            object[key] = new
        } else if new != nil || object[key] != nil {
            var child = object[key] ?? .object(JSONObject())
            child.set(Array(path.dropFirst()), new)
            object[key] = child
        }
        self = .object(object)
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
        } else if let key = mergeKeys[member.key], let entries = member.value.array,
            entries.allSatisfy({ $0.object != nil })
        {
            result[member.key] = .array(mergedList(result[member.key]?.array ?? [], entries, by: key))
        } else if member.key == "finalizers", let entries = member.value.array {
            let present = result[member.key]?.array ?? []
            result[member.key] = .array(present + entries.filter { !present.contains($0) })
        } else {
            result[member.key] = strategicallyPatched(result[member.key] ?? .null, member.value)
        }
    }
    return .object(result)
}

private let mergeKeys = [
    "containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
    "ports": "containerPort", "imagePullSecrets": "name", "conditions": "type", "ownerReferences": "uid",
]

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
    return result
}
