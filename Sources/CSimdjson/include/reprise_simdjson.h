// SPDX-License-Identifier: Apache-2.0

// A C face of simdjson's DOM parser (Debian libsimdjson 3.0): one call parses a
// whole document and hands out the tape and the string buffer, which Swift then
// walks itself; there is no call per value.
//
// Tape format: https://github.com/simdjson/simdjson/blob/v3.0.1/doc/tape.md
// (a word is a type byte in the top 8 bits and 56 bits of payload; a string's
// payload is an offset into the string buffer, where a 32-bit length, the UTF-8
// bytes and a NUL stand).
//
// Nothing here throws or aborts. A parser must not be used by two threads at the
// same time; different parsers may be.

#ifndef REPRISE_SIMDJSON_H
#define REPRISE_SIMDJSON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A parser with its buffers. Reused from document to document.
typedef struct reprise_json_parser reprise_json_parser;

/// What became of a parse. Codes are ours; `reprise_json_parse` maps simdjson's.
enum reprise_json_status {
    reprise_json_ok = 0,
    reprise_json_syntax = 1,
    /// A number's text is wrong, or its value is outside 64 bits or a double.
    reprise_json_number = 2,
    reprise_json_too_large = 3,
    reprise_json_too_deep = 4,
    reprise_json_no_memory = 5,
};

/// The result of a parse. The pointers belong to the parser and stay valid until
/// its next parse or its release.
typedef struct reprise_json_document {
    const uint64_t *tape;
    const uint8_t *strings;
    /// One of `reprise_json_status`; the pointers are null unless it is ok.
    int32_t status;
    /// A fixed English text that never contains input. Never null.
    const char *message;
} reprise_json_document;

/// Takes a parser from a small pool, or makes one. Null when memory is out.
reprise_json_parser *reprise_json_parser_acquire(void);

/// Gives a parser back to the pool; one that has grown large is freed instead.
/// Null is allowed.
void reprise_json_parser_release(reprise_json_parser *parser);

/// Parses one UTF-8 document of at most `max_bytes` bytes and `max_depth` levels.
/// `bytes` is copied (simdjson needs 64 readable bytes behind it). Memory: about
/// 16 bytes reserved per input byte, rounded up to a power of two.
reprise_json_document reprise_json_parse(reprise_json_parser *parser, const uint8_t *bytes, size_t length,
                                         size_t max_bytes, size_t max_depth);

#ifdef __cplusplus
}
#endif

#endif
