// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Testing

@Suite struct DecodeTests {
    private func outcome<Value: Decodable>(_ text: String, _ type: Value.Type = Value.self) -> Value? {
        try? JSON.decode(Value.self, from: utf8(text))
    }

    @Test func aDocumentIsDecodedMoreThanOnce() throws {
        let document = try JSON.Document(parsing: utf8(#"{"a":1,"b":"x"}"#))
        #expect(try document.decode([String: JSONValue].self)["b"] == "x")
        #expect(throws: JSONError.self) { try document.decode([String: Int].self) }
        #expect(try document.decode(JSONValue.self) == ["a": 1, "b": "x"])
        #expect(throws: JSONError.self) { try JSON.Document(parsing: utf8("{")) }
    }

    @Test func integersAreExactOrRefused() {
        #expect(outcome("127", Int8.self) == 127)
        #expect(outcome("128", Int8.self) == nil)
        #expect(outcome("-128", Int8.self) == -128)
        #expect(outcome("-1", UInt8.self) == nil)
        #expect(outcome("18446744073709551615", UInt64.self) == .max)
        #expect(outcome("18446744073709551615", Int64.self) == nil)
        #expect(outcome("18446744073709551616", UInt64.self) == nil)
        #expect(outcome("-9223372036854775808", Int64.self) == .min)
        #expect(outcome("-9223372036854775809", Int64.self) == nil)
        #expect(outcome("9007199254740993", Int.self) == 9_007_199_254_740_993)
        #expect(outcome("65536", UInt16.self) == nil)
        #expect(outcome("4294967295", UInt32.self) == .max)
        #expect(outcome("18446744073709551615", Int128.self) == 18_446_744_073_709_551_615)
        #expect(outcome("true", Int.self) == nil)
        #expect(outcome("\"1\"", Int.self) == nil)
    }

    @Test(arguments: ["1.0", "1e3", "-2.00", "1.5", "0.1", "1e-1", "0.0", "9007199254740991.0"])
    func fractionsIntoIntegersAsFoundation(text: String) {
        let theirs = try? JSONDecoder().decode(Int.self, from: Data(text.utf8))
        #expect(outcome(text, Int.self) == theirs)
    }

    @Test func largeFractionsAreRefusedByIntegers() {
        #expect(outcome("1e17", Int.self) == nil)
        #expect(outcome("1e400", Double.self) == nil)
    }

    @Test func integersBeyond64BitsAreDoubles() {
        #expect(outcome("100000000000000000000", Double.self) == 1e20)
        let text = #"{"a":[-100000000000000000000,"100000000000000000000",1],"b":18446744073709551616}"#
        let expected: JSONValue = ["a": [.number(-1e20), "100000000000000000000", 1], "b": .number(0x1p64)]
        #expect(outcome(text, JSONValue.self) == expected)
        #expect(outcome("[1-2]", JSONValue.self) == nil)
        #expect(outcome("[100000000000000000000-2]", JSONValue.self) == nil)
    }

    @Test func floats() {
        #expect(outcome("9007199254740993", Double.self) == 9_007_199_254_740_992)
        #expect(outcome("3.5", Float.self) == 3.5)
        #expect(outcome("1e300", Float.self) == nil)
        #expect(outcome("7", Double.self) == 7)
        #expect(outcome("null", Double.self) == nil)
    }

    @Test(arguments: [
        "", " ", "{", "[1,]", "{\"a\":1,}", "nul", "1-2", "01", "+1", ".5", "1.", "'a'", "\"\\x\"", "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"", "\"\u{1}\"", "1 2", "{\"a\" 1}", "[1 2]", "NaN", "Infinity", "{1:2}", "\"abc", "]",
        "//x\n1",
    ])
    func malformedIsRefused(text: String) {
        #expect(outcome(text, JSONValue.self) == nil)
    }

    @Test func badUTF8IsRefused() {
        for bytes: [UInt8] in [
            [0x22, 0xFF, 0x22], [0x22, 0xC3, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0xEF, 0xBB, 0xBF, 0x31],
        ] {
            #expect((try? JSON.decode(JSONValue.self, from: bytes)) == nil)
        }
    }

    @Test func firstOfDuplicateKeysWins() throws {
        struct One: Decodable { var a: Int }
        #expect(outcome(#"{"a":1,"b":0,"a":2}"#, One.self)?.a == 1)
        #expect(outcome(#"{"a":1,"a":2}"#, [String: Int].self) == ["a": 1])
        #expect(outcome(#"{"a":"1","a":"2"}"#, [String: String].self) == ["a": "1"])
        #expect(outcome(#"{"a":1,"a":2}"#, JSONValue.self) == ["a": 1])
        let many = (0..<100).map { "\"k\($0)\":\($0)" }.joined(separator: ",")
        let large = outcome("{\(many),\"k5\":-1}", [String: Int].self)
        #expect(large?.count == 100 && large?["k5"] == 5)
    }

    @Test func keysAreComparedWhole() {
        struct One: Decodable { var longerName: Int }
        #expect(
            outcome(#"{"longer":1,"longerName2":2,"longerNamf":3,"LongerName":4,"longerName":5}"#, One.self)?.longerName
                == 5)
        #expect(outcome(#"{"longerName2":2,"":1,"longerNam":3}"#, One.self) == nil)
        #expect(outcome(#"{"":1}"#, [String: Int].self) == ["": 1])
    }

    @Test func escapes() {
        #expect(outcome(#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\u0000""#, String.self) == "\"\\/\u{8}\u{c}\n\r\té😀\0")
        #expect(outcome(#"{"\u0061":1}"#, [String: Int].self) == ["a": 1])
    }

    @Test func limits() {
        func nested(_ depth: Int) -> [UInt8] {
            utf8(String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
        }
        let three = JSON.Limits(bytes: 10, depth: 3)
        #expect((try? JSON.decode(JSONValue.self, from: nested(3), limits: three)) != nil)
        #expect(throws: JSONError(.tooDeep, detail: "nested too deeply")) {
            try JSON.decode(JSONValue.self, from: nested(4), limits: three)
        }
        #expect(throws: JSONError(.tooLarge, detail: "the document is too large")) {
            try JSON.decode(JSONValue.self, from: nested(6), limits: three)
        }
        #expect((try? JSON.decode(JSONValue.self, from: nested(128))) != nil)
        #expect((try? JSON.decode(JSONValue.self, from: nested(129))) == nil)
        #expect((try? JSON.decode(JSONValue.self, from: nested(100_000))) == nil)
        #expect((try? JSON.decode(JSONValue.self, from: utf8(String(repeating: "{\"a\":", count: 50_000)))) == nil)
    }

    @Test func statefulSetAsFoundation() throws {
        let bytes = try Fixture.statefulSet()
        let ours = try JSON.decode(StatefulSet.self, from: bytes)
        #expect(try JSONDecoder().decode(StatefulSet.self, from: Data(bytes)) == ours)
        #expect(ours.spec.template.spec.containers.first?.env.count == 7)
        #expect(try JSON.decode(StatefulSet.self, from: try JSON.encode(ours)) == ours)
        let slice = utf8("xx") + bytes + utf8("yy")
        #expect(try JSON.decode(StatefulSet.self, from: slice[2..<(slice.count - 2)]) == ours)
        let value = try JSON.decode(JSONValue.self, from: bytes)
        #expect(try JSON.encode(value) == Array(bytes.dropLast()), "order and text are kept")
        #expect(try value.decoded(as: StatefulSet.self) == ours)
    }

    @Test func everyTruncationOfADocumentIsRefused() throws {
        let bytes = try Fixture.statefulSet().dropLast()
        for length in stride(from: 0, to: bytes.count, by: 7) {
            #expect((try? JSON.decode(JSONValue.self, from: bytes.prefix(length))) == nil)
        }
    }

    @Test func decodersStayValidAfterTheCall() throws {
        struct Keeper: Decodable {
            let decoder: any Decoder
            init(from decoder: any Decoder) throws { self.decoder = decoder }
        }
        let keeper = try JSON.decode(Keeper.self, from: utf8(#"["kept"]"#))
        for _ in 0..<10 { _ = try JSON.decode(JSONValue.self, from: utf8(#"["other", 1, 2, 3]"#)) }
        #expect(try [String](from: keeper.decoder) == ["kept"])
    }

    @Test func concurrentDecodes() async throws {
        let bytes = try Fixture.statefulSet()
        let expected = try JSON.decode(StatefulSet.self, from: bytes)
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    (0..<50).allSatisfy { _ in (try? JSON.decode(StatefulSet.self, from: bytes)) == expected }
                }
            }
            for await same in group { #expect(same) }
        }
    }
}
