// SPDX-License-Identifier: Apache-2.0

// Values as text. Each function writes at the end; the callers have claimed the place.
extension JSONWriter {
    /// Encodes the document's value.
    func encode<Value: Encodable>(_ value: Value) throws {
        try encode(value, depth: 0)
        try close(to: 0)
    }

    /// Encodes a value at the end of the text, with `depth` containers open.
    @inline(__always)
    func encode<Value: Encodable>(_ value: Value, depth: Int) throws {
        // Identical types, so the casts keep the bits; they only tell the compiler.
        if Value.self == String.self { return write(unsafeBitCast(value, to: String.self)) }
        if Value.self == [String: String].self {
            return try write(unsafeBitCast(value, to: [String: String].self), depth: depth)
        }
        if Value.self == [String].self { return write(unsafeBitCast(value, to: [String].self)) }
        if Value.self == JSONValue.self, !sortsKeys {
            return try write(unsafeBitCast(value, to: JSONValue.self), depth: depth)
        }
        let slot = count
        try value.encode(to: JSONValueEncoder(writer: self, depth: depth, slot: slot))
        if frames.count > depth { try close(to: depth) }
        if count == slot, depth > 0 { writeEmptyObject() }
    }

    func writeNull() { write(ascii: "null") }

    func write(_ value: Bool) { write(ascii: value ? "true" : "false") }

    /// The shortest text that reads back as the same double; whole numbers keep their `.0`, so they stay doubles.
    func write(_ value: Double) throws {
        guard value.isFinite else { throw JSONError(.notFinite) }
        write(plain: value.description)
    }

    /// The shortest text that reads back as the same float.
    func write(_ value: Float) throws {
        guard value.isFinite else { throw JSONError(.notFinite) }
        write(plain: value.description)
    }

    /// An integer of up to 64 bits.
    @inline(__always)
    func write<Value: FixedWidthInteger>(_ value: Value) {
        if Value.bitWidth > 64 { return write(plain: String(value)) }
        reserve(21)
        if value < 0 { push(UInt8(ascii: "-")) }
        write(digits: UInt64(truncatingIfNeeded: value.magnitude))
    }

    private func write(digits value: UInt64) {
        var rest = value
        var length = 1
        while rest >= 10 {
            rest /= 10
            length += 1
        }
        rest = value
        var position = skip(length) + length
        repeat {
            position -= 1
            bytes[position] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
    }

    /// Text that needs no escapes.
    private func write(ascii text: StaticString) {
        reserve(text.utf8CodeUnitCount)
        push(text.utf8Start, text.utf8CodeUnitCount)
    }

    /// Text that needs no escapes.
    private func write(plain text: String) {
        var text = text
        text.withUTF8 { source in
            reserve(source.count)
            if let start = source.baseAddress { push(start, source.count) }
        }
    }

    /// A string in quotes.
    @inline(__always)
    func write(_ value: String) {
        var value = value
        value.withUTF8 { write(quoted: $0) }
    }

    private func write(quoted source: UnsafeBufferPointer<UInt8>) {
        reserve(source.count + 2)
        push(UInt8(ascii: "\""))
        if var start = source.baseAddress {
            var left = source.count
            while true {
                let plain = Self.plainPrefix(start, left)
                reserve(plain + 6)
                push(start, plain)
                if plain == left { break }
                write(escaping: start[plain])
                start += plain + 1
                left -= plain + 1
            }
        }
        reserve(1)
        push(UInt8(ascii: "\""))
    }

    /// How many leading bytes need no escape; eight at a time.
    @inline(__always)
    private static func plainPrefix(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var index = 0
        while index + 8 <= count {
            let word = UnsafeRawPointer(start + index).loadUnaligned(as: UInt64.self)
            let quote = word ^ (ones &* 0x22)
            let slash = word ^ (ones &* 0x5C)
            let control = (word &- (ones &* 0x20)) & ~word
            let found = control | ((quote &- ones) & ~quote) | ((slash &- ones) & ~slash)
            if found & tops != 0 { break }
            index += 8
        }
        while index < count, start[index] >= 0x20, start[index] != 0x22, start[index] != 0x5C { index += 1 }
        return index
    }

    /// A byte that can't stand for itself; there is room for six.
    private func write(escaping byte: UInt8) {
        switch byte {
        case 0x0A: escape(UInt8(ascii: "n"))
        case 0x0D: escape(UInt8(ascii: "r"))
        case 0x09: escape(UInt8(ascii: "t"))
        case 0x08: escape(UInt8(ascii: "b"))
        case 0x0C: escape(UInt8(ascii: "f"))
        case 0..<0x20:
            write(ascii: "\\u00")
            push(byte < 0x10 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
            let low = byte & 0x0F
            push(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
        default: escape(byte)
        }
    }

    private func escape(_ byte: UInt8) {
        push(UInt8(ascii: "\\"))
        push(byte)
    }

    /// An array of strings.
    private func write(_ values: [String]) {
        reserve(1)
        push(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { push(UInt8(ascii: ",")) }
            write(value)
            reserve(2)
        }
        reserve(1)
        push(UInt8(ascii: "]"))
    }

    /// An object of strings, sorted by key.
    private func write(_ values: [String: String], depth: Int) throws {
        let handle = try open(array: false, sorts: true, depth: depth, slot: count)
        for (key, value) in values {
            try begin(key, handle)
            write(value)
        }
        try close(to: depth)
    }

    /// Goes back to an object and writes a key and its colon.
    @inline(__always)
    func begin(_ key: String, _ handle: Handle) throws {
        try resume(handle)
        let start = count
        write(key)
        // Without the closing quote, which would order "a!" before "a".
        note(start: start, keyEnd: count - 1)
        reserve(1)
        push(UInt8(ascii: ":"))
    }
}
