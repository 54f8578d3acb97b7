// SPDX-License-Identifier: Apache-2.0

internal import Digest

/// The result of a Job as it stands in a pod's log.
///
///     reprise-result v1 <bytes of the JSON> <SHA-256 of the JSON, 64 hexadecimal digits>
///     1 <base64 of gzip>
///     2 <base64 of gzip>
///     reprise-end v1
///
/// The lines are numbered from 1 without gaps and follow each other; together their texts are one base64 text, padded
/// at its end only, of one gzip member. Other log lines may stand before and after, not between.
package enum ResultFrame {
    /// The most bytes of JSON in a frame.
    package static let largestResult = 4 << 20
    /// The longest line within a frame, without its newline.
    static let longestLine = 16 << 10
    /// The most compressed bytes: a 4 MiB result that does not compress, and what gzip adds.
    static let largestCompressed = largestResult + (64 << 10)
    /// Compressed bytes in a line that ``encode(_:)`` writes: 4,096 characters of base64.
    static let chunk = 3072

    static let headerWord = "reprise-result "
    static let end = "reprise-end v1"

    /// Why a frame could not be written.
    package enum EncodeError: Error, Hashable, Sendable {
        /// The result has more than ``ResultFrame/largestResult`` bytes.
        case tooLarge(bytes: Int)
        /// zlib had no memory.
        case compression
    }

    /// What a log holds.
    package enum Outcome: Hashable, Sendable {
        /// No frame.
        case none
        /// A frame that cannot be trusted; the Job is to be repeated.
        case broken(Reason)
        /// Exactly one frame, and its digest matches.
        case complete(bytes: [UInt8], sha256: String)
    }

    /// Why a frame cannot be trusted.
    package enum Reason: String, Hashable, Sendable {
        /// A line begins like a header and is not one of this version.
        case header
        /// There is a second frame, or a header within a frame.
        case duplicate
        /// The log ends within the frame.
        case truncated
        /// There is an end without a header: the log's beginning is lost.
        case endWithoutHeader
        /// A line within the frame is not the next numbered one.
        case numbering
        /// A line within the frame is not base64, or is too long.
        case encoding
        /// The gzip data are malformed, incomplete, or followed by something.
        case compression
        /// The result is larger than the header says or than is allowed.
        case oversize
        /// The result is smaller than the header says.
        case undersize
        /// The result's SHA-256 is not the header's.
        case digest
    }

    /// The lines of a frame, each with its newline, ready for standard output.
    ///
    /// - Parameter json: The result; not looked into.
    /// - Returns: ASCII text; the same for the same result and zlib.
    /// - Throws: ``EncodeError``.
    package static func encode(_ json: [UInt8]) throws(EncodeError) -> [UInt8] {
        guard json.count <= largestResult else { throw .tooLarge(bytes: json.count) }
        guard let compressed = Gzip.compress(json) else { throw .compression }
        var text = Array("\(headerWord)v1 \(json.count) \(Digest.sha256Hex(json))\n".utf8)
        text.reserveCapacity(compressed.count / 3 * 4 + compressed.count / 256 + 256)
        var number = 1
        for start in stride(from: 0, to: compressed.count, by: chunk) {
            text += "\(number) ".utf8
            Base64.encode(compressed[start..<min(start + chunk, compressed.count)], into: &text)
            text.append(UInt8(ascii: "\n"))
            number += 1
        }
        text += "\(end)\n".utf8
        return text
    }

    /// Reads a whole log.
    ///
    /// - Parameter log: The log's bytes, any text.
    /// - Returns: What it holds.
    package static func decode(_ log: some Collection<UInt8>) -> Outcome {
        var decoder = FrameDecoder()
        decoder.feed(log)
        return decoder.finish()
    }
}
