// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Testing

/// JSON against Foundation's coders on generated documents.
///
/// A failure names its seed.
@Suite struct FuzzTests {
    private static let decoder = JSONDecoder()

    /// Foundation's view of a document, or nil if it refuses it.
    private static func foundation(_ bytes: [UInt8]) -> JSONValue? {
        try? decoder.decode(JSONValue.self, from: Data(bytes))
    }

    /// Equal, numbers by value: through Foundation `JSONValue` cannot see whether `1` or `1.0` was written.
    private static func agree(_ one: JSONValue, _ other: JSONValue) -> Bool {
        switch (one, other) {
        case (.number, _), (_, .number):
            guard let left = double(one), let right = double(other) else { return false }
            return left == right
        case (.array(let left), .array(let right)):
            return left.count == right.count && zip(left, right).allSatisfy(agree)
        case (.object(let left), .object(let right)):
            return left.members.count == right.members.count
                && left.members.allSatisfy { member in right[member.key].map { agree(member.value, $0) } ?? false }
        default: return one == other
        }
    }

    private static func double(_ value: JSONValue) -> Double? {
        switch value {
        case .number(let double): double
        case .integer(let integer): Double(integer)
        case .unsigned(let integer): Double(integer)
        default: nil
        }
    }

    /// Documents on which the two are known to differ, see ``JSON``.
    private static func isDocumentedDifference(_ bytes: [UInt8]) -> Bool {
        // Foundation guesses UTF-16 and UTF-32 from a byte order mark or from NULs in the first four bytes.
        if bytes.prefix(4).contains(0) || bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return true }
        return bytes.starts(with: [0xFE, 0xFF]) || bytes.starts(with: [0xFF, 0xFE])
    }

    @Test(arguments: 0..<8) func generatedValuesRoundTrip(block: Int) throws {
        for seed in (block * 500)..<(block * 500 + 500) {
            var generator = SeededGenerator(seed: UInt64(seed))
            let value = generator.value()
            let bytes = try JSON.encode(value)
            #expect(try JSON.decode(JSONValue.self, from: bytes) == value, "seed \(seed)")
            let other = try #require(Self.foundation(bytes), "seed \(seed): Foundation refuses our text")
            #expect(Self.agree(value, other), "seed \(seed)")
            let sorted = try JSON.encode(value, sortedKeys: true)
            #expect(try JSON.decode(JSONValue.self, from: sorted) == value, "seed \(seed)")
            let theirs = try JSONEncoder().encode(value)
            #expect(Self.agree(try JSON.decode(JSONValue.self, from: [UInt8](theirs)), value), "seed \(seed)")
        }
    }

    @Test(arguments: 0..<8) func mutatedDocumentsAreJudgedAsByFoundation(block: Int) throws {
        var accepted = 0
        for seed in (block * 1000)..<(block * 1000 + 1000) {
            var generator = SeededGenerator(seed: UInt64(seed) &+ 1_000_000)
            let bytes = generator.mutated(try JSON.encode(generator.value(depth: 3)))
            if Self.isDocumentedDifference(bytes) { continue }
            let ours = try? JSON.decode(JSONValue.self, from: bytes)
            let theirs = Self.foundation(bytes)
            accepted += ours == nil ? 0 : 1
            switch (ours, theirs) {
            case (nil, nil): break
            case (let ours?, let theirs?):
                #expect(Self.agree(ours, theirs), "seed \(seed): \(String(decoding: bytes, as: UTF8.self))")
            default:
                let side = ours == nil ? "only Foundation accepts" : "only JSON accepts"
                Issue.record("seed \(seed): \(side) \(String(decoding: bytes, as: UTF8.self))")
            }
        }
        #expect(accepted > 100, "the mutations leave too little to compare")
    }

    @Test func randomBytesNeverCrash() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<3000 {
            let bytes = (0..<generator.below(200)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            _ = try? JSON.decode(JSONValue.self, from: bytes)
        }
    }
}
