// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Resources

extension FuzzDecoder {
    /// simdjson reserves 16 bytes for each byte, rounded up to a power of two; a value in an array takes 24 more than twice
    /// while the array grows.
    static let treeAllowance = Allowance(factor: 128)

    private static let jsonGrowth = [
        Growth("[", "1,", "1]"), Growth("[", "{},", "1]"), Growth("[", "[0],", "1]"), Growth("[", "\"\",", "1]"),
        Growth("{", "\"k#\":1,", "\"z\":1}"), Growth("{", "\"a\":1,", "\"z\":1}"), Growth("\"", "a", "\""),
        Growth("\"", "\\u00e9", "\""), Growth("\"", "\\n", "\""), Growth("[", "99999999999999999999,", "1]"),
        Growth("", " ", "1"), Growth("", "1", ""), Growth("[", "1e-300,", "1]"), .nested("[", "]"),
        .nested("{\"a\":", "}"), Growth("[", "{\"a\":{\"b\":[1]}},", "1]"), Growth("", "[", ""),
    ]

    static let json = [
        FuzzDecoder(
            "json", .json, allowance: treeAllowance, growth: jsonGrowth, check: JSONOracle.check
        ) { bytes in _ = try? JSON.decode(JSONValue.self, from: bytes) },
        FuzzDecoder(
            // Why an item is none takes some hundred bytes, however short the item is.
            "json-list", .json, tokens: ["items", "metadata", "name", "namespace", "uid"],
            allowance: Allowance(factor: 256),
            growth: [
                Growth("{\"items\":[", "{},", "{}]}"), Growth("{\"items\":[", "{\"metadata\":{\"name\":1}},", "{}]}"),
            ]
        ) { bytes in
            _ = try? JSON.decodeItems(JSONValue.self, ConfigMap.self, from: bytes)
            _ = try? JSON.decode(Passthrough.self, from: bytes)
        },
    ]
}

/// JSON against Foundation's decoder, and against itself.
enum JSONOracle {
    private static let decoder = JSONDecoder()

    @Sendable static func check(_ bytes: [UInt8]) async -> String? {
        let ours: JSONValue?
        do {
            ours = try JSON.decode(JSONValue.self, from: bytes)
        } catch {
            if error.kind == .tooDeep || error.kind == .tooLarge { return nil }
            ours = nil
        }
        if let ours, let problem = roundTrip(ours) { return problem }
        if isDocumentedDifference(bytes) { return nil }
        // Foundation's decoder does not look at all numbers that nobody asks for.
        let isAccepted = (try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil
        let theirs = isAccepted ? try? decoder.decode(JSONValue.self, from: Data(bytes)) : nil
        switch (ours, theirs) {
        case (nil, nil): return nil
        case (let ours?, let theirs?): return agree(ours, theirs) ? nil : "another value than Foundation's"
        case (nil, _): return "only Foundation accepts it"
        case (_, nil): return "Foundation refuses it"
        }
    }

    private static func roundTrip(_ value: JSONValue) -> String? {
        guard let text = try? JSON.encode(value) else { return "what was read can't be written" }
        guard let again = try? JSON.decode(JSONValue.self, from: text) else { return "what was written can't be read" }
        return again == value ? nil : "what was written reads as something else"
    }

    /// What the documentation of `JSON` says, and Foundation's own peculiarities.
    private static func isDocumentedDifference(_ bytes: [UInt8]) -> Bool {
        // Foundation takes a comma behind the last element.
        let dense = bytes.filter { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
        if zip(dense, dense.dropFirst()).contains(where: { $0 == 0x2C && ($1 == 0x5D || $1 == 0x7D) }) { return true }
        // Foundation guesses UTF-16 and UTF-32 from a byte order mark or from NULs in the first four bytes.
        if bytes.prefix(4).contains(0) || bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return true }
        if bytes.starts(with: [0xFE, 0xFF]) || bytes.starts(with: [0xFF, 0xFE]) { return true }
        // Numbers outside of a double's range: Foundation reads some as infinite, others not at all, others if asked.
        var digits = 0
        for index in bytes.indices {
            digits = (0x30...0x39).contains(bytes[index]) ? digits + 1 : 0
            if digits > 18 { return true }
            guard bytes[index] == 0x65 || bytes[index] == 0x45 else { continue }
            let exponent = bytes[(index + 1)...].prefix(6).filter { (0x30...0x39).contains($0) }
            if exponent.count >= 3 { return true }
        }
        return false
    }

    /// Equal, numbers by value: through Foundation `JSONValue` can't see whether `1` or `1.0` was written.
    private static func agree(_ one: JSONValue, _ other: JSONValue) -> Bool {
        switch (one, other) {
        case (.number, _), (_, .number):
            guard let left = double(one), let right = double(other) else { return false }
            return left == right
        case (.array(let left), .array(let right)):
            return left.count == right.count && zip(left, right).allSatisfy(agree)
        case (.object(let left), .object(let right)):
            let values = Dictionary(right.members.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
            return left.members.count == right.members.count
                && left.members.allSatisfy { member in values[member.key].map { agree(member.value, $0) } ?? false }
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
}
