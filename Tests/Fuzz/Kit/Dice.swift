// SPDX-License-Identifier: Apache-2.0

/// Numbers that look random and depend on nothing but their seed (SplitMix64).
package struct Dice: RandomNumberGenerator {
    private var state: UInt64

    /// Keyed, so that one more decoder or case does not change what the others get.
    package init(seed: UInt64, key: String, index: Int) {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ seed
        for byte in key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        state = hash &+ UInt64(bitPattern: Int64(index)) &* 0xD134_2543_DE82_EF95
        _ = next()
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// 0 when `bound` is not positive.
    package mutating func below(_ bound: Int) -> Int { bound > 0 ? Int(next() % UInt64(bound)) : 0 }

    /// True once in `times`.
    package mutating func once(in times: Int) -> Bool { below(times) == 0 }

    /// One of the list; `nil` of an empty one.
    package mutating func pick<Element>(_ list: [Element]) -> Element? { list.isEmpty ? nil : list[below(list.count)] }

    /// Mostly small, now and then up to `most`.
    package mutating func size(_ most: Int) -> Int {
        let bound = [4, 16, 64, 1_024, 16_384][[0, 0, 0, 1, 1, 1, 2, 2, 3, 4][below(10)]]
        return 1 + below(min(bound, max(1, most)))
    }
}
