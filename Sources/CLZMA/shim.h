// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <lzma.h>

/// Decodes a whole `.lzma` or `.xz` file of at most `room` bytes, in at most 96 MiB of memory (a dictionary of 64 MiB).
/// Returns the number of bytes, or -1: not such a file, cut off, or too large.
static inline long reprise_lzma_decode(const uint8_t *input, size_t size, uint8_t *output, size_t room) {
    lzma_stream stream = LZMA_STREAM_INIT;
    if (lzma_auto_decoder(&stream, (uint64_t)96 << 20, 0) != LZMA_OK) return -1;
    stream.next_in = input;
    stream.avail_in = size;
    stream.next_out = output;
    stream.avail_out = room;
    lzma_ret result = lzma_code(&stream, LZMA_FINISH);
    long written = result == LZMA_STREAM_END ? (long)stream.total_out : -1;
    lzma_end(&stream);
    return written;
}
