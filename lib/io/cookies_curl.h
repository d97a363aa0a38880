/* The cookies that steps 1 and 2 have set, for step 3. */
#ifndef WST_IO_COOKIES_CURL_H
#define WST_IO_COOKIES_CURL_H

#include "io/types.h"

struct wst__net;

/* See client/ports.h.  |url| may be http, https, ws or wss.  NOMEM, TOO_LARGE, INVALID. */
int wst__cookies(struct wst__net *net, const char *url, struct wst__buf *out);

/* After an answer: a server that sets ever new cookies has all of them forgotten beyond 32 KiB. */
void wst__cookies_bound(const struct wst__net *net);

/* A place that cookies may be sent to. */
struct wst__cookie_target {
    const char *host;
    const char *path;
    bool secure;
    int64_t wall_s;
};
/*
 * Does this cookie, a line as libcurl lists them, belong there (RFC 6265, 5.4)?  Then |name| and
 * |value| point into |line|, which is cut in pieces.
 */
bool wst__cookie_match(char *line, const struct wst__cookie_target *target, const char **name,
                       const char **value);

#endif
