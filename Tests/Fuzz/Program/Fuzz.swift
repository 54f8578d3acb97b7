// SPDX-License-Identifier: Apache-2.0

import Foundation
import FuzzKit
import FuzzMeter

/// Feeds hostile bytes to every decoder of the project, and keeps what breaks one.
@main
struct Fuzz {
    static let usage = """
        usage: fuzz [--seconds N] [--cases N] [--seed N] [--only DECODER] [--no-keep]   mutations, found cases kept
               fuzz --replay        the corpus and everything that was ever found
               fuzz --growth        time and memory against the length of the input
               fuzz --self-test     planted mistakes are found and made small
               fuzz --one DECODER --file FILE
        """

    var values: [String: String] = [:]
    var flags: Set<String> = []

    static func main() async {
        fuzz_line_buffer()
        do {
            let fuzz = try Fuzz(Array(CommandLine.arguments.dropFirst()))
            exit(try await fuzz.run() ? 0 : 1)
        } catch {
            FileHandle.standardError.write(Data("fuzz: \(error)\n\(usage)\n".utf8))
            exit(2)
        }
    }

    struct UsageError: Error { var message: String }

    init(_ arguments: [String]) throws {
        let known: Set = [
            "--seconds", "--cases", "--seed", "--only", "--child", "--from", "--to", "--number", "--one", "--file",
            "--grow",
        ]
        var rest = arguments[...]
        while let name = rest.popFirst() {
            if ["--replay", "--growth", "--self-test", "--no-keep"].contains(name) {
                flags.insert(name)
            } else if known.contains(name), let value = rest.popFirst() {
                values[name] = value
            } else {
                throw UsageError(message: "unknown or without a value: \(name)")
            }
        }
    }

    private func number(_ name: String, _ usual: Double) throws -> Double {
        guard let text = values[name] else { return usual }
        guard let number = Double(text), number >= 0 else { throw UsageError(message: "\(name) needs a number") }
        return number
    }

    private func decoder(_ name: String) throws -> FuzzDecoder {
        guard let found = (FuzzDecoder.all + FuzzDecoder.planted).first(where: { $0.name == name }) else {
            throw UsageError(message: "no decoder \(name): \(FuzzDecoder.all.map(\.name).joined(separator: " "))")
        }
        return found
    }

    /// - Returns: whether nothing is wrong.
    func run() async throws -> Bool {
        let seed = UInt64(values["--seed"] ?? "1") ?? 1
        if let name = values["--child"] {
            let range = Int(try number("--from", 0))..<Int(try number("--to", 0))
            let deadline = Date().addingTimeInterval(try number("--seconds", 1e6))
            await Child(try decoder(name)).run(
                seed: seed, range, until: deadline, numberAt: values["--number"] ?? "/dev/null")
            return true
        }
        if let name = values["--grow"] {
            await Child(try decoder(name)).grow()
            return true
        }
        if let name = values["--one"] {
            guard let input = values["--file"].flatMap(Corpus.read) else {
                throw UsageError(message: "--file can't be read")
            }
            let fault = await Child(try decoder(name)).judge(input)
            if let fault { print("FAULT 0 \(fault.kind.rawValue) \(fault.text)") }
            return fault == nil
        }
        let parent = try Parent()
        defer { parent.cleanUp() }
        let session = Session(parent: parent, seed: seed, keeps: !flags.contains("--no-keep"))
        let decoders = try values["--only"].map { [try decoder($0)] } ?? FuzzDecoder.all
        if flags.contains("--self-test") { return try await SelfTest(parent: parent).run() }
        if flags.contains("--growth") { return try await session.grow(decoders) }
        if flags.contains("--replay") { return try await session.replay(decoders) }
        let cases = values["--cases"] == nil && values["--seconds"] == nil ? 2_000 : Int(try number("--cases", 1e9))
        return try await session.mutate(decoders, cases: cases, seconds: try number("--seconds", 1e6))
    }
}
