// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <libxml/xmlversion.h>
// Debian's libxml2 would bring in ICU's headers, for two fields at the end of a structure that is not used here. They are
// another version than the ones that Foundation brings, and a program can't see both.
#undef LIBXML_ICU_ENABLED
#include <libxml/parser.h>

/// A handler for SAX2 with nothing set but what makes it one: Swift can't see the macro.
static inline xmlSAXHandler reprise_sax_handler(void) {
    xmlSAXHandler handler = {0};
    handler.initialized = XML_SAX2_MAGIC;
    return handler;
}
