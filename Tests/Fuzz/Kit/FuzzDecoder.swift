// SPDX-License-Identifier: Apache-2.0

/// How inputs are built, so that mutations go deeper than the first byte.
package enum Shape: Sendable {
    /// A short text, or bytes of any kind.
    case text
    case json
    /// Lines that mean something each.
    case lines
    case xml
}

/// The most memory that decoding may take at its peak: `base + factor * input`.
package struct Allowance: Sendable {
    package var base: Int
    package var factor: Int

    package init(base: Int = 1 << 20, factor: Int = 16) {
        self.base = base
        self.factor = factor
    }

    /// In bytes, for an input of so many.
    package func bytes(for input: Int) -> Int { base + factor * input }
}

/// Inputs that get longer in one direction: what a decoder costs must grow with them, and no faster.
package struct Growth: Sendable {
    package var name: String
    /// An input of about this many bytes.
    package var make: @Sendable (Int) -> [UInt8]

    package init(_ name: String, _ make: @escaping @Sendable (Int) -> [UInt8]) {
        self.name = name
        self.make = make
    }

    /// `head`, then `unit` again and again, then `tail`. A `#` in the unit becomes the number of the repetition, in
    /// eight hexadecimal digits.
    package init(_ head: String, _ unit: String, _ tail: String = "") {
        self.init("\(head.suffix(24))(\(unit.prefix(48)))*") { bytes in
            var result = Array(head.utf8)
            var number = 0
            let isNumbered = unit.contains("#")
            while result.count + tail.utf8.count < bytes {
                let digits = String(number, radix: 16, uppercase: true)
                let name = String(repeating: "0", count: max(0, 8 - digits.count)) + digits
                result += (isNumbered ? unit.replacing("#", with: name) : unit).utf8
                number += 1
            }
            return result + Array(tail.utf8)
        }
    }

    /// `open` as often as `close`.
    package static func nested(_ open: String, _ close: String) -> Growth {
        Growth("\(open)...\(close)") { bytes in
            let times = bytes / max(1, open.utf8.count + close.utf8.count)
            return Array((String(repeating: open, count: times) + String(repeating: close, count: times)).utf8)
        }
    }
}

/// One piece of the project that takes bytes from outside.
package struct FuzzDecoder: Sendable {
    /// Also the name of its folder below `Corpus`.
    package var name: String
    package var shape: Shape
    /// Words worth putting in.
    package var tokens: [String]
    package var allowance: Allowance
    package var growth: [Growth]
    /// Inputs beside those of the corpus.
    package var samples: [[UInt8]] = []
    /// What production does with the bytes: measured, and must end.
    package var decode: @Sendable ([UInt8]) async -> Void
    /// What is wrong with what came out; `nil` when nothing is.
    package var check: (@Sendable ([UInt8]) async -> String?)?
    /// The last step of making an input: wraps what was mutated (compression, framing).
    package var wrap: (@Sendable ([UInt8], inout Dice) -> [UInt8])?

    package init(
        _ name: String, _ shape: Shape, tokens: [String] = [], allowance: Allowance = Allowance(),
        growth: [Growth] = [],
        wrap: (@Sendable ([UInt8], inout Dice) -> [UInt8])? = nil, check: (@Sendable ([UInt8]) async -> String?)? = nil,
        decode: @escaping @Sendable ([UInt8]) async -> Void
    ) {
        self.name = name
        self.shape = shape
        self.tokens = tokens
        self.allowance = allowance
        self.growth = growth
        self.wrap = wrap
        self.check = check
        self.decode = decode
    }

    /// All of them.
    package static var all: [FuzzDecoder] {
        json + kube + texts + archives + results + decisions
    }
}

/// The text of some bytes, as production takes it: what is no UTF-8 becomes the replacement character.
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
