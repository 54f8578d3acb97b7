// SPDX-License-Identifier: Apache-2.0

#ifndef REPRISE_CPOSTGRES_SHIM_H
#define REPRISE_CPOSTGRES_SHIM_H

#include <libpq-fe.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

// The PG_DIAG_* codes are character macros and prctl is variadic: neither imports well.

static inline const char *reprise_sqlstate(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_SQLSTATE);
}

static inline const char *reprise_primary_message(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
}

static inline const char *reprise_constraint(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
}

static inline void reprise_name_this_thread(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

#endif
