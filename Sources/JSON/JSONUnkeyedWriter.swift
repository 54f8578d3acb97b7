// SPDX-License-Identifier: Apache-2.0

/// Writes the elements of an array.
struct JSONUnkeyedWriter {
    let writer: JSONWriter
    let handle: JSONWriter.Handle
    private(set) var count = 0

    init(writer: JSONWriter, handle: JSONWriter.Handle) {
        self.writer = writer
        self.handle = handle
        // The same array, asked for a second time, goes on counting.
        if handle.number >= 0 { count = writer.frames[handle.depth].count }
    }

    /// Writes an element.
    @inline(__always)
    private mutating func element(_ write: () throws -> Void) throws {
        do {
            try writer.resume(handle)
            try write()
        } catch { throw writer.failed(error, at: "[\(count)]") }
        count += 1
    }

    /// Makes ready for an element that a container or encoder will write.
    private mutating func slot() -> Int {
        let writer = writer
        let handle = handle
        _ = writer.noting {
            try writer.resume(handle)
            return handle
        }
        count += 1
        return writer.count
    }
}

extension JSONUnkeyedWriter: UnkeyedEncodingContainer {
    var codingPath: [any CodingKey] { [] }

    mutating func encodeNil() throws {
        let writer = writer
        try element { writer.writeNull() }
    }

    mutating func encode(_ value: Bool) throws {
        let writer = writer
        try element { writer.write(value) }
    }

    mutating func encode(_ value: String) throws {
        let writer = writer
        try element { writer.write(value) }
    }

    mutating func encode(_ value: Double) throws {
        let writer = writer
        try element { try writer.write(value) }
    }

    mutating func encode(_ value: Float) throws {
        let writer = writer
        try element { try writer.write(value) }
    }

    mutating func encode<Value: Encodable>(_ value: Value) throws {
        let writer = writer
        let depth = handle.depth + 1
        try element { try writer.encode(value, depth: depth) }
    }

    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        let slot = slot()
        let nested = writer.opened(keyedBy: type, handle.depth + 1, slot)
        return KeyedEncodingContainer(JSONKeyedWriter<Nested>(writer: writer, handle: nested))
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        let slot = slot()
        return JSONUnkeyedWriter(writer: writer, handle: writer.opened(handle.depth + 1, slot))
    }

    mutating func superEncoder() -> any Encoder {
        let slot = slot()
        writer.awaitValue()
        return JSONValueEncoder(writer: writer, depth: handle.depth + 1, slot: slot)
    }

    @inline(__always)
    private mutating func integer(_ value: some FixedWidthInteger) throws {
        let writer = writer
        try element { writer.write(value) }
    }

    mutating func encode(_ value: Int) throws { try integer(value) }
    mutating func encode(_ value: Int8) throws { try integer(value) }
    mutating func encode(_ value: Int16) throws { try integer(value) }
    mutating func encode(_ value: Int32) throws { try integer(value) }
    mutating func encode(_ value: Int64) throws { try integer(value) }
    mutating func encode(_ value: Int128) throws { try integer(value) }
    mutating func encode(_ value: UInt) throws { try integer(value) }
    mutating func encode(_ value: UInt8) throws { try integer(value) }
    mutating func encode(_ value: UInt16) throws { try integer(value) }
    mutating func encode(_ value: UInt32) throws { try integer(value) }
    mutating func encode(_ value: UInt64) throws { try integer(value) }
    mutating func encode(_ value: UInt128) throws { try integer(value) }
}
