/* Endpoint URLs: parsed with libcurl's URL API, so that they mean the same as in steps 1 and 2. */
#ifndef WST_WIRE_URL_H
#define WST_WIRE_URL_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct wst__url {
    bool tls;   /* https, wss. */
    char *host; /* A-label (IDNA) or IP literal without brackets, lower case. */
    bool is_ip; /* An IP literal. */
    bool is_ipv6;
    bool loopback; /* localhost, *.localhost, 127.0.0.0/8, ::1. */
    uint16_t port;
    char *path;  /* Begins with '/', encoded; without the query.  Wiped. */
    char *query; /* Without '?', encoded; NULL: none.  May hold a secret: wiped. */
};

#define WST__URL_HTTP 1u
#define WST__URL_WS   2u
#define WST__URL_MAX  8192 /* Longest URL taken, in bytes. */

/*
 * |field| names the configuration's field for the error text.  |schemes|: WST__URL_HTTP and/or
 * WST__URL_WS.  Userinfo and fragments are refused by name (RFC 6455, 3: no fragment).  What RFC
 * 3986 does not allow in a path or query is percent-encoded, '%' itself is left alone.  A dot that
 * ends the host's name is dropped.  CONFIG (the text repeats nothing of the URL), NOMEM; then |u|
 * is empty.
 */
int wst__url_parse(struct wst__url *u, const char *text, unsigned schemes, const char *field,
                   struct wst_cause *why);
void wst__url_fini(struct wst__url *u);
/* "https://host:443": what credentials are bound to.  ws is http, wss is https here. */
int wst__url_origin(const struct wst__url *u, struct wst__buf *out);
/* The Host header's value: brackets for IPv6, the port only when it is not the scheme's own. */
int wst__url_host_header(const struct wst__url *u, struct wst__buf *out);
/* The whole URL as text, as "https" or "http". */
int wst__url_http_text(const struct wst__url *u, struct wst__buf *out);
/*
 * Derives an endpoint from the base URL.  Base https://HOST[/prefix]: path = prefix + |suffix|.
 * Base wss://HOST/path: |suffix| on the same origin, without prefix, for steps 1 and 2; for step 3
 * (|suffix| "/ws") the base itself when it has a path other than "/", else |suffix| with the base's
 * query.  |ws|: the result is ws(s).  CONFIG when an https base has a query: it has no place to
 * go; NOMEM.  Then |out| is empty.
 */
int wst__url_derive(struct wst__url *out, const struct wst__url *base, bool base_is_ws,
                    const char *suffix, bool ws);
/* Appends |n| bytes encoded as encodeURIComponent does: all but A-Z a-z 0-9 - _ . ! ~ * ' ( ). */
int wst__url_encode(struct wst__buf *out, const void *bytes, size_t n);

#endif
