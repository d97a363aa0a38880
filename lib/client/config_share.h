/*
 * Equal configurations of one loop's clients are kept once: with its strings one takes more than
 * all else that an idle client owns.
 */
#ifndef WST_CLIENT_CONFIG_SHARE_H
#define WST_CLIENT_CONFIG_SHARE_H

#include "client/config.h"

struct wst__shared_config;

/* What one loop has.  All zero: none. */
struct wst__configs {
    struct wst__shared_config *first;
};

struct wst__shared_config {
    struct wst__config config; /* |arg| is each client's own: NULL in here. */
    struct wst__policy policy; /* What the core of each decides by. */
    size_t users;
    struct wst__configs *all; /* NULL: not shared. */
    struct wst__shared_config *next, *prev;
};

/* As wst__config_copy().  |all| NULL: it is not shared. */
int wst__config_get(struct wst__configs *all, const struct wst_config *in,
                    struct wst__shared_config **out, struct wst_cause *why);
/* The last one to give it back wipes and frees it. */
void wst__config_put(struct wst__shared_config *s);

#endif
