/*
 * The send queue: what leaves, in which order, however little the kernel takes at a time; what is
 * refused; what is told.  Through wst__ws, whose output the fixture unmasks.
 */
#include "ws_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void send_text(struct fixture *fx, const char *text, const char *ref)
{
    assert_int_equal(wst__ws_send(fx->ws, WST_TEXT, text, strlen(text), (void *)(uintptr_t)ref), 0);
}

static void ping(struct fixture *fx, const char *payload)
{
    assert_int_equal(wst__ws_ping(fx->ws, payload, strlen(payload)), 0);
}

/* A ping of the server's: its pong is queued. */
static void feed_ping(struct fixture *fx, const char *payload)
{
    uint8_t frame[2 + 125] = {0x89, (uint8_t)strlen(payload)};

    memcpy(frame + 2, payload, strlen(payload));
    assert_int_equal(fixture_feed(fx, frame, 2 + strlen(payload)), 0);
}

/* ---- Bytes --------------------------------------------------------------------------------- */

static int key_of_the_rfc(void *arg, void *p, size_t n)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};

    (void)arg;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = key[i % 4];
    return 0;
}

/* RFC 6455, 5.7: a single-frame masked text message. */
static void the_example_of_the_rfc(void **state)
{
    static const uint8_t right[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d,
                                    0x7f, 0x9f, 0x4d, 0x51, 0x58};
    struct wst__ws_config config = {.max_queue_bytes = 100, .random = key_of_the_rfc};
    static const struct wst__ws_cbs no_cbs;
    struct wst__ws *ws;
    struct iovec iov[3];

    (void)state;
    assert_int_equal(wst__ws_new(&ws, &config, &no_cbs, NULL, NULL), 0);
    assert_int_equal(wst__ws_send(ws, WST_TEXT, "Hello", 5, NULL), 0);
    assert_int_equal(wst__ws_output(ws, iov, 3), 1);
    assert_int_equal(iov[0].iov_len, sizeof right);
    assert_memory_equal(iov[0].iov_base, right, sizeof right);
    wst__ws_free(ws, NULL, NULL);
}

static void headers_of_all_lengths(void **state)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 65537};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        size_t head = n < 126 ? 6 : n < 65536 ? 8 : 14;
        uint8_t *payload = malloc(n + 1);
        struct trace right = {0};
        struct fixture fx;
        struct iovec iov[3];
        const uint8_t *p;

        fixture_init(&fx, 0, 0);
        memset(payload, 0x80, n + 1);
        assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, payload, n, NULL), 0);
        assert_int_equal(wst__ws_buffered(fx.ws), head + n);
        assert_int_equal(wst__ws_output(fx.ws, iov, 3), 1);
        p = iov[0].iov_base;
        assert_int_equal(p[0], 0x82);
        assert_int_equal(p[1], 0x80 | (n < 126 ? n : n < 65536 ? 126 : 127));
        trace_payload(&right, "binary", payload, n);
        fixture_flush(&fx, SIZE_MAX);
        fixture_expect(&fx, "", right.text);
        assert_int_equal(wst__ws_buffered(fx.ws), 0);
        fixture_fini(&fx);
        free(right.text);
        free(payload);
    }
}

/* A key is used once (RFC 6455, 5.3): among 1000 no two are equal but by chance. */
static void every_frame_has_its_own_key(void **state)
{
    enum { FRAMES = 1000 };
    uint32_t keys[FRAMES];
    size_t count = 0;
    struct fixture fx;
    struct iovec iov[3];

    (void)state;
    fixture_init(&fx, 0, 0);
    while (count < FRAMES) { /* Empty ones and others, in bursts: they go different ways. */
        const char *text = count % 20 < 10 ? "" : "text";
        size_t frame = 6 + strlen(text);

        for (int i = 0; i < 10; i++)
            send_text(&fx, text, NULL);
        assert_int_equal(wst__ws_output(fx.ws, iov, 3), 1);
        assert_int_equal(iov[0].iov_len, 10 * frame);
        for (size_t i = 0; i < 10; i++) {
            memcpy(&keys[count], (const uint8_t *)iov[0].iov_base + i * frame + 2, 4);
            for (size_t k = 0; k < count; k++)
                assert_true(keys[count] != keys[k]);
            count++;
        }
        wst__ws_sent(fx.ws, 10 * frame);
    }
    fixture_fini(&fx);
}

/* What cannot be masked is refused, and no key is used a second time (RFC 6455, 10.3). */
static void without_a_key_nothing_is_queued(void **state)
{
    char key[1024];
    struct fixture fx;
    size_t sent = 0;
    int rc = 0;

    (void)state;
    memset(key, 'k', sizeof key);
    fixture_init(&fx, 0, 0);
    send_text(&fx, "first", NULL); /* The pool has keys from here on, but not for ever. */
    fixture_flush(&fx, SIZE_MAX);
    fx.no_entropy = true;
    while (rc == 0 && sent++ < sizeof key)
        rc = wst__ws_send(fx.ws, WST_TEXT, "more", 4, NULL);
    assert_int_equal(rc, WST_ERR_ENTROPY);
    fixture_flush(&fx, SIZE_MAX);
    trace_clear(&fx.events);
    trace_clear(&fx.output);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, "short", 5, NULL), WST_ERR_ENTROPY);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, key, sizeof key, NULL), WST_ERR_ENTROPY);
    assert_int_equal(wst__ws_send_chunk(fx.ws, WST_TEXT, "piece", 5, WST_CHUNK_FIRST, NULL),
                     WST_ERR_ENTROPY);
    assert_int_equal(wst__ws_ping(fx.ws, "p", 1), WST_ERR_ENTROPY);
    assert_int_equal(wst__ws_close(fx.ws, 1000, NULL, 0), WST_ERR_ENTROPY);
    assert_int_equal(wst__ws_buffered(fx.ws), 0);
    fx.no_entropy = false;
    send_text(&fx, "again", NULL);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "", "text(again)");
    fixture_fini(&fx);
}

/* Nor can a ping be answered, nor a close: the connection ends, and says why. */
static void without_a_key_nothing_is_answered(void **state)
{
    static const uint8_t asks[][2] = {{0x89, 0}, {0x88, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        struct fixture fx;

        fixture_init(&fx, 0, 0);
        fx.no_entropy = true;
        assert_int_equal(fixture_feed(&fx, asks[i], sizeof asks[i]), WST_ERR_ENTROPY);
        assert_non_null(strstr(fx.why.text, "masking key"));
        assert_int_equal(wst__ws_buffered(fx.ws), 0);
        fixture_fini(&fx);
    }
}

/* ---- Order --------------------------------------------------------------------------------- */

/* A ping goes out at the next frame boundary, wherever the kernel had stopped taking. */
static void a_ping_goes_ahead_of_data_that_has_not_begun(void **state)
{
    static const char *const right[] = {
        "ping(p) text(aaaa) text(bbbb) text(cccc)", "text(aaaa) ping(p) text(bbbb) text(cccc)",
        "text(aaaa) text(bbbb) ping(p) text(cccc)", "text(aaaa) text(bbbb) text(cccc) ping(p)"};

    (void)state;
    for (size_t gone = 0; gone <= 30; gone++) {
        for (size_t then = 1; then <= 37; then++) {
            struct fixture fx;

            fixture_init(&fx, 0, 0);
            send_text(&fx, "aaaa", NULL);
            send_text(&fx, "bbbb", NULL);
            send_text(&fx, "cccc", NULL);
            fixture_flush(&fx, gone);
            ping(&fx, "p");
            assert_false(wst__ws_ping_left(fx.ws));
            for (int i = 0; i < 40 && wst__ws_buffered(fx.ws); i++)
                fixture_flush(&fx, then);
            assert_int_equal(wst__ws_buffered(fx.ws), 0);
            assert_true(wst__ws_ping_left(fx.ws));
            fixture_expect(&fx, "", right[(gone + 9) / 10]);
            fixture_fini(&fx);
        }
    }
}

static void the_last_ping_counts(void **state)
{
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    assert_true(wst__ws_ping_left(fx.ws));
    ping(&fx, "1");
    ping(&fx, "2");
    fixture_flush(&fx, 7);
    assert_false(wst__ws_ping_left(fx.ws));
    fixture_flush(&fx, 6);
    assert_false(wst__ws_ping_left(fx.ws));
    fixture_flush(&fx, 1);
    assert_true(wst__ws_ping_left(fx.ws));
    fixture_expect(&fx, "", "ping(1) ping(2)");
    fixture_fini(&fx);
}

static void pings_that_cannot_leave_are_bounded(void **state)
{
    struct fixture fx;
    int accepted = 0;

    (void)state;
    fixture_init(&fx, 0, 0);
    while (wst__ws_ping(fx.ws, "p", 1) == 0 && accepted < 1000)
        accepted++;
    assert_int_equal(accepted, 64);
    assert_int_equal(wst__ws_ping(fx.ws, "p", 1), WST_ERR_QUEUE_FULL);
    fixture_flush(&fx, SIZE_MAX);
    ping(&fx, "again");
    fixture_fini(&fx);
}

static void close_goes_behind_everything(void **state)
{
    struct fixture fx;

    (void)state;
    for (size_t step = 1; step < 40; step++) {
        fixture_init(&fx, 0, 0);
        send_text(&fx, "one", "1");
        send_text(&fx, "two", "2");
        assert_int_equal(wst__ws_close(fx.ws, 1000, "bye", 3), 0);
        feed_ping(&fx, "p");
        assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, "x", 1, NULL), WST_ERR_NOT_OPEN);
        assert_int_equal(wst__ws_ping(fx.ws, "x", 1), WST_ERR_NOT_OPEN);
        assert_int_equal(wst__ws_close(fx.ws, 1001, NULL, 0), WST_ERR_NOT_OPEN);
        for (int i = 0; i < 60; i++) {
            assert_int_equal(wst__ws_close_sent(fx.ws), i && wst__ws_buffered(fx.ws) == 0);
            fixture_flush(&fx, step);
        }
        assert_true(wst__ws_close_sent(fx.ws));
        fixture_expect(&fx, "sent(1 3) sent(2 3)", "pong(p) text(one) text(two) close(03e8627965)");
        fixture_fini(&fx);
    }
}

/* RFC 6455, 5.5.1: nothing follows a close frame, a pong neither. */
static void nothing_follows_a_close(void **state)
{
    (void)state;
    for (size_t gone = 0; gone <= 8; gone++) {
        struct fixture fx;

        fixture_init(&fx, 0, 0);
        assert_int_equal(wst__ws_close(fx.ws, 1000, NULL, 0), 0);
        fixture_flush(&fx, gone);
        feed_ping(&fx, "late");
        fixture_flush(&fx, SIZE_MAX);
        fixture_expect(&fx, "", gone ? "close(03e8)" : "pong(late) close(03e8)");
        fixture_fini(&fx);
    }
}

/* ---- Pongs --------------------------------------------------------------------------------- */

/* The output that nobody asked for does not count as blocked. */
static void every_ping_is_answered_while_output_flows(void **state)
{
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    fixture_flush(&fx, SIZE_MAX);
    fixture_flush(&fx, SIZE_MAX);
    for (int round = 0; round < 3; round++) {
        feed_ping(&fx, "a");
        feed_ping(&fx, "b");
        feed_ping(&fx, "c");
        fixture_flush(&fx, SIZE_MAX);
        fixture_expect(&fx, "", "pong(a) pong(b) pong(c)");
    }
    fixture_fini(&fx);
}

/* A whole input buffer of empty pings: 32,768 of them. */
static void a_buffer_full_of_pings_is_answered(void **state)
{
    enum { PINGS = 32768 };
    uint8_t *pings = malloc(PINGS * 2);
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    for (size_t i = 0; i < PINGS; i++) {
        pings[2 * i] = 0x89;
        pings[2 * i + 1] = 0;
    }
    assert_int_equal(fixture_feed(&fx, pings, PINGS * 2), 0);
    assert_int_equal(wst__ws_buffered(fx.ws), PINGS * 6);
    /* Without ever letting them out, it comes to an end. */
    for (int i = 0; i < 50; i++)
        assert_int_equal(fixture_feed(&fx, pings, PINGS * 2), 0);
    assert_true(wst__ws_buffered(fx.ws) <= 256 << 10);
    fixture_fini(&fx);
    free(pings);
}

/* |gone| bytes of the first pong have left when the output blocks. */
static void only_the_newest_pong_is_kept_when_blocked(void **state)
{
    (void)state;
    for (size_t gone = 0; gone < 8; gone++) {
        for (int ask = 0; ask < 2; ask++) {
            struct fixture fx;

            fixture_init(&fx, 0, 0);
            feed_ping(&fx, "aa");
            feed_ping(&fx, "bb");
            feed_ping(&fx, "cc");
            fixture_flush(&fx, gone);
            assert_int_equal(wst__ws_buffered(fx.ws), (gone ? 16 - gone : 8));
            for (int i = 0; i < 100000; i++) {
                feed_ping(&fx, i == 99999 ? "last" : "more");
                if (ask)
                    fixture_flush(&fx, 0);
                assert_true(wst__ws_buffered(fx.ws) <= 18 + (gone ? 8 - gone : 0));
            }
            fixture_flush(&fx, SIZE_MAX);
            fixture_expect(&fx, "", gone ? "pong(aa) pong(last)" : "pong(last)");
            feed_ping(&fx, "x");
            feed_ping(&fx, "y");
            fixture_flush(&fx, SIZE_MAX);
            fixture_expect(&fx, "", "pong(x) pong(y)");
            fixture_fini(&fx);
        }
    }
}

/* As a driver does it that asks for output after every input, and takes nothing. */
static void a_driver_that_only_asks(void **state)
{
    struct iovec iov[3];
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    for (int i = 0; i < 1000; i++) {
        feed_ping(&fx, "a");
        assert_int_equal(wst__ws_output(fx.ws, iov, 3), 1);
    }
    assert_true(wst__ws_buffered(fx.ws) <= 14);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "", "pong(a)");
    fixture_fini(&fx);
}

static void own_pings_survive_a_blocked_output(void **state)
{
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    feed_ping(&fx, "1");
    ping(&fx, "own");
    feed_ping(&fx, "2");
    fixture_flush(&fx, 0);
    feed_ping(&fx, "3");
    assert_false(wst__ws_ping_left(fx.ws));
    fixture_flush(&fx, SIZE_MAX);
    assert_true(wst__ws_ping_left(fx.ws));
    fixture_expect(&fx, "", "ping(own) pong(3)");
    feed_ping(&fx, "4"); /* A pong is no ping that left. */
    fixture_flush(&fx, SIZE_MAX);
    assert_true(wst__ws_ping_left(fx.ws));
    fixture_fini(&fx);
}

/* What was handed out is taken as it was, whatever is queued before it is accounted for. */
static void queued_between_output_and_sent(void **state)
{
    struct iovec iov[3];
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    feed_ping(&fx, "first");
    send_text(&fx, "data", "d");
    fixture_flush(&fx, 0);
    assert_int_equal(wst__ws_output(fx.ws, iov, 3), 2);
    feed_ping(&fx, "second, and longer");
    send_text(&fx, "more", "m");
    wst__ws_sent(fx.ws, 11);
    fixture_expect(&fx, "", NULL);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "sent(d 4) sent(m 4)", "pong(second, and longer) text(data) text(more)");
    fixture_fini(&fx);
}

/* ---- Refusals and reports ------------------------------------------------------------------ */

static void a_full_queue_refuses(void **state)
{
    struct fixture fx;
    char text[1000];
    int accepted = 0;

    (void)state;
    memset(text, 'x', sizeof text);
    fixture_init(&fx, 0, 10000);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, text, 1000, NULL), 0);
    for (accepted = 1; wst__ws_send(fx.ws, WST_TEXT, text, 1000, NULL) == 0; accepted++)
        assert_true(accepted < 10);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, text, 1000, NULL), WST_ERR_QUEUE_FULL);
    assert_int_equal(accepted, 9);
    assert_true(wst__ws_buffered(fx.ws) <= 10000);
    fixture_flush(&fx, 1008);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, text, 1000, NULL), 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, text, 1000, NULL), WST_ERR_QUEUE_FULL);
    /* The close frame fits all the same. */
    assert_int_equal(wst__ws_close(fx.ws, 1000, NULL, 0), 0);
    fixture_flush(&fx, SIZE_MAX);
    assert_true(wst__ws_close_sent(fx.ws));
    fixture_fini(&fx);
}

/*
 * Who was refused is told when there is room again, also where the queue never was above its mark:
 * a large message behind a little, or messages that cost more than their bytes.  Each refusal has
 * one telling; what can never fit has none.
 */
static void a_refusal_is_followed_by_drained(void **state)
{
    struct wst__ws_config config = {.max_queue_bytes = 64 << 10, .queue_low_water = 16 << 10};
    static uint8_t data[64 << 10];
    struct fixture fx;

    (void)state;
    fixture_init_with(&fx, &config);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, 1000, NULL), 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, sizeof data, NULL), WST_ERR_TOO_LARGE);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "", NULL);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, 1000, NULL), 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, 64500, NULL), WST_ERR_QUEUE_FULL);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, 64500, NULL), WST_ERR_QUEUE_FULL);
    (void)wst__ws_sent(fx.ws, 0); /* A socket that takes nothing makes no room. */
    fixture_expect(&fx, "", NULL);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "drained", NULL);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, 1000, NULL), 0);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "", NULL);
    while (wst__ws_send(fx.ws, WST_BINARY, NULL, 0, NULL) == 0)
        assert_true(wst__ws_buffered(fx.ws) < config.queue_low_water);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "drained", NULL);
    fixture_fini(&fx);
}

/* Empty messages cost memory, too: the ceiling counts what the queue notes about each. */
static void empty_messages_fill_the_queue(void **state)
{
    struct fixture fx;
    int accepted = 0;

    (void)state;
    fixture_init(&fx, 0, 30000);
    while (wst__ws_send(fx.ws, WST_BINARY, NULL, 0, NULL) == 0)
        assert_true(++accepted <= 1000);
    assert_int_equal(accepted, 1000);
    fixture_fini(&fx);
}

static void what_can_never_fit_is_too_large(void **state)
{
    struct fixture fx;
    uint8_t data[200] = {0};

    (void)state;
    fixture_init(&fx, 0, 200);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, 200 - 24 - 8, NULL), 0);
    fixture_flush(&fx, SIZE_MAX);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, 200 - 24 - 7, NULL), WST_ERR_TOO_LARGE);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, data, SIZE_MAX, NULL), WST_ERR_TOO_LARGE);
    fixture_fini(&fx);
}

static void bad_arguments_change_nothing(void **state)
{
    static const int bad_codes[] = {1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536, -1};
    static const int good_codes[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                     1010, 1011, 1012, 1013, 1014, 3000, 4999};
    char reason[124];
    struct fixture fx;

    (void)state;
    memset(reason, 'r', sizeof reason);
    fixture_init(&fx, 0, 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, "\xff", 1, NULL), WST_ERR_BAD_UTF8);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, "a\xc3", 2, NULL), WST_ERR_BAD_UTF8);
    assert_int_equal(wst__ws_send(fx.ws, (enum wst_message_type)0, "a", 1, NULL), WST_ERR_INVALID);
    assert_int_equal(wst__ws_send(fx.ws, (enum wst_message_type)9, "a", 1, NULL), WST_ERR_INVALID);
    assert_int_equal(wst__ws_ping(fx.ws, reason, 126), WST_ERR_INVALID);
    for (size_t i = 0; i < sizeof bad_codes / sizeof bad_codes[0]; i++)
        assert_int_equal(wst__ws_close(fx.ws, bad_codes[i], NULL, 0), WST_ERR_INVALID);
    assert_int_equal(wst__ws_close(fx.ws, 1000, reason, 124), WST_ERR_INVALID);
    assert_int_equal(wst__ws_close(fx.ws, 1000, "\xff", 1), WST_ERR_INVALID);
    assert_int_equal(wst__ws_close(fx.ws, 0, "x", 1), WST_ERR_INVALID);
    assert_int_equal(wst__ws_buffered(fx.ws), 0);
    fixture_fini(&fx);
    for (size_t i = 0; i < sizeof good_codes / sizeof good_codes[0]; i++) {
        fixture_init(&fx, 0, 0);
        assert_int_equal(wst__ws_close(fx.ws, good_codes[i], reason, 123), 0);
        assert_int_equal(wst__ws_buffered(fx.ws), 6 + 125);
        fixture_fini(&fx);
    }
    fixture_init(&fx, 0, 0);
    assert_int_equal(wst__ws_close(fx.ws, 0, NULL, 0), 0);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "", "close()");
    fixture_fini(&fx);
}

static void drained_is_told_once_per_fall(void **state)
{
    struct fixture fx;

    (void)state;
    fixture_init_with(&fx, &(struct wst__ws_config){.queue_low_water = 20});
    send_text(&fx, "0123456789", "a"); /* 16 bytes: not above. */
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "sent(a 10)", NULL);
    send_text(&fx, "0123456789", "b");
    send_text(&fx, "0123456789", "c"); /* 32: above. */
    fixture_flush(&fx, 11);
    fixture_expect(&fx, "", NULL);
    fixture_flush(&fx, 1); /* 20: there. */
    fixture_expect(&fx, "drained", NULL);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "sent(b 10) sent(c 10)", NULL);
    fixture_fini(&fx);
}

static void note_unsent(void *arg, void *ref, size_t n)
{
    trace_add(arg, "unsent(%s %zu) ", (const char *)ref, n);
}

/* Promise 14: what was accepted and not wholly taken is told; the close frame is no message. */
static void what_has_not_left_is_told(void **state)
{
    static const char *const right[] = {"unsent(a 2) unsent(b 3) ", "unsent(b 3) ", ""};

    (void)state;
    for (size_t gone = 0; gone <= 17 + 8; gone++) {
        struct trace told = {0};
        struct fixture fx;
        struct wst__ws_counts c;
        size_t whole = gone < 8 ? 0 : gone < 17 ? 1 : 2;

        fixture_init(&fx, 0, 0);
        trace_clear(&told);
        send_text(&fx, "aa", "a");
        send_text(&fx, "bbb", "b");
        assert_int_equal(wst__ws_close(fx.ws, 1000, NULL, 0), 0);
        fixture_flush(&fx, gone);
        wst__ws_counts(fx.ws, &c);
        assert_int_equal(c.sent, whole);
        assert_int_equal(c.queued, 2 - whole);
        assert_int_equal(c.bytes_sent + c.bytes_queued, 5);
        wst__ws_free(fx.ws, note_unsent, &told);
        fx.ws = NULL;
        assert_string_equal(told.text, right[whole]);
        fixture_fini(&fx);
        free(told.text);
    }
}

/* ---- Messages in chunks -------------------------------------------------------------------- */

enum { FIRST = WST_CHUNK_FIRST, MORE = 0, LAST = WST_CHUNK_LAST };

/* Its name is told with the first one; the others' are not looked at. */
static int chunk(struct fixture *fx, const char *text, unsigned flags)
{
    return wst__ws_send_chunk(fx->ws, WST_TEXT, text, strlen(text), flags,
                              (void *)(uintptr_t)(flags & FIRST ? "ref" : "other"));
}

/* A message whose length nobody knew, with control frames between its fragments. */
static void a_message_in_chunks(void **state)
{
    (void)state;
    for (size_t step = 1; step < 60; step++) {
        struct fixture fx;

        fixture_init(&fx, 0, 0);
        assert_int_equal(chunk(&fx, "one ", FIRST), 0);
        assert_int_equal(chunk(&fx, "two \xe2\x82", MORE), 0);
        fixture_flush(&fx, 12);
        ping(&fx, "p");
        assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, "x", 1, NULL), WST_ERR_STATE);
        assert_int_equal(chunk(&fx, "\xac", MORE), 0);
        assert_int_equal(chunk(&fx, "", MORE), 0);
        assert_int_equal(chunk(&fx, " three", LAST), 0);
        send_text(&fx, "whole", "w");
        assert_int_equal(chunk(&fx, "alone", FIRST | LAST), 0);
        for (int i = 0; i < 100; i++)
            fixture_flush(&fx, step);
        fixture_expect(&fx, "sent(ref 17) sent(w 5) sent(ref 5)",
                       "text...(one ) more...(74776f20e282) ping(p) more...(ac) more...() "
                       "more( three) text(whole) text(alone)");
        fixture_fini(&fx);
    }
}

/* One that goes on must have begun here, and one that begins must be the only one. */
static void chunks_have_their_place(void **state)
{
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    assert_int_equal(chunk(&fx, "a", MORE), WST_ERR_STATE);
    assert_int_equal(chunk(&fx, "a", LAST), WST_ERR_STATE);
    assert_int_equal(chunk(&fx, "a", FIRST), 0);
    assert_int_equal(chunk(&fx, "b", FIRST), WST_ERR_STATE);
    assert_int_equal(chunk(&fx, "b", FIRST | LAST), WST_ERR_STATE);
    assert_int_equal(chunk(&fx, "b", 4), WST_ERR_INVALID);
    assert_int_equal(chunk(&fx, "b", LAST), 0);
    assert_int_equal(chunk(&fx, "c", LAST), WST_ERR_STATE);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "sent(ref 2)", "text...(a) more(b)");
    fixture_fini(&fx);
}

static int send_chunk(struct fixture *fx, enum wst_message_type type, const char *data, size_t n,
                      unsigned flags)
{
    return wst__ws_send_chunk(fx->ws, type, data, n, flags, NULL);
}

static void bad_chunks_change_nothing(void **state)
{
    struct fixture fx;
    char large[200] = {0};

    (void)state;
    fixture_init(&fx, 0, 150);
    assert_int_equal(chunk(&fx, "a\xc3", FIRST | LAST), WST_ERR_BAD_UTF8);
    assert_int_equal(chunk(&fx, "\xff", FIRST), WST_ERR_BAD_UTF8);
    assert_int_equal(send_chunk(&fx, (enum wst_message_type)8, "a", 1, FIRST | LAST),
                     WST_ERR_INVALID);
    send_text(&fx, "whole", NULL); /* None of these has begun a message. */
    assert_int_equal(chunk(&fx, "a\xc3", FIRST), 0);
    assert_int_equal(chunk(&fx, "b", MORE), WST_ERR_BAD_UTF8);
    assert_int_equal(chunk(&fx, "", LAST), WST_ERR_BAD_UTF8);
    assert_int_equal(send_chunk(&fx, WST_BINARY, "a", 1, LAST), WST_ERR_INVALID);
    assert_int_equal(send_chunk(&fx, WST_TEXT, large, 100, LAST), WST_ERR_BAD_UTF8);
    large[0] = (char)0xa4;
    assert_int_equal(send_chunk(&fx, WST_TEXT, large, 100, LAST), WST_ERR_QUEUE_FULL);
    assert_int_equal(send_chunk(&fx, WST_TEXT, large, 200, LAST), WST_ERR_TOO_LARGE);
    fixture_flush(&fx, SIZE_MAX);
    assert_int_equal(chunk(&fx, "\xa4", LAST), 0);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "drained sent(ref 3)", "text(whole) text...(61c3) more(a4)");
    assert_int_equal(wst__ws_close(fx.ws, 1000, NULL, 0), 0);
    assert_int_equal(chunk(&fx, "late", FIRST | LAST), WST_ERR_NOT_OPEN);
    fixture_fini(&fx);
}

/*
 * Closing in the middle of one is allowed (RFC 6455, 5.5.1).  What has left of it is no message:
 * it is told as unsent, once, behind those before it, however much of it has left.
 */
static void ending_inside_a_message(void **state)
{
    (void)state;
    for (size_t gone = 0; gone < 60; gone++) {
        struct trace told = {0};
        struct wst__ws_counts c;
        struct fixture fx;
        bool whole = gone >= 9;

        fixture_init(&fx, 0, 0);
        trace_clear(&told);
        send_text(&fx, "all", "w");
        assert_int_equal(chunk(&fx, "begun", FIRST), 0);
        assert_int_equal(chunk(&fx, "!", MORE), 0);
        assert_int_equal(wst__ws_close(fx.ws, 1001, NULL, 0), 0);
        assert_int_equal(chunk(&fx, "late", LAST), WST_ERR_NOT_OPEN);
        fixture_flush(&fx, gone);
        wst__ws_counts(fx.ws, &c);
        assert_int_equal(c.sent, whole);
        assert_int_equal(c.queued, 2 - whole);
        assert_int_equal(c.bytes_sent + c.bytes_queued, 9);
        wst__ws_free(fx.ws, note_unsent, &told);
        fx.ws = NULL;
        assert_string_equal(told.text, whole ? "unsent(ref 6) " : "unsent(w 3) unsent(ref 6) ");
        fixture_fini(&fx);
        free(told.text);
    }
}

/* Its end lies in the queue: it is told like any other, once. */
static void the_last_chunk_is_queued(void **state)
{
    struct trace told = {0};
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    trace_clear(&told);
    assert_int_equal(chunk(&fx, "be", FIRST), 0);
    assert_int_equal(chunk(&fx, "gun", LAST), 0);
    fixture_flush(&fx, 10);
    wst__ws_free(fx.ws, note_unsent, &told);
    fx.ws = NULL;
    assert_string_equal(told.text, "unsent(ref 5) ");
    fixture_fini(&fx);
    free(told.text);
}

/* ---- From inside callbacks ----------------------------------------------------------------- */

static void send_more(struct fixture *fx)
{
    if (wst__ws_buffered(fx->ws) < 100000) {
        send_text(fx, "echo", "e");
        ping(fx, "p");
        fx->in_callback = NULL;
    }
}

static void sending_from_callbacks(void **state)
{
    struct fixture fx;

    (void)state;
    for (size_t step = 1; step < 40; step++) {
        fixture_init(&fx, 0, 0);
        fx.in_callback = send_more;
        send_text(&fx, "one", "1");
        for (int i = 0; i < 60; i++)
            fixture_flush(&fx, step);
        assert_int_equal(wst__ws_buffered(fx.ws), 0);
        fixture_expect(&fx, "sent(1 3) sent(e 4)", "text(one) ping(p) text(echo)");
        fixture_fini(&fx);
    }
}

static void close_now(struct fixture *fx)
{
    assert_int_equal(wst__ws_close(fx->ws, 1001, NULL, 0), 0);
    fx->in_callback = NULL;
}

static void closing_from_callbacks(void **state)
{
    static const uint8_t two[] = {0x81, 1, 'a', 0x81, 1, 'b', 0x88, 2, 3, 0xe8};
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    fx.in_callback = close_now;
    assert_int_equal(fixture_feed(&fx, two, sizeof two), 0);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "text(a) text(b) closed(1000)", "close(03e9)");
    fixture_fini(&fx);
    fixture_init(&fx, 0, 0);
    fx.in_callback = close_now;
    send_text(&fx, "x", "x");
    fixture_flush(&fx, SIZE_MAX);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "sent(x 1)", "text(x) close(03e9)");
    fixture_fini(&fx);
}

/* ---- At random ----------------------------------------------------------------------------- */

/* What is sealed stays as it was offered, whatever is queued meanwhile; nothing goes into it. */
static void sealed_bytes_stay(void **state)
{
    (void)state;
    for (size_t seal = 1; seal <= 45; seal++) {
        for (size_t take = 0; take <= seal; take++) {
            struct fixture fx;

            fixture_init(&fx, 0, 0);
            send_text(&fx, "aaaa", NULL);
            send_text(&fx, "bbbb", NULL);
            feed_ping(&fx, "1");
            fixture_flush_sealed(&fx, seal, take);
            ping(&fx, "p");
            feed_ping(&fx, "2");
            send_text(&fx, "cccc", NULL);
            feed_ping(&fx, "3");
            for (int i = 0; i < 3; i++)
                fixture_flush_sealed(&fx, 2, 1);
            for (int i = 0; i < 100 && wst__ws_buffered(fx.ws); i++)
                fixture_flush_sealed(&fx, 11, 7);
            assert_int_equal(wst__ws_buffered(fx.ws), 0);
            assert_non_null(strstr(fx.output.text, "ping(p)"));
            assert_non_null(strstr(fx.output.text, "pong(3)"));
            fixture_fini(&fx);
        }
    }
}

/* A close frame that is sealed has begun to leave, although nothing of it is seen to. */
static void nothing_follows_a_sealed_close(void **state)
{
    struct fixture fx;

    (void)state;
    fixture_init(&fx, 0, 0);
    send_text(&fx, "aaaa", NULL);
    assert_int_equal(wst__ws_close(fx.ws, 1000, NULL, 0), 0);
    fixture_flush_sealed(&fx, 11, 0); /* The message, and one byte. */
    feed_ping(&fx, "late");
    for (int i = 0; i < 10; i++)
        fixture_flush_sealed(&fx, 5, 5);
    fixture_expect(&fx, NULL, "text(aaaa) close(03e8)");
    fixture_fini(&fx);
    fixture_init(&fx, 0, 0);
    send_text(&fx, "aaaa", NULL);
    assert_int_equal(wst__ws_close(fx.ws, 1000, NULL, 0), 0);
    fixture_flush_sealed(&fx, 10, 0); /* The message alone. */
    feed_ping(&fx, "in time");
    for (int i = 0; i < 10; i++)
        fixture_flush_sealed(&fx, 5, 5);
    fixture_expect(&fx, NULL, "text(aaaa) pong(in time) close(03e8)");
    fixture_fini(&fx);
}

/* A kernel that takes some bytes, or TLS, which seals some before. */
static void flush_somehow(struct fixture *fx, uint64_t *seed, bool sealed, size_t max)
{
    if (sealed)
        fixture_flush_sealed(fx, draw(seed) % 3 ? draw(seed) % 400 : 16384, max);
    else
        fixture_flush(fx, max);
}

/*
 * Thousands of random calls: messages leave in order and are told in order, pings leave in order,
 * nothing is lost; the queue grows, moves and shrinks on the way.
 */
static void random_calls(void **state)
{
    enum { ROUNDS = 300, CALLS = 400 };

    (void)state;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        uint64_t seed = round * 7919;
        struct trace messages = {0};
        struct trace told = {0};
        struct fixture fx;
        unsigned pings = 0;
        unsigned number = 0;
        char *text = malloc(9000);

        fixture_init(&fx, 0, 0);
        trace_clear(&messages);
        trace_clear(&told);
        for (int call = 0; call < CALLS; call++) {
            size_t n = draw(&seed) % 100;

            n = n < 90 ? n : draw(&seed) % 9000;
            switch (draw(&seed) % 4) {
            case 0:
            case 1:
                memset(text, 'a' + (int)(number++ % 26), n);
                assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, text, n, (void *)(uintptr_t) "m"),
                                 0);
                trace_payload(&messages, "text", (uint8_t *)text, n);
                trace_add(&told, "%ssent(m %zu)", told.len ? " " : "", n);
                break;
            case 2:
                if (draw(&seed) % 4 == 0 && wst__ws_ping(fx.ws, "p", 1) == 0)
                    pings++;
                break;
            default:
                fx.max_pieces = draw(&seed) % 4;
                flush_somehow(&fx, &seed, round % 2, draw(&seed) % 3 ? draw(&seed) % 300 : 20000);
            }
        }
        while (wst__ws_buffered(fx.ws))
            flush_somehow(&fx, &seed, round % 2, 1 + draw(&seed) % 5000);
        assert_string_equal(fx.events.text, told.text);
        for (char *at; (at = strstr(fx.output.text, "ping(p)")); pings--) {
            size_t skip = at[7] ? 8 : 7;

            memmove(at, at + skip, strlen(at + skip) + 1);
        }
        assert_int_equal(pings, 0);
        if (fx.output.text[0] && fx.output.text[strlen(fx.output.text) - 1] == ' ')
            fx.output.text[strlen(fx.output.text) - 1] = '\0';
        assert_string_equal(fx.output.text, messages.text);
        fixture_fini(&fx);
        free(messages.text);
        free(told.text);
        free(text);
    }
}

/* ---- The short ways ------------------------------------------------------------------------ */

/*
 * A queue below its mark, of which nobody wants to know what was sent, goes shorter ways.  Two of
 * the same calls and the same random bytes, of which one may not go them, must do the same.
 */
enum { LOW_WATER = 700 };

struct way {
    struct wst__ws *ws;
    uint64_t random;
    unsigned drained;
    bool above;   /* The mark, since it last fell to it, */
    size_t fixed; /* Sealed, and not yet taken. */
};

static int way_random(void *arg, void *p, size_t n)
{
    struct way *w = arg;

    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)draw(&w->random);
    return 0;
}

static void way_sent(void *arg, void *ref, size_t n)
{
    (void)arg;
    (void)ref;
    (void)n;
}

static void way_drained(void *arg)
{
    struct way *w = arg;

    w->drained++;
}

static void way_init(struct way *w, const struct wst__ws_cbs *cbs, size_t low_water)
{
    struct wst__ws_config config = {.max_message_bytes = 1000,
                                    .max_queue_bytes = 6000,
                                    .queue_low_water = low_water,
                                    .random = way_random,
                                    .random_arg = w};

    *w = (struct way){.random = 1};
    assert_int_equal(wst__ws_new(&w->ws, &config, cbs, w, NULL), 0);
}

/* The next call, by its number; what it says. */
static int way_call(struct way *w, uint64_t what, size_t n)
{
    static const uint8_t pinged[2 + 125] = {0x89, 125};
    static uint8_t payload[2000];
    size_t used;
    int rc;

    if (what == 0)
        return wst__ws_feed(w->ws, pinged, sizeof pinged, &used, NULL);
    rc = what == 1 ? wst__ws_ping(w->ws, "ping", 4)
                   : wst__ws_send(w->ws, what % 2 ? WST_TEXT : WST_BINARY, payload, n, NULL);
    w->above = w->above || wst__ws_buffered(w->ws) > LOW_WATER;
    return rc;
}

/* What is offered, as one piece; its size. */
static size_t way_output(struct way *w, uint8_t *to)
{
    struct iovec iov[3];
    size_t count = wst__ws_output(w->ws, iov, 3);
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        memcpy(to + n, iov[i].iov_base, iov[i].iov_len);
        n += iov[i].iov_len;
    }
    return n;
}

static void same(struct way *a, struct way *b)
{
    struct wst__ws_counts in_a;
    struct wst__ws_counts in_b;

    assert_int_equal(wst__ws_buffered(a->ws), wst__ws_buffered(b->ws));
    assert_int_equal(wst__ws_ping_left(a->ws), wst__ws_ping_left(b->ws));
    wst__ws_counts(a->ws, &in_a);
    wst__ws_counts(b->ws, &in_b);
    assert_memory_equal(&in_a, &in_b, sizeof in_a);
}

/* Offers, lets something be queued, and takes some: all, a part, or a part with more sealed. */
static void take_some(struct way *a, struct way *b, uint64_t *seed)
{
    static uint8_t in_a[20000];
    static uint8_t in_b[20000];
    size_t n = way_output(a, in_a);
    size_t took = draw(seed) % 3 ? n : draw(seed) % (n + 1);

    assert_int_equal(way_output(b, in_b), n);
    assert_memory_equal(in_a, in_b, n);
    if (draw(seed) % 4 == 0)
        assert_int_equal(way_call(a, 2, 50), way_call(b, 2, 50));
    a->fixed = a->fixed || draw(seed) % 4 == 0 ? n - took : 0;
    if (a->fixed || draw(seed) % 2) {
        (void)wst__ws_sent_and_sealed(a->ws, took, a->fixed);
    } else {
        size_t left = wst__ws_sent(a->ws, took);

        assert_int_equal(left, wst__ws_buffered(a->ws));
    }
    (void)wst__ws_sent_and_sealed(b->ws, took, a->fixed);
}

static void the_short_ways_are_the_long_ones(void **state)
{
    static const struct wst__ws_cbs short_cbs = {.drained = way_drained};
    static const struct wst__ws_cbs long_cbs = {.drained = way_drained, .sent = way_sent};
    uint64_t seed = 88172645463325252u;

    (void)state;
    for (int round = 0; round < 300; round++) {
        unsigned falls = 0;
        struct way a;
        struct way b;

        way_init(&a, &short_cbs, LOW_WATER);
        way_init(&b, &long_cbs, 0);
        for (int i = 0; i < 200; i++) {
            uint64_t what = draw(&seed) % 8;
            size_t n = draw(&seed) % 8 ? draw(&seed) % 128 : draw(&seed) % 2000;

            if (what < 6)
                assert_int_equal(way_call(&a, what, n), way_call(&b, what, n));
            else
                take_some(&a, &b, &seed);
            if (what >= 6 && a.above && wst__ws_buffered(a.ws) <= LOW_WATER) {
                a.above = false;
                falls++;
            }
            same(&a, &b);
        }
        assert_int_equal(a.drained, falls);
        wst__ws_free(a.ws, NULL, NULL);
        wst__ws_free(b.ws, NULL, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc),
        cmocka_unit_test(headers_of_all_lengths),
        cmocka_unit_test(every_frame_has_its_own_key),
        cmocka_unit_test(without_a_key_nothing_is_queued),
        cmocka_unit_test(without_a_key_nothing_is_answered),
        cmocka_unit_test(a_ping_goes_ahead_of_data_that_has_not_begun),
        cmocka_unit_test(the_last_ping_counts),
        cmocka_unit_test(pings_that_cannot_leave_are_bounded),
        cmocka_unit_test(close_goes_behind_everything),
        cmocka_unit_test(nothing_follows_a_close),
        cmocka_unit_test(every_ping_is_answered_while_output_flows),
        cmocka_unit_test(a_buffer_full_of_pings_is_answered),
        cmocka_unit_test(only_the_newest_pong_is_kept_when_blocked),
        cmocka_unit_test(a_driver_that_only_asks),
        cmocka_unit_test(own_pings_survive_a_blocked_output),
        cmocka_unit_test(queued_between_output_and_sent),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(empty_messages_fill_the_queue),
        cmocka_unit_test(what_can_never_fit_is_too_large),
        cmocka_unit_test(bad_arguments_change_nothing),
        cmocka_unit_test(drained_is_told_once_per_fall),
        cmocka_unit_test(a_refusal_is_followed_by_drained),
        cmocka_unit_test(what_has_not_left_is_told),
        cmocka_unit_test(a_message_in_chunks),
        cmocka_unit_test(chunks_have_their_place),
        cmocka_unit_test(bad_chunks_change_nothing),
        cmocka_unit_test(ending_inside_a_message),
        cmocka_unit_test(the_last_chunk_is_queued),
        cmocka_unit_test(sending_from_callbacks),
        cmocka_unit_test(closing_from_callbacks),
        cmocka_unit_test(sealed_bytes_stay),
        cmocka_unit_test(nothing_follows_a_sealed_close),
        cmocka_unit_test(random_calls),
        cmocka_unit_test(the_short_ways_are_the_long_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
