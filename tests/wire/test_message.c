/*
 * The message layer beyond the table of conformance cases: what is copied and what is not, pauses,
 * direct receiving, the close handshake from both sides, counts; and a comparison with a second
 * engine on random streams.
 */
#include "ws_fixture.h"

#include "ws_reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A frame whose payload is |n| times |c|. */
static uint8_t *frame_of(uint8_t first, uint8_t c, size_t n, size_t *size)
{
    size_t head = n < 126 ? 2 : n < 65536 ? 4 : 10;
    uint8_t *p = malloc(head + n);

    assert_non_null(p);
    p[0] = first;
    p[1] = (uint8_t)(head == 2 ? n : head == 4 ? 126 : 127);
    for (size_t i = 2; i < head; i++)
        p[i] = (uint8_t)((uint64_t)n >> (8 * (head - 1 - i)));
    memset(p + head, c, n);
    *size = head + n;
    return p;
}

static void expect_message(struct fixture *fx, const char *name, uint8_t c, size_t n)
{
    uint8_t *p = malloc(n + 1);
    struct trace right = {0};

    memset(p, c, n + 1);
    trace_payload(&right, name, p, n);
    fixture_expect(fx, right.text, "");
    free(right.text);
    free(p);
}

/* ---- Without a copy ------------------------------------------------------------------------ */

static void a_whole_message_is_handed_out_where_it_lies(void **state)
{
    static const size_t sizes[] = {1, 64, 125, 126, 4092, 4093, 16384, 65535, 65536, 200000};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct fixture fx;
        size_t size;
        size_t used;
        uint8_t *frame = frame_of(0x81, 'x', sizes[i], &size);

        fixture_init(&fx, 0, 0);
        assert_int_equal(wst__ws_feed(fx.ws, frame, size, &used, &fx.why), 0);
        assert_int_equal(used, size);
        assert_ptr_equal(fx.last_data, frame + size - sizes[i]);
        expect_message(&fx, "text", 'x', sizes[i]);
        fixture_fini(&fx);
        free(frame);
    }
}

/* ---- Pauses -------------------------------------------------------------------------------- */

static void a_callback_that_returns_false_stops_at_once(void **state)
{
    enum { MESSAGES = 100 };
    uint8_t input[MESSAGES * 3];
    struct fixture fx;
    size_t at = 0;

    (void)state;
    for (size_t i = 0; i < MESSAGES; i++) {
        input[3 * i] = 0x82;
        input[3 * i + 1] = 1;
        input[3 * i + 2] = (uint8_t)i;
    }
    fixture_init(&fx, 0, 0);
    for (unsigned k = 1; at < sizeof input; k = k % 7 + 1) {
        struct wst__ws_counts before, after;
        size_t used;
        unsigned expected = k < MESSAGES - at / 3 ? k : (unsigned)(MESSAGES - at / 3);

        wst__ws_counts(fx.ws, &before);
        fx.stop_after = k;
        assert_int_equal(wst__ws_feed(fx.ws, input + at, sizeof input - at, &used, &fx.why), 0);
        wst__ws_counts(fx.ws, &after);
        assert_int_equal(used, 3 * expected);
        assert_int_equal(after.received - before.received, expected);
        at += used;
    }
    fixture_fini(&fx);
}

/* What lies behind the pause is not looked at: the bytes there may change. */
static void nothing_behind_a_pause_was_looked_at(void **state)
{
    static const uint8_t first[] = {0x81, 1, 'a', 0x89, 0x00, 0xff, 0xff, 0xff};
    static const uint8_t other[] = {0x82, 1, 'b'};
    struct fixture fx;
    size_t used;

    (void)state;
    fixture_init(&fx, 0, 0);
    fx.stop_after = 1;
    assert_int_equal(wst__ws_feed(fx.ws, first, sizeof first, &used, &fx.why), 0);
    assert_int_equal(used, 3);
    fx.stop_after = 0;
    assert_int_equal(fixture_feed(&fx, other, sizeof other), 0);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "text(a) binary(b)", "");
    fixture_fini(&fx);
}

/* ---- Direct receiving ---------------------------------------------------------------------- */

/* The input goes through place() whenever it is offered, at most |step| bytes at a time. */
static int feed_placing(struct fixture *fx, const uint8_t *p, size_t n, size_t step, size_t *placed)
{
    size_t at = 0;
    int rc = 0;

    while (at < n && rc == 0) {
        size_t room = 0;
        uint8_t *place = wst__ws_place(fx->ws, &room);
        size_t k = step < n - at ? step : n - at;

        if (place) {
            assert_true(room > 0);
            k = k < room ? k : room;
            memcpy(place, p + at, k);
            *placed += k;
            rc = wst__ws_placed(fx->ws, k, &fx->why);
            if (rc != 0)
                trace_add(&fx->events, "%serror(%s %d)", fx->events.len ? " " : "",
                          wst_err_name(rc), fx->why.close_code);
        } else {
            rc = fixture_feed(fx, p + at, k);
        }
        at += k;
    }
    return rc;
}

static void a_large_message_is_received_into_its_place(void **state)
{
    static const size_t steps[] = {1000, 4096, 65536, 1 << 20};

    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct fixture fx;
        size_t size;
        size_t placed = 0;
        uint8_t *frame = frame_of(0x81, 'x', 1 << 20, &size);

        fixture_init(&fx, 0, 0);
        assert_int_equal(fixture_feed(&fx, frame, 65536), 0);
        assert_int_equal(feed_placing(&fx, frame + 65536, size - 65536, steps[i], &placed), 0);
        expect_message(&fx, "text", 'x', 1 << 20);
        assert_true(placed >= size - 65536 - 2 * (16 << 10));
        fixture_fini(&fx);
        free(frame);
    }
}

/* From the first byte after the header on; then fragments, a ping, and a small message. */
static void places_between_other_frames(void **state)
{
    size_t sizes[2];
    uint8_t *parts[2] = {frame_of(0x02, 'a', 100000, &sizes[0]),
                         frame_of(0x80, 'a', 200000, &sizes[1])};
    uint8_t *stream = malloc(sizes[0] + sizes[1] + 100);
    static const uint8_t ping[] = {0x89, 1, 'p'};
    static const uint8_t small[] = {0x81, 1, 's'};
    size_t n = 0;

    (void)state;
    memcpy(stream + n, parts[0], sizes[0]);
    n += sizes[0];
    memcpy(stream + n, ping, sizeof ping);
    n += sizeof ping;
    memcpy(stream + n, parts[1], sizes[1]);
    n += sizes[1];
    memcpy(stream + n, small, sizeof small);
    n += sizeof small;
    for (size_t step = 5; step < 400000; step = step * 2 + 3) {
        struct fixture fx;
        uint8_t *all = malloc(300000);
        struct trace right = {0};
        size_t placed = 0;

        memset(all, 'a', 300000);
        trace_payload(&right, "binary", all, 300000);
        trace_add(&right, " text(s)");
        fixture_init(&fx, 0, 0);
        assert_int_equal(feed_placing(&fx, stream, n, step, &placed), 0);
        fixture_flush(&fx, SIZE_MAX);
        fixture_expect(&fx, right.text, "pong(p)");
        fixture_fini(&fx);
        free(right.text);
        free(all);
    }
    free(stream);
    free(parts[0]);
    free(parts[1]);
}

static void bad_text_fails_in_its_place(void **state)
{
    struct fixture fx;
    size_t size;
    size_t placed = 0;
    uint8_t *frame = frame_of(0x81, 'x', 500000, &size);

    (void)state;
    frame[300000] = 0xff;
    fixture_init(&fx, 0, 0);
    assert_int_equal(feed_placing(&fx, frame, size, 20000, &placed), WST_ERR_WS_BAD_UTF8);
    assert_true(placed > 0);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "error(WS_BAD_UTF8 1007)", "close(03ef)");
    fixture_fini(&fx);
    free(frame);
}

static void no_place_for_what_is_small(void **state)
{
    static const uint8_t header[] = {0x82, 126, 0x30, 0x00, 'x'};
    struct fixture fx;
    size_t room;

    (void)state;
    fixture_init(&fx, 0, 0);
    assert_null(wst__ws_place(fx.ws, &room));
    assert_int_equal(fixture_feed(&fx, header, sizeof header), 0);
    assert_null(wst__ws_place(fx.ws, &room));
    fixture_fini(&fx);
}

/* ---- The close handshake ------------------------------------------------------------------- */

static void we_begin_to_close(void **state)
{
    static const uint8_t answer[] = {0x81, 1, 'a', 0x88, 2, 0x03, 0xe8};
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    assert_int_equal(wst__ws_close(fx.ws, 1000, NULL, 0), 0);
    assert_false(wst__ws_close_sent(fx.ws));
    fixture_flush(&fx, SIZE_MAX);
    assert_true(wst__ws_close_sent(fx.ws));
    assert_false(wst__ws_close_received(fx.ws));
    assert_int_equal(fixture_feed(&fx, answer, sizeof answer), 0);
    assert_true(wst__ws_close_received(fx.ws));
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "text(a) closed(1000)", "close(03e8)");
    fixture_fini(&fx);
}

/* Our answer stands behind what was accepted before; nothing is accepted after. */
static void the_peer_begins_to_close(void **state)
{
    static const uint8_t close_frame[] = {0x88, 2, 0x03, 0xe9};
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, "queued", 6, NULL), 0);
    assert_int_equal(fixture_feed(&fx, close_frame, sizeof close_frame), 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, "late", 4, NULL), WST_ERR_NOT_OPEN);
    assert_int_equal(wst__ws_ping(fx.ws, NULL, 0), WST_ERR_NOT_OPEN);
    assert_int_equal(wst__ws_close(fx.ws, 1000, NULL, 0), WST_ERR_NOT_OPEN);
    fixture_flush(&fx, SIZE_MAX);
    assert_true(wst__ws_close_sent(fx.ws));
    fixture_expect(&fx, "closed(1001)", "text(queued) close(03e9)");
    fixture_fini(&fx);
}

/* After an error one close frame leaves, also when we had begun to close ourselves. */
static void an_error_while_closing(void **state)
{
    static const uint8_t bad[] = {0x83, 0};
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    assert_int_equal(wst__ws_close(fx.ws, 1000, NULL, 0), 0);
    assert_int_equal(fixture_feed(&fx, bad, sizeof bad), WST_ERR_WS_PROTOCOL);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "error(WS_PROTOCOL 1002)", "close(03e8)");
    assert_int_equal(fixture_feed(&fx, bad, sizeof bad), 0);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "", "");
    fixture_fini(&fx);
}

/* Every code a server may send; the answer is the same code. */
static void every_close_code(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 65536; code++) {
        uint8_t frame[4] = {0x88, 2, (uint8_t)(code >> 8), (uint8_t)code};
        bool fine = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                    (code >= 3000 && code <= 4999);
        char events[64];
        char output[64];
        struct fixture fx;

        (void)snprintf(events, sizeof events, fine ? "closed(%u)" : "error(WS_PROTOCOL 1002)",
                       code);
        (void)snprintf(output, sizeof output, "close(%04x)", fine ? code : 1002);
        fixture_init(&fx, 0, 0);
        (void)fixture_feed(&fx, frame, sizeof frame);
        fixture_flush(&fx, SIZE_MAX);
        if (code > 0x2020) /* Two printable bytes are written as such. */
            fixture_expect(&fx, events, NULL);
        else
            fixture_expect(&fx, events, output);
        fixture_fini(&fx);
    }
}

/* TRAPS: a reason that arrives in pieces is one text. */
static void a_close_reason_split_everywhere(void **state)
{
    static const uint8_t frame[] = {0x88, 12,   0x0f, 0xa0, 0xc3, 0xa4, 0xe2,
                                    0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, '!'};

    (void)state;
    for (size_t cut = 0; cut <= sizeof frame; cut++) {
        struct fixture fx;

        fixture_init(&fx, 0, 0);
        assert_int_equal(fixture_feed(&fx, frame, cut), 0);
        assert_int_equal(fixture_feed(&fx, frame + cut, sizeof frame - cut), 0);
        fixture_expect(&fx, "closed(4000 \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80!)", NULL);
        fixture_fini(&fx);
    }
}

/* ---- Errors -------------------------------------------------------------------------------- */

static void a_cause_says_what_broke(void **state)
{
    static const struct {
        const char *input, *text;
    } cases[] = {
        {"8180 00000000", "masked"},
        {"c100", "reserved bit"},
        {"8300", "opcode"},
        {"8b00", "control opcode"},
        {"8000", "continuation"},
        {"0100 8100", "inside another message"},
        {"8801 00", "one byte"},
        {"8802 0000", "close code"},
        {"8803 03e8 ff", "close reason"},
        {"8101 ff", "not UTF-8"},
        {"0101 c3 8000", "not UTF-8"},
        {"827f 7fffffffffffffff", "max_message_bytes"},
        {"897e", "control frame"},
        {"817e 0001", "shortest form"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fx;
        size_t n;
        uint8_t *input = bytes_from(cases[i].input, &n);

        fixture_init(&fx, 0, 0);
        assert_true(fixture_feed(&fx, input, n) < 0);
        if (!strstr(fx.why.text, cases[i].text))
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].input, fx.why.text, cases[i].text);
        assert_int_equal(fx.why.step, WST_STEP_CONNECT);
        assert_int_equal(fx.why.cls, WST_CLASS_PROTOCOL);
        fixture_fini(&fx);
        free(input);
    }
}

static void an_unknown_extension_is_refused(void **state)
{
    static const struct wst__ws_cbs no_cbs;
    struct wst__ws_config config = {.extensions = "x-unheard-of"};
    struct wst_cause why;
    struct wst__ws *ws = NULL;

    (void)state;
    assert_int_equal(wst__ws_new(&ws, &config, &no_cbs, NULL, &why), WST_ERR_BAD_UPGRADE);
    assert_int_equal(why.code, WST_ERR_BAD_UPGRADE);
    assert_null(ws);
    wst__ws_free(NULL, NULL, NULL);
    wst__ws_pool_free(NULL);
}

/* ---- Counts -------------------------------------------------------------------------------- */

static void counts(void **state)
{
    static const uint8_t input[] = {0x81, 3,    'a', 'b', 'c',  0x02, 2,  1,
                                    2,    0x80, 1,   3,   0x89, 1,    'p'};
    struct wst__ws_counts c;
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    assert_int_equal(fixture_feed(&fx, input, sizeof input), 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, "hello", 5, NULL), 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, "world!", 6, NULL), 0);
    wst__ws_counts(fx.ws, &c);
    assert_int_equal(c.received, 2);
    assert_int_equal(c.bytes_received, 6);
    assert_int_equal(c.queued, 2);
    assert_int_equal(c.bytes_queued, 11);
    assert_int_equal(c.sent, 0);
    assert_int_equal(wst__ws_buffered(fx.ws), 7 + 11 + 12);
    fixture_flush(&fx, 7 + 11);
    wst__ws_counts(fx.ws, &c);
    assert_int_equal(c.sent, 1);
    assert_int_equal(c.bytes_sent, 5);
    assert_int_equal(c.queued, 1);
    assert_int_equal(c.bytes_queued, 6);
    fixture_fini(&fx);
}

/* ---- One pool, many connections ------------------------------------------------------------ */

/* Connections that share a pool, each in the middle of something, do not disturb each other. */
static void a_shared_pool(void **state)
{
    enum { CONNECTIONS = 20, BYTES = 30 };
    static const char *const stream = "8103 c3a4 21 0102 e282 8a01 70 8001 ac 8204 deadbeef "
                                      "817e 0080 128*61";
    struct fixture fx[CONNECTIONS];
    struct wst__ws_config config = {.queue_low_water = SIZE_MAX};
    size_t n;
    uint8_t *input = bytes_from(stream, &n);
    uint64_t seed = 99;
    size_t at[CONNECTIONS] = {0};
    bool busy = true;
    char *right = NULL;

    (void)state;
    fixture_pool(&config);
    for (size_t i = 0; i < CONNECTIONS; i++)
        fixture_init_with(&fx[i], &config);
    while (busy) {
        busy = false;
        for (size_t i = 0; i < CONNECTIONS; i++) {
            size_t k = draw(&seed) % BYTES;

            k = k < n - at[i] ? k : n - at[i];
            assert_int_equal(fixture_feed(&fx[i], input + at[i], k), 0);
            assert_int_equal(wst__ws_send(fx[i].ws, WST_BINARY, input, k, NULL), 0);
            fixture_flush(&fx[i], draw(&seed) % 40);
            at[i] += k;
            busy = busy || at[i] < n;
        }
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (!right)
            right = strdup(fx[0].events.text);
        fixture_expect(&fx[i], right, NULL);
        fixture_fini(&fx[i]);
    }
    assert_non_null(strstr(right, "text(e282ac) binary(deadbeef) text(aaaa"));
    free(right);
    free(input);
    wst__ws_pool_free(config.pool);
}

static struct fixture *other;

static void feed_the_other(struct fixture *fx)
{
    static const uint8_t input[] = {0x81, 1, 'x', 0x82, 1, 'y', 0x01, 1};

    assert_int_equal(fixture_feed(other, input, sizeof input), 0);
    fx->in_callback = NULL;
}

/* A callback of one connection may feed another one of the same loop. */
static void feeding_another_from_a_callback(void **state)
{
    static const uint8_t input[] = {0x81, 1, 'a', 0x81, 1, 'b', 0x81, 1, 'c', 0x81};
    struct wst__ws_config config = {.queue_low_water = SIZE_MAX};
    struct fixture fx[2];

    (void)state;
    fixture_pool(&config);
    fixture_init_with(&fx[0], &config);
    fixture_init_with(&fx[1], &config);
    other = &fx[1];
    fx[0].in_callback = feed_the_other;
    assert_int_equal(fixture_feed(&fx[0], input, sizeof input), 0);
    fixture_expect(&fx[0], "text(a) text(b) text(c)", "");
    fixture_expect(&fx[1], "text(x) binary(y)", "");
    fixture_fini(&fx[0]);
    fixture_fini(&fx[1]);
    wst__ws_pool_free(config.pool);
}

/* ---- Compared with a second engine --------------------------------------------------------- */

static void random_streams(void **state)
{
    enum { STREAMS = 20000, ROOM = 200000, MAX_MESSAGE = 70000 };
    uint8_t *stream = malloc(ROOM);
    struct trace events = {0}, output = {0};
    unsigned errors = 0, messages = 0;

    (void)state;
    for (uint64_t number = 1; number <= STREAMS; number++) {
        uint64_t seed = number * 2654435761u;
        size_t n = reference_stream(&seed, stream, ROOM);
        struct wst__ws_config config = {.max_message_bytes = MAX_MESSAGE,
                                        .queue_low_water = SIZE_MAX};
        struct fixture fx;
        size_t piece = 1 + draw(&seed) % (number % 2 ? 30 : 3000);
        size_t placed = 0;

        trace_clear(&events);
        trace_clear(&output);
        reference_run(stream, n, MAX_MESSAGE, &events, &output);
        if (number % 5 == 0)
            fixture_init_chunks(&fx, &config);
        else
            fixture_init_with(&fx, &config);
        if (number % 3 == 0) {
            (void)feed_placing(&fx, stream, n, piece * 8, &placed);
        } else {
            for (size_t at = 0, k; at < n; at += k) {
                k = number % 3 == 1 ? n : 1 + draw(&seed) % piece;
                k = k < n - at ? k : n - at;
                if (fixture_feed(&fx, stream + at, k) != 0)
                    break;
            }
        }
        fixture_flush(&fx, SIZE_MAX);
        if (strcmp(fx.events.text, events.text) != 0 || strcmp(fx.output.text, output.text) != 0)
            fail_msg("stream %llu:\n  %s\n  reference: %s\n  output: %s\n  reference: %s",
                     (unsigned long long)number, fx.events.text, events.text, fx.output.text,
                     output.text);
        errors += strstr(events.text, "error") != NULL;
        messages += strstr(events.text, "text(") || strstr(events.text, "binary(");
        fixture_fini(&fx);
    }
    /* The streams are worth something only if they reach both ends. */
    assert_true(errors > STREAMS / 20);
    assert_true(messages > STREAMS / 2);
    free(events.text);
    free(output.text);
    free(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_message_is_handed_out_where_it_lies),
        cmocka_unit_test(a_callback_that_returns_false_stops_at_once),
        cmocka_unit_test(nothing_behind_a_pause_was_looked_at),
        cmocka_unit_test(a_large_message_is_received_into_its_place),
        cmocka_unit_test(places_between_other_frames),
        cmocka_unit_test(bad_text_fails_in_its_place),
        cmocka_unit_test(no_place_for_what_is_small),
        cmocka_unit_test(we_begin_to_close),
        cmocka_unit_test(the_peer_begins_to_close),
        cmocka_unit_test(an_error_while_closing),
        cmocka_unit_test(every_close_code),
        cmocka_unit_test(a_close_reason_split_everywhere),
        cmocka_unit_test(a_cause_says_what_broke),
        cmocka_unit_test(an_unknown_extension_is_refused),
        cmocka_unit_test(counts),
        cmocka_unit_test(a_shared_pool),
        cmocka_unit_test(feeding_another_from_a_callback),
        cmocka_unit_test(random_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
