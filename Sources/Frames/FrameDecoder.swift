// SPDX-License-Identifier: Apache-2.0

internal import Digest

/// Finds the result in a log that comes in pieces.
///
/// Holds one line and the result decompressed so far, never the log: at most 16 KiB and 4 MiB, whatever is fed. What
/// comes out does not depend on how the log is cut.
package struct FrameDecoder: ~Copyable {
    private enum State {
        case searching
        case inside(Frame)
        case done(bytes: [UInt8], sha256: String)
        case broken(ResultFrame.Reason)
    }

    /// A frame whose header has been read.
    private struct Frame {
        let bytes: Int
        let sha256: String
        let inflater: Inflater
        var number = 1
        var base64 = Base64.Decoder()
        var compressed = 0
    }

    private var state = State.searching
    private var line: [UInt8] = []
    /// The line has become too long to be one of a frame; its rest is dropped.
    private var isLong = false

    /// A decoder at the beginning of a log.
    package init() {}

    /// Takes the next piece of the log.
    package mutating func feed(_ bytes: some Collection<UInt8>) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let newline = rest.firstIndex(of: UInt8(ascii: "\n")) else { return append(rest) }
            append(rest[..<newline])
            endLine()
            rest = rest[rest.index(after: newline)...]
        }
    }

    /// Ends the log and tells what it held.
    ///
    /// A last line without a newline counts as a line.
    package consuming func finish() -> ResultFrame.Outcome {
        if !line.isEmpty { endLine() }
        switch state {
        case .searching: return .none
        case .inside: return .broken(.truncated)
        case .done(let bytes, let sha256): return .complete(bytes: bytes, sha256: sha256)
        case .broken(let reason): return .broken(reason)
        }
    }

    private mutating func append(_ piece: some Collection<UInt8>) {
        let room = ResultFrame.longestLine - line.count
        line += piece.prefix(room)
        isLong = isLong || piece.count > room
    }

    private mutating func endLine() {
        defer {
            line.removeAll(keepingCapacity: true)
            isLong = false
        }
        switch state {
        case .broken: break
        case .inside(let frame):
            // The state lets go of the frame, so that its parts are changed in place.
            state = .searching
            state = next(frame)
        case .searching:
            if line.starts(with: ResultFrame.headerWord.utf8) {
                state = header()
            } else if isEnd {
                state = .broken(.endWithoutHeader)
            }
        case .done:
            if line.starts(with: ResultFrame.headerWord.utf8) || isEnd { state = .broken(.duplicate) }
        }
    }

    private var isEnd: Bool { !isLong && line.elementsEqual(ResultFrame.end.utf8) }

    /// `reprise-result v1 <bytes> <sha256>`.
    private func header() -> State {
        let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard !isLong, parts.count == 4, parts[1].elementsEqual("v1".utf8), let bytes = Self.number(parts[2]),
            parts[3].count == 64, parts[3].allSatisfy(Self.isHexadecimal)
        else { return .broken(.header) }
        guard bytes <= ResultFrame.largestResult else { return .broken(.oversize) }
        let digest = String(decoding: parts[3], as: UTF8.self)
        return .inside(Frame(bytes: bytes, sha256: digest, inflater: Inflater(expecting: bytes)))
    }

    /// A line within the frame.
    private func next(_ frame: Frame) -> State {
        if isEnd { return end(frame) }
        if line.starts(with: ResultFrame.headerWord.utf8) { return .broken(.duplicate) }
        guard !isLong else { return .broken(.encoding) }
        var frame = frame
        guard let space = line.firstIndex(of: UInt8(ascii: " ")), Self.number(line[..<space]) == frame.number else {
            return .broken(.numbering)
        }
        frame.number += 1
        var piece: [UInt8] = []
        let text = line[(space + 1)...]
        guard !text.isEmpty, frame.base64.decode(text, into: &piece) else { return .broken(.encoding) }
        frame.compressed += piece.count
        guard frame.compressed <= ResultFrame.largestCompressed else { return .broken(.oversize) }
        do { try frame.inflater.feed(piece) } catch {
            return .broken(error == .oversize ? .oversize : .compression)
        }
        return .inside(frame)
    }

    private func end(_ frame: Frame) -> State {
        guard frame.base64.isComplete else { return .broken(.encoding) }
        guard frame.inflater.isFinished else { return .broken(.compression) }
        let output = frame.inflater.output
        guard output.count == frame.bytes else { return .broken(.undersize) }
        guard Digest.sha256Hex(output) == frame.sha256 else { return .broken(.digest) }
        return .done(bytes: output, sha256: frame.sha256)
    }

    /// A decimal number without sign or leading zeros, of at most nine digits.
    private static func number(_ text: ArraySlice<UInt8>) -> Int? {
        guard (1...9).contains(text.count), text.count == 1 || text.first != UInt8(ascii: "0"),
            text.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        return text.reduce(0) { $0 * 10 + Int($1 & 0x0F) }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
