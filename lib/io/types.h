/*
 * The words of this room: requests, answers and callbacks as the driver knows them through
 * client/ports.h.  No header of an outside library is needed to read them.
 */
#ifndef WST_IO_TYPES_H
#define WST_IO_TYPES_H

#include "base/buf.h"
#include "base/err.h"
#include "base/pairing_heap.h"
#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The clocks. */
struct wst__time {
    uint64_t now_ms;  /* Monotonic; never 0. */
    uint64_t boot_ms; /* Runs during sleep (CLOCK_BOOTTIME); where there is none: now_ms plus the
                         suspends that were noticed by the wall clock. */
    uint64_t now_us;  /* Monotonic, fine: for timings. */
    int64_t wall_s;   /* Wall clock, seconds since 1970. */
};

/* What TLS and the way out look like: the same for all three steps. */
struct wst__net_options {
    const char *ca_file, *ca_dir, *ca_pem; /* As in wst_config; all NULL: the system's. */
    const char *client_cert, *client_key;
    const char *pinned_key;
    bool tls13_only;
    bool insecure;
    const char *proxy; /* NULL: from the environment, chosen by the target's scheme. */
    const char *no_proxy;
    bool allow_plaintext; /* Plain connections may leave this machine. */
    const char *interface;
    bool cookies;
};
/* Made once per client from its options: trust (shared with equal ones), proxy, cookies. */
struct wst__net;

/* One HTTP exchange.  Redirects are not followed. */
struct wst__http_request {
    enum wst_step step; /* For causes. */
    const char *url;    /* http or https, with the query.  A secret. */
    const char *method;
    const char *const *headers; /* "Name: value", NULL-terminated list.  Secrets. */
    const char *body;           /* NULL: none (then POST and PUT send Content-Length: 0). */
    size_t body_len;
    size_t max_header_bytes;
    size_t max_body_bytes;
};
struct wst__http_answer {
    int status;
    const char *body; /* Terminated at |body_len|; may hold secrets. */
    size_t body_len;
    bool has_retry_after;
    uint64_t retry_after_ms; /* Clamped to [0, a day]. */
    char content_type[64];
    char location_host[256]; /* Of a 3xx: where it pointed, host only. */
};
struct wst__http; /* One under way. */
struct wst__http_cbs {
    /* The request has been (or is just being) sent.  At most once, before |done|. */
    void (*sent)(void *arg);
    /* |answer| when |why->code| is 0, whatever the status; else why->code tells (RESOLVE, CONNECT,
     * TLS_VERIFY, REPLY_TOO_LARGE, PROXY_AUTH ...).  The object is gone afterwards. */
    void (*done)(void *arg, const struct wst_cause *why, const struct wst__http_answer *answer);
};

/* A byte stream to the WebSocket's host: dialed (DNS, happy eyeballs, proxy), then TLS. */
struct wst__stream_request {
    const char *host; /* A-label or IP literal without brackets. */
    uint16_t port;
    bool tls;
};
struct wst__stream_timing {
    uint64_t dns_us, tcp_us, tls_us;
};
struct wst__stream;
/* Lives as long as the stream. */
struct wst__stream_cbs {
    /* It stands, TLS included; nothing has been written. */
    void (*ready)(void *arg, const struct wst__stream_timing *timing);
    /*
     * Bytes have arrived, in a buffer that all streams of the loop share: valid until this
     * returns.  The callee takes all of them (it keeps what it cannot use yet), and may change them
     * (wipe).  It may close the
     * stream.
     */
    void (*data)(void *arg, uint8_t *bytes, size_t n);
    /*
     * Optional: where the next bytes should be received straight to, for a large message; returns
     * NULL for the shared buffer.  |placed| follows instead of |data|.
     */
    uint8_t *(*place)(void *arg, size_t *room);
    void (*placed)(void *arg, size_t n);
    /* What was blocked can be written again: the callee calls stream_write. */
    void (*writable)(void *arg);
    /* The end: why->code EOF after an orderly end (TLS: close_notify or FIN), else what happened.
     * Also when it never became ready.  The stream must still be closed. */
    void (*ended)(void *arg, const struct wst_cause *why);
};

/* File work for the token cache: on the pool, never on the loop's thread. */
struct wst__file; /* One under way. */
/* |err|: 0, IO, NOMEM; CONFIG: what was to be read is another user's (EPERM), or others may read or
 * write it (EACCES). */
typedef void (*wst__file_cb)(void *arg, int err, int sys_errno, const void *data, size_t n);

/* A time to be called at, on the monotonic clock. */
struct wst__timer {
    void (*cb)(void *arg);
    void *arg;
    struct wst__heap_node node; /* The port's own; the key is the time, UINT64_MAX: not armed. */
    bool due;                   /* The port's own. */
};

static inline void wst__timer_init(struct wst__timer *t, void (*cb)(void *arg), void *arg)
{
    *t = (struct wst__timer){.cb = cb, .arg = arg, .node.key = UINT64_MAX};
}

/* UINT64_MAX: it is not armed. */
static inline uint64_t wst__timer_due_ms(const struct wst__timer *t)
{
    return t->node.key;
}

/* A call from another thread. */
struct wst__letter {
    void (*run)(void *arg);
    void *arg;
    struct wst__letter *next; /* The port's own. */
};

/* Where calls to one client go.  All zero at first; the port's own. */
struct wst__mailbox {
    struct wst__letter last; /* Tells that it is closed; |run| not NULL: it closes. */
};

/* A wish to run once in this turn of the loop. */
struct wst__turn {
    void (*cb)(void *arg);
    void *arg;
    struct wst__turn *next, *prev; /* The port's own; NULL: it is not asked for. */
};

#endif
