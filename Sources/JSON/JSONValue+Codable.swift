// SPDX-License-Identifier: Apache-2.0

extension JSONValue: Codable {
    /// Reads any value; with decoders other than ``JSON``'s by trying, and without a guaranteed order of keys.
    package init(from decoder: any Decoder) throws {
        if let decoder = decoder as? TapeDecoder {
            self = try decoder.tape.value(at: decoder.index)
        } else if let container = try? decoder.container(keyedBy: NameKey.self) {
            let members = try container.allKeys.map {
                JSONObject.Member(key: $0.stringValue, value: try container.decode(JSONValue.self, forKey: $0))
            }
            self = .object(JSONObject(keepingFirst: members))
        } else if var container = try? decoder.unkeyedContainer() {
            var elements: [JSONValue] = []
            while !container.isAtEnd { elements.append(try container.decode(JSONValue.self)) }
            self = .array(elements)
        } else {
            self = try Self.scalar(try decoder.singleValueContainer())
        }
    }

    private static func scalar(_ container: any SingleValueDecodingContainer) throws -> JSONValue {
        if container.decodeNil() { return .null }
        if let value = try? container.decode(Bool.self) { return .bool(value) }
        if let value = try? container.decode(Int64.self) { return .integer(value) }
        if let value = try? container.decode(UInt64.self) { return JSONValue(unsigned: value) }
        if let value = try? container.decode(Double.self) { return .number(value) }
        return .string(try container.decode(String.self))
    }

    /// Writes the value; with ``JSON``'s encoder the keys keep their order.
    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let object):
            var container = encoder.container(keyedBy: NameKey.self)
            for member in object.members { try container.encode(member.value, forKey: NameKey(member.key)) }
        case .array(let elements):
            var container = encoder.unkeyedContainer()
            for element in elements { try container.encode(element) }
        case .string(let value): try Self.write(value, encoder)
        case .integer(let value): try Self.write(value, encoder)
        case .unsigned(let value): try Self.write(value, encoder)
        case .number(let value): try Self.write(value, encoder)
        case .bool(let value): try Self.write(value, encoder)
        case .null:
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        }
    }

    private static func write(_ value: some Encodable, _ encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }

    /// The JSON of an encodable value.
    ///
    /// - Throws: ``JSONError``.
    package init(encoding value: some Encodable) throws(JSONError) {
        self = try JSON.decode(JSONValue.self, from: try JSON.encode(value))
    }

    /// The value decoded into a type.
    ///
    /// - Throws: ``JSONError``.
    package func decoded<Value: Decodable>(as type: Value.Type = Value.self) throws(JSONError) -> Value {
        try JSON.decode(type, from: try JSON.encode(self))
    }
}
