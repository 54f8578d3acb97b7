// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

/// Untyped values have a way of their own through the encoder; it must not show.
@Suite struct UntypedTests {
    private struct Holder: Encodable { var value: JSONValue }

    private func text(_ value: some Encodable) throws -> String {
        String(decoding: try JSON.encode(value), as: UTF8.self)
    }

    @Test func aValueIsWrittenInItsOwnOrder() throws {
        let value: JSONValue = ["b": [1, 1.5, true, nil, []], "a": ["": "x\u{1}\n\"\\\u{7F}ä€😀"], "c": [:]]
        let wanted = #"{"b":[1,1.5,true,null,[]],"a":{"":"x\u0001\n\"\\"# + "\u{7F}ä€😀" + #""},"c":{}}"#
        #expect(try text(value) == wanted)
        #expect(try text(Holder(value: value)) == #"{"value":"# + wanted + "}")
        #expect(try JSON.decode(JSONValue.self, from: JSON.encode(value)) == value)
    }

    @Test func keysAreSortedOnDemandAtEveryLevel() throws {
        let value: JSONValue = ["b": ["d": 1, "c": 2], "a": [["f": 1, "e": 2]]]
        let sorted = String(decoding: try JSON.encode(value, sortedKeys: true), as: UTF8.self)
        #expect(sorted == #"{"a":[{"e":2,"f":1}],"b":{"c":2,"d":1}}"#)
    }

    @Test func escapesMayStandAnywhereInAText() throws {
        for length in 0..<40 {
            for place in 0..<max(1, length) {
                var bytes = [UInt8](repeating: UInt8(ascii: "a"), count: length)
                if place < length { bytes[place] = UInt8(ascii: "\n") }
                let value = JSONValue.string(String(decoding: bytes, as: UTF8.self))
                #expect(try JSON.decode(JSONValue.self, from: JSON.encode(value)) == value)
            }
        }
        let all = JSONValue.string(String(String.UnicodeScalarView((0..<0x80).compactMap(Unicode.Scalar.init))))
        #expect(try JSON.decode(JSONValue.self, from: JSON.encode(all)) == all)
    }

    @Test func anErrorNamesItsPlace() {
        let value: JSONValue = ["spec": ["items": [1, .number(.nan)]]]
        #expect(throws: JSONError(.notFinite, path: "spec.items[1]")) { try JSON.encode(value) }
        #expect(throws: JSONError(.notFinite, path: "value.spec.items[1]")) { try JSON.encode(Holder(value: value)) }
    }

    @Test func whatIsTooDeepIsRefused() {
        var value: JSONValue = 1
        for _ in 0..<512 { value = [value] }
        #expect(throws: Never.self) { try JSON.encode(value) }
        value = ["deep": value]
        #expect { try JSON.encode(value) } throws: { ($0 as? JSONError)?.kind == .tooDeep }
    }

    @Test func ofEqualKeysTheFirstIsRead() throws {
        func read(_ text: String) throws -> JSONValue { try JSON.decode(JSONValue.self, from: Array(text.utf8)) }
        #expect(try read(#"{"a":1,"b":2,"a":3}"#) == ["a": 1, "b": 2])
        // The same letter, composed and decomposed.
        let object = try read("{\"\u{E9}\":1,\"e\u{301}\":2}").object
        #expect(object?.members.count == 1)
    }

    @Test func aValueIsChangedWhereItStands() throws {
        var object = try #require((["a": 1, "b": 2] as JSONValue).object)
        #expect(object.change("b") { $0 = 3 } != nil)
        #expect(object.change("c") { $0 = 4 } == nil)
        #expect(JSONValue.object(object) == ["a": 1, "b": 3])
        #expect(object.members.map(\.key) == ["a", "b"])
    }

    @Test func objectsAreEqualWhateverTheirOrder() {
        let one: JSONValue = ["a": 1, "b": 2, "c": 3]
        #expect(one == ["a": 1, "c": 3, "b": 2])
        #expect(one != ["a": 1, "b": 2, "c": 4])
        #expect(one != ["a": 1, "b": 2, "d": 3])
        #expect(one != ["a": 1, "b": 2])
        #expect(one.hashValue == (["c": 3, "b": 2, "a": 1] as JSONValue).hashValue)
    }
}
