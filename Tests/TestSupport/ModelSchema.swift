// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON

/// The structural schema of a custom kind, as far as the CRDs of this project use the language: pruning, and
/// validation of types, required fields, enums, patterns and bounds. Rules in CEL are left out, as a 1.20 server does.
package final class ModelSchema: @unchecked Sendable {
    private let root: JSONValue
    private var patterns: [String: NSRegularExpression] = [:]

    private init(_ root: JSONValue) { self.root = root }

    /// The schemas of all CRDs, by plural name; empty when the file is not there.
    package static let all: [String: ModelSchema] = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/crds.json")
        guard let data = try? Data(contentsOf: file),
            let fixtures = try? JSON.decode(JSONValue.self, from: [UInt8](data))
        else { return [:] }
        var schemas: [String: ModelSchema] = [:]
        for member in fixtures.object?.members ?? [] {
            let spec = member.value[path: ["definition", "spec"]]
            guard let plural = spec?.text("names", "plural"),
                let schema = spec?.items("versions").first?[path: ["schema", "openAPIV3Schema"]]
            else { continue }
            schemas[plural] = ModelSchema(schema)
        }
        return schemas
    }()

    /// Without the fields that the schema does not know; the metadata is the server's own.
    func pruned(_ object: JSONValue) -> JSONValue { pruned(object, root, isRoot: true) }

    private func pruned(_ value: JSONValue, _ schema: JSONValue, isRoot: Bool = false) -> JSONValue {
        if let items = value.array {
            return .array(items.map { pruned($0, schema["items"] ?? .null) })
        }
        guard let object = value.object else { return value }
        let keepsUnknown = schema["x-kubernetes-preserve-unknown-fields"] == true
        var members: [JSONObject.Member] = []
        for member in object.members {
            if isRoot, ["metadata", "apiVersion", "kind"].contains(member.key) {
                members.append(member)
            } else if let known = schema["properties"]?[member.key] ?? additional(schema) {
                members.append(.init(key: member.key, value: pruned(member.value, known)))
            } else if keepsUnknown {
                members.append(member)
            }
        }
        return .object(JSONObject(keepingFirst: members))
    }

    private func additional(_ schema: JSONValue) -> JSONValue? {
        guard let additional = schema["additionalProperties"], additional.object != nil else { return nil }
        return additional
    }

    /// The fields that are to blame.
    func faults(_ object: JSONValue) -> [String] {
        var faults: [String] = []
        for name in root.items("required").compactMap(\.string) where object[name] == nil { faults.append(name) }
        for member in root["properties"]?.object?.members ?? [] where !["metadata"].contains(member.key) {
            if let value = object[member.key] { check(value, member.value, member.key, &faults) }
        }
        return faults
    }

    private func check(_ value: JSONValue, _ schema: JSONValue, _ path: String, _ faults: inout [String]) {
        if value == .null, schema["nullable"] == true { return }
        if schema["x-kubernetes-int-or-string"] == true, value.string != nil { return }
        if let type = schema.text("type"), !isOf(type, value) { return faults.append(path) }
        if let choices = schema["enum"]?.array, !choices.contains(value) { faults.append(path) }
        switch value {
        case .string(let text): if !isGood(text, schema) { faults.append(path) }
        case .integer(let number):
            if let least = schema.integer("minimum"), number < least { faults.append(path) }
            if let most = schema.integer("maximum"), number > most { faults.append(path) }
        case .array(let items):
            if !isWithin(items.count, schema, "minItems", "maxItems") { faults.append(path) }
            for (index, item) in items.enumerated() {
                check(item, schema["items"] ?? .null, "\(path)[\(index)]", &faults)
            }
        case .object(let object):
            if !isWithin(object.members.count, schema, "minProperties", "maxProperties") { faults.append(path) }
            for name in schema.items("required").compactMap(\.string) where object[name] == nil {
                faults.append("\(path).\(name)")
            }
            for member in object.members {
                guard let known = schema["properties"]?[member.key] ?? additional(schema) else { continue }
                check(member.value, known, "\(path).\(member.key)", &faults)
            }
        default: break
        }
    }

    private func isOf(_ type: String, _ value: JSONValue) -> Bool {
        switch (type, value) {
        case ("object", .object), ("array", .array), ("string", .string), ("boolean", .bool), ("integer", .integer),
            ("number", .integer), ("number", .number):
            return true
        default: return false
        }
    }

    private func isGood(_ text: String, _ schema: JSONValue) -> Bool {
        guard isWithin(text.unicodeScalars.count, schema, "minLength", "maxLength") else { return false }
        if let pattern = schema.text("pattern") {
            let regex = patterns[pattern] ?? (try? NSRegularExpression(pattern: pattern))
            patterns[pattern] = regex
            let whole = NSRange(text.startIndex..., in: text)
            if let regex, regex.firstMatch(in: text, range: whole) == nil { return false }
        }
        return true
    }

    private func isWithin(_ count: Int, _ schema: JSONValue, _ least: String, _ most: String) -> Bool {
        count >= schema.integer(least) ?? 0 && count <= schema.integer(most) ?? .max
    }
}
