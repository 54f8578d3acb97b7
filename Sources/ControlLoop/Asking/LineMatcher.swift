// SPDX-License-Identifier: Apache-2.0

import Reconciler

/// Looks for the patterns of a closed list in lines of bytes. Pure.
///
/// A line is gone through once; where a byte is the first of some pattern's first piece, that pattern is tried. The
/// leftmost place of each piece is taken: when the rest does not follow from there, it follows from no later one.
struct LineMatcher: Sendable {
    private struct Pattern: Sendable {
        /// Its place among the names.
        var name: Int
        /// None of them empty, and at least one.
        var pieces: [[UInt8]]
        var keepsWord: Bool
        /// The last line in which it was tried.
        var triedIn = 0
    }

    /// The longest word that is kept, in bytes.
    static let wordLimit = 128

    private var patterns: [Pattern] = []
    private var names: [String] = []
    /// The last line that counted, by name: several patterns may have one.
    private var countedIn: [Int] = []
    /// By byte: the patterns whose first piece begins with it.
    private var beginning = [[Int]](repeating: [], count: 256)
    /// A bit for each pair of bytes: whether some first piece begins with it. Most places are passed over by this.
    private var pairs = [UInt64](repeating: 0, count: 1_024)
    private var line = 0

    /// A pattern without pieces matches nothing.
    init(_ patterns: [LinePattern]) {
        for pattern in patterns {
            let pieces = pattern.pieces.map { Array($0.utf8) }.filter { !$0.isEmpty }
            guard let first = pieces.first?.first else { continue }
            let name = names.firstIndex(of: pattern.name) ?? names.count
            if name == names.count {
                names.append(pattern.name)
                countedIn.append(0)
            }
            beginning[Int(first)].append(self.patterns.count)
            let seconds = pieces[0].count > 1 ? pieces[0][1]...pieces[0][1] : 0...UInt8.max
            for second in seconds { pairs[Self.word(first, second)] |= Self.bit(second) }
            self.patterns.append(Pattern(name: name, pieces: pieces, keepsWord: pattern.keepsWord))
        }
    }

    /// Reads a line without its time and its end.
    /// - Returns: Whether it matched anything.
    mutating func read(_ text: ArraySlice<UInt8>, into facts: inout LineFacts) -> Bool {
        line += 1
        var isMatched = false
        guard var byte = text.first else { return false }
        for place in text.indices {
            let next = place + 1 < text.endIndex ? text[place + 1] : 0
            if pairs[Self.word(byte, next)] & Self.bit(next) != 0, look(at: place, byte, text, &facts) {
                isMatched = true
            }
            byte = next
        }
        return isMatched
    }

    /// Tries the patterns that may begin here.
    private mutating func look(
        at place: Int, _ byte: UInt8, _ text: ArraySlice<UInt8>, _ facts: inout LineFacts
    ) -> Bool {
        var isMatched = false
        for number in beginning[Int(byte)] where patterns[number].triedIn != line {
            guard Self.stands(patterns[number].pieces[0], in: text, at: place) else { continue }
            patterns[number].triedIn = line
            guard let end = Self.end(of: patterns[number].pieces, in: text, from: place) else { continue }
            isMatched = true
            count(patterns[number], text[end...], &facts)
        }
        return isMatched
    }

    private static func word(_ first: UInt8, _ second: UInt8) -> Int { Int(first) << 2 | Int(second >> 6) }
    private static func bit(_ second: UInt8) -> UInt64 { 1 << UInt64(second & 63) }

    private mutating func count(_ pattern: Pattern, _ rest: ArraySlice<UInt8>, _ facts: inout LineFacts) {
        let name = names[pattern.name]
        if countedIn[pattern.name] != line {
            countedIn[pattern.name] = line
            facts.counts[name, default: 0] += 1
        }
        guard pattern.keepsWord else { return }
        let word = rest.prefix(Self.wordLimit).prefix(while: Self.mayBeKept)
        if !word.isEmpty { facts.words[name] = String(decoding: word, as: UTF8.self) }
    }

    /// Where the last piece ends, when all of them follow each other; the first one stands at `place`.
    private static func end(of pieces: [[UInt8]], in text: ArraySlice<UInt8>, from place: Int) -> Int? {
        var end = place + pieces[0].count
        for piece in pieces.dropFirst() {
            let last = text.endIndex - piece.count
            guard end <= last, let found = (end...last).first(where: { stands(piece, in: text, at: $0) }) else {
                return nil
            }
            end = found + piece.count
        }
        return end
    }

    private static func stands(_ piece: [UInt8], in text: ArraySlice<UInt8>, at place: Int) -> Bool {
        guard piece.count <= text.endIndex - place else { return false }
        var offset = 0
        while offset < piece.count {
            if text[place + offset] != piece[offset] { return false }
            offset += 1
        }
        return true
    }

    /// Letters, digits, and `_ . / : -`.
    private static func mayBeKept(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x3A, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x2F, 0x5F: true
        default: false
        }
    }
}
