// SPDX-License-Identifier: Apache-2.0

/// Makes an input small that still fails: takes out halves, quarters and so on down to single bytes, then every part of
/// what is short by now, and puts plain bytes in the place of others.
///
/// - Parameters:
///   - budget: How often may be tried.
///   - fails: Whether a shorter input fails in the same way.
package func minimised(_ input: [UInt8], budget: Int, fails: ([UInt8]) async -> Bool) async -> [UInt8] {
    var best = input
    var left = budget
    var width = max(1, best.count / 2)
    while left > 0 {
        var start = 0
        var isShorter = false
        while start < best.count, left > 0 {
            let shorter = Array(best[..<start] + best[min(best.count, start + width)...])
            left -= 1
            if await fails(shorter) {
                best = shorter
                isShorter = true
            } else {
                start += width <= 16 ? max(1, width / 4) : width
            }
        }
        if width == 1, !isShorter { break }
        width = max(1, width == 1 ? 1 : width / 2)
    }
    // What belongs together (a key, its colon and its value) goes only at once.
    var size = best.count <= 64 ? best.count - 1 : 1
    while size > 1, left > 0 {
        var start = 0
        while start + size <= best.count, left > 0 {
            let shorter = Array(best[..<start] + best[(start + size)...])
            left -= 1
            if await fails(shorter) { best = shorter } else { start += 1 }
        }
        size = min(size - 1, best.count - 1)
    }
    for index in best.indices where left > 0 && best[index] != 0x30 && best[index] != 0x61 {
        for plain: UInt8 in [0x61, 0x30] {
            var simpler = best
            simpler[index] = plain
            left -= 1
            if await fails(simpler) {
                best = simpler
                break
            }
        }
    }
    return best
}
