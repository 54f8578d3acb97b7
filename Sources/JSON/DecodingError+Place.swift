// SPDX-License-Identifier: Apache-2.0

/// An array's index as a coding key; named as Foundation names it.
struct IndexKey: CodingKey {
    let index: Int
    var stringValue: String { "Index \(index)" }
    var intValue: Int? { index }
    init(_ index: Int) { self.index = index }
    init?(stringValue: String) { nil }
    init?(intValue: Int) { index = intValue }
}

/// Any text as a coding key.
struct NameKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }
}

extension DecodingError {
    /// The error with a key in front of its path; errors of other types become the cause of a `dataCorrupted`.
    ///
    /// The decoders know no path, which makes them quick; an error collects it on its way up.
    @inline(never)
    static func placed(_ error: any Error, at key: any CodingKey) -> any Error {
        func prefixed(_ context: Context) -> Context {
            Context(
                codingPath: [key] + context.codingPath, debugDescription: context.debugDescription,
                underlyingError: context.underlyingError)
        }
        switch error {
        case DecodingError.keyNotFound(let missing, let context): return keyNotFound(missing, prefixed(context))
        case DecodingError.valueNotFound(let type, let context): return valueNotFound(type, prefixed(context))
        case DecodingError.typeMismatch(let type, let context): return typeMismatch(type, prefixed(context))
        case DecodingError.dataCorrupted(let context): return dataCorrupted(prefixed(context))
        default:
            return dataCorrupted(Context(codingPath: [key], debugDescription: "refused", underlyingError: error))
        }
    }
}
