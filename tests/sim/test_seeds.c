/*
 * The promises over many seeds.  A seed draws a configuration, a history of weather (delays,
 * losses, stalls, resets, refusals, garbage, sleeps, jumps of the wall clock), and an application
 * that calls whatever it likes whenever it likes, inside callbacks too.  The world and the
 * application watch the promises all the while (world_ws.c, app.c).  In the end either the client
 * is closed, or the weather turns good, and then it must be open within a bound that is computed
 * here.
 *
 *   WST_SIM_SEEDS=N   how many (default 2000; with WST_LONG=1 ten million)
 *   WST_SIM_FIRST=N   the first one (default 1)
 *   WST_SIM_SEED=N    this one alone, with its trace
 */
#include "sim/app.h"

#include "client/driver.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_STEPS   20000
#define GOOD_SLACK  10000
#define MAX_WORKERS 4

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

struct seed {
    struct sim_world w;
    struct sim_app app;
    struct weather weather;
    bool good;          /* The end: no faults, no more calls. */
    unsigned hook_rate; /* Calls inside callbacks, per mille. */
    unsigned close_rate;
    uint64_t act_ms;       /* Between two calls, at most. */
    unsigned answers;      /* How eagerly the application answers, per mille. */
    uint64_t asked_before; /* An older question. */
    enum wst_step asked_before_step;
    unsigned steps;
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

static void plan_http(struct sim_world *w, enum wst_step step, struct sim_http_plan *p)
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

    (void)step;
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
        p->retry_after_ms = PICK(w, 1000, 5000, 30000, 3600000);
    if (p->status == 302)
        p->location = "elsewhere.example.com";
}

static void plan_dial(struct sim_world *w, struct sim_dial_plan *p)
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

static void plan_refusal(struct sim_world *w, struct sim_ws_plan *p)
{
    static const char *const headers[] = {"", "Retry-After: 2\r\n", "Retry-After: 7200\r\n",
                                          "Location: https://elsewhere.example.com/\r\n"};
    static const char *const bodies[] = {"", "no", "{\"retryAfterMs\":900}",
                                         "{\"reconnectSpreadMs\":9000}"};

    p->status = (int)PICK(w, 200, 301, 400, 401, 403, 404, 426, 429, 500, 503);
    p->headers = headers[sim_upto(w, 3)];
    p->body = bodies[sim_upto(w, 3)];
}

static void plan_ws(struct sim_world *w, struct sim_ws_plan *p)
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
        plan_refusal(w, p);
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

static void plan_file(struct sim_world *w, struct sim_file_plan *p)
{
    const struct weather *x = &of(w)->weather;

    p->ms = some_ms(w, x->slow_ms);
    p->fail = sim_chance(w, x->file_fail) ? WST_ERR_IO : 0;
    p->refuse = sim_chance(w, x->refuse) ? WST_ERR_NOMEM : 0;
}

static void draw_weather(struct seed *s)
{
    struct weather *x = &s->weather;
    unsigned *odds = (unsigned *)(void *)x;
    size_t count = offsetof(struct weather, slow_ms) / sizeof *odds;
    uint64_t kind = sim_upto(&s->w, 5);

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
    }
    s->w.server.auth_down = sim_chance(&s->w, 50);
    s->w.server.same_ticket = sim_chance(&s->w, 50);
    s->w.server.ticket_life_s = (int64_t)PICK(&s->w, 0, 1, 2, 5, 30, 30, 30);
    s->w.server.token_life_s = (int64_t)PICK(&s->w, 0, 1, 5, 60, 3600);
    s->w.server.reject_status = (int)PICK(&s->w, 0, 401, 403);
    s->w.server.spread_ms = PICK(&s->w, 0, 0, 0, 3000);
    s->w.no_entropy = false;
}

static void on_weather(struct sim_world *w, void *obj, uint64_t n)
{
    struct seed *s = obj;

    (void)n;
    if (s->good)
        return;
    draw_weather(s);
    sim_after(w, some_ms(w, 300000), on_weather, s, 0);
}

/* ---- The application ----------------------------------------------------------------------- */

static void answer(struct seed *s)
{
    struct sim_app *app = &s->app;

    if (app->load_request && sim_chance(&s->w, 700)) {
        (void)sim_loaded(app);
        return;
    }
    if (sim_chance(&s->w, 200))
        (void)sim_provide_failed(app, (int)PICK(&s->w, 0, 401, 403, 404, 503, 500),
                                 PICK(&s->w, 0, 0, 2000));
    else
        (void)sim_provide(app);
}

static void server_acts(struct seed *s)
{
    static const uint8_t oversized[] = {0x82, 0x7f, 0, 0, 0, 0, 0x40, 0, 0, 0};
    struct sim_world *w = &s->w;

    switch (sim_upto(w, 7)) {
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
        w->wall_offset_s += (int64_t)sim_upto(w, 20000) - 10000;
        break;
    case 5:
        sim_suspend(w, some_ms(w, 3600000));
        break;
    case 6:
        sim_ws_raw(w, oversized, sizeof oversized);
        break;
    default:
        sim_ws_deaf(w, sim_chance(w, 500));
        break;
    }
}

/* A call of the API, whichever. */
static void call(struct seed *s)
{
    struct sim_world *w = &s->w;
    struct sim_app *app = &s->app;

    switch (sim_upto(w, 21)) {
    case 0:
    case 1:
        (void)sim_stop(app);
        break;
    case 2:
        (void)sim_stop_with(app, 4000, "enough");
        break;
    case 3:
    case 4:
    case 5:
        (void)sim_start(app);
        break;
    case 6:
        (void)sim_wake(app);
        break;
    case 7:
        (void)sim_ping(app);
        break;
    case 8:
        (void)sim_pause(app);
        break;
    case 9:
    case 10:
        (void)sim_resume(app);
        break;
    case 11:
        (void)sim_set_token(app, sim_token_mint(w), PICK(w, 0, 5000, 3600000));
        break;
    case 12:
        (void)sim_forget_token(app);
        break;
    case 13:
        (void)sim_post(app);
        break;
    case 14:
        answer(s);
        break;
    case 15:
    case 16:
    case 17:
    case 18: /* Mostly with flags that fit, so that many of them are accepted. */
        (void)sim_send_chunk(app, (size_t)some_ms(w, 100000),
                             sim_chance(w, 800) ? (app->chunk_id ? 0 : WST_CHUNK_FIRST) |
                                                      (unsigned)PICK(w, 0, WST_CHUNK_LAST)
                                                : (unsigned)sim_upto(w, 3));
        break;
    default:
        (void)sim_send(app, (size_t)some_ms(w, 300000));
        break;
    }
}

static void on_act(struct sim_world *w, void *obj, uint64_t n)
{
    struct seed *s = obj;
    uint64_t calls = 1 + (sim_chance(w, 200) ? sim_upto(w, 4) : 0);

    (void)n;
    if (s->good || !s->app.client)
        return;
    if (sim_chance(w, 250))
        server_acts(s);
    else
        for (uint64_t i = 0; i < calls; i++)
            call(s);
    /* Mostly the connection is wanted. */
    if (sim_chance(w, 300))
        (void)sim_start(&s->app);
    sim_after(w, some_ms(w, s->act_ms), on_act, s, 0);
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

static void hook(struct sim_app *app, enum sim_cb cb)
{
    struct seed *s = app->test;
    struct sim_world *w = &s->w;

    if (cb == SIM_CB_PROVIDE || cb == SIM_CB_STORE) {
        uint64_t kind = cb == SIM_CB_STORE ? 's' : 'p';

        if (s->good || sim_chance(w, 400))
            sim_after(w, s->good ? 5 : some_ms(w, 15000), on_answer, s, kind);
        else if (sim_chance(w, s->answers))
            on_answer(w, s, kind);
    }
    if (s->good || !app->client)
        return;
    if (sim_chance(w, s->hook_rate))
        call(s);
    if (sim_chance(w, s->close_rate)) {
        sim_close(app);
        if (sim_chance(w, 300))
            call(s);
    }
}

static enum wst_verdict verdict(struct sim_app *app, const struct wst_cause *cause)
{
    struct seed *s = app->test;

    (void)cause;
    if (s->good || !sim_chance(&s->w, s->hook_rate))
        return WST_VERDICT_DEFAULT;
    return (enum wst_verdict)PICK(&s->w, WST_VERDICT_RETRY, WST_VERDICT_RETRY_NEW_TOKEN,
                                  WST_VERDICT_STOP);
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
    c->jitter_percent = (unsigned)PICK(w, 0, 50, 50, 100);
    c->base_delay_ms = PICK(w, 1, 50, 250, 250, 2000);
    c->cap_ms = PICK(w, 2000, 30000, 30000, 60000);
    c->stable_ms = PICK(w, 1, 1000, 5000, 30000);
    c->step_timeout_ms = PICK(w, 1000, 10000, 10000, 40000);
    c->attempt_timeout_ms = PICK(w, 5000, 30000, 30000);
    c->close_timeout_ms = PICK(w, 100, 5000, 5000);
    c->ping_interval_ms = PICK(w, 0, 500, 20000, 20000);
    c->ping_timeout_ms = PICK(w, 1000, 10000, 30000);
    c->max_attempts = (unsigned)PICK(w, 0, 0, 0, 0, 1, 3);
    c->give_up = (enum wst_give_up)sim_upto(w, 2);
    c->parallel_dial = (int)PICK(w, 0, 1, 1, 1);
    c->max_queue_bytes = PICK(w, 1024, 100000, 1 << 24);
    c->queue_low_water = PICK(w, 0, 1000, 1023);
    c->max_message_bytes = PICK(w, 150000, 1 << 24);
    c->offline_messages = (unsigned)PICK(w, 0, 0, 1, 5, 1000);
    c->offline_bytes = PICK(w, 1000, 100000, 1 << 20);
    c->offline_bytes =
        c->offline_bytes < c->max_queue_bytes ? c->offline_bytes : c->max_queue_bytes;
    c->offline_age_ms = PICK(w, 1, 500, 5000, 60000, 600000);
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

static void make(struct seed *s, uint64_t number, bool tracing)
{
    struct sim_world *w = &s->w;

    sim_world_init(w, number);
    w->tracing = tracing;
    w->plans = s;
    w->plan_http = plan_http;
    w->plan_dial = plan_dial;
    w->plan_ws = plan_ws;
    w->plan_file = plan_file;
    w->shuffles = true;
    w->timer_late_ms = PICK(w, 0, 0, 5, 500);
    w->polled_late_us = PICK(w, 0, 900);
    (void)snprintf(w->cookie, sizeof w->cookie, "lb=" SIM_SECRET);
    sim_app_init(&s->app, w);
    s->app.test = s;
    s->app.hook = hook;
    s->app.verdict = verdict;
    s->hook_rate = (unsigned)PICK(w, 0, 20, 100, 300);
    s->close_rate = (unsigned)PICK(w, 0, 0, 0, 1, 5);
    s->act_ms = PICK(w, 100, 3000, 60000, 600000);
    s->answers = (unsigned)PICK(w, 0, 500, 1000);
    draw_config(s);
    draw_weather(s);
}

/* ---- Liveness ------------------------------------------------------------------------------ */

static void turn_good(struct seed *s)
{
    struct sim_server *server = &s->w.server;

    sim_trace(&s->w, "---- the world is good");
    s->good = true;
    memset(&s->weather, 0, sizeof s->weather);
    s->weather.slow_ms = 20;
    server->auth_down = server->same_ticket = false;
    server->token_life_s = 3600;
    server->ticket_life_s = 30;
    server->spread_ms = 0;
    /* What was asked is answered now. */
    on_answer(&s->w, s, 's');
    on_answer(&s->w, s, 'p');
    (void)sim_resume(&s->app);
    (void)sim_start(&s->app);
}

/*
 * From anything: a dead link is found, or a close handshake ends; its wait; an attempt that was
 * doomed before the world became good; its wait; an attempt that succeeds.
 */
static uint64_t bound_ms(const struct seed *s)
{
    const struct wst_config *c = &s->app.config;
    uint64_t ladder = c->cap_ms + c->cap_ms * c->jitter_percent / 100;
    uint64_t server = 2 * c->max_server_delay_ms + c->max_server_delay_ms;
    uint64_t dead = 2 * (c->ping_interval_ms + c->ping_timeout_ms) + c->close_timeout_ms;
    uint64_t wait = (ladder > server ? ladder : server) + c->restart_spread_ms;

    return dead + wait + c->attempt_timeout_ms + ladder + c->restart_spread_ms + GOOD_SLACK +
           6 * s->w.timer_late_ms;
}

static bool is_open(struct seed *s)
{
    return wst_client_state(s->app.client) == WST_STATE_OPEN;
}

/* One event, and what a patient user does: FAILED may be left, for it comes of what was before. */
static bool step_well(struct seed *s, uint64_t end_us)
{
    bool more = sim_step(&s->w, end_us);

    sim_app_check(&s->app);
    if (wst_client_state(s->app.client) == WST_STATE_FAILED)
        (void)sim_start(&s->app);
    return more && !*s->w.failure;
}

/* A message of its own, or the end of the one that is being sent in chunks; there may be no room.
 */
static bool say(struct seed *s)
{
    if (s->app.chunk_id)
        return sim_send_chunk(&s->app, 10, WST_CHUNK_LAST) == 0;
    return sim_send(&s->app, 100) == 0;
}

/* Open, and what is sent comes back.  An old link may still look open: then it is found dead, and
 * there is another one. */
static void check_liveness(struct seed *s)
{
    struct sim_world *w = &s->w;
    uint64_t end_us;
    size_t echoed;
    bool said;

    turn_good(s);
    end_us = w->real_us + bound_ms(s) * 1000;
    do {
        while (!is_open(s) && step_well(s, end_us))
            continue;
        if (s->app.config.ping_interval_ms == 0)
            (void)sim_wake(&s->app); /* Else a dead link would be found by nobody. */
        echoed = s->app.last_echoed;
        said = say(s);
        while (is_open(s) && s->app.last_echoed == echoed && step_well(s, end_us))
            said = said || say(s);
        if (is_open(s) && s->app.last_echoed > echoed)
            return;
    } while (!*w->failure && w->real_us < end_us);
    sim_fail(w, "the world is good, and after %" PRIu64 " ms the client is %s", bound_ms(s),
             wst_state_name(wst_client_state(s->app.client)));
}

/* ---- One seed ------------------------------------------------------------------------------ */

static void run(struct seed *s)
{
    struct sim_world *w = &s->w;
    uint64_t end_us = w->real_us + PICK(w, 1000, 60000, 600000, 3600000) * 1000;

    sim_app_make(&s->app);
    if (*w->failure)
        return;
    (void)sim_start(&s->app);
    sim_after(w, some_ms(w, 300000), on_weather, s, 0);
    sim_after(w, some_ms(w, s->act_ms), on_act, s, 0);
    while (!*w->failure && s->app.client && s->steps++ < MAX_STEPS && sim_step(w, end_us))
        sim_app_check(&s->app);
    if (s->app.client && !s->app.closing && !*w->failure && sim_chance(w, 800))
        check_liveness(s);
    s->good = true;
    sim_app_finish(&s->app);
}

struct result {
    uint64_t seeds, failed, first_failed;
    uint64_t simulated_s, attempts, opens, steps;
};

static volatile uint64_t running;

/* An assertion failed, or worse: which seed was it? */
static void on_death(int sig)
{
    char text[64];
    int n = snprintf(text, sizeof text, "# seed %" PRIu64 " dies\n", running);

    (void)!write(STDOUT_FILENO, text, (size_t)n);
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

static void run_seed(uint64_t number, bool tracing, struct result *r)
{
    struct seed *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    running = number;
    make(s, number, tracing);
    run(s);
    r->seeds++;
    r->simulated_s += s->w.real_us / 1000000 - 3600;
    r->attempts += s->app.counts[SIM_CB_ATTEMPT];
    r->opens += s->app.counts[SIM_CB_OPEN];
    r->steps += s->steps;
    if (tracing)
        fputs(s->w.trace ? s->w.trace : "", stdout);
    if (*s->w.failure) {
        printf("# seed %" PRIu64 ": %s\n#   replay: WST_SIM_SEED=%" PRIu64
               " tests/sim/test_sim_seeds\n",
               number, s->w.failure, number);
        (void)fflush(stdout);
        if (r->failed++ == 0)
            r->first_failed = number;
    }
    sim_world_fini(&s->w);
    free(s);
}

static void add(struct result *to, const struct result *r)
{
    to->seeds += r->seeds;
    to->failed += r->failed;
    to->simulated_s += r->simulated_s;
    to->attempts += r->attempts;
    to->opens += r->opens;
    to->steps += r->steps;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* The seeds are dealt out to a few processes. */
static int sweep(uint64_t first, uint64_t count, struct result *sum)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t workers = cpus < 1 ? 1 : cpus > MAX_WORKERS ? MAX_WORKERS : (uint64_t)cpus;
    pid_t pids[MAX_WORKERS];
    int fds[2];
    int bad = 0;

    if (pipe(fds) != 0)
        return 1;
    (void)fflush(stdout);
    for (uint64_t k = 0; k < workers; k++) {
        pids[k] = fork();
        if (pids[k] == 0) {
            struct result r = {0};

            (void)signal(SIGABRT, on_death);
            (void)signal(SIGSEGV, on_death);
            for (uint64_t i = k; i < count && r.failed < 5; i += workers)
                run_seed(first + i, false, &r);
            _exit(write(fds[1], &r, sizeof r) == sizeof r && r.failed == 0 ? 0 : 1);
        }
    }
    (void)close(fds[1]);
    for (uint64_t k = 0; k < workers; k++) {
        struct result r;
        int status = 0;

        if (read(fds[0], &r, sizeof r) == sizeof r)
            add(sum, &r);
        if (waitpid(pids[k], &status, 0) != pids[k] || !WIFEXITED(status) || WEXITSTATUS(status))
            bad = 1;
        if (WIFSIGNALED(status))
            printf("# a worker died of signal %d\n", WTERMSIG(status));
    }
    (void)close(fds[0]);
    return bad;
}

int main(void)
{
    uint64_t one = number_from("WST_SIM_SEED", 0);
    uint64_t count = number_from("WST_SIM_SEEDS", number_from("WST_LONG", 0) ? 10000000 : 2000);
    struct result sum = {0};
    struct timespec a, b;
    double seconds;
    int bad;

    if (one) {
        run_seed(one, true, &sum);
        return sum.failed ? 1 : 0;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    bad = sweep(number_from("WST_SIM_FIRST", 1), count, &sum);
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    printf("1..1\n# %" PRIu64 " seeds, %.0f simulated hours, %" PRIu64 " attempts, %" PRIu64
           " opens, %" PRIu64 " events in %.1f s: %.1f simulated hours per second\n",
           sum.seeds, (double)sum.simulated_s / 3600, sum.attempts, sum.opens, sum.steps, seconds,
           (double)sum.simulated_s / 3600 / seconds);
    printf("%s 1 - the promises hold in every seed\n", bad || sum.seeds < count ? "not ok" : "ok");
    return bad || sum.seeds < count ? 1 : 0;
}
