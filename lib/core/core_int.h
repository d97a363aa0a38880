/*
 * What the files of the core share, and nobody else uses.
 *
 *   core.c          the table, the step, the deadline; enter(), the one door between states
 *   core_attempt.c  from the begin of an attempt to its end: token, ticket, dial, upgrade
 *   core_link.c     the open link: stability, liveness, the close handshake
 *   core_settle.c   what follows a failure: class, counters, the wait or FAILED
 */
#ifndef WST_CORE_CORE_INT_H
#define WST_CORE_CORE_INT_H

#include "core/core.h"

/* Handles one event in one state. */
typedef void wst__core_fn(struct wst__core *c, const struct wst__event *ev,
                          struct wst__actions *out);

/* core.c */
void wst__core_enter(struct wst__core *c, enum wst_state to, struct wst__actions *out);
void wst__core_emit(struct wst__core *c, enum wst__act type, struct wst__actions *out);
/* Says ATTEMPT_FAILED or CLOSED with the next delay. */
void wst__core_tell(struct wst__core *c, enum wst__act type, uint64_t ms, struct wst__actions *out);
void wst__core_tell_ended(struct wst__core *c, struct wst__actions *out);
void wst__core_clear_deadlines(struct wst__core *c);

/* Field by field: the bytes between the fields are the core's own, so that equal cores are equal
 * as bytes. */
void wst__keep(struct wst__failure *to, struct wst__failure from);

/* core_attempt.c */
wst__core_fn wst__attempt_start, wst__attempt_begin, wst__attempt_stop, wst__attempt_timeout,
    wst__attempt_token_ok, wst__attempt_token_failed, wst__attempt_ticket_sent,
    wst__attempt_ticket_ok, wst__attempt_ticket_failed, wst__attempt_dial_ok,
    wst__attempt_link_failed;

/* core_link.c */
wst__core_fn wst__link_open, wst__link_stop, wst__link_wake, wst__link_timeout, wst__link_closing,
    wst__link_closed, wst__link_ping_left, wst__closing_start, wst__closing_stop,
    wst__closing_timeout, wst__closing_closed;
/* The machine slept: the link is probed at once. */
void wst__link_slept(struct wst__core *c, uint64_t now_ms);

/* core_settle.c */
/* Decides by |failure| what follows, and tells it: |told| is ATTEMPT_FAILED or CLOSED. */
void wst__settle(struct wst__core *c, const struct wst__event *ev, enum wst__act told,
                 struct wst__actions *out);
/* Makes |failure| the end by the user's will. */
void wst__settle_canceled(struct wst__core *c);
wst__core_fn wst__backoff_stop, wst__backoff_wake, wst__backoff_timeout;
/* The machine slept for |ms|: the rest of the wait is skipped. */
void wst__backoff_slept(struct wst__core *c, uint64_t now_ms, uint64_t ms);

/* A failure that the core finds itself. */
static inline struct wst__failure wst__own_failure(int code, enum wst_step step)
{
    struct wst__failure f = {.code = (int16_t)code, .step = step, .own = true};

    return f;
}

/* now + ms, as a deadline: it never wraps and is never WST__NEVER. */
static inline uint64_t wst__after(uint64_t now_ms, uint64_t ms)
{
    return ms >= WST__NEVER - 1 || now_ms >= WST__NEVER - 1 - ms ? WST__NEVER - 1 : now_ms + ms;
}

/* How long ago; 0 when a clock went backwards. */
static inline uint64_t wst__since(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

static inline bool wst__is_due(uint64_t deadline, uint64_t now_ms)
{
    return deadline != WST__NEVER && now_ms >= deadline;
}

#endif
