// SPDX-License-Identifier: Apache-2.0

import JSON

/// RFC 6902 as the real server applies it.
enum ModelJSONPatch {
    enum Failure: Error {
        /// The body is no list of operations.
        case malformed
        /// A test does not hold, or a path leads nowhere. The server does not tell which.
        case unapplicable
    }

    static func applied(_ patch: JSONValue, to target: JSONValue, quirk: ModelQuirk?) throws(Failure) -> JSONValue {
        if patch == .null { return target }
        guard let operations = patch.array, operations.allSatisfy({ $0.object != nil }) else {
            throw Failure.malformed
        }
        var result = target
        for operation in operations { try apply(operation, to: &result, quirk) }
        return result
    }

    private static func apply(
        _ operation: JSONValue, to target: inout JSONValue, _ quirk: ModelQuirk?
    ) throws(Failure) {
        guard let name = operation.text("op"), let pointer = operation.text("path") else { throw Failure.unapplicable }
        let path = pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            .map { String($0).replacing("~1", with: "/").replacing("~0", with: "~") }
        let value = operation["value"]
        switch name {
        case "test":
            let found = place(path[...], in: target)
            if quirk == .testAlwaysHolds { return }
            guard found ?? .null == value ?? .null else { throw Failure.unapplicable }
        case "add", "replace", "remove":
            // The server's library never looks at what stands before the first slash.
            guard !path.isEmpty else { throw Failure.unapplicable }
            target = try changed(target, path[...], name, value)
        default: throw Failure.unapplicable
        }
    }

    private static func place(_ path: ArraySlice<String>, in value: JSONValue) -> JSONValue? {
        guard let key = path.first else { return value }
        if let items = value.array {
            guard let index = Int(key), items.indices.contains(index) else { return nil }
            return place(path.dropFirst(), in: items[index])
        }
        return value[key].flatMap { place(path.dropFirst(), in: $0) }
    }

    private static func changed(
        _ target: JSONValue, _ path: ArraySlice<String>, _ name: String, _ value: JSONValue?
    ) throws(Failure) -> JSONValue {
        guard let key = path.first else { return value ?? .null }
        if var items = target.array {
            let index = key == "-" ? items.count : Int(key) ?? -1
            let isAdding = name == "add" && path.count == 1
            guard index >= 0, isAdding ? index <= items.count : index < items.count else { throw Failure.unapplicable }
            if path.count > 1 {
                items[index] = try changed(items[index], path.dropFirst(), name, value)
            } else if isAdding {
                items.insert(value ?? .null, at: index)
            } else if name == "remove" {
                items.remove(at: index)
            } else {
                items[index] = value ?? .null
            }
            return .array(items)
        }
        guard var object = target.object else { throw Failure.unapplicable }
        if path.count > 1 {
            guard let child = object[key] else { throw Failure.unapplicable }
            object[key] = try changed(child, path.dropFirst(), name, value)
        } else {
            // To replace what is not there is to add it, in the server's library.
            guard name != "remove" || object[key] != nil else { throw Failure.unapplicable }
            object[key] = name == "remove" ? nil : .some(value ?? .null)
        }
        return .object(object)
    }
}
