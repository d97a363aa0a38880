/* Stories of messages: in chunks, both ways, and in the offline queue. */
#include "sim/tale.h"

#include "client/client.h"

#include <string.h>

enum { FIRST = WST_CHUNK_FIRST, MORE = 0, LAST = WST_CHUNK_LAST };

/* ---- Receiving in chunks ------------------------------------------------------------------- */

static uint64_t received(struct tale *t, uint64_t *bytes)
{
    struct wst_stats s = {.size = sizeof s};

    assert_int_equal(wst_client_stats(t->app.client, &s), 0);
    if (bytes)
        *bytes = s.bytes_received;
    return s.messages_received;
}

/* One message as it arrives, in pieces of 1000 bytes; none of them waits for the next. */
static void received_in_chunks(void **state)
{
    struct tale *t = tale_new();
    uint64_t bytes;

    (void)state;
    t->links[0].chunk = 1000;
    t->links[0].chunk_ms = 10;
    sim_use_chunks(&t->app);
    tale_open(t);
    sim_ws_binary(&t->w, 5000);
    sim_ws_text(&t->w, "whole");
    tale_run(t, 30);
    assert_int_equal(received(t, &bytes), 0);
    assert_in_range(bytes, 2000, 3000);
    assert_int_equal(t->app.piece_len, bytes);
    tale_run(t, 100);
    assert_int_equal(received(t, &bytes), 2);
    assert_int_equal(bytes, 5005);
    tale_expect(t, "[   160] message binary 5000 \"\" in chunks\n"
                   "[   160] message text 5 \"whole\"\n");
    tale_end(t);
}

static void pause_now(struct tale *t)
{
    (void)sim_pause(&t->app);
}

/* Pause inside a chunk holds: the next one waits for resume, and nothing is lost. */
static void pause_inside_a_chunk(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].chunk = 1000;
    sim_use_chunks(&t->app);
    tale_open(t);
    tale_when(t, SIM_CB_CHUNK, 2, pause_now);
    sim_ws_binary(&t->w, 5000);
    tale_run(t, 100);
    assert_int_equal(t->app.counts[SIM_CB_CHUNK], 2);
    (void)sim_resume(&t->app);
    tale_run(t, 100);
    tale_expect(t, "[   110] > pause\n"
                   "[   200] > resume\n"
                   "[   200] message binary 5000 \"\" in chunks\n");
    tale_end(t);
}

static void resume_soon(struct sim_world *w, void *obj, uint64_t n)
{
    (void)w;
    (void)n;
    (void)sim_resume(obj);
}

/* What is dropped while we close and are paused takes its message with it: nobody is handed the end
 * of one whose middle he has not seen. */
static void stop_while_paused_inside_a_message(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->links[0].chunk = 1000;
    t->links[0].chunk_ms = 10;
    sim_use_chunks(&t->app);
    tale_open(t);
    tale_when(t, SIM_CB_CHUNK, 2, pause_now);
    sim_ws_binary(&t->w, 5000);
    sim_ws_text(&t->w, "behind it");
    tale_run(t, 25);
    (void)sim_stop(&t->app);
    sim_after(&t->w, 12, resume_soon, &t->app, 0);
    tale_run(t, 200);
    tale_expect(t, "[   120] > pause\n"
                   "[   125] > stop\n"
                   "[   125] open -> closing\n"
                   "[   125] client: close 1000\n"
                   "[   135] server: close answered\n"
                   "[   137] > resume\n"
                   "[   160] message text 9 \"behind it\"\n"
                   "[   160] closing -> idle\n"
                   "[   160] closed: 1000 \"\" clean\n"
                   "[   160] because: OK (none)\n"
                   "[   160] ended: idle, CANCELED\n");
    tale_end(t);
}

/* Without a ceiling; a message that its connection cuts off has no last chunk. */
static void without_a_ceiling(void **state)
{
    static const uint8_t head[] = {0x82, 0x7f, 0x40, 0, 0, 0, 0, 0, 0, 0};
    struct tale *t = tale_new();

    (void)state;
    sim_use_chunks(&t->app);
    t->app.config.max_message_bytes = SIZE_MAX;
    tale_open(t);
    sim_ws_raw(&t->w, head, sizeof head);
    for (int i = 0; i < 5; i++)
        sim_ws_raw(&t->w, head, sizeof head); /* Payload, whatever it is. */
    tale_run(t, 50);
    assert_int_equal(t->app.piece_len, 50);
    sim_ws_fin(&t->w);
    tale_run(t, 400);
    sim_ws_text(&t->w, "next");
    tale_run(t, 100);
    tale_expect(t, "[   150] server: end\n"
                   "[   160] open -> backoff\n"
                   "[   160] closed: 1006 \"\"\n"
                   "[   160] because: EOF (transient), next in 250 ms\n"
                   "[   410] backoff -> token\n"
                   "[   410] attempt 2\n"
                   "[   410] dial api.example.com:443\n"
                   "[   410] token -> ticket\n"
                   "[   410] GET /api/v1/ws-ticket (token 1)\n"
                   "[   430] ticket: 200 ticket 2\n"
                   "[   430] ticket -> connecting\n"
                   "[   440] dial: ready\n"
                   "[   440] upgrade /ws (ticket 2)\n"
                   "[   450] server: 101\n"
                   "[   460] connecting -> open\n"
                   "[   460] open\n"
                   "[   560] message text 4 \"next\"\n");
    tale_end(t);
}

/* ---- Sending in chunks --------------------------------------------------------------------- */

/* A ping goes out between them, another message does not. */
static void sent_in_chunks(void **state)
{
    struct tale *t = tale_new();
    struct wst_stats s = {.size = sizeof s};

    (void)state;
    tale_open(t);
    assert_int_equal(sim_send_chunk(&t->app, 10, MORE), WST_ERR_STATE);
    assert_int_equal(sim_send_chunk(&t->app, 10, LAST), WST_ERR_STATE);
    assert_int_equal(sim_send_chunk(&t->app, 100, FIRST), 0);
    assert_int_equal(sim_send_chunk(&t->app, 100, FIRST), WST_ERR_STATE);
    tale_run(t, 50);
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_STATE);
    (void)sim_ping(&t->app);
    tale_run(t, 50);
    assert_int_equal(sim_send_chunk(&t->app, 200, MORE), 0);
    assert_int_equal(wst_client_send_chunk(t->app.client, WST_BINARY, "x", 1, MORE, NULL),
                     WST_ERR_INVALID);
    assert_int_equal(wst_client_send_chunk(t->app.client, WST_TEXT, "x", 1, 4, NULL),
                     WST_ERR_INVALID);
    assert_int_equal(wst_client_send_chunk(t->app.client, WST_TEXT, NULL, 1, MORE, NULL),
                     WST_ERR_INVALID);
    assert_int_equal(wst_client_send_chunk(t->app.client, WST_TEXT, "\xff", 1, MORE, NULL),
                     WST_ERR_BAD_UTF8);
    assert_int_equal(sim_send_chunk(&t->app, 0, LAST), 0);
    assert_int_equal(sim_send(&t->app, 10), 0);
    tale_run(t, 50);
    assert_int_equal(wst_client_stats(t->app.client, &s), 0);
    assert_int_equal(s.messages_sent, 2);
    assert_int_equal(s.bytes_sent, 310);
    tale_expect(t, "[   100] > send_chunk: STATE\n"
                   "[   100] > send_chunk: STATE\n"
                   "[   100] > send_chunk\n"
                   "[   100] > send_chunk: STATE\n"
                   "[   150] > send: STATE\n"
                   "[   150] > ping\n"
                   "[   150] client: ping\n"
                   "[   170] pong after 20 ms\n"
                   "[   200] > send_chunk\n"
                   "[   200] > send_chunk\n"
                   "[   200] > send\n"
                   "[   200] client: message 1, 300 bytes\n"
                   "[   200] client: message 2, 10 bytes\n"
                   "[   220] message text 300 \"m00000001 abcdefghijklmnopqrstu\"\n"
                   "[   220] message text 10 \"m00000002 \"\n");
    tale_end(t);
}

/* The connection ends in the middle: told once, and the rest is refused on the next one. */
static void half_a_message_is_not_continued(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_send_chunk(&t->app, 1000, FIRST);
    tale_run(t, 20); /* All of it has left: still it is no message. */
    (void)sim_send_chunk(&t->app, 500, MORE);
    sim_ws_reset(&t->w);
    tale_run(t, 100);
    assert_int_equal(sim_send_chunk(&t->app, 10, MORE), WST_ERR_NOT_OPEN);
    tale_run(t, 300);
    assert_int_equal(sim_send_chunk(&t->app, 10, MORE), WST_ERR_STATE);
    assert_int_equal(sim_send_chunk(&t->app, 10, LAST), WST_ERR_STATE);
    assert_int_equal(sim_send_chunk(&t->app, 10, FIRST | LAST), 0);
    tale_run(t, 50);
    assert_int_equal(t->app.unsent, 1);
    tale_expect(t, "[   100] > send_chunk\n"
                   "[   120] > send_chunk\n"
                   "[   120] server: reset\n"
                   "[   130] open -> backoff\n"
                   "[   130] unsent: message 1, RESET\n"
                   "[   130] closed: 1006 \"\" with unsent messages\n"
                   "[   130] because: RESET (transient), next in 250 ms\n"
                   "[   220] > send_chunk: NOT_OPEN\n"
                   "[   380] backoff -> token\n"
                   "[   380] attempt 2\n"
                   "[   380] dial api.example.com:443\n"
                   "[   380] token -> ticket\n"
                   "[   380] GET /api/v1/ws-ticket (token 1)\n"
                   "[   400] ticket: 200 ticket 2\n"
                   "[   400] ticket -> connecting\n"
                   "[   410] dial: ready\n"
                   "[   410] upgrade /ws (ticket 2)\n"
                   "[   420] server: 101\n"
                   "[   430] connecting -> open\n"
                   "[   430] open\n"
                   "[   520] > send_chunk: STATE\n"
                   "[   520] > send_chunk: STATE\n"
                   "[   520] > send_chunk\n"
                   "[   520] client: message 2, 10 bytes\n"
                   "[   540] message text 10 \"m00000002 \"\n");
    tale_end(t);
}

/* Stop in the middle: what was accepted leaves, then the close frame; it is no message. */
static void stop_inside_a_message(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_open(t);
    (void)sim_send(&t->app, 10);
    (void)sim_send_chunk(&t->app, 1000, FIRST);
    (void)sim_stop(&t->app);
    assert_int_equal(sim_send_chunk(&t->app, 10, LAST), WST_ERR_NOT_OPEN);
    tale_run(t, 100);
    tale_expect(t, "[   100] > send\n"
                   "[   100] > send_chunk\n"
                   "[   100] > stop\n"
                   "[   100] > send_chunk: NOT_OPEN\n"
                   "[   100] open -> closing\n"
                   "[   100] client: message 1, 10 bytes\n"
                   "[   100] client: close 1000\n"
                   "[   110] server: close answered\n"
                   "[   120] message text 10 \"m00000001 \"\n"
                   "[   120] closing -> idle\n"
                   "[   120] unsent: message 2, CANCELED\n"
                   "[   120] closed: 1000 \"\" clean with unsent messages\n"
                   "[   120] because: OK (none)\n"
                   "[   120] ended: idle, CANCELED\n");
    tale_end(t);
}

/* A chunk that is refused for want of room changes nothing. */
static void chunks_and_a_full_queue(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    t->app.config.max_queue_bytes = 10000;
    t->app.config.queue_low_water = 1000;
    t->links[0].window = 2000;
    tale_open(t);
    assert_int_equal(sim_send_chunk(&t->app, 6000, FIRST), 0);
    assert_int_equal(sim_send_chunk(&t->app, 6000, LAST), WST_ERR_QUEUE_FULL);
    assert_int_equal(sim_send_chunk(&t->app, 20000, LAST), WST_ERR_TOO_LARGE);
    tale_run(t, 100);
    assert_int_equal(sim_send_chunk(&t->app, 6000, LAST), 0);
    tale_run(t, 100);
    tale_expect(t, "[   100] > send_chunk\n"
                   "[   100] > send_chunk: QUEUE_FULL\n"
                   "[   100] > send_chunk: TOO_LARGE\n"
                   "[   120] drained\n"
                   "[   200] > send_chunk\n"
                   "[   220] drained\n"
                   "[   230] client: message 1, 12000 bytes\n"
                   "[   250] message text 12000 \"m00000001 abcdefghijklmnopqrstu\"\n");
    tale_end(t);
}

/* ---- The offline queue --------------------------------------------------------------------- */

static struct tale *with_queue(void)
{
    struct tale *t = tale_new();

    t->app.config.offline_messages = 3;
    return t;
}

static void send_now(struct tale *t)
{
    (void)sim_send(&t->app, 10);
}

/* From start on it waits, and leaves before what the first callback of the connection sends. */
static void sent_before_it_is_open(void **state)
{
    struct tale *t = with_queue();
    struct wst_stats s = {.size = sizeof s};

    (void)state;
    sim_app_make(&t->app);
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_NOT_OPEN); /* Nobody wants the connection. */
    (void)sim_start(&t->app);
    assert_int_equal(sim_send(&t->app, 10), 0);
    assert_int_equal(sim_send_chunk(&t->app, 10, FIRST | LAST), WST_ERR_NOT_OPEN);
    tale_run(t, 50);
    assert_int_equal(sim_send(&t->app, 100), 0);
    assert_int_equal(wst_client_buffered(t->app.client), 110);
    assert_int_equal(wst_client_stats(t->app.client, &s), 0);
    assert_int_equal(s.offline_messages, 2);
    assert_int_equal(s.buffered, 110);
    tale_skip(t);
    tale_when(t, SIM_CB_STATE, 1, send_now); /* Open. */
    tale_run(t, 100);
    assert_int_equal(wst_client_stats(t->app.client, &s), 0);
    assert_int_equal(s.offline_messages, 0);
    assert_int_equal(s.messages_sent, 3);
    tale_expect(t, "[    60] connecting -> open\n"
                   "[    60] > send\n"
                   "[    60] open\n"
                   "[    60] client: message 1, 10 bytes\n"
                   "[    60] client: message 2, 100 bytes\n"
                   "[    60] client: message 3, 10 bytes\n"
                   "[    80] message text 10 \"m00000001 \"\n"
                   "[    80] message text 100 \"m00000002 abcdefghijklmnopqrstu\"\n"
                   "[    80] message text 10 \"m00000003 \"\n");
    tale_end(t);
}

/* The log says that it is open before anything else does. */
static void send_at_the_line(enum wst_log_level level, const char *text, void *arg)
{
    struct sim_app *app = arg;

    (void)level;
    if (!strstr(text, "connecting -> open"))
        return;
    assert_int_equal(sim_send_chunk(app, 10, FIRST), WST_ERR_NOT_OPEN);
    assert_int_equal(sim_send(app, 10), 0);
}

/* Until the state is told as open, no chunk gets before what waits. */
static void nothing_overtakes_the_queue(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    t->app.config.log_cb = send_at_the_line;
    tale_start(t);
    (void)sim_send(&t->app, 10);
    tale_run(t, 50);
    tale_skip(t);
    tale_run(t, 100);
    tale_expect(t, "[    60] > send_chunk: NOT_OPEN\n"
                   "[    60] > send\n"
                   "[    60] connecting -> open\n"
                   "[    60] open\n"
                   "[    60] client: message 1, 10 bytes\n"
                   "[    60] client: message 2, 10 bytes\n"
                   "[    80] message text 10 \"m00000001 \"\n"
                   "[    80] message text 10 \"m00000002 \"\n");
    tale_end(t);
}

/* Its ceilings refuse; nothing that waits is dropped for something newer. */
static void the_queue_is_bounded(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    t->app.config.offline_bytes = 1000;
    tale_start(t);
    assert_int_equal(sim_send(&t->app, 937), WST_ERR_TOO_LARGE);
    assert_int_equal(wst_client_send(t->app.client, WST_TEXT, "\xff", 1, NULL), WST_ERR_BAD_UTF8);
    assert_int_equal(sim_send(&t->app, 500), 0);
    assert_int_equal(sim_send(&t->app, 373), WST_ERR_QUEUE_FULL);
    assert_int_equal(sim_send(&t->app, 200), 0);
    assert_int_equal(sim_send(&t->app, 108), 0);
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_QUEUE_FULL);
    tale_run(t, 200);
    assert_int_equal(t->app.taken, 3);
    tale_end(t);
}

/* Bytes and messages are two ceilings: all three places are not needed for this one. */
static void the_queue_is_bounded_by_bytes(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    t->app.config.offline_bytes = 1000;
    tale_start(t);
    assert_int_equal(sim_send(&t->app, 936), 0); /* With the 64 of each: exactly. */
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_QUEUE_FULL);
    tale_end(t);
}

/* During an outage: what is too old is told when it is, what is not is sent on the next connection.
 */
static void too_old(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    t->app.config.offline_age_ms = 300;
    t->app.config.base_delay_ms = 500;
    tale_open(t);
    sim_ws_reset(&t->w);
    tale_run(t, 20);
    (void)sim_send(&t->app, 10);
    tale_run(t, 290);
    (void)sim_send(&t->app, 10);
    tale_run(t, 300);
    tale_expect(t, "[   100] server: reset\n"
                   "[   110] open -> backoff\n"
                   "[   110] closed: 1006 \"\"\n"
                   "[   110] because: RESET (transient), next in 500 ms\n"
                   "[   120] > send\n"
                   "[   410] > send\n"
                   "[   420] unsent: message 1, TOO_OLD\n"
                   "[   610] backoff -> token\n"
                   "[   610] attempt 2\n"
                   "[   610] dial api.example.com:443\n"
                   "[   610] token -> ticket\n"
                   "[   610] GET /api/v1/ws-ticket (token 1)\n"
                   "[   630] ticket: 200 ticket 2\n"
                   "[   630] ticket -> connecting\n"
                   "[   640] dial: ready\n"
                   "[   640] upgrade /ws (ticket 2)\n"
                   "[   650] server: 101\n"
                   "[   660] connecting -> open\n"
                   "[   660] open\n"
                   "[   660] client: message 2, 10 bytes\n"
                   "[   680] message text 10 \"m00000002 \"\n");
    tale_end(t);
}

/* Age goes on while the machine sleeps, and is looked at before the connection takes anything. */
static void too_old_after_sleep(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    t->app.config.offline_age_ms = 60000;
    t->tickets[0].answer_ms = 100;
    tale_start(t);
    (void)sim_send(&t->app, 10);
    tale_run(t, 90);
    sim_suspend(&t->w, 60000);
    tale_run(t, 20);
    (void)sim_send(&t->app, 10);
    tale_run(t, 100);
    tale_expect(t, "[     0] > start\n"
                   "[     0] > send\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] token -> ticket\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    90] the machine sleeps for 60000 ms\n"
                   "[ 60090] ticket: 200 ticket 1\n"
                   "[ 60090] unsent: message 1, TOO_OLD\n"
                   "[ 60090] ticket -> connecting\n"
                   "[ 60090] connecting -> ticket\n"
                   "[ 60090] GET /api/v1/ws-ticket (token 1)\n"
                   "[ 60110] ticket: 200 ticket 2\n"
                   "[ 60110] ticket -> connecting\n"
                   "[ 60110] upgrade /ws (ticket 2)\n"
                   "[ 60110] > send\n"
                   "[ 60120] server: 101\n"
                   "[ 60130] connecting -> open\n"
                   "[ 60130] open\n"
                   "[ 60130] client: message 2, 10 bytes\n"
                   "[ 60150] message text 10 \"m00000002 \"\n");
    tale_end(t);
}

/* What a connection had taken and not sent is reported, and not sent on the next one. */
static void not_queued_again(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    t->links[0].window = 2000;
    tale_open(t);
    sim_ws_deaf(&t->w, true);
    (void)sim_send(&t->app, 3000);
    tale_run(t, 20);
    sim_ws_reset(&t->w);
    tale_run(t, 50);
    (void)sim_send(&t->app, 10);
    tale_run(t, 400);
    tale_expect(t, "[   100] > send\n"
                   "[   120] server: reset\n"
                   "[   130] open -> backoff\n"
                   "[   130] unsent: message 1, RESET\n"
                   "[   130] closed: 1006 \"\" with unsent messages\n"
                   "[   130] because: RESET (transient), next in 250 ms\n"
                   "[   170] > send\n"
                   "[   380] backoff -> token\n"
                   "[   380] attempt 2\n"
                   "[   380] dial api.example.com:443\n"
                   "[   380] token -> ticket\n"
                   "[   380] GET /api/v1/ws-ticket (token 1)\n"
                   "[   400] ticket: 200 ticket 2\n"
                   "[   400] ticket -> connecting\n"
                   "[   410] dial: ready\n"
                   "[   410] upgrade /ws (ticket 2)\n"
                   "[   420] server: 101\n"
                   "[   430] connecting -> open\n"
                   "[   430] open\n"
                   "[   430] client: message 2, 10 bytes\n"
                   "[   450] message text 10 \"m00000002 \"\n");
    tale_end(t);
}

/* Stop drops what waits; it is told before the end. */
static void stop_drops_the_queue(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    tale_start(t);
    (void)sim_send(&t->app, 10);
    tale_run(t, 10);
    tale_skip(t);
    (void)sim_send(&t->app, 10);
    (void)sim_stop(&t->app);
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_NOT_OPEN);
    tale_run(t, 10);
    assert_int_equal(wst_client_buffered(t->app.client), 0);
    tale_expect(t, "[    10] > send\n"
                   "[    10] > stop\n"
                   "[    10] > send: NOT_OPEN\n"
                   "[    10] token: cancelled\n"
                   "[    10] dial: dropped\n"
                   "[    10] token -> idle\n"
                   "[    10] failed: CANCELED (none)\n"
                   "[    10] unsent: message 1, CANCELED\n"
                   "[    10] unsent: message 2, CANCELED\n"
                   "[    10] ended: idle, CANCELED\n");
    tale_end(t);
}

/* A message belongs to the start before it: the stop in between takes the older ones alone. */
static void stop_and_start_again(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    tale_start(t);
    tale_run(t, 25);
    (void)sim_send(&t->app, 10);
    tale_skip(t);
    (void)sim_stop(&t->app);
    (void)sim_start(&t->app);
    (void)sim_send(&t->app, 10);
    tale_run(t, 200);
    (void)sim_stop(&t->app);
    (void)sim_start(&t->app);
    assert_int_equal(sim_send(&t->app, 10), 0); /* Not on the connection that is to be closed. */
    tale_run(t, 200);
    tale_expect(t, "[    25] > stop\n"
                   "[    25] > start\n"
                   "[    25] > send\n"
                   "[    25] ticket: cancelled\n"
                   "[    25] dial: dropped\n"
                   "[    25] ticket -> idle\n"
                   "[    25] failed: CANCELED (none)\n"
                   "[    25] unsent: message 1, CANCELED\n"
                   "[    25] ended: idle, CANCELED\n"
                   "[    25] idle -> token\n"
                   "[    25] attempt 2\n"
                   "[    25] dial api.example.com:443\n"
                   "[    25] token -> ticket\n"
                   "[    25] GET /api/v1/ws-ticket (token 1)\n"
                   "[    45] ticket: 200 ticket 2\n"
                   "[    45] ticket -> connecting\n"
                   "[    55] dial: ready\n"
                   "[    55] upgrade /ws (ticket 2)\n"
                   "[    65] server: 101\n"
                   "[    75] connecting -> open\n"
                   "[    75] open\n"
                   "[    75] client: message 2, 10 bytes\n"
                   "[    95] message text 10 \"m00000002 \"\n"
                   "[   225] > stop\n"
                   "[   225] > start\n"
                   "[   225] > send\n"
                   "[   225] open -> closing\n"
                   "[   225] client: close 1000\n"
                   "[   235] server: close answered\n"
                   "[   245] closing -> idle\n"
                   "[   245] closed: 1000 \"\" clean\n"
                   "[   245] because: OK (none)\n"
                   "[   245] ended: idle, CANCELED\n"
                   "[   245] idle -> token\n"
                   "[   245] attempt 3\n"
                   "[   245] dial api.example.com:443\n"
                   "[   245] token -> ticket\n"
                   "[   245] GET /api/v1/ws-ticket (token 1)\n"
                   "[   265] ticket: 200 ticket 3\n"
                   "[   265] ticket -> connecting\n"
                   "[   275] dial: ready\n"
                   "[   275] upgrade /ws (ticket 3)\n"
                   "[   285] server: 101\n"
                   "[   295] connecting -> open\n"
                   "[   295] open\n"
                   "[   295] client: message 3, 10 bytes\n"
                   "[   315] message text 10 \"m00000003 \"\n");
    tale_end(t);
}

static void start_and_send(struct tale *t)
{
    (void)sim_start(&t->app);
    (void)sim_send(&t->app, 10);
}

/* FAILED drops what waited for it; not what is accepted for a start that comes inside its
 * callbacks. */
static void failed_drops_the_queue(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    t->tickets[0].status = 404;
    tale_when(t, SIM_CB_STATE, 3, start_and_send); /* FAILED, before it has been told. */
    tale_start(t);
    (void)sim_send(&t->app, 10);
    tale_run(t, 200);
    tale_expect(t, "[     0] > start\n"
                   "[     0] > send\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] token -> ticket\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    40] ticket: 404\n"
                   "[    40] dial: dropped\n"
                   "[    40] ticket -> failed\n"
                   "[    40] > start\n"
                   "[    40] > send\n"
                   "[    40] failed: HTTP_STATUS (refused) 404\n"
                   "[    40] unsent: message 1, HTTP_STATUS\n"
                   "[    40] ended: failed, HTTP_STATUS\n"
                   "[    40] failed -> token\n"
                   "[    40] attempt 2\n"
                   "[    40] token -> ticket\n"
                   "[    40] GET /api/v1/ws-ticket (token 1)\n"
                   "[    60] ticket: 200 ticket 1\n"
                   "[    60] ticket -> connecting\n"
                   "[    60] dial api.example.com:443\n"
                   "[    90] dial: ready\n"
                   "[    90] upgrade /ws (ticket 1)\n"
                   "[   100] server: 101\n"
                   "[   110] connecting -> open\n"
                   "[   110] open\n"
                   "[   110] client: message 2, 10 bytes\n"
                   "[   130] message text 10 \"m00000002 \"\n");
    tale_end(t);
}

static void close_drops_the_queue(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    tale_start(t);
    (void)sim_send(&t->app, 10);
    (void)sim_stop(&t->app);
    (void)sim_start(&t->app);
    (void)sim_send(&t->app, 10);
    sim_close(&t->app);
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_CLOSING);
    tale_run(t, 10);
    tale_expect(t, "[     0] > start\n"
                   "[     0] > send\n"
                   "[     0] > stop\n"
                   "[     0] > start\n"
                   "[     0] > send\n"
                   "[     0] > close\n"
                   "[     0] > send: CLOSING\n"
                   "[     0] unsent: message 1, CANCELED\n"
                   "[     0] ended: idle, CANCELED\n"
                   "[     0] unsent: message 2, CANCELED\n"
                   "[     0] ended: idle, CANCELED\n"
                   "[     0] gone\n");
    tale_end(t);
}

static void close_now(struct tale *t)
{
    sim_close(&t->app);
}

/* The first one that is too old is told, and closes: the others are told once. */
static void close_inside_unsent(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    t->app.config.offline_age_ms = 30;
    tale_when(t, SIM_CB_UNSENT, 1, close_now);
    tale_start(t);
    (void)sim_send(&t->app, 10);
    (void)sim_send(&t->app, 10);
    tale_run(t, 60);
    assert_int_equal(t->app.unsent, 2);
    tale_expect(t, "[     0] > start\n"
                   "[     0] > send\n"
                   "[     0] > send\n"
                   "[     0] idle -> token\n"
                   "[     0] attempt 1\n"
                   "[     0] POST /api/v1/auth/token\n"
                   "[     0] dial api.example.com:443\n"
                   "[    20] token: 200 token 1\n"
                   "[    20] token -> ticket\n"
                   "[    20] GET /api/v1/ws-ticket (token 1)\n"
                   "[    30] dial: ready\n"
                   "[    30] unsent: message 1, TOO_OLD\n"
                   "[    30] > close\n"
                   "[    30] ticket: cancelled\n"
                   "[    30] dial: dropped\n"
                   "[    30] ticket -> idle\n"
                   "[    30] failed: CANCELED (none)\n"
                   "[    30] unsent: message 2, CANCELED\n"
                   "[    30] ended: idle, CANCELED\n"
                   "[    30] gone\n");
    tale_end(t);
}

static void send_it_again(struct tale *t)
{
    if (++t->nth > 50) { /* That would be for ever. */
        sim_fail(&t->w, "one step tells the same message again and again");
        t->w.no_entropy = false;
    }
    (void)sim_send(&t->app, 10);
}

/* What the connection cannot take is refused when it is sent again at once. */
static void sent_again_inside_unsent(void **state)
{
    struct tale *t = with_queue();

    (void)state;
    t->app.quiet = true;
    tale_when(t, SIM_CB_UNSENT, 1, send_it_again);
    tale_start(t);
    tale_run(t, 50);
    (void)sim_send(&t->app, 10);
    (void)sim_send(&t->app, 10);
    tale_skip(t);
    t->w.no_entropy = true;
    tale_run(t, 10);
    t->w.no_entropy = false;
    (void)sim_send(&t->app, 10);
    tale_run(t, 100);
    tale_expect(t, "[    60] unsent: message 1, ENTROPY\n"
                   "[    60] > send: ENTROPY\n"
                   "[    60] unsent: message 2, ENTROPY\n"
                   "[    60] > send: ENTROPY\n"
                   "[    60] open\n"
                   "[    60] > send\n"
                   "[    60] client: message 3, 10 bytes\n"
                   "[    80] message text 10 \"m00000003 \"\n");
    tale_end(t);
}

/* Without the configuration nothing waits. */
static void off_by_default(void **state)
{
    struct tale *t = tale_new();

    (void)state;
    tale_start(t);
    assert_int_equal(sim_send(&t->app, 10), WST_ERR_NOT_OPEN);
    tale_end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(received_in_chunks),
        cmocka_unit_test(pause_inside_a_chunk),
        cmocka_unit_test(stop_while_paused_inside_a_message),
        cmocka_unit_test(without_a_ceiling),
        cmocka_unit_test(sent_in_chunks),
        cmocka_unit_test(half_a_message_is_not_continued),
        cmocka_unit_test(stop_inside_a_message),
        cmocka_unit_test(chunks_and_a_full_queue),
        cmocka_unit_test(sent_before_it_is_open),
        cmocka_unit_test(nothing_overtakes_the_queue),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(the_queue_is_bounded_by_bytes),
        cmocka_unit_test(too_old),
        cmocka_unit_test(too_old_after_sleep),
        cmocka_unit_test(not_queued_again),
        cmocka_unit_test(stop_drops_the_queue),
        cmocka_unit_test(stop_and_start_again),
        cmocka_unit_test(failed_drops_the_queue),
        cmocka_unit_test(close_drops_the_queue),
        cmocka_unit_test(close_inside_unsent),
        cmocka_unit_test(sent_again_inside_unsent),
        cmocka_unit_test(off_by_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
