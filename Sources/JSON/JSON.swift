// SPDX-License-Identifier: Apache-2.0

/// JSON for Codable types: simdjson's parser behind an own `Decoder`, and an own `Encoder` that writes bytes.
///
/// One behaviour, no strategies: dates, quantities and the like are string types of their own. What is accepted is
/// RFC 8259 in UTF-8 without a byte order mark. Where RFC 8259 leaves a choice, or Foundation's `JSONDecoder` differs:
///
/// - Duplicate keys: the first wins.
/// - An integer outside 64 bits is read as a double (Go's encoder writes `1e20` as 21 digits), and therefore refused by
///   integer types. A number outside the range of a double (`1e400`) makes the whole document malformed, used or not.
/// - A number written with a fraction or exponent decodes into an integer type when it is whole and below 2^53
///   (`1.0`, `1e3`), as in Foundation. Above that Foundation tries further, this does not.
/// - All text is checked when parsing, UTF-8 and escapes of values nobody reads included.
/// - The `codingPath` of decoders and containers is empty; an error collects its path on the way up.
/// - `Date`, `Data`, `URL` and `Decimal` get no special treatment.
package enum JSON {
    /// What is checked before and while parsing.
    package struct Limits: Hashable, Sendable {
        /// The largest document, in bytes.
        ///
        /// At most 2 GiB, whatever is asked for.
        package let bytes: Int
        /// The most levels of arrays and objects; at most 1024, as an untyped value is built by recursion.
        package let depth: Int

        /// 64 MiB and 128 levels.
        ///
        /// Kubernetes objects have about 15 levels and 1.5 MiB; a list page has many objects.
        package static let standard = Limits(bytes: 64 << 20, depth: 128)

        /// Makes limits; numbers out of range count as the nearest in it.
        package init(bytes: Int, depth: Int) {
            self.bytes = max(0, bytes)
            self.depth = min(max(1, depth), 1024)
        }
    }

    /// Decodes one document.
    ///
    /// - Parameters:
    ///   - type: The type to decode.
    ///   - bytes: UTF-8 text; copied once.
    ///   - limits: Size and depth.
    /// - Returns: The value.
    /// - Throws: ``JSONError``, with the path of the offending value.
    package static func decode<Value: Decodable>(
        _ type: Value.Type = Value.self, from bytes: [UInt8], limits: Limits = .standard
    ) throws(JSONError) -> Value {
        try decode(type, from: bytes.span, limits: limits)
    }

    /// Decodes one document held in a part of an array.
    ///
    /// - Parameters:
    ///   - type: The type to decode.
    ///   - bytes: UTF-8 text; copied once.
    ///   - limits: Size and depth.
    /// - Returns: The value.
    /// - Throws: ``JSONError``.
    package static func decode<Value: Decodable>(
        _ type: Value.Type = Value.self, from bytes: ArraySlice<UInt8>, limits: Limits = .standard
    ) throws(JSONError) -> Value {
        try decode(type, from: bytes.span, limits: limits)
    }

    /// Decodes one document from any contiguous memory.
    ///
    /// - Parameters:
    ///   - type: The type to decode.
    ///   - bytes: UTF-8 text; copied once.
    ///   - limits: Size and depth.
    /// - Returns: The value.
    /// - Throws: ``JSONError``.
    package static func decode<Value: Decodable>(
        _ type: Value.Type = Value.self, from bytes: Span<UInt8>, limits: Limits = .standard
    ) throws(JSONError) -> Value {
        let tape = try Tape(parsing: bytes, limits: limits)
        do { return try tape.decode(Value.self, at: Tape.root) } catch { throw JSONError(decoding: error) }
    }

    /// Encodes one value.
    ///
    /// Keys stand in the order of encoding, dictionaries' keys sorted by their bytes, so equal values give equal bytes.
    /// (A dictionary with keys that are not strings or integers is written as an array in hash order: do not use one.)
    /// A key that an `encode(to:)` writes twice stands there twice.
    ///
    /// - Parameters:
    ///   - value: The value.
    ///   - sortedKeys: Sort all objects' keys by their bytes.
    /// - Returns: JSON text in UTF-8 without white space.
    /// - Throws: ``JSONError``: a number that is not finite, or containers used out of order.
    package static func encode<Value: Encodable>(
        _ value: Value, sortedKeys: Bool = false
    ) throws(JSONError) -> [UInt8] {
        let writer = JSONWriter(sortsKeys: sortedKeys)
        do { try writer.encode(value) } catch let error as JSONError { throw error } catch {
            throw JSONError(.rejected, detail: "\(Swift.type(of: error)) from encode(to:)")
        }
        if let failure = writer.failure { throw failure }
        if writer.count == 0 { throw JSONError(.misuse, detail: "\(Value.self) encoded nothing") }
        return writer.finish()
    }
}
