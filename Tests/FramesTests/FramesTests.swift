// SPDX-License-Identifier: Apache-2.0

import Digest
import Frames
import JSON
import Testing

private let result = Array(#"{"v":1,"rows":[{"name":"orders","passed":true},{"name":"users","passed":false}]}"#.utf8)

private func noise(_ count: Int) -> [UInt8] {
    var state: UInt64 = 42
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
    }
}

private func whole(_ bytes: [UInt8]) -> ResultFrame.Outcome { .complete(bytes: bytes, sha256: Digest.sha256Hex(bytes)) }

/// A frame of given lines, for those an encoder would not write.
private func lines(_ lines: String...) -> [UInt8] { Array(lines.map { $0 + "\n" }.joined().utf8) }

private func text(_ frame: [UInt8]) -> [String] {
    String(decoding: frame, as: UTF8.self).split(separator: "\n").map(String.init)
}

@Suite struct FramesTests {
    @Test(arguments: [0, 1, 2, 3, 100, 3072, 5000, 70_000, 300_000, 4 << 20])
    func roundTrip(size: Int) throws {
        let zeros = [UInt8](repeating: 0x20, count: size)
        #expect(ResultFrame.decode(try ResultFrame.encode(zeros)) == whole(zeros))
        let random = noise(size)
        #expect(ResultFrame.decode(try ResultFrame.encode(random)) == whole(random))
    }

    @Test func tooLargeIsRefused() {
        let large = [UInt8](repeating: 0, count: (4 << 20) + 1)
        #expect(throws: ResultFrame.EncodeError.tooLarge(bytes: large.count)) { try ResultFrame.encode(large) }
        let header = "reprise-result v1 4194305 " + String(repeating: "a", count: 64)
        #expect(ResultFrame.decode(lines(header)) == .broken(.oversize))
    }

    @Test func cutAtEveryByte() throws {
        let parts = text(try ResultFrame.encode(noise(300)))
        let payload = parts[1].dropFirst(2)
        let frame = lines(parts[0], "1 \(payload.prefix(150))", "2 \(payload.dropFirst(150))", parts[2])
        let log = lines("starting", "1 x") + frame + lines("done")
        for cut in 0...log.count {
            var decoder = FrameDecoder()
            decoder.feed(log[..<cut])
            decoder.feed(log[cut...])
            #expect(decoder.finish() == whole(noise(300)), "cut at \(cut)")
        }
        var decoder = FrameDecoder()
        for byte in log { decoder.feed(CollectionOfOne(byte)) }
        #expect(decoder.finish() == whole(noise(300)))
    }

    @Test func truncatedAtEveryByte() throws {
        let frame = try ResultFrame.encode(result)
        let header = frame.firstIndex(of: 0x0A) ?? 0
        for length in 0..<(frame.count - 1) {
            let outcome = ResultFrame.decode(frame[..<length])
            switch length {
            case ..<15: #expect(outcome == .none, "\(length)")
            case ..<header: #expect(outcome == .broken(.header), "\(length)")
            default:
                if case .broken = outcome { continue }
                Issue.record("truncated to \(length): \(outcome)")
            }
        }
        #expect(ResultFrame.decode(frame.dropLast()) == whole(result), "only the last newline is missing")
    }

    @Test func eachByteChanged() throws {
        let frame = try ResultFrame.encode(result)
        for place in frame.indices {
            for mask: UInt8 in [0x01, 0x20, 0x80, 0xFF] {
                var changed = frame
                changed[place] ^= mask
                let outcome = ResultFrame.decode(changed)
                if case .complete(let bytes, _) = outcome {
                    // Only fields of the gzip header that say nothing about the content: time, flags, system.
                    #expect(bytes == result, "byte \(place) ^ \(mask)")
                }
                if place < 92 { #expect(outcome != whole(result), "the header has no byte to spare: \(place)") }
            }
        }
    }

    @Test func duplicatesAreBroken() throws {
        let frame = try ResultFrame.encode(result)
        #expect(ResultFrame.decode(frame + frame) == .broken(.duplicate))
        #expect(ResultFrame.decode(frame + lines("x") + frame) == .broken(.duplicate))
        let parts = text(frame)
        #expect(ResultFrame.decode(lines(parts[0], parts[0], parts[1], parts[2])) == .broken(.duplicate))
        #expect(ResultFrame.decode(lines(parts[0], parts[1], parts[0])) == .broken(.duplicate))
        #expect(ResultFrame.decode(frame + lines("reprise-end v1")) == .broken(.duplicate))
    }

    @Test func linesAroundAreIgnoredAndBetweenAreNot() throws {
        let frame = try ResultFrame.encode(noise(5000))
        let parts = text(frame)
        #expect(parts.count == 4)
        let long = String(repeating: "x", count: 100_000)
        #expect(ResultFrame.decode(lines(long, "", "1 AAAA") + frame + lines("", long, "2 x")) == whole(noise(5000)))
        #expect(ResultFrame.decode(lines(parts[0], "hello", parts[1], parts[2], parts[3])) == .broken(.numbering))
        #expect(ResultFrame.decode(lines(parts[0], parts[1], "", parts[2], parts[3])) == .broken(.numbering))
        #expect(ResultFrame.decode(lines(parts[0], parts[2], parts[1], parts[3])) == .broken(.numbering))
        #expect(ResultFrame.decode(lines(parts[0], parts[1], parts[1], parts[3])) == .broken(.numbering))
        #expect(ResultFrame.decode(lines(parts[0], parts[2], parts[3])) == .broken(.numbering))
        #expect(ResultFrame.decode(lines(parts[0], "1 " + long)) == .broken(.encoding))
        #expect(ResultFrame.decode(lines(parts[1], parts[2], parts[3])) == .broken(.endWithoutHeader))
        #expect(ResultFrame.decode(lines("reprise-result v2 1 a")) == .broken(.header))
        #expect(ResultFrame.decode(lines("a log", "of a Job")) == .none)
        #expect(ResultFrame.decode([UInt8]()) == .none)
    }

    @Test func otherLineLengthsAreTaken() throws {
        // A shell script's `gzip | base64` cuts at 76 characters, others elsewhere; groups may straddle lines.
        let parts = text(try ResultFrame.encode(result))
        let payload = parts[1].dropFirst(2)
        for width in [1, 2, 3, 5, 76] {
            var frame = parts[0] + "\n"
            var rest = payload
            var number = 1
            while !rest.isEmpty {
                frame += "\(number) \(rest.prefix(width))\n"
                rest = rest.dropFirst(width)
                number += 1
            }
            #expect(ResultFrame.decode(Array((frame + "reprise-end v1\n").utf8)) == whole(result), "\(width)")
        }
    }

    @Test func bombsAndLiesAreBroken() throws {
        let bomb = text(try ResultFrame.encode([UInt8](repeating: 0, count: 4 << 20)))
        let digest = Digest.sha256Hex([0])
        #expect(
            ResultFrame.decode(lines("reprise-result v1 1 \(digest)", bomb[1], bomb[2], "reprise-end v1"))
                == .broken(.oversize))
        let parts = text(try ResultFrame.encode(result))
        let sum = Digest.sha256Hex(result)
        func claim(_ bytes: Int, _ sum: String) -> ResultFrame.Outcome {
            ResultFrame.decode(lines("reprise-result v1 \(bytes) \(sum)", parts[1], parts[2]))
        }
        #expect(claim(result.count, sum) == whole(result))
        #expect(claim(result.count + 1, sum) == .broken(.undersize))
        #expect(claim(result.count - 1, sum) == .broken(.oversize))
        #expect(claim(result.count, digest) == .broken(.digest))
        #expect(claim(result.count, sum.uppercased()) == .broken(.header))
        #expect(ResultFrame.decode(lines(parts[0], "1 AAAA", parts[2])) == .broken(.compression))
        #expect(ResultFrame.decode(lines(parts[0], parts[1], "2 AAAA", parts[2])) != whole(result))
        #expect(ResultFrame.decode(lines(parts[0], parts[2])) == .broken(.compression))
    }

    @Test func digests() {
        #expect(
            Digest.sha256Hex(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            Digest.sha256Hex([UInt8]()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(Digest.sha256("abc".utf8) == Digest.sha256(Array("abc".utf8)[...]))
    }
}

@Suite struct TerminationMessageTests {
    @Test func roundTrip() throws {
        let message = TerminationMessage(code: "0", result: result)
        let bytes = try message.encoded()
        #expect(bytes.count < 200)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"v":1,"code":"0","bytes":\#(result.count),"sha256":"\#(Digest.sha256Hex(result))"}"#)
        #expect(try TerminationMessage(decoding: bytes) == message)
        for length in bytes.indices {
            #expect(throws: JSONError.self) { try TerminationMessage(decoding: Array(bytes[..<length])) }
        }
        #expect(throws: JSONError.self) {
            try TerminationMessage(decoding: Array(#"{"v":2,"code":"0","bytes":0,"sha256":""}"#.utf8))
        }
    }

    @Test func onlyTheResultTheMessageNamesCounts() throws {
        let outcome = ResultFrame.decode(try ResultFrame.encode(result))
        #expect(TerminationMessage(code: "3", result: result).believable(outcome) == result)
        #expect(TerminationMessage(code: "0", result: [1]).believable(outcome) == nil)
        #expect(TerminationMessage(code: "0", result: nil).believable(outcome) == nil)
        var other = TerminationMessage(code: "0", result: result)
        other.bytes += 1
        #expect(other.believable(outcome) == nil)
        #expect(TerminationMessage(code: "0", result: result).believable(.none) == nil)
        #expect(TerminationMessage(code: "0", result: result).believable(.broken(.digest)) == nil)
    }
}
