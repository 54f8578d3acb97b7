// SPDX-License-Identifier: Apache-2.0

#define SIMDJSON_EXCEPTIONS 0

#include "reprise_simdjson.h"

#include <pthread.h>
#include <simdjson.h>

#include <cstdlib>
#include <cstring>
#include <new>

struct reprise_json_parser {
    simdjson::dom::parser parser;
    uint8_t *padded = nullptr;
    size_t capacity = 0;

    ~reprise_json_parser() { std::free(padded); }
};

namespace {

// Idle parsers. One for 128 KiB documents holds about 2 MiB once touched.
constexpr size_t pool_slots = 4;
constexpr size_t pooled_capacity = 128 * 1024;
constexpr size_t smallest_capacity = 8 * 1024;
// simdjson's own limit is 4 GiB - 1; above half of it the rounding would pass it.
constexpr size_t largest_document = size_t(1) << 31;

pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
reprise_json_parser *pool[pool_slots];
size_t pool_count = 0;

reprise_json_document failure(int32_t status, const char *message) {
    return reprise_json_document{nullptr, nullptr, status, message};
}

reprise_json_document failure(simdjson::error_code code) {
    switch (code) {
    case simdjson::MEMALLOC:
        return failure(reprise_json_no_memory, "out of memory");
    case simdjson::CAPACITY:
        return failure(reprise_json_too_large, "the document is too large");
    case simdjson::DEPTH_ERROR:
        return failure(reprise_json_too_deep, "nested too deeply");
    case simdjson::NUMBER_ERROR:
        return failure(reprise_json_number, "a number is malformed or out of range");
    case simdjson::STRING_ERROR:
        return failure(reprise_json_syntax, "a string has a wrong escape");
    case simdjson::UNESCAPED_CHARS:
        return failure(reprise_json_syntax, "a string has an unescaped control character");
    case simdjson::UNCLOSED_STRING:
        return failure(reprise_json_syntax, "a string is not closed");
    case simdjson::UTF8_ERROR:
        return failure(reprise_json_syntax, "not UTF-8");
    case simdjson::EMPTY:
        return failure(reprise_json_syntax, "empty");
    default:
        return failure(reprise_json_syntax, "malformed");
    }
}

// Makes room for a document, in powers of two so that slightly growing documents
// do not allocate every time.
simdjson::error_code reserve(reprise_json_parser &self, size_t length, size_t max_depth) {
    size_t capacity = smallest_capacity;
    while (capacity < length) { capacity *= 2; }
    if (self.capacity < capacity) {
        std::free(self.padded);
        self.capacity = 0;
        self.padded = static_cast<uint8_t *>(std::malloc(capacity + simdjson::SIMDJSON_PADDING));
        if (self.padded == nullptr) { return simdjson::MEMALLOC; }
        auto error = self.parser.doc.allocate(capacity);
        if (error) { return error; }
        error = self.parser.allocate(capacity, max_depth);
        if (error) { return error; }
        self.capacity = capacity;
    } else if (self.parser.max_depth() != max_depth) {
        auto error = self.parser.allocate(self.capacity, max_depth);
        if (error) {
            self.capacity = 0;
            return error;
        }
    }
    return simdjson::SUCCESS;
}

}  // namespace

extern "C" reprise_json_parser *reprise_json_parser_acquire(void) {
    reprise_json_parser *found = nullptr;
    pthread_mutex_lock(&pool_lock);
    if (pool_count > 0) { found = pool[--pool_count]; }
    pthread_mutex_unlock(&pool_lock);
    return found != nullptr ? found : new (std::nothrow) reprise_json_parser();
}

extern "C" void reprise_json_parser_release(reprise_json_parser *parser) {
    if (parser == nullptr) { return; }
    if (parser->capacity > 0 && parser->capacity <= pooled_capacity) {
        pthread_mutex_lock(&pool_lock);
        if (pool_count < pool_slots) {
            pool[pool_count++] = parser;
            parser = nullptr;
        }
        pthread_mutex_unlock(&pool_lock);
    }
    delete parser;
}

extern "C" reprise_json_document reprise_json_parse(reprise_json_parser *parser, const uint8_t *bytes, size_t length,
                                                    size_t max_bytes, size_t max_depth) {
    if (parser == nullptr) { return failure(simdjson::MEMALLOC); }
    if (length > max_bytes || length > largest_document) { return failure(simdjson::CAPACITY); }
    if (length == 0 || bytes == nullptr) { return failure(simdjson::EMPTY); }
    auto error = reserve(*parser, length, max_depth == 0 ? 1 : max_depth);
    if (error) { return failure(error); }
    std::memcpy(parser->padded, bytes, length);
    std::memset(parser->padded + length, ' ', simdjson::SIMDJSON_PADDING);
    simdjson::dom::element root;
    error = parser->parser.parse(parser->padded, length, false).get(root);
    if (error) { return failure(error); }
    return reprise_json_document{parser->parser.doc.tape.get(), parser->parser.doc.string_buf.get(), reprise_json_ok,
                                 ""};
}
