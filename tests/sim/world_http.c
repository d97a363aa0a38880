/* Simulated HTTP exchanges, and behind them the server that hands out tokens and tickets. */
#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOME     "https://api.example.com/"
#define MAX_BODY 1024

struct wst__http {
    enum wst_step step;
    char method[16];
    char authorization[256];
    struct wst__http_cbs cbs;
    void *arg;
    struct sim_http_plan plan;
    uint64_t attempt;
    uint64_t begun_us;
    uint64_t ticket;  /* The one in the answer; 0: none. */
    uint64_t life_ms; /* As told with it. */
    bool live;
    bool head_here; /* Of an answer without an end. */
    bool cookies;
    struct wst__http_answer answer;
    char body[MAX_BODY];
    char note[64]; /* For the trace. */
};

/* ---- Tokens and tickets -------------------------------------------------------------------- */

void sim_token_text(char *out, size_t room, uint64_t id)
{
    (void)snprintf(out, room, "tok-" SIM_SECRET "-%" PRIu64, id);
}

/* In a URL a ticket must arrive whatever its bytes are; elsewhere they must be those of a token. */
static void ticket_text(const struct sim_server *s, char *out, size_t room, uint64_t id)
{
    const char *odd = s->ticket_in == WST_TICKET_IN_QUERY ? "&=+/%" : "-";

    (void)snprintf(out, room, "tkt-" SIM_SECRET "%s-%" PRIu64, odd, id);
}

uint64_t sim_token_mint(struct sim_world *w)
{
    struct sim_server *s = &w->server;
    int64_t life_s = s->token_life_s > 0 ? s->token_life_s : 3600;
    struct sim_token *t;

    s->tokens = realloc(s->tokens, (s->token_count + 1) * sizeof *s->tokens);
    if (!s->tokens)
        abort();
    t = &s->tokens[s->token_count++];
    *t = (struct sim_token){.id = s->token_count,
                            .until_us = w->real_us + (uint64_t)life_s * 1000000};
    return t->id;
}

void sim_tokens_revoke(struct sim_world *w)
{
    for (size_t i = 0; i < w->server.token_count; i++)
        w->server.tokens[i].revoked = true;
    sim_trace(w, "server: all tokens are revoked");
}

static const struct sim_ticket *mint_ticket(struct sim_world *w, struct wst__http *h)
{
    struct sim_server *s = &w->server;
    struct sim_ticket *t;

    if (s->same_ticket && s->ticket_count) {
        h->ticket = s->ticket_count;
        return &s->tickets[s->ticket_count - 1];
    }
    s->tickets = realloc(s->tickets, (s->ticket_count + 1) * sizeof *s->tickets);
    if (!s->tickets)
        abort();
    t = &s->tickets[s->ticket_count++];
    *t = (struct sim_ticket){.id = s->ticket_count};
    h->ticket = t->id;
    t->until_us = w->real_us + (uint64_t)(s->ticket_life_s > 0 ? s->ticket_life_s : 30) * 1000000;
    return t;
}

struct sim_ticket *sim_ticket_find(struct sim_world *w, const char *text)
{
    struct sim_server *s = &w->server;
    const char *dash = strrchr(text, '-');
    uint64_t id = dash ? strtoull(dash + 1, NULL, 10) : 0;
    char expected[64];

    if (id == 0 || id > s->ticket_count)
        return NULL;
    ticket_text(s, expected, sizeof expected, id);
    return strcmp(text, expected) == 0 ? &s->tickets[id - 1] : NULL;
}

static const struct sim_token *find_token(const struct sim_world *w, const char *authorization)
{
    const struct sim_server *s = &w->server;
    const char *dash = strrchr(authorization, '-');
    uint64_t id = dash ? strtoull(dash + 1, NULL, 10) : 0;
    char expected[64] = "Bearer ";

    if (id == 0 || id > s->token_count)
        return NULL;
    sim_token_text(expected + 7, sizeof expected - 7, id);
    return strcmp(authorization, expected) == 0 ? &s->tokens[id - 1] : NULL;
}

static bool is_good(const struct sim_world *w, const struct sim_token *t)
{
    return t && !t->revoked && w->real_us < t->until_us && !w->server.auth_down;
}

bool sim_token_good(const struct sim_world *w, const char *authorization)
{
    return is_good(w, find_token(w, authorization));
}

/* ---- The server's own answers -------------------------------------------------------------- */

static void say(struct wst__http *h, int status, const char *fmt, ...) WST__PRINTF(3, 4);
static void say(struct wst__http *h, int status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(h->body, sizeof h->body, fmt, ap);
    va_end(ap);
    h->answer.status = status;
}

static void answer_token(struct sim_world *w, struct wst__http *h)
{
    const struct sim_server *s = &w->server;
    uint64_t id = sim_token_mint(w);
    char text[64];

    sim_token_text(text, sizeof text, id);
    if (s->token_life_s > 0)
        say(h, 200, "{\"token\":\"%s\",\"expiresInSeconds\":%" PRId64 "}", text, s->token_life_s);
    else
        say(h, 200, "{\"token\":\"%s\"}", text);
    (void)snprintf(h->note, sizeof h->note, " token %" PRIu64, id);
}

static void answer_ticket(struct sim_world *w, struct wst__http *h)
{
    const struct sim_server *s = &w->server;
    const struct sim_ticket *t;
    char text[64], life[64] = "", steering[96] = "";

    if (!s->open_door && !is_good(w, find_token(w, h->authorization))) {
        say(h, 401, "{\"error\":\"unauthorized\"}");
        return;
    }
    t = mint_ticket(w, h);
    h->life_ms = (uint64_t)(s->ticket_life_s > 0 ? s->ticket_life_s : 30) * 1000;
    ticket_text(s, text, sizeof text, t->id);
    if (s->ticket_life_s > 0)
        (void)snprintf(life, sizeof life, ",\"expiresInSeconds\":%" PRId64, s->ticket_life_s);
    if (s->spread_ms || s->retry_after_ms)
        (void)snprintf(steering, sizeof steering,
                       ",\"reconnectSpreadMs\":%" PRIu64 ",\"retryAfterMs\":%" PRIu64, s->spread_ms,
                       s->retry_after_ms);
    if (s->whole_url)
        say(h, 200,
            "{\"url\":\"wss://edge.example.com/live?ticket=tkt-" SIM_SECRET
            "%%26%%3D%%2B%%2F%%25-%" PRIu64 "\"%s%s}",
            t->id, life, steering);
    else
        say(h, 200, "{\"ticket\":\"%s\"%s%s}", text, life, steering);
    (void)snprintf(h->note, sizeof h->note, " ticket %" PRIu64, t->id);
}

static void answer_planned(struct wst__http *h)
{
    const struct sim_http_plan *p = &h->plan;

    h->answer.status = p->status;
    (void)snprintf(h->body, sizeof h->body, "%s", p->body ? p->body : "");
    h->answer.has_retry_after = p->retry_after_ms > 0;
    h->answer.retry_after_ms = p->retry_after_ms;
    if (p->location)
        (void)snprintf(h->answer.location_host, sizeof h->answer.location_host, "%s", p->location);
}

/* The number behind a name of a JSON text; 0: it is not there. */
static uint64_t number_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

struct sim_asked sim_asked_in(uint64_t retry_after_ms, const char *body)
{
    uint64_t in_body = number_of(body, "\"retryAfterMs\":");

    return (struct sim_asked){.delay_ms = in_body > retry_after_ms ? in_body : retry_after_ms,
                              .spread_ms = number_of(body, "\"reconnectSpreadMs\":")};
}

/* A ticket comes with what its link's end will ask for. */
static void note_asked(struct sim_world *w, const struct wst__http *h, const char *body)
{
    struct sim_asked asked = sim_asked_in(h->answer.retry_after_ms, body);

    w->asked = h->ticket ? (struct sim_asked){.delay_ms = 0} : asked;
    w->asked_at_end = h->ticket ? asked : (struct sim_asked){.delay_ms = 0};
}

/* ---- The exchange -------------------------------------------------------------------------- */

static void finish(struct sim_world *w, struct wst__http *h)
{
    h->live = false;
    w->https_live--;
    if (w->http == h)
        w->http = NULL;
}

static void on_answer(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__http *h = obj;
    struct wst_cause why = {0};

    (void)n;
    if (!h->live)
        return;
    if (h->plan.endless) {
        sim_trace(w, "%s: %d, and no end", h->step == WST_STEP_TOKEN ? "token" : "ticket",
                  h->answer.status);
        h->head_here = true;
        return;
    }
    finish(w, h);
    if (h->plan.fail) {
        wst__cause(&why, h->plan.fail, h->step, "%s", wst_strerror(h->plan.fail));
        sim_trace(w, "%s: %s", h->step == WST_STEP_TOKEN ? "token" : "ticket",
                  wst_err_name(h->plan.fail));
        h->cbs.done(h->arg, &why, NULL);
        return;
    }
    sim_trace(w, "%s: %d%s", h->step == WST_STEP_TOKEN ? "token" : "ticket", h->answer.status,
              h->note);
    if (h->ticket) { /* The client cannot know that it was asked for before. */
        w->server.tickets[h->ticket - 1].attempt = h->attempt;
        w->server.tickets[h->ticket - 1].asked_us = h->begun_us;
        w->server.tickets[h->ticket - 1].life_ms = h->life_ms;
    }
    note_asked(w, h, h->body);
    h->answer.body = h->body;
    h->answer.body_len = strlen(h->body);
    h->cbs.done(h->arg, &why, &h->answer);
    memset(h->body, '#', sizeof h->body - 1); /* Borrowed for the call only. */
}

/* The request reaches the server half way; the server answers also one that was cancelled. */
static void on_arrival(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__http *h = obj;

    (void)n;
    if (h->plan.status || h->plan.body)
        answer_planned(h);
    else if (h->step == WST_STEP_TOKEN)
        answer_token(w, h);
    else
        answer_ticket(w, h);
    if (h->plan.status == 0 && h->plan.body)
        h->answer.status = 200;
    sim_after_us(w, h->plan.answer_ms * 500, on_answer, h, 0);
}

static void on_sent(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__http *h = obj;

    (void)n;
    if (!h->live)
        return;
    h->cbs.sent(h->arg);
    if (h->plan.stall)
        return;
    if (h->plan.fail)
        sim_after(w, h->plan.answer_ms, on_answer, h, 0);
    else
        sim_after_us(w, h->plan.answer_ms * 500, on_arrival, h, 0);
}

static void read_headers(struct sim_world *w, struct wst__http *h, const char *const *headers)
{
    for (; *headers; headers++) {
        if (strncasecmp(*headers, "Authorization: ", 15) == 0)
            (void)snprintf(h->authorization, sizeof h->authorization, "%s", *headers + 15);
        if (strpbrk(*headers, "\r\n") || !strchr(*headers, ':'))
            sim_fail(w, "a malformed header is sent");
    }
}

static void check_request(struct sim_world *w, const struct wst__http *h,
                          const struct wst__http_request *rq)
{
    if (strncmp(rq->url, HOME, strlen(HOME)) != 0)
        sim_fail(w, "a request goes to a host that is not the server's");
    if (h->step == WST_STEP_TOKEN && *h->authorization)
        sim_fail(w, "the token is sent with the token request");
    if (rq->max_body_bytes == 0 || rq->max_header_bytes == 0)
        sim_fail(w, "a request without a ceiling");
    if (w->https_live)
        sim_fail(w, "two exchanges at once");
}

static int http_start(void *world, struct wst__net *net, const struct wst__http_request *rq,
                      const struct wst__http_cbs *cbs, void *arg, struct wst__http **out)
{
    struct sim_world *w = world;
    struct wst__http *h = sim_alloc(w, sizeof *h);
    const struct sim_token *token;

    (void)net;
    h->step = rq->step;
    h->cbs = *cbs;
    h->arg = arg;
    h->begun_us = w->real_us;
    h->attempt = sim_app_attempt(w);
    h->plan.answer_ms = 20;
    (void)snprintf(h->method, sizeof h->method, "%s", rq->method);
    read_headers(w, h, rq->headers);
    check_request(w, h, rq);
    if (w->plan_http)
        w->plan_http(w, rq->step, &h->plan);
    if (h->plan.refuse)
        return h->plan.refuse;
    token = find_token(w, h->authorization);
    if (token)
        sim_trace(w, "%s %s (token %" PRIu64 ")", h->method, rq->url + strlen(HOME) - 1, token->id);
    else
        sim_trace(w, "%s %s%s", h->method, rq->url + strlen(HOME) - 1,
                  *h->authorization ? " (unknown token)" : "");
    h->live = true;
    w->https_live++;
    w->https_begun++;
    w->http = *out = h;
    sim_app_http(w, h->step);
    if (h->plan.fail && h->plan.fail_unsent)
        sim_after(w, h->plan.answer_ms, on_answer, h, 0);
    else if (!h->plan.unsent)
        sim_after(w, h->plan.sent_ms, on_sent, h, 0);
    return 0;
}

static bool http_refusal(void *world, struct wst__http *h, struct wst_cause *why,
                         const struct wst__http_answer **answer)
{
    if (!h->live)
        sim_fail(world, "http_refusal of an exchange that is gone");
    if (!h->head_here || h->answer.status < 300)
        return false;
    why->code = 0;
    note_asked(world, h, "");
    h->answer.body = "";
    *answer = &h->answer;
    return true;
}

static void http_cancel(void *world, struct wst__http *h)
{
    struct sim_world *w = world;

    if (!h->live) {
        sim_fail(w, "http_cancel of an exchange that is gone");
        return;
    }
    sim_trace(w, "%s: cancelled", h->step == WST_STEP_TOKEN ? "token" : "ticket");
    finish(w, h);
}

void sim_http_ports(struct wst__ports *p)
{
    p->http_start = http_start;
    p->http_refusal = http_refusal;
    p->http_cancel = http_cancel;
}
