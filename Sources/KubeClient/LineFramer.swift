// SPDX-License-Identifier: Apache-2.0

/// Cuts a stream of bytes into lines, wherever the pieces that arrive are cut.
struct LineFramer {
    /// A line is longer than the limit. What arrived of it is gone, and so is the framer's use.
    struct LineTooLong: Error, Equatable {
        var limit: Int
    }

    private let limit: Int
    private var buffer: [UInt8] = []
    /// Where the unfinished part begins.
    private var start = 0
    /// Up to here there is no line end.
    private var scanned = 0

    init(limit: Int) { self.limit = limit }

    /// Whether a line has begun and not ended.
    var isInsideLine: Bool { start < buffer.count }

    mutating func append(_ bytes: [UInt8]) {
        if start > 0 {
            buffer.removeSubrange(..<start)
            scanned -= start
            start = 0
        }
        buffer += bytes
    }

    /// The next line that is not empty, without its end; `nil` when more bytes are needed.
    mutating func next() throws(LineTooLong) -> [UInt8]? {
        while let end = buffer[scanned...].firstIndex(of: 0x0A) {
            let line = start..<end
            start = end + 1
            scanned = start
            if line.count > limit { throw LineTooLong(limit: limit) }
            if !line.isEmpty { return Array(buffer[line]) }
        }
        scanned = buffer.count
        if scanned - start > limit {
            buffer = []
            (start, scanned) = (0, 0)
            throw LineTooLong(limit: limit)
        }
        return nil
    }
}
