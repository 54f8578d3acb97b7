// SPDX-License-Identifier: Apache-2.0

import FuzzKit
import FuzzMeter

/// Does the net catch fish? Decoders with one planted mistake each are fuzzed like the others.
struct SelfTest {
    let parent: Parent

    func run() async throws -> Bool {
        var isFine = true
        let expected: [(String, Fault.Kind, Int)] = [
            // The smallest input there is has `{"size":` and 19 digits.
            ("planted-trap", .trap, 32), ("planted-lie", .wrong, 1), ("planted-bomb", .memory, 24),
        ]
        for (name, kind, longest) in expected {
            if kind == .memory, fuzz_meter_works() == 0 { continue }
            guard let decoder = FuzzDecoder.planted.first(where: { $0.name == name }) else { continue }
            let found = try await parent.run(decoder, seed: 1, 0..<5_000, seconds: 60).found.first {
                $0.fault.kind == kind
            }
            guard let found else {
                print("\(name): NOT FOUND")
                isFine = false
                continue
            }
            let small = await parent.minimised(found)
            let isSmall = small.input.count <= longest && small.fault.kind == kind
            let sizes = "\(found.input.count) bytes made \(small.input.count)\(isSmall ? "" : ": NOT SMALL")"
            print("\(name): found as \(kind.rawValue), \(sizes)")
            isFine = isFine && isSmall
        }
        let square = try parent.child(["--grow", "planted-square"]).lines.compactMap { Parent.fault($0)?.1 }
        print("planted-square: \(square.contains { $0.kind == .growth } ? "found as growth" : "NOT FOUND")")
        return isFine && square.contains { $0.kind == .growth }
    }
}
