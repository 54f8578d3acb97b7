// SPDX-License-Identifier: Apache-2.0

/// The members of an object.
///
/// Keys are found by comparing bytes along the object; an object with many keys gets an index, so that decoding a
/// large dictionary key by key does not take quadratic time.
struct TapeKeyedContainer<Key: CodingKey> {
    let tape: Tape
    let content: Range<Int>
    let positions: [String: Int]?

    /// Tape words from which on an index is made: 64 keys with strings as values.
    private static var wordsForIndex: Int { 128 }

    init(tape: Tape, index: Int) throws {
        guard tape.kind(index) == .object else { throw tape.mismatch([String: Any].self, at: index) }
        self.tape = tape
        content = tape.content(index)
        positions = content.count < Self.wordsForIndex ? nil : Self.positions(tape, content)
    }

    private static func positions(_ tape: Tape, _ content: Range<Int>) -> [String: Int]? {
        var result: [String: Int] = [:]
        var key = content.lowerBound
        var keys = 0
        while key < content.upperBound {
            keys += 1
            key = tape.next(key + 1)
        }
        guard keys > 64 else { return nil }
        key = content.lowerBound
        while key < content.upperBound {
            if let name = try? tape.string(at: key), result[name] == nil { result[name] = key + 1 }
            key = tape.next(key + 1)
        }
        return result
    }

    /// The index of a key's value, or nil.
    @inline(__always)
    func find(_ key: some CodingKey) -> Int? { find(name: key.stringValue) }

    @inline(__always)
    private func find(name: String) -> Int? {
        if let positions { return positions[name] }
        var name = name
        return name.withUTF8 { tape.find($0, in: content) }
    }

    /// The index of a key's value.
    @inline(__always)
    func required(_ key: some CodingKey) throws -> Int {
        guard let index = find(key) else {
            throw DecodingError.keyNotFound(key, DecodingError.Context(codingPath: [], debugDescription: "missing"))
        }
        return index
    }

    /// Decodes the value of a key; an error gets the key in front of its path.
    @inline(__always)
    func member<Value>(_ key: Key, _ body: (Int) throws -> Value) throws -> Value {
        let index = try required(key)
        do { return try body(index) } catch { throw DecodingError.placed(error, at: key) }
    }

    /// Decodes the value of a key unless it is absent or null.
    @inline(__always)
    func optional<Value>(_ key: Key, _ body: (Int) throws -> Value) throws -> Value? {
        guard let index = present(key) else { return nil }
        do { return try body(index) } catch { throw DecodingError.placed(error, at: key) }
    }

    /// The index of a key's value unless it is absent or null.
    @inline(__always)
    func present(_ key: Key) -> Int? {
        guard let index = find(key), tape.kind(index) != .null else { return nil }
        return index
    }

}

/// The key of `superDecoder()` and `superEncoder()`.
struct SuperKey: CodingKey {
    var stringValue: String { "super" }
    var intValue: Int? { nil }
    init() {}
    init?(stringValue: String) { nil }
    init?(intValue: Int) { nil }
}

extension TapeKeyedContainer: KeyedDecodingContainerProtocol {
    var codingPath: [any CodingKey] { [] }

    /// The object's keys in their order, without repetitions, as far as `Key` takes them.
    var allKeys: [Key] {
        var seen: Set<String> = []
        var keys: [Key] = []
        var index = content.lowerBound
        while index < content.upperBound {
            if let name = try? tape.string(at: index), seen.insert(name).inserted, let key = Key(stringValue: name) {
                keys.append(key)
            }
            index = tape.next(index + 1)
        }
        return keys
    }

    func contains(_ key: Key) -> Bool { find(key) != nil }
    func decodeNil(forKey key: Key) throws -> Bool { tape.kind(try required(key)) == .null }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try member(key) { KeyedDecodingContainer(try TapeKeyedContainer<Nested>(tape: tape, index: $0)) }
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try member(key) { try TapeUnkeyedContainer(tape: tape, index: $0) }
    }

    // A decoder standing at the object's closing word sees null, as Foundation's does without such a key.
    func superDecoder() throws -> any Decoder {
        TapeDecoder(tape: tape, index: find(SuperKey()) ?? content.upperBound)
    }

    func superDecoder(forKey key: Key) throws -> any Decoder {
        TapeDecoder(tape: tape, index: find(key) ?? content.upperBound)
    }

    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try member(key) { try tape.bool(at: $0) } }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try member(key) { try tape.string(at: $0) } }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try member(key) { try tape.double(at: $0) } }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try member(key) { try tape.float(at: $0) } }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: Int128.Type, forKey key: Key) throws -> Int128 { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try member(key) { try tape.integer(at: $0) } }
    func decode(_ type: UInt128.Type, forKey key: Key) throws -> UInt128 {
        try member(key) { try tape.integer(at: $0) }
    }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try member(key) { try tape.decode(type, at: $0) }
    }
}
