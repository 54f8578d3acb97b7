// SPDX-License-Identifier: Apache-2.0

import CLZ4
import Catalog

/// Reads an archived timeline history file: plain, or compressed with lz4, which is WAL-G's default. Other codecs and
/// encrypted files are not read; their parent stays unknown.
enum HistoryFile {
    /// History files are a few hundred bytes; what is larger is none.
    static let limit = 256 << 10

    static func parent(in bytes: [UInt8]) -> (timeline: Int64, switchLSN: String)? {
        let plain = isLZ4(bytes) ? decompress(bytes) : bytes
        guard let plain, let text = String(validating: plain, as: UTF8.self) else { return nil }
        return TimelineHistory.parent(in: text)
    }

    private static func isLZ4(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x04, 0x22, 0x4D, 0x18]) }

    private static func decompress(_ bytes: [UInt8]) -> [UInt8]? {
        var context: OpaquePointer?
        guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0, let context
        else { return nil }
        defer { LZ4F_freeDecompressionContext(context) }
        var plain: [UInt8] = []
        var input = bytes[...]
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while !input.isEmpty, plain.count <= limit {
            var produced = buffer.count
            var consumed = input.count
            let result = input.withUnsafeBufferPointer { source in
                LZ4F_decompress(context, &buffer, &produced, source.baseAddress, &consumed, nil)
            }
            guard LZ4F_isError(result) == 0, produced > 0 || consumed > 0 else { return nil }
            plain += buffer[..<produced]
            input = input.dropFirst(consumed)
            if result == 0 { return plain }
        }
        return nil
    }
}
