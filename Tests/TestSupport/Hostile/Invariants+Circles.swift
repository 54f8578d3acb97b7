// SPDX-License-Identifier: Apache-2.0

package import JSON
import Resources

/// Finds who writes in circles: says one thing, then others, and the first again, as fast as it is answered. Each such
/// write is a reason to look again, and so it never ends.
package struct Circles {
    /// What was said last, by object, and when; the newest is the last one.
    private var said: [ModelKey: [(moment: Int64, words: JSONValue)]] = [:]

    /// Within so many milliseconds. What fails is tried again later than that, and pods don't come and go as fast.
    private static let span: Int64 = 1_000
    /// So often the same is said, with something else in between.
    private static let rounds = 5
    /// So much of what was said is remembered.
    private static let length = 20

    package init() {}

    /// - Returns: What it says in turn, when it does.
    package mutating func follow(_ key: ModelKey, _ object: JSONValue, at moment: Int64) -> (String, String)? {
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
        told = told.suffix(Self.length).filter { moment - $0.moment <= Self.span }
        said[key] = told
        guard told.count >= 2 * Self.rounds - 1, told.count(where: { $0.words == words }) >= Self.rounds else {
            return nil
        }
        return (words.text("message") ?? "", told[told.count - 2].words.text("message") ?? "")
    }
}
