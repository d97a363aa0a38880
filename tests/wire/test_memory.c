/*
 * Memory: what a connection costs at rest and in the middle of things, what a hostile server can
 * make it take, that nothing is taken per message, and that the failure of every single allocation
 * is survived.  The allocator's door and wslay's are replaced by the linker (--wrap).
 */
#include "ws_fixture.h"

#include "base/mem.h"
#include "wire/pool.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PARSER = 4600, PING_FLOOD = 100000 };

/* ---- The counted door ---------------------------------------------------------------------- */

static size_t now, peak, calls;
static size_t fail_at; /* The number of the call that fails, from 1; 0: none. */

static bool fails(void)
{
    calls++;
    return calls == fail_at;
}

static void *note(void *p)
{
    if (p)
        now += malloc_usable_size(p);
    peak = now > peak ? now : peak;
    return p;
}

static void forget(void *p)
{
    if (p)
        now -= malloc_usable_size(p);
}

void *__wrap_wst__malloc(size_t n);
void *__wrap_wst__calloc(size_t n, size_t size);
void *__wrap_wst__realloc(void *p, size_t n);
void __wrap_wst__free(void *p);
int __wrap_wslay_frame_context_init(wslay_frame_context_ptr *f,
                                    const struct wslay_frame_callbacks *callbacks, void *arg);
int __real_wslay_frame_context_init(wslay_frame_context_ptr *f,
                                    const struct wslay_frame_callbacks *callbacks, void *arg);
void __wrap_wslay_frame_context_free(wslay_frame_context_ptr f);
void __real_wslay_frame_context_free(wslay_frame_context_ptr f);

void *__wrap_wst__malloc(size_t n)
{
    return fails() ? NULL : note(malloc(n));
}

void *__wrap_wst__calloc(size_t n, size_t size)
{
    return fails() ? NULL : note(calloc(n, size));
}

void *__wrap_wst__realloc(void *p, size_t n)
{
    if (fails())
        return NULL;
    forget(p);
    return note(realloc(p, n));
}

void __wrap_wst__free(void *p)
{
    forget(p);
    free(p);
}

int __wrap_wslay_frame_context_init(wslay_frame_context_ptr *f,
                                    const struct wslay_frame_callbacks *callbacks, void *arg)
{
    int rc = fails() ? -1 : __real_wslay_frame_context_init(f, callbacks, arg);

    if (rc == 0)
        note(*f);
    return rc;
}

void __wrap_wslay_frame_context_free(wslay_frame_context_ptr f)
{
    forget(f);
    __real_wslay_frame_context_free(f);
}

static void start_counting(void)
{
    peak = now;
    calls = 0;
    fail_at = 0;
}

/* ---- At rest, and per message -------------------------------------------------------------- */

static void feed_hex(struct fixture *fx, const char *description)
{
    size_t n;
    uint8_t *input = bytes_from(description, &n);

    (void)fixture_feed(fx, input, n);
    free(input);
}

/* A connection at rest owns its struct and nothing else, also after having worked. */
static void at_rest(void **state)
{
    struct wst__ws_config config = {.queue_low_water = SIZE_MAX};
    struct fixture fx;
    size_t before;

    (void)state;
    fixture_pool(&config);
    before = now;
    fixture_init_with(&fx, &config);
    print_message("a connection at rest: %zu bytes\n", now - before);
    assert_true(now - before <= 216);
    feed_hex(&fx, "8101 61 0101 61 8900 8001 62 827e 0100 256*00");
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, "hello", 5, NULL), 0);
    fixture_flush(&fx, SIZE_MAX);
    start_counting();
    fixture_fini(&fx);
    assert_true(calls == 0);
    /* What is left is the pool's, and stays with it. */
    assert_true(now - before <= 24 << 10);
    wst__ws_pool_free(config.pool);
    assert_int_equal(now, 0);
}

static void nothing_is_allocated_per_message(void **state)
{
    static const char *const messages[] = {
        "8105 'Hello'",         "8240 64*00",           "817e 0400 1024*61",
        "827e 4000 16384*00",   "827e ff00 65280*00",   "817f 0000000000010000 65536*61",
        "0103 'Hel' 8002 'lo'", "0101 61 8a00 8001 62", "8a05 'Hello'"};
    struct wst__ws_config config = {.queue_low_water = SIZE_MAX};

    (void)state;
    fixture_pool(&config);
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        struct fixture fx;
        size_t n;
        uint8_t *input = bytes_from(messages[i], &n);

        fixture_init_with(&fx, &config);
        (void)fixture_feed(&fx, input, n);
        start_counting();
        for (int k = 0; k < 100; k++) {
            (void)fixture_feed(&fx, input, n);
            (void)fixture_feed(&fx, input, n / 2);
            (void)fixture_feed(&fx, input + n / 2, n - n / 2);
            assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, input, n, NULL), 0);
            if (k == 0)
                calls = 0; /* The first send takes its block into the pool. */
            fixture_flush(&fx, SIZE_MAX);
        }
        assert_int_equal(calls, 0);
        fixture_fini(&fx);
        free(input);
    }
    wst__ws_pool_free(config.pool);
    assert_int_equal(now, 0);
}

/* ---- Chunks -------------------------------------------------------------------------------- */

struct stream {
    uint64_t bytes;
    unsigned chunks, firsts, lasts;
};

static bool on_chunk(void *arg, enum wst_message_type type, const uint8_t *data, size_t n,
                     unsigned flags)
{
    struct stream *s = arg;

    (void)data;
    assert_int_equal(type, WST_BINARY);
    s->bytes += n;
    s->chunks++;
    s->firsts += (flags & WST_CHUNK_FIRST) != 0;
    s->lasts += (flags & WST_CHUNK_LAST) != 0;
    return true;
}

static int no_random(void *arg, void *p, size_t n)
{
    (void)arg;
    memset(p, 0, n);
    return 0;
}

/* Feeds |times| times 64 KiB; returns what it cost. */
static size_t cost_of_stream(struct wst__ws *ws, unsigned times)
{
    static uint8_t piece[64 << 10];
    struct wst_cause why;
    size_t used;
    size_t before = now;
    size_t room;

    start_counting();
    for (unsigned i = 0; i < times; i++) {
        assert_null(wst__ws_place(ws, &room));
        assert_int_equal(wst__ws_feed(ws, piece, sizeof piece, &used, &why), 0);
        assert_int_equal(used, sizeof piece);
    }
    return peak - before;
}

/* A frame of 2^62 bytes: without a ceiling it is handed out piece by piece, and costs its parser.
 */
static void a_stream_costs_nothing(void **state)
{
    enum { TIMES = 1600 };
    static const struct wst__ws_cbs cbs = {.chunk = on_chunk};
    static const uint8_t head[] = {0x02, 0x7f, 0x40, 0, 0, 0, 0, 0, 0, 0};
    const struct wst__ws_config config = {.max_message_bytes = SIZE_MAX,
                                          .max_queue_bytes = 1000,
                                          .queue_low_water = SIZE_MAX,
                                          .random = no_random};
    struct stream s = {0};
    struct wst_cause why;
    struct wst__ws *ws;
    size_t before = now;
    size_t used;

    (void)state;
    assert_int_equal(wst__ws_new(&ws, &config, &cbs, &s, &why), 0);
    assert_int_equal(wst__ws_feed(ws, head, sizeof head, &used, &why), 0);
    assert_true(cost_of_stream(ws, TIMES) == 0); /* The parser was lent before. */
    assert_int_equal(s.bytes, (uint64_t)TIMES * (64 << 10));
    assert_int_equal(s.chunks, TIMES);
    assert_int_equal(s.firsts, 1);
    assert_int_equal(s.lasts, 0);
    wst__ws_free(ws, NULL, NULL);
    assert_int_equal(now, before);
}

/* The ceiling counts the whole message, however it comes; the sum may pass it by no byte. */
static void chunks_have_the_same_ceiling(void **state)
{
    static const char *const whole[] = {"827e 03e8 1000*00", "0200 007e 03e8 1000*00 8000",
                                        "0201 00 807e 03e7 999*00"};
    static const char *const over[] = {"827e 03e9 1001*00", "0200 007e 03e9", "0201 00 007e 03e8"};
    const struct wst__ws_config config = {.max_message_bytes = 1000};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct fixture fx;

        fixture_init_chunks(&fx, &config);
        feed_hex(&fx, whole[i]);
        assert_non_null(strstr(fx.events.text, "binary("));
        assert_int_equal(fx.why.code, 0);
        feed_hex(&fx, over[i]);
        assert_int_equal(fx.why.code, WST_ERR_WS_TOO_LARGE);
        assert_int_equal(fx.why.close_code, 1009);
        fixture_fini(&fx);
    }
}

/* ---- Bombs --------------------------------------------------------------------------------- */

struct bomb {
    const char *name;
    const char *once;   /* Fed first, */
    const char *repeat; /* then this, */
    int times;          /* so often; the output stays blocked. */
    size_t budget;      /* Bytes that it may cost at its peak, */
    size_t per_byte;    /* and so many more for each byte that has arrived. */
};

/* The ceiling for messages is 16 MiB in all of them. */
static const struct bomb bombs[] = {
    {"16 MiB announced, nothing sent", "827f 0000000001000000", "", 0, PARSER, 0},
    {"16 MiB announced, one byte sent", "827f 0000000001000000 00", "", 0, PARSER + 4200, 0},
    {"2^62 announced", "827f 4000000000000000", "", 0, PARSER + 4200, 0},
    {"16 MiB announced in a fragment", "0201 00 007f 0000000000f00000", "", 0, PARSER + 4200, 0},
    {"100,000 fragments of one byte", "0201 00", "000100", 100000, PARSER + 8192, 3},
    {"100,000 empty fragments", "0200", "0000", 100000, PARSER, 0},
    {"100,000 pings, output blocked", "8900", "897d 125*61", PING_FLOOD, PARSER + 1024, 0},
    {"100,000 empty pings, output blocked", "8900", "8900", PING_FLOOD, PARSER + 1024, 0},
    {"100,000 pongs", "", "8a7d 125*61", 100000, PARSER, 0},
    {"100,000 empty messages", "", "8200", 100000, PARSER, 0},
    {"1 MiB of a 16 MiB message", "827f 0000000001000000", "1024*00", 1024, PARSER + 65536, 2},
};

static void defuse(const struct bomb *b)
{
    struct wst__ws_config config = {.max_message_bytes = 16 << 20, .queue_low_water = SIZE_MAX};
    struct fixture fx;
    size_t n;
    size_t arrived = 0;
    size_t before;
    uint8_t *input = bytes_from(b->once, &n);
    size_t repeat_n;
    uint8_t *repeat = bytes_from(b->repeat, &repeat_n);

    fixture_pool(&config);
    fixture_init_with(&fx, &config);
    before = now;
    start_counting();
    (void)fixture_feed(&fx, input, n);
    arrived += n;
    fixture_flush(&fx, 0);
    for (int i = 0; i < b->times; i++) {
        (void)fixture_feed(&fx, repeat, repeat_n);
        arrived += repeat_n;
        fixture_flush(&fx, 0);
        trace_clear(&fx.events);
    }
    print_message("%-40s %9zu bytes at the peak (%zu arrived)\n", b->name, peak - before, arrived);
    if (peak - before > b->budget + b->per_byte * arrived)
        fail_msg("%s: %zu bytes, allowed %zu", b->name, peak - before,
                 b->budget + b->per_byte * arrived);
    fixture_fini(&fx);
    wst__ws_pool_free(config.pool);
    assert_int_equal(now, 0);
    free(input);
    free(repeat);
}

static void bombs_cost_their_budget(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++)
        defuse(&bombs[i]);
}

/* However much went through: what the pool keeps has a ceiling. */
static void the_pool_has_a_ceiling(void **state)
{
    enum { CONNECTIONS = 30 };
    struct wst__ws_config config = {
        .max_message_bytes = 16 << 20, .max_queue_bytes = 64 << 20, .queue_low_water = SIZE_MAX};
    static struct fixture fx[CONNECTIONS];
    uint8_t *data = calloc(1, 3 << 20);

    (void)state;
    fixture_pool(&config);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        fixture_init_with(&fx[i], &config);
        assert_int_equal(wst__ws_send(fx[i].ws, WST_BINARY, data, (i + 1) * 100000, NULL), 0);
        feed_hex(&fx[i], "0201 00 02");
    }
    for (size_t i = 0; i < CONNECTIONS; i++)
        fixture_fini(&fx[i]);
    print_message("the pool keeps %zu bytes\n", now);
    assert_true(now <= (4 << 20) + (64 << 10) + 5 * PARSER + sizeof(struct wst__ws_pool));
    wst__ws_pool_free(config.pool);
    assert_int_equal(now, 0);
    free(data);
}

/* The pool gives the smallest block that is enough, else the largest, before it takes a new one. */
static void the_pool_gives_what_fits(void **state)
{
    enum { KIB = 1 << 10 };
    struct wst__block b[4] = {{NULL, 0}};
    struct wst__block got = {NULL, 0};
    struct wst__ws_pool *pool;

    (void)state;
    assert_int_equal(wst__ws_pool_new(&pool, no_random, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(wst__pool_take(pool, &b[i], (i + 1) * 100 * KIB, (i + 1) * 100 * KIB), 0);
    wst__pool_give(pool, &b[2]);
    wst__pool_give(pool, &b[0]);
    wst__pool_give(pool, &b[3]);
    wst__pool_give(pool, &b[1]);
    start_counting();
    assert_int_equal(wst__pool_take(pool, &got, 1, 150 * KIB), 0);
    assert_int_equal(got.cap, 200 * KIB);
    wst__pool_give(pool, &got);
    assert_int_equal(wst__pool_take(pool, &got, 1, 100 * KIB), 0);
    assert_int_equal(got.cap, 100 * KIB);
    wst__pool_give(pool, &got);
    assert_int_equal(wst__pool_take(pool, &got, 250 * KIB, 1000 * KIB), 0);
    assert_int_equal(got.cap, 400 * KIB);
    wst__pool_give(pool, &got);
    assert_int_equal(calls, 0);
    assert_int_equal(wst__pool_take(pool, &got, 500 * KIB, 1000 * KIB), 0);
    assert_int_equal(got.cap, 500 * KIB); /* Not 1000: that was only announced. */
    wst__pool_give(pool, &got);
    assert_int_equal(wst__pool_take(pool, &got, SIZE_MAX, SIZE_MAX), WST_ERR_NOMEM);
    wst__ws_pool_free(pool);
    assert_int_equal(now, 0);
}

/* A queue that never runs empty does not grow with what has gone through it. */
static void a_steady_queue_stays_small(void **state)
{
    struct wst__ws_config config = {.queue_low_water = SIZE_MAX};
    struct fixture fx;
    uint8_t data[1000] = {0};

    (void)state;
    fixture_init_with(&fx, &config);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, sizeof data, NULL), 0);
    start_counting();
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, sizeof data, NULL), 0);
        fixture_flush(&fx, sizeof data + 8);
        trace_clear(&fx.output);
    }
    assert_true(wst__ws_buffered(fx.ws) > sizeof data);
    assert_true(peak <= 32 << 10);
    fixture_fini(&fx);
}

/* Where the queue cannot have a larger block, what lies in it is moved together. */
static void a_queue_that_cannot_grow_is_moved(void **state)
{
    struct wst__ws_config config = {.queue_low_water = SIZE_MAX};
    struct fixture fx;
    uint8_t data[1000] = {0};

    (void)state;
    fixture_init_with(&fx, &config);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, sizeof data, NULL), 0);
    fixture_flush(&fx, sizeof data + 8);
    start_counting();
    fail_at = 1;
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, sizeof data, NULL), 0);
    assert_true(calls == 1);
    assert_int_equal(wst__ws_buffered(fx.ws), 3 * (sizeof data + 8));
    start_counting();
    fixture_flush(&fx, SIZE_MAX);
    fixture_fini(&fx);
}

/* ---- Every allocation fails once ----------------------------------------------------------- */

/* The same with compression: what cannot be compressed for want of memory is sent as it is. */
static bool live_packed(struct wst__ws **ws, struct wst__ws_config config,
                        const struct wst__ws_cbs *cbs, void *arg)
{
    /* RFC 7692, 7.2.3: plain, in two fragments, with a final block. */
    static const char *const inputs[] = {"c107 f248cdc9c90700", "4103 f248cd", "8004 c9c90700",
                                         "c108 f348cdc9c9070000"};
    static char text[100000];
    struct wst_cause why;
    struct iovec iov[3];
    size_t used;
    int rc;

    config.extensions = config.offered_extensions = "permessage-deflate";
    memset(text, 'x', sizeof text);
    rc = wst__ws_new(ws, &config, cbs, arg, &why);
    if (rc != 0) {
        assert_int_equal(rc, WST_ERR_NOMEM);
        *ws = NULL;
        return false;
    }
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        size_t n;
        uint8_t *input = bytes_from(inputs[i], &n);

        rc = wst__ws_feed(*ws, input, n, &used, &why);
        free(input);
        if (rc != 0) {
            assert_int_equal(rc, WST_ERR_NOMEM);
            return false;
        }
    }
    rc = wst__ws_send(*ws, WST_TEXT, text, sizeof text, NULL);
    if (rc != 0)
        assert_int_equal(rc, WST_ERR_NOMEM);
    else
        assert_int_equal(wst__ws_output(*ws, iov, 3), 1);
    return rc == 0;
}

/* The server closes: the answer needs memory, too. */
static bool live_closed(struct wst__ws **ws, const struct wst__ws_config *config,
                        const struct wst__ws_cbs *cbs, void *arg)
{
    struct wst_cause why;
    size_t used;
    int rc = wst__ws_new(ws, config, cbs, arg, &why);

    if (rc != 0) {
        assert_int_equal(rc, WST_ERR_NOMEM);
        *ws = NULL;
        return false;
    }
    rc = wst__ws_feed(*ws, (const uint8_t *)"\x88\x02\x03\xe8", 4, &used, &why);
    if (rc == 0)
        return wst__ws_close_received(*ws) && wst__ws_buffered(*ws) == 8;
    assert_int_equal(rc, WST_ERR_NOMEM);
    assert_int_equal(why.close_code, 1011);
    assert_int_equal(wst__ws_send(*ws, WST_TEXT, "a", 1, NULL), WST_ERR_NOT_OPEN);
    return false;
}

/* A whole life; returns false as soon as something fails, which must be for want of memory. */
static bool live(struct wst__ws **ws, const struct wst__ws_config *config,
                 const struct wst__ws_cbs *cbs, void *arg)
{
    static const char *const inputs[] = {
        "8105 'Hello'", "0103 'Hel'", "8903 'abc'",
        "8002 'lo'",    "81",         "7e 0100",
        "100*61",       "156*61",     "827f 0000000000030000 1000*00"};
    struct wst_cause why;
    struct iovec iov[3];
    size_t used;
    size_t room;
    uint8_t *place;
    int rc = wst__ws_new(ws, config, cbs, arg, &why);

    if (rc != 0) {
        assert_int_equal(rc, WST_ERR_NOMEM);
        assert_int_equal(why.code, WST_ERR_NOMEM);
        *ws = NULL;
        return false;
    }
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        size_t n;
        uint8_t *input = bytes_from(inputs[i], &n);

        rc = wst__ws_feed(*ws, input, n, &used, &why);
        free(input);
        if (rc != 0) {
            assert_int_equal(rc, WST_ERR_NOMEM);
            assert_int_equal(why.close_code, 1011);
            /* It goes on to behave: nothing is read, nothing is accepted. */
            assert_int_equal(wst__ws_feed(*ws, (const uint8_t *)"\x81", 1, &used, &why), 0);
            assert_int_equal(wst__ws_send(*ws, WST_TEXT, "a", 1, NULL), WST_ERR_NOT_OPEN);
            return false;
        }
    }
    place = wst__ws_place(*ws, &room);
    if (!place)
        return false;
    memset(place, 0, room);
    rc = wst__ws_placed(*ws, room, &why);
    for (int i = 0; i < 100 && rc == 0; i++) {
        rc = wst__ws_send(*ws, WST_TEXT, "some text that fills the queue, so that it must grow", 52,
                          NULL);
        if (rc == 0 && i % 2)
            rc = wst__ws_ping(*ws, "ping", 4);
        if (i % 40 == 39 && wst__ws_output(*ws, iov, 3))
            wst__ws_sent(*ws, 30);
    }
    if (rc == 0)
        rc = wst__ws_close(*ws, 1000, "done", 4);
    if (rc != 0)
        assert_int_equal(rc, WST_ERR_NOMEM);
    return rc == 0;
}

static bool take_message(void *arg, enum wst_message_type type, const uint8_t *data, size_t n)
{
    (void)type;
    (void)data;
    (void)n;
    ++*(int *)arg;
    return true;
}

static bool take_close(void *arg, int code, const char *reason, size_t n)
{
    (void)arg;
    (void)reason;
    (void)n;
    return code == 1000;
}

static void take_sent(void *arg, void *ref, size_t n)
{
    (void)arg;
    (void)ref;
    (void)n;
}

static void take_drained(void *arg)
{
    (void)arg;
}

static int zeros(void *arg, void *p, size_t n)
{
    (void)arg;
    memset(p, 0, n);
    return 0;
}

enum story { PLAIN, PACKED, CLOSED };

/* Fails the |k|th allocation, for every k there is. */
static size_t fail_each(enum story story)
{
    static const struct wst__ws_cbs cbs = {
        .message = take_message, .closed = take_close, .sent = take_sent, .drained = take_drained};
    struct wst__ws_config config = {
        .max_message_bytes = 1 << 20, .max_queue_bytes = 1 << 20, .random = zeros};
    size_t all;

    for (size_t k = 0;; k++) {
        struct wst__ws *ws;
        int messages = 0;
        bool lived;

        start_counting();
        fail_at = k;
        lived = story == PACKED   ? live_packed(&ws, config, &cbs, &messages)
                : story == CLOSED ? live_closed(&ws, &config, &cbs, &messages)
                                  : live(&ws, &config, &cbs, &messages);
        all = calls;
        fail_at = 0;
        wst__ws_free(ws, NULL, NULL);
        assert_int_equal(now, 0);
        assert_true(k != 0 || lived);
        if (k == 0 && story != CLOSED)
            assert_int_equal(messages, 3);
        if (k > all)
            break;
        assert_true(!lived || story == CLOSED || messages == 3);
    }
    return all;
}

static void every_allocation_fails_once(void **state)
{
    size_t plain = fail_each(PLAIN);
    size_t packed = fail_each(PACKED);
    size_t closed = fail_each(CLOSED);

    (void)state;
    assert_true(plain >= 8 && packed >= 10 && closed >= 4);
    print_message("%zu, compressed %zu, closing %zu allocations failed in turn\n", plain, packed,
                  closed);
}

/* ---- Compression --------------------------------------------------------------------------- */

/* A message in the pool, so that only zlib's memory is counted afterwards. */
static void begin_packed(struct fixture *fx, struct wst__ws_config *config, const char *agreed)
{
    *config =
        (struct wst__ws_config){.queue_low_water = SIZE_MAX,
                                .extensions = agreed,
                                .offered_extensions = "permessage-deflate; client_max_window_bits"};
    fixture_pool(config);
    fixture_init_with(fx, config);
    feed_hex(fx, "8101 61");
    feed_hex(fx, "0101 61 8000");
    start_counting();
}

static void end_packed(struct fixture *fx, struct wst__ws_config *config)
{
    wst__ws_free(fx->ws, NULL, NULL);
    fx->ws = NULL;
    fixture_fini(fx);
    wst__ws_pool_free(config->pool);
    assert_int_equal(now, 0);
}

/* What wsticket.h says of |compress|; and with small windows, or none that are kept. */
static void what_compression_costs(void **state)
{
    /* The block that the first message takes into the pool, as it would without compression. */
    enum { BLOCK = (4 << 10) + 8 };
    static const struct {
        const char *agreed;
        size_t in, out; /* At most. */
    } cases[] = {
        {"permessage-deflate", 39 << 10, 262 << 10},
        {"permessage-deflate; server_max_window_bits=10; client_max_window_bits=10", 8 << 10,
         138 << 10},
        {"permessage-deflate; server_no_context_takeover; client_no_context_takeover", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wst__ws_config config;
        struct fixture fx;
        char text[1000];
        struct iovec iov;
        size_t before;
        size_t in;
        size_t out;

        memset(text, 'x', sizeof text);
        begin_packed(&fx, &config, cases[i].agreed);
        before = now;
        feed_hex(&fx, "c107 f248cdc9c90700");
        in = now - before;
        assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, text, 1, NULL), 0);
        assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, text, sizeof text, NULL), 0);
        wst__ws_sent(fx.ws, wst__ws_output(fx.ws, &iov, 1) ? iov.iov_len : 0);
        before += in;
        out = now - before;
        print_message("%-75s in %6zu, out %6zu\n", cases[i].agreed, in, out);
        assert_true(in <= cases[i].in);
        assert_true(out <= cases[i].out + BLOCK);
        end_packed(&fx, &config);
    }
}

/* The window is kept beside zlib's for as long as it takes to begin a stream anew. */
static void what_a_final_block_costs(void **state)
{
    enum { INFLATES = 39 << 10, WINDOW = 32 << 10, MALLOC_ROUNDS_UP = 8 };
    struct wst__ws_config config;
    struct fixture fx;
    size_t before;

    (void)state;
    begin_packed(&fx, &config, "permessage-deflate");
    before = now;
    feed_hex(&fx, "c108 f348cdc9c9070000"); /* RFC 7692, 7.2.3.4. */
    fixture_expect(&fx, "text(a) text(a) text(Hello)", "");
    print_message("a final block: %zu, at its peak %zu\n", now - before, peak - before);
    assert_true(now - before <= INFLATES);
    assert_true(peak - before <= INFLATES + WINDOW + MALLOC_ROUNDS_UP);
    end_packed(&fx, &config);
}

struct swelling {
    size_t largest, chunks, bytes;
};

static bool on_swelling(void *arg, enum wst_message_type type, const uint8_t *data, size_t n,
                        unsigned flags)
{
    struct swelling *s = arg;

    (void)type;
    (void)data;
    (void)flags;
    s->largest = n > s->largest ? n : s->largest;
    s->bytes += n;
    s->chunks++;
    return true;
}

/* A small frame that inflates to megabytes is handed on in pieces, and never collected. */
static void a_bomb_in_chunks_is_never_whole(void **state)
{
    enum { INFLATED = 4 << 20, CHUNK = 1 << 20 };
    static const struct wst__ws_cbs cbs = {.chunk = on_swelling};
    static uint8_t zeros[64 << 10];
    const struct wst__ws_config config = {.max_message_bytes = SIZE_MAX,
                                          .max_queue_bytes = 1000,
                                          .queue_low_water = SIZE_MAX,
                                          .random = no_random,
                                          .extensions = "permessage-deflate",
                                          .offered_extensions = "permessage-deflate"};
    struct swelling s = {0};
    struct wst_cause why;
    struct wst__ws *ws;
    uint8_t frame[8192] = {0xc2, 126};
    z_stream z = {0};
    size_t n;
    size_t at = 0;
    size_t before = now;
    size_t used;

    (void)state;
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = frame + 4;
    z.avail_out = sizeof frame - 4;
    for (size_t i = 0; i < INFLATED / sizeof zeros; i++) {
        z.next_in = zeros;
        z.avail_in = sizeof zeros;
        assert_int_equal(deflate(&z, Z_NO_FLUSH), Z_OK);
    }
    assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
    n = sizeof frame - 4 - z.avail_out - 4;
    (void)deflateEnd(&z);
    frame[2] = (uint8_t)(n >> 8);
    frame[3] = (uint8_t)n;
    assert_in_range(n, 4000, 4092); /* It would fit wslay's buffer. */
    assert_int_equal(wst__ws_new(&ws, &config, &cbs, &s, &why), 0);
    start_counting();
    while (at < n + 4) {
        assert_int_equal(wst__ws_feed(ws, frame + at, n + 4 - at, &used, &why), 0);
        at += used;
    }
    print_message("%zu bytes in %zu chunks, the largest %zu; %zu at the peak\n", s.bytes, s.chunks,
                  s.largest, peak - before);
    assert_int_equal(s.bytes, INFLATED);
    assert_true(s.largest <= CHUNK && s.chunks >= 4);
    assert_true(peak - before <= 4 * CHUNK);
    wst__ws_free(ws, NULL, NULL);
    assert_int_equal(now, before);
}

/*
 * The queue's ceiling is one for memory: it holds a quarter more, and for a moment its old place as
 * it grows; beside it the loop has its spare blocks.
 */
static void a_full_queue_costs_its_ceiling(void **state)
{
    enum { MAX = 16 << 20, HELD = MAX / 4 * 5 + (8 << 10), MOST = HELD + MAX };
    static const size_t sizes[] = {0, 100, 30000, 62000, 66000, 1 << 20, 5 << 20, 9 << 20};
    uint8_t *data = calloc(1, 9 << 20);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct wst__ws_config config = {.max_queue_bytes = MAX, .queue_low_water = SIZE_MAX};
        struct fixture fx;
        size_t before;
        size_t held;

        fixture_pool(&config);
        fixture_init_with(&fx, &config);
        before = now;
        start_counting();
        while (wst__ws_send(fx.ws, WST_BINARY, data, sizes[i], NULL) == 0)
            assert_true(wst__ws_buffered(fx.ws) <= MAX);
        held = now - before;
        print_message("messages of %7zu: %8zu held, %8zu at the peak\n", sizes[i], held,
                      peak - before);
        assert_true(held <= HELD + WST__POOL_BYTES);
        assert_true(peak - before <= MOST + WST__POOL_BYTES);
        assert_int_equal(wst__ws_close(fx.ws, 1000, "bye", 3), 0); /* It fits all the same. */
        assert_true(peak - before <= MOST + WST__POOL_BYTES);
        wst__ws_free(fx.ws, NULL, NULL);
        fx.ws = NULL;
        fixture_fini(&fx);
        wst__ws_pool_free(config.pool);
        assert_int_equal(now, 0);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_rest),
        cmocka_unit_test(nothing_is_allocated_per_message),
        cmocka_unit_test(a_stream_costs_nothing),
        cmocka_unit_test(chunks_have_the_same_ceiling),
        cmocka_unit_test(bombs_cost_their_budget),
        cmocka_unit_test(the_pool_has_a_ceiling),
        cmocka_unit_test(the_pool_gives_what_fits),
        cmocka_unit_test(a_steady_queue_stays_small),
        cmocka_unit_test(a_queue_that_cannot_grow_is_moved),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(what_compression_costs),
        cmocka_unit_test(what_a_final_block_costs),
        cmocka_unit_test(a_bomb_in_chunks_is_never_whole),
        cmocka_unit_test(a_full_queue_costs_its_ceiling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
