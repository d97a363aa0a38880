/*
 * permessage-deflate (RFC 7692): the agreement, the examples of the RFC, both directions with
 * every parameter against zlib on the other end, limits, turns, faults, and failing allocations.
 */
#include "ws_fixture.h"

#include "wire/deflate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

/* ---- The agreement ------------------------------------------------------------------------- */

#define PMD "permessage-deflate"

struct agreement {
    const char *offered, *agreed;
    int fine;
    unsigned server_bits, client_bits;
    int server_forgets, client_forgets;
};

static const struct agreement agreements[] = {
    {WST__DEFLATE_OFFER, PMD, 1, 15, 15, 0, 0},
    {WST__DEFLATE_OFFER, "Permessage-Deflate", 1, 15, 15, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; client_max_window_bits=10", 1, 15, 10, 0, 0},
    {WST__DEFLATE_OFFER, PMD ";client_max_window_bits=8", 1, 15, 8, 0, 0},
    {WST__DEFLATE_OFFER, PMD " ; client_max_window_bits = \"12\" ", 1, 15, 12, 0, 0},
    {WST__DEFLATE_OFFER, PMD "\t;\tclient_max_window_bits=10", 1, 15, 10, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; server_max_window_bits=9", 1, 9, 15, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; server_no_context_takeover", 1, 15, 15, 1, 0},
    {WST__DEFLATE_OFFER, PMD "; client_no_context_takeover", 1, 15, 15, 0, 1},
    {WST__DEFLATE_OFFER,
     PMD "; client_no_context_takeover; server_no_context_takeover; server_max_window_bits=8; "
         "client_max_window_bits=9",
     1, 8, 9, 1, 1},
    {PMD, PMD, 1, 15, 15, 0, 0},
    {PMD "; client_max_window_bits=11", PMD, 1, 15, 11, 0, 0},
    {PMD "; client_max_window_bits=11", PMD "; client_max_window_bits=9", 1, 15, 9, 0, 0},
    {PMD "; server_max_window_bits=10", PMD "; server_max_window_bits=10", 1, 10, 15, 0, 0},
    {PMD "; server_max_window_bits=10", PMD "; server_max_window_bits=8", 1, 8, 15, 0, 0},
    {PMD "; server_no_context_takeover", PMD "; server_no_context_takeover", 1, 15, 15, 1, 0},
    {PMD "; client_no_context_takeover", PMD, 1, 15, 15, 0, 1},
    {PMD "; server_max_window_bits=10, " PMD, PMD, 1, 15, 15, 0, 0},
    {"x-other, " PMD, PMD, 1, 15, 15, 0, 0},
    /* What was not offered. */
    {"", PMD, 0, 0, 0, 0, 0},
    {NULL, PMD, 0, 0, 0, 0, 0},
    {"x-other", PMD, 0, 0, 0, 0, 0},
    {PMD, PMD "; client_max_window_bits=10", 0, 0, 0, 0, 0},
    {PMD "; client_max_window_bits=11", PMD "; client_max_window_bits=12", 0, 0, 0, 0, 0},
    {PMD "; server_max_window_bits=10", PMD, 0, 0, 0, 0, 0},
    {PMD "; server_max_window_bits=10", PMD "; server_max_window_bits=11", 0, 0, 0, 0, 0},
    {PMD "; server_no_context_takeover", PMD, 0, 0, 0, 0, 0},
    /* What cannot be. */
    {WST__DEFLATE_OFFER, "x-other", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, ",", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD ", " PMD, 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; client_max_window_bits=\"10", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; client_max_window_bits=1/", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD ";", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; unknown", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; client_max_window_bits", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; client_max_window_bits=", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; client_max_window_bits=7", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; client_max_window_bits=16", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; client_max_window_bits=010", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; client_max_window_bits=+9", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; server_max_window_bits", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; server_max_window_bits=1x", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; server_max_window_bits=9; server_max_window_bits=9", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; client_max_window_bits=9; client_max_window_bits=9", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; server_no_context_takeover=1", 0, 0, 0, 0, 0},
    {WST__DEFLATE_OFFER, PMD "; server_no_context_takeover; server_no_context_takeover", 0, 0, 0, 0,
     0},
    {WST__DEFLATE_OFFER, PMD "; client_no_context_takeover; client_no_context_takeover", 0, 0, 0, 0,
     0},
};

static void the_agreement(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof agreements / sizeof agreements[0]; i++) {
        const struct agreement *a = &agreements[i];
        struct wst__deflate_params p;
        struct wst_cause why = {0};
        int rc = wst__deflate_agree(&p, a->offered, a->agreed, &why);

        if ((rc == 0) != (a->fine != 0))
            fail_msg("offered \"%s\", agreed \"%s\": %d", a->offered ? a->offered : "", a->agreed,
                     rc);
        if (rc != 0) {
            assert_int_equal(rc, WST_ERR_BAD_UPGRADE);
            assert_int_equal(why.code, WST_ERR_BAD_UPGRADE);
            assert_true(why.text[0] != '\0');
            continue;
        }
        if (p.server_bits != a->server_bits || p.client_bits != a->client_bits ||
            p.server_forgets != a->server_forgets || p.client_forgets != a->client_forgets)
            fail_msg("agreed \"%s\": %u %u %d %d", a->agreed, p.server_bits, p.client_bits,
                     p.server_forgets, p.client_forgets);
    }
}

/* ---- What a server sends ------------------------------------------------------------------- */

static void begin(struct fixture *fx, const char *agreed, size_t max_message, bool chunks)
{
    struct wst__ws_config config = {.max_message_bytes = max_message,
                                    .queue_low_water = SIZE_MAX,
                                    .extensions = agreed,
                                    .offered_extensions = WST__DEFLATE_OFFER};

    if (chunks)
        fixture_init_chunks(fx, &config);
    else
        fixture_init_with(fx, &config);
}

struct example {
    const char *name, *input, *events, *output;
    size_t max_message;
};

#define PROTOCOL_ERROR "error(WS_PROTOCOL 1002)"
#define BAD_DATA       "error(WS_PROTOCOL 1007)"

static const struct example examples[] = {
    /* RFC 7692, 7.2.3. */
    {"one block", "c107 f248cdc9c90700", "text(Hello)", "", 0},
    {"two fragments", "4103 f248cd 8004 c9c90700", "text(Hello)", "", 0},
    {"the window of the message before", "c107 f248cdc9c90700 c105 f200110000",
     "text(Hello) text(Hello)", "", 0},
    {"a block without compression", "c10b 000500faff48656c6c6f00", "text(Hello)", "", 0},
    {"a final block", "c108 f348cdc9c9070000", "text(Hello)", "", 0},
    {"a final block, and another message", "c108 f348cdc9c9070000 c107 f248cdc9c90700",
     "text(Hello) text(Hello)", "", 0},
    {"the window before a final block", "c108 f348cdc9c9070000 c105 f200110000",
     "text(Hello) text(Hello)", "", 0},
    {"a final block and nothing behind it", "c107 f348cdc9c90700 c107 f248cdc9c90700",
     "text(Hello) text(Hello)", "", 0},
    {"two blocks", "c10d f24805000000ffffcac9c90700", "text(Hello)", "", 0},
    /* Around it. */
    {"empty", "c101 00", "text()", "", 0},
    {"plain beside compressed", "8105 'Hello' c107 f248cdc9c90700 8103 'abc'",
     "text(Hello) text(Hello) text(abc)", "", 0},
    {"binary", "c207 f248cdc9c90700", "binary(Hello)", "", 0},
    {"empty fragments", "4100 0003 f248cd 0000 0004 c9c90700 8000", "text(Hello)", "", 0},
    {"a ping between", "4103 f248cd 8901 70 8004 c9c90700", "text(Hello)", "pong(p)", 0},
    {"plain fragments", "0103 'Hel' 8002 'lo'", "text(Hello)", "", 0},
    {"close", "c107 f248cdc9c90700 8802 03e8", "text(Hello) closed(1000)", "close(03e8)", 0},
    /* RSV1 only on the first frame of a data message (RFC 7692, 6). */
    {"RSV1 on a continuation", "4103 f248cd c004 c9c90700", PROTOCOL_ERROR, "close(03ea)", 0},
    {"RSV1 on a ping", "c900", PROTOCOL_ERROR, "close(03ea)", 0},
    {"RSV1 on a pong", "ca00", PROTOCOL_ERROR, "close(03ea)", 0},
    {"RSV1 on a close", "c802 03e8", PROTOCOL_ERROR, "close(03ea)", 0},
    {"RSV1 and RSV2", "e107 f248cdc9c90700", PROTOCOL_ERROR, "close(03ea)", 0},
    {"RSV2", "a105 'Hello'", PROTOCOL_ERROR, "close(03ea)", 0},
    {"RSV3", "9105 'Hello'", PROTOCOL_ERROR, "close(03ea)", 0},
    {"RSV1 on a reserved opcode", "c300", PROTOCOL_ERROR, "close(03ea)", 0},
    /* Not compressed data. */
    {"a block of the reserved kind", "c101 07", BAD_DATA, "close(03ef)", 0},
    {"a stored block whose lengths differ", "c105 0005000000", BAD_DATA, "close(03ef)", 0},
    {"too far back", "c105 f200110000", BAD_DATA, "close(03ef)", 0},
    {"ends inside a block", "c105 f248cdc9c9", BAD_DATA, "close(03ef)", 0},
    {"nothing at all", "c100", BAD_DATA, "close(03ef)", 0},
    /* Text is checked as it is inflated; sizes count inflated. */
    {"as large as allowed", "c107 f248cdc9c90700", "text(Hello)", "", 5},
    {"one byte too large", "c107 f248cdc9c90700", "error(WS_TOO_LARGE 1009)", "close(03f1)", 4},
    {"too large with the second fragment", "4103 f248cd 8004 c9c90700", "error(WS_TOO_LARGE 1009)",
     "close(03f1)", 4},
    {"a plain one too large", "8105 'Hello'", "error(WS_TOO_LARGE 1009)", "close(03f1)", 4},
    {"compressed is larger than inflated", "c10b 000500faff48656c6c6f00", "text(Hello)", "", 5},
    {"text that is not UTF-8", "c108 000200fdff c3ff 00", "error(WS_BAD_UTF8 1007)", "close(03ef)",
     0},
    {"text that ends inside a character", "c107 000100feff c3 00", "error(WS_BAD_UTF8 1007)",
     "close(03ef)", 0},
    /* At the first byte that cannot be right: what is missing of the message never comes. */
    {"not UTF-8, and the rest never comes", "c17e 0400 000200fdff c3ff", "error(WS_BAD_UTF8 1007)",
     "close(03ef)", 0},
    {"not UTF-8 in a fragment, and the last one never comes", "4107 000200fdff c3ff",
     "error(WS_BAD_UTF8 1007)", "close(03ef)", 0},
    {"not UTF-8 across fragments, and the rest never comes",
     "4106 000100feff c3 8901 70 007e 0400 000100feff 41", "error(WS_BAD_UTF8 1007)",
     "pong(p) close(03ef)", 0},
    {"not compressed data, and the rest never comes", "c17e 0400 f248cdc9c907 ff", BAD_DATA,
     "close(03ef)", 0},
    /* What is announced of a compressed message has a ceiling, too: twice the other and 128 KiB. */
    {"2^62 bytes announced", "c27f 4000000000000000", "error(WS_TOO_LARGE 1009)", "close(03f1)", 0},
    {"more than any compressor makes of it", "c27f 000000000002000c", "error(WS_TOO_LARGE 1009)",
     "close(03f1)", 5},
    {"as much as a poor compressor makes of it", "c27f 000000000002000b", "", "", 5},
    {"the same in two fragments", "4103 f248cd 007f 0000000000020009", "error(WS_TOO_LARGE 1009)",
     "close(03f1)", 5},
    {"too large, and the rest never comes", "c17e 0400 f248cdc9c907", "error(WS_TOO_LARGE 1009)",
     "close(03f1)", 4},
    {"compressed text inside a message", "0101 61 c107 f248cdc9c90700", PROTOCOL_ERROR,
     "close(03ea)", 0},
    {"a compressed message without end", "4103 f248cd c107 f248cdc9c90700", PROTOCOL_ERROR,
     "close(03ea)", 0},
    {"a character over two blocks", "c10d 000100feff c3 000100feff a4 00", "text(c3a4)", "", 0},
};

static void run_example(const struct example *e, size_t piece, bool chunks)
{
    struct fixture fx;
    size_t n;
    uint8_t *input = bytes_from(e->input, &n);

    begin(&fx, PMD, e->max_message, chunks);
    for (size_t at = 0, k; at < n; at += k) {
        k = piece < n - at ? piece : n - at;
        if (fixture_feed(&fx, input + at, k) != 0)
            break;
    }
    fixture_flush(&fx, SIZE_MAX);
    if (strcmp(fx.events.text, e->events) != 0 || strcmp(fx.output.text, e->output) != 0)
        fail_msg("%s, pieces of %zu:\n  %s\n  expected %s\n  %s\n  expected %s", e->name, piece,
                 fx.events.text, e->events, fx.output.text, e->output);
    fixture_fini(&fx);
    free(input);
}

static void the_examples_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        for (size_t piece = 1; piece < 30; piece++) {
            run_example(&examples[i], piece == 29 ? SIZE_MAX : piece, false);
            run_example(&examples[i], piece == 29 ? SIZE_MAX : piece, true);
        }
    }
}

/* ---- A server on zlib ---------------------------------------------------------------------- */

struct server {
    z_stream out, in;
    bool forgets, client_forgets;
    uint8_t *frame; /* The one it made last. */
    size_t frame_len;
    struct trace *heard; /* What it inflated. */
    unsigned packed, plain;
    bool inflates; /* The message that has begun is compressed. */
};

static void server_init(struct server *s, const struct agreement *a, struct trace *heard)
{
    memset(s, 0, sizeof *s);
    /* zlib makes windows of 9 bits at least; the 8 it is asked for bind it to 256 bytes of them. */
    assert_int_equal(deflateInit2(&s->out, 6, Z_DEFLATED,
                                  -(int)(a->server_bits < 9 ? 9 : a->server_bits), 8,
                                  a->server_bits < 9 ? Z_HUFFMAN_ONLY : Z_DEFAULT_STRATEGY),
                     Z_OK);
    assert_int_equal(inflateInit2(&s->in, -(int)a->client_bits), Z_OK);
    s->forgets = a->server_forgets;
    s->client_forgets = a->client_forgets;
    s->heard = heard;
}

static void server_fini(struct server *s)
{
    (void)deflateEnd(&s->out);
    (void)inflateEnd(&s->in);
    free(s->frame);
}

static void server_frame(struct server *s, uint8_t first, const uint8_t *p, size_t n)
{
    size_t head = n < 126 ? 2 : n < 65536 ? 4 : 10;

    s->frame = realloc(s->frame, s->frame_len + head + n);
    assert_non_null(s->frame);
    s->frame[s->frame_len] = first;
    s->frame[s->frame_len + 1] = (uint8_t)(head == 2 ? n : head == 4 ? 126 : 127);
    for (size_t i = 2; i < head; i++)
        s->frame[s->frame_len + i] = (uint8_t)((uint64_t)n >> (8 * (head - 1 - i)));
    memcpy(s->frame + s->frame_len + head, p, n);
    s->frame_len += head + n;
}

/* A message, compressed, in one or two frames. */
static void server_say(struct server *s, uint8_t type, const void *p, size_t n, uint64_t *seed)
{
    size_t room = n + n / 8 + 100;
    uint8_t *packed = malloc(room);
    size_t made;
    size_t cut;

    s->out.next_in = (Bytef *)(uintptr_t)p;
    s->out.avail_in = (uInt)n;
    s->out.next_out = packed;
    s->out.avail_out = (uInt)room;
    assert_int_equal(deflate(&s->out, Z_SYNC_FLUSH), Z_OK);
    made = room - s->out.avail_out - 4;
    if (s->forgets)
        (void)deflateReset(&s->out);
    s->frame_len = 0;
    cut = draw(seed) % 3 == 0 ? draw(seed) % made : made;
    server_frame(s, (uint8_t)(0x40 | type | (cut == made ? 0x80 : 0)), packed, cut);
    if (cut < made)
        server_frame(s, 0x80, packed + cut, made - cut);
    free(packed);
}

static struct server *listening;

static const char *frame_name(uint8_t first)
{
    static const char *const names[3][2] = {
        {"more...", "more"}, {"text...", "text"}, {"binary...", "binary"}};

    assert_in_range(first & 15, 0, 2);
    return names[first & 15][first >> 7];
}

/* A frame of the client's arrived: it is inflated at once, also where the message goes on. */
static void server_hear(struct fixture *fx, uint8_t first, const uint8_t *p, size_t n)
{
    struct server *s = listening;
    uint8_t *in;
    uint8_t *out;
    enum { ROOM = 1 << 20 };

    (void)fx;
    assert_int_equal(first & 0x30, 0);
    if (first & 15)
        s->inflates = first & 0x40;
    else
        assert_int_equal(first & 0x40, 0);
    if (!s->inflates) {
        s->plain++;
        trace_payload(s->heard, frame_name(first), p, n);
        return;
    }
    s->packed++;
    in = malloc(n + 4);
    out = malloc(ROOM);
    memcpy(in, p, n);
    memcpy(in + n, "\0\0\xff\xff", 4);
    s->in.next_in = in;
    s->in.avail_in = (uInt)(first & 0x80 ? n + 4 : n);
    s->in.next_out = out;
    s->in.avail_out = ROOM;
    if (s->in.avail_in)
        assert_int_equal(inflate(&s->in, Z_SYNC_FLUSH), Z_OK);
    assert_int_equal(s->in.avail_in, 0);
    trace_payload(s->heard, frame_name(first), out, ROOM - s->in.avail_out);
    if (s->client_forgets && first & 0x80)
        (void)inflateReset(&s->in);
    free(in);
    free(out);
}

/* Something that compresses: words. */
static size_t words(uint64_t *seed, char *to, size_t n)
{
    static const char *const some[] = {
        "ticket ",   "token ", "socket ",     "\xc3\xa4 ",    "reconnect ",
        "{\"id\": ", "}, ",    "0123456789 ", "\xe2\x82\xac "};
    size_t at = 0;

    while (at < n) {
        const char *w = some[draw(seed) % 9];
        size_t k = strlen(w);

        if (k > n - at)
            break;
        memcpy(to + at, w, k);
        at += k;
    }
    return at;
}

/* Every combination that can be agreed, both ways, at random sizes and splits. */
static void every_parameter_both_ways(void **state)
{
    enum { MESSAGES = 40 };
    char *text = malloc(100000);
    unsigned combinations = 0;

    (void)state;
    for (unsigned server_bits = 8; server_bits <= 15; server_bits++) {
        for (unsigned client_bits = 8; client_bits <= 15; client_bits++) {
            for (unsigned forget = 0; forget < 4; forget++) {
                struct agreement a = {
                    NULL, NULL, 1, server_bits, client_bits, (int)(forget & 1), (int)(forget >> 1)};
                uint64_t seed = server_bits * 1000 + client_bits * 10 + forget + 1;
                struct trace right = {0}, heard = {0};
                struct server server;
                struct fixture fx;
                char agreed[200];

                if (server_bits != 15 && client_bits != 15 && server_bits != client_bits)
                    continue;
                (void)snprintf(agreed, sizeof agreed,
                               PMD "; server_max_window_bits=%u; client_max_window_bits=%u%s%s",
                               server_bits, client_bits,
                               forget & 1 ? "; server_no_context_takeover" : "",
                               forget & 2 ? "; client_no_context_takeover" : "");
                trace_clear(&right);
                trace_clear(&heard);
                server_init(&server, &a, &heard);
                begin(&fx, agreed, 0, combinations % 2);
                fx.on_frame = server_hear;
                listening = &server;
                for (int i = 0; i < MESSAGES; i++) {
                    size_t n = words(&seed, text, 20 + draw(&seed) % (i % 10 ? 500 : 90000));
                    size_t piece = 1 + draw(&seed) % (i % 3 ? 3000 : 20);

                    trace_payload(&right, "text", (uint8_t *)text, n);
                    server_say(&server, 1, text, n, &seed);
                    for (size_t at = 0, k; at < server.frame_len; at += k) {
                        k = piece < server.frame_len - at ? piece : server.frame_len - at;
                        assert_int_equal(fixture_feed(&fx, server.frame + at, k), 0);
                    }
                    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, text, n, NULL), 0);
                    fixture_flush(&fx, draw(&seed) % 2 ? SIZE_MAX : draw(&seed) % 5000);
                }
                while (wst__ws_buffered(fx.ws))
                    fixture_flush(&fx, SIZE_MAX);
                assert_string_equal(fx.events.text, right.text);
                assert_string_equal(heard.text, right.text);
                if (client_bits == 8)
                    assert_int_equal(server.packed, 0);
                else
                    assert_true(server.packed > MESSAGES / 2);
                combinations++;
                fixture_fini(&fx);
                server_fini(&server);
                free(right.text);
                free(heard.text);
            }
        }
    }
    assert_true(combinations >= 80);
    free(text);
}

/* Compressed bytes are not the message's: no place is offered for them. */
static void no_place_for_compressed_bytes(void **state)
{
    enum { SIZE = 60000, HEAD = 4 };
    struct agreement a = {NULL, NULL, 1, 15, 15, 0, 0};
    uint8_t *noise = malloc(SIZE);
    struct trace right = {0};
    struct server server;
    struct fixture fx;
    uint64_t seed = 11;
    size_t room;

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        noise[i] = (uint8_t)draw(&seed);
    seed = 2; /* One frame. */
    server_init(&server, &a, NULL);
    server_say(&server, 2, noise, SIZE, &seed);
    trace_payload(&right, "binary", noise, SIZE);
    begin(&fx, PMD, 0, false);
    assert_int_equal(server.frame[0], 0xc2);
    assert_int_equal(fixture_feed(&fx, server.frame, HEAD), 0);
    assert_null(wst__ws_place(fx.ws, &room));
    assert_int_equal(fixture_feed(&fx, server.frame + HEAD, 1000), 0);
    assert_null(wst__ws_place(fx.ws, &room));
    assert_int_equal(fixture_feed(&fx, server.frame + HEAD + 1000, server.frame_len - HEAD - 1000),
                     0);
    fixture_expect(&fx, right.text, "");
    fixture_fini(&fx);
    server_fini(&server);
    free(right.text);
    free(noise);
}

/* ---- Sending ------------------------------------------------------------------------------- */

static void begin_sending(struct fixture *fx, struct server *s, struct trace *heard,
                          const char *agreed, size_t least, size_t max_queue)
{
    struct agreement a = {NULL, NULL, 1, 15, 15, 0, strstr(agreed, "client_no_") != NULL};
    struct wst__ws_config config = {.max_queue_bytes = max_queue,
                                    .queue_low_water = SIZE_MAX,
                                    .extensions = agreed,
                                    .offered_extensions = WST__DEFLATE_OFFER,
                                    .compress_min_bytes = least};

    trace_clear(heard);
    server_init(s, &a, heard);
    fixture_init_with(fx, &config);
    fx->on_frame = server_hear;
    listening = s;
}

static void below_the_threshold_nothing_is_compressed(void **state)
{
    struct trace heard = {0};
    struct server server;
    struct fixture fx;
    char text[200];

    (void)state;
    memset(text, 'a', sizeof text);
    begin_sending(&fx, &server, &heard, PMD, 100, 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, text, 99, NULL), 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, text, 100, NULL), 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_TEXT, text, 0, NULL), 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, text, 200, (void *)(uintptr_t) "ref"), 0);
    fixture_flush(&fx, SIZE_MAX);
    assert_int_equal(server.plain, 2);
    assert_int_equal(server.packed, 2);
    assert_string_equal(fx.events.text, "sent(ref 200)"); /* The application's bytes. */
    fixture_fini(&fx);
    server_fini(&server);
    free(heard.text);
}

/* Without context takeover what would grow is sent as it is. */
static void noise_is_not_compressed(void **state)
{
    struct trace heard = {0};
    struct server server;
    struct fixture fx;
    uint64_t seed = 5;
    uint8_t noise[1000];

    (void)state;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)draw(&seed);
    begin_sending(&fx, &server, &heard, PMD "; client_no_context_takeover", 0, 0);
    assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, noise, sizeof noise, NULL), 0);
    fixture_flush(&fx, SIZE_MAX);
    assert_int_equal(server.plain, 1);
    assert_int_equal(server.packed, 0);
    fixture_fini(&fx);
    server_fini(&server);
    free(heard.text);
}

/* What fits the queue as it is fits it with compression, too: noise does not grow for it. */
static void noise_fits_as_it_is(void **state)
{
    enum { SIZE = 200000, OVER = 24 + 14, SMALL = 1000 };
    struct trace heard = {0};
    struct trace right = {0};
    struct server server;
    struct fixture fx;
    uint64_t seed = 5;
    uint8_t *noise = malloc(SIZE);

    (void)state;
    assert_non_null(noise);
    for (size_t i = 0; i < SIZE; i++)
        noise[i] = (uint8_t)draw(&seed);
    trace_clear(&right);
    begin_sending(&fx, &server, &heard, PMD, 0, SIZE + OVER);
    for (int i = 0; i < 3; i++) { /* The window that is forgotten is not referred to. */
        assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, noise + SIZE - SMALL, SMALL, NULL), 0);
        fixture_flush(&fx, SIZE_MAX);
        assert_int_equal(wst__ws_send(fx.ws, WST_BINARY, noise, SIZE, NULL), 0);
        fixture_flush(&fx, SIZE_MAX);
        trace_payload(&right, "binary", noise + SIZE - SMALL, SMALL);
        trace_payload(&right, "binary", noise, SIZE);
    }
    assert_string_equal(heard.text, right.text);
    fixture_fini(&fx);
    server_fini(&server);
    free(right.text);
    free(heard.text);
    free(noise);
}

/* A message that the queue refused was never sent: the next one must not refer to it. */
static void a_refused_message_leaves_no_trace(void **state)
{
    struct trace heard = {0};
    struct server server;
    struct fixture fx;
    uint64_t seed = 7;
    char text[3000];
    struct trace right = {0};
    int refused = 0;

    (void)state;
    trace_clear(&right);
    begin_sending(&fx, &server, &heard, PMD, 0, 1500);
    for (int i = 0; i < 200; i++) {
        size_t n = words(&seed, text, draw(&seed) % sizeof text);
        int rc = wst__ws_send(fx.ws, WST_TEXT, text, n, NULL);

        if (rc == 0) {
            trace_payload(&right, "text", (uint8_t *)text, n);
        } else {
            assert_true(rc == WST_ERR_QUEUE_FULL);
            refused++;
        }
        if (i % 20 == 0)
            fixture_flush(&fx, SIZE_MAX);
    }
    fixture_flush(&fx, SIZE_MAX);
    assert_true(refused > 20);
    assert_string_equal(heard.text, right.text);
    fixture_fini(&fx);
    server_fini(&server);
    free(right.text);
    free(heard.text);
}

static void chunk_of(struct fixture *fx, const char *text, size_t n, unsigned flags)
{
    assert_int_equal(wst__ws_send_chunk(fx->ws, WST_TEXT, text, n, flags, (void *)(uintptr_t) "m"),
                     0);
}

/* Whether a message in chunks is compressed is up to the first one; alone it is a message. */
static void the_first_chunk_decides(void **state)
{
    enum { FIRST = WST_CHUNK_FIRST, MORE = 0, LAST = WST_CHUNK_LAST };
    struct trace heard = {0};
    struct server server;
    struct fixture fx;
    char text[200];

    (void)state;
    memset(text, 'a', sizeof text);
    begin_sending(&fx, &server, &heard, PMD, 100, 0);
    chunk_of(&fx, text, 99, FIRST);
    chunk_of(&fx, text, 200, MORE);
    chunk_of(&fx, text, 200, LAST);
    chunk_of(&fx, text, 99, FIRST | LAST);
    fixture_flush(&fx, SIZE_MAX);
    assert_int_equal(server.plain, 4);
    assert_int_equal(server.packed, 0);
    chunk_of(&fx, text, 100, FIRST);
    chunk_of(&fx, text, 1, MORE);
    chunk_of(&fx, text, 0, MORE);
    chunk_of(&fx, text, 0, LAST);
    chunk_of(&fx, text, 100, FIRST | LAST);
    fixture_flush(&fx, SIZE_MAX);
    assert_int_equal(server.plain, 4);
    assert_int_equal(server.packed, 5);
    assert_string_equal(fx.events.text, "sent(m 499) sent(m 99) sent(m 101) sent(m 100)");
    fixture_fini(&fx);
    server_fini(&server);
    free(heard.text);
}

/*
 * Texts and noise, cut anywhere, into a queue that is often full: what is refused and tried again
 * has left no trace in the window, and each chunk can be read when it is there.
 */
static void chunks_are_compressed(void **state)
{
    static const char *const agreed[] = {PMD, PMD "; client_no_context_takeover"};
    enum { MOST = 9000 };
    char *data = malloc(MOST);
    unsigned refused = 0;
    unsigned packed = 0;
    unsigned plain = 0;

    (void)state;
    assert_non_null(data);
    for (unsigned run = 0; run < 40; run++) {
        struct trace heard = {0};
        struct trace right = {0};
        struct server server;
        struct fixture fx;
        uint64_t seed = run;

        trace_clear(&right);
        begin_sending(&fx, &server, &heard, agreed[run % 2], 0, 10000);
        for (int i = 0; i < 30; i++) {
            bool text = draw(&seed) % 2;
            size_t n = text ? words(&seed, data, draw(&seed) % MOST) : draw(&seed) % MOST;
            size_t at = 0;
            size_t k;

            for (size_t j = 0; !text && j < n; j++)
                data[j] = (char)draw(&seed);
            for (unsigned flags = WST_CHUNK_FIRST; !(flags & WST_CHUNK_LAST); at += k) {
                uint8_t first = flags ? (text ? 1 : 2) : 0;
                int rc;

                flags &= WST_CHUNK_FIRST;
                k = draw(&seed) % 4 ? draw(&seed) % (n - at + 1) : 0;
                if (draw(&seed) % 4 == 0) {
                    k = n - at;
                    flags |= WST_CHUNK_LAST;
                    first |= 0x80;
                }
                while ((rc = wst__ws_send_chunk(fx.ws, text ? WST_TEXT : WST_BINARY, data + at, k,
                                                flags, NULL)) == WST_ERR_QUEUE_FULL) {
                    refused++;
                    fixture_flush(&fx, 1 + draw(&seed) % 3000);
                }
                assert_int_equal(rc, 0);
                trace_payload(&right, frame_name(first), (uint8_t *)data + at, k);
                flags &= ~(unsigned)WST_CHUNK_FIRST;
            }
        }
        while (wst__ws_buffered(fx.ws))
            fixture_flush(&fx, SIZE_MAX);
        assert_string_equal(heard.text, right.text);
        packed += server.packed;
        plain += server.plain;
        fixture_fini(&fx);
        server_fini(&server);
        free(right.text);
        free(heard.text);
    }
    print_message("%u packed, %u plain, %u refused\n", packed, plain, refused);
    assert_true(packed > 1000 && plain > 100 && refused > 100);
    free(data);
}

/* ---- Bombs --------------------------------------------------------------------------------- */

/* |n| zeros, compressed, in frames: about a thousandth. */
static uint8_t *bomb(size_t n, size_t *size)
{
    struct agreement a = {NULL, NULL, 1, 15, 15, 0, 0};
    struct server s;
    uint8_t *zeros = calloc(1, n);
    uint8_t *frame;
    uint64_t seed = 2; /* One frame. */

    server_init(&s, &a, NULL);
    do
        server_say(&s, 2, zeros, n, &seed);
    while (!(s.frame[0] & 0x80));
    frame = s.frame;
    *size = s.frame_len;
    s.frame = NULL;
    server_fini(&s);
    free(zeros);
    return frame;
}

/* Who reads the log is told which of the two ceilings it was. */
static void both_ceilings_have_words(void **state)
{
    static const struct {
        const char *input, *words;
    } table[] = {{"827f 4000000000000000", "larger than max_message_bytes"},
                 {"c27f 4000000000000000", "more than twice max_message_bytes"}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t n;
        uint8_t *input = bytes_from(table[i].input, &n);
        struct fixture fx;

        begin(&fx, PMD, 1 << 20, false);
        assert_int_equal(fixture_feed(&fx, input, n), WST_ERR_WS_TOO_LARGE);
        free(input);
        assert_non_null(strstr(fx.why.text, table[i].words));
        fixture_fini(&fx);
    }
}

static void a_bomb_ends_at_the_ceiling(void **state)
{
    struct fixture fx;
    size_t size;
    uint8_t *frame = bomb(64 << 20, &size);

    (void)state;
    assert_true(size < 100000);
    begin(&fx, PMD, 1 << 20, false);
    assert_int_equal(fixture_feed(&fx, frame, size), WST_ERR_WS_TOO_LARGE);
    fixture_flush(&fx, SIZE_MAX);
    fixture_expect(&fx, "error(WS_TOO_LARGE 1009)", "close(03f1)");
    fixture_fini(&fx);
    free(frame);
}

/* Promise 7: one connection does not keep the loop, however much a few bytes inflate to. */
static void inflating_yields(void **state)
{
    static uint8_t all[1 << 18];
    size_t all_n = 0;
    struct fixture fx;
    size_t size;
    uint8_t *frame = bomb(8 << 20, &size);
    size_t at = 0;
    unsigned turns = 0;
    struct wst__ws_counts c;

    (void)state;
    for (; all_n + size <= sizeof all; all_n += size)
        memcpy(all + all_n, frame, size);
    for (int chunks = 0; chunks < 2; chunks++) {
        begin(&fx, PMD "; server_no_context_takeover", 16 << 20, chunks);
        for (at = 0, turns = 0; at < all_n; turns++) {
            struct wst__ws_counts before;
            size_t used;

            wst__ws_counts(fx.ws, &before);
            assert_int_equal(wst__ws_feed(fx.ws, all + at, all_n - at, &used, &fx.why), 0);
            wst__ws_counts(fx.ws, &c);
            assert_true(c.received - before.received <= 1);
            assert_true(used > 0 && used <= 4096);
            assert_true(wst__ws_yielded(fx.ws) || at + used == all_n);
            at += used;
        }
        assert_int_equal(c.received, all_n / size);
        assert_int_equal(c.bytes_received, all_n / size * (8 << 20));
        assert_true(turns >= all_n / size * 4);
        fixture_fini(&fx);
    }
    free(frame);
}

/* Final blocks cost a window each: they count as work, too. */
static void final_blocks_yield(void **state)
{
    enum { BLOCKS = 30000 };
    static uint8_t frame[4 + 2 * BLOCKS + 1];
    struct fixture fx;
    size_t at = 0;
    unsigned turns = 0;

    (void)state;
    frame[0] = 0xc2;
    frame[1] = 126;
    frame[2] = (uint8_t)((2 * BLOCKS + 1) >> 8);
    frame[3] = (uint8_t)(2 * BLOCKS + 1);
    for (size_t i = 0; i < BLOCKS; i++) {
        frame[4 + 2 * i] = 0x03; /* A final block without content, seven bits of nothing. */
        frame[5 + 2 * i] = 0x00;
    }
    begin(&fx, PMD, 0, false);
    for (; at < sizeof frame; turns++) {
        size_t used;

        assert_int_equal(wst__ws_feed(fx.ws, frame + at, sizeof frame - at, &used, &fx.why), 0);
        at += used;
    }
    fixture_expect(&fx, "binary()", "");
    assert_true(turns > 20);
    fixture_fini(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_agreement),
        cmocka_unit_test(the_examples_at_every_split),
        cmocka_unit_test(every_parameter_both_ways),
        cmocka_unit_test(no_place_for_compressed_bytes),
        cmocka_unit_test(below_the_threshold_nothing_is_compressed),
        cmocka_unit_test(noise_is_not_compressed),
        cmocka_unit_test(noise_fits_as_it_is),
        cmocka_unit_test(a_refused_message_leaves_no_trace),
        cmocka_unit_test(the_first_chunk_decides),
        cmocka_unit_test(chunks_are_compressed),
        cmocka_unit_test(both_ceilings_have_words),
        cmocka_unit_test(a_bomb_ends_at_the_ceiling),
        cmocka_unit_test(inflating_yields),
        cmocka_unit_test(final_blocks_yield),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
