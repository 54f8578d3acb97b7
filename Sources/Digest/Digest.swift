// SPDX-License-Identifier: Apache-2.0

internal import CCrypto

/// SHA-256, by OpenSSL.
///
/// Pure functions that cannot fail. From other modules the name `Digest` means this type, not the module.
package enum Digest {
    /// The 32 bytes of the SHA-256 of some bytes.
    package static func sha256(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        let result = bytes.withContiguousStorageIfAvailable { sha256(buffer: $0) }
        return result ?? Array(bytes).withUnsafeBufferPointer { sha256(buffer: $0) }
    }

    /// The SHA-256 of some bytes as 64 lower-case hexadecimal digits.
    package static func sha256Hex(_ bytes: some Sequence<UInt8>) -> String {
        hex(sha256(bytes))
    }

    /// Bytes as lower-case hexadecimal digits, two for each.
    package static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 0x0F)]] }
        return String(decoding: text, as: UTF8.self)
    }

    private static func sha256(buffer: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 32) { digest, count in
            reprise_sha256(buffer.baseAddress, buffer.count, digest.baseAddress)
            count = 32
        }
    }
}
