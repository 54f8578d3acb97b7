// SPDX-License-Identifier: Apache-2.0

/// The elements of an array, one after the other.
///
/// A failed decode does not move on.
struct TapeUnkeyedContainer {
    let tape: Tape
    let content: Range<Int>
    private(set) var position: Int
    private(set) var currentIndex = 0

    init(tape: Tape, index: Int) throws {
        guard tape.kind(index) == .array else { throw tape.mismatch([Any].self, at: index) }
        self.tape = tape
        content = tape.content(index)
        position = content.lowerBound
    }

    /// Decodes the current element and moves on.
    @inline(__always)
    private mutating func take<Value>(_ type: Any.Type, _ body: (Int) throws -> Value) throws -> Value {
        guard position < content.upperBound else {
            let context = DecodingError.Context(codingPath: [], debugDescription: "no further element")
            throw DecodingError.valueNotFound(type, context)
        }
        let value: Value
        do { value = try body(position) } catch { throw DecodingError.placed(error, at: IndexKey(currentIndex)) }
        position = tape.next(position)
        currentIndex += 1
        return value
    }
}

extension TapeUnkeyedContainer: UnkeyedDecodingContainer {
    var codingPath: [any CodingKey] { [] }
    var isAtEnd: Bool { position >= content.upperBound }

    /// The number of elements, counted on demand (the tape's own count is only exact below 2^24).
    var count: Int? {
        var count = 0
        var index = content.lowerBound
        while index < content.upperBound {
            count += 1
            index = tape.next(index)
        }
        return count
    }

    mutating func decodeNil() throws -> Bool {
        guard position < content.upperBound else { return try take(Any?.self) { _ in false } }
        guard tape.kind(position) == .null else { return false }
        return try take(Any?.self) { _ in true }
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        let tape = tape
        return try take(type) { KeyedDecodingContainer(try TapeKeyedContainer<Nested>(tape: tape, index: $0)) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let tape = tape
        return try take([Any].self) { try TapeUnkeyedContainer(tape: tape, index: $0) }
    }

    mutating func superDecoder() throws -> any Decoder {
        let tape = tape
        return try take((any Decoder).self) { TapeDecoder(tape: tape, index: $0) }
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let tape = tape
        return try take(type) { try tape.decode(type, at: $0) }
    }

    mutating func decodeIfPresent<Value: Decodable>(_ type: Value.Type) throws -> Value? {
        guard position < content.upperBound else { return nil }
        let tape = tape
        return try take(type) { try tape.decodeOptional(type, at: $0) }
    }

    mutating func decode(_ type: Bool.Type) throws -> Bool {
        let tape = tape
        return try take(type) { try tape.bool(at: $0) }
    }

    mutating func decode(_ type: String.Type) throws -> String {
        let tape = tape
        return try take(type) { try tape.string(at: $0) }
    }

    mutating func decode(_ type: Double.Type) throws -> Double {
        let tape = tape
        return try take(type) { try tape.double(at: $0) }
    }

    mutating func decode(_ type: Float.Type) throws -> Float {
        let tape = tape
        return try take(type) { try tape.float(at: $0) }
    }

    @inline(__always)
    private mutating func integer<Value: FixedWidthInteger>() throws -> Value {
        let tape = tape
        return try take(Value.self) { try tape.integer(at: $0) }
    }

    mutating func decode(_ type: Int.Type) throws -> Int { try integer() }
    mutating func decode(_ type: Int8.Type) throws -> Int8 { try integer() }
    mutating func decode(_ type: Int16.Type) throws -> Int16 { try integer() }
    mutating func decode(_ type: Int32.Type) throws -> Int32 { try integer() }
    mutating func decode(_ type: Int64.Type) throws -> Int64 { try integer() }
    mutating func decode(_ type: Int128.Type) throws -> Int128 { try integer() }
    mutating func decode(_ type: UInt.Type) throws -> UInt { try integer() }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try integer() }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try integer() }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try integer() }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try integer() }
    mutating func decode(_ type: UInt128.Type) throws -> UInt128 { try integer() }

    mutating func decodeIfPresent(_ type: Bool.Type) throws -> Bool? {
        try decodeNilOrEnd() ? nil : try decode(type)
    }

    mutating func decodeIfPresent(_ type: String.Type) throws -> String? {
        try decodeNilOrEnd() ? nil : try decode(type)
    }

    mutating func decodeIfPresent(_ type: Double.Type) throws -> Double? {
        try decodeNilOrEnd() ? nil : try decode(type)
    }

    mutating func decodeIfPresent(_ type: Float.Type) throws -> Float? {
        try decodeNilOrEnd() ? nil : try decode(type)
    }

    private mutating func decodeNilOrEnd() throws -> Bool { isAtEnd ? true : try decodeNil() }

    @inline(__always)
    private mutating func optional<Value: FixedWidthInteger>() throws -> Value? {
        try decodeNilOrEnd() ? nil : try integer()
    }

    mutating func decodeIfPresent(_ type: Int.Type) throws -> Int? { try optional() }
    mutating func decodeIfPresent(_ type: Int8.Type) throws -> Int8? { try optional() }
    mutating func decodeIfPresent(_ type: Int16.Type) throws -> Int16? { try optional() }
    mutating func decodeIfPresent(_ type: Int32.Type) throws -> Int32? { try optional() }
    mutating func decodeIfPresent(_ type: Int64.Type) throws -> Int64? { try optional() }
    mutating func decodeIfPresent(_ type: Int128.Type) throws -> Int128? { try optional() }
    mutating func decodeIfPresent(_ type: UInt.Type) throws -> UInt? { try optional() }
    mutating func decodeIfPresent(_ type: UInt8.Type) throws -> UInt8? { try optional() }
    mutating func decodeIfPresent(_ type: UInt16.Type) throws -> UInt16? { try optional() }
    mutating func decodeIfPresent(_ type: UInt32.Type) throws -> UInt32? { try optional() }
    mutating func decodeIfPresent(_ type: UInt64.Type) throws -> UInt64? { try optional() }
    mutating func decodeIfPresent(_ type: UInt128.Type) throws -> UInt128? { try optional() }
}
