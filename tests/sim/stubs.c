/*
 * The part of loop.h that client.c calls.  A client in a simulated world has no loop, so none of it
 * is ever reached.
 */
#include "client/loop.h"

#include <stdlib.h>

const struct wst__ports *wst__loop_ports(struct wst_loop *loop)
{
    (void)loop;
    abort();
}

void wst__loop_ref(struct wst_loop *loop)
{
    (void)loop;
    abort();
}

void wst__loop_unref(struct wst_loop *loop)
{
    (void)loop;
    abort();
}

bool wst__loop_is_mine(const struct wst_loop *loop)
{
    (void)loop;
    abort();
}

int wst_loop_new(struct wst_loop **loop, struct uv_loop_s *uv)
{
    (void)loop;
    (void)uv;
    abort();
}

int wst_loop_close(struct wst_loop *loop, wst_loop_close_cb cb, void *arg)
{
    (void)loop;
    (void)cb;
    (void)arg;
    abort();
}
