/* Bytes over a polled socket, plain or TLS. */
#ifndef WST_IO_STREAM_OPENSSL_H
#define WST_IO_STREAM_OPENSSL_H

#include "io/sealed.h"
#include "io/types.h"

struct wst__io;
struct wst__net;

enum { WST__INPUT_BYTES = 64 * 1024 };

/* What all streams of a loop share. */
struct wst__hub {
    struct wst__io *io;
    uint8_t *memory;        /* One block, for the following three. */
    uint8_t *input;         /* What came from the socket. */
    uint8_t *plain;         /* What was decrypted of it. */
    uint8_t *gather;        /* Pieces that go into one record. */
    struct wst__sealed out; /* Of the stream that is writing; empty between its calls. */
    /* How OpenSSL reaches our sockets; made for the first TLS connection. */
    struct bio_method_st *bio_method;
    /* Streams that wait for their handshake: it is much work, so few begin in one turn. */
    struct wst__stream *first, *last;
    struct wst__turn turn;
    size_t handshakes; /* Begun so far. */
};

int wst__hub_init(struct wst__hub *hub, struct wst__io *io);
void wst__hub_fini(struct wst__hub *hub);

/* See client/ports.h. */
int wst__stream_open(struct wst__net *net, const struct wst__stream_request *rq,
                     const struct wst__stream_cbs *cbs, void *arg, struct wst__stream **out);
int wst__stream_write(struct wst__stream *s, const struct iovec *iov, size_t count, size_t *wrote,
                      struct wst_cause *why);
size_t wst__stream_sealed(const struct wst__stream *s);
void wst__stream_read(struct wst__stream *s, bool on);
void wst__stream_shutdown(struct wst__stream *s);
void wst__stream_close(struct wst__stream *s, void (*closed)(void *arg), void *arg);

/* Was the TLS session resumed? */
bool wst__stream_resumed(const struct wst__stream *s);

#endif
