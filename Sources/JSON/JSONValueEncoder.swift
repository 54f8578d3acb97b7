// SPDX-License-Identifier: Apache-2.0

/// An encoder of the one value at `slot`.
///
/// It has no state of its own: what was done with it shows in the writer, so asking for its container twice gives the
/// same container.
struct JSONValueEncoder: Encoder {
    let writer: JSONWriter
    let depth: Int
    let slot: Int

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(JSONKeyedWriter<Key>(writer: writer, handle: writer.opened(keyedBy: type, depth, slot)))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        JSONUnkeyedWriter(writer: writer, handle: writer.opened(depth, slot))
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }
}

extension JSONWriter {
    /// The key type with which the standard library's dictionaries encode themselves.
    ///
    /// It has no public name, so a dictionary is encoded to see it (with sorted keys, which does not ask for this very
    /// value).
    private static let dictionaryKeys: ObjectIdentifier? = {
        let writer = JSONWriter(sortsKeys: true)
        try? writer.encode(["": 0])
        return writer.lastKeys
    }()

    /// Opens an object; a dictionary's is sorted, as a dictionary has no order of its own.
    func opened<Key: CodingKey>(keyedBy type: Key.Type, _ depth: Int, _ slot: Int) -> Handle {
        let keys = ObjectIdentifier(type)
        lastKeys = keys
        let sorts = sortsKeys || keys == Self.dictionaryKeys
        return noting { try open(array: false, sorts: sorts, depth: depth, slot: slot) }
    }

    /// Opens an array.
    func opened(_ depth: Int, _ slot: Int) -> Handle {
        noting { try open(array: true, sorts: false, depth: depth, slot: slot) }
    }

    /// Where Codable does not allow throwing: keeps the error for the end, and gives a handle that fits nothing.
    func noting(_ body: () throws -> Handle) -> Handle {
        do { return try body() } catch {
            failure = failure ?? error as? JSONError ?? Self.misuse
            return Handle(depth: 0, number: -1)
        }
    }
}

extension JSONValueEncoder: SingleValueEncodingContainer {
    func encodeNil() throws {
        try claim()
        writer.writeNull()
    }

    func encode(_ value: Bool) throws {
        try claim()
        writer.write(value)
    }

    func encode(_ value: String) throws {
        try claim()
        writer.write(value)
    }

    func encode(_ value: Double) throws {
        try claim()
        try writer.write(value)
    }

    func encode(_ value: Float) throws {
        try claim()
        try writer.write(value)
    }

    func encode<Value: Encodable>(_ value: Value) throws {
        try claim()
        try writer.encode(value, depth: depth)
    }

    @inline(__always)
    private func claim() throws { try writer.claim(depth: depth, slot: slot) }

    @inline(__always)
    private func integer(_ value: some FixedWidthInteger) throws {
        try claim()
        writer.write(value)
    }

    func encode(_ value: Int) throws { try integer(value) }
    func encode(_ value: Int8) throws { try integer(value) }
    func encode(_ value: Int16) throws { try integer(value) }
    func encode(_ value: Int32) throws { try integer(value) }
    func encode(_ value: Int64) throws { try integer(value) }
    func encode(_ value: Int128) throws { try integer(value) }
    func encode(_ value: UInt) throws { try integer(value) }
    func encode(_ value: UInt8) throws { try integer(value) }
    func encode(_ value: UInt16) throws { try integer(value) }
    func encode(_ value: UInt32) throws { try integer(value) }
    func encode(_ value: UInt64) throws { try integer(value) }
    func encode(_ value: UInt128) throws { try integer(value) }
}
