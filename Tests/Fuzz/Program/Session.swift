// SPDX-License-Identifier: Apache-2.0

import Foundation
import FuzzKit

/// One run of the program over some decoders.
struct Session {
    /// Children at a time.
    private static let lanes = max(1, min(4, ProcessInfo.processInfo.activeProcessorCount))

    let parent: Parent
    let seed: UInt64
    let keeps: Bool

    /// Some work for each decoder, a few at a time.
    private func each<Value: Sendable>(
        _ decoders: [FuzzDecoder], _ work: @escaping @Sendable (FuzzDecoder) async throws -> Value
    ) async throws -> [Value] {
        try await withThrowingTaskGroup(of: Value.self) { group in
            var (waiting, results) = (decoders[...], [Value]())
            for _ in 0..<Self.lanes { if let next = waiting.popFirst() { group.addTask { try await work(next) } } }
            while let result = try await group.next() {
                results.append(result)
                if let next = waiting.popFirst() { group.addTask { try await work(next) } }
            }
            return results
        }
    }

    /// Mutations, so many for each decoder or for so long in all.
    /// - Returns: whether nothing was found.
    func mutate(_ decoders: [FuzzDecoder], cases: Int, seconds: Double) async throws -> Bool {
        // A slice for each, as often as there is time: later ones go on where earlier ones ended.
        let share = min(seconds, seconds * Double(Self.lanes) / Double(max(1, decoders.count)))
        let results = try await each(decoders) { decoder in
            let start = Date()
            let (count, found) = try await parent.run(decoder, seed: seed, 0..<cases, seconds: share)
            let seconds = String(format: "%.1f", Date().timeIntervalSince(start))
            print("\(decoder.name): \(count) inputs in \(seconds) s, \(found.count) faults")
            return (count, found)
        }
        let all = results.flatMap(\.1)
        print(
            "\(results.reduce(0) { $0 + $1.0 }) inputs, \(decoders.count) decoders, seed \(seed): \(all.count) faults")
        var seen: Set<String> = []
        for found in all where seen.insert("\(found.decoder) \(found.fault.kind) \(Parent.gist(found.fault))").inserted
        {
            try await show(found)
        }
        return all.isEmpty
    }

    private func show(_ found: Found) async throws {
        let small = await parent.minimised(found)
        print("\n\(small.decoder): \(small.fault.kind.rawValue): \(small.fault.text)")
        print("  \(found.input.count) bytes, made \(small.input.count): \(readable(small.input))")
        if small.input.count <= 600 { print("  base64: \(Packing.base64(small.input))") }
        if keeps { print("  kept as Tests/Fuzz/Found/\(try Corpus.keep(small.input, of: small.decoder))") }
    }

    private func readable(_ input: [UInt8]) -> String {
        String(decoding: input.prefix(200), as: UTF8.self).debugDescription
    }

    /// Everything that was found once, and the corpus as it is.
    func replay(_ decoders: [FuzzDecoder]) async throws -> Bool {
        let results = try await each(decoders) { decoder in
            var (count, faults) = (0, 0)
            for input in Corpus.inputs(of: decoder) {
                count += 1
                guard let fault = try parent.judge(decoder.name, input) else { continue }
                faults += 1
                print("\(decoder.name): \(fault.kind.rawValue): \(fault.text): \(readable(input))")
            }
            return (count, faults)
        }
        let faults = results.reduce(0) { $0 + $1.1 }
        print("\(results.reduce(0) { $0 + $1.0 }) inputs replayed: \(faults) faults")
        return faults == 0
    }

    /// Prints a table of what inputs cost that get longer.
    func grow(_ decoders: [FuzzDecoder]) async throws -> Bool {
        print("| decoder | input of 256 KiB | bytes of memory for each | ms | times the work of 16 KiB |")
        print("|---|---|---|---|---|")
        let results = try await each(decoders.filter { !$0.growth.isEmpty }) { decoder in
            let ending = try parent.child(["--grow", decoder.name])
            for line in ending.lines where line.hasPrefix("GROWTH ") { print("| \(line.dropFirst(7)) |") }
            let faults = ending.lines.compactMap { Parent.fault($0)?.1 } + [ending.fault].compactMap { $0 }
            return faults.map { "\(decoder.name): \($0.kind.rawValue): \($0.text)" }
        }
        let faults = results.flatMap { $0 }
        for fault in faults { print(fault) }
        print("\(faults.count) faults")
        return faults.isEmpty
    }
}
