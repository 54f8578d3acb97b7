// SPDX-License-Identifier: Apache-2.0

/// Durations as people write them: `90s`, `30m`, `4h`, `1h30m`.
package enum Durations {
    /// Whole seconds. Hours, minutes and seconds each at most once, in this order; no fractions, no sign, no days (one
    /// is not always 24 hours, so nobody has to guess).
    /// - Returns: `nil` for anything else.
    package static func seconds(_ text: String) -> Int64? {
        var units: [(UInt8, Int64, Int)] = [
            (UInt8(ascii: "h"), 3_600, 6), (UInt8(ascii: "m"), 60, 6), (UInt8(ascii: "s"), 1, 9),
        ]
        var total: Int64 = 0
        var number: Int64 = 0
        var digits = 0
        for byte in text.utf8 {
            if (0x30...0x39).contains(byte) {
                digits += 1
                guard digits <= 9 else { return nil }
                number = number * 10 + Int64(byte - 0x30)
                continue
            }
            guard digits > 0, let index = units.firstIndex(where: { $0.0 == byte }), digits <= units[index].2
            else { return nil }
            total += number * units[index].1
            units.removeFirst(index + 1)
            number = 0
            digits = 0
        }
        return digits == 0 && !text.isEmpty ? total : nil
    }

    /// As people write it: `26h`, `1h30m`, `45s`.
    package static func text(_ seconds: Int64) -> String {
        let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")].filter { $0.0 != 0 }
        return parts.isEmpty ? "0s" : parts.map { "\($0.0)\($0.1)" }.joined()
    }
}
