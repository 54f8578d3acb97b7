// SPDX-License-Identifier: Apache-2.0

/// A list whose items were decoded one by one.
package struct JSONList<Head, Item> {
    /// The list without its items.
    package let head: Head
    /// The items in their order: decoded, or why not and which object it is.
    package let items: [Result<Item, JSONItemError>]

    /// Makes a list.
    package init(head: Head, items: [Result<Item, JSONItemError>]) {
        self.head = head
        self.items = items
    }
}

extension JSONList: Sendable where Head: Sendable, Item: Sendable {}

/// An item of a list that could not be decoded, with what could be read of its identity.
package struct JSONItemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The item's place in the list.
    package let index: Int
    /// `metadata.namespace`, `.name` and `.uid`, if they are strings; at most 256 characters each.
    package let namespace: String?
    package let name: String?
    package let uid: String?
    /// What is wrong; its path starts with the list's key.
    package let error: JSONError

    /// `tenant-a/orders-db: JSON wrongType at items[3].spec.replicas: Int expected`.
    package var description: String {
        let object = [namespace, name].compactMap { $0 }.joined(separator: "/")
        return (object.isEmpty ? "item \(index)" : object) + ": " + error.description
    }
}

extension JSON {
    /// Decodes a list so that an item nobody can decode does not take the others with it.
    ///
    /// - Parameters:
    ///   - head: What to decode the list itself as: a type without the items, or `JSONValue`, which then lacks them.
    ///   - item: What to decode each item as.
    ///   - bytes: The whole list.
    ///   - key: The key of the items, an array. Null counts as empty (Go writes null for an empty slice).
    ///   - limits: Size and depth of the whole.
    /// - Returns: The head, and one result for each item.
    /// - Throws: ``JSONError`` when the text is malformed, the head does not decode, or there is no array of items.
    package static func decodeItems<Head: Decodable, Item: Decodable>(
        _ head: Head.Type, _ item: Item.Type, from bytes: [UInt8], key: String = "items", limits: Limits = .standard
    ) throws(JSONError) -> JSONList<Head, Item> {
        let tape = try Tape(parsing: bytes.span, limits: limits)
        let decoded: Head
        do { decoded = try decodeHead(head, tape, omitting: key) } catch { throw JSONError(decoding: error) }
        guard let array = tape.find(key, inObject: Tape.root) else { throw JSONError(.missingKey, path: key) }
        switch tape.kind(array) {
        case .null: return JSONList(head: decoded, items: [])
        case .array: break
        default: throw JSONError(.wrongType, path: key, detail: "Array expected")
        }
        var items: [Result<Item, JSONItemError>] = []
        let content = tape.content(array)
        var position = content.lowerBound
        while position < content.upperBound {
            do { items.append(.success(try tape.decode(item, at: position))) } catch {
                let placed = JSONError(decoding: error).prefixed("\(key)[\(items.count)]")
                items.append(.failure(failure(placed, tape, position, items.count)))
            }
            position = tape.next(position)
        }
        return JSONList(head: decoded, items: items)
    }

    private static func decodeHead<Head: Decodable>(
        _ head: Head.Type, _ tape: Tape, omitting key: String
    ) throws -> Head {
        if Head.self == JSONValue.self {
            return unsafeBitCast(try tape.value(at: Tape.root, omitting: key), to: Head.self)
        }
        return try tape.decode(head, at: Tape.root)
    }

    private static func failure(_ error: JSONError, _ tape: Tape, _ position: Int, _ index: Int) -> JSONItemError {
        let metadata = tape.find("metadata", inObject: position)
        func text(_ key: String) -> String? {
            guard let metadata, let index = tape.find(key, inObject: metadata) else { return nil }
            return (try? tape.string(at: index)).map { JSONError.bounded($0, 256) }
        }
        return JSONItemError(
            index: index, namespace: text("namespace"), name: text("name"), uid: text("uid"), error: error)
    }
}
