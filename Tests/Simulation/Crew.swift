// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// Several workers, each in a process of its own: a simulated world keeps to one thread.
struct Crew {
    private let options: Options

    init(_ options: Options) { self.options = options }

    /// - Returns: Whether all held.
    func work() throws -> Bool {
        let began = Date()
        let folder = NSTemporaryDirectory() + "simulate-\(getpid())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var workers: [(pid: pid_t, file: String)] = []
        for number in 0..<options.processes {
            let file = "\(folder)/\(number)"
            let arguments =
                CommandLine.arguments.dropFirst()
                + ["--worker", "\(number)/\(options.processes)", "--meeting", folder]
            workers.append((try Self.spawn(Array(arguments), into: file), file))
        }
        let before = Self.childSeconds()
        var coverage = Coverage()
        var isGood = true
        var ends: [pid_t: Int32] = [:]
        while ends.count < workers.count {
            var status: Int32 = 0
            let pid = waitpid(-1, &status, 0)
            if pid < 0, errno != EINTR { break }
            guard let number = workers.firstIndex(where: { $0.pid == pid }) else { continue }
            ends[pid] = status
            // Nobody waits for one that has died.
            let place = Self.place(number, in: folder)
            if !FileManager.default.fileExists(atPath: place) {
                try "".write(toFile: place, atomically: true, encoding: .utf8)
            }
        }
        for worker in workers {
            let status = ends[worker.pid] ?? 1
            if status & 0x7f != 0 { print("FAILED: a worker died of signal \(status & 0x7f)") }
            if status != 0 { isGood = false }
            for line in try String(contentsOfFile: worker.file, encoding: .utf8).split(separator: "\n")
            where !coverage.take(String(line)) {
                print(line)
            }
        }
        let seconds = Self.childSeconds() - before
        let each = 1_000 * seconds / Double(max(1, coverage.schedules))
        print(
            "\(Int(Date().timeIntervalSince(began))) s with \(options.processes) processes; \(Int(seconds)) s of "
                + "processor time, \(Int(each.rounded())) ms for each schedule")
        return Report(coverage, options).tell() && isGood
    }

    /// Processor time of the children that have ended. A shell that has built the program and became it has children of its
    /// own in it.
    private static func childSeconds() -> Double {
        var usage = rusage()
        getrusage(RUSAGE_CHILDREN.rawValue, &usage)
        return Double(usage.ru_utime.tv_sec) + Double(usage.ru_utime.tv_usec) / 1e6
    }

    /// Where a worker tells the others what it has tried.
    static func place(_ number: Int, in folder: String) -> String { "\(folder)/tried-\(number)" }

    /// By hand and without a thread: this program is built to have one.
    private static func spawn(_ arguments: [String], into file: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        let words = ["simulate"] + arguments
        var pointers = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, "/proc/self/exe", &actions, nil, &pointers, environ)
        guard result == 0 else { throw Refusal(words: "a worker can't be started: error \(result)") }
        return pid
    }
}

/// What a campaign has tried, for people.
struct Report {
    private let coverage: Coverage
    private let options: Options

    init(_ coverage: Coverage, _ options: Options) {
        self.coverage = coverage
        self.options = options
    }

    /// - Returns: Whether enough was tried.
    func tell() -> Bool {
        if options.perCell != nil { for line in coverage.table { print(line) } }
        let moments = coverage.moments.sorted { $0.key < $1.key }
        if options.perCell != nil { for (trouble, count) in moments { print("\(count) times: \(trouble)") } }
        let stories = coverage.stories.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        print("stories: \(stories.joined(separator: ", "))")
        let share = coverage.schedules == 0 ? 0 : 100 * coverage.crowded / coverage.schedules
        print(
            "\(coverage.schedules) schedules in which a fault happened and a run ended (\(coverage.idle) others), "
                + "\(coverage.traces.count) distinct traces, \(coverage.faults) faults, \(share) % with three runs on "
                + "two services, at most \(coverage.slowest) ms from the last fault to the goal")
        guard let times = options.perCell else { return true }
        let missing = coverage.missing(atLeast: times)
        let cells = coverage.reachable.count
        print("\(cells) cells, \(cells - missing.count) tried \(times) times or more")
        for (cell, count) in missing.prefix(20) {
            let asked = coverage.asked[cell] ?? 0
            print("TOO FEW: \(cell.call) at \(cell.step), \(cell.trouble.rawValue): \(count), asked for \(asked) times")
        }
        if share < 30 { print("TOO FEW: schedules with three runs on two services: \(share) %") }
        return missing.isEmpty && share >= 30
    }
}
