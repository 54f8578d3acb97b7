// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources

/// Finds who writes in circles: says one thing, then another, and the first again, as fast as it is answered. Each such
/// write is a reason to look again, and so it never ends.
struct Circles {
    /// What was said last, by object, and when; the newest is the last one.
    private var said: [ModelKey: [(moment: Int64, words: JSONValue)]] = [:]

    /// Within so many milliseconds. What fails is tried again later than that.
    private static let span: Int64 = 2_000
    /// So often the same two things are said in turn.
    private static let rounds = 3

    /// - Returns: What it says in turn, when it does.
    mutating func follow(_ key: ModelKey, _ object: JSONValue, at moment: Int64) -> (String, String)? {
        guard let status = object["status"] else { return nil }
        let conditions = status.items("conditions").map { condition -> JSONValue in
            var words = condition
            for field in ["lastTransitionTime", "observedGeneration"] { words.set([field], nil) }
            return words
        }
        let words: JSONValue = [
            "message": .string(status.text("message") ?? ""), "conditions": .array(conditions),
        ]
        var told = said[key] ?? []
        if told.last?.words == words { return nil }
        told.append((moment, words))
        told = told.suffix(2 * Self.rounds)
        said[key] = told
        guard told.count == 2 * Self.rounds, moment - told[0].moment <= Self.span,
            told.indices.allSatisfy({ told[$0].words == told[$0 % 2].words })
        else { return nil }
        return (told[0].words.text("message") ?? "", told[1].words.text("message") ?? "")
    }
}
