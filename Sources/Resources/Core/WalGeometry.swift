// SPDX-License-Identifier: Apache-2.0

/// How a cluster cuts its write-ahead log into segments: names, numbers and positions follow from their size.
///
/// A segment's name is its timeline and its number: `%08X%08X%08X` of timeline, `number / n` and `number % n`, where `n`
/// is how many segments 4 GiB of log take (256 with PostgreSQL's default of 16 MiB).
package struct WalGeometry: Hashable, Sendable {
    /// In bytes: a power of two from 1 MiB to 1 GiB, as `initdb --wal-segsize` takes it.
    package let segmentSize: UInt64

    /// PostgreSQL's default, 16 MiB.
    package static let usual = WalGeometry(unchecked: 16 << 20)

    private init(unchecked size: UInt64) { segmentSize = size }

    /// - Returns: `nil` for a size that PostgreSQL does not have.
    package init?(segmentSize: UInt64) {
        guard segmentSize >= 1 << 20, segmentSize <= 1 << 30, segmentSize & (segmentSize - 1) == 0 else { return nil }
        self.segmentSize = segmentSize
    }

    /// The size that puts `lsn` into the segment of that name; `nil` when none does.
    ///
    /// Several sizes may fit (any does for the log's first bytes): the usual one is preferred, then the smaller one.
    package init?(placing lsn: LSN, in name: String) {
        let sizes = [UInt64(16)] + [1, 2, 4, 8, 32, 64, 128, 256, 512, 1_024]
        for size in sizes {
            guard let geometry = WalGeometry(segmentSize: size << 20), let segment = geometry.segment(named: name)
            else { continue }
            if geometry.number(containing: lsn) == segment.number {
                self = geometry
                return
            }
        }
        return nil
    }

    package struct Segment: Hashable, Sendable {
        package var timeline: Int64
        /// Counted from the log's beginning.
        package var number: UInt64

        package init(timeline: Int64, number: UInt64) {
            self.timeline = timeline
            self.number = number
        }
    }

    private var perLog: UInt64 { 0x1_0000_0000 / segmentSize }

    /// - Returns: `nil` for text that is no name of a segment of this size.
    package func segment(named name: String) -> Segment? {
        let bytes = name.utf8
        guard bytes.count == 24,
            bytes.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x46).contains($0) }),
            let timeline = Int64(name.prefix(8), radix: 16),
            let high = UInt64(name.dropFirst(8).prefix(8), radix: 16), let low = UInt64(name.suffix(8), radix: 16),
            low < perLog
        else { return nil }
        return Segment(timeline: timeline, number: high * perLog + low)
    }

    package func name(_ segment: Segment) -> String {
        func hex(_ value: UInt64) -> String {
            let digits = String(value & 0xFFFF_FFFF, radix: 16, uppercase: true)
            return String(repeating: "0", count: 8 - digits.count) + digits
        }
        return hex(UInt64(clamping: segment.timeline)) + hex(segment.number / perLog) + hex(segment.number % perLog)
    }

    package func number(containing lsn: LSN) -> UInt64 { lsn.value / segmentSize }

    /// The first position in a segment.
    package func start(ofSegment number: UInt64) -> LSN { LSN(number &* segmentSize) }
}
