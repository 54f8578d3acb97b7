// SPDX-License-Identifier: Apache-2.0

import CBrotli
import CLZ4
import CLZMA
import CZlib
import CZstd
import Catalog

/// Reads an archived timeline history file: plain, or compressed with any of WAL-G's methods (lz4 is its default).
/// Encrypted ones can't be told from damaged ones, and neither is read.
package enum HistoryFile {
    /// The most bytes of a history file, compressed or not. It has some 50 bytes for each ancestor.
    package static let limit = 256 << 10

    /// - Parameter key: where the file was; its extension tells of the compression, as it does for WAL-G.
    /// - Returns: the direct parent, and where it was left; `nil` when that can't be read.
    package static func parent(in bytes: [UInt8], key: String) -> (timeline: Int64, switchLSN: String)? {
        for plain in [decompressed(bytes, key: key), bytes] {
            guard let plain, let text = String(validating: plain, as: UTF8.self) else { continue }
            if let parent = TimelineHistory.parent(in: text) { return parent }
        }
        return nil
    }

    private static func decompressed(_ bytes: [UInt8], key: String) -> [UInt8]? {
        let codec: (UnsafeBufferPointer<UInt8>, UnsafeMutableBufferPointer<UInt8>) -> Int?
        switch key.split(separator: ".").last {
        case "lz4": codec = lz4
        case "lzma": codec = lzma
        case "zst": codec = zstd
        case "br": codec = brotli
        case "gz": codec = gzip
        default: return nil
        }
        var plain = [UInt8](repeating: 0, count: limit)
        let written = bytes.withUnsafeBufferPointer { input in
            plain.withUnsafeMutableBufferPointer { output in codec(input, output) }
        }
        return written.map { Array(plain.prefix($0)) }
    }

    // MARK: Codecs: how many bytes were written, or `nil` for what is damaged, cut off or too large.

    private static func lz4(_ input: UnsafeBufferPointer<UInt8>, _ output: UnsafeMutableBufferPointer<UInt8>) -> Int? {
        var context: OpaquePointer?
        guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0, let context
        else { return nil }
        defer { LZ4F_freeDecompressionContext(context) }
        var (read, written) = (0, 0)
        while read < input.count, written < output.count {
            var consumed = input.count - read
            var produced = output.count - written
            let result = LZ4F_decompress(
                context, output.baseAddress.map { $0 + written }, &produced, input.baseAddress.map { $0 + read },
                &consumed, nil)
            guard LZ4F_isError(result) == 0, produced > 0 || consumed > 0 else { return nil }
            read += consumed
            written += produced
            if result == 0 { return written }
        }
        return nil
    }

    private static func lzma(_ input: UnsafeBufferPointer<UInt8>, _ output: UnsafeMutableBufferPointer<UInt8>) -> Int? {
        let written = reprise_lzma_decode(input.baseAddress, input.count, output.baseAddress, output.count)
        return written < 0 ? nil : written
    }

    private static func zstd(_ input: UnsafeBufferPointer<UInt8>, _ output: UnsafeMutableBufferPointer<UInt8>) -> Int? {
        let written = ZSTD_decompress(output.baseAddress, output.count, input.baseAddress, input.count)
        return ZSTD_isError(written) != 0 ? nil : written
    }

    private static func brotli(_ input: UnsafeBufferPointer<UInt8>, _ output: UnsafeMutableBufferPointer<UInt8>) -> Int?
    {
        var written = output.count
        let result = BrotliDecoderDecompress(input.count, input.baseAddress, &written, output.baseAddress)
        return result == BROTLI_DECODER_RESULT_SUCCESS ? written : nil
    }

    private static func gzip(_ input: UnsafeBufferPointer<UInt8>, _ output: UnsafeMutableBufferPointer<UInt8>) -> Int? {
        // zlib keeps the stream's address, so it must not move.
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        guard reprise_inflate_init(stream) == Z_OK else { return nil }
        defer { inflateEnd(stream) }
        stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
        stream.pointee.avail_in = uInt(input.count)
        stream.pointee.next_out = output.baseAddress
        stream.pointee.avail_out = uInt(output.count)
        guard inflate(stream, Z_FINISH) == Z_STREAM_END else { return nil }
        return output.count - Int(stream.pointee.avail_out)
    }
}
