/*
 * A tale: one core under virtual time, and what it did as text.  One event is one
 * line, the end of an attempt or a link another:
 *
 *   [     0] start: idle -> token, #1 begins, ensure token, dial
 *   [    55] ticket failed: drop link, ticket -> backoff, #1 failed (ticket HTTP_STATUS 503: soft;
 * 250 ms)
 */
#ifndef TESTS_CORE_TALE_H
#define TESTS_CORE_TALE_H

#include "core/core.h"

#include <stddef.h>

struct tale {
    struct wst__core core;
    struct wst__event ev; /* The next event; its failure and replies are cleared after it. */
    uint64_t slept_ms;    /* boot_ms is ahead of now_ms by so much. */
    struct wst__actions out;
    char text[16384];
    size_t len;
};

/* The defaults of the public header, without jitter. */
void tale_policy(struct wst__policy *p);
void tale_begin(struct tale *t, const struct wst__policy *p);
/* Feeds an event at |now_ms|, as an answer of the current attempt, and writes its line. */
void tale_event(struct tale *t, uint64_t now_ms, enum wst__ev type);
/* Sends TIMEOUT at every deadline up to and including |now_ms|, as the driver's timer would. */
void tale_wait(struct tale *t, uint64_t now_ms);
/* The text since the last call must be this. */
void tale_expect_(struct tale *t, const char *text, const char *file, int line);
#define tale_expect(t, text) tale_expect_(t, text, __FILE__, __LINE__)
/* Forgets the text so far: what led here is another story's. */
void tale_skip(struct tale *t);
/* The whole way to OPEN, from rest or at the end of a wait; ends 90 ms after |now_ms|. */
void tale_open(struct tale *t, uint64_t now_ms);

struct wst__failure http(int status);
struct wst__failure error(int code);
struct wst__failure closed(int code);
const char *tale_state_name(enum wst_state s);
const char *tale_event_name(enum wst__ev e);

#endif
