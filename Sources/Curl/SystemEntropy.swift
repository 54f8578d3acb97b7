// SPDX-License-Identifier: Apache-2.0

internal import Seams

/// The system's own random numbers (getrandom); purposes make no difference.
package struct SystemEntropy: Entropy {
    package init() {}

    package func below(_ bound: Int64, for purpose: String) -> Int64 {
        guard bound > 0 else { return 0 }
        return Int64.random(in: 0..<bound)
    }

    package func secret(bytes: Int, for purpose: String) -> [UInt8] {
        var system = SystemRandomNumberGenerator()
        var secret: [UInt8] = []
        secret.reserveCapacity(max(0, bytes))
        while secret.count < bytes {
            let word: UInt64 = system.next()
            for shift in stride(from: UInt64(0), to: 64, by: 8) where secret.count < bytes {
                secret.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return secret
    }
}
