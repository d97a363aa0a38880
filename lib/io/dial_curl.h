/* A connected socket to a host: DNS, happy eyeballs, proxy, interface are libcurl's work. */
#ifndef WST_IO_DIAL_CURL_H
#define WST_IO_DIAL_CURL_H

#include "io/types.h"

#include <uv.h>

struct wst__net;
struct wst__dial;

/*
 * |fd| stands, without Nagle's delay, and |poll| is its handle, stopped: both are the callee's, the
 * handle to be closed first and freed by wst__free() once it has; |timing| tells how long it took.
 * Or |poll| is NULL and |why| says why.  The dial is gone.
 */
typedef void (*wst__dial_cb)(void *arg, int fd, uv_poll_t *poll,
                             const struct wst__stream_timing *timing, const struct wst_cause *why);

/* |secure|: which proxy is taken.  NOMEM, IO. */
int wst__dial_start(struct wst__net *net, const char *host, uint16_t port, bool secure,
                    wst__dial_cb cb, void *arg, struct wst__dial **out);
/* At once; |cb| will not run. */
void wst__dial_cancel(struct wst__dial *d);

#endif
