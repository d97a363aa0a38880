/*
 * What the clients of one uv loop share, and the real ports on top of it: the curl multi, the
 * input buffer, trust, TLS sessions, the turn.
 */
#ifndef WST_CLIENT_LOOP_H
#define WST_CLIENT_LOOP_H

#include "client/ports.h"

struct uv_loop_s;
struct wst_loop;

/* The ports of this loop.  Valid as long as it is. */
const struct wst__ports *wst__loop_ports(struct wst_loop *loop);
/* Counts the clients: wst_loop_close() refuses while there are any. */
void wst__loop_ref(struct wst_loop *loop);
void wst__loop_unref(struct wst_loop *loop);
/* The uv loop, for wst_client_post()'s async handle. */
struct uv_loop_s *wst__loop_uv(struct wst_loop *loop);
/* Is the caller on the loop's thread?  For assertions. */
bool wst__loop_is_mine(const struct wst_loop *loop);

#endif
