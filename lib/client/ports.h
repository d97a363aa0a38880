/*
 * What the driver asks of the outside: one table of functions.  The real one stands in loop.c, on
 * libcurl, libuv and OpenSSL; the tests put a simulated world behind the same table.
 *
 * Rules for every port:
 * - It never calls back from inside the call that asked.
 * - After cancel or close no callback runs for that object, except the one that close names.
 * - Times are milliseconds.  Callbacks get the |arg| that was given with the request.
 * - Strings and structs in a request are borrowed for the call: what is needed later is copied
 *   (secrets into wiped memory).
 */
#ifndef WST_CLIENT_PORTS_H
#define WST_CLIENT_PORTS_H

#include "base/secret.h"
#include "io/types.h"

struct wst__ws_pool;
struct wst__configs;

struct wst__ports {
    void *world;                  /* First argument of every function. */
    struct wst__ws_pool *ws_pool; /* Lent to the connections of this loop; NULL: each its own. */
    struct wst__configs *configs; /* Of the clients of this loop; NULL: nothing is shared. */

    void (*clock)(void *world, struct wst__time *t);
    /* The monotonic clock when the loop polled last: it costs nothing.  Where the kernel ticks 1000
     * times a second, libuv takes the time of the last tick: up to 1 ms behind |clock|. */
    uint64_t (*polled_ms)(void *world);
    /* Unpredictable bytes: keys for masks, nonces, seeds.  ENTROPY. */
    int (*random)(void *world, void *p, size_t n);

    /*
     * Runs |cb| once at |due_ms|; UINT64_MAX disarms.  When the machine has slept it may also run
     * early, and is armed still.  One per client: |t| is embedded in it (wst__timer_init()).
     */
    void (*timer_set)(void *world, struct wst__timer *t, uint64_t due_ms);

    /*
     * Runs |cb| once from the loop, before it sleeps; asking again before that changes nothing.
     * One per client: |turn| is embedded in it.  The loop is kept alive until then.
     */
    void (*turn_ask)(void *world, struct wst__turn *turn);
    void (*turn_drop)(void *world, struct wst__turn *turn);

    /*
     * Calls from other threads.  |letter| is lent until it is run, once, from the loop; the loop is
     * not kept alive for it.  CLOSING: it was not taken.  May be called from any thread, until
     * |closed| has run; before that runs everything that was taken.  One box per client, embedded.
     */
    int (*mailbox_post)(void *world, struct wst__mailbox *box, struct wst__letter *letter);
    void (*mailbox_close)(void *world, struct wst__mailbox *box, void (*closed)(void *arg),
                          void *arg);

    /* Copies the options; checks what can be checked without files.  CONFIG, NOMEM. */
    int (*net_new)(void *world, const struct wst__net_options *opt, struct wst__net **out,
                   struct wst_cause *why);
    void (*net_free)(void *world, struct wst__net *net); /* Nothing of it is under way any more. */
    /* The Cookie header's value for this URL, added to |out| (a secret buffer). */
    int (*cookies)(void *world, struct wst__net *net, const char *url, struct wst__buf *out);

    /* NOMEM, IO: nothing was begun. */
    int (*http_start)(void *world, struct wst__net *net, const struct wst__http_request *rq,
                      const struct wst__http_cbs *cbs, void *arg, struct wst__http **out);
    /* A refusal whose head has come, though its body has no end, as it would be told to |done|;
     * false: none has.  |answer| stands until the cancel, which must follow. */
    bool (*http_refusal)(void *world, struct wst__http *h, struct wst_cause *why,
                         const struct wst__http_answer **answer);
    void (*http_cancel)(void *world, struct wst__http *h); /* At once; never blocks. */

    int (*stream_open)(void *world, struct wst__net *net, const struct wst__stream_request *rq,
                       const struct wst__stream_cbs *cbs, void *arg, struct wst__stream **out);
    /*
     * Writes as much as the kernel takes now, in one call and as few TLS records as fit; |wrote|
     * says how much.  Less than all: |writable| follows, or |ended|, behind what has come, when
     * the stream has broken and is read.  Negative: it has broken and is not read (RESET, EOF, TLS,
     * IO in |why|), |ended| does not follow.
     */
    int (*stream_write)(void *world, struct wst__stream *s, const struct iovec *iov, size_t count,
                        size_t *wrote, struct wst_cause *why);
    /* How many of the bytes that stream_write did not write are sealed in TLS records already: they
     * must be offered again, first and as they are. */
    size_t (*stream_sealed)(void *world, const struct wst__stream *s);
    /* Reading off: no |data| and no |ended| by reading until it is on again. */
    void (*stream_read)(void *world, struct wst__stream *s, bool on);
    /* Ends our side of it: TLS close_notify and FIN; the peer's end follows as |ended|. */
    void (*stream_shutdown)(void *world, struct wst__stream *s);
    /* At once.  |closed| (may be NULL) runs from the loop when nothing of it is left there. */
    void (*stream_close)(void *world, struct wst__stream *s, void (*closed)(void *arg), void *arg);

    /* Reads a whole file of ours alone (bounded to 64 KiB; a missing file: err 0, data NULL);
     * replaces a file (mode 0600, temporary file beside it, rename); removes it.  |cb| exactly
     * once; after file_cancel not at all (a write that has begun is finished). */
    int (*file_read)(void *world, const char *path, wst__file_cb cb, void *arg,
                     struct wst__file **out);
    int (*file_replace)(void *world, const char *path, const void *data, size_t n, wst__file_cb cb,
                        void *arg, struct wst__file **out);
    int (*file_remove)(void *world, const char *path, wst__file_cb cb, void *arg,
                       struct wst__file **out);
    void (*file_cancel)(void *world, struct wst__file *f);
};

#endif
