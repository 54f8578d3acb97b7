// SPDX-License-Identifier: Apache-2.0

// zlib, with functions in place of the macros Swift cannot import.

#ifndef REPRISE_ZLIB_H
#define REPRISE_ZLIB_H

#include <zlib.h>

/// `inflateInit2` for the gzip format only.
static inline int reprise_inflate_init(z_stream *stream) { return inflateInit2(stream, 16 + MAX_WBITS); }

/// `deflateInit2` for the gzip format, default level and strategy. The gzip header has no time and no name.
static inline int reprise_deflate_init(z_stream *stream) {
    return deflateInit2(stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
}

#endif
