// SPDX-License-Identifier: Apache-2.0

import JSON
import Seams
import TestSupport

/// One request of a sequence, with symbols in place of what only a server's answers can tell.
///
/// A text that begins with `@` is a symbol (`Memory.resolve`); the same step gives each server its own request.
struct Step: Sendable {
    enum Verb: String, Sendable {
        case post, get, list, put, patch, delete, watch
    }

    enum Body: Sendable {
        case none
        /// As it stands, however broken.
        case raw(String)
        case value(JSONValue)
        /// The object as the server last showed it, with changes.
        case shown([Edit], otherwise: JSONValue)
    }

    var verb: Verb
    var kind: ModelKind
    /// `nil` for the collection.
    var name: String?
    var subresource: String?
    var query: [(name: String, value: String)] = []
    var contentType: String?
    var body: Body = .none
    /// Another namespace than the sequence's own.
    var namespace: String?
    /// What is special about it, for the table of cells.
    var aspect: String

    /// The object that symbols without a name of their own are about.
    func subject(in body: JSONValue?) -> String {
        "\(kind.plural)/\(name ?? body?.text("metadata", "name") ?? "")"
    }

    var cell: String {
        let type = contentType.map { $0.split(separator: "/").last.map(String.init) ?? $0 } ?? "-"
        return "\(verb.rawValue) \(subresource ?? "-") \(type)"
    }
}

/// A change of one place of an object; no value removes it.
struct Edit: Sendable {
    var path: [String]
    var value: JSONValue?

    init(_ path: String, _ value: JSONValue?) {
        self.path = path.split(separator: "/").map { String($0).replacing("~1", with: "/") }
        self.value = value
    }
}

/// Requests on one namespace of their own, one after the other, and the watches that are then asked what happened.
struct Sequence: Sendable {
    var number: Int
    var steps: [Step]
    var watches: [Step]
    /// Its own, in each run of the program.
    var namespace: String
}

/// Draws for one sequence: the same for the same seed everywhere.
struct Draw {
    private let seed: UInt64
    private let number: UInt64
    private var count: UInt64 = 0

    init(seed: UInt64, sequence: Int) {
        self.seed = seed
        number = UInt64(sequence)
    }

    mutating func below(_ bound: Int) -> Int {
        count += 1
        return Int(keyedHash(seed, "sequence \(number)", count) % UInt64(max(1, bound)))
    }

    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }
}
