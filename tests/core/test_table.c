/*
 * The table is total: every event in every state, and in every situation of a state in which the
 * same event means something else.  One row per situation, one letter per event: the state it
 * leads to, "." for nothing at all, and "+" for the same state with something changed.
 */
#include "tale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void to_idle(struct tale *t)
{
    (void)t;
}

static void to_token(struct tale *t)
{
    tale_event(t, 0, WST__EV_START);
}

static void to_ticket(struct tale *t)
{
    to_token(t);
    tale_event(t, 0, WST__EV_TOKEN_OK);
}

static void to_ticket_sent(struct tale *t)
{
    to_ticket(t);
    tale_event(t, 0, WST__EV_TICKET_SENT);
}

static void to_ticket_dead(struct tale *t)
{
    to_ticket_sent(t);
    t->ev.failure = error(WST_ERR_CONNECT);
    tale_event(t, 0, WST__EV_LINK_FAILED);
}

static void to_connecting(struct tale *t)
{
    to_ticket_sent(t);
    tale_event(t, 0, WST__EV_TICKET_OK);
}

static void to_upgrading(struct tale *t)
{
    to_connecting(t);
    tale_event(t, 0, WST__EV_DIAL_OK);
}

static void to_open(struct tale *t)
{
    to_upgrading(t);
    tale_event(t, 0, WST__EV_LINK_OPEN);
}

static void to_pinging(struct tale *t)
{
    to_open(t);
    tale_event(t, 0, WST__EV_WAKE);
}

static void to_closing(struct tale *t)
{
    to_open(t);
    t->ev.failure = closed(1001);
    tale_event(t, 0, WST__EV_LINK_CLOSING);
}

static void to_stopping(struct tale *t)
{
    to_open(t);
    tale_event(t, 0, WST__EV_STOP);
}

static void to_restarting(struct tale *t)
{
    to_stopping(t);
    tale_event(t, 0, WST__EV_START);
}

static void to_backoff(struct tale *t)
{
    to_token(t);
    t->ev.failure = http(500);
    tale_event(t, 0, WST__EV_TOKEN_FAILED);
}

static void to_failed(struct tale *t)
{
    to_token(t);
    t->ev.failure = http(403);
    tale_event(t, 0, WST__EV_TOKEN_FAILED);
}

/* clang-format off */
/* The events in the order of vocab.h; TIMEOUT comes at the deadline, failures are a 500.
 * i idle  t token  k ticket  c connecting  o open  l closing  b backoff  f failed */
static const struct {
    const char *name;
    void (*go)(struct tale *t);
    enum wst_state state;
    const char *leads_to;
} rows[] = {
    /*                                                       START
     *                                                       |STOP
     *                                                       ||WAKE
     *                                                       |||TIMEOUT
     *                                                       |||| TOKEN_OK, _FAILED
     *                                                       |||| |  TICKET_SENT, _OK, _FAILED
     *                                                       |||| |  |   DIAL_OK
     *                                                       |||| |  |   | LINK_FAILED, _OPEN,
     *                                                       |||| |  |   | |    _CLOSING, _CLOSED
     *                                                       |||| |  |   | |    PING_LEFT */
    {"idle",        to_idle,         WST_STATE_IDLE,        "t... .. ... . .... ."},
    {"token",       to_token,        WST_STATE_TOKEN,       ".i.b kb ... + b..b ."},
    {"ticket",      to_ticket,       WST_STATE_TICKET,      ".i.b .. +cb + b..b ."},
    {"ticket sent", to_ticket_sent,  WST_STATE_TICKET,      ".i.b .. .cb + +..+ ."},
    {"dial dead",   to_ticket_dead,  WST_STATE_TICKET,      ".i.b .. .bb . .... ."},
    {"connecting",  to_connecting,   WST_STATE_CONNECTING,  ".i.b .. ... + b..b ."},
    {"upgrading",   to_upgrading,    WST_STATE_CONNECTING,  ".i.b .. ... . bo.b ."},
    {"open",        to_open,         WST_STATE_OPEN,        ".l++ .. ... . b.lb ."},
    {"pinging",     to_pinging,      WST_STATE_OPEN,        ".l.+ .. ... . b.lb +"},
    {"closing",     to_closing,      WST_STATE_CLOSING,     ".+.b .. ... . b..b ."},
    {"stopping",    to_stopping,     WST_STATE_CLOSING,     "+i.i .. ... . i..i ."},
    {"restarting",  to_restarting,   WST_STATE_CLOSING,     ".i.t .. ... . t..t ."},
    {"backoff",     to_backoff,      WST_STATE_BACKOFF,     ".i+t .. ... . .... ."},
    {"failed",      to_failed,       WST_STATE_FAILED,      "t... .. ... . .... ."},
};
/* clang-format on */

static bool is_answer_of_failure(enum wst__ev type)
{
    return type == WST__EV_TOKEN_FAILED || type == WST__EV_TICKET_FAILED ||
           type == WST__EV_LINK_FAILED || type == WST__EV_LINK_CLOSED;
}

/* The letter of what |type| does in the situation that |go| leads to. */
static char letter(void (*go)(struct tale *t), enum wst_state state, enum wst__ev type)
{
    static const char letters[] = "itkcolbf";
    struct wst__policy p;
    struct wst__core before;
    struct tale t;
    uint64_t now;

    tale_policy(&p);
    tale_begin(&t, &p);
    go(&t);
    assert_int_equal(t.core.state, state);
    now = t.core.seen_now_ms;
    if (type == WST__EV_TIMEOUT && wst__core_deadline(&t.core) != WST__NEVER)
        now = wst__core_deadline(&t.core);
    if (is_answer_of_failure(type))
        t.ev.failure = http(500);
    before = t.core;
    tale_event(&t, now, type);
    if (t.core.state != state)
        return letters[t.core.state];
    before.seen_now_ms = t.core.seen_now_ms;
    before.seen_boot_ms = t.core.seen_boot_ms;
    if (memcmp(&before, &t.core, sizeof before) == 0 && t.out.count == 0)
        return '.';
    return '+';
}

static void every_event_in_every_situation(void **arg)
{
    (void)arg;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const char *want = rows[r].leads_to;

        for (int type = 0; type < WST__EV_COUNT; type++, want++) {
            char got = letter(rows[r].go, rows[r].state, (enum wst__ev)type);

            want += *want == ' ';
            if (got != *want)
                fail_msg("%s: event %d leads to %c instead of %c", rows[r].name, type, got, *want);
        }
        assert_int_equal(*want, 0);
    }
}

static void stop_reaches_idle_from_everywhere(void **arg)
{
    (void)arg;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct wst__policy p;
        struct tale t;

        tale_policy(&p);
        tale_begin(&t, &p);
        rows[r].go(&t);
        tale_event(&t, 1, WST__EV_STOP);
        tale_wait(&t, 1000000);
        /* A stop of what has ended already is an error that the driver tells. */
        assert_int_equal(t.core.state,
                         rows[r].state == WST_STATE_FAILED ? WST_STATE_FAILED : WST_STATE_IDLE);
        assert_int_equal(t.core.wanted, rows[r].state == WST_STATE_FAILED);
        assert_true(wst__core_deadline(&t.core) == WST__NEVER);
    }
}

/* An answer of the attempt that has ended, or of one before, changes nothing anywhere. */
static void late_answers_change_nothing_in_any_state(void **arg)
{
    (void)arg;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        for (int type = WST__EV_TOKEN_OK; type < WST__EV_COUNT; type++) {
            struct wst__event ev = {.type = (enum wst__ev)type, .attempt = 41};
            struct wst__policy p;
            struct wst__core before;
            struct tale t;

            tale_policy(&p);
            tale_begin(&t, &p);
            t.core.attempt = 41;
            rows[r].go(&t);
            before = t.core;
            ev.now_ms = before.seen_now_ms;
            ev.boot_ms = before.seen_boot_ms;
            if (rows[r].state == WST_STATE_BACKOFF)
                ev.attempt = t.core.attempt; /* The one that has just ended. */
            assert_true(wst__core_is_late(&t.core, &ev));
            wst__core_step(&t.core, &ev, &t.out);
            assert_int_equal(t.out.count, 0);
            assert_memory_equal(&before, &t.core, sizeof before);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_in_every_situation),
        cmocka_unit_test(stop_reaches_idle_from_everywhere),
        cmocka_unit_test(late_answers_change_nothing_in_any_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
