// SPDX-License-Identifier: Apache-2.0

/// What to do about a failure.
package enum Disposition: Hashable, Sendable {
    /// The same again may succeed: back off, at least for this many milliseconds.
    case retry(after: Int64?)
    /// The world is not as it was read: read again and decide again, without blind repetition.
    case conflict
    /// The same again fails the same way.
    case terminal
}
