// SPDX-License-Identifier: Apache-2.0

/// Makes hostile inputs from good ones. Pure: the same corpus, seed and index give the same bytes.
package struct Mutation {
    /// The longest input.
    package static let longest = 128 << 10

    let decoder: FuzzDecoder
    /// Never empty.
    let corpus: [[UInt8]]
    private let cuts: Int

    /// - Parameter corpus: The decoder's inputs; with none, an empty one is taken.
    package init(_ decoder: FuzzDecoder, corpus: [[UInt8]]) {
        self.decoder = decoder
        self.corpus = corpus.isEmpty ? [[]] : corpus
        cuts = self.corpus.reduce(0) { $0 + $1.count + 1 }
    }

    /// The input of this index. Every fourth is an input of the corpus cut off, at one byte after the other.
    package func input(seed: UInt64, index: Int) -> [UInt8] {
        var dice = Dice(seed: seed, key: decoder.name, index: index)
        var bytes = index % 4 == 3 ? cut(index / 4) : mutated(&dice)
        if let wrap = decoder.wrap { bytes = wrap(bytes, &dice) }
        return bytes.count > Self.longest ? Array(bytes.prefix(Self.longest)) : bytes
    }

    private func cut(_ index: Int) -> [UInt8] {
        var rest = index % cuts
        for input in corpus {
            if rest <= input.count { return Array(input.prefix(rest)) }
            rest -= input.count + 1
        }
        return []
    }

    private func mutated(_ dice: inout Dice) -> [UInt8] {
        var bytes = dice.pick(corpus) ?? []
        let rounds = [1, 1, 1, 2, 2, 3, 5, 12][dice.below(8)]
        for _ in 0..<rounds where bytes.count < Self.longest {
            switch decoder.shape {
            case .json where !dice.once(in: 4): JSONMutation.change(&bytes, tokens: decoder.tokens, &dice)
            case .lines where !dice.once(in: 3): changeLines(&bytes, by: 0x0A, &dice)
            case .xml where !dice.once(in: 3): changeLines(&bytes, by: 0x3C, &dice)
            default: change(&bytes, &dice)
            }
        }
        return bytes
    }

    // MARK: Bytes

    private static let pieces: [[UInt8]] = [
        [0], [0, 0, 0, 0], [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xED, 0xB0, 0x80], [0xF4, 0x90, 0x80, 0x80],
        [0xE2, 0x80], [0xEF, 0xBB, 0xBF], [0xFE, 0xFF], Array("\u{2028}".utf8), Array("\u{212A}".utf8),
        Array("\u{301}".utf8), Array("\u{1F469}\u{200D}\u{1F680}".utf8), Array("\u{FF11}\u{FF12}".utf8), [0x0D, 0x0A],
        [0x85], [0x1B, 0x5B, 0x33, 0x31, 0x6D], [0x7F], Array("%00".utf8), Array("%".utf8), Array("../../".utf8),
    ]

    static let numbers = [
        "0", "-0", "-1", "1", "00", "+1", "1.0", "1e3", "1E+2", "-0.0", "0.1", "1.", ".5", "1e", "NaN", "Infinity",
        "0x10",
        "127", "255", "256", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296",
        "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
        "-9223372036854775809", "18446744073709551615", "18446744073709551616", "1e308", "1e309", "1e400", "-1e-400",
        "99999999999999999999999999999999999999999", "1000000000", "999999999", "1_000", "１２", "1e-7", "0e99999999999",
    ]

    private func change(_ bytes: inout [UInt8], _ dice: inout Dice) {
        let place = dice.below(bytes.count + 1)
        let end = min(bytes.count, place + dice.size(bytes.count))
        switch dice.below(14) {
        case 0, 1: if place < bytes.count { bytes[place] ^= 1 << UInt8(dice.below(8)) }
        case 2: if place < bytes.count { bytes[place] = UInt8(truncatingIfNeeded: dice.next()) }
        case 3: bytes.removeSubrange(place..<end)
        case 4: bytes.insert(contentsOf: Array(bytes[place..<end]), at: place)
        case 5: repeatPart(&bytes, place..<end, &dice)
        case 6: bytes = Array(bytes.prefix(place))
        case 7: bytes.insert(contentsOf: dice.pick(Self.pieces) ?? [], at: place)
        case 8: bytes.insert(contentsOf: Array((dice.pick(decoder.tokens) ?? "").utf8), at: place)
        case 9: changeNumber(&bytes, &dice)
        case 10:
            let other = dice.pick(corpus) ?? []
            bytes = Array(bytes.prefix(place)) + other.dropFirst(dice.below(other.count + 1))
        case 11:
            bytes.insert(contentsOf: (0..<dice.size(64)).map { _ in UInt8(truncatingIfNeeded: dice.next()) }, at: place)
        case 12: if place < bytes.count { bytes[place] ^= 0x20 }
        default: bytes = (dice.pick(Self.pieces) ?? []) + bytes
        }
    }

    private func repeatPart(_ bytes: inout [UInt8], _ range: Range<Int>, _ dice: inout Dice) {
        let part = Array(bytes[range])
        guard !part.isEmpty else { return }
        let times = min(dice.size(8_192), (Self.longest - bytes.count) / part.count)
        var run: [UInt8] = []
        for _ in 0..<max(0, times) { run += part }
        bytes.insert(contentsOf: run, at: range.upperBound)
    }

    /// Puts another number in the place of one.
    private func changeNumber(_ bytes: inout [UInt8], _ dice: inout Dice) {
        func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        let starts = bytes.indices.filter { isDigit(bytes[$0]) && ($0 == 0 || !isDigit(bytes[$0 - 1])) }
        guard let start = dice.pick(starts) else { return }
        let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: Array((dice.pick(Self.numbers) ?? "").utf8))
    }

    // MARK: Lines, and what stands between two brackets

    private func changeLines(_ bytes: inout [UInt8], by separator: UInt8, _ dice: inout Dice) {
        var lines = bytes.split(separator: separator, omittingEmptySubsequences: false).map { Array($0) }
        let place = dice.below(lines.count)
        let other = dice.below(lines.count)
        switch dice.below(8) {
        case 0: lines.remove(at: place)
        case 1: lines.insert(lines[other], at: place)
        case 2: lines.swapAt(place, other)
        case 3:
            let times = min(dice.size(2_048), (Self.longest - bytes.count) / (lines[place].count + 1))
            lines.insert(contentsOf: [[UInt8]](repeating: lines[place], count: max(0, times)), at: place)
        case 4: lines = Array(lines.prefix(place + 1))
        case 5: lines[place] = []
        default:
            var line = lines[place]
            change(&line, &dice)
            lines[place] = line
        }
        bytes = Array(lines.joined(separator: [separator]))
    }
}
