// SPDX-License-Identifier: Apache-2.0

import JSON

/// SplitMix64: the same seed gives the same numbers everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

extension SeededGenerator {
    /// Any JSON value, biased to the edges of numbers and strings.
    mutating func value(depth: Int = 5) -> JSONValue {
        switch below(depth > 0 ? 10 : 7) {
        case 0: return .null
        case 1: return .bool(below(2) == 0)
        case 2: return integer()
        case 3: return JSONValue(unsigned: next() >> UInt64(below(64)))
        case 4: return .number(double())
        case 5, 6: return .string(string())
        case 7, 8:
            let members = (0..<below(7)).map { _ in JSONObject.Member(key: string(), value: value(depth: depth - 1)) }
            return .object(JSONObject(keepingFirst: members))
        default: return .array((0..<below(6)).map { _ in value(depth: depth - 1) })
        }
    }

    mutating func integer() -> JSONValue {
        let edges: [Int64] = [0, 1, -1, 127, 128, -128, -129, .max, .min, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1]
        return .integer(below(2) == 0 ? edges[below(edges.count)] : Int64(bitPattern: next()) >> Int64(below(64)))
    }

    mutating func double() -> Double {
        let edges: [Double] = [
            0, -0.0, 0.1, 1.5, -2.25, .leastNonzeroMagnitude, 1e-7, .greatestFiniteMagnitude, 1e15, 1e16, 1e21, 0.3,
        ]
        if below(2) == 0 { return edges[below(edges.count)] }
        let double = Double(bitPattern: next())
        return double.isFinite ? double : 3.14
    }

    mutating func string() -> String {
        let pieces = [
            "a", "name", "metadata", "\"", "\\", "/", "\n", "\r\n", "\t", "\u{8}", "\u{c}", "\u{0}", "\u{1f}", "\u{7f}",
            "é", "e\u{301}", "ß", "日本", "😀", "👩‍👩‍👧", "\u{2028}", "\u{FFFF}", "\u{10FFFF}", " ", "12345678", "{", "]", ":",
        ]
        return (0..<below(8)).map { _ in pieces[below(pieces.count)] }.joined()
    }

    /// The bytes with one to three small changes.
    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        let inserts = Array("{}[]\",:\\0123456789eE+-.tfnu dD8\n\u{1}".utf8) + [0xC3, 0xED, 0xA0, 0x80, 0xFF]
        var bytes = bytes
        for _ in 0...below(3) where !bytes.isEmpty {
            let place = below(bytes.count)
            switch below(5) {
            case 0: bytes[place] = UInt8(truncatingIfNeeded: next())
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(inserts[below(inserts.count)], at: place)
            case 3: bytes[place] = inserts[below(inserts.count)]
            default: bytes.removeSubrange(place..<min(bytes.count, place + below(6)))
            }
        }
        return bytes
    }
}

func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }
