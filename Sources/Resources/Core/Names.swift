// SPDX-License-Identifier: Apache-2.0

/// What Kubernetes accepts as a name, byte by byte: only ASCII, so that no look-alike letter gets through.
package enum Names {
    /// The longest name of a StatefulSet whose pods and claims still have names and labels of at most 63 characters:
    /// the controller appends a hyphen and a revision hash of ten characters to it.
    package static let longestService = 52

    /// A DNS-1035 label: lower case letters, digits and `-`, beginning with a letter and not ending with `-`.
    package static func isDNS1035Label(_ text: String, maximum: Int = 63) -> Bool {
        guard let first = text.utf8.first, isLower(first) else { return false }
        return isDNS1123Label(text, maximum: maximum)
    }

    /// A DNS-1123 label: as DNS-1035, but it may begin with a digit.
    package static func isDNS1123Label(_ text: String, maximum: Int = 63) -> Bool {
        isDNS1123Label(text[...].utf8, maximum: maximum)
    }

    private static func isDNS1123Label(_ bytes: Substring.UTF8View, maximum: Int) -> Bool {
        guard let first = bytes.first, let last = bytes.last, bytes.count <= maximum else { return false }
        return isLowerOrDigit(first) && isLowerOrDigit(last)
            && bytes.allSatisfy { isLowerOrDigit($0) || $0 == UInt8(ascii: "-") }
    }

    /// A DNS-1123 subdomain: labels with dots between them, at most 253 characters. The name of most objects.
    package static func isDNS1123Subdomain(_ text: String) -> Bool {
        (1...253).contains(text.utf8.count)
            && text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
                .allSatisfy { isDNS1123Label($0, maximum: 253) }
    }

    /// The key of a label or an annotation: `name` or `prefix/name`.
    package static func isQualifiedName(_ text: String) -> Bool {
        // A prefix of 253, the slash and a name of 63. Splitting a long text takes a hundred times its memory.
        guard text.utf8.count <= 317 else { return false }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        switch parts.count {
        case 1: return isQualifiedPart(parts[0])
        case 2: return isDNS1123Subdomain(String(parts[0])) && isQualifiedPart(parts[1])
        default: return false
        }
    }

    /// The value of a label: empty, or up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
    package static func isLabelValue(_ text: String) -> Bool { text.isEmpty || isQualifiedPart(Substring(text)) }

    /// The name of an environment variable that every shell can read: `[A-Za-z_][A-Za-z0-9_]*`.
    package static func isVariable(_ text: String) -> Bool {
        guard let first = text.utf8.first, !isDigit(first), text.utf8.count <= 128 else { return false }
        return text.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "_") }
    }

    /// A key of a Secret or a ConfigMap. `.` and `..` are folders, and no keys.
    package static func isDataKey(_ text: String) -> Bool {
        (1...253).contains(text.utf8.count) && text != "." && !text.hasPrefix("..")
            && text.utf8.allSatisfy { isLetterOrDigit($0) || "-._".utf8.contains($0) }
    }

    private static func isQualifiedPart(_ text: Substring) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, let last = bytes.last, bytes.count <= 63 else { return false }
        return isLetterOrDigit(first) && isLetterOrDigit(last)
            && bytes.allSatisfy { isLetterOrDigit($0) || "-_.".utf8.contains($0) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isLower(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte) }
    private static func isLowerOrDigit(_ byte: UInt8) -> Bool { isLower(byte) || isDigit(byte) }
    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        isLowerOrDigit(byte) || (0x41...0x5A).contains(byte)
    }
}
