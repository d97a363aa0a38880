/* One curl multi on the uv loop, for the HTTP requests and the dials of one set of TLS options. */
#ifndef WST_IO_MULTI_CURL_H
#define WST_IO_MULTI_CURL_H

#include "io/types.h"

#include <curl/curl.h>
#include <uv.h>

struct wst__io;
struct wst__trust;
struct wst__multi;

/* One transfer on it.  Embedded in what it is for. */
struct wst__transfer {
    struct wst__multi *multi;
    CURL *easy;
    bool running; /* In the multi. */
    bool tls;     /* libcurl may have to shake hands for it: it may have to wait for its turn. */
    bool direct;  /* No proxy hears of it. */
    bool keep_socket; /* A dial: |fd| is its socket afterwards, ours to close; else -1. */
    int fd;
    uv_poll_t *poll; /* Of |fd|, stopped; to be closed before it, and freed once it has. */
    /* It has ended and left the multi; |easy| can still be asked.  May do anything. */
    void (*done)(struct wst__transfer *t, CURLcode result);
    /* Its request leaves; NULL: does not matter.  May do anything. */
    void (*sent)(struct wst__transfer *t);
    bool sent_told;                              /* It leaves, or has left. */
    struct wst__transfer *sent_next, *sent_prev; /* Of a ring of those to be told. */
    struct wst__transfer *wait_next, *wait_prev; /* Of a ring of those that wait to begin. */
};

/* libcurl's global part, once in a process.  NOMEM. */
int wst__multi_global(void);
/* After a suspend: what is idle in the pools is not used again. */
void wst__multis_distrust(struct wst__io *io);

/*
 * The multi for |trust|; takes a reference of it, and is counted.  libcurl reuses a connection
 * without looking at what verified it when that was an SSL_CTX callback, so that two sets of TLS
 * options must not share a pool of connections.  NOMEM.
 */
int wst__multi_get(struct wst__io *io, struct wst__trust *trust, struct wst__multi **out);
void wst__multi_unref(struct wst__multi *m);
/* The errno for which the last socket could not be made, whatever its address: EMFILE, ENFILE,
 * ENOBUFS, ENOMEM; else 0.  libcurl does not keep it. */
int wst__multi_no_socket(const struct wst__multi *m);

/* A new easy handle with what all have in common.  NOMEM. */
int wst__transfer_init(struct wst__transfer *t, struct wst__multi *m);
/* One that waits for its turn may still fail then: |done| tells.  NOMEM, IO. */
int wst__transfer_start(struct wst__transfer *t);
/* libcurl begins a TLS handshake for it. */
void wst__transfer_shakes_hands(struct wst__transfer *t);
/* Ends it at once, wherever it is; does not wait for a resolver.  Not from inside libcurl. */
void wst__transfer_fini(struct wst__transfer *t);
#endif
