// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Testing

@Suite struct ErrorTests {
    private func error<Value: Decodable>(_ text: String, _ type: Value.Type) -> JSONError? {
        do { _ = try JSON.decode(type, from: utf8(text)) } catch { return error }
        return nil
    }

    private struct Object: Decodable {
        enum Mode: String, Decodable { case inPlace }
        struct Item: Decodable { var port: UInt16 }
        struct Spec: Decodable {
            var replicas: Int
            var mode: Mode?
            var items: [Item]?
        }
        var spec: Spec
    }

    @Test func errorsNameThePlace() {
        #expect(error(#"{"spec":{}}"#, Object.self) == JSONError(.missingKey, path: "spec.replicas"))
        #expect(
            error(#"{"spec":{"replicas":"x"}}"#, Object.self)
                == JSONError(.wrongType, path: "spec.replicas", detail: "Int expected"))
        #expect(
            error(#"{"spec":{"replicas":null}}"#, Object.self)
                == JSONError(.missingValue, path: "spec.replicas", detail: "Int expected"))
        let port = error(#"{"spec":{"replicas":1,"items":[{"port":1},{"port":65536}]}}"#, Object.self)
        #expect(port == JSONError(.rejected, path: "spec.items[1].port", detail: "value not accepted"))
        #expect(error("[]", Object.self)?.kind == .wrongType)
        #expect(error(#"{"spec":{"replicas":1e17}}"#, Object.self)?.kind == .rejected)
    }

    @Test func errorsNeverQuoteValues() {
        struct Own: Decodable {
            struct Refused: Error { let value: String }
            init(from decoder: any Decoder) throws { throw Refused(value: try String(from: decoder)) }
        }
        let texts = [
            error(#"{"spec":{"replicas":1,"mode":"hunter2"}}"#, Object.self),
            error(#""hunter2""#, Own.self),
            error(#"{"spec":"hunter2"}"#, Object.self),
            error(#"{"spec":{"replicas":222222}"#, Object.self),
            error(#"{"spec":{"replicas":77777.5}}"#, Object.self),
            error("hunter2", Object.self),
            error("\"hunter2", Object.self),
        ].map { $0?.description ?? "accepted" }
        for text in texts {
            #expect(!text.contains("hunter2") && !text.contains("222222") && !text.contains("77777"), "\(text)")
            #expect(text != "accepted")
        }
    }

    @Test func ownErrorsKeepTheirPlaceAndType() {
        struct Refused: Error {}
        struct Own: Decodable { init(from decoder: any Decoder) throws { throw Refused() } }
        let found = error(#"{"a":[1]}"#, [String: [Own]].self)
        #expect(found == JSONError(.rejected, path: "a[0]", detail: "value not accepted (Refused)"))
        #expect(error("1", Own.self) == JSONError(.rejected, detail: "value not accepted (Refused)"))
    }

    @Test func placesAreThoseOfFoundation() throws {
        let bytes = try Fixture.statefulSet()
        let text = String(decoding: bytes, as: UTF8.self)
        let changes = [
            ("\"generation\":7", "\"generation\":\"7\""), ("\"replicas\":1,\"selector", "\"replicas\":null,\"selector"),
            ("\"name\":\"POSTGRES_DB\"", "\"nom\":1"), ("\"memory\":\"2Gi\"", "\"memory\":2"),
            ("\"archive_timeout=60\"", "60"), ("\"temps.dev/revision\":\"7\"", "\"temps.dev/revision\":{}"),
        ]
        for (old, new) in changes {
            let changed = Data(text.replacingOccurrences(of: old, with: new).utf8)
            let theirs = #expect(throws: DecodingError.self) {
                try JSONDecoder().decode(StatefulSet.self, from: changed)
            }
            let ours = error(String(decoding: changed, as: UTF8.self), StatefulSet.self)
            #expect(ours?.path == theirs.map(Self.path), "\(old)")
        }
    }

    private static func path(_ error: DecodingError) -> String {
        let keys: [any CodingKey] =
            switch error {
            case .keyNotFound(let key, let context): context.codingPath + [key]
            case .valueNotFound(_, let context), .typeMismatch(_, let context), .dataCorrupted(let context):
                context.codingPath
            @unknown default: []
            }
        return keys.reduce("") { path, key in
            key.intValue.map { path + "[\($0)]" } ?? path + (path.isEmpty ? "" : ".") + key.stringValue
        }
    }

    @Test func textIsBoundedAndPrintable() {
        let key = String(repeating: "k", count: 5000) + "\n\u{1b}[31m"
        let deep = (0..<60).reduce("\"x\"") { text, _ in "{\"\(String(repeating: "y", count: 300))\":\(text)}" }
        indirect enum Nest: Decodable {
            case level([String: Nest])
            init(from decoder: any Decoder) throws { self = .level(try [String: Nest](from: decoder)) }
        }
        let found = error(deep, Nest.self)
        #expect((found?.description.unicodeScalars.count ?? 1000) < 450)
        #expect(JSONError(.rejected, path: key).path.unicodeScalars.count <= 256)
        #expect(JSONError(.rejected, path: "a\n\u{1b}\u{2028}b").path == "a???b")
    }

    @Test func encodingErrors() throws {
        struct Bad: Encodable { var list: [String: [Double]] = ["x": [1, .nan]] }
        #expect(throws: JSONError(.notFinite, path: "list.x[1]")) { try JSON.encode(Bad()) }
        #expect(throws: JSONError(.notFinite)) { try JSON.encode(Double.infinity) }
        struct Nothing: Encodable { func encode(to encoder: any Encoder) throws {} }
        #expect(throws: JSONError.self) { try JSON.encode(Nothing()) }
        #expect(try JSON.encode([Nothing()]) == utf8("[{}]"))
        struct Caught: Encodable {
            func encode(to encoder: any Encoder) throws {
                var container = encoder.unkeyedContainer()
                try? container.encode(Double.nan)
                try container.encode(1)
            }
        }
        #expect(throws: JSONError.self, "a broken text must not come out") { try JSON.encode(Caught()) }
        struct Crossed: Encodable {
            func encode(to encoder: any Encoder) throws {
                var container = encoder.unkeyedContainer()
                var one = container.nestedUnkeyedContainer()
                var two = container.nestedUnkeyedContainer()
                try two.encode(2)
                try one.encode(1)
            }
        }
        #expect(throws: JSONError.self) { try JSON.encode(Crossed()) }
        struct Twice: Encodable {
            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                try container.encode(1)
                try container.encode(2)
            }
        }
        #expect(throws: JSONError.self) { try JSON.encode([Twice()]) }
    }

    @Test func unusedSuperEncoderWritesAnEmptyObject() throws {
        struct Unused: Encodable {
            func encode(to encoder: any Encoder) throws {
                var container = encoder.unkeyedContainer()
                _ = container.superEncoder()
                try container.encode(1)
                _ = container.superEncoder()
            }
        }
        #expect(try JSON.encode(Unused()) == utf8("[{},1,{}]"))
    }
}

@Suite struct ItemsTests {
    private struct Head: Decodable {
        struct Metadata: Decodable { var resourceVersion: String }
        var metadata: Metadata
    }
    private struct Item: Decodable {
        struct Spec: Decodable { var replicas: Int }
        var spec: Spec
    }

    @Test func aBrokenItemDoesNotFailTheList() throws {
        let text = #"""
            {"kind":"List","metadata":{"resourceVersion":"7"},"items":[
              {"metadata":{"name":"a"},"spec":{"replicas":1}},
              {"metadata":{"namespace":"t","name":"b","uid":"u"},"spec":{"replicas":"many"}},
              5, {"metadata":{"name":6}}, {"spec":{"replicas":2}}]}
            """#
        let list = try JSON.decodeItems(Head.self, Item.self, from: utf8(text))
        #expect(list.head.metadata.resourceVersion == "7")
        #expect(list.items.map { try? $0.get().spec.replicas } == [1, nil, nil, nil, 2])
        guard case .failure(let failure) = list.items[1] else { throw JSONError(.rejected) }
        #expect(failure.namespace == "t" && failure.name == "b" && failure.uid == "u" && failure.index == 1)
        #expect(failure.error == JSONError(.wrongType, path: "items[1].spec.replicas", detail: "Int expected"))
        guard case .failure(let other) = list.items[3] else { throw JSONError(.rejected) }
        #expect(other.name == nil && other.error == JSONError(.missingKey, path: "items[3].spec"))
        let value = try JSON.decodeItems(JSONValue.self, JSONValue.self, from: utf8(text))
        #expect(value.head == ["kind": "List", "metadata": ["resourceVersion": "7"]])
        #expect(value.items.count == 5)
    }

    @Test func listsWithoutItems() throws {
        #expect(try JSON.decodeItems(JSONValue.self, Item.self, from: utf8(#"{"items":null}"#)).items.isEmpty)
        #expect(throws: JSONError(.missingKey, path: "items")) {
            _ = try JSON.decodeItems(JSONValue.self, Item.self, from: utf8("{}"))
        }
        #expect(throws: JSONError(.wrongType, path: "items", detail: "Array expected")) {
            _ = try JSON.decodeItems(JSONValue.self, Item.self, from: utf8(#"{"items":{}}"#))
        }
        #expect(throws: JSONError.self) {
            _ = try JSON.decodeItems(Head.self, Item.self, from: utf8(#"{"items":[]}"#))
        }
    }

    @Test func values() {
        var object = JSONObject()
        object["b"] = 1
        object["a"] = "x"
        object["b"] = nil
        object["c"] = [true, nil, 1.5]
        #expect(JSONValue.object(object) == ["c": [true, nil, 1.5], "a": "x"])
        #expect(JSONValue.object(object).hashValue == (["c": [true, nil, 1.5], "a": "x"] as JSONValue).hashValue)
        #expect(object.members.map(\.key) == ["a", "c"])
        #expect(JSONValue.integer(1) != .number(1))
    }
}
