// SPDX-License-Identifier: Apache-2.0

/// Any JSON value: for merge patches, raw events and other data without a type of its own.
///
/// Numbers keep their kind: an integer within 64 bits stays exact, and `1` and `1.0` are different values. Objects
/// compare without regard to the order of keys.
package enum JSONValue: Hashable, Sendable {
    case object(JSONObject)
    case array([JSONValue])
    case string(String)
    /// An integer within Int64.
    case integer(Int64)
    /// An integer above `Int64.max`; smaller ones are ``integer(_:)``. Make it with ``init(unsigned:)``.
    case unsigned(UInt64)
    /// A number written with a fraction or an exponent, or an integer outside 64 bits.
    case number(Double)
    case bool(Bool)
    case null

    /// An integer in its one form.
    package init(unsigned value: UInt64) {
        self = Int64(exactly: value).map { .integer($0) } ?? .unsigned(value)
    }

    /// The value as text, or nil if it is not a string.
    package var string: String? {
        guard case .string(let string) = self else { return nil }
        return string
    }

    /// The elements, or nil if it is not an array.
    package var array: [JSONValue]? {
        guard case .array(let array) = self else { return nil }
        return array
    }

    /// The members, or nil if it is not an object.
    package var object: JSONObject? {
        guard case .object(let object) = self else { return nil }
        return object
    }

    /// The value of a key, or nil if there is none or it is not an object.
    package subscript(_ key: String) -> JSONValue? {
        guard case .object(let object) = self else { return nil }
        return object[key]
    }
}

/// The members of an object in their order, each key once.
package struct JSONObject: Sendable {
    /// One key and its value.
    package struct Member: Hashable, Sendable {
        package let key: String
        package var value: JSONValue

        package init(key: String, value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// The members; no key stands here twice.
    package private(set) var members: [Member]

    /// An object without members.
    package init() { members = [] }

    /// An object of these members; of those with the same key the first is kept.
    package init(keepingFirst members: [Member]) {
        if Self.areUnique(members) {
            self.members = members
        } else {
            var keys: Set<String> = []
            self.members = members.filter { keys.insert($0.key).inserted }
        }
    }

    /// An object of members that are known to have different keys.
    init(unique members: [Member]) { self.members = members }

    private static func areUnique(_ members: [Member]) -> Bool {
        if members.count > 12 { return Set(members.map(\.key)).count == members.count }
        for index in members.indices {
            for other in 0..<index where members[other].key == members[index].key { return false }
        }
        return true
    }

    /// The value of a key.
    ///
    /// Setting keeps the key's place or appends it; setting nil removes it. Takes linear time.
    package subscript(_ key: String) -> JSONValue? {
        get { place(of: key).map { members[$0].value } }
        set {
            switch (place(of: key), newValue) {
            case (let place?, let value?): members[place].value = value
            case (let place?, nil): members.remove(at: place)
            case (nil, let value?): members.append(Member(key: key, value: value))
            case (nil, nil): break
            }
        }
    }
}

extension JSONObject {
    /// Changes the value of a key where it stands; `nil` when there is none.
    package mutating func change<Result>(_ key: String, _ body: (inout JSONValue) -> Result) -> Result? {
        place(of: key).map { body(&members[$0].value) }
    }

    private func place(of key: String) -> Int? {
        for index in members.indices where members[index].key == key { return index }
        return nil
    }
}

extension JSONObject: Hashable {
    /// Whether both have the same keys and values, in any order.
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        guard left.members.count == right.members.count else { return false }
        // Nearly always in the same order: then no table is needed.
        var same = 0
        while same < left.members.count, left.members[same].key == right.members[same].key {
            guard left.members[same].value == right.members[same].value else { return false }
            same += 1
        }
        if same == left.members.count { return true }
        let values = Dictionary(right.members.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        return left.members.allSatisfy { values[$0.key] == $0.value }
    }

    /// Hashes without regard to order.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(members.count)
        hasher.combine(members.reduce(0) { $0 ^ $1.hashValue })
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral {
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(floatLiteral value: Double) { self = .number(value) }
}

extension JSONValue: ExpressibleByBooleanLiteral, ExpressibleByNilLiteral {
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(nilLiteral: ()) { self = .null }
}

extension JSONValue: ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral {
    package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }

    /// Of equal keys the first is kept.
    package init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(keepingFirst: elements.map { JSONObject.Member(key: $0.0, value: $0.1) }))
    }
}
