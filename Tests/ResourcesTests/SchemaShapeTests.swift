// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import Resources

/// The CRDs and the Swift types are held together both ways: what Swift asks for is in the schema, what the schema
/// promises is read by Swift, with the same types, and what Swift insists on the schema requires.
///
/// Neither is a list that somebody keeps: the Swift side is recorded by decoding, the other side is crds/*.yaml as
/// hack/crds/generate.py wrote it into crds.json (SwiftPM reads no YAML); a checksum tells whether it is still that.
@Suite struct SchemaShapeTests {
    @Test func backupRepository() throws { try compare(BackupRepository.self, fields: 60) }
    @Test func managedService() throws { try compare(ManagedService.self, fields: 45) }
    @Test func restorePlan() throws { try compare(RestorePlan.self, fields: 110) }
    @Test func restoreRun() throws { try compare(RestoreRun.self, fields: 180) }
    @Test func restoreApproval() throws { try compare(RestoreApproval.self, fields: 8) }
    @Test func serviceBackup() throws { try compare(ServiceBackup.self, fields: 24) }
    @Test func serviceClone() throws { try compare(ServiceClone.self, fields: 130) }

    private func compare<Kind: Resource>(_ type: Kind.Type, fields: Int) throws {
        let definition = try Definition.read(Kind.resourceKind.kind)
        let spec = try #require(definition["spec"])
        #expect(spec["group"]?.text == Kind.resourceKind.group)
        #expect(spec["names"]?["plural"]?.text == Kind.resourceKind.plural)
        let version = try #require(spec["versions"]?.items.first)
        #expect(version["name"]?.text == Kind.resourceKind.version)
        let swift = Recorder()
        _ = try swift.record(type, at: "")
        #expect(swift.fields.count >= fields, "\(swift.fields.count) fields were recorded")
        var schema: [String: Field] = [:]
        flatten(try #require(version["schema"]?["openAPIV3Schema"]), at: "", into: &schema)
        for (path, field) in swift.fields where field.type == "free" {
            #expect(schema[path]?.type == "free" || schema[path]?.type == "object", "\(path): is handed on as it is")
            schema = schema.filter { !$0.key.hasPrefix("\(path).") }
            schema[path] = field
        }
        for path in ["apiVersion", "kind", "metadata"] { #expect(schema.removeValue(forKey: path) != nil) }
        for (path, field) in swift.fields.sorted(by: { $0.key < $1.key }) where path != "metadata" {
            guard let there = schema[path] else {
                Issue.record("\(Kind.resourceKind.kind): \(path) is read by Swift and is not in the schema")
                continue
            }
            #expect(there.type == field.type, "\(Kind.resourceKind.kind): \(path)")
            #expect(there.isRequired || !field.isRequired, "\(Kind.resourceKind.kind): Swift can't do without \(path)")
        }
        for path in Set(schema.keys).subtracting(swift.fields.keys).sorted() {
            Issue.record("\(Kind.resourceKind.kind): \(path) is in the schema and Swift does not read it")
        }
    }

    /// A Swift enum that decisions use has the cases that the schema lets through.
    @Test func enums() throws {
        func allowed(_ kind: String, _ path: [String]) throws -> [String] {
            let version = try #require(Definition.read(kind)["spec"]?["versions"]?.items.first)
            var node = try #require(version["schema"]?["openAPIV3Schema"])
            for name in path { node = try #require(node["properties"]?[name], "\(path)") }
            return (node["enum"]?.items ?? []).compactMap(\.text)
        }
        #expect(try allowed("RestoreRun", ["spec", "mode"]) == RestoreMode.allCases.map(\.rawValue))
        #expect(
            try allowed("RestoreApproval", ["spec", "decision"]) == ApprovalDecision.allCases.map(\.rawValue))
        #expect(try allowed("ManagedService", ["spec", "engine"]) == EngineName.allCases.map(\.rawValue))
        #expect(try allowed("RestorePlan", ["spec", "mode"]) == RestoreMode.allCases.map(\.rawValue))
        for kind in ["RestorePlan", "RestoreRun", "ServiceClone"] {
            #expect(
                try allowed(kind, ["spec", "recoveryTarget", "kind"]) == RecoveryTargetKind.allCases.map(\.rawValue))
            #expect(
                try allowed(kind, ["spec", "source", "location", "engine"]) == EngineName.allCases.map(\.rawValue))
        }
    }
}

/// One field: `string`, `integer`, `boolean`, `object`, `array`, `date-time`, or `free` for what is handed on.
private struct Field: Equatable {
    var type: String
    var isRequired: Bool
}

private enum Definition {
    /// The CRD of a kind, from Tests/Fixtures/crds.json, once it is sure that it says what crds/*.yaml says.
    static func read(_ kind: String) throws -> Passthrough {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let fixture = try Data(contentsOf: root.appending(path: "Fixtures/crds.json"))
        let entry = try #require(try JSONDecoder().decode(Passthrough.self, from: fixture)[kind])
        let file = try #require(entry["file"]?.text)
        let yaml = try Data(
            contentsOf: root.resolvingSymlinksInPath().deletingLastPathComponent().appending(path: file))
        var checksum: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in yaml { checksum = (checksum ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let text = String(checksum, radix: 16)
        let padded = String(repeating: "0", count: 16 - text.count) + text
        #expect(entry["checksum"]?.text == padded, "\(file) was changed: run hack/crds/generate.py")
        return try #require(entry["definition"])
    }
}

private func flatten(
    _ schema: Passthrough, at path: String, isRequired: Bool = true, into fields: inout [String: Field]
) {
    let isFree = schema["x-kubernetes-preserve-unknown-fields"] == .bool(true)
    let type = isFree ? "free" : schema["format"]?.text == "date-time" ? "date-time" : schema["type"]?.text ?? "none"
    if !path.isEmpty { fields[path] = Field(type: type, isRequired: isRequired) }
    let required = (schema["required"]?.items ?? []).compactMap(\.text)
    for (name, child) in schema["properties"]?.members ?? [:] {
        let place = path.isEmpty ? name : "\(path).\(name)"
        flatten(child, at: place, isRequired: required.contains(name), into: &fields)
    }
    if let items = schema["items"] { flatten(items, at: "\(path)[]", into: &fields) }
    if let values = schema["additionalProperties"] { flatten(values, at: "\(path){}", into: &fields) }
}

extension Passthrough {
    fileprivate var members: [String: Passthrough] {
        if case .object(let members) = self { return members }
        return [:]
    }

    fileprivate var items: [Passthrough] {
        if case .array(let items) = self { return items }
        return []
    }

    fileprivate var text: String? {
        if case .string(let text) = self { return text }
        return nil
    }

    fileprivate subscript(name: String) -> Passthrough? { members[name] }
}

// MARK: - Recording what a type decodes

/// Remembers every field that a type asks for. Whatever is asked for is there: an array has one item, a map one entry.
private final class Recorder {
    var fields: [String: Field] = [:]
    private var optional: Set<String> = []

    func record<Value: Decodable>(_ type: Value.Type, at path: String) throws -> Value {
        if let value = Timestamp(seconds: 0) as? Value { return note("date-time", path, value) }
        if let value = Passthrough.null as? Value { return note("free", path, value) }
        if let value = ObjectMeta(name: "") as? Value { return note("object", path, value) }
        return try type.init(from: ShapeDecoder(recorder: self, path: path))
    }

    @discardableResult
    func note<Value>(_ type: String, _ path: String, _ value: Value) -> Value {
        if !path.isEmpty { fields[path] = Field(type: type, isRequired: !optional.contains(path)) }
        return value
    }

    /// `decodeIfPresent` asks for null first, `decode` does not: that tells an optional property.
    func isOptional(_ path: String) { optional.insert(path) }
}

private struct ShapeDecoder: Decoder, SingleValueDecodingContainer {
    var recorder: Recorder
    var path: String
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        recorder.note("object", path, ())
        return KeyedDecodingContainer(ShapeKeys<Key>(recorder: recorder, path: path))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        recorder.note("array", path, ())
        return ShapeItems(recorder: recorder, path: path)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

    func decodeNil() -> Bool { false }
    func decode(_ type: Bool.Type) throws -> Bool { recorder.note("boolean", path, true) }
    func decode(_ type: String.Type) throws -> String { recorder.note("string", path, "") }
    func decode(_ type: Double.Type) throws -> Double { recorder.note("number", path, 0) }
    func decode(_ type: Float.Type) throws -> Float { recorder.note("number", path, 0) }
    func decode(_ type: Int.Type) throws -> Int { recorder.note("integer", path, 0) }
    func decode(_ type: Int8.Type) throws -> Int8 { recorder.note("integer", path, 0) }
    func decode(_ type: Int16.Type) throws -> Int16 { recorder.note("integer", path, 0) }
    func decode(_ type: Int32.Type) throws -> Int32 { recorder.note("integer", path, 0) }
    func decode(_ type: Int64.Type) throws -> Int64 { recorder.note("integer", path, 0) }
    func decode(_ type: UInt.Type) throws -> UInt { recorder.note("integer", path, 0) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { recorder.note("integer", path, 0) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { recorder.note("integer", path, 0) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { recorder.note("integer", path, 0) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { recorder.note("integer", path, 0) }
    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try recorder.record(type, at: path) }
}

private struct ShapeKeys<Key: CodingKey>: KeyedDecodingContainerProtocol {
    var recorder: Recorder
    var path: String
    var codingPath: [any CodingKey] { [] }
    /// Only a map asks which keys there are.
    var allKeys: [Key] { Key(stringValue: "{}").map { [$0] } ?? [] }

    private func place(_ key: Key) -> String {
        if key.stringValue == "{}" { return "\(path){}" }
        return path.isEmpty ? key.stringValue : "\(path).\(key.stringValue)"
    }

    private func value(_ key: Key) -> ShapeDecoder { ShapeDecoder(recorder: recorder, path: place(key)) }

    func contains(_ key: Key) -> Bool { true }

    func decodeNil(forKey key: Key) throws -> Bool {
        recorder.isOptional(place(key))
        return false
    }

    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try value(key).decode(type) }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try value(key).decode(type) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try value(key).decode(type) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try value(key).decode(type) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try value(key).decode(type) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try value(key).decode(type) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try value(key).decode(type) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try value(key).decode(type) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try value(key).decode(type) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try value(key).decode(type) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try value(key).decode(type) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try value(key).decode(type) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try value(key).decode(type) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try value(key).decode(type) }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try recorder.record(type, at: place(key))
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { try value(key).container(keyedBy: type) }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try value(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { ShapeDecoder(recorder: recorder, path: path) }
    func superDecoder(forKey key: Key) throws -> any Decoder { value(key) }
}

private struct ShapeItems: UnkeyedDecodingContainer {
    var recorder: Recorder
    var path: String
    var codingPath: [any CodingKey] { [] }
    var count: Int? { 1 }
    var currentIndex = 0
    var isAtEnd: Bool { currentIndex > 0 }

    private mutating func next() -> ShapeDecoder {
        currentIndex += 1
        return ShapeDecoder(recorder: recorder, path: "\(path)[]")
    }

    mutating func decodeNil() throws -> Bool { false }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let decoder = next()
        return try recorder.record(type, at: decoder.path)
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> { try next().container(keyedBy: type) }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try next().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { next() }
}
