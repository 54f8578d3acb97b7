// SPDX-License-Identifier: Apache-2.0

import JSON
import Resources
import TestSupport
import Testing

/// The rule that finds who writes in circles.
@Suite struct CirclesTests {
    private static let run = ModelKey(.runs, Story.space, "monday")

    /// What is found when something says these words in turn, one after so many milliseconds.
    private func found(_ words: [String], times: Int, every milliseconds: Int64) -> Bool {
        var circles = Circles()
        for number in 0..<times {
            let object: JSONValue = ["status": ["message": .string(words[number % words.count])]]
            if circles.follow(Self.run, object, at: Int64(number) * milliseconds) != nil { return true }
        }
        return false
    }

    @Test("two words or three in turn, as fast as they are answered, are a circle", arguments: [2, 3])
    func circle(_ count: Int) {
        let words = (1...count).map { "word \($0)" }
        #expect(found(words, times: 40, every: 25))
        #expect(!found(words, times: 4 * count, every: 25), "four times is not often enough")
        #expect(!found(words, times: 40, every: 300), "what is slow may be the world's doing")
    }

    @Test("what is new each time, or the same, is none")
    func progress() {
        #expect(!found((1...40).map { "step \($0)" }, times: 40, every: 5))
        #expect(!found(["the same"], times: 40, every: 5))
    }
}
