// SPDX-License-Identifier: Apache-2.0

import Reconciler
import Resources
import Testing

@testable import ControlLoop

/// From a log's bytes to facts.
@Suite struct LineReadingTests {
    private static let restored = LinePattern("restored", ["restored log file \""], keepsWord: true)
    private static let missing = LinePattern("WALGap", ["could not ", "\"", "\": No such file"], keepsWord: false)
    private static let redo = LinePattern("redo", ["redo done at "], keepsWord: true)

    private func matched(_ text: String, _ patterns: [LinePattern]) -> LineFacts {
        var matcher = LineMatcher(patterns)
        var facts = LineFacts()
        let bytes = Array(text.utf8)
        let isMatched = matcher.read(bytes[...], into: &facts)
        #expect(isMatched == !facts.counts.isEmpty)
        return facts
    }

    // MARK: Patterns

    /// One byte to look for, at the beginning, in the middle and at the end.
    private static let short = LinePattern("short", ["!"], keepsWord: true)

    private static let lines: [(String, [LinePattern], [String: Int], [String: String])] = [
        // What servers write.
        (
            "LOG:  restored log file \"00000002.history\" from archive", [restored], ["restored": 1],
            ["restored": "00000002.history"]
        ),
        ("LOG:  redo done at 0/3000060 system usage: CPU", [restored, redo], ["redo": 1], ["redo": "0/3000060"]),
        ("could not open file \"pg_wal/0001\": No such file", [missing], ["WALGap": 1], [:]),
        // Pieces in their order, and each after the one before.
        ("\": No such file could not \"", [missing], [:], [:]),
        ("could not \": No such file", [missing], [:], [:]),
        ("could not \"\": No such file", [missing], ["WALGap": 1], [:]),
        ("aab", [LinePattern("x", ["a", "ab"])], ["x": 1], [:]),
        ("ab", [LinePattern("x", ["a", "ab"])], [:], [:]),
        ("abcabd", [LinePattern("x", ["abd"])], ["x": 1], [:]),
        ("restored log file", [restored], [:], [:]),
        ("x", [LinePattern("x", ["x"])], ["x": 1], [:]),
        ("", [LinePattern("x", ["x"])], [:], [:]),
        ("!a", [short], ["short": 1], ["short": "a"]), ("a!b", [short], ["short": 1], ["short": "b"]),
        ("ab!", [short], ["short": 1], [:]), ("a", [short], [:], [:]),
        ("ax", [LinePattern("x", ["ab"]), LinePattern("y", ["\u{0}"])], [:], [:]),
        // Nothing to look for is found nowhere.
        ("anything", [LinePattern("x", []), LinePattern("y", [""])], [:], [:]),
        ("anything", [LinePattern("x", ["", "thing", ""])], ["x": 1], [:]),
        // One line counts once for a name, however many patterns have it.
        ("a b a b", [LinePattern("x", ["a"]), LinePattern("x", ["b"])], ["x": 1], [:]),
        ("a b", [LinePattern("x", ["a"]), LinePattern("y", ["b"])], ["x": 1, "y": 1], [:]),
        // Words: bounded, and of a few harmless characters.
        ("w=a_b./:-9Z'rest", [LinePattern("x", ["w="], keepsWord: true)], ["x": 1], ["x": "a_b./:-9Z"]),
        ("w=hunter 2", [LinePattern("x", ["w="], keepsWord: true)], ["x": 1], ["x": "hunter"]),
        ("w= blank", [LinePattern("x", ["w="], keepsWord: true)], ["x": 1], [:]),
        ("w=", [LinePattern("x", ["w="], keepsWord: true)], ["x": 1], [:]),
        ("w=a;b", [LinePattern("x", ["w="], keepsWord: true)], ["x": 1], ["x": "a"]),
        ("w=größe", [LinePattern("x", ["w="], keepsWord: true)], ["x": 1], ["x": "gr"]),
        (
            "w=" + String(repeating: "z", count: 200), [LinePattern("x", ["w="], keepsWord: true)], ["x": 1],
            ["x": String(repeating: "z", count: 128)]
        ),
    ]

    @Test(arguments: lines)
    func patterns(_ line: String, _ patterns: [LinePattern], _ counts: [String: Int], _ words: [String: String]) {
        #expect(matched(line, patterns) == LineFacts(counts: counts, words: words))
    }

    @Test func theLastWordStays() {
        var matcher = LineMatcher([LinePattern("x", ["w="], keepsWord: true)])
        var facts = LineFacts()
        for line in ["w=one", "none", "w=two", "w= "] { _ = matcher.read(Array(line.utf8)[...], into: &facts) }
        #expect(facts == LineFacts(counts: ["x": 3], words: ["x": "two"]))
    }

    // MARK: Bytes

    private static let text = """
        2026-05-27T03:00:00.000000001Z LOG:  restored log file "000000010000000000000003" from archive
        2026-05-27T03:00:00.000000001Z hunter2
        unable to retrieve container logs: restored log file "no time" from archive

        2026-05-27T05:00:01.5+02:00 LOG:  restored log file "000000010000000000000004" from archive\r
        2026-05-27T03:00:01.5Z
        2026-05-27T03:00:02Z LOG:  redo done at 0/5000060

        """
    private static let facts = LineFacts(
        counts: ["restored": 2, "redo": 1],
        words: ["restored": "000000010000000000000004", "redo": "0/5000060"],
        lastAt: Timestamp(rfc3339: "2026-05-27T03:00:02Z"))

    @Test func cutAtEveryByte() {
        let bytes = Array(Self.text.utf8)
        var cuts = bytes.indices.map { [Array(bytes[..<$0]), Array(bytes[$0...])] }
        cuts.append(bytes.map { [$0] })
        for pieces in cuts {
            var reading = LineReading([Self.restored, Self.redo])
            var changes = 0
            for piece in pieces where reading.take(piece) { changes += 1 }
            #expect(reading.facts == Self.facts)
            #expect(changes >= 1)
            let last = LogMoment(seconds: 1_779_850_802, nanoseconds: 0)
            #expect(reading.position == LogPosition(moment: last, count: 1))
        }
    }

    @Test func aLongLineIsCutAndForgotten() {
        let time = "2026-05-27T03:00:00Z "
        let filler = String(repeating: "x", count: LineReading.lineLimit - time.utf8.count - 4)
        for (pad, isSeen) in [("", true), ("y", false)] {
            for size in [1, 1_000, 1 << 20] {
                var reading = LineReading([LinePattern("end", ["END!"]), LinePattern("next", ["next"])])
                let tail = String(repeating: "z", count: 30_000)
                let bytes = Array("\(time)\(filler)\(pad)END!\(tail)END!\n\(time)next\n".utf8)
                for start in stride(from: 0, to: bytes.count, by: size) {
                    _ = reading.take(Array(bytes[start..<min(bytes.count, start + size)]))
                }
                #expect(reading.facts.counts == (isSeen ? ["end": 1, "next": 1] : ["next": 1]))
            }
        }
    }

    @Test func hostileBytes() {
        var generator = SystemRandomNumberGenerator()
        let alphabet =
            Array("2026-05-27T03:00:00.1Z \nrestored log file \"\r\u{0}é".utf8) + [0xFF, 0xC0, 0x80, 0x0A, 0x20]
        for _ in 0..<300 {
            var reading = LineReading([Self.restored, Self.missing, Self.redo])
            for _ in 0..<20 {
                let piece = (0..<Int.random(in: 0...40, using: &generator)).compactMap { _ in
                    alphabet.randomElement(using: &generator)
                }
                _ = reading.take(piece)
            }
            _ = reading.finish()
            #expect(reading.facts.words.values.allSatisfy { $0.utf8.count <= 64 })
        }
        var reading = LineReading([Self.restored])
        let line = Array("2026-05-27T03:00:00Z \u{0}restored log file \"".utf8) + [0xFF, 0xFE, 0x0A]
        _ = reading.take(line)
        #expect(reading.facts == LineFacts(counts: ["restored": 1], lastAt: Timestamp(rfc3339: "2026-05-27T03:00:00Z")))
    }

    // MARK: Going on

    private func line(_ moment: String, _ text: String = "x") -> [UInt8] {
        Array("2026-05-27T03:00:\(moment)Z \(text)\n".utf8)
    }

    @Test func whatWasSeenIsPassedOver() {
        let pattern = LinePattern("x", ["x"])
        var first = LineReading([pattern])
        for moment in ["01.5", "02.25", "02.25"] { _ = first.take(line(moment)) }
        #expect(first.facts.counts == ["x": 3])
        // The server begins at the whole second: two lines that were seen, then one of the same time, one out of order.
        var next = LineReading([pattern], facts: first.facts, after: first.position)
        let isRepeatedSeen = next.take(["02.1", "02.25", "02.25"].flatMap { line($0) })
        #expect(!isRepeatedSeen)
        #expect(!next.hasNews)
        #expect(next.position == first.position)
        for moment in ["02.25", "02.2", "03", "02.9"] {
            let isChanged = next.take(line(moment))
            #expect(isChanged)
        }
        #expect(next.hasNews)
        #expect(next.facts.counts == ["x": 7])
        #expect(next.position?.count == 1)
        // A log that was rotated away meanwhile begins later: nothing is passed over.
        var later = LineReading([pattern], facts: first.facts, after: first.position)
        _ = later.take(line("09"))
        #expect(later.facts.counts == ["x": 4])
    }

    private static let moments: [(String, Int64?, Int64)] = [
        ("2026-05-27T03:00:02Z", 1_779_850_802, 0), ("2026-05-27T03:00:02.000000001Z", 1_779_850_802, 1),
        ("2026-05-27T03:00:02.5Z", 1_779_850_802, 500_000_000),
        ("2026-05-27T05:00:02.1+02:00", 1_779_850_802, 100_000_000),
        ("1969-12-31T23:59:59.9Z", -1, 900_000_000),
        ("2026-05-27T03:00:02", nil, 0), ("2026-05-27T03:00:02.Z", nil, 0), ("2026-05-27T03:00:02.1234567890Z", nil, 0),
        ("2026-05-27 03:00:02Z", nil, 0), ("2026-02-30T03:00:02Z", nil, 0), ("2026-05-27T03:00:02.1ZZ", nil, 0),
        ("", nil, 0), ("....................", nil, 0),
    ]

    @Test(arguments: moments)
    func momentsOfLines(_ text: String, _ seconds: Int64?, _ nanoseconds: Int64) {
        var reader = LogMomentReader()
        let expected = seconds.map { LogMoment(seconds: $0, nanoseconds: nanoseconds) }
        // Twice: the second time the second is known already.
        for text in [text, text, expected?.rfc3339 ?? ""] {
            let moment = reader.read(Array(text.utf8)[...])
            #expect(moment == expected)
        }
    }
}
