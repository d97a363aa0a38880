/* One seed: its weather, its application, its configuration, and the way it ends. */
#include "sim/seed.h"

#include "client/client.h"
#include "client/driver.h"
#include "sim/app.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STEPS 20000
/* The disk may take so long, whatever else is good. */
#define DISK_MS 3000
/* A good attempt, and what is under way when the world turns good, on a good network. */
#define GOOD_MS 300
/* A message there and back, behind all that is queued. */
#define ECHO_MS 500
/* Timers that run one after the other until it is open again, at most; each may be late. */
#define TIMERS 6
/* An application that has turned the pings off asks for one so often. */
#define PROBE_MS 20000

/* How likely each fault is, per mille. */
struct weather {
    unsigned http_fail, http_stall, http_status, http_garbage;
    unsigned dial_fail, dial_stall, dial_die;
    unsigned ws_silent, ws_gone, ws_garbled, ws_status;
    unsigned ws_close, ws_reset, ws_fin, ws_cut, ws_deaf, ws_noise, ws_mute, ws_lazy, ws_pieces;
    unsigned refuse; /* The ports themselves have no memory. */
    unsigned file_fail;
    uint64_t slow_ms;
};

_Static_assert((int)SIM_UNIT_HOOK + (int)SIM_CB_COUNT <= (int)SIM_UNIT_COUNT,
               "a kind of unit for each callback");

struct seed {
    struct sim_world w;
    struct sim_app app;
    struct weather weather;
    bool good;          /* The end: no faults, no more calls. */
    unsigned hook_rate; /* Calls inside callbacks, per mille. */
    unsigned close_rate;
    uint64_t act_ms;  /* Between two calls, at most. */
    unsigned answers; /* How eagerly the application answers, per mille. */
    unsigned steps, most_steps;
    uint64_t end_us;
    uint64_t good_us;    /* When the world turned good. */
    uint64_t from_us;    /* The client must be open again, or be answered, */
    uint64_t bound_ms;   /* so long behind this. */
    enum wst_state from; /* Where it was then. */
    unsigned waits;      /* That may still begin, and count. */
    unsigned refusals;   /* Of an old token, in the good world. */
    struct sim_outcome *out;
};

static struct seed *of(struct sim_world *w)
{
    return w->plans;
}

static uint64_t pick(struct sim_world *w, const uint64_t *from, size_t n)
{
    return from[sim_upto(w, n - 1)];
}
#define PICK(w, ...)                                                                               \
    pick(w, (const uint64_t[]){__VA_ARGS__}, sizeof(uint64_t[]){__VA_ARGS__} / sizeof(uint64_t))

/* Mostly short, sometimes as long as |most|. */
static uint64_t some_ms(struct sim_world *w, uint64_t most)
{
    return sim_upto(w, most >> sim_upto(w, 8));
}

/* ---- The weather --------------------------------------------------------------------------- */

static void draw_http(struct sim_world *w, struct sim_http_plan *p)
{
    static const char *const bodies[] = {
        "",
        "<html>",
        "{",
        "[]",
        "{\"ticket\":7}",
        "{\"ticket\":\"\",\"token\":\"\"}",
        "{\"ticket\":\"a\\u0001b\",\"token\":\"a b\"}",
        "{\"ticket\":\"t\",\"token\":\"t\",\"expiresInSeconds\":-1}",
        "{\"error\":\"x\",\"retryAfterMs\":1500}",
        "{\"retryAfterMs\":700000,\"reconnectSpreadMs\":4000}",
    };
    const struct weather *x = &of(w)->weather;

    p->sent_ms = some_ms(w, x->slow_ms / 4);
    p->answer_ms = 1 + some_ms(w, x->slow_ms);
    p->stall = sim_chance(w, x->http_stall);
    p->unsent = sim_chance(w, x->http_stall / 4);
    p->refuse = sim_chance(w, x->refuse) ? WST_ERR_NOMEM : 0;
    if (sim_chance(w, x->http_fail)) {
        p->fail = -(int)PICK(w, 20, 21, 24, 25, 27, 28, 29, 33);
        p->fail_unsent = sim_chance(w, 500);
    }
    if (sim_chance(w, x->http_status))
        p->status = (int)PICK(w, 400, 401, 401, 403, 404, 429, 500, 502, 503, 503, 302, 204, 418);
    if (p->status || sim_chance(w, x->http_garbage))
        p->body = bodies[sim_upto(w, sizeof bodies / sizeof bodies[0] - 1)];
    if (p->status && sim_chance(w, 300))
        p->retry_after_ms = PICK(w, 1000, 5000, 30000, 3600000, 86400000);
    p->endless = p->fail == 0 && sim_chance(w, x->http_stall / 4);
    if (p->status == 302)
        p->location = "elsewhere.example.com";
}

static void draw_dial(struct sim_world *w, struct sim_dial_plan *p)
{
    const struct weather *x = &of(w)->weather;

    p->ready_ms = 1 + some_ms(w, x->slow_ms);
    p->stall = sim_chance(w, x->dial_stall);
    p->refuse = sim_chance(w, x->refuse) ? WST_ERR_IO : 0;
    if (sim_chance(w, x->dial_fail))
        p->fail = -(int)PICK(w, 20, 21, 22, 23, 24, 25, 26, 28);
    if (sim_chance(w, x->dial_die))
        p->die_ms = 1 + some_ms(w, 10000);
}

static void draw_refusal(struct sim_world *w, struct sim_ws_plan *p)
{
    static const char *const headers[] = {"", "Retry-After: 2\r\n", "Retry-After: 7200\r\n",
                                          "Location: https://elsewhere.example.com/\r\n"};
    static const char *const bodies[] = {"", "no", "{\"retryAfterMs\":900}",
                                         "{\"reconnectSpreadMs\":9000}"};

    p->status = (int)PICK(w, 200, 301, 400, 401, 403, 404, 426, 429, 500, 503);
    p->headers = headers[sim_upto(w, 3)];
    p->body = bodies[sim_upto(w, 3)];
}

static void draw_ws(struct sim_world *w, struct sim_ws_plan *p)
{
    static const char wrong_accept[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
    static const char *const garbled[] = {
        wrong_accept,
        "HTTP/1.1 101 Switching",
        "SSH-2.0-OpenSSH\r\n",
        "\r\n\r\n",
        "HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nhalf",
    };
    const struct weather *x = &of(w)->weather;
    static const uint64_t soon = 20000;

    p->latency_ms = some_ms(w, x->slow_ms / 4);
    p->silent = sim_chance(w, x->ws_silent);
    p->gone = sim_chance(w, x->ws_gone);
    p->mute = sim_chance(w, x->ws_mute);
    p->lazy_close = sim_chance(w, x->ws_lazy);
    if (sim_chance(w, x->ws_garbled))
        p->raw = garbled[sim_upto(w, sizeof garbled / sizeof garbled[0] - 1)];
    if (sim_chance(w, x->ws_status))
        draw_refusal(w, p);
    if (sim_chance(w, x->ws_pieces)) {
        p->chunk = 1 + (size_t)sim_upto(w, 40);
        p->chunk_ms = sim_upto(w, 3);
    }
    if (sim_chance(w, x->ws_pieces))
        p->window = 600 + (size_t)sim_upto(w, 20000);
    if (sim_chance(w, 200))
        p->greeting = "hello";
    if (sim_chance(w, x->ws_close)) {
        p->close_ms = 1 + some_ms(w, soon);
        p->close_code =
            (int)PICK(w, 1000, 1001, 1005, 1008, 1011, 1012, 1013, 1002, 3000, 4401, 4403);
        p->close_reason = sim_chance(w, 500) ? "" : "going away";
    }
    p->reset_ms = sim_chance(w, x->ws_reset) ? 1 + some_ms(w, soon) : 0;
    p->fin_ms = sim_chance(w, x->ws_fin) ? 1 + some_ms(w, soon) : 0;
    p->cut_ms = sim_chance(w, x->ws_cut) ? 1 + some_ms(w, soon) : 0;
    p->deaf_ms = sim_chance(w, x->ws_deaf) ? 1 + some_ms(w, soon) : 0;
    p->garbage_ms = sim_chance(w, x->ws_noise) ? 1 + some_ms(w, soon) : 0;
}

static void draw_file(struct sim_world *w, struct sim_file_plan *p)
{
    const struct weather *x = &of(w)->weather;

    p->ms = some_ms(w, x->slow_ms < DISK_MS ? x->slow_ms : DISK_MS);
    p->fail = sim_chance(w, x->file_fail) ? WST_ERR_IO : 0;
    p->refuse = sim_chance(w, x->refuse) ? WST_ERR_NOMEM : 0;
}

/* Each plan is a unit of decisions; in a good world there is nothing to decide. */
#define PLAN(w, kind, draw, p)                                                                     \
    do {                                                                                           \
        struct sim_unit before = sim_unit_begin(&(w)->decider, kind);                              \
                                                                                                   \
        if (!of(w)->good)                                                                          \
            draw(w, p);                                                                            \
        sim_unit_end(&(w)->decider, before);                                                       \
    } while (0)

static void plan_http(struct sim_world *w, enum wst_step step, struct sim_http_plan *p)
{
    (void)step;
    PLAN(w, SIM_UNIT_HTTP, draw_http, p);
}

static void plan_dial(struct sim_world *w, struct sim_dial_plan *p)
{
    PLAN(w, SIM_UNIT_DIAL, draw_dial, p);
}

static void plan_ws(struct sim_world *w, struct sim_ws_plan *p)
{
    PLAN(w, SIM_UNIT_WS, draw_ws, p);
}

static void plan_file(struct sim_world *w, struct sim_file_plan *p)
{
    PLAN(w, SIM_UNIT_FILE, draw_file, p);
}

static void draw_weather(struct seed *s)
{
    struct weather *x = &s->weather;
    unsigned *odds = (unsigned *)(void *)x;
    size_t count = offsetof(struct weather, slow_ms) / sizeof *odds;
    uint64_t kind = sim_upto(&s->w, 6);

    memset(x, 0, sizeof *x);
    x->slow_ms = 60;
    x->ws_pieces = 100;
    if (kind == 1) { /* Something now and then. */
        for (size_t i = 0; i < count; i++)
            odds[i] = (unsigned)sim_upto(&s->w, 60);
    } else if (kind == 2) { /* Two things often. */
        odds[sim_upto(&s->w, count - 1)] = 700;
        odds[sim_upto(&s->w, count - 1)] = 500;
    } else if (kind == 3) { /* One thing always. */
        odds[sim_upto(&s->w, count - 1)] = 1000;
    } else if (kind == 4) { /* Slow. */
        x->slow_ms = PICK(&s->w, 2000, 12000, 40000);
    } else if (kind == 5) { /* The API is slow, and the WebSocket's host is down. */
        x->slow_ms = 2000;
        x->dial_fail = 900;
    }
    s->w.server.auth_down = sim_chance(&s->w, 50);
    s->w.server.same_ticket = sim_chance(&s->w, 50);
    s->w.server.ticket_life_s = (int64_t)PICK(&s->w, 30, 30, 30, 0, 1, 2, 5);
    s->w.server.token_life_s = (int64_t)PICK(&s->w, 3600, 0, 1, 5, 60);
    s->w.server.reject_status = (int)PICK(&s->w, 0, 401, 403);
    s->w.server.spread_ms = PICK(&s->w, 0, 0, 0, 3000);
    s->w.server.retry_after_ms = PICK(&s->w, 0, 0, 0, 2000, 400000);
}

/* A gap of 0 is the dull one, the longest. */
static uint64_t gap_ms(struct sim_world *w, uint64_t most)
{
    uint64_t ms = some_ms(w, most);

    return ms ? ms : most;
}

static void on_weather(struct sim_world *w, void *obj, uint64_t n)
{
    struct seed *s = obj;
    struct sim_unit before = sim_unit_begin(&w->decider, SIM_UNIT_WEATHER);

    (void)n;
    if (!s->good) {
        draw_weather(s);
        w->no_entropy = sim_chance(w, 20);
        sim_after(w, gap_ms(w, 300000), on_weather, s, 0);
    }
    sim_unit_end(&w->decider, before);
}

/* ---- The application ----------------------------------------------------------------------- */

static void answer(struct seed *s)
{
    struct sim_app *app = &s->app;

    int status;

    if (app->load_request && sim_chance(&s->w, 700)) {
        (void)sim_loaded(app);
        return;
    }
    if (!sim_chance(&s->w, 200)) {
        (void)sim_provide(app);
        return;
    }
    status = (int)PICK(&s->w, 0, 401, 403, 404, 503, 500);
    (void)sim_provide_failed(app, status, PICK(&s->w, 0, 0, 2000));
}

static void server_acts(struct seed *s)
{
    static const uint8_t oversized[] = {0x82, 0x7f, 0, 0, 0, 0, 0x40, 0, 0, 0};
    struct sim_world *w = &s->w;

    switch (sim_upto(w, 9)) {
    case 0:
        sim_ws_text(w, "news");
        break;
    case 1:
        sim_ws_binary(w, (size_t)sim_upto(w, 200000));
        break;
    case 2:
        sim_ws_close(w, (int)PICK(w, 1000, 1001, 1012, 4401), "bye");
        break;
    case 3:
        sim_tokens_revoke(w);
        break;
    case 4:
        w->wall_offset_s += (int64_t)PICK(w, 1, 10, 10000) * ((int64_t)sim_upto(w, 2) - 1);
        break;
    case 5:
        sim_suspend(w, some_ms(w, 3600000));
        break;
    case 6:
        sim_ws_raw(w, oversized, sizeof oversized);
        break;
    case 7:
        sim_ws_latency(w, some_ms(w, 40000));
        break;
    default:
        sim_ws_deaf(w, !sim_chance(w, 500));
        break;
    }
}

/* A piece of a message: mostly with flags that fit, so that many of them are accepted. */
static void send_piece(struct seed *s)
{
    struct sim_world *w = &s->w;
    size_t n = (size_t)some_ms(w, 100000);
    unsigned flags = s->app.chunk_id ? 0 : WST_CHUNK_FIRST;

    if (sim_chance(w, 500))
        flags |= WST_CHUNK_LAST;
    if (sim_chance(w, 200))
        flags = (unsigned)sim_upto(w, 3);
    (void)sim_send_chunk(&s->app, n, flags);
}

/* A call of the API, whichever. */
static void call(struct seed *s)
{
    struct sim_world *w = &s->w;
    struct sim_app *app = &s->app;
    uint64_t life_ms;

    switch (sim_upto(w, 22)) {
    case 0:
        break;
    case 1:
    case 2:
        (void)sim_stop(app);
        break;
    case 3:
        (void)sim_stop_with(app, 4000, "enough");
        break;
    case 4:
    case 5:
    case 6:
        (void)sim_start(app);
        break;
    case 7:
        (void)sim_wake(app);
        break;
    case 8:
        (void)sim_ping(app);
        break;
    case 9:
        (void)sim_pause(app);
        break;
    case 10:
    case 11:
        (void)sim_resume(app);
        break;
    case 12:
        life_ms = PICK(w, 0, 5000, 3600000);
        (void)sim_set_token(app, sim_token_mint(w), life_ms);
        break;
    case 13:
        (void)sim_forget_token(app);
        break;
    case 14:
        (void)sim_post(app);
        break;
    case 15:
        answer(s);
        break;
    case 16:
    case 17:
    case 18:
    case 19:
        send_piece(s);
        break;
    default:
        (void)sim_send(app, (size_t)some_ms(w, 300000));
        break;
    }
}

/* Closing, too, may be followed by calls. */
static void maybe_close(struct seed *s)
{
    struct sim_world *w = &s->w;

    if (!sim_chance(w, s->close_rate))
        return;
    sim_close(&s->app);
    if (sim_chance(w, 300))
        call(s);
}

static void act(struct seed *s)
{
    struct sim_world *w = &s->w;
    struct sim_unit before = sim_unit_begin(&w->decider, SIM_UNIT_ACT);
    uint64_t calls = 1 + (sim_chance(w, 200) ? sim_upto(w, 4) : 0);

    if (sim_chance(w, 250))
        server_acts(s);
    else
        for (uint64_t i = 0; i < calls; i++)
            call(s);
    /* Mostly the connection is wanted. */
    if (sim_chance(w, 300))
        (void)sim_start(&s->app);
    maybe_close(s);
    sim_unit_end(&w->decider, before);
}

static void plan_act(struct seed *s);

static void on_act(struct sim_world *w, void *obj, uint64_t n)
{
    struct seed *s = obj;

    (void)w;
    (void)n;
    if (s->good || !s->app.client)
        return;
    act(s);
    plan_act(s);
}

static void plan_act(struct seed *s)
{
    struct sim_world *w = &s->w;
    struct sim_unit before = sim_unit_begin(&w->decider, SIM_UNIT_GAP);

    sim_after(w, gap_ms(w, s->act_ms), on_act, s, 0);
    sim_unit_end(&w->decider, before);
}

static void on_answer(struct sim_world *w, void *obj, uint64_t n)
{
    struct seed *s = obj;

    (void)w;
    if (!s->app.client)
        return;
    if (n == 's' && s->app.load_request)
        (void)sim_loaded(&s->app);
    else if (n == 'p' && s->app.request)
        (void)sim_provide(&s->app);
}

/* The application is asked for something: it answers now, later, or not at all. */
static void on_question(struct seed *s, uint64_t kind)
{
    struct sim_world *w = &s->w;

    if (s->good)
        sim_after(w, 5, on_answer, s, kind);
    else if (sim_chance(w, 400))
        sim_after(w, some_ms(w, 15000), on_answer, s, kind);
    else if (sim_chance(w, s->answers))
        on_answer(w, s, kind);
}

/* A wait begins, and is one of those that the bound allows for: the ladder's rung with all jitter,
 * or what the server asked for and as much again, and the window over which it or we spread the
 * attempts. */
static void note_wait(struct seed *s, bool closed)
{
    if (s->waits == 0)
        return;
    s->waits--;
    s->bound_ms += sim_longest_wait_ms(&s->app, closed);
}

static void hook(struct sim_app *app, enum sim_cb cb)
{
    struct seed *s = app->test;
    struct sim_world *w = &s->w;
    struct sim_unit before =
        sim_unit_begin(&w->decider, (enum sim_unit_kind)((int)SIM_UNIT_HOOK + (int)cb));

    if (cb == SIM_CB_PROVIDE)
        on_question(s, 'p');
    if (cb == SIM_CB_STORE)
        on_question(s, 's');
    if (s->good && app->waits && (cb == SIM_CB_FAILED || cb == SIM_CB_CLOSED))
        note_wait(s, cb == SIM_CB_CLOSED);
    if (!s->good && app->client) {
        if (sim_chance(w, s->hook_rate))
            call(s);
        maybe_close(s);
    }
    sim_unit_end(&w->decider, before);
}

static enum wst_verdict verdict(struct sim_app *app, const struct wst_cause *cause)
{
    struct seed *s = app->test;
    struct sim_unit before = sim_unit_begin(&s->w.decider, SIM_UNIT_VERDICT);
    enum wst_verdict v = WST_VERDICT_DEFAULT;

    (void)cause;
    if (!s->good && sim_chance(&s->w, s->hook_rate))
        v = (enum wst_verdict)PICK(&s->w, WST_VERDICT_DEFAULT, WST_VERDICT_RETRY,
                                   WST_VERDICT_RETRY_NEW_TOKEN, WST_VERDICT_STOP);
    sim_unit_end(&s->w.decider, before);
    return v;
}

/* ---- The configuration --------------------------------------------------------------------- */

static void draw_steps(struct seed *s, struct wst_config *c)
{
    struct sim_world *w = &s->w;

    c->token_step = (enum wst_step_mode)PICK(w, 0, 0, 0, 1, 2);
    c->ticket_step = (enum wst_step_mode)PICK(w, 0, 0, 0, 0, 1, 2);
    c->upgrade_bearer = sim_chance(w, 100);
    c->ticket_in = (enum wst_ticket_in)PICK(w, 0, 0, 0, 1, 2);
    if (c->ticket_step == WST_STEP_MODE_HTTP && c->ticket_in == WST_TICKET_IN_QUERY &&
        sim_chance(w, 150)) {
        c->url_pointer = "/url";
        c->upgrade_bearer = 0; /* It would go wherever the reply says. */
        w->server.whole_url = true;
    }
    if (c->ticket_step == WST_STEP_MODE_CALLBACK)
        c->ticket_in = WST_TICKET_IN_QUERY;
    w->server.ticket_in = c->ticket_in;
    w->server.bearer = c->upgrade_bearer;
    w->server.no_tickets = c->ticket_step == WST_STEP_MODE_OMIT;
    w->server.open_door = c->token_step == WST_STEP_MODE_OMIT;
}

static void draw_config(struct seed *s)
{
    struct sim_world *w = &s->w;
    struct wst_config *c = &s->app.config;

    draw_steps(s, c);
    c->jitter_percent = (unsigned)PICK(w, 50, 0, 50, 100);
    c->base_delay_ms = PICK(w, 250, 250, 1, 50, 2000);
    c->cap_ms = PICK(w, 30000, 30000, 2000, 60000);
    c->stable_ms = PICK(w, 5000, 1, 1000, 30000);
    c->step_timeout_ms = PICK(w, 10000, 10000, 1000, 40000);
    c->attempt_timeout_ms = PICK(w, 30000, 30000, 5000);
    c->close_timeout_ms = PICK(w, 5000, 5000, 100);
    c->ping_interval_ms = PICK(w, 20000, 20000, 0, 500);
    c->ping_timeout_ms = PICK(w, 10000, 1000, 30000);
    c->max_attempts = (unsigned)PICK(w, 0, 0, 0, 0, 1, 3);
    c->give_up = (enum wst_give_up)sim_upto(w, 2);
    c->parallel_dial = (int)PICK(w, 1, 1, 1, 0);
    c->max_queue_bytes = PICK(w, 1 << 24, 1024, 100000);
    c->queue_low_water = PICK(w, 0, 1000, 1023);
    c->max_message_bytes = PICK(w, 1 << 24, 150000);
    c->offline_messages = (unsigned)PICK(w, 0, 0, 1, 5, 1000);
    c->offline_bytes = PICK(w, 1000, 100000, 1 << 20);
    if (c->offline_bytes > c->max_queue_bytes)
        c->offline_bytes = c->max_queue_bytes;
    c->offline_age_ms = PICK(w, 60000, 1, 500, 5000, 600000);
    if (sim_chance(w, 300))
        sim_use_chunks(&s->app);
    c->cookies = (int)PICK(w, 0, 0, 1);
    if (sim_chance(w, 200))
        c->on_verdict = NULL;
    if (sim_chance(w, 300)) {
        c->token_cache = "token";
        if (sim_chance(w, 300))
            sim_file_put(w, "token", "{\"v\":1,damaged");
    } else if (sim_chance(w, 300)) {
        sim_use_store(&s->app);
    }
}

static void draw(struct seed *s)
{
    struct sim_world *w = &s->w;
    uint64_t ms;

    w->timer_late_ms = PICK(w, 0, 0, 5, 500);
    w->polled_late_us = PICK(w, 0, 900);
    s->hook_rate = (unsigned)PICK(w, 0, 20, 100, 300);
    s->close_rate = (unsigned)PICK(w, 0, 0, 0, 1, 5);
    s->act_ms = PICK(w, 600000, 100, 3000, 60000);
    s->answers = (unsigned)PICK(w, 1000, 0, 500);
    draw_config(s);
    draw_weather(s);
    /* It ends at some time, or after some events: so that no state is too short to be met. */
    ms = PICK(w, 600000, 1000, 60000, 3600000);
    s->end_us = w->real_us + ms * 1000;
    s->most_steps = MAX_STEPS;
    if (sim_chance(w, 500))
        s->most_steps = 1 + (unsigned)some_ms(w, 5000);
    s->app.config.max_server_delay_ms = PICK(w, 300000, 3000, 20000, 0);
    s->app.config.restart_spread_ms = PICK(w, 5000, 0, 60000);
}

/* What differs from the defaults. */
static void trace_config(struct seed *s)
{
    const struct wst_config *c = &s->app.config;
    struct wst_config d;

    wst_config_init(&d);
#define SHOW(field)                                                                                \
    do {                                                                                           \
        if (c->field != d.field)                                                                   \
            sim_trace(&s->w, "config: " #field " = %" PRIu64, (uint64_t)c->field);                 \
    } while (0)
    SHOW(token_step);
    SHOW(ticket_step);
    SHOW(upgrade_bearer);
    SHOW(ticket_in);
    SHOW(jitter_percent);
    SHOW(base_delay_ms);
    SHOW(cap_ms);
    SHOW(stable_ms);
    SHOW(step_timeout_ms);
    SHOW(attempt_timeout_ms);
    SHOW(close_timeout_ms);
    SHOW(ping_interval_ms);
    SHOW(ping_timeout_ms);
    SHOW(max_server_delay_ms);
    SHOW(restart_spread_ms);
    SHOW(max_attempts);
    SHOW(give_up);
    SHOW(parallel_dial);
    SHOW(max_queue_bytes);
    SHOW(max_message_bytes);
    SHOW(offline_messages);
#undef SHOW
    if (c->url_pointer)
        sim_trace(&s->w, "config: url_pointer");
    if (c->token_cache || c->store_load)
        sim_trace(&s->w, "config: %s", c->token_cache ? "token_cache" : "store_load");
}

static void make(struct seed *s, const struct sim_seed_run *run)
{
    struct sim_world *w = &s->w;

    sim_world_init(w, run->number);
    w->decider.script = run->script;
    w->decider.record = run->record;
    w->tracing = run->trace_before != NULL;
    w->live = run->trace_before;
    w->plans = s;
    w->plan_http = plan_http;
    w->plan_dial = plan_dial;
    w->plan_ws = plan_ws;
    w->plan_file = plan_file;
    w->shuffles = true;
    (void)snprintf(w->cookie, sizeof w->cookie, "lb=" SIM_SECRET);
    sim_app_init(&s->app, w);
    s->app.test = s;
    s->app.hook = hook;
    s->app.verdict = verdict;
    (void)sim_unit_begin(&w->decider, SIM_UNIT_SETUP);
    draw(s);
    trace_config(s);
}

/* ---- Liveness ------------------------------------------------------------------------------ */

/*
 * The assumption: from some moment on the network, the server, the disk and the application are
 * good for long enough, and the connection is wanted.  What was lost before stays lost: a request
 * that is never answered, a link that is dead and looks alive, a wait that the server asked for.
 *
 * The claim: from every situation but FAILED, and when |give_up| is NEVER and |max_attempts| none
 * from every one, the client is open again, on a link over which messages pass, within bound_ms().
 * In FAILED the user starts it, and from then on the same holds.
 */

/* What is left of |ms| that began at |from_ms|. */
static uint64_t rest_ms(const struct seed *s, uint64_t from_ms, uint64_t ms)
{
    uint64_t gone = sim_mono_ms(&s->w) - from_ms;

    return gone < ms ? ms - gone : 0;
}

/*
 * The longest way to open, from where it is now:
 * - from BACKOFF the rest of the wait, as it was told;
 * - an attempt that was doomed before lasts until its deadline;
 * - its link, or the one that is there, is dead and nobody tells: a ping is due after the interval,
 *   cannot leave for an interval and its timeout, leaves at last, and gets no answer; or the close
 *   handshake gets none;
 * - when the disk still has to bring something, attempts fail in vain meanwhile;
 * - one failure may come of all that, and of a token that rides on the upgrade and is bad another:
 *   the wait behind it counts from when it is told (note_wait());
 * - a good attempt.
 */
static void set_bound(struct seed *s)
{
    const struct wst_config *c = &s->app.config;
    uint64_t interval = c->ping_interval_ms > 0 ? c->ping_interval_ms : PROBE_MS;
    uint64_t unheard = 2 * (interval + c->ping_timeout_ms) + c->close_timeout_ms;
    enum wst_state state = wst_client_state(s->app.client);
    uint64_t ms = sim_ws_hangs(&s->w) ? unheard : 0;

    s->waits = 1;
    if (state == WST_STATE_BACKOFF) {
        ms = rest_ms(s, s->app.wait_mono_ms, s->app.failure.next_delay_ms);
        s->waits = 0;
    } else if (state == WST_STATE_CLOSING) {
        ms = rest_ms(s, s->app.closing_ms, c->close_timeout_ms);
    } else if (state == WST_STATE_IDLE || state == WST_STATE_FAILED) {
        ms = s->waits = 0;
    } else if (state != WST_STATE_OPEN) {
        ms += rest_ms(s, s->app.attempt_ms, c->attempt_timeout_ms);
    }
    if (s->w.files_live && ms < DISK_MS) {
        ms = DISK_MS;
        s->waits = 1;
    }
    s->waits += s->w.server.bearer;
    s->from_us = s->w.real_us;
    s->from = state;
    s->bound_ms = ms + GOOD_MS + TIMERS * s->w.timer_late_ms;
}

/* Without pings a dead link is found by nobody, unless the application asks. */
static void on_probe(struct sim_world *w, void *obj, uint64_t n)
{
    struct seed *s = obj;

    (void)n;
    if (!s->app.client || s->app.closing)
        return;
    (void)sim_wake(&s->app);
    sim_after(w, PROBE_MS, on_probe, s, 0);
}

/* What is true now, as bits. */
static unsigned situation(const struct seed *s)
{
    const struct wst_client *cl = s->app.client;
    unsigned link = !cl->link ? 0 : sim_ws_alive(&s->w) ? 1 : 2;
    unsigned bits = (unsigned)cl->core.state; /* 3 */

    bits = bits << 2 | (unsigned)cl->core.dial;
    bits = bits << 2 | link;
    bits = bits << 1 | !wst__secret_empty(wst__token_value(cl->token));
    bits = bits << 1 | (wst__client_has_ticket(cl) || (cl->asking && cl->asking->one_time_url));
    bits = bits << 1 | (cl->asking && (cl->asking->http || cl->asking->provider_request));
    bits = bits << 1 | wst__driver_wants(cl);
    bits = bits << 1 | cl->paused;
    bits = bits << 1 | (wst_client_buffered(cl) > 0);
    bits = bits << 1 | cl->core.ever_open;
    return bits;
}

static void note_situation(struct seed *s)
{
    const struct wst__core *core = &s->app.client->core;
    unsigned bits = situation(s);

    s->out->turned_good++;
    s->out->from[core->state][core->dial]++;
    s->out->situations[bits / 8] |= (uint8_t)(1 << bits % 8);
}

static void turn_good(struct seed *s)
{
    struct sim_server *server = &s->w.server;

    note_situation(s);
    sim_trace(&s->w, "---- the world is good");
    s->good = s->w.calm = true;
    s->w.server.echo_max = s->app.config.max_message_bytes; /* Or it would end the link itself. */
    s->good_us = s->w.real_us;
    server->auth_down = server->same_ticket = false;
    server->token_life_s = 3600;
    server->ticket_life_s = 30;
    server->retry_after_ms = server->spread_ms = 0;
    s->w.no_entropy = false;
    sim_ws_hurry(&s->w);
    /* What was asked is answered now. */
    on_answer(&s->w, s, 's');
    on_answer(&s->w, s, 'p');
    (void)sim_resume(&s->app);
    (void)sim_start(&s->app);
    if (s->app.config.ping_interval_ms == 0)
        on_probe(&s->w, s, 0);
}

static bool works(struct seed *s)
{
    return wst_client_state(s->app.client) == WST_STATE_OPEN && sim_ws_alive(&s->w);
}

/* FAILED is left by the user, and may only come of what was before. */
static void start_again(struct seed *s)
{
    const struct wst_config *c = &s->app.config;

    if (c->give_up == WST_GIVE_UP_NEVER && c->max_attempts == 0)
        sim_fail(&s->w, "a client that never gives up has failed in a good world");
    if (s->app.attempt_us > s->good_us + DISK_MS * 1000 &&
        !(s->w.server.bearer && s->refusals++ == 0))
        sim_fail(&s->w, "an attempt in a good world has ended in FAILED");
    (void)sim_start(&s->app);
    /* The bound stays: this comes instead of a wait. */
}

static bool step_well(struct seed *s)
{
    bool more = sim_step(&s->w, s->from_us + s->bound_ms * 1000);

    sim_app_check(&s->app);
    if (!wst__driver_wants(s->app.client))
        start_again(s);
    return more && !*s->w.failure;
}

static bool await_open(struct seed *s)
{
    struct sim_world *w = &s->w;
    unsigned *slowest;
    unsigned percent;

    set_bound(s);
    slowest = &s->out->slowest_percent[s->from];
    while (!works(s) && step_well(s))
        continue;
    if (!works(s))
        sim_fail(w, "the world is good, and after %" PRIu64 " ms the client is %s", s->bound_ms,
                 wst_state_name(wst_client_state(s->app.client)));
    percent = (unsigned)((w->real_us - s->from_us) / 10 / s->bound_ms);
    if (percent > *slowest)
        *slowest = percent;
    return !*w->failure;
}

/* A message of its own, or the end of the one that is being sent in chunks; there may be no room.
 */
static bool say(struct seed *s)
{
    if (s->app.chunk_id)
        return sim_send_chunk(&s->app, 10, WST_CHUNK_LAST) == 0;
    return sim_send(&s->app, 100) == 0;
}

/* What is sent comes back, unless something that was on the way before ends the link. */
static bool await_echo(struct seed *s)
{
    size_t echoed = s->app.last_echoed;
    bool sent = false;

    s->from_us = s->w.real_us;
    s->bound_ms = ECHO_MS;
    while (works(s) && s->app.last_echoed <= echoed) {
        sent = sent || say(s);
        if (!step_well(s))
            break;
    }
    return s->app.last_echoed > echoed;
}

static void check_liveness(struct seed *s)
{
    turn_good(s);
    /* Once more, with a new bound: the link that is there may end by what was on its way before, or
     * by a stop that was asked for.  The next one is of the good world, whole. */
    for (int i = 0; i < 2 && await_open(s); i++) {
        if (await_echo(s))
            return;
    }
    if (!*s->w.failure)
        sim_fail(&s->w, "the world is good, and no message passes");
}

/* ---- One seed ------------------------------------------------------------------------------ */

static void run(struct seed *s)
{
    struct sim_world *w = &s->w;
    bool ends_well = !sim_chance(w, 150);

    sim_app_make(&s->app);
    if (*w->failure)
        return;
    (void)sim_start(&s->app);
    sim_after(w, gap_ms(w, 300000), on_weather, s, 0);
    plan_act(s);
    while (!*w->failure && s->app.client && s->steps++ < s->most_steps && sim_step(w, s->end_us))
        sim_app_check(&s->app);
    if (s->app.client && !s->app.closing && !*w->failure && ends_well)
        check_liveness(s);
    s->good = true;
    sim_app_finish(&s->app);
}

void sim_seed_run(const struct sim_seed_run *r, struct sim_outcome *out)
{
    struct seed *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    s->out = out;
    make(s, r);
    run(s);
    out->seeds++;
    out->simulated_s += sim_boot_ms(&s->w) / 1000 - 3600;
    out->attempts += s->app.counts[SIM_CB_ATTEMPT];
    out->opens += s->app.counts[SIM_CB_OPEN];
    out->steps += s->steps;
    out->decisions += s->w.decider.made;
    if (!*out->failure)
        memcpy(out->failure, s->w.failure, sizeof out->failure);
    sim_world_fini(&s->w);
    free(s);
}

void sim_outcome_add(struct sim_outcome *to, const struct sim_outcome *from)
{
    to->seeds += from->seeds;
    to->simulated_s += from->simulated_s;
    to->attempts += from->attempts;
    to->opens += from->opens;
    to->steps += from->steps;
    to->decisions += from->decisions;
    to->turned_good += from->turned_good;
    for (int state = 0; state < WST__STATE_COUNT; state++) {
        for (int dial = 0; dial < WST__DIAL_COUNT; dial++)
            to->from[state][dial] += from->from[state][dial];
        if (from->slowest_percent[state] > to->slowest_percent[state])
            to->slowest_percent[state] = from->slowest_percent[state];
    }
    for (size_t i = 0; i < sizeof to->situations; i++)
        to->situations[i] |= from->situations[i];
    if (!*to->failure)
        memcpy(to->failure, from->failure, sizeof to->failure);
}
