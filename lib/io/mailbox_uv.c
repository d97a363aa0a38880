/*
 * The mail of a loop: one list under a mutex, for all of its clients, and one async handle that
 * wakes the loop.  libuv may merge several wake-ups into one, so the callback takes the whole list.
 *
 * A box that closes posts a last letter to itself: it is run behind all that came before, and
 * nothing is taken any more that would come behind it.
 */
#include "io/mailbox_uv.h"

#include "io/io.h"
#include "wsticket/wsticket.h"

/* In the order of posting; a letter may post another, which waits for its own turn. */
static void deliver(struct wst__mail *mail)
{
    struct wst__letter *l;

    uv_mutex_lock(&mail->lock);
    l = mail->first;
    mail->first = NULL;
    mail->last = &mail->first;
    uv_mutex_unlock(&mail->lock);
    while (l) {
        struct wst__letter *next = l->next;

        l->run(l->arg); /* |l| may be gone afterwards. */
        l = next;
    }
}

static void on_async(uv_async_t *async)
{
    uv_unref((uv_handle_t *)async); /* All last letters that kept the loop alive are delivered. */
    deliver(async->data);
}

int wst__mail_init(struct wst__mail *mail, struct wst__io *io)
{
    mail->io = io;
    mail->first = NULL;
    mail->last = &mail->first;
    if (uv_mutex_init(&mail->lock) != 0)
        return WST_ERR_IO;
    if (uv_async_init(io->uv, &mail->async, on_async) != 0) {
        uv_mutex_destroy(&mail->lock);
        return WST_ERR_IO;
    }
    mail->async.data = mail;
    uv_unref((uv_handle_t *)&mail->async);
    wst__io_hold(io);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct wst__mail *mail = handle->data;

    deliver(mail);
    uv_mutex_destroy(&mail->lock);
    wst__io_release(mail->io);
}

void wst__mail_close(struct wst__mail *mail)
{
    uv_close((uv_handle_t *)&mail->async, on_closed);
}

/* Under the lock. */
static void put(struct wst__mail *mail, struct wst__letter *letter)
{
    letter->next = NULL;
    *mail->last = letter;
    mail->last = &letter->next;
    (void)uv_async_send(&mail->async); /* Fails only on a handle of another type. */
}

int wst__mailbox_post(struct wst__mail *mail, struct wst__mailbox *box, struct wst__letter *letter)
{
    bool closing;

    uv_mutex_lock(&mail->lock);
    closing = box->last.run != NULL;
    if (!closing)
        put(mail, letter);
    uv_mutex_unlock(&mail->lock);
    return closing ? WST_ERR_CLOSING : 0;
}

void wst__mailbox_close(struct wst__mail *mail, struct wst__mailbox *box, void (*closed)(void *arg),
                        void *arg)
{
    uv_ref((uv_handle_t *)&mail->async);
    uv_mutex_lock(&mail->lock);
    box->last.run = closed;
    box->last.arg = arg;
    put(mail, &box->last);
    uv_mutex_unlock(&mail->lock);
}
