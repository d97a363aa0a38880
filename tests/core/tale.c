/* The tale: feeding the core, and telling what it did. */
#include "tale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const state_names[WST__STATE_COUNT] = {
    [WST_STATE_IDLE] = "idle",       [WST_STATE_TOKEN] = "token",
    [WST_STATE_TICKET] = "ticket",   [WST_STATE_CONNECTING] = "connecting",
    [WST_STATE_OPEN] = "open",       [WST_STATE_CLOSING] = "closing",
    [WST_STATE_BACKOFF] = "backoff", [WST_STATE_FAILED] = "failed",
};
static const char *const class_names[] = {
    [WST_CLASS_NONE] = "none",       [WST_CLASS_TRANSIENT] = "transient",
    [WST_CLASS_SOFT] = "soft",       [WST_CLASS_TOKEN] = "token",
    [WST_CLASS_TICKET] = "ticket",   [WST_CLASS_AUTH] = "auth",
    [WST_CLASS_REFUSED] = "refused", [WST_CLASS_PROTOCOL] = "protocol",
    [WST_CLASS_LOCAL] = "local",
};
static const char *const step_names[] = {"none", "token", "ticket", "connect"};
static const char *const event_names[WST__EV_COUNT] = {
    [WST__EV_START] = "start",
    [WST__EV_STOP] = "stop",
    [WST__EV_WAKE] = "wake",
    [WST__EV_TIMEOUT] = "timeout",
    [WST__EV_TOKEN_OK] = "token ok",
    [WST__EV_TOKEN_FAILED] = "token failed",
    [WST__EV_TICKET_SENT] = "ticket sent",
    [WST__EV_TICKET_OK] = "ticket ok",
    [WST__EV_TICKET_FAILED] = "ticket failed",
    [WST__EV_DIAL_OK] = "dial ok",
    [WST__EV_LINK_FAILED] = "link failed",
    [WST__EV_LINK_OPEN] = "link open",
    [WST__EV_LINK_CLOSING] = "link closing",
    [WST__EV_LINK_CLOSED] = "link closed",
    [WST__EV_PING_LEFT] = "ping left",
};
static const char *const action_names[WST__ACT_COUNT] = {
    [WST__ACT_ENSURE_TOKEN] = "ensure token",
    [WST__ACT_DROP_TOKEN] = "drop token",
    [WST__ACT_GET_TICKET] = "get ticket",
    [WST__ACT_DROP_TICKET] = "drop ticket",
    [WST__ACT_CANCEL_HTTP] = "cancel http",
    [WST__ACT_DIAL] = "dial",
    [WST__ACT_UPGRADE] = "upgrade",
    [WST__ACT_CLOSE_LINK] = "close link",
    [WST__ACT_DROP_LINK] = "drop link",
    [WST__ACT_PING] = "ping",
    [WST__ACT_OPENED] = "opened",
};

/* Not wst_err_name(): these tests link the core alone. */
static const char *error_name(int code)
{
    switch (code) {
#define ROW(name, value, cls, text)                                                                \
    case value:                                                                                    \
        return #name;
        WST_ERR_MAP(ROW)
#undef ROW
    default:
        return "?";
    }
}

const char *tale_state_name(enum wst_state s)
{
    return state_names[s];
}

const char *tale_event_name(enum wst__ev e)
{
    return event_names[e];
}

static void say(struct tale *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct tale *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(t->text + t->len, sizeof t->text - t->len, fmt, ap);
    va_end(ap);
    assert_true(n >= 0 && (size_t)n < sizeof t->text - t->len);
    t->len += (size_t)n;
}

static void say_failure(struct tale *t, const struct wst__failure *f)
{
    bool told = (f->code == WST_ERR_HTTP_STATUS && f->http_status) ||
                (f->code == WST_ERR_WS_CLOSED && f->close_code);

    say(t, "%s", step_names[f->step]);
    if (!told) /* Else the number tells it all. */
        say(t, " %s", error_name(f->code));
    if (f->http_status)
        say(t, " %d", f->http_status);
    if (f->close_code)
        say(t, " %d", f->close_code);
    if (f->cls != WST_CLASS_NONE)
        say(t, ": %s", class_names[f->cls]);
}

static void say_end(struct tale *t, const struct wst__action *a, const char *what)
{
    say(t, "#%llu %s (", (unsigned long long)a->attempt, what);
    say_failure(t, &t->core.failure);
    if (t->core.other.code) {
        say(t, "; and ");
        say_failure(t, &t->core.other);
    }
    if (a->ms == WST_NO_DELAY)
        say(t, ")");
    else
        say(t, "; %llu ms)", (unsigned long long)a->ms);
}

static void say_action(struct tale *t, const struct wst__action *a)
{
    switch (a->type) {
    case WST__ACT_STATE:
        say(t, "%s -> %s", state_names[a->from], state_names[a->to]);
        break;
    case WST__ACT_ATTEMPT_BEGIN:
        say(t, "#%llu begins", (unsigned long long)a->attempt);
        break;
    case WST__ACT_ATTEMPT_FAILED:
        say_end(t, a, "failed");
        break;
    case WST__ACT_CLOSED:
        say_end(t, a, "closed");
        break;
    case WST__ACT_ENDED:
        say(t, "ended %s%s", state_names[a->to],
            t->core.attempts_used_up ? " (attempts used up)" : "");
        break;
    default:
        say(t, "%s", action_names[a->type]);
        break;
    }
}

void tale_policy(struct wst__policy *p)
{
    static const uint16_t unauthorized[] = {1008, 3000, 3003, 4401, 4403};

    memset(p, 0, sizeof *p);
    p->base_ms = 250;
    p->cap_ms = 30000;
    p->max_server_delay_ms = 300000;
    p->restart_spread_ms = 5000;
    p->stable_ms = 5000;
    p->step_timeout_ms = 10000;
    p->attempt_timeout_ms = 30000;
    p->close_timeout_ms = 5000;
    p->ping_interval_ms = 20000;
    p->ping_timeout_ms = 10000;
    p->dial_idle_ms = 5000;
    p->give_up = WST_GIVE_UP_BEFORE_FIRST_OPEN;
    p->unauthorized_count = 5;
    memcpy(p->unauthorized, unauthorized, sizeof unauthorized);
    p->token_step = p->ticket_step = p->parallel_dial = true;
}

void tale_begin(struct tale *t, const struct wst__policy *p)
{
    memset(t, 0, sizeof *t);
    wst__core_init(&t->core, p, 7);
}

void tale_event(struct tale *t, uint64_t now_ms, enum wst__ev type)
{
    uint64_t last_rx_ms = t->ev.last_rx_ms;

    t->ev.type = type;
    t->ev.now_ms = now_ms;
    t->ev.boot_ms = now_ms + t->slept_ms;
    if (t->ev.attempt == 0)
        t->ev.attempt = t->core.attempt;
    if (t->ev.ticket_life_ms == 0)
        t->ev.ticket_life_ms = 30000;
    wst__core_step(&t->core, &t->ev, &t->out);
    say(t, "[%6llu] %s", (unsigned long long)now_ms, event_names[type]);
    for (size_t i = 0; i < t->out.count; i++) {
        enum wst__act act = t->out.list[i].type;

        if (act == WST__ACT_ATTEMPT_FAILED || act == WST__ACT_CLOSED ||
            (i > 0 && t->out.list[i - 1].type == WST__ACT_ENDED))
            say(t, ",\n         ");
        else
            say(t, i == 0 ? ": " : ", ");
        say_action(t, &t->out.list[i]);
    }
    say(t, "\n");
    memset(&t->ev, 0, sizeof t->ev);
    t->ev.last_rx_ms = last_rx_ms;
}

void tale_wait(struct tale *t, uint64_t now_ms)
{
    int turns = 0;

    while (wst__core_deadline(&t->core) <= now_ms) {
        uint64_t due = wst__core_deadline(&t->core);

        tale_event(t, due > t->core.seen_now_ms ? due : t->core.seen_now_ms, WST__EV_TIMEOUT);
        assert_true(++turns < 1000); /* Else a deadline stays due after its event. */
    }
}

void tale_expect_(struct tale *t, const char *text, const char *file, int line)
{
    if (strcmp(t->text, text) != 0) {
        /* Not print_error(): it cuts long texts. */
        fprintf(stderr, "%s:%d: expected\n%sbut it was\n%s", file, line, text, t->text);
        _fail(file, line);
    }
    tale_skip(t);
}

void tale_skip(struct tale *t)
{
    t->len = 0;
    t->text[0] = 0;
}

void tale_open(struct tale *t, uint64_t now_ms)
{
    if (t->core.state == WST_STATE_BACKOFF)
        tale_wait(t, now_ms);
    else
        tale_event(t, now_ms, WST__EV_START);
    tale_event(t, now_ms + 10, WST__EV_TOKEN_OK);
    tale_event(t, now_ms + 12, WST__EV_TICKET_SENT);
    tale_event(t, now_ms + 40, WST__EV_TICKET_OK);
    tale_event(t, now_ms + 50, WST__EV_DIAL_OK);
    tale_event(t, now_ms + 90, WST__EV_LINK_OPEN);
    assert_int_equal(t->core.state, WST_STATE_OPEN);
}

struct wst__failure http(int status)
{
    struct wst__failure f = {.code = WST_ERR_HTTP_STATUS, .http_status = (uint16_t)status};

    return f;
}

struct wst__failure error(int code)
{
    struct wst__failure f = {.code = (int16_t)code};

    return f;
}

struct wst__failure closed(int code)
{
    struct wst__failure f = {.code = WST_ERR_WS_CLOSED, .close_code = (uint16_t)code};

    return f;
}
