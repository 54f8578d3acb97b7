// SPDX-License-Identifier: Apache-2.0

package import Seams

/// How long to wait before the next attempt: exponential, with full jitter.
package struct Backoff: Hashable, Sendable {
    /// The bound of the first wait.
    package let base: Milliseconds
    /// The bound of all waits.
    package let cap: Milliseconds

    /// Waits between a millisecond and a day.
    package init(base: Milliseconds, cap: Milliseconds) {
        self.base = min(max(1, base), 86_400_000)
        self.cap = min(max(self.base, cap), 86_400_000)
    }

    /// For a key whose pass failed.
    package static let key = Backoff(base: 500, cap: 60_000)
    /// For a list or watch that failed.
    package static let watch = Backoff(base: 800, cap: 30_000)

    /// The bound of a wait: `base`, doubled with every failure after the first, at most `cap`.
    package func bound(failures: Int) -> Milliseconds {
        var bound = base
        var left = failures
        while left > 1, bound < cap {
            bound = bound > cap / 2 ? cap : bound * 2
            left -= 1
        }
        return bound
    }

    /// A wait after so many failures in a row: any time up to the bound, on top of what the server asked for.
    package func wait(
        failures: Int, atLeast least: Milliseconds? = nil, entropy: any Entropy, for purpose: String
    ) -> Milliseconds {
        let drawn = entropy.below(bound(failures: failures) + 1, for: purpose)
        return max(0, least ?? 0) + drawn
    }
}
