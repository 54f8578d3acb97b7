// SPDX-License-Identifier: Apache-2.0

/// A position in PostgreSQL's write-ahead log. As text it is `X/X`: two hexadecimal numbers, the upper and the lower
/// 32 bits.
package struct LSN: Hashable, Comparable, Sendable {
    package var value: UInt64

    package init(_ value: UInt64) { self.value = value }

    /// - Returns: `nil` unless the text is one to eight hexadecimal digits, a slash, and as many again.
    package init?(_ text: String) {
        // Looked at first: splitting a long text takes a hundred times its memory.
        guard text.utf8.count <= 17 else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let upper = Self.half(parts[0]), let lower = Self.half(parts[1]) else { return nil }
        value = UInt64(upper) << 32 | UInt64(lower)
    }

    package static func < (left: LSN, right: LSN) -> Bool { left.value < right.value }

    private static func half(_ text: Substring) -> UInt32? {
        // `UInt32(_:radix:)` would also take a sign.
        guard (1...8).contains(text.utf8.count), text.first != "+", text.first != "-" else { return nil }
        return UInt32(text, radix: 16)
    }
}

extension LSN: CustomStringConvertible {
    /// As PostgreSQL prints it: `16/B374D848`.
    package var description: String {
        let upper = String(value >> 32, radix: 16, uppercase: true)
        return "\(upper)/\(String(value & 0xFFFF_FFFF, radix: 16, uppercase: true))"
    }
}
