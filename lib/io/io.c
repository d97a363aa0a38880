/*
 * The shared part: made of its pieces, and gone when the last handle and the last job in the pool
 * have reported back.  Everything that lives in the uv loop is counted here.
 */
#include "io/io.h"

#include "io/multi_curl.h"

#include <assert.h>
#include <string.h>

int wst__io_init(struct wst__io *io, uv_loop_t *uv)
{
    int rc;

    memset(io, 0, sizeof *io);
    io->uv = uv;
    io->thread = uv_thread_self();
    io->held = 1;
    rc = wst__multi_global();
    if (rc != 0)
        return rc;
    rc = wst__hub_init(&io->hub, io);
    if (rc != 0)
        return rc;
    rc = wst__mail_init(&io->mail, io);
    if (rc != 0) {
        wst__hub_fini(&io->hub);
        return rc;
    }
    wst__clock_init(&io->clock);
    wst__entropy_init(&io->entropy);
    wst__files_init(&io->files, io);
    wst__turns_init(&io->turns, io);
    wst__timers_init(&io->timers, io);
    return 0;
}

void wst__io_close(struct wst__io *io, void (*closed)(void *arg), void *arg)
{
    assert(!io->closing);
    io->closing = true;
    io->closed = closed;
    io->closed_arg = arg;
    wst__timers_close(&io->timers);
    wst__mail_close(&io->mail);
    wst__io_release(io);
}

void wst__io_hold(struct wst__io *io)
{
    io->held++;
}

static void on_turns_closed(void *arg)
{
    struct wst__io *io = arg;

    wst__hub_fini(&io->hub);
    wst__entropy_fini(&io->entropy);
    io->closed(io->closed_arg);
}

/* The turns go last: what is closing may still need one. */
void wst__io_release(struct wst__io *io)
{
    assert(io->held > 0);
    if (--io->held == 0)
        wst__turns_close(&io->turns, on_turns_closed, io);
}

void wst__io_woke(struct wst__io *io)
{
    wst__multis_distrust(io);
    wst__timers_fire(&io->timers);
}
