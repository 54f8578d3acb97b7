// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Resources
import Seams
import Synchronization

/// Writes loop events as JSON lines to standard error, and counts them by name for /metrics.
final class LogJournal: Journal {
    private let isVerbose: Bool
    private let counts = Mutex<[String: Int]>([:])
    private let output = FileHandle.standardError

    init(isVerbose: Bool) { self.isVerbose = isVerbose }

    func note(_ event: LoopEvent) {
        counts.withLock { $0["\(event.level.rawValue)/\(event.message)", default: 0] += 1 }
        guard isVerbose || event.level != .debug else { return }
        var line: [String: String] = event.fields
        // The event's own name is the line's message; what a field of that name says must not be lost.
        line["detail"] = line["message"]
        line["time"] = Self.now.rfc3339Micro
        line["level"] = event.level.rawValue
        line["message"] = event.message
        guard var bytes = try? JSON.encode(line, sortedKeys: true) else { return }
        bytes.append(0x0A)
        // One write per line: lines of several threads do not mix.
        try? output.write(contentsOf: Data(bytes))
    }

    /// How often each event happened, by level and name, in a fixed order.
    var totals: [(level: String, message: String, count: Int)] {
        counts.withLock { $0 }.sorted { $0.key < $1.key }.map { key, count in
            let parts = key.split(separator: "/", maxSplits: 1)
            return (String(parts.first ?? ""), String(parts.last ?? ""), count)
        }
    }

    private static var now: Timestamp {
        Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
    }
}
