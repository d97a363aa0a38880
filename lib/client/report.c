/* Failures in words a person can act on. */
#include "client/report.h"

#include "base/mem.h"
#include "core/verdict.h"

#include <stdio.h>
#include <string.h>

/* The reason phrases of the statuses that this protocol meets (RFC 9110, 15). */
static const char *reason_phrase(int status)
{
    static const struct {
        int status;
        const char *text;
    } phrases[] = {
        {400, "Bad Request"},        {401, "Unauthorized"},
        {403, "Forbidden"},          {404, "Not Found"},
        {405, "Method Not Allowed"}, {407, "Proxy Auth Required"},
        {408, "Request Timeout"},    {410, "Gone"},
        {425, "Too Early"},          {426, "Upgrade Required"},
        {429, "Too Many Requests"},  {500, "Internal Server Error"},
        {502, "Bad Gateway"},        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };

    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++) {
        if (phrases[i].status == status)
            return phrases[i].text;
    }
    return "";
}

static const char *what_was_asked(enum wst_step step)
{
    static const char *const asked[] = {
        [WST_STEP_NONE] = "request",
        [WST_STEP_TOKEN] = "token request",
        [WST_STEP_TICKET] = "ticket request",
        [WST_STEP_CONNECT] = "WebSocket upgrade",
    };

    return asked[step];
}

static const char *what_to_do(enum wst_step step, int status)
{
    if (status == 401)
        return step == WST_STEP_TOKEN ? "; check the credentials of the token request" : "";
    if (status == 400 && step == WST_STEP_TOKEN)
        return "; check token_body, and whether this server uses tickets at all (ticket_step)";
    if (status == 426 && step != WST_STEP_CONNECT)
        return "; this is a WebSocket endpoint: does the server use tickets at all (ticket_step)?";
    if (status == 404)
        return step == WST_STEP_TOKEN    ? "; check token_url"
               : step == WST_STEP_TICKET ? "; check ticket_url"
                                         : "; check ws_url";
    if (status == 405)
        return step == WST_STEP_TOKEN    ? "; check token_method"
               : step == WST_STEP_TICKET ? "; check ticket_method"
                                         : "; is this a WebSocket endpoint?";
    return "";
}

void wst__report_status(struct wst_cause *why, enum wst_step step, int status,
                        const char *location_host)
{
    const char *phrase = reason_phrase(status);
    int code = WST_ERR_HTTP_STATUS;

    if (status >= 300 && status <= 399) {
        wst__cause(why, WST_ERR_REDIRECTED, step, "the %s was redirected to %s: not followed",
                   what_was_asked(step), *location_host ? location_host : "nowhere");
        why->http_status = status;
        return;
    }
    if (status == 401 && step == WST_STEP_TICKET)
        code = WST_ERR_TOKEN_REFUSED;
    wst__cause(why, code, step, "the %s was answered %d%s%s%s", what_was_asked(step), status,
               *phrase ? " " : "", phrase, what_to_do(step, status));
    why->http_status = status;
}

struct wst__words *wst__report_words(struct wst_client *cl)
{
    if (!cl->words)
        cl->words = wst__calloc(1, sizeof *cl->words);
    return cl->words;
}

struct wst__failure wst__report_failure(struct wst_client *cl, enum wst_step step,
                                        const struct wst_cause *why, uint64_t retry_after_ms,
                                        uint64_t spread_ms)
{
    struct wst__failure f = {.code = (int16_t)why->code,
                             .step = step,
                             .http_status = (uint16_t)why->http_status,
                             .close_code = (uint16_t)why->close_code,
                             .retry_after_ms = wst__within_32_bits(retry_after_ms),
                             .spread_ms = wst__within_32_bits(spread_ms)};
    struct wst__words *words;

    words = wst__report_words(cl);
    if (words) {
        words->causes[step] = *why;
        words->causes[step].step = step;
    }
    return f;
}

static void timed_out(const struct wst_client *cl, const struct wst__failure *f,
                      struct wst_cause *cause)
{
    static const char limits[] = "step_timeout_ms, attempt_timeout_ms";
    const struct wst__url *u = wst__client_target(cl);

    if (f->close_code)
        wst__cause(cause, f->code, f->step, "the close handshake was not finished within %llu ms",
                   (unsigned long long)cl->shared->config.c.close_timeout_ms);
    else if (f->step == WST_STEP_CONNECT && cl->upgrade_at_us == 0)
        wst__cause(cause, f->code, f->step, "no connection%s was made in time (%s)%s",
                   u->tls ? " with TLS" : "", limits, u->tls ? "; is it a TLS port?" : "");
    else
        wst__cause(cause, f->code, f->step, "the %s was not answered in time (%s)",
                   what_was_asked(f->step), limits);
}

/* Words for what the core found by itself. */
static void own_cause(const struct wst_client *cl, const struct wst__failure *f,
                      struct wst_cause *cause)
{
    const struct wst_config *c = &cl->shared->config.c;

    switch (f->code) {
    case WST_ERR_TIMEOUT:
        timed_out(cl, f, cause);
        break;
    case WST_ERR_PING_TIMEOUT:
        wst__cause(cause, f->code, f->step, "the peer sent no byte within %llu ms after a ping",
                   (unsigned long long)c->ping_timeout_ms);
        break;
    case WST_ERR_TICKET_STALE:
        wst__cause(cause, f->code, f->step,
                   "two tickets got older than 80 %% of their life before the connection stood; "
                   "is the network slow, or the ticket's life too short?");
        break;
    default:
        wst__cause(cause, f->code, f->step, "%s", wst_strerror(f->code));
        break;
    }
}

void wst__report_cause(const struct wst_client *cl, const struct wst__failure *f,
                       struct wst_cause *cause)
{
    const struct wst_cause *known = cl->words ? &cl->words->causes[f->step] : NULL;

    if (f->code == 0)
        memset(cause, 0, sizeof *cause);
    else if (!f->own && known && known->code == f->code)
        *cause = *known;
    else
        own_cause(cl, f, cause);
    cause->step = f->step;
    cause->cls = f->cls;
    cause->close_code = f->close_code;
    cause->http_status = f->http_status;
}

void wst__report_info(struct wst_client *cl, uint64_t delay_ms, struct wst_error_info *info)
{
    const struct wst__core *core = &cl->core;
    uint64_t asked = core->failure.retry_after_ms;

    memset(info, 0, sizeof *info);
    wst__report_cause(cl, &core->failure, &info->cause);
    wst__report_cause(cl, &core->other, &info->other);
    info->attempt = cl->counts.attempts; /* The core may have begun the next one in this step. */
    info->failures = core->failures;
    info->next_delay_ms = delay_ms;
    info->retry_after_ms = asked < cl->shared->config.c.max_server_delay_ms
                               ? asked
                               : cl->shared->config.c.max_server_delay_ms;
}

void wst__report_keep(struct wst_client *cl, const struct wst_error_info *info)
{
    if (!cl->last_error)
        cl->last_error = wst__malloc(sizeof *cl->last_error);
    cl->error_lost = !cl->last_error;
    if (cl->last_error)
        *cl->last_error = *info;
}
