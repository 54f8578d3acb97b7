// SPDX-License-Identifier: Apache-2.0

import JSON
import Seams
import TestSupport

/// What is compared of an answer or of a watch's event. Uids, versions and times are mapped to symbols, by the order in
/// which a server first showed them: the same answers have the same symbols.
struct Answer: Equatable, Sendable {
    var code: Int
    var reason = ""
    /// Of a refusal: the fields that are to blame, each once.
    var causes: [String] = []
    /// Of a refusal: whom it is about.
    var about = ""
    var object: JSONValue?

    /// Without the object.
    var headline: String {
        var text = "\(code)"
        if !reason.isEmpty { text += " \(reason)" }
        if !causes.isEmpty { text += " \(causes)" }
        if !about.isEmpty { text += " about \(about)" }
        return text
    }

    var outcome: String { reason.isEmpty ? "\(code)" : "\(code) \(reason)" }
}

/// Maps what differs between two servers to what must not.
struct Normalizer {
    private var symbols: [String: String] = [:]

    mutating func answer(_ response: HTTPResponse) -> Answer {
        guard let body = try? JSON.decode(JSONValue.self, from: response.body) else {
            return Answer(code: response.status)
        }
        guard body["kind"] == "Status", body["status"] != "Success" else {
            return Answer(code: response.status, object: normal(body))
        }
        return refusal(body, code: response.status)
    }

    /// An event of a watch.
    mutating func event(_ event: JSONValue) -> Answer {
        guard event["type"] != "ERROR" else {
            var answer = refusal(event["object"] ?? .null, code: 200)
            answer.reason = "ERROR \(event["object"]?["code"].map { "\($0)" } ?? "") \(answer.reason)"
            return answer
        }
        return Answer(code: 200, reason: event.text("type") ?? "", object: event["object"].map { normal($0) })
    }

    private func refusal(_ status: JSONValue, code: Int) -> Answer {
        let details = status["details"]
        let fields = details?.items("causes").map { $0.text("field") ?? "" } ?? []
        let about = ["group", "kind", "name"].compactMap { details?.text($0) }.filter { !$0.isEmpty }
        return Answer(
            code: code, reason: status.text("reason") ?? "", causes: Set(fields).sorted(),
            about: about.joined(separator: "/"))
    }

    private mutating func normal(_ object: JSONValue) -> JSONValue {
        var object = object
        if let items = object["items"]?.array {
            object.set(["metadata", "resourceVersion"], nil)
            let isCut = object.text("metadata", "continue") ?? "" != ""
            object.set(["metadata", "continue"], isCut ? "a token" : nil)
            object.set(["metadata", "selfLink"], nil)
            let kind = object.text("kind")?.dropLast("List".count)
            object.set(
                ["items"],
                .array(
                    items.map { item in
                        var item = item
                        item.set(["kind"], kind.map { .string(String($0)) })
                        item.set(["apiVersion"], object["apiVersion"])
                        return normal(item)
                    }))
            return object
        }
        withoutDefaults(&object)
        return symbolic(object, key: "")
    }

    private mutating func symbolic(_ value: JSONValue, key: String) -> JSONValue {
        switch value {
        case .object(let object):
            var members: [JSONObject.Member] = []
            // In the order of the keys: symbols are given by first sight.
            for member in object.members.sorted(by: { $0.key < $1.key }) {
                let normal = symbolic(member.value, key: member.key)
                let isNothing = normal == .null || normal == [:] || (member.key == "containers" && normal == [])
                if !isNothing { members.append(.init(key: member.key, value: normal)) }
            }
            return .object(JSONObject(keepingFirst: members))
        case .array(let items): return .array(items.map { symbolic($0, key: "") })
        case .string(let text):
            if key.hasSuffix("Timestamp") { return "a time" }
            if key == "uid" || key == "resourceVersion" || key == "controller-uid" { return .string(symbol(text, key)) }
            return value
        default: return value
        }
    }

    private mutating func symbol(_ text: String, _ key: String) -> String {
        if let known = symbols[text] { return known }
        let new = "#\(symbols.count)"
        symbols[text] = new
        return new
    }
}
