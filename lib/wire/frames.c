/* wslay's frame layer over our memory. */
#include "wire/frames.h"

#include "base/err.h"
#include "base/mem.h"

#include <string.h>

enum {
    LAY_OUT_MAX = 16, /* Frames laid out at once: more would gain nothing and cost rewinds. */
    SHORT_HEAD = WST__HEAD_SHORT,
    MEDIUM_HEAD = WST__HEAD_MEDIUM,
    LONG_HEAD = 10, /* Header with a length above 65535. */
    MASK_KEY = 4
};

/*
 * Lays out the headers of frames that lie whole in the input, and room for their payload.  The
 * lengths are read here only to know what lies where; it is wslay that checks them.
 */
static size_t lay_out(struct wst__frames *f, uint8_t *buf, size_t room)
{
    const uint8_t *p = f->in;
    uint8_t *to = buf;
    size_t left = (size_t)(f->end - p) < room ? (size_t)(f->end - p) : room;
    unsigned ahead = 0;

    while (left >= MEDIUM_HEAD && ahead < LAY_OUT_MAX) {
        size_t size = p[1];

        if (size < 126)
            size += SHORT_HEAD;
        else if (size == 126)
            size = (size_t)(p[2] << 8 | p[3]) + MEDIUM_HEAD;
        else
            break;
        if (size > left || size > f->whole_max)
            break;
        memcpy(to, p, MEDIUM_HEAD); /* What is too much lies where payload goes. */
        p += size;
        to += size;
        left -= size;
        ahead++;
    }
    f->ahead = ahead;
    return (size_t)(to - buf);
}

/*
 * Gives what there is of one header.  With its last byte the beginning of the payload is claimed
 * to be there, since wslay tells nothing about a frame before it has seen a byte of its payload:
 * all of it when it is short, else the one byte that a longer one surely has.
 */
static size_t give_header(struct wst__frames *f, uint8_t *buf)
{
    size_t n = 0;

    while (f->in < f->end && f->given < f->size) {
        buf[n] = *f->in++;
        if (++f->given == SHORT_HEAD) {
            unsigned length = buf[n] & 0x7fu;

            f->size = length < 126 ? SHORT_HEAD : length == 126 ? MEDIUM_HEAD : LONG_HEAD;
            f->size += buf[n] & 0x80 ? MASK_KEY : 0;
            f->claim = length < 126 ? length : 1;
        }
        n++;
    }
    if (f->given == f->size) {
        n += f->claim;
        f->claim = 0;
    }
    return n;
}

/* What wslay calls when it needs more bytes.  0: there are none now. */
static ssize_t give(uint8_t *buf, size_t room, int flags, void *arg)
{
    struct wst__frames *f = arg;
    size_t n;

    (void)flags;
    if (f->counted != f->length) {
        n = f->claim < room ? f->claim : room;
        f->claim -= n;
        return (ssize_t)n;
    }
    n = f->given ? 0 : lay_out(f, buf, room);
    if (n == 0)
        n = give_header(f, buf);
    return (ssize_t)n;
}

struct wst__frames *wst__frames_new(void)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = give};
    struct wst__frames *f = wst__calloc(1, sizeof *f);

    if (!f)
        return NULL;
    f->size = SHORT_HEAD;
    if (wslay_frame_context_init(&f->wslay, &callbacks, f) != 0) {
        wst__free(f);
        return NULL;
    }
    return f;
}

void wst__frames_free(struct wst__frames *f)
{
    if (!f)
        return;
    wslay_frame_context_free(f->wslay);
    wst__free(f);
}

int wst__frames_next(struct wst__frames *f, const uint8_t **p, const uint8_t *end)
{
    ssize_t r;

    f->in = *p;
    f->end = end;
    r = wslay_frame_recv(f->wslay, &f->io);
    if (r < 0)
        return r == WSLAY_ERR_WANT_READ ? 0 : WST_ERR_WS_PROTOCOL;
    if (f->ahead) {
        f->ahead--;
        *p += wst__frames_head((size_t)r);
        return 1;
    }
    *p = f->in;
    f->given = 0;
    f->size = SHORT_HEAD;
    f->counted = (uint64_t)r;
    f->got = 0;
    f->length = f->io.payload_length;
    return 2;
}

void wst__frames_count(struct wst__frames *f, size_t n)
{
    struct wslay_frame_iocb io;

    f->got += n;
    while (f->counted < f->got) {
        ssize_t r;

        f->claim = (size_t)(f->got - f->counted);
        r = wslay_frame_recv(f->wslay, &io);
        if (r <= 0)
            return; /* Cannot be: it was promised bytes. */
        f->counted += (uint64_t)r;
    }
}

bool wst__frames_rewind_all(struct wst__frames *f)
{
    struct wslay_frame_iocb io;

    for (; f->ahead; f->ahead--) {
        if (wslay_frame_recv(f->wslay, &io) < 0)
            return false;
    }
    return true;
}
