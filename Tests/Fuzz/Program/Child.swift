// SPDX-License-Identifier: Apache-2.0

import Foundation
import FuzzKit
import FuzzMeter

/// What is wrong with how one input is taken.
struct Fault: Equatable {
    enum Kind: String {
        /// The process died.
        case trap
        /// It did not come to an end.
        case hang
        case memory
        /// What was decoded is not what it should be.
        case wrong
        /// It costs more than what is in proportion to the input.
        case growth
    }

    var kind: Kind
    var text: String
}

/// The part that may die: runs inputs one after the other, and says which one it is at.
struct Child {
    /// Nothing here may use more.
    static let memoryLimit: Int64 = 3 << 30
    /// So many seconds of the processor for one input, or ten times as many of waiting.
    static let patience: UInt32 = 30

    let decoder: FuzzDecoder

    init(_ decoder: FuzzDecoder) {
        self.decoder = decoder
        fuzz_meter_limit(Self.memoryLimit)
    }

    /// Inputs by their indices. Says what is wrong on standard output, a line for each.
    func run(seed: UInt64, _ range: Range<Int>, until deadline: Date, numberAt path: String) async {
        let mutation = Mutation(decoder, corpus: Corpus.inputs(of: decoder))
        let number = fuzz_shared_number(path)
        var faults = 0
        for index in range {
            // Where the next child would go on.
            number?.pointee = Int64(index)
            if faults >= 5 || Date() >= deadline { return }
            let input = mutation.input(seed: seed, index: index)
            if let fault = await judge(input) {
                faults += 1
                print("FAULT \(index) \(fault.kind.rawValue) \(fault.text)")
            }
        }
        number?.pointee = Int64(range.upperBound)
    }

    /// Takes one input as production would.
    func judge(_ input: [UInt8]) async -> Fault? {
        fuzz_watch(Self.patience, Self.patience * 10)
        defer { fuzz_watch(0, 0) }
        fuzz_meter_begin()
        await decoder.decode(input)
        let peak = Int(fuzz_meter_peak())
        let allowed = decoder.allowance.bytes(for: input.count)
        if peak > allowed {
            return Fault(kind: .memory, text: "\(peak) bytes for an input of \(input.count); \(allowed) are allowed")
        }
        guard let problem = await decoder.check?(input) else { return nil }
        return Fault(kind: .wrong, text: String(problem.prefix(200)))
    }

    // MARK: Growth

    /// The two lengths that are compared, in bytes.
    private static let (short, long) = (16 << 10, 256 << 10)
    /// Sixteen times the bytes may take so many times the work: linear is 16, a square 256.
    private static let steepest = 80.0
    /// Below this many nanoseconds for the long input its growth does not matter.
    private static let negligible = 20_000_000.0

    /// One family of inputs after the other; prints a row for each.
    func grow() async {
        for family in decoder.growth {
            let small = family.make(Self.short)
            let large = family.make(Self.long)
            fuzz_watch(0, Self.patience * 20)
            // The machine may be busy with something else: the best of some tries counts.
            var (before, after) = (Double.infinity, Double.infinity)
            var peak = 0
            for attempt in 0..<3 {
                before = min(before, await time(small))
                fuzz_meter_begin()
                after = min(after, await time(large))
                peak = Int(fuzz_meter_peak())
                if attempt >= 1, after < Self.negligible || after / before < Self.steepest { break }
            }
            fuzz_watch(0, 0)
            // Shorter times are those of the clock itself.
            let ratio = after / max(before, 20_000)
            let factor = String(format: "%.1f", Double(peak) / Double(large.count))
            let row = "\(decoder.name) | `\(clean(family.name))` | \(factor) | \(String(format: "%.2f", after / 1e6))"
            print("GROWTH \(row) | \(String(format: "%.0f", ratio))")
            if after > Self.negligible, ratio > Self.steepest {
                print("FAULT 0 growth \(clean(family.name)): 16 times the bytes take \(Int(ratio)) times the work")
            }
            if peak > decoder.allowance.bytes(for: large.count) {
                print("FAULT 0 memory \(clean(family.name)): \(factor) bytes for each byte of the input")
            }
        }
    }

    private func time(_ input: [UInt8]) async -> Double {
        let start = fuzz_cpu_nanoseconds()
        await decoder.decode(input)
        return Double(fuzz_cpu_nanoseconds() - start)
    }

    private func clean(_ text: String) -> String {
        text.replacing("\n", with: "\\n").replacing("|", with: "\\|").replacing("`", with: "'")
    }
}
