/*
 * Bytes as a life of the core: the first PLAY_POLICY of them make its policy, each PLAY_EVENT more
 * an event that comes at some time.  So the same lives can be drawn from a seed, found by a fuzzer,
 * and made shorter by leaving events out.
 */
#ifndef TESTS_CORE_PLAY_H
#define TESTS_CORE_PLAY_H

#include "book.h"

#include <stddef.h>

#define PLAY_POLICY 16
#define PLAY_EVENT  8

struct play {
    struct wst__policy policy;
    struct wst__core core;
    struct book book;
    struct wst__event ev; /* The last one. */
    struct wst__actions out;
};

/* Told of each event after its step; NULL: nobody. */
typedef void play_fn(const struct play *p, enum wst_state before, void *arg);

/* Plays until the bytes are used up, or a promise is broken: then false, and |book.broken|. */
bool play(struct play *p, const uint8_t *bytes, size_t n, play_fn *told, void *arg);

#endif
