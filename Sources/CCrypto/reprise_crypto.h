// SPDX-License-Identifier: Apache-2.0

// SHA-256 of OpenSSL 3. The low-level functions are marked deprecated in favour of
// EVP, but unlike EVP they need no provider and no allocation, so they cannot fail.

#ifndef REPRISE_CRYPTO_H
#define REPRISE_CRYPTO_H

#ifndef OPENSSL_SUPPRESS_DEPRECATED
#define OPENSSL_SUPPRESS_DEPRECATED
#endif
#include <openssl/sha.h>

/// Writes the 32 bytes of the SHA-256 of a buffer to `digest`.
static inline void reprise_sha256(const unsigned char *bytes, size_t count, unsigned char *digest) {
    SHA256(bytes, count, digest);
}

#endif
