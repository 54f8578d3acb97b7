// SPDX-License-Identifier: Apache-2.0

package import Reconciler
import Resources

/// How far a log has been read: to the latest time of all lines, and how many lines of that time were seen.
struct LogPosition: Hashable, Sendable {
    var moment: LogMoment
    var count: Int
}

/// From the bytes of one connection to bounded facts: cuts them into lines, passes over lines that an earlier
/// connection has seen, and counts what matches. Pure; of the text, nothing is kept but the line that has not ended.
///
/// The server begins at the second, or at the nanosecond, of the position; several lines may share one time. So lines
/// before it, and as many of its own time as were seen, are passed over. The first line beyond them ends that: what
/// follows is new, whatever its time (two streams of one container may be a little out of order).
package struct LineReading: Sendable {
    /// So many bytes of a line are looked at, its time included; the rest of it is passed over.
    static let lineLimit = 8_192

    /// What the lines gave away so far.
    package private(set) var facts: LineFacts
    private(set) var position: LogPosition?
    /// A line was read that had not been seen before.
    private(set) var hasNews = false
    private var matcher: LineMatcher
    private var moments = LogMomentReader()
    /// What was seen before; `nil` once the reading has got beyond it.
    private var seen: LogPosition?
    /// How many lines of that time have come again.
    private var repeated = 0
    /// The beginning of the line that has not ended.
    private var unfinished: [UInt8] = []

    /// A reading of a log from its beginning.
    package init(following patterns: [LinePattern]) { self.init(patterns) }

    /// - Parameters:
    ///   - facts: What earlier connections gave away.
    ///   - position: How far those got.
    init(_ patterns: [LinePattern], facts: LineFacts = LineFacts(), after position: LogPosition? = nil) {
        self.facts = facts
        self.position = position
        seen = position
        matcher = LineMatcher(patterns)
    }

    /// Takes the next bytes.
    /// - Returns: Whether a line matched, so that the facts have changed.
    package mutating func take(_ bytes: [UInt8]) -> Bool {
        var isChanged = false
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            if unfinished.isEmpty {
                if read(bytes[start..<min(end, start + Self.lineLimit)]) { isChanged = true }
            } else {
                keep(bytes[start..<end])
                if finish() { isChanged = true }
            }
            start = end + 1
        }
        keep(bytes[start...])
        return isChanged
    }

    /// There will be no more: takes the line that has not ended for a whole one.
    /// - Returns: Whether it matched.
    package mutating func finish() -> Bool {
        let line = unfinished
        unfinished.removeAll(keepingCapacity: line.count < 1_024)
        return !line.isEmpty && read(line[...])
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>) {
        unfinished += bytes.prefix(max(0, Self.lineLimit - unfinished.count))
    }

    /// A line without a time is not the container's: the node writes such, when it can't read a log.
    private mutating func read(_ line: ArraySlice<UInt8>) -> Bool {
        guard let blank = line.prefix(LogMomentReader.maximumLength + 1).firstIndex(of: 0x20),
            let moment = moments.read(line[..<blank])
        else { return false }
        if let seen {
            if moment < seen.moment { return false }
            if moment == seen.moment, repeated < seen.count {
                repeated += 1
                return false
            }
            self.seen = nil
        }
        hasNews = true
        switch position {
        case .some(let now) where moment < now.moment: break
        case .some(let now) where moment == now.moment: position?.count += 1
        default: position = LogPosition(moment: moment, count: 1)
        }
        guard matcher.read(line[(blank + 1)...], into: &facts) else { return false }
        facts.lastAt = moment.timestamp
        return true
    }
}
