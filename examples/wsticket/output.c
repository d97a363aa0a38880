/*
 * Writing without making the loop wait: what fits at once, then a thread of the pool.
 */
#define _XOPEN_SOURCE 700 /* ptsname() */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* write(2) that comes back from a signal. */
static ssize_t write_some(int fd, const char *data, size_t len)
{
    ssize_t n;
    do
        n = write(fd, data, len);
    while (n < 0 && errno == EINTR);
    return n;
}

/*
 * Opens a terminal anew, so that O_NONBLOCK is ours alone; -1: it cannot be.  /dev/tty may be
 * opened also by who may not open the terminal by its name, as after su(1).
 */
static int open_terminal(int fd)
{
    if (ptsname(fd)) /* The other end of a pseudo-terminal: opened anew, it is another one. */
        return -1;
    const char *name = tcgetpgrp(fd) != -1 ? "/dev/tty" : ttyname(fd);
    return name ? open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
}

/*
 * Writes what fits now and returns how much that was.  A pipe that is writable has room for at
 * least PIPE_BUF bytes (poll(2), pipe(7)), so that a write of so many does not block.  A terminal
 * need not have: there only a descriptor that does not block is of use.
 */
static size_t write_now(struct output *o, const char *data, size_t len)
{
    size_t done = 0;
    while (done < len && o->now_fd != -1) {
        struct pollfd p = {.fd = o->now_fd, .events = POLLOUT};
        if (poll(&p, 1, 0) <= 0)
            break;
        size_t piece = len - done < PIPE_BUF ? len - done : PIPE_BUF;
        ssize_t n = write_some(o->now_fd, data + done, piece);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0) {
            o->error = errno;
            break;
        }
        done += (size_t)n;
    }
    return done;
}

/* On the pool: here it may block.  Somebody else may have made the descriptor non-blocking. */
static void write_rest(uv_work_t *work)
{
    struct output *o = work->data;
    const char *data = o->writing.data;
    size_t left = o->writing.len;
    while (left > 0) {
        ssize_t n = write_some(o->fd, data, left);
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            o->error = errno;
            return;
        }
        if (n < 0) {
            struct pollfd p = {.fd = o->fd, .events = POLLOUT};
            poll(&p, 1, -1);
            continue;
        }
        data += n;
        left -= (size_t)n;
    }
}

static void begin(struct output *o);

static void written(uv_work_t *work, int err)
{
    (void)err; /* Nobody cancels it. */
    struct output *o = work->data;
    o->busy = false;
    o->writing.len = 0;
    if (o->error)
        o->waiting.len = 0;
    begin(o);
    if (o->changed)
        o->changed(o->arg);
}

/* Hands what waits to the pool. */
static void begin(struct output *o)
{
    if (o->busy || o->waiting.len == 0)
        return;
    struct bytes swap = o->writing;
    o->writing = o->waiting;
    o->waiting = swap;
    o->busy = true;
    uv_queue_work(o->loop, &o->work, write_rest, written);
}

void output_init(struct output *o, uv_loop_t *loop, int fd, void (*changed)(void *arg), void *arg)
{
    *o = (struct output){.loop = loop,
                         .fd = fd,
                         .now_fd = isatty(fd) ? open_terminal(fd) : fd,
                         .changed = changed,
                         .arg = arg};
    o->work.data = o;
}

void output_write(struct output *o, const void *data, size_t len)
{
    const char *from = data;
    size_t done = 0;
    if (!o->busy && o->error == 0)
        done = write_now(o, from, len);
    /* While the pool writes, |error| is the pool's. */
    if (!o->busy && o->error != 0) {
        if (o->changed)
            o->changed(o->arg);
        return;
    }
    bytes_add(&o->waiting, from + done, len - done);
    begin(o);
}

size_t output_pending(const struct output *o)
{
    return o->waiting.len + (o->busy ? o->writing.len : 0);
}

void output_fini(struct output *o)
{
    bytes_free(&o->waiting);
    bytes_free(&o->writing);
    if (o->now_fd != o->fd && o->now_fd != -1)
        close(o->now_fd);
}
