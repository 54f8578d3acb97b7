// SPDX-License-Identifier: Apache-2.0

import CLZ4
import CLZMA
import CZlib
import CZstd
import Frames

/// Compresses and frames what was mutated, so that the mutation gets past checksums; and sometimes damages that too.
package enum Packing {
    static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        guard reprise_deflate_init(stream) == Z_OK else { return [] }
        defer { deflateEnd(stream) }
        var source = bytes
        var result = [UInt8](repeating: 0, count: Int(deflateBound(stream, uLong(bytes.count))))
        let written = source.withUnsafeMutableBufferPointer { input in
            result.withUnsafeMutableBufferPointer { output in
                stream.pointee.next_in = input.baseAddress
                stream.pointee.avail_in = uInt(input.count)
                stream.pointee.next_out = output.baseAddress
                stream.pointee.avail_out = uInt(output.count)
                _ = deflate(stream, Z_FINISH)
                return output.count - Int(stream.pointee.avail_out)
            }
        }
        return Array(result.prefix(written))
    }

    private static func lz4(_ bytes: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: LZ4F_compressFrameBound(bytes.count, nil))
        let written = LZ4F_compressFrame(&result, result.count, bytes, bytes.count, nil)
        return LZ4F_isError(written) != 0 ? [] : Array(result.prefix(written))
    }

    private static func zstd(_ bytes: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
        let written = ZSTD_compress(&result, result.count, bytes, bytes.count, 1)
        return ZSTD_isError(written) != 0 ? [] : Array(result.prefix(written))
    }

    private static func lzma(_ bytes: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: bytes.count + 65_536)
        var written = 0
        let code = lzma_easy_buffer_encode(
            0, LZMA_CHECK_CRC32, nil, bytes, bytes.count, &result, &written, result.count)
        return code == LZMA_OK ? Array(result.prefix(written)) : []
    }

    /// `<suffix>\n` and a file as its name's suffix says.
    @Sendable static func packed(_ bytes: [UInt8], _ dice: inout Dice) -> [UInt8] {
        let names = ["plain", "gz", "lz4", "zst", "lzma", "br"]
        let name = dice.pick(names) ?? "plain"
        // A bomb: far more than what is read of a history file, packed small.
        let plain = dice.once(in: 50) ? [UInt8](repeating: 0x31, count: (1 << 20) << dice.below(5)) : bytes
        var packed =
            switch name {
            case "gz": gzip(plain)
            case "lz4": lz4(plain)
            case "zst": zstd(plain)
            case "lzma": lzma(plain)
            default: bytes
            }
        if dice.once(in: 3), !packed.isEmpty { packed[dice.below(packed.count)] ^= 1 << UInt8(dice.below(8)) }
        if dice.once(in: 8) { packed = Array(packed.prefix(dice.below(packed.count + 1))) }
        return Array("\(name)\n".utf8) + packed
    }

    /// A log with a frame whose header, lines or payload may not fit.
    @Sendable static func framed(_ bytes: [UInt8], _ dice: inout Dice) -> [UInt8] {
        if dice.once(in: 4) { return bytes }
        let json = dice.once(in: 50) ? [UInt8](repeating: 0x20, count: (1 << 20) << dice.below(3)) : bytes
        guard let frame = try? ResultFrame.encode(json) else { return bytes }
        var log = Array("before\n".utf8) + frame + Array("after\n".utf8)
        if dice.once(in: 2) { log[dice.below(log.count)] = UInt8(truncatingIfNeeded: dice.next()) }
        if dice.once(in: 6) { log = Array(log.prefix(dice.below(log.count + 1))) }
        if dice.once(in: 6), dice.below(log.count) < 100_000 { log += log }
        return log
    }

    /// A frame that says it holds `claimed` bytes and holds `actual`, of the same byte.
    static func bomb(claimed: Int, actual: Int) -> [UInt8] {
        let packed = gzip([UInt8](repeating: 0x20, count: actual))
        var text = "reprise-result v1 \(claimed) \(String(repeating: "0", count: 64))\n"
        var number = 1
        for start in stride(from: 0, to: packed.count, by: 3_072) {
            text += "\(number) \(base64(Array(packed[start..<min(start + 3_072, packed.count)])))\n"
            number += 1
        }
        return Array((text + "reprise-end v1\n").utf8)
    }

    /// RFC 4648, padded.
    package static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var result = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[start..<min(start + 3, bytes.count)]
            let group = part.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - part.count))
            for place in 0..<4 {
                result.append(place <= part.count ? alphabet[Int(group >> UInt32(18 - 6 * place)) & 63] : "=")
            }
        }
        return result
    }
}
