/* The alphabet: every failure and every event of the exploration. */
#ifndef TESTS_EXPLORE_WORDS_H
#define TESTS_EXPLORE_WORDS_H

#include "core/core.h"

#include <stddef.h>

/* An event without its times. */
struct word {
    enum wst__ev type;
    int failure; /* Index; 0: none. */
    int late;    /* Of so many attempts before. */
    uint64_t slept_ms;
    enum word_rx { RX_OLD, RX_WITH_PING, RX_NOW } rx; /* The last byte: before the ping, ... */
    uint32_t life_ms, retry_after_ms, spread_ms;
    enum wst_verdict verdict; /* TIMEOUT. */
};

size_t failure_count(void);
const struct wst__failure *failure_at(size_t i);
/* Of a failure that the core keeps for later. */
uint8_t failure_index(const struct wst__failure *f);

/* To be called first: with the failures marked MORE?  With steering in the tickets' replies? */
void words_begin(bool more, bool steering);
/* All words that are tried in |state|.  Returns how many. */
size_t words_of(enum wst_state state, const struct word **words);
const char *event_name(enum wst__ev type);
const char *state_name(enum wst_state s);
/* "slept 2001 ms, TICKET_FAILED 401" */
void word_text(const struct word *w, char *text, size_t size);

#endif
