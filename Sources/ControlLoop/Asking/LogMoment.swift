// SPDX-License-Identifier: Apache-2.0

import Resources

/// When a line was logged, as exactly as nodes say it: RFC 3339 with up to nine digits of a fraction.
struct LogMoment: Hashable, Comparable, Sendable {
    /// Since 1970-01-01T00:00:00Z.
    var seconds: Int64
    /// 0 to 999,999,999.
    var nanoseconds: Int64

    static func < (left: LogMoment, right: LogMoment) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    /// To the microsecond.
    var timestamp: Timestamp { Timestamp(microseconds: seconds * 1_000_000 + nanoseconds / 1_000) }

    /// As text, in UTC, with all nine digits.
    var rfc3339: String {
        let digits = String(nanoseconds)
        let fraction = String(repeating: "0", count: max(0, 9 - digits.count)) + digits
        return "\(Timestamp(seconds: seconds).rfc3339.dropLast()).\(fraction)Z"
    }
}

/// Reads the moments that lines begin with. Those of neighbours share their second, whose number is kept.
struct LogMomentReader: Sendable {
    /// Length of `2026-01-31T23:59:59`.
    private static let wholeLength = 19
    /// The longest: nine digits and `+hh:mm`.
    static let maximumLength = 35

    private var whole: [UInt8] = []
    private var zone: [UInt8] = []
    private var seconds: Int64 = 0

    /// - Returns: `nil` when the bytes are no moment.
    mutating func read(_ bytes: ArraySlice<UInt8>) -> LogMoment? {
        guard bytes.count > Self.wholeLength, bytes.count <= Self.maximumLength else { return nil }
        let date = bytes.prefix(Self.wholeLength)
        var rest = bytes.dropFirst(Self.wholeLength)
        var nanoseconds: Int64 = 0
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            var digits = 0
            while let byte = rest.first, byte >= 0x30, byte <= 0x39 {
                nanoseconds = nanoseconds * 10 + Int64(byte - 0x30)
                digits += 1
                rest = rest.dropFirst()
            }
            guard (1...9).contains(digits) else { return nil }
            for _ in digits..<9 { nanoseconds *= 10 }
        }
        if !whole.elementsEqual(date) || !zone.elementsEqual(rest) {
            guard let moment = Timestamp(rfc3339: String(decoding: date + rest, as: UTF8.self)) else { return nil }
            (whole, zone) = (Array(date), Array(rest))
            seconds = moment.microseconds / 1_000_000
        }
        return LogMoment(seconds: seconds, nanoseconds: nanoseconds)
    }
}
