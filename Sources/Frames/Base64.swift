// SPDX-License-Identifier: Apache-2.0

/// Base64 of RFC 4648, with padding, without line breaks.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Appends the text of some bytes.
    static func encode(_ bytes: ArraySlice<UInt8>, into text: inout [UInt8]) {
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let count = min(3, bytes.endIndex - index)
            let one = UInt32(bytes[index]) << 16
            let two = count > 1 ? UInt32(bytes[index + 1]) << 8 : 0
            let group = one | two | (count > 2 ? UInt32(bytes[index + 2]) : 0)
            for place in 0..<4 {
                text.append(place <= count ? alphabet[Int(group >> (18 - 6 * UInt32(place))) & 63] : UInt8(ascii: "="))
            }
            index += count
        }
    }

    /// The six bits of a character, or nil.
    static func bits(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }

    /// Decodes text that comes in pieces.
    ///
    /// Strict: no white space, padding at the end only, unused bits zero.
    struct Decoder {
        private var group: UInt32 = 0
        private var characters = 0
        private var padding = 0

        /// Whether the text so far ends with a whole group.
        var isComplete: Bool { characters == 0 }

        /// Appends what a piece of text stands for; false if it is not base64.
        mutating func decode(_ text: ArraySlice<UInt8>, into bytes: inout [UInt8]) -> Bool {
            for byte in text {
                if byte == UInt8(ascii: "=") {
                    padding += 1
                    guard characters >= 2, padding <= 2 else { return false }
                    group <<= 6
                } else {
                    guard padding == 0, let bits = Base64.bits(byte) else { return false }
                    group = group << 6 | bits
                }
                characters += 1
                if characters == 4, !flush(into: &bytes) { return false }
            }
            return true
        }

        private mutating func flush(into bytes: inout [UInt8]) -> Bool {
            let unused: UInt32 = padding == 2 ? 0xFFFF : padding == 1 ? 0xFF : 0
            guard group & unused == 0 else { return false }
            for place in 0..<(3 - padding) {
                bytes.append(UInt8(truncatingIfNeeded: group >> (16 - 8 * UInt32(place))))
            }
            // `padding` stays, so that nothing is taken behind it.
            group = 0
            characters = 0
            return true
        }
    }
}
