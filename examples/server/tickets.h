/* Where tickets live between the moment they are handed out and the one moment they are redeemed.
 */
#ifndef WSTSERVER_TICKETS_H
#define WSTSERVER_TICKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "jwt.h"
#include "util.h"

#define TICKET_LEN 32 /* lower-case hex digits: 128 random bits */

/* What is stored under a ticket. */
struct ticket_value {
    char user_id[JWT_USER_LEN + 1]; /* "" when anonymous */
    char session_id[UUID_LEN + 1];
    int64_t created_at; /* wall clock, ms */
};

enum ticket_verdict {
    TICKET_OK,
    TICKET_UNKNOWN, /* used, or never handed out; from Redis also: expired */
    TICKET_EXPIRED,
    TICKET_UNAVAILABLE /* the store did not answer in time */
};

/* |value| is valid during the call, and NULL unless a take succeeded. */
typedef void (*ticket_cb)(void *arg, enum ticket_verdict verdict, const struct ticket_value *value);

/* A store.  |cb| is called exactly once for each put and take: from inside the call, from the loop,
 * or from close, which fails what is pending.  A take removes: of many for one ticket, one
 * succeeds. */
struct ticket_store {
    void (*put)(struct ticket_store *store, const char *ticket, const struct ticket_value *value,
                unsigned ttl_s, ticket_cb cb, void *arg);
    void (*take)(struct ticket_store *store, const char *ticket, ticket_cb cb, void *arg);
    void (*close)(struct ticket_store *store);
};

/* 128 fresh random bits in hex. */
void ticket_make(char out[TICKET_LEN + 1]);

/* Whether |text| has the form of a ticket. */
bool ticket_wellformed(const char *text);

/* Tickets in this process's memory; bounded, the oldest are given up. */
struct ticket_store *tickets_memory_new(void);

/* Tickets in Redis: key "ws_ticket:<ticket>", JSON value, SET with EX and GETDEL.  Never blocks; a
 * command that is not answered within |timeout_ms| has failed; the connection is made, and made
 * again, in the background.  NULL when |url| is wrong, with the reason in |*why|. */
struct ticket_store *tickets_redis_new(uv_loop_t *loop, const char *url, unsigned timeout_ms,
                                       const char **why);

#endif
