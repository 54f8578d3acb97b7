// SPDX-License-Identifier: Apache-2.0

internal import Digest
package import JSON

/// What a Job's container leaves in `/dev/termination-log`: how it ended, and which result its log must hold.
///
/// The kubelet cuts the message at 4,096 bytes; this is below 200. A message that was cut does not decode.
package struct TerminationMessage: Codable, Hashable, Sendable {
    /// The most bytes the kubelet keeps.
    package static let largest = 4096

    /// The version of the message and the frame: 1.
    package var v: Int
    /// `OK`, or the reason why the Job did not do its work.
    package var code: String
    /// The bytes of the result's JSON; 0 when there is none.
    package var bytes: Int
    /// The SHA-256 of the result's JSON, in lower-case hexadecimal digits; empty when there is none.
    package var sha256: String

    /// A message.
    package init(code: String, bytes: Int, sha256: String) {
        v = 1
        self.code = code
        self.bytes = bytes
        self.sha256 = sha256
    }

    /// The message that goes with a result; nil when there is none.
    package init(code: String, result: [UInt8]?) {
        self.init(code: code, bytes: result?.count ?? 0, sha256: result.map { Digest.sha256Hex($0) } ?? "")
    }

    /// Reads a message.
    ///
    /// - Throws: ``JSONError`` when it is cut, malformed or of another version.
    package init(decoding text: [UInt8]) throws(JSONError) {
        self = try JSON.decode(from: text, limits: JSON.Limits(bytes: Self.largest, depth: 4))
        guard v == 1 else { throw JSONError(.rejected, path: "v", detail: "version 1 expected") }
    }

    /// The message as JSON.
    ///
    /// - Throws: ``JSONError``; never for this type.
    package func encoded() throws(JSONError) -> [UInt8] { try JSON.encode(self) }

    /// The result, if it counts: the log holds exactly one whole frame, and it is the one this message tells of.
    ///
    /// Frame and message come from the same pod by different ways, and a pod may be replaced between reading the one
    /// and the other; only when both name the same bytes has this very run written the result to its end.
    ///
    /// - Parameter outcome: What the log holds.
    /// - Returns: The result's JSON, or nil when the Job is to be repeated.
    package func believable(_ outcome: ResultFrame.Outcome) -> [UInt8]? {
        guard v == 1, case .complete(let result, let digest) = outcome, result.count == bytes, digest == sha256 else {
            return nil
        }
        return result
    }
}
