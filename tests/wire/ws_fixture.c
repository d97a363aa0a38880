#include "ws_fixture.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Input ---------------------------------------------------------------------------------- */

uint8_t *bytes_from(const char *description, size_t *n)
{
    uint8_t *out = malloc(1);
    const char *s = description;

    *n = 0;
    while (*s) {
        uint8_t unit[256];
        size_t unit_n = 0;
        unsigned long times = 1;
        const char *star = s;

        if (*s == ' ') {
            s++;
            continue;
        }
        while (isdigit((unsigned char)*star))
            star++;
        if (*star == '*') {
            times = strtoul(s, NULL, 10);
            s = star + 1;
        }
        if (*s == '\'') {
            for (s++; *s != '\''; s++)
                unit[unit_n++] = (uint8_t)*s;
            s++;
        } else {
            for (; isxdigit((unsigned char)*s); s += 2) {
                char pair[3] = {s[0], s[1], '\0'};

                unit[unit_n++] = (uint8_t)strtoul(pair, NULL, 16);
            }
        }
        assert_true(unit_n > 0);
        out = realloc(out, *n + times * unit_n + 1);
        assert_non_null(out);
        for (; times; times--) {
            memcpy(out + *n, unit, unit_n);
            *n += unit_n;
        }
    }
    return out;
}

/* ---- Callbacks ----------------------------------------------------------------------------- */

/* What every callback ends with: shall the engine go on? */
static bool goes_on(struct fixture *fx)
{
    if (fx->in_callback && fx->in_callback_depth == 0) {
        fx->in_callback_depth++;
        fx->in_callback(fx);
        fx->in_callback_depth--;
    }
    return fx->stop_after == 0 || --fx->stop_after != 0;
}

static bool on_message(void *arg, enum wst_message_type type, const uint8_t *data, size_t n)
{
    struct fixture *fx = arg;

    trace_payload(&fx->events, type == WST_TEXT ? "text" : "binary", data, n);
    fx->last_data = data;
    return goes_on(fx);
}

static bool on_chunk(void *arg, enum wst_message_type type, const uint8_t *data, size_t n,
                     unsigned flags)
{
    struct fixture *fx = arg;

    assert_int_equal((flags & WST_CHUNK_FIRST) != 0, !fx->pieces_open);
    fx->pieces_open = true;
    fx->pieces = realloc(fx->pieces, fx->pieces_len + n + 1);
    assert_non_null(fx->pieces);
    if (n)
        memcpy(fx->pieces + fx->pieces_len, data, n);
    fx->pieces_len += n;
    if (flags & WST_CHUNK_LAST) {
        trace_payload(&fx->events, type == WST_TEXT ? "text" : "binary", fx->pieces,
                      fx->pieces_len);
        fx->pieces_len = 0;
        fx->pieces_open = false;
    }
    return goes_on(fx);
}

static bool on_pong(void *arg, const uint8_t *payload, size_t n)
{
    struct fixture *fx = arg;

    trace_payload(&fx->events, "pong", payload, n);
    return goes_on(fx);
}

static bool on_closed(void *arg, int code, const char *reason, size_t n)
{
    struct fixture *fx = arg;

    assert_int_equal(strlen(reason), n);
    trace_add(&fx->events, "%sclosed(%d%s%s)", fx->events.len ? " " : "", code, n ? " " : "",
              reason);
    return goes_on(fx);
}

static void on_sent(void *arg, void *ref, size_t n)
{
    struct fixture *fx = arg;

    if (ref)
        trace_add(&fx->events, "%ssent(%s %zu)", fx->events.len ? " " : "", (const char *)ref, n);
    (void)goes_on(fx);
}

static void on_drained(void *arg)
{
    struct fixture *fx = arg;

    trace_add(&fx->events, "%sdrained", fx->events.len ? " " : "");
    (void)goes_on(fx);
}

static const struct wst__ws_cbs cbs = {.message = on_message,
                                       .pong = on_pong,
                                       .closed = on_closed,
                                       .sent = on_sent,
                                       .drained = on_drained};
static const struct wst__ws_cbs chunk_cbs = {.chunk = on_chunk,
                                             .pong = on_pong,
                                             .closed = on_closed,
                                             .sent = on_sent,
                                             .drained = on_drained};

static int give_random(void *arg, void *p, size_t n)
{
    uint64_t *seed = arg;
    uint8_t *bytes = p;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(draw(seed) >> 32);
    return 0;
}

static int give_key(void *arg, void *p, size_t n)
{
    struct fixture *fx = arg;

    return fx->no_entropy ? WST_ERR_ENTROPY : give_random(&fx->seed, p, n);
}

void fixture_pool(struct wst__ws_config *config)
{
    static uint64_t seed = 88172645463325252u;

    assert_int_equal(wst__ws_pool_new(&config->pool, give_random, &seed), 0);
}

/* ---- The fixture --------------------------------------------------------------------------- */

static void init(struct fixture *fx, const struct wst__ws_config *config, bool chunks)
{
    memset(fx, 0, sizeof *fx);
    fx->seed = 88172645463325252u;
    fx->chunks = chunks;
    fx->config = *config;
    if (!fx->config.max_message_bytes)
        fx->config.max_message_bytes = 1 << 20;
    if (!fx->config.max_queue_bytes)
        fx->config.max_queue_bytes = 1 << 20;
    fx->config.tally = &fx->tally;
    fx->config.random = give_key;
    fx->config.random_arg = fx;
    trace_clear(&fx->events);
    trace_clear(&fx->output);
    assert_int_equal(wst__ws_new(&fx->ws, &fx->config, chunks ? &chunk_cbs : &cbs, fx, &fx->why),
                     0);
}

void fixture_init_with(struct fixture *fx, const struct wst__ws_config *config)
{
    init(fx, config, false);
}

void fixture_init_chunks(struct fixture *fx, const struct wst__ws_config *config)
{
    init(fx, config, true);
}

void fixture_init(struct fixture *fx, size_t max_message, size_t max_queue)
{
    /* A low-water mark out of the way: few tests are about it. */
    struct wst__ws_config config = {.max_message_bytes = max_message,
                                    .max_queue_bytes = max_queue,
                                    .queue_low_water = SIZE_MAX};

    fixture_init_with(fx, &config);
}

void fixture_fini(struct fixture *fx)
{
    wst__ws_free(fx->ws, NULL, NULL);
    free(fx->events.text);
    free(fx->output.text);
    free(fx->left);
    free(fx->sealed);
    free(fx->pieces);
}

/* Turn after turn, as long as the engine asks for another one. */
static int feed_turns(struct fixture *fx, const uint8_t *p, size_t n, size_t *used)
{
    size_t at = 0;
    int rc;

    do {
        rc = wst__ws_feed(fx->ws, p + at, n - at, used, &fx->why);
        at += *used;
    } while (rc == 0 && wst__ws_yielded(fx->ws) && at < n);
    *used = at;
    return rc;
}

int fixture_feed(struct fixture *fx, const uint8_t *p, size_t n)
{
    /* A copy of its own size, so that a sanitizer sees every byte that is read too far. */
    uint8_t *copy = malloc(n ? n : 1);
    size_t used = SIZE_MAX;
    int rc;

    assert_non_null(copy);
    if (n)
        memcpy(copy, p, n);
    rc = feed_turns(fx, copy, n, &used);
    free(copy);
    assert_true(used <= n);
    if (rc != 0) {
        assert_int_equal(fx->why.code, rc);
        trace_add(&fx->events, "%serror(%s %d)", fx->events.len ? " " : "", wst_err_name(rc),
                  fx->why.close_code);
    } else if (fx->stop_after == 0 && !wst__ws_yielded(fx->ws)) {
        assert_int_equal(used, n);
    }
    return rc;
}

/* Takes the whole frames out of what has left. */
static void decode(struct fixture *fx)
{
    static const char *const names[16] = {"more", "text", "binary", [8] = "close", "ping", "pong"};
    uint8_t *p = fx->left;
    size_t n = fx->left_len;

    while (n >= 2) {
        uint64_t size = p[1] & 0x7f;
        size_t head = 2;
        char name[16];

        assert_true(p[1] & 0x80); /* A client masks everything (RFC 6455, 5.3). */
        if (size >= 126) {
            size_t extra = size == 126 ? 2 : 8;

            if (n < 2 + extra)
                break;
            size = 0;
            for (; extra; extra--)
                size = size << 8 | p[head++];
        }
        head += 4;
        if (n < head || n - head < size)
            break;
        for (size_t i = 0; i < size; i++)
            p[head + i] ^= p[head - 4 + (i & 3)];
        assert_non_null(names[p[0] & 15]);
        if (fx->on_frame) {
            fx->on_frame(fx, p[0], p + head, (size_t)size);
        } else {
            (void)snprintf(name, sizeof name, "%s%s", names[p[0] & 15], p[0] & 0x80 ? "" : "...");
            assert_int_equal(p[0] & 0x70, 0);
            trace_payload(&fx->output, name, p + head, (size_t)size);
        }
        p += head + size;
        n -= head + (size_t)size;
    }
    memmove(fx->left, p, n);
    fx->left_len = n;
}

/* |n| bytes have left. */
static void leave(struct fixture *fx, const void *p, size_t n)
{
    if (n == 0)
        return;
    if (fx->left_len + n > fx->left_cap) {
        fx->left_cap = (fx->left_len + n) * 2;
        fx->left = realloc(fx->left, fx->left_cap);
        assert_non_null(fx->left);
    }
    memcpy(fx->left + fx->left_len, p, n);
    fx->left_len += n;
}

void fixture_flush_sealed(struct fixture *fx, size_t seal, size_t max)
{
    struct iovec iov[3];
    size_t count = wst__ws_output(fx->ws, iov, 3);
    size_t at = 0;
    size_t taken;

    for (size_t i = 0; i < count; i++) {
        const uint8_t *p = iov[i].iov_base;

        for (size_t k = 0; k < iov[i].iov_len; k++, at++) {
            if (at < fx->sealed_len) {
                assert_int_equal(fx->sealed[at], p[k]);
            } else if (seal > 0) {
                seal--;
                fx->sealed = realloc(fx->sealed, fx->sealed_len + 1);
                assert_non_null(fx->sealed);
                fx->sealed[fx->sealed_len++] = p[k];
            }
        }
    }
    assert_true(at >= fx->sealed_len);
    taken = fx->sealed_len < max ? fx->sealed_len : max;
    leave(fx, fx->sealed, taken);
    if (taken)
        memmove(fx->sealed, fx->sealed + taken, fx->sealed_len - taken);
    fx->sealed_len -= taken;
    if (count)
        wst__ws_sent_and_sealed(fx->ws, taken, fx->sealed_len);
    if (fx->left)
        decode(fx);
}

void fixture_flush(struct fixture *fx, size_t max)
{
    struct iovec iov[3];
    size_t count = wst__ws_output(fx->ws, iov, fx->max_pieces ? fx->max_pieces : 3);
    size_t taken = 0;

    for (size_t i = 0; i < count; i++) {
        size_t n = iov[i].iov_len < max - taken ? iov[i].iov_len : max - taken;

        assert_true(iov[i].iov_len > 0);
        leave(fx, iov[i].iov_base, n);
        taken += n;
    }
    if (count)
        wst__ws_sent(fx->ws, taken);
    if (fx->left)
        decode(fx);
}

void fixture_close(struct fixture *fx, int code)
{
    assert_int_equal(wst__ws_close(fx->ws, code, NULL, 0), 0);
    fixture_flush(fx, SIZE_MAX);
}

void fixture_expect(struct fixture *fx, const char *events, const char *output)
{
    if (events)
        assert_string_equal(fx->events.text, events);
    if (output)
        assert_string_equal(fx->output.text, output);
    trace_clear(&fx->events);
    trace_clear(&fx->output);
}
