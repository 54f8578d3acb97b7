// SPDX-License-Identifier: Apache-2.0

import Curl
import Foundation
import JSON
import Seams
import TestSupport

/// Sends generated sequences of requests to a real API server and to the model, and compares what they answer.
///
/// `hack/test-conformance.sh` brings the real one up. docs/model.md says what is compared and what is known to differ.
@main
struct Conformance {
    static let usage = """
        usage: conformance --kubeconfig FILE [--sequences N] [--seed N] [--jobs N] [--only N] [--planted]
          --only N    one sequence, with all that was sent and answered
          --planted   then plants faults in the model, one after the other, and fails when one goes unnoticed
        """

    var kubeconfig = ""
    var sequences = 2_000
    var seed: UInt64 = 1
    var jobs = 24
    var only: Int?
    var isPlanting = false

    static func main() async {
        do {
            let isGood = try await Conformance(CommandLine.arguments.dropFirst()).run()
            exit(isGood ? 0 : 1)
        } catch {
            print("conformance: \(error)")
            exit(2)
        }
    }

    private init(_ arguments: ArraySlice<String>) throws {
        var rest = arguments
        func number<Value: LosslessStringConvertible>() throws -> Value {
            guard let value = rest.popFirst().flatMap({ Value($0) }) else { throw Failure(Self.usage) }
            return value
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "--kubeconfig": kubeconfig = try number()
            case "--sequences": sequences = try number()
            case "--seed": seed = try number()
            case "--jobs": jobs = try number()
            case "--only": only = try number() as Int
            case "--planted": isPlanting = true
            default: throw Failure(Self.usage)
            }
        }
        if kubeconfig.isEmpty { throw Failure(Self.usage) }
    }

    private func run() async throws -> Bool {
        let began = ContinuousClock.now
        let numbers = only.map { $0...$0 } ?? 1...sequences
        // Names of namespaces are never used twice: without a controller-manager they can't be deleted.
        let run = "c\(String(getpid(), radix: 36))-\(String(Int(Date().timeIntervalSince1970) % 1_000_000, radix: 36))"
        let plan = numbers.map { Grammar.sequence(seed: seed, number: $0, run: run) }
        let loop = try EventLoop()
        let real = try RealServer(kubeconfig: kubeconfig, loop: loop, time: SystemTimekeeper(loop))
        try await real.warm()
        let recordings = try await record(plan, on: real)
        print("\(plan.count) sequences on the real server: \(ContinuousClock.now - began)")
        var tally = Tally()
        for (sequence, recording) in zip(plan, recordings) { tally.add(sequence, recording) }
        tally.lines.forEach { print($0) }
        let differences = try await compare(plan, recordings, quirk: nil)
        if only != nil { try await show(plan[0], recordings[0]) }
        print("differences: \(differences.count)")
        report(differences)
        var isGood = differences.isEmpty
        if isPlanting { isGood = try await plant(plan, recordings) && isGood }
        print("took \(ContinuousClock.now - began)")
        return isGood
    }

    /// All sequences, some at a time, in the order of the plan.
    private func record(_ plan: [Sequence], on server: some Server) async throws -> [Recording] {
        var recordings = [Recording?](repeating: nil, count: plan.count)
        try await withThrowingTaskGroup(of: (Int, Recording).self) { group in
            var next = 0
            func start() {
                guard next < plan.count else { return }
                let (place, sequence) = (next, plan[next])
                group.addTask { (place, try await Recording.make(sequence, on: server)) }
                next += 1
            }
            for _ in 0..<max(1, jobs) { start() }
            while let (place, recording) = try await group.next() {
                recordings[place] = recording
                start()
            }
        }
        return recordings.compactMap { $0 }
    }

    private func compare(
        _ plan: [Sequence], _ recordings: [Recording], quirk: ModelQuirk?
    ) async throws -> [Difference] {
        var found: [Difference] = []
        var cut = 0
        defer {
            if quirk == nil { print("compared as far as an ignored change (docs/model.md): \(cut) sequences") }
        }
        for (sequence, real) in zip(plan, recordings) {
            let model = try await Recording.make(sequence, on: ModelServer(quirk: quirk))
            if !model.ignored.isEmpty { cut += 1 }
            if let difference = Comparison.first(sequence, real: real, model: model) { found.append(difference) }
            // A planted fault that is noticed is noticed.
            if quirk != nil, !found.isEmpty { break }
        }
        return found
    }

    /// Every planted fault has to be noticed.
    private func plant(_ plan: [Sequence], _ recordings: [Recording]) async throws -> Bool {
        var missed = 0
        for quirk in ModelQuirk.allCases {
            let found = try await compare(plan, recordings, quirk: quirk)
            print("planted: \(quirk.rawValue): \(found.isEmpty ? "NOT NOTICED" : "noticed")")
            if found.isEmpty { missed += 1 }
        }
        print("\(ModelQuirk.allCases.count) planted faults, \(missed) not noticed")
        return missed == 0
    }

    private func report(_ differences: [Difference]) {
        let groups = Dictionary(grouping: differences, by: \.signature)
        for group in groups.sorted(by: { ($1.value.count, $0.key) < ($0.value.count, $1.key) }).prefix(60) {
            let example = group.value[0]
            let kinds = Set(group.value.map(\.step.kind.kind)).sorted().joined(separator: ",")
            print("\(group.value.count)x \(kinds) \(group.key)")
            print("    for instance --only \(example.sequence.number), request \(example.place + 1)")
        }
    }

    private func show(_ sequence: Sequence, _ real: Recording) async throws {
        let model = try await Recording.make(sequence, on: ModelServer(quirk: nil))
        for (place, request) in real.requests.enumerated() {
            print("\(place + 1) \(request.method.rawValue) \(request.target)")
            print("   \(String(decoding: request.body, as: UTF8.self).prefix(900))")
            let index = place - sequence.steps.count
            if index < 0 {
                print("   real  \(text(real.answers[place]))\n   model \(text(model.answers[place]))")
            } else {
                for answer in real.watches[index] { print("   real  \(text(answer))") }
                for answer in model.watches[index] { print("   model \(text(answer))") }
            }
        }
    }

    private func text(_ answer: Answer) -> String {
        "\(answer.headline) \(answer.object.map { String(decoding: $0.bytes, as: UTF8.self) } ?? "")"
    }
}
