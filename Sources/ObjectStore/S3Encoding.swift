// SPDX-License-Identifier: Apache-2.0

/// How S3 wants text in a URL: everything but unreserved characters as upper-case `%XX`.
package enum S3Encoding {
    /// For one query key or value.
    package static func component(_ text: String) -> String { encode(text, keepingSlash: false) }

    /// For a key in the path, where slashes stay.
    package static func path(_ text: String) -> String { encode(text, keepingSlash: true) }

    /// Query keys and values as one canonical query: encoded, sorted by encoded key, each key with its `=`.
    package static func query(_ fields: [(String, String)]) -> String {
        fields.map { (component($0.0), component($0.1)) }.sorted { ($0.0, $0.1) < ($1.0, $1.1) }
            .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    /// Text as a listing with `encoding-type=url` gives it, where a blank may also be a `+`.
    /// - Returns: `nil` when it is not encoded so, or is no UTF-8.
    package static func decoded(_ text: String) -> String? {
        guard text.utf8.contains(where: { $0 == 0x25 || $0 == 0x2B }) else { return text }
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case 0x2B: bytes.append(0x20)
            case 0x25:
                guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    private static func encode(_ text: String, keepingSlash: Bool) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: encoded.append(byte)
            case 0x2F where keepingSlash: encoded.append(byte)
            default: encoded += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}
