/* Calls from other threads: posted under a lock, run on the loop. */
#ifndef WST_IO_MAILBOX_UV_H
#define WST_IO_MAILBOX_UV_H

#include <uv.h>

struct wst__mailbox;

/* NOMEM, IO. */
int wst__mailbox_new(struct wst__mailbox **out, uv_loop_t *loop);
/* Any thread.  |fn| runs once on the loop.  The loop is not kept alive for it.  NOMEM. */
int wst__mailbox_post(struct wst__mailbox *box, void (*fn)(void *a, void *b), void *a, void *b);
/* What is pending is run first, then |closed|; afterwards the mailbox is gone. */
void wst__mailbox_close(struct wst__mailbox *box, void (*closed)(void *arg), void *arg);

#endif
