/* One wst__ws in memory, whose events and output are written down as text. */
#ifndef TESTS_WIRE_WS_FIXTURE_H
#define TESTS_WIRE_WS_FIXTURE_H

#include "ws_trace.h"

#include "wire/message.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

struct fixture {
    struct wst__ws *ws;
    struct wst__ws_config config;
    struct wst__ws_tally tally;
    struct trace events;
    struct trace output;  /* Frames that left, unmasked again. */
    struct wst_cause why; /* Of the error that came last. */
    uint8_t *sealed;      /* Bytes that were offered and must be offered again as they are. */
    size_t sealed_len;
    uint8_t *left; /* Bytes that left and are not a whole frame yet. */
    size_t left_len, left_cap;
    uint64_t seed;
    bool no_entropy;     /* There are no masking keys to be had. */
    unsigned stop_after; /* Not 0: so many callbacks later one returns false. */
    /* Called in every callback when not NULL: for what callbacks may do. */
    void (*in_callback)(struct fixture *fx);
    unsigned in_callback_depth;
    const uint8_t *last_data; /* Of the last message. */
    /* Takes a frame that left, instead of the text in |output|, when not NULL. */
    void (*on_frame)(struct fixture *fx, uint8_t first, const uint8_t *payload, size_t n);
    size_t max_pieces; /* Of output that are asked for at once; 0: three. */
    bool chunks;       /* Messages are taken in chunks; their pieces are put together again. */
    uint8_t *pieces;
    size_t pieces_len;
    bool pieces_open;
};

/* A pool for the connections of |config|. */
void fixture_pool(struct wst__ws_config *config);
/* Ceilings of 0: 1 MiB. */
void fixture_init(struct fixture *fx, size_t max_message, size_t max_queue);
/* The same with more of a configuration; what is 0 in it is filled in. */
void fixture_init_with(struct fixture *fx, const struct wst__ws_config *config);
/* The same, with the chunk callback. */
void fixture_init_chunks(struct fixture *fx, const struct wst__ws_config *config);
void fixture_fini(struct fixture *fx);
/* Feeds all of it, in a buffer of exactly that size; an error is an event.  Returns it. */
int fixture_feed(struct fixture *fx, const uint8_t *p, size_t n);
/* We begin the close, and what is queued leaves. */
void fixture_close(struct fixture *fx, int code);
/* Lets at most |max| bytes leave. */
void fixture_flush(struct fixture *fx, size_t max);
/* As TLS does it: at most |seal| bytes more are sealed, and at most |max| of those leave. */
void fixture_flush_sealed(struct fixture *fx, size_t seal, size_t max);
/* Compares, with the case's name in the message, and clears. */
void fixture_expect(struct fixture *fx, const char *events, const char *output);

/*
 * Bytes from a description: hex "8105", text "'Hello'", repetition "125*61", separated by spaces.
 * The caller frees them.
 */
uint8_t *bytes_from(const char *description, size_t *n);

#endif
