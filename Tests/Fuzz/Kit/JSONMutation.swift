// SPDX-License-Identifier: Apache-2.0

/// Changes JSON text by its values, so that what comes out mostly is JSON still. Knows no more of JSON than where its
/// values are: text that is none is changed all the same.
enum JSONMutation {
    /// Where values and members stand.
    struct Places {
        var values: [Range<Int>] = []
        /// With its key and value.
        var members: [Range<Int>] = []

        init(_ bytes: [UInt8]) {
            var open: [Int] = []
            var key: Int?
            var keys: [Int?] = []
            var index = 0
            func end(_ range: Range<Int>, _ places: inout Places) {
                places.values.append(range)
                if let start = key { places.members.append(start..<range.upperBound) }
                key = nil
            }
            while index < bytes.count {
                let start = index
                switch bytes[index] {
                case 0x7B, 0x5B:
                    open.append(index)
                    keys.append(key)
                    key = nil
                    index += 1
                case 0x7D, 0x5D:
                    index += 1
                    guard let begin = open.popLast() else { continue }
                    key = keys.popLast() ?? nil
                    end(begin..<index, &self)
                case 0x20, 0x0A, 0x0D, 0x09, 0x2C, 0x3A: index += 1
                case 0x22:
                    index = Self.stringEnd(bytes, start)
                    let next = bytes[index...].first { ![0x20, 0x0A, 0x0D, 0x09].contains($0) }
                    if next == 0x3A { key = start } else { end(start..<index, &self) }
                default:
                    index =
                        bytes[index...].firstIndex { [0x20, 0x0A, 0x0D, 0x09, 0x2C, 0x7D, 0x5D, 0x3A].contains($0) }
                        ?? bytes.count
                    end(start..<index, &self)
                }
            }
        }

        private static func stringEnd(_ bytes: [UInt8], _ start: Int) -> Int {
            var index = start + 1
            while index < bytes.count {
                if bytes[index] == 0x22 { return index + 1 }
                index += bytes[index] == 0x5C ? 2 : 1
            }
            return bytes.count
        }
    }

    private static let values = [
        "null", "true", "false", "{}", "[]", "[[]]", "[null]", "{\"\":{}}", "\"\"", "\" \"", "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\\u0041\"", "\"\\uD83D\"", "\"a\\", "\"\\x\"", "\"e\\u0301\"",
        "\"\u{212A}\"", "\"9999-12-31T23:59:59-23:59\"", "\"0001-01-01T00:00:00+23:59\"", "\"2026-02-29T00:00:00Z\"",
        "\"2026-05-27T18:30:00.123456789Z\"", "\"FFFFFFFF/FFFFFFFF\"", "\"0/0\"", "\"16/B374D848\"",
        "\"FFFFFFFFFFFFFFFFFFFFFFFF\"", "\"00000001000000FF000000FF\"", "\"000000010000000000000000\"",
        "\"base_FFFFFFFFFFFFFFFFFFFFFFFF\"", "\"base_000000020000000000000004_D_000000010000000000000002\"",
        "\"1e400Gi\"",
        "\"-1\"", "\"9223372036854775807\"", "\"99999999999999999999Ei\"", "\"999999h\"", "\"s3://b/p/15\"",
        "{\"a\":1,\"a\":2}",
    ]

    private static func value(_ tokens: [String], _ dice: inout Dice) -> [UInt8] {
        switch dice.below(12) {
        case 0...4: return Array((dice.pick(Mutation.numbers) ?? "0").utf8)
        case 5: return Array("\"\(dice.pick(tokens) ?? "")\"".utf8)
        case 6:
            let depth = [2, 15, 126, 127, 128, 129, 600, 5_000][dice.below(8)]
            let (open, close) = dice.once(in: 2) ? ("[", "]") : ("{\"a\":", "}")
            return Array((String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)).utf8)
        case 7:
            return Array(
                ("\"" + String(repeating: dice.pick(["a", "\\n", "é", "\\u0001"]) ?? "", count: dice.size(20_000))
                    + "\"").utf8)
        default: return Array((dice.pick(values) ?? "").utf8)
        }
    }

    static func change(_ bytes: inout [UInt8], tokens: [String], _ dice: inout Dice) {
        let places = Places(bytes)
        guard let place = dice.pick(places.values), let other = dice.pick(places.values) else { return }
        let member = dice.pick(places.members)
        if dice.once(in: 3) {
            // Numbers are what is calculated with.
            let numbers = places.values.filter {
                bytes[$0.lowerBound] == 0x2D || (0x30...0x39).contains(bytes[$0.lowerBound])
            }
            if let number = dice.pick(numbers) {
                return bytes.replaceSubrange(number, with: Array((dice.pick(Mutation.numbers) ?? "0").utf8))
            }
        }
        switch dice.below(12) {
        case 0...4: bytes.replaceSubrange(place, with: value(tokens, &dice))
        case 5: bytes.replaceSubrange(place, with: Array(bytes[other]))
        case 6:
            let times = min(dice.size(4_096), (Mutation.longest - bytes.count) / (place.count + 1))
            var run: [UInt8] = []
            for _ in 0..<max(0, times) { run += bytes[place] + [0x2C] }
            bytes.insert(contentsOf: run, at: place.lowerBound)
        case 7: bytes.insert(contentsOf: value(tokens, &dice) + [0x2C], at: place.lowerBound)
        case 8: if let member { bytes.removeSubrange(member.lowerBound..<min(bytes.count, member.upperBound + 1)) }
        case 9:
            guard let member, let second = dice.pick(places.members) else { return }
            bytes.insert(contentsOf: Array(bytes[second]) + [0x2C], at: member.lowerBound)
        case 10:
            guard let member else { return }
            let key = "\"\(dice.pick(tokens) ?? "x")\":"
            bytes.insert(contentsOf: Array(key.utf8) + value(tokens, &dice) + [0x2C], at: member.lowerBound)
        default: bytes.replaceSubrange(place, with: [0x5B] + bytes[place] + [0x5D])
        }
    }
}
