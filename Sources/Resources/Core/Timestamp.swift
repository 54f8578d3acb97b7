// SPDX-License-Identifier: Apache-2.0

/// A moment on the wall clock, in whole microseconds since 1970-01-01T00:00:00Z.
///
/// The controller compares, stores and prints moments; it never does calendar arithmetic. So this is a plain integer:
/// exact (a `Double` of seconds is not), ordered, hashable, and free of locale and time zone data.
///
/// Text form: RFC 3339 in UTC; without a fraction when the microseconds are zero (`metav1.Time`), with six digits
/// otherwise (`metav1.MicroTime`). Reading accepts any offset and one to nine fraction digits (the rest is cut).
package struct Timestamp: Hashable, Comparable, Sendable {
    /// Microseconds since the epoch; negative before 1970.
    package var microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }

    /// A moment given in whole seconds since the epoch.
    package init(seconds: Int64) { self.microseconds = seconds * 1_000_000 }

    /// Reads RFC 3339 text. `nil` when it is no complete date and time with a zone, or names a day or an hour that
    /// does not exist (`24:00`, February 30th), or lies outside of the years 1 to 9999 in UTC. A leap second (`:60`) is
    /// refused: the moment has no number here.
    package init?(rfc3339 text: String) {
        var text = text
        guard let moment = text.withUTF8({ Self.moment(DigitScanner($0)) }) else { return nil }
        self = moment
    }

    private static func moment(_ scanner: DigitScanner) -> Timestamp? {
        var scanner = scanner
        guard let year = scanner.number(digits: 4), scanner.skip("-"),
            let month = scanner.number(digits: 2), scanner.skip("-"),
            let day = scanner.number(digits: 2), scanner.skip("T") || scanner.skip("t"),
            let hour = scanner.number(digits: 2), scanner.skip(":"),
            let minute = scanner.number(digits: 2), scanner.skip(":"),
            let second = scanner.number(digits: 2)
        else { return nil }
        var fraction: Int64 = 0
        if scanner.skip(".") {
            guard let micros = scanner.fraction() else { return nil }
            fraction = micros
        }
        guard let offset = scanner.zoneOffset(), scanner.isAtEnd else { return nil }
        guard year >= 1, (1...12).contains(month), (1...Self.days(in: month, of: year)).contains(day),
            hour < 24, minute < 60, second < 60
        else { return nil }
        let days = Self.daysSinceEpoch(year: year, month: month, day: day)
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset
        // The offset may lead out of the years that text has room for: what is written must be readable again.
        guard (firstSecond...lastSecond).contains(seconds) else { return nil }
        return Timestamp(microseconds: seconds * 1_000_000 + fraction)
    }

    /// 0001-01-01T00:00:00Z.
    private static let firstSecond: Int64 = -62_135_596_800
    /// 9999-12-31T23:59:59Z.
    private static let lastSecond: Int64 = 253_402_300_799

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }

    /// The moment this many seconds later (earlier when negative).
    package func adding(seconds: Int64) -> Timestamp { Timestamp(microseconds: microseconds + seconds * 1_000_000) }

    /// The same moment without its fraction, as `metav1.Time` keeps it.
    package var wholeSecond: Timestamp {
        let micros = microseconds % 1_000_000
        return Timestamp(microseconds: microseconds - (micros < 0 ? micros + 1_000_000 : micros))
    }

    /// Whole seconds from `earlier` to this moment.
    package func seconds(since earlier: Timestamp) -> Int64 { (microseconds - earlier.microseconds) / 1_000_000 }

    /// RFC 3339 text in UTC.
    package var rfc3339: String {
        let whole = wholeSecond.microseconds / 1_000_000
        let micros = microseconds - whole * 1_000_000
        let dayNumber = whole >= 0 ? whole / 86_400 : (whole - 86_399) / 86_400
        let inDay = whole - dayNumber * 86_400
        let date = Self.civil(dayNumber)
        let clock = "\(pad(inDay / 3_600)):\(pad(inDay / 60 % 60)):\(pad(inDay % 60))"
        let fraction = micros == 0 ? "" : ".\(pad(micros, to: 6))"
        return "\(pad(date.year, to: 4))-\(pad(date.month))-\(pad(date.day))T\(clock)\(fraction)Z"
    }

    /// RFC 3339 text in UTC, always with six fraction digits (`metav1.MicroTime`).
    package var rfc3339Micro: String {
        let text = rfc3339
        return microseconds % 1_000_000 == 0 ? "\(text.dropLast()).000000Z" : text
    }

    // Howard Hinnant's civil calendar algorithms (public domain): exact for the proleptic Gregorian calendar.
    private static func daysSinceEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    private static func civil(_ dayNumber: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = dayNumber + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
    }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

extension Timestamp: CustomStringConvertible {
    package var description: String { rfc3339 }
}

extension Timestamp: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let moment = Timestamp(rfc3339: text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an RFC 3339 date and time")
        }
        self = moment
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rfc3339)
    }
}

private func pad(_ number: Int64, to width: Int = 2) -> String {
    let digits = String(number)
    return digits.count >= width ? digits : String(repeating: "0", count: width - digits.count) + digits
}

/// Reads fixed-width ASCII digits; anything else ends the reading.
private struct DigitScanner {
    private var rest: UnsafeBufferPointer<UInt8>.SubSequence

    init(_ text: UnsafeBufferPointer<UInt8>) { rest = text[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard let first = rest.first, UInt32(first) == character.value else { return false }
        rest = rest.dropFirst()
        return true
    }

    mutating func number(digits: Int) -> Int64? {
        var value: Int64 = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    /// Fraction digits as microseconds; `nil` for none or more than nine.
    mutating func fraction() -> Int64? {
        var value: Int64 = 0
        var count = 0
        while let next = digit() {
            count += 1
            if count <= 6 { value = value * 10 + next }
        }
        guard (1...9).contains(count) else { return nil }
        for _ in 0..<max(0, 6 - count) { value *= 10 }
        return value
    }

    /// Seconds east of UTC: `Z`, `z` or `±hh:mm`.
    mutating func zoneOffset() -> Int64? {
        if skip("Z") || skip("z") { return 0 }
        let sign: Int64
        if skip("+") { sign = 1 } else if skip("-") { sign = -1 } else { return nil }
        guard let hours = number(digits: 2), skip(":"), let minutes = number(digits: 2), hours < 24, minutes < 60
        else { return nil }
        return sign * (hours * 3_600 + minutes * 60)
    }

    private mutating func digit() -> Int64? {
        guard let first = rest.first, first >= 0x30, first <= 0x39 else { return nil }
        rest = rest.dropFirst()
        return Int64(first - 0x30)
    }
}
