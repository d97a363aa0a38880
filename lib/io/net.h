/*
 * What a client's options make of the network: trust, proxy, cookies.  Clients of one loop for whom
 * they make the same share it, unless it has cookies.
 */
#ifndef WST_IO_NET_H
#define WST_IO_NET_H

#include "io/proxy.h"
#include "io/types.h"

#include <curl/curl.h>

struct wst__io;
struct wst__trust;
struct wst__multi;

struct wst__net {
    struct wst__io *io;
    struct wst__net *next, *prev; /* Of the io room. */
    size_t users;
    struct wst__trust *trust;
    struct wst__multi *multi;
    struct wst__proxies proxies;
    char *interface; /* As libcurl wants it; NULL: any. */
    CURLSH *share;   /* NULL: no cookies. */
    bool own_ctx;    /* libcurl's TLS is our OpenSSL: it gets our trust as it is. */
};

/* See client/ports.h. */
int wst__net_new(struct wst__io *io, const struct wst__net_options *opt, struct wst__net **out,
                 struct wst_cause *why);
/* The last user frees it. */
void wst__net_free(struct wst__net *net);
/* Interface, proxy and the way to it, for an easy handle of this net.  NOMEM. */
int wst__net_apply(const struct wst__net *net, CURL *easy, const char *proxy);

#endif
