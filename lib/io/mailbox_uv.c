/*
 * The mailbox: a list under a mutex and an async handle that wakes the loop.  libuv may merge
 * several wake-ups into one, so the callback takes the whole list.
 */
#include "io/mailbox_uv.h"

#include "base/mem.h"
#include "wsticket/wsticket.h"

#include <stdbool.h>

struct letter {
    void (*fn)(void *a, void *b);
    void *a, *b;
    struct letter *next;
};

struct wst__mailbox {
    uv_async_t async;
    uv_mutex_t lock;
    struct letter *first, **last;
    bool closing; /* Under the lock, too. */
    void (*closed)(void *arg);
    void *arg;
};

/* In the order of posting; a letter may post another, which waits for its own turn. */
static void deliver(struct wst__mailbox *box)
{
    struct letter *l;

    uv_mutex_lock(&box->lock);
    l = box->first;
    box->first = NULL;
    box->last = &box->first;
    uv_mutex_unlock(&box->lock);
    while (l) {
        struct letter *next = l->next;

        l->fn(l->a, l->b);
        wst__free(l);
        l = next;
    }
}

static void on_async(uv_async_t *async)
{
    deliver(async->data);
}

int wst__mailbox_new(struct wst__mailbox **out, uv_loop_t *loop)
{
    struct wst__mailbox *box = wst__calloc(1, sizeof *box);

    if (!box)
        return WST_ERR_NOMEM;
    if (uv_mutex_init(&box->lock) != 0) {
        wst__free(box);
        return WST_ERR_IO;
    }
    if (uv_async_init(loop, &box->async, on_async) != 0) {
        uv_mutex_destroy(&box->lock);
        wst__free(box);
        return WST_ERR_IO;
    }
    uv_unref((uv_handle_t *)&box->async);
    box->async.data = box;
    box->last = &box->first;
    *out = box;
    return 0;
}

int wst__mailbox_post(struct wst__mailbox *box, void (*fn)(void *a, void *b), void *a, void *b)
{
    struct letter *l = wst__malloc(sizeof *l);
    bool closing;

    if (!l)
        return WST_ERR_NOMEM;
    *l = (struct letter){fn, a, b, NULL};
    uv_mutex_lock(&box->lock);
    closing = box->closing;
    if (!closing) {
        *box->last = l;
        box->last = &l->next;
        (void)uv_async_send(&box->async); /* Fails only on a handle of another type. */
    }
    uv_mutex_unlock(&box->lock);
    if (closing)
        wst__free(l);
    return closing ? WST_ERR_CLOSING : 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct wst__mailbox *box = handle->data;
    void (*closed)(void *arg) = box->closed;
    void *arg = box->arg;

    deliver(box); /* What these post is refused. */
    uv_mutex_destroy(&box->lock);
    wst__free(box);
    if (closed)
        closed(arg);
}

void wst__mailbox_close(struct wst__mailbox *box, void (*closed)(void *arg), void *arg)
{
    box->closed = closed;
    box->arg = arg;
    uv_mutex_lock(&box->lock);
    box->closing = true;
    uv_mutex_unlock(&box->lock);
    uv_close((uv_handle_t *)&box->async, on_closed);
}
