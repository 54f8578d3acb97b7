// SPDX-License-Identifier: Apache-2.0

/// Kubernetes quantities (`20Gi`, `1.5G`, `2e9`, `500m`) as whole numbers. Exact: no floating point anywhere.
package enum Quantity {
    /// The longest text that is read. Kubernetes' own canonical form is far shorter.
    package static let maximumLength = 64

    /// The value of a quantity in whole units (bytes, for a size), rounded up.
    /// - Returns: `nil` when the text is no quantity (`10GB`, `1e400Gi`, empty), or when its value does not fit into an
    ///   `Int64`. Negative quantities have negative values: whoever wants a size says so.
    package static func bytes(_ text: String) -> Int64? {
        guard text.utf8.count <= maximumLength, let parts = Parts(text) else { return nil }
        return parts.roundedUp()
    }

    /// Whether the text has the form of a quantity, of whatever size.
    package static func isValid(_ text: String) -> Bool {
        text.utf8.count <= maximumLength && Parts(text) != nil
    }
}

/// `digits` × 10^`exponent` × 1024^`binary`.
private struct Parts {
    var isNegative = false
    /// Decimal digits, most significant first, without leading zeros: empty for zero.
    var digits: [UInt8] = []
    var exponent = 0
    var binary = 0

    init?(_ text: String) {
        var rest = Substring(text).utf8
        if let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
            isNegative = sign == UInt8(ascii: "-")
            rest = rest.dropFirst()
        }
        var count = Self.takeDigits(&rest, into: &digits)
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            let fraction = Self.takeDigits(&rest, into: &digits)
            exponent -= fraction
            count += fraction
        }
        guard count > 0, takeSuffix(Substring(rest)) else { return nil }
        digits = Array(digits.drop { $0 == 0 })
    }

    private static func takeDigits(_ rest: inout Substring.UTF8View, into digits: inout [UInt8]) -> Int {
        var count = 0
        while let next = rest.first, (0x30...0x39).contains(next) {
            digits.append(next - 0x30)
            count += 1
            rest = rest.dropFirst()
        }
        return count
    }

    private mutating func takeSuffix(_ suffix: Substring) -> Bool {
        // Swift's strings are equal by meaning: the Kelvin sign is a `K` to them, and to nobody else.
        guard suffix.utf8.allSatisfy({ $0 < 0x80 }) else { return false }
        switch suffix {
        case "n": exponent -= 9
        case "u": exponent -= 6
        case "m": exponent -= 3
        case "": break
        case "k": exponent += 3
        case "M": exponent += 6
        case "G": exponent += 9
        case "T": exponent += 12
        case "P": exponent += 15
        case "E": exponent += 18
        case "Ki": binary = 1
        case "Mi": binary = 2
        case "Gi": binary = 3
        case "Ti": binary = 4
        case "Pi": binary = 5
        case "Ei": binary = 6
        default: return takeExponent(suffix)
        }
        return true
    }

    /// `e9`, `E-3`. More than four digits are no exponent that anybody means.
    private mutating func takeExponent(_ suffix: Substring) -> Bool {
        guard let first = suffix.first, first == "e" || first == "E" else { return false }
        let number = suffix.dropFirst()
        let unsigned = number.first == "+" || number.first == "-" ? number.dropFirst() : number
        guard (1...4).contains(unsigned.utf8.count), unsigned.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let value = Int(unsigned)
        else { return false }
        exponent += number.first == "-" ? -value : value
        return true
    }

    func roundedUp() -> Int64? {
        var whole = digits
        for _ in 0..<binary { Self.multiplyBy1024(&whole) }
        var hasRemainder = false
        if exponent < 0 {
            let cut = min(-exponent, whole.count)
            hasRemainder = whole.suffix(cut).contains { $0 != 0 }
            whole.removeLast(cut)
        } else if !whole.isEmpty {
            guard whole.count + exponent <= 19 else { return nil }
            whole += [UInt8](repeating: 0, count: exponent)
        }
        // Towards the sign, so that Int64.min itself is reached; up means towards zero for a negative number.
        var value: Int64 = 0
        for digit in whole {
            let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let next = product.addingReportingOverflow(isNegative ? -Int64(digit) : Int64(digit))
            if tooLarge || next.overflow { return nil }
            value = next.partialValue
        }
        guard hasRemainder, !isNegative else { return value }
        return value == .max ? nil : value + 1
    }

    private static func multiplyBy1024(_ digits: inout [UInt8]) {
        var carry = 0
        for index in digits.indices.reversed() {
            let value = Int(digits[index]) * 1_024 + carry
            digits[index] = UInt8(value % 10)
            carry = value / 10
        }
        while carry > 0 {
            digits.insert(UInt8(carry % 10), at: 0)
            carry /= 10
        }
    }
}
