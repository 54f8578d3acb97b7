// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import Resources
import Seams
import TestSupport

/// Plays schedules, one after the other.
struct Worker {
    private let options: Options
    private let campaign: Campaign

    init(_ options: Options) throws {
        self.options = options
        campaign = try Self.campaign(options)
    }

    static func campaign(_ options: Options) throws -> Campaign {
        guard let name = options.scenario else { return Campaign(seed: options.seed) }
        guard let scenario = Scenario.named(name) else {
            let known = Scenario.all.map(\.name).joined(separator: ", ")
            throw Refusal(words: "there is no story '\(name)'; there are \(known)")
        }
        return Campaign(seed: options.seed, scenarios: [scenario])
    }

    /// - Returns: Whether all held.
    func work() throws -> Bool {
        let (number, of) = options.worker ?? (0, 1)
        var coverage = Coverage(of: campaign.cells)
        var failed = 0
        for words in campaign.violations where number == 0 {
            failed += 1
            print("FAILED without any fault: \(words)")
        }
        if failed > 0, options.stopAtFirst { return false }
        let pairs = options.pairs ? campaign.pairs() : []
        let end = options.pairs ? pairs.count : options.from + options.schedules
        // When each story was told, it is looked which cells were tried too seldom. When none is, short stories do.
        let isFilling = options.perCell != nil && !options.pairs
        let first = isFilling ? min(campaign.inTurn, end) : end
        func schedule(_ index: Int) -> Schedule {
            if options.pairs { return pairs[index] }
            return isFilling && index >= first ? campaign.shortSchedule(index) : campaign.schedule(index)
        }
        func play(_ numbers: StrideTo<Int>, until isEnough: () -> Bool = { false }) throws -> Bool {
            for index in numbers where !isEnough() {
                let schedule = schedule(index)
                let verdict = schedule.play()
                coverage.add(verdict, of: schedule.scenario)
                guard let words = verdict.violations.first else { continue }
                failed += 1
                print("FAILED \(index): \(words)")
                if options.stopAtFirst { return false }
                if failed <= 20 { try explain(index, schedule, verdict) }
            }
            return true
        }
        guard try play(stride(from: options.from + number, to: first, by: of)) else { return false }
        if let times = options.perCell, isFilling {
            failed += try topUp(&coverage, beside: try meet(coverage), to: times)
            let share = (options.schedules + of - 1) / of
            // Those that came to nothing don't count, so there may be more numbers than that.
            let rest = stride(from: first + number, to: end + options.schedules, by: of)
            guard try play(rest, until: { coverage.schedules >= share }) else { return false }
        }
        if options.worker != nil {
            for line in coverage.lines { print(line) }
            return failed == 0
        }
        return Report(coverage, options).tell() && failed == 0
    }

    /// Tells the other workers what was tried here, and waits for what they have tried.
    private func meet(_ coverage: Coverage) throws -> Coverage {
        var others = Coverage()
        guard let (number, of) = options.worker, let folder = options.meeting else { return others }
        try coverage.lines.joined(separator: "\n").write(
            toFile: Crew.place(number, in: folder), atomically: true, encoding: .utf8)
        for other in 0..<of where other != number {
            let file = Crew.place(other, in: folder)
            while !FileManager.default.fileExists(atPath: file) { usleep(50_000) }
            for line in try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n") {
                _ = others.take(String(line))
            }
        }
        return others
    }

    /// Tells what the schedules are for, without playing them.
    func tellPlan() {
        var (stories, asked): ([String: Int], [Cell: Int]) = ([:], [:])
        let end = options.from + options.schedules
        for index in options.from..<end {
            let script = campaign.schedule(index).script
            stories[script.story, default: 0] += 1
            for case .call(let site, let trouble) in script.faults {
                asked[Cell(site.place, trouble), default: 0] += 1
            }
        }
        for (name, count) in stories.sorted(by: { $0.key < $1.key }) { print("\(count) times: \(name)") }
        let counts = campaign.cells.map { asked[$0] ?? 0 }.sorted()
        let enough = counts.count { $0 >= options.perCell ?? 20 }
        print(
            "\(counts.count) cells, \(enough) asked for \(options.perCell ?? 20) times or more; at least "
                + "\(counts.first ?? 0), half of them \(counts.isEmpty ? 0 : counts[counts.count / 2]) times or more")
    }

    /// Plays more schedules for the cells that were tried too seldom. Each worker takes its share of what each is lacking.
    /// - Parameter others: What the other workers have tried.
    /// - Returns: How many failed.
    private func topUp(_ coverage: inout Coverage, beside others: Coverage, to times: Int) throws -> Int {
        let (number, of) = options.worker ?? (0, 1)
        var all = others
        all.add(coverage)
        var lack: [Cell: Int] = [:]
        for (index, (cell, count)) in all.missing(atLeast: times).enumerated() {
            lack[cell] = (times - count + (index + number) % of) / of
        }
        var (failed, played) = (0, 0)
        var more = campaign.topUp(lack)
        while let schedule = more.next(worker: number) {
            let verdict = schedule.play()
            played += 1
            coverage.add(verdict, of: schedule.scenario)
            more.take(verdict)
            guard let words = verdict.violations.first else { continue }
            failed += 1
            print("FAILED where too little was tried: \(words)")
            if failed <= 5 { try explain(1_000_000 * (1 + number) + played, schedule, verdict) }
        }
        return failed
    }

    /// Makes the script as short as it can be, and says how to see it again.
    private func explain(_ index: Int, _ schedule: Schedule, _ verdict: Verdict) throws {
        var shrinker = Shrinker { script in
            var copy = schedule
            copy.script = script
            return !copy.play().violations.isEmpty
        }
        var script = verdict.script
        script.faults = verdict.taken
        var start = schedule.script
        // What did not happen may still matter, by being looked for: only if it does not, it is left out at once.
        var copy = schedule
        copy.script = script
        if !copy.play().violations.isEmpty { start = script }
        let short = shrinker.shrink(start)
        copy.script = short
        let words = copy.play().violations.first ?? verdict.violations.first ?? ""
        let text = "# \(words)\n\(short)\n"
        for line in text.split(separator: "\n") { print("  | \(line)") }
        let folder = options.keep ?? NSTemporaryDirectory()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let file = "\(folder)/schedule-\(options.seed)-\(index).txt"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        print("  replay with: simulate --replay \(file)")
    }
}

/// Plays one script again.
enum Replay {
    /// - Returns: Whether all held.
    static func play(_ file: String, _ options: Options) throws -> Bool {
        let script = try FaultScript(reading: try String(contentsOfFile: file, encoding: .utf8))
        guard let scenario = Scenario.named(script.story) else {
            throw Refusal(words: "\(file) tells the story '\(script.story)', and there is none of that name")
        }
        let campaign = Campaign(seed: options.seed, scenarios: [scenario])
        guard let schedule = campaign.schedule(of: script) else { return false }
        var kept: Stage?
        var said: [String] = []
        let verdict = schedule.play { stage in
            kept = stage
            guard options.trace else { return }
            stage.world.api.observers.append { change in
                guard change.key.kind == .runs else { return }
                said.append("\(stage.world.scheduler.now) \(change.key) says \(Self.words(of: change.object))")
            }
            stage.world.wire.keepsTrace = options.trace
            stage.world.keepsJournals = options.trace
        }
        if options.trace, let stage = kept {
            var lines = stage.world.wire.trace + said
            for incarnation in stage.world.incarnations {
                lines += incarnation.journal.lines(from: .debug).map { line in
                    let parts = line.split(separator: " ", maxSplits: 1)
                    return "\(parts[0]) [\(incarnation.name)] \(parts.dropFirst().first ?? "")"
                }
            }
            let sorted = lines.enumerated().sorted {
                (moment($0.element), $0.offset) < (moment($1.element), $1.offset)
            }
            for line in sorted { print(line.element) }
            for line in stage.remains { print("remains: \(line)") }
        }
        for fault in verdict.taken { print("happened: \(fault)") }
        for words in verdict.violations { print("FAILED: \(words)") }
        if verdict.violations.isEmpty { print("all held; the goal was reached after \(verdict.duration) ms") }
        print("trace \(verdict.trace)")
        return verdict.violations.isEmpty
    }

    /// What a run says of itself.
    private static func words(of run: JSONValue) -> String {
        let status = run["status"]
        let conditions = (status?.items("conditions") ?? []).map { condition in
            let words = ["type", "status", "reason", "message"].map { condition.text($0) ?? "" }
            return "\(words[0])=\(words[1]) \(words[2]): \(words[3])"
        }
        let steps = (status?.items("restore", "completedSteps") ?? []).compactMap(\.string)
        return "\(status?.text("message") ?? "nothing") [\(steps.joined(separator: " "))] "
            + conditions.joined(separator: "; ")
    }

    private static func moment(_ line: String) -> Int64 { Int64(line.prefix { $0 != " " }) ?? 0 }
}
