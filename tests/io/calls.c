/* One HTTP request or one stream of a test. */
#include "calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- HTTP ---------------------------------------------------------------------------------- */

static void on_sent(void *arg)
{
    struct call *c = arg;

    assert_false(c->done);
    c->sent++;
}

static void on_done(void *arg, const struct wst_cause *why, const struct wst__http_answer *answer)
{
    struct call *c = arg;

    assert_false(c->done);
    assert_int_equal(answer != NULL, why->code == 0);
    c->done = true;
    c->why = *why;
    c->http = NULL;
    if (!answer)
        return;
    assert_int_equal(answer->body[answer->body_len], '\0');
    c->answer = *answer;
    (void)snprintf(c->body, sizeof c->body, "%s", answer->body);
    c->answer.body = c->body;
}

void call_start(struct call *c, struct wst__net *net, const char *method, const char *url,
                const char *const *headers, const char *body)
{
    static const struct wst__http_cbs cbs = {.sent = on_sent, .done = on_done};
    struct wst__http_request rq = {.step = WST_STEP_TICKET,
                                   .url = url,
                                   .method = method,
                                   .headers = headers,
                                   .body = body,
                                   .body_len = body ? strlen(body) : 0,
                                   .max_header_bytes = 16 * 1024,
                                   .max_body_bytes = 64 * 1024};

    memset(c, 0, sizeof *c);
    assert_int_equal(wst__http_start(net, &rq, &cbs, c, &c->http), 0);
    assert_false(c->done);
}

int call_get(struct call *c, struct world *w, struct wst__net *net, const char *url)
{
    call_start(c, net, "GET", url, NULL, NULL);
    world_run(w, &c->done);
    return c->why.code;
}

const char *url_of(const char *scheme, const char *host, const struct server *s, const char *path)
{
    static char urls[8][256];
    static unsigned next;
    char *url = urls[next++ % 8];

    (void)snprintf(url, sizeof urls[0], "%s://%s:%u%s", scheme, host, server_port(s), path);
    return url;
}

/* ---- Streams ------------------------------------------------------------------------------- */

static void on_ready(void *arg, const struct wst__stream_timing *timing)
{
    struct pipe *p = arg;

    assert_false(p->ready || p->ended || p->closed);
    p->ready = true;
    p->timing = *timing;
    if (p->on_ready)
        p->on_ready(p);
}

static void count(struct pipe *p, size_t n)
{
    assert_true(p->ready && !p->ended && !p->closed);
    p->len += n;
    p->calls++;
    p->got_enough = p->enough > 0 && p->len >= p->enough;
    if (p->on_data)
        p->on_data(p);
}

static void on_data(void *arg, uint8_t *bytes, size_t n)
{
    struct pipe *p = arg;

    assert_true(n > 0);
    if (p->data && p->len + n <= p->max)
        memcpy(p->data + p->len, bytes, n);
    count(p, n);
}

static uint8_t *on_place(void *arg, size_t *room)
{
    struct pipe *p = arg;

    *room = p->place_room;
    return p->place_room > 0 ? p->place : NULL;
}

static void on_placed(void *arg, size_t n)
{
    struct pipe *p = arg;

    assert_true(n <= p->place_room);
    p->place += n;
    p->place_room -= n;
    p->placed += n;
    count(p, n);
}

static void on_writable(void *arg)
{
    struct pipe *p = arg;

    assert_true(p->ready && !p->ended && !p->closed);
    p->writable = true;
}

static void on_ended(void *arg, const struct wst_cause *why)
{
    struct pipe *p = arg;

    assert_false(p->ended || p->closed);
    assert_int_not_equal(why->code, 0);
    assert_int_equal(why->step, WST_STEP_CONNECT);
    p->ended = true;
    p->why = *why;
}

void pipe_open(struct pipe *p, struct world *w, struct wst__net *net, const char *host,
               uint16_t port, bool tls)
{
    static const struct wst__stream_cbs cbs = {.ready = on_ready,
                                               .data = on_data,
                                               .place = on_place,
                                               .placed = on_placed,
                                               .writable = on_writable,
                                               .ended = on_ended};
    struct wst__stream_request rq = {.host = host, .port = port, .tls = tls};

    p->world = w;
    assert_int_equal(wst__stream_open(net, &rq, &cbs, p, &p->stream), 0);
    assert_false(p->ready || p->ended);
}

int pipe_connect(struct pipe *p, struct world *w, struct wst__net *net, const char *host,
                 uint16_t port, bool tls)
{
    pipe_open(p, w, net, host, port, tls);
    world_run_either(p->world, &p->ready, &p->ended);
    return p->ready ? 0 : p->why.code;
}

int pipe_write(struct pipe *p, const void *bytes, size_t n)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};

    while (iov.iov_len > 0) {
        struct wst_cause why;
        size_t wrote;
        int rc;

        p->writable = false;
        rc = wst__stream_write(p->stream, &iov, 1, &wrote, &why);
        if (rc != 0)
            return rc;
        iov.iov_base = (char *)iov.iov_base + wrote;
        iov.iov_len -= wrote;
        if (iov.iov_len > 0)
            world_run_either(p->world, &p->writable, &p->ended);
        if (p->ended)
            return p->why.code;
    }
    return 0;
}

void pipe_expect(struct pipe *p, size_t n)
{
    p->enough = n;
    p->got_enough = p->len >= n;
    world_run_either(p->world, &p->got_enough, &p->ended);
    assert_true(p->got_enough);
}

static void on_closed(void *arg)
{
    struct pipe *p = arg;

    p->closed = true;
}

void pipe_close(struct pipe *p)
{
    wst__stream_close(p->stream, on_closed, p);
    assert_false(p->closed);
    world_run(p->world, &p->closed);
}
