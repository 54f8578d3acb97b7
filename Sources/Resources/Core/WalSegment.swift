// SPDX-License-Identifier: Apache-2.0

/// The name of one WAL segment of 16 MiB, PostgreSQL's default: 24 upper-case hexadecimal digits.
package struct WalSegment: Hashable, Sendable {
    package static let size: UInt64 = 16 << 20

    package var name: String
    package var timeline: Int64
    /// The first LSN in it.
    package var start: UInt64

    /// - Returns: `nil` for text that is no such name, or names a segment beyond those that 16 MiB leave room for.
    package init?(_ name: String) {
        guard name.utf8.count == 24, let timeline = Int64(name.prefix(8), radix: 16),
            let high = UInt64(name.dropFirst(8).prefix(8), radix: 16), let low = UInt64(name.suffix(8), radix: 16),
            low < 0x1_0000_0000 / Self.size
        else { return nil }
        self.name = name
        self.timeline = timeline
        self.start = high << 32 | low * Self.size
    }

    package func contains(_ lsn: UInt64) -> Bool { lsn >= start && lsn - start < Self.size }
}
