// SPDX-License-Identifier: Apache-2.0

import JSON
import Synchronization

extension FuzzDecoder {
    /// Decoders with one mistake each, which the net must catch and show small.
    package static var planted: [FuzzDecoder] {
        var decoders = [
            FuzzDecoder("planted-trap", .json) { bytes in
                guard let size = (try? JSON.decode(JSONValue.self, from: bytes))?["size"],
                    case .integer(let number) = size
                else { return }
                blackHole(number * 2)
            },
            FuzzDecoder("planted-bomb", .json) { bytes in
                guard let size = (try? JSON.decode(JSONValue.self, from: bytes))?["size"],
                    case .integer(let number) = size
                else { return }
                blackHole(Int64([UInt8](repeating: 1, count: Int(min(max(0, number), 200 << 20))).count))
            },
            FuzzDecoder(
                "planted-lie", .lines, check: { $0.contains(0) ? "says that there is no NUL" : nil }
            ) { _ in },
            FuzzDecoder("planted-square", .text, growth: [Growth("", "a")]) { bytes in
                for one in stride(from: 0, to: bytes.count, by: 8_192) {
                    for other in bytes { blackHole(Int64(bytes[one] ^ other)) }
                }
            },
        ]
        for index in decoders.indices { decoders[index].samples = [Array("{\"size\":1,\"name\":\"a\"}".utf8)] }
        return decoders
    }
}

/// Keeps a compiler from leaving out what nobody reads.
private func blackHole(_ value: Int64) { hole.store(value, ordering: .sequentiallyConsistent) }

private let hole = Atomic<Int64>(0)
