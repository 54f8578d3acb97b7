// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Testing

/// Uses every kind of container by hand.
private struct Everything: Codable, Equatable {
    enum Keys: String, CodingKey { case nested, list, parent, `super`, scalar, missing, null }
    enum Inner: Int, CodingKey { case one = 1, two = 2 }

    var one = 1
    var list = ["a", "b"]
    var lists = [[1], [2, 3]]
    var parent = "p"
    var fallback = ["x": 1.5]
    var scalar: UInt8 = 9

    init() {}

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        let nested = try container.nestedContainer(keyedBy: Inner.self, forKey: .nested)
        one = try nested.decode(Int.self, forKey: .one)
        guard try nested.decodeIfPresent(Int.self, forKey: .two) == nil, nested.allKeys == [.one] else {
            throw JSONError(.rejected)
        }
        var unkeyed = try container.nestedUnkeyedContainer(forKey: .list)
        guard unkeyed.count == 4, try !unkeyed.decodeNil() else { throw JSONError(.rejected) }
        list = [try unkeyed.decode(String.self)]
        guard (try? unkeyed.decode(Int.self)) == nil, unkeyed.currentIndex == 1 else { throw JSONError(.rejected) }
        list.append(try String(from: try unkeyed.superDecoder()))
        lists = []
        while !unkeyed.isAtEnd {
            var inner = try unkeyed.nestedUnkeyedContainer()
            var numbers: [Int] = []
            while let number = try inner.decodeIfPresent(Int.self) { numbers.append(number) }
            lists.append(numbers)
        }
        parent = try String(from: try container.superDecoder(forKey: .parent))
        fallback = try [String: Double](from: try container.superDecoder())
        scalar = try container.decode(UInt8.self, forKey: .scalar)
        guard try container.superDecoder(forKey: .missing).singleValueContainer().decodeNil(),
            try container.decodeNil(forKey: .null), container.contains(.null), !container.contains(.missing)
        else { throw JSONError(.rejected) }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        var nested = container.nestedContainer(keyedBy: Inner.self, forKey: .nested)
        try nested.encode(one, forKey: .one)
        var unkeyed = container.nestedUnkeyedContainer(forKey: .list)
        try unkeyed.encode(list[0])
        try list[1].encode(to: unkeyed.superEncoder())
        for numbers in lists {
            var inner = unkeyed.nestedUnkeyedContainer()
            for number in numbers { try inner.encode(number) }
        }
        try parent.encode(to: container.superEncoder(forKey: .parent))
        try fallback.encode(to: container.superEncoder())
        var again = encoder.container(keyedBy: Keys.self)
        try again.encode(scalar, forKey: .scalar)
        try again.encodeNil(forKey: .null)
    }
}

private class Base: Codable {
    var base = 1
}

private final class Derived: Base {
    enum Keys: CodingKey { case own }
    var own = 2
    override init() { super.init() }

    required init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        own = try container.decode(Int.self, forKey: .own)
        try super.init(from: container.superDecoder())
    }

    override func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        try super.encode(to: container.superEncoder())
        try container.encode(own, forKey: .own)
    }
}

/// One member of each width, absent, null or there.
private struct Widths: Codable, Equatable {
    var a: Int?, b: Int8?, c: Int16?, d: Int32?, e: Int64?, f: UInt?, g: UInt8?, h: UInt16?, i: UInt32?, j: UInt64?
    var k: Bool?, l: Double?, m: Float?, n: String?, o: [String]?, p: [String: String]?, q: [Int]?, r: Int128?
}

@Suite struct ContainerTests {
    @Test func everyContainerRoundTrips() throws {
        let bytes = try JSON.encode(Everything())
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"nested":{"one":1},"list":["a","b",[1],[2,3]],"parent":"p","super":{"x":1.5},"scalar":9,"null":null}"#
        )
        #expect(try JSON.decode(Everything.self, from: bytes) == Everything())
        #expect(try JSONDecoder().decode(Everything.self, from: Data(bytes)) == Everything())
    }

    @Test func classesWithSuperRoundTrip() throws {
        let value = Derived()
        value.base = 11
        value.own = 12
        let bytes = try JSON.encode(value)
        #expect(String(decoding: bytes, as: UTF8.self) == #"{"super":{"base":11},"own":12}"#)
        let back = try JSON.decode(Derived.self, from: bytes)
        #expect(back.base == 11 && back.own == 12)
    }

    @Test func allWidths() throws {
        let full = Widths(
            a: .min, b: .min, c: .min, d: .min, e: .min, f: .max, g: .max, h: .max, i: .max, j: .max, k: true, l: -0.5,
            m: 0.1, n: "", o: [], p: [:], q: [1, 2], r: -5)
        let bytes = try JSON.encode(full)
        #expect(try JSON.decode(Widths.self, from: bytes) == full)
        #expect(try JSON.decode(Widths.self, from: utf8("{}")) == Widths())
        let nulls = "abcdefghijklmnopqr".map { "\"\($0)\":null" }.joined(separator: ",")
        #expect(try JSON.decode(Widths.self, from: utf8("{\(nulls)}")) == Widths())
        #expect(try JSON.encode(Widths()) == utf8("{}"))
        let optionals: [Int8?] = [1, nil, -1]
        #expect(try JSON.decode([Int8?].self, from: try JSON.encode(optionals)) == optionals)
    }

    @Test func keysThatAreNotStrings() throws {
        #expect(try JSON.encode([10: "b", 9: "a"]) == utf8(#"{"10":"b","9":"a"}"#))
        #expect(try JSON.decode([Int: String].self, from: utf8(#"{"10":"b","9":"a"}"#)) == [10: "b", 9: "a"])
    }

    @Test func keyOrder() throws {
        struct Order: Encodable {
            var z = 1
            var a = ["b!": 1, "b": 2, "a": 3]
            var m = ["y": "1", "x": "2"]
        }
        #expect(try JSON.encode(Order()) == utf8(#"{"z":1,"a":{"a":3,"b":2,"b!":1},"m":{"x":"2","y":"1"}}"#))
        #expect(
            try JSON.encode(Order(), sortedKeys: true)
                == utf8(#"{"a":{"a":3,"b":2,"b!":1},"m":{"x":"2","y":"1"},"z":1}"#))
        let value: JSONValue = ["b": ["d": 1, "c": [["f": 1, "e": 2]]], "a": nil]
        #expect(try JSON.encode(value) == utf8(#"{"b":{"d":1,"c":[{"f":1,"e":2}]},"a":null}"#))
        #expect(
            try JSON.encode(value, sortedKeys: true) == utf8(#"{"a":null,"b":{"c":[{"e":2,"f":1}],"d":1}}"#))
    }

    @Test func escapesOnlyWhatMustBe() throws {
        let text = "\u{0}\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f} \"\\/\u{7f}é😀\u{2028}"
        let bytes = try JSON.encode(text)
        let escaped = #""\u0000\u0001\b\t\n\u000b\f\r\u001f \"\\/"#
        #expect(bytes == utf8(escaped) + utf8("\u{7f}é😀\u{2028}\""))
        #expect(try JSON.decode(String.self, from: bytes) == text)
        for length in 0..<40 {
            for place in 0..<length {
                var characters = [Character](repeating: "x", count: length)
                characters[place] = place % 2 == 0 ? "\"" : "\u{1f}"
                #expect(try JSON.decode(String.self, from: try JSON.encode(String(characters))) == String(characters))
            }
        }
    }

    @Test func numbersAreWrittenExactly() throws {
        #expect(try JSON.encode([UInt64.max]) == utf8("[18446744073709551615]"))
        #expect(try JSON.encode([Int64.min, 0, 9, 10, -1]) == utf8("[-9223372036854775808,0,9,10,-1]"))
        #expect(try JSON.encode([1.0, 0.1, 1e21, .leastNonzeroMagnitude, -0.0]) == utf8("[1.0,0.1,1e+21,5e-324,-0.0]"))
        #expect(try JSON.encode([Float(0.1)]) == utf8("[0.1]"))
    }
}
