// SPDX-License-Identifier: Apache-2.0

extension Tape {
    /// The text with `e0` behind every integer outside 64 bits, so that simdjson reads it as a double instead of
    /// refusing the document.
    ///
    /// Nil when there is no such integer.
    ///
    /// Needed because Go's encoder, and so the API server, writes the double 1e20 as `100000000000000000000`.
    /// Only tried after simdjson complained about a number, and the result is parsed again: a wrong guess in malformed
    /// text does no harm.
    static func wideIntegersAsDoubles(_ bytes: Span<UInt8>) -> [UInt8]? {
        var result: [UInt8] = []
        var copied = 0
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                index = endOfString(bytes, from: index)
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                let end = endOfNumber(bytes, from: index)
                if isWideInteger(bytes, index..<end) {
                    for position in copied..<end { result.append(bytes[position]) }
                    result += [UInt8(ascii: "e"), UInt8(ascii: "0")]
                    copied = end
                }
                index = end
            default:
                index += 1
            }
        }
        guard copied > 0 else { return nil }
        for position in copied..<bytes.count { result.append(bytes[position]) }
        return result
    }

    private static func endOfString(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var index = start + 1
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\"") { return index + 1 }
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return bytes.count
    }

    private static func endOfNumber(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var index = start + 1
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"),
                UInt8(ascii: "+"), UInt8(ascii: "-"):
                index += 1
            default:
                return index
            }
        }
        return index
    }

    /// Whether the range is a minus and digits only, and beyond Int64 or UInt64.
    private static func isWideInteger(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        let negative = bytes[range.lowerBound] == UInt8(ascii: "-")
        let largest = negative ? UInt64(Int64.max) + 1 : UInt64.max
        var value: UInt64 = 0
        var wide = false
        for index in (range.lowerBound + (negative ? 1 : 0))..<range.upperBound {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[index]) else { return false }
            guard !wide else { continue }
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(UInt64(bytes[index] & 0x0F))
            wide = overflow || carry || sum > largest
            value = sum
        }
        return wide
    }
}
