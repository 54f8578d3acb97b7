// SPDX-License-Identifier: Apache-2.0
// MHD_start_daemon is variadic, which Swift can't call.
#pragma once
#include <microhttpd.h>
#include <netinet/in.h>

static inline struct MHD_Daemon *reprise_start_daemon(
    const struct sockaddr *address, MHD_AccessHandlerCallback handler, void *context) {
    return MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, NULL, NULL, handler, context,
        MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_CONNECTION_LIMIT, (unsigned int)64,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)10, MHD_OPTION_LISTENING_ADDRESS_REUSE, (unsigned int)1,
        MHD_OPTION_END);
}
