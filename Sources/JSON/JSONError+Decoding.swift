// SPDX-License-Identifier: Apache-2.0

extension JSONError {
    /// The places and types of an error thrown by a decoder or by an `init(from:)`; not its texts, which can quote
    /// values (the one for an unknown enum case does).
    init(decoding error: any Error) {
        switch error {
        case let error as JSONError:
            self = error
        case DecodingError.keyNotFound(let key, let context):
            self.init(.missingKey, path: Self.path(context.codingPath + [key]))
        case DecodingError.valueNotFound(let type, let context):
            self.init(.missingValue, path: Self.path(context.codingPath), detail: "\(type) expected")
        case DecodingError.typeMismatch(let type, let context):
            self.init(.wrongType, path: Self.path(context.codingPath), detail: "\(type) expected")
        case DecodingError.dataCorrupted(let context):
            let cause = context.underlyingError.map { " (\(Swift.type(of: $0)))" } ?? ""
            self.init(.rejected, path: Self.path(context.codingPath), detail: "value not accepted\(cause)")
        default:
            self.init(.rejected, detail: "value not accepted (\(Swift.type(of: error)))")
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        var path = ""
        for key in keys.prefix(32) {
            if let index = key.intValue, key.stringValue.hasPrefix("Index") {
                path += "[\(index)]"
            } else {
                path += (path.isEmpty ? "" : ".") + bounded(key.stringValue, 64)
            }
        }
        return path
    }
}
