// SPDX-License-Identifier: Apache-2.0

internal import CSimdjson

/// A parsed document: simdjson's tape and string buffer.
///
/// A place in the document is an index into the tape; all functions expect the index of a value. The class owns the
/// parser whose memory it reads, so a decoder that outlives its decode call stays valid.
final class Tape {
    /// The index of the document's value (word 0 is simdjson's root word).
    static let root = 1

    private let parser: OpaquePointer
    private let words: UnsafePointer<UInt64>
    private let strings: UnsafePointer<UInt8>

    /// The JSON type of a value, as simdjson's type byte.
    enum Kind: UInt8 {
        case object = 0x7B
        case array = 0x5B
        case string = 0x22
        case integer = 0x6C
        case unsigned = 0x75
        case double = 0x64
        case yes = 0x74
        case no = 0x66
        case null = 0x6E
    }

    /// Parses a document.
    ///
    /// - Throws: ``JSONError`` of kind syntax, tooLarge, tooDeep or outOfMemory.
    init(parsing bytes: Span<UInt8>, limits: JSON.Limits) throws(JSONError) {
        guard let parser = reprise_json_parser_acquire() else { throw JSONError(.outOfMemory) }
        var result = Self.parse(bytes, limits, parser)
        if result.status == reprise_json_number.rawValue, let widened = Self.wideIntegersAsDoubles(bytes) {
            // The text grows by two bytes per such number; the limit was for what was sent.
            let grown = JSON.Limits(bytes: widened.count, depth: limits.depth)
            result = Self.parse(widened.span, grown, parser)
        }
        guard let words = result.tape, let strings = result.strings else {
            reprise_json_parser_release(parser)
            throw Self.error(result)
        }
        self.parser = parser
        self.words = words
        self.strings = strings
    }

    deinit { reprise_json_parser_release(parser) }

    private static func parse(
        _ bytes: Span<UInt8>, _ limits: JSON.Limits, _ parser: OpaquePointer
    ) -> reprise_json_document {
        bytes.withUnsafeBufferPointer {
            reprise_json_parse(parser, $0.baseAddress, $0.count, limits.bytes, limits.depth)
        }
    }

    private static func error(_ result: reprise_json_document) -> JSONError {
        let detail = result.message.map { String(cString: $0) } ?? ""
        switch result.status {
        case Int32(reprise_json_too_large.rawValue): return JSONError(.tooLarge, detail: detail)
        case Int32(reprise_json_too_deep.rawValue): return JSONError(.tooDeep, detail: detail)
        case Int32(reprise_json_no_memory.rawValue): return JSONError(.outOfMemory, detail: detail)
        default: return JSONError(.syntax, detail: detail)
        }
    }

    // MARK: Walking

    /// The type of a value; null for a byte simdjson does not write.
    @inline(__always)
    func kind(_ index: Int) -> Kind { Kind(rawValue: UInt8(truncatingIfNeeded: words[index] >> 56)) ?? .null }

    /// The index behind a value.
    @inline(__always)
    func next(_ index: Int) -> Int {
        let word = words[index]
        switch UInt8(truncatingIfNeeded: word >> 56) {
        case Kind.object.rawValue, Kind.array.rawValue: return Int(UInt32(truncatingIfNeeded: word))
        case Kind.integer.rawValue, Kind.unsigned.rawValue, Kind.double.rawValue: return index + 2
        default: return index + 1
        }
    }

    /// The indices of an array's or object's content: first element or key, and the closing word.
    @inline(__always)
    func content(_ index: Int) -> Range<Int> { (index + 1)..<(next(index) - 1) }

    /// How many elements or members an array or object has, up to 2^24 - 1; above that, this.
    @inline(__always)
    func count(_ index: Int) -> Int { Int((words[index] >> 32) & 0x00FF_FFFF) }

    /// Whether the keys of an object's content surely are different: few, all ASCII, none with the same bytes.
    ///
    /// (Beyond ASCII, texts of different bytes can be equal.)
    func areSurelyUnique(_ content: Range<Int>, _ count: Int) -> Bool {
        guard count <= 12 else { return false }
        var key = content.lowerBound
        while key < content.upperBound {
            let name = text(key)
            guard name.allSatisfy({ $0 < 0x80 }) else { return false }
            var other = content.lowerBound
            while other < key {
                let former = text(other)
                if former.count == name.count, Self.equal(former, name) { return false }
                other = next(other + 1)
            }
            key = next(key + 1)
        }
        return true
    }

    /// The bits of a number.
    @inline(__always)
    func bits(_ index: Int) -> UInt64 { words[index + 1] }

    /// The UTF-8 bytes of a string or key.
    @inline(__always)
    func text(_ index: Int) -> UnsafeBufferPointer<UInt8> {
        let start = strings + Int(words[index] & 0x00FF_FFFF_FFFF_FFFF)
        let count = UnsafeRawPointer(start).loadUnaligned(as: UInt32.self)
        return UnsafeBufferPointer(start: start + 4, count: Int(UInt32(littleEndian: count)))
    }

    /// The index of the value of a key: the first one, if the key is there more than once.
    @inline(__always)
    func find(_ name: UnsafeBufferPointer<UInt8>, in content: Range<Int>) -> Int? {
        var index = content.lowerBound
        while index < content.upperBound {
            let key = text(index)
            if key.count == name.count, Self.equal(key, name) { return index + 1 }
            index = next(index + 1)
        }
        return nil
    }

    /// The index of the value of a key in an object.
    func find(_ name: String, inObject index: Int) -> Int? {
        guard kind(index) == .object else { return nil }
        var name = name
        return name.withUTF8 { find($0, in: content(index)) }
    }

    @inline(__always)
    private static func equal(_ one: UnsafeBufferPointer<UInt8>, _ other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let left = one.baseAddress, let right = other.baseAddress else { return one.count == other.count }
        var offset = 0
        while offset + 8 <= one.count {
            let here = UnsafeRawPointer(left + offset).loadUnaligned(as: UInt64.self)
            if here != UnsafeRawPointer(right + offset).loadUnaligned(as: UInt64.self) { return false }
            offset += 8
        }
        while offset < one.count {
            if left[offset] != right[offset] { return false }
            offset += 1
        }
        return true
    }
}
