// SPDX-License-Identifier: Apache-2.0

import JSON
import Seams
import TestSupport

/// What one server has shown in one sequence: what symbols mean there.
///
/// - `@rv`, `@rv-2`: the resourceVersion of the step's object as it is, and as it was two writes ago.
/// - `@uid`, `@uid-1`: its uid, and that of its predecessor of the same name.
/// - `@uid:secrets/a`: the same of another object. `@rv` works likewise.
/// - `@start`: the version before the sequence; `@continue`: the last page's token; `@expired`: one that is too old.
struct Memory {
    private struct Life {
        var uid: String
        var versions: [String]
    }

    static let nobody = "00000000-0000-4000-8000-000000000000"

    let namespace: String
    /// A token for a list's next page that is too old, in the server's own form.
    let expired: String
    private var lives: [String: [Life]] = [:]
    private var shown: [String: JSONValue] = [:]
    private var continuation = ""
    private var start = "1"

    init(namespace: String, start: String, expired: String) {
        self.namespace = namespace
        self.start = start
        self.expired = expired
    }

    /// Takes note of an answer.
    mutating func learn(_ step: Step, _ body: JSONValue?) {
        guard let body, let kind = body.text("kind"), kind != "Status" else { return }
        if kind.hasSuffix("List") { continuation = body.text("metadata", "continue") ?? "" }
        guard let name = body.text("metadata", "name"), let uid = body.text("metadata", "uid"),
            let version = body.text("metadata", "resourceVersion")
        else { return }
        let subject = "\(step.kind.plural)/\(name)"
        var known = lives[subject] ?? []
        if known.last?.uid != uid { known.append(Life(uid: uid, versions: [])) }
        if known[known.count - 1].versions.last != version { known[known.count - 1].versions.append(version) }
        lives[subject] = known
        if kind == step.kind.kind { shown[subject] = body }
    }

    /// The request that a step means here.
    func request(_ step: Step) -> HTTPRequest {
        var body: [UInt8] = []
        var value: JSONValue?
        switch step.body {
        case .none: break
        case .raw(let text): body = Array(text.utf8)
        case .value(let given): value = given
        case .shown(let edits, let otherwise):
            var object = shown["\(step.kind.plural)/\(step.name ?? "")"] ?? otherwise
            for edit in edits { object.set(edit.path, edit.value) }
            value = object
        }
        let subject = step.subject(in: value)
        if let value { body = resolve(value, subject).bytes }
        var target = step.kind.group.isEmpty ? "/api/v1" : "/apis/\(step.kind.apiVersion)"
        if step.kind.isNamespaced { target += "/namespaces/\(step.namespace ?? namespace)" }
        target += "/\(step.kind.plural)"
        if let name = step.name { target += "/\(name)" }
        if let subresource = step.subresource { target += "/\(subresource)" }
        let query = step.query.map { "\($0.name)=\(Self.escaped(resolve($0.value, subject)))" }
        if !query.isEmpty { target += "?" + query.joined(separator: "&") }
        var headers = [HTTPHeader("Accept", "application/json")]
        if let type = step.contentType { headers.append(HTTPHeader("Content-Type", type)) }
        return HTTPRequest(Self.methods[step.verb] ?? .get, target, headers: headers, body: body)
    }

    private static let methods: [Step.Verb: HTTPMethod] = [
        .post: .post, .put: .put, .patch: .patch, .delete: .delete,
    ]

    private func resolve(_ value: JSONValue, _ subject: String) -> JSONValue {
        switch value {
        case .string(let text): return .string(resolve(text, subject))
        case .array(let items): return .array(items.map { resolve($0, subject) })
        case .object(let object):
            let members = object.members.map {
                JSONObject.Member(key: $0.key, value: resolve($0.value, subject))
            }
            return .object(JSONObject(keepingFirst: members))
        default: return value
        }
    }

    private func resolve(_ text: String, _ subject: String) -> String {
        guard text.hasPrefix("@") else { return text }
        let halves = text.dropFirst().split(separator: ":", maxSplits: 1).map(String.init)
        let parts = (halves.first ?? "").split(separator: "-").map(String.init)
        let back = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        let known = lives[halves.count > 1 ? halves[1] : subject] ?? []
        switch parts.first {
        case "rv": return Self.last(known.last?.versions ?? [], back) ?? "1"
        case "uid": return Self.last(known, back)?.uid ?? Self.nobody
        case "start": return start
        case "continue": return continuation
        case "expired": return expired
        case "namespace": return namespace
        default: return text
        }
    }

    private static func last<Value>(_ values: [Value], _ back: Int) -> Value? {
        back < values.count ? values[values.count - 1 - back] : nil
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || [0x2D, 0x2E, 0x5F, 0x7E].contains(byte)
            if isPlain {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += digits.count < 2 ? "%0\(digits)" : "%\(digits)"
            }
        }
        return result
    }
}
