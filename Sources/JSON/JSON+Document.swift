// SPDX-License-Identifier: Apache-2.0

extension JSON {
    /// A document that was parsed once and may be decoded more than once: a little of it to find out whether the rest is
    /// wanted.
    package struct Document {
        private let tape: Tape

        /// Parses a document.
        ///
        /// - Parameters:
        ///   - bytes: UTF-8 text; copied once.
        ///   - limits: Size and depth.
        /// - Throws: ``JSONError``.
        package init(parsing bytes: [UInt8], limits: Limits = .standard) throws(JSONError) {
            tape = try Tape(parsing: bytes.span, limits: limits)
        }

        /// Decodes all of it.
        ///
        /// - Parameter type: The type to decode.
        /// - Returns: The value.
        /// - Throws: ``JSONError``, with the path of the offending value.
        package func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws(JSONError) -> Value {
            do { return try tape.decode(Value.self, at: Tape.root) } catch { throw JSONError(decoding: error) }
        }
    }
}
