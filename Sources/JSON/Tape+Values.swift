// SPDX-License-Identifier: Apache-2.0

extension Tape {
    /// The context of an error thrown while decoding, still without a path.
    private static func context(_ text: String) -> DecodingError.Context {
        DecodingError.Context(codingPath: [], debugDescription: text)
    }

    /// The error for a value of another type, or for null.
    func mismatch(_ type: any Any.Type, at index: Int) -> DecodingError {
        kind(index) == .null
            ? .valueNotFound(type, Self.context("null")) : .typeMismatch(type, Self.context("another JSON type"))
    }

    /// A value of any Decodable type.
    @inline(__always)
    func decode<Value: Decodable>(_ type: Value.Type, at index: Int) throws -> Value {
        // Identical types, so the casts keep the bits; they only tell the compiler.
        if Value.self == String.self { return unsafeBitCast(try string(at: index), to: Value.self) }
        if Value.self == [String: String].self {
            return unsafeBitCast(try dictionary(at: index), to: Value.self)
        }
        if Value.self == [String].self { return unsafeBitCast(try stringArray(at: index), to: Value.self) }
        if Value.self == JSONValue.self { return unsafeBitCast(try value(at: index), to: Value.self) }
        return try Value(from: TapeDecoder(tape: self, index: index))
    }

    /// A value of any Decodable type, or nil for null.
    @inline(__always)
    func decodeOptional<Value: Decodable>(_ type: Value.Type, at index: Int) throws -> Value? {
        kind(index) == .null ? nil : try decode(type, at: index)
    }

    /// A string.
    func string(at index: Int) throws -> String {
        guard kind(index) == .string else { throw mismatch(String.self, at: index) }
        // simdjson has checked the bytes and the escapes.
        return String(decoding: text(index), as: UTF8.self)
    }

    /// A boolean.
    func bool(at index: Int) throws -> Bool {
        switch kind(index) {
        case .yes: return true
        case .no: return false
        default: throw mismatch(Bool.self, at: index)
        }
    }

    /// An integer: exact or an error.
    ///
    /// A whole double below 2^53 counts, as in Foundation; above, two texts could give the same double.
    func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self, at index: Int) throws -> Value {
        let value: Value?
        switch kind(index) {
        case .integer: value = Value(exactly: Int64(bitPattern: bits(index)))
        case .unsigned: value = Value(exactly: bits(index))
        case .double:
            let double = Double(bitPattern: bits(index))
            value = double.magnitude < 0x1p53 ? Value(exactly: double) : nil
        default: throw mismatch(Value.self, at: index)
        }
        guard let value else { throw DecodingError.dataCorrupted(Self.context("does not fit \(Value.self)")) }
        return value
    }

    /// A double; integers above 2^53 are rounded.
    func double(at index: Int) throws -> Double {
        switch kind(index) {
        case .double: return Double(bitPattern: bits(index))
        case .integer: return Double(Int64(bitPattern: bits(index)))
        case .unsigned: return Double(bits(index))
        default: throw mismatch(Double.self, at: index)
        }
    }

    /// A float; a number beyond its range is an error, one between two floats is rounded.
    func float(at index: Int) throws -> Float {
        let float: Float
        switch kind(index) {
        case .double: float = Float(Double(bitPattern: bits(index)))
        case .integer: float = Float(Int64(bitPattern: bits(index)))
        case .unsigned: float = Float(bits(index))
        default: throw mismatch(Float.self, at: index)
        }
        guard float.isFinite else { throw DecodingError.dataCorrupted(Self.context("does not fit Float")) }
        return float
    }

    /// An array of strings.
    func stringArray(at index: Int) throws -> [String] {
        guard kind(index) == .array else { throw mismatch([String].self, at: index) }
        var result: [String] = []
        let content = content(index)
        result.reserveCapacity(min(content.count, 1024))
        for element in content {
            do { result.append(try string(at: element)) } catch {
                throw DecodingError.placed(error, at: IndexKey(result.count))
            }
        }
        return result
    }

    /// An object whose values are strings.
    func dictionary(at index: Int) throws -> [String: String] {
        guard kind(index) == .object else { throw mismatch([String: String].self, at: index) }
        var result: [String: String] = [:]
        let content = content(index)
        result.reserveCapacity(min(content.count / 2, 1024))
        var key = content.lowerBound
        while key < content.upperBound {
            let name = try string(at: key)
            do {
                let value = try string(at: key + 1)
                if result[name] == nil { result[name] = value }
            } catch { throw DecodingError.placed(error, at: NameKey(name)) }
            key += 2
        }
        return result
    }

    /// Any value, keeping the order of keys.
    func value(at index: Int, omitting omitted: String? = nil) throws -> JSONValue {
        switch kind(index) {
        case .null: return .null
        case .yes: return .bool(true)
        case .no: return .bool(false)
        case .string: return .string(try string(at: index))
        case .integer: return .integer(Int64(bitPattern: bits(index)))
        case .unsigned: return JSONValue(unsigned: bits(index))
        case .double: return .number(Double(bitPattern: bits(index)))
        case .array:
            var elements: [JSONValue] = []
            elements.reserveCapacity(min(count(index), 1024))
            let content = content(index)
            var element = content.lowerBound
            while element < content.upperBound {
                elements.append(try value(at: element))
                element = next(element)
            }
            return .array(elements)
        case .object:
            var members: [JSONObject.Member] = []
            let count = count(index)
            members.reserveCapacity(min(count, 1024))
            let content = content(index)
            var key = content.lowerBound
            while key < content.upperBound {
                let name = try string(at: key)
                if name != omitted { members.append(JSONObject.Member(key: name, value: try value(at: key + 1))) }
                key = next(key + 1)
            }
            return .object(
                areSurelyUnique(content, count) ? JSONObject(unique: members) : JSONObject(keepingFirst: members))
        }
    }
}
