/* Calls from other threads: posted under a lock, run on the loop. */
#ifndef WST_IO_MAILBOX_UV_H
#define WST_IO_MAILBOX_UV_H

#include "io/types.h"

#include <uv.h>

struct wst__io;

/* What comes for all clients of a loop. */
struct wst__mail {
    struct wst__io *io;
    uv_async_t async;
    uv_mutex_t lock;
    struct wst__letter *first, **last;
};

/* IO: nothing is left. */
int wst__mail_init(struct wst__mail *mail, struct wst__io *io);
/* All boxes are closed; what is pending is run. */
void wst__mail_close(struct wst__mail *mail);

/* See client/ports.h. */
int wst__mailbox_post(struct wst__mail *mail, struct wst__mailbox *box, struct wst__letter *letter);
void wst__mailbox_close(struct wst__mail *mail, struct wst__mailbox *box, void (*closed)(void *arg),
                        void *arg);

#endif
