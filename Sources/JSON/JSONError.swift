// SPDX-License-Identifier: Apache-2.0

/// Why JSON could not be read or written.
///
/// The text names places and types, never values: what is decoded may be secret. Every part is bounded, and control
/// characters are replaced, so the text is safe in a log line or a condition message.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kind of failure.
    package enum Kind: String, Hashable, Sendable {
        /// The bytes are not one JSON document in UTF-8.
        case syntax
        /// The document is larger than ``JSON/Limits/bytes``.
        case tooLarge
        /// Arrays and objects are nested more deeply than ``JSON/Limits/depth``.
        case tooDeep
        /// A required key is absent.
        case missingKey
        /// A required value is null or absent.
        case missingValue
        /// A value has another JSON type than the Swift type needs.
        case wrongType
        /// A value has the right JSON type but its Swift type does not take it (range, enum case, own check).
        case rejected
        /// A NaN or an infinity was to be written.
        case notFinite
        /// An `encode(to:)` used its containers in an order that cannot be written as a stream.
        case misuse
        /// There was no memory.
        case outOfMemory
    }

    /// The kind of failure.
    package let kind: Kind
    /// Where: `spec.replicas`, `items[3].metadata`.
    ///
    /// Empty for the root or when unknown. At most 256 characters.
    package let path: String
    /// What was expected.
    ///
    /// At most 128 characters.
    package let detail: String

    /// Makes an error; the texts are cut to their bounds and cleaned of control characters.
    package init(_ kind: Kind, path: String = "", detail: String = "") {
        self.kind = kind
        self.path = Self.bounded(path, 256)
        self.detail = Self.bounded(detail, 128)
    }

    /// `wrongType at spec.replicas: Int expected`.
    package var description: String {
        var text = "JSON \(kind.rawValue)"
        if !path.isEmpty { text += " at \(path)" }
        if !detail.isEmpty { text += ": \(detail)" }
        return text
    }

    /// The error seen from one level further up.
    func prefixed(_ component: String) -> JSONError {
        let separator = path.isEmpty || path.hasPrefix("[") ? "" : "."
        return JSONError(kind, path: Self.bounded(component, 64) + separator + path, detail: detail)
    }

    /// The error seen from the array element `index` belongs to.
    func prefixed(index: Int) -> JSONError { prefixed("[\(index)]") }

    /// Cuts a text and replaces what could break a log line.
    static func bounded(_ text: String, _ limit: Int) -> String {
        var scalars = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars {
            if count == limit - 1 {
                scalars.append("…")
                break
            }
            let printable = scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value)
            let separator = scalar.value == 0x2028 || scalar.value == 0x2029
            scalars.append(printable && !separator ? scalar : "?")
            count += 1
        }
        return String(scalars)
    }
}
