// SPDX-License-Identifier: Apache-2.0

package import JSON

/// A request's target, taken apart.
package struct Route: Sendable {
    package var kind: ModelKind
    package var namespace: String?
    package var name: String?
    package var subresource: String?
    package var query: [String: String] = [:]
    /// The label selector, taken apart; `nil` when it is none that can be read.
    private var terms: [ModelSelector.Term]? = []
    /// The field selector, likewise.
    private var fields: [ModelFieldTerm]? = []

    package init(_ target: String) throws {
        let halves = target.split(separator: "?", maxSplits: 1)
        for pair in halves.dropFirst().first?.split(separator: "&") ?? [] {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            query[String(parts[0])] = Self.decoded(String(parts.count > 1 ? parts[1] : ""))
        }
        if let selector = query["labelSelector"], !selector.isEmpty { terms = try? ModelSelector.terms(selector) }
        var parts = (halves.first ?? "").split(separator: "/").map(String.init)[...]
        let root = parts.popFirst()
        let group = root == "apis" ? parts.popFirst() ?? "" : ""
        let version = parts.popFirst()
        if parts.first == "namespaces", parts.count > 2 {
            parts.removeFirst()
            namespace = parts.popFirst()
        }
        let plural = parts.popFirst()
        guard root == "api" || root == "apis",
            let kind = ModelKind.all.first(where: {
                $0.group == group && $0.version == version && $0.plural == plural
            })
        else { throw ModelRefusal.unknownPath }
        self.kind = kind
        name = parts.popFirst()
        subresource = parts.popFirst()
        fields = try? ModelFieldTerm.terms(query["fieldSelector"] ?? "", of: kind)
    }

    var isFollow: Bool { subresource == "log" && query["follow"] == "true" }

    package var isWatch: Bool { query["watch"] == "true" || query["watch"] == "1" }

    package func key(_ name: String) -> ModelKey { ModelKey(kind, namespace ?? "", name) }

    /// The object that is asked for by a field selector and not by the path.
    package var selectedName: String? {
        guard let term = fields?.first, fields?.count == 1, term.path == ["metadata", "name"] else { return nil }
        return term.isNegated ? nil : term.value
    }

    /// The same without its field selector.
    var withoutFields: Route {
        var route = self
        route.fields = []
        return route
    }

    /// Whether its selectors match.
    package func selects(_ object: JSONValue) -> Bool {
        guard let terms, let fields else { return false }
        if !fields.isEmpty, !fields.allSatisfy({ $0.matches(object) }) { return false }
        if terms.isEmpty { return true }
        let labels = object["metadata"]?["labels"]
        return terms.allSatisfy { $0.matches(labels) }
    }

    /// - Throws: `ModelRefusal`, when a selector is none.
    func checkSelector() throws {
        if fields == nil { throw ModelRefusal.bad("the field selector is not understood") }
        guard terms == nil else { return }
        throw ModelRefusal.bad("unable to parse requirement: \(query["labelSelector"] ?? "")")
    }

    /// The most items of a page; 0 for all.
    func limit() throws -> Int {
        guard let text = query["limit"], !text.isEmpty else { return 0 }
        guard let limit = Int(text) else { throw ModelRefusal.bad("the limit can't be read") }
        return max(0, limit)
    }

    private static func decoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A label selector, taken apart.
enum ModelSelector {
    struct Malformed: Error {}

    struct Term: Sendable {
        var key: String
        var isNegated: Bool
        /// `nil`: the label is there, or not.
        var values: [String]?

        func matches(_ labels: JSONValue?) -> Bool {
            let value = labels?[key]?.string
            guard let values else { return (value != nil) != isNegated }
            return (value.map(values.contains) ?? false) != isNegated
        }
    }

    static func terms(_ text: String) throws(Malformed) -> [Term] {
        var terms: [Term] = []
        var rest = text[...]
        while !rest.isEmpty {
            // A comma inside of parentheses divides values.
            let open = rest.firstIndex(of: "(")
            let comma = rest.firstIndex(of: ",")
            var end = comma ?? rest.endIndex
            if let open, let comma, open < comma {
                let close = rest.firstIndex(of: ")") ?? rest.endIndex
                end = rest[close...].firstIndex(of: ",") ?? rest.endIndex
            }
            terms.append(try term(String(rest[..<end])))
            rest = end < rest.endIndex ? rest[rest.index(after: end)...] : ""
        }
        return terms
    }

    private static func term(_ text: String) throws(Malformed) -> Term {
        let words = text.split(whereSeparator: { " ()".contains($0) }).map(String.init)
        if words.count > 2, ["in", "notin"].contains(words[1]), text.contains("(") {
            let values = words[2...].joined().split(separator: ",").map(String.init)
            return try checked(Term(key: words[0], isNegated: words[1] == "notin", values: values))
        }
        for (sign, isNegated) in [("!=", true), ("==", false), ("=", false)] {
            guard let place = text.firstRange(of: sign) else { continue }
            let key = String(text[..<place.lowerBound]), value = String(text[place.upperBound...])
            return try checked(Term(key: key, isNegated: isNegated, values: [value]))
        }
        let isNegated = text.hasPrefix("!")
        return try checked(Term(key: isNegated ? String(text.dropFirst()) : text, isNegated: isNegated, values: nil))
    }

    private static func checked(_ term: Term) throws(Malformed) -> Term {
        guard ModelRules.isQualified(term.key), term.values?.allSatisfy(ModelRules.isLabelValue) ?? true else {
            throw Malformed()
        }
        return term
    }
}

/// One term of a field selector: those of every kind, and those of Events. Other kinds have more of their own, which nobody
/// here asks for.
struct ModelFieldTerm: Sendable {
    struct Malformed: Error {}

    var path: [String]
    var isNegated: Bool
    var value: String

    func matches(_ object: JSONValue) -> Bool { ((object[path: path]?.string ?? "") == value) != isNegated }

    private static let labels: Set<Substring> = ["metadata.name", "metadata.namespace"]
    private static let labelsOfEvents: Set<Substring> = [
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "reason",
        "type",
    ]

    static func terms(_ text: String, of kind: ModelKind) throws(Malformed) -> [ModelFieldTerm] {
        var terms: [ModelFieldTerm] = []
        let labels = kind == .events ? Self.labels.union(labelsOfEvents) : Self.labels
        for part in text.split(separator: ",") { terms.append(try term(part, labels)) }
        return terms
    }

    /// The first sign counts; a value can't hold another one. (Escapes are left out.)
    private static func term(_ text: Substring, _ labels: Set<Substring>) throws(Malformed) -> ModelFieldTerm {
        guard let equals = text.firstIndex(of: "=") else { throw Malformed() }
        var label = text[..<equals]
        var value = text[text.index(after: equals)...]
        let isNegated = label.last == "!"
        if isNegated { label.removeLast() } else if value.first == "=" { value.removeFirst() }
        guard labels.contains(label), !value.contains("=") else { throw Malformed() }
        return ModelFieldTerm(
            path: label.split(separator: ".").map(String.init), isNegated: isNegated, value: String(value))
    }
}
