// SPDX-License-Identifier: Apache-2.0

/// Writes the members of an object.
struct JSONKeyedWriter<Key: CodingKey> {
    let writer: JSONWriter
    let handle: JSONWriter.Handle

    /// Writes a key and its value.
    @inline(__always)
    private func member(_ key: Key, _ write: () throws -> Void) throws {
        let name = key.stringValue
        do {
            try writer.begin(name, handle)
            try write()
        } catch { throw writer.failed(error, at: name) }
    }

    /// Writes a key whose value a container or encoder will write.
    private func slot(_ name: String) -> Int {
        _ = writer.noting {
            try writer.begin(name, handle)
            return handle
        }
        return writer.count
    }

    /// An encoder for a member's value.
    private func superEncoder(_ name: String) -> any Encoder {
        let slot = slot(name)
        writer.awaitValue()
        return JSONValueEncoder(writer: writer, depth: handle.depth + 1, slot: slot)
    }
}

extension JSONKeyedWriter: KeyedEncodingContainerProtocol {
    var codingPath: [any CodingKey] { [] }

    func encodeNil(forKey key: Key) throws { try member(key) { writer.writeNull() } }
    func encode(_ value: Bool, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: String, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: Double, forKey key: Key) throws { try member(key) { try writer.write(value) } }
    func encode(_ value: Float, forKey key: Key) throws { try member(key) { try writer.write(value) } }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        try member(key) { try writer.encode(value, depth: handle.depth + 1) }
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        let slot = slot(key.stringValue)
        let nested = writer.opened(keyedBy: type, handle.depth + 1, slot)
        return KeyedEncodingContainer(JSONKeyedWriter<Nested>(writer: writer, handle: nested))
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        let slot = slot(key.stringValue)
        return JSONUnkeyedWriter(writer: writer, handle: writer.opened(handle.depth + 1, slot))
    }

    func superEncoder() -> any Encoder { superEncoder("super") }
    func superEncoder(forKey key: Key) -> any Encoder { superEncoder(key.stringValue) }

    func encode(_ value: Int, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: Int8, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: Int16, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: Int32, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: Int64, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: Int128, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: UInt, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: UInt8, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: UInt16, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: UInt32, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: UInt64, forKey key: Key) throws { try member(key) { writer.write(value) } }
    func encode(_ value: UInt128, forKey key: Key) throws { try member(key) { writer.write(value) } }
}
