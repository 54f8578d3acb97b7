// SPDX-License-Identifier: Apache-2.0

/// What a campaign has tried, as numbers that can be added up over processes.
package struct Coverage: Sendable {
    package private(set) var schedules = 0
    /// Without a run that ended, or without a fault that happened: they count for nothing.
    package private(set) var idle = 0
    /// With three runs or more, on two services or more.
    package private(set) var crowded = 0
    package private(set) var faults = 0
    package private(set) var traces: Set<UInt64> = []
    package private(set) var cells: [Cell: Int] = [:]
    /// How often each cell was asked for, whether or not it came about.
    package private(set) var asked: [Cell: Int] = [:]
    /// Every cell that a story can come to.
    package private(set) var reachable: Set<Cell> = []
    package private(set) var moments: [String: Int] = [:]
    package private(set) var stories: [String: Int] = [:]
    /// The longest way from the last fault to the goal, in milliseconds.
    package private(set) var slowest: Int64 = 0

    /// - Parameter reachable: Every cell that a story can come to.
    package init(of reachable: [Cell] = []) { self.reachable = Set(reachable) }

    package mutating func add(_ verdict: Verdict, of scenario: Scenario) {
        for fault in verdict.taken {
            faults += 1
            switch fault {
            case .call(let site, let trouble):
                cells[Cell(site.place, trouble), default: 0] += 1
            case .world(_, let trouble): moments[trouble.rawValue, default: 0] += 1
            case .event(_, let event): moments["\(event)", default: 0] += 1
            }
        }
        for case .call(let site, let trouble) in verdict.script.faults {
            asked[Cell(site.place, trouble), default: 0] += 1
        }
        guard !verdict.taken.isEmpty, verdict.ended > 0 else {
            idle += 1
            return
        }
        schedules += 1
        stories[scenario.name, default: 0] += 1
        if verdict.ended >= 3, scenario.targets >= 2 { crowded += 1 }
        traces.insert(verdict.trace)
        slowest = max(slowest, verdict.recovery)
    }

    package mutating func add(_ other: Coverage) {
        schedules += other.schedules
        idle += other.idle
        crowded += other.crowded
        faults += other.faults
        traces.formUnion(other.traces)
        cells.merge(other.cells, uniquingKeysWith: +)
        asked.merge(other.asked, uniquingKeysWith: +)
        reachable.formUnion(other.reachable)
        moments.merge(other.moments, uniquingKeysWith: +)
        stories.merge(other.stories, uniquingKeysWith: +)
        slowest = max(slowest, other.slowest)
    }

    // MARK: Between processes

    /// One line each, for another process to read.
    package var lines: [String] {
        var lines = ["counts \(schedules) \(idle) \(crowded) \(faults) \(slowest)"]
        lines += traces.sorted().map { "trace \($0)" }
        for (word, counts) in [("cell", cells), ("asked", asked)] {
            lines += counts.sorted { $0.key < $1.key }.map { cell, count in
                "\(word) \(count) \(cell.call.verb) \(cell.call.what) \(cell.step) \(cell.trouble.rawValue)"
            }
        }
        lines += reachable.sorted().map { cell in
            "reachable 0 \(cell.call.verb) \(cell.call.what) \(cell.step) \(cell.trouble.rawValue)"
        }
        lines += moments.sorted { $0.key < $1.key }.map { "moment \($0.value) \($0.key)" }
        lines += stories.sorted { $0.key < $1.key }.map { "story \($0.value) \($0.key)" }
        return lines
    }

    /// Takes in a line of another process.
    /// - Returns: Whether it was one.
    package mutating func take(_ line: String) -> Bool {
        let parts = line.split(separator: " ", maxSplits: 5).map(String.init)
        switch parts.first {
        case "counts" where parts.count == 6:
            let numbers = parts.dropFirst().compactMap { Int($0) }
            guard numbers.count == 5 else { return false }
            schedules += numbers[0]
            idle += numbers[1]
            crowded += numbers[2]
            faults += numbers[3]
            slowest = max(slowest, Int64(numbers[4]))
        case "trace" where parts.count == 2: if let trace = UInt64(parts[1]) { traces.insert(trace) }
        case "cell" where parts.count == 6, "asked" where parts.count == 6, "reachable" where parts.count == 6:
            guard let count = Int(parts[1]), let trouble = CallTrouble(rawValue: parts[5]) else { return false }
            let cell = Cell(call: CallName(parts[2], parts[3]), step: parts[4], trouble: trouble)
            switch parts[0] {
            case "cell": cells[cell, default: 0] += count
            case "asked": asked[cell, default: 0] += count
            default: reachable.insert(cell)
            }
        case "moment", "story":
            let rest = line.split(separator: " ", maxSplits: 2).map(String.init)
            guard rest.count == 3, let count = Int(rest[1]) else { return false }
            if parts[0] == "story" {
                stories[rest[2], default: 0] += count
            } else {
                moments[rest[2], default: 0] += count
            }
        default: return false
        }
        return true
    }

    // MARK: For people

    /// Cells that were tried less often than that.
    package func missing(atLeast times: Int) -> [(cell: Cell, count: Int)] {
        reachable.sorted().map { (cell: $0, count: cells[$0] ?? 0) }.filter { $0.count < times }
    }

    /// The table of what was tried: a line for each call and step, a column for each trouble.
    package var table: [String] {
        let troubles = CallTrouble.families
        var rows: [String: [CallTrouble: Int]] = [:]
        for (cell, count) in cells {
            rows["\(cell.call) at \(cell.step)", default: [:]][cell.trouble, default: 0] += count
        }
        let width = rows.keys.map(\.count).max() ?? 0
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        var lines = [padded("", width) + troubles.map { " " + padded($0.short, 5) }.joined()]
        for (name, counts) in rows.sorted(by: { $0.key < $1.key }) {
            let numbers = troubles.map { trouble in " " + padded(counts[trouble].map(String.init) ?? "", 5) }
            lines.append(padded(name, width) + numbers.joined())
        }
        return lines
    }
}

extension CallTrouble {
    /// The head of its column.
    package var short: String {
        switch self {
        case .diesBefore: "die<"
        case .diesCommitted: "die="
        case .diesAnswered: "die>"
        case .unreachable: "lost<"
        case .timesOutCommitted: "lost="
        case .late: "late"
        case .throttled: "429"
        case .internalError: "5xx"
        default: rawValue
        }
    }
}
