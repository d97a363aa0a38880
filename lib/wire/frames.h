/*
 * Frames (RFC 6455, 5.2): wslay's frame layer over our memory.
 *
 * wslay parses every header and checks it: control frames that are too long or fragmented,
 * lengths that are not in their shortest form, lengths with the highest bit set.  The payload is
 * counted by it, but never copied to it: a server's frames are not masked, so wslay does not look
 * at payload, and where it lies is known from the header.
 *
 * Asking wslay for one frame costs it a call back to us and a memmove; so the headers of several
 * small frames are laid out in its buffer at once, each followed by as many bytes as its payload
 * has, whatever they hold.
 */
#ifndef WST_WIRE_FRAMES_H
#define WST_WIRE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wslay/wslay.h>

enum {
    WST__CONTROL_MAX = 125, /* RFC 6455, 5.5. */
    WST__HEAD_SHORT = 2,    /* Header with a length up to 125, */
    WST__HEAD_MEDIUM = 4,   /* and up to 65535. */
};

struct wst__frames {
    wslay_frame_context_ptr wslay;
    struct wslay_frame_iocb io; /* The frame that was parsed last. */
    const uint8_t *in, *end;    /* The input, for the callback. */
    size_t whole_max;           /* Larger frames are not laid out, but told as under way. */
    unsigned ahead;             /* Frames that lie whole in wslay's buffer. */
    /* The frame under way that is not whole in the input. */
    unsigned given;                    /* Bytes of its header that wslay has, */
    unsigned size;                     /* of so many: 2 as long as the second is not known. */
    size_t claim;                      /* Payload bytes that wslay may count now. */
    uint64_t counted;                  /* It has counted so many, */
    uint64_t got;                      /* and so many have arrived, */
    uint64_t length;                   /* of so many. */
    uint8_t control[WST__CONTROL_MAX]; /* Payload of a control frame under way. */
};

/* NULL: out of memory. */
struct wst__frames *wst__frames_new(void);
void wst__frames_free(struct wst__frames *f);

/*
 * Parses the next header from |*p|; |f->io| tells what it says.
 *  2: |*p| is at the payload; |f->length| bytes of it are to be counted by wst__frames_count() as
 *     they arrive.
 *  1: |*p| is at the payload, all of it is there, and the frame is done with.
 *  0: all input was used up, the header goes on behind it.
 * <0: WS_PROTOCOL, the header is not allowed; |f| must be freed.
 */
int wst__frames_next(struct wst__frames *f, const uint8_t **p, const uint8_t *end);

/* The size of a server's header for a payload of |n| bytes that lies in wslay's buffer. */
static inline size_t wst__frames_head(size_t n)
{
    return n < 126 ? WST__HEAD_SHORT : WST__HEAD_MEDIUM;
}
/* |n| more payload bytes have arrived. */
void wst__frames_count(struct wst__frames *f, size_t n);
/*
 * Forgets what was laid out and not yet asked for: what follows will be offered again.  False:
 * that cannot be, |f| must be freed.
 */
bool wst__frames_rewind_all(struct wst__frames *f);
static inline bool wst__frames_rewind(struct wst__frames *f)
{
    return f->ahead == 0 || wst__frames_rewind_all(f);
}
/* Is a frame under way? */
static inline bool wst__frames_busy(const struct wst__frames *f)
{
    return f->given != 0 || f->got != f->length;
}

#endif
