// SPDX-License-Identifier: Apache-2.0

import Foundation
import FuzzKit

/// A fault with the input that shows it.
struct Found {
    var decoder: String
    var fault: Fault
    var input: [UInt8]
}

/// The part that stays alive: starts children, finds out which input one died of, and makes it small.
struct Parent {
    let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/fuzz-\(ProcessInfo.processInfo.processIdentifier)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    func cleanUp() { try? FileManager.default.removeItem(atPath: folder) }

    /// How a child ended.
    struct Ending {
        var lines: [Substring]
        /// The signal, for one that died.
        var signal: Int32?
        /// The exit status, for one that ended by itself.
        var status: Int32
        var complaint: String

        var fault: Fault? {
            guard let signal else {
                // Whoever finds something says so; what ends a child otherwise (a sanitizer) is a finding too.
                if status == 0 || lines.contains(where: { $0.hasPrefix("FAULT ") }) { return nil }
                return Fault(kind: .trap, text: complaint.isEmpty ? "ended with \(status)" : complaint)
            }
            if signal == SIGALRM || signal == SIGPROF {
                return Fault(kind: .hang, text: "no end after \(Child.patience) s")
            }
            if complaint.contains("memory limit") {
                return Fault(kind: .memory, text: "more than \(Child.memoryLimit >> 30) GiB")
            }
            return Fault(kind: .trap, text: complaint.isEmpty ? "signal \(signal)" : complaint)
        }
    }

    func child(_ arguments: [String]) throws -> Ending {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = arguments
        // Printing where it was takes seconds, and needs the symbols.
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let hasDied = process.terminationReason == .uncaughtSignal
        let said = complaint.split(separator: "\n").first { $0.contains("rror") || $0.contains("limit") } ?? ""
        return Ending(
            lines: text.split(separator: "\n"), signal: hasDied ? process.terminationStatus : nil,
            status: hasDied ? 0 : process.terminationStatus,
            complaint: String(said.prefix(300)))
    }

    /// Runs some inputs of a decoder.
    /// - Returns: how many were run, and what was found; a decoder that fails again and again is left early.
    func run(
        _ decoder: FuzzDecoder, seed: UInt64, _ range: Range<Int>, seconds: Double
    ) async throws -> (cases: Int, found: [Found]) {
        let mutation = Mutation(decoder, corpus: Corpus.inputs(of: decoder))
        let number = "\(folder)/\(decoder.name)-number"
        let deadline = Date().addingTimeInterval(seconds)
        var (start, found) = (range.lowerBound, [Found]())
        while start < range.upperBound, Date() < deadline, found.count < 6 {
            let left = max(0.1, deadline.timeIntervalSinceNow)
            let ending = try child([
                "--child", decoder.name, "--seed", String(seed), "--from", String(start), "--to",
                String(range.upperBound),
                "--seconds", String(left), "--number", number,
            ])
            for line in ending.lines {
                guard let (index, fault) = Self.fault(line) else { continue }
                found.append(
                    Found(decoder: decoder.name, fault: fault, input: mutation.input(seed: seed, index: index)))
            }
            let reached = Corpus.read(number).map { $0.reversed().reduce(0) { $0 << 8 | Int($1) } } ?? start
            guard let fault = ending.fault else {
                return (max(0, reached - range.lowerBound), found)
            }
            found.append(Found(decoder: decoder.name, fault: fault, input: mutation.input(seed: seed, index: reached)))
            start = reached + 1
        }
        return (start - range.lowerBound, found)
    }

    /// `FAULT <index> <kind> <text>`.
    static func fault(_ line: Substring) -> (Int, Fault)? {
        let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
        guard words.count == 4, words[0] == "FAULT", let index = Int(words[1]),
            let kind = Fault.Kind(rawValue: String(words[2]))
        else { return nil }
        return (index, Fault(kind: kind, text: String(words[3])))
    }

    /// What one input does, in a child of its own.
    func judge(_ decoder: String, _ input: [UInt8]) throws -> Fault? {
        let path = "\(folder)/\(decoder)-\(UInt64.random(in: 0 ... .max))"
        try Data(input).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let ending = try child(["--one", decoder, "--file", path])
        return ending.fault ?? ending.lines.compactMap { Self.fault($0)?.1 }.first
    }

    /// The same fault by a smaller input.
    func minimised(_ found: Found) async -> Found {
        // A hang costs its whole patience each time.
        let budget = found.fault.kind == .hang ? 12 : 1_500
        let input = await FuzzKit.minimised(found.input, budget: budget) { input in
            let fault = (try? judge(found.decoder, input)) ?? nil
            return fault?.kind == found.fault.kind && Self.gist(fault) == Self.gist(found.fault)
        }
        return Found(decoder: found.decoder, fault: (try? judge(found.decoder, input)) ?? found.fault, input: input)
    }

    /// What makes two faults the same one.
    static func gist(_ fault: Fault?) -> String {
        guard let fault, fault.kind != .memory, fault.kind != .growth else { return "" }
        return String(fault.text.filter { !$0.isNumber }.prefix(60))
    }
}
