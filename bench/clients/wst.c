/* libwsticket, through its public header: without the two HTTP steps, all clients on one loop. */
#include "bench.h"

#include <uv.h>
#include <wsticket/wsticket.h>

enum {
    DIALS = 16,            /* Connections that are made at a time. */
    LOW_WATER = 256 * 1024 /* As much as wire has ready, at least. */
};

static uv_loop_t *uv;
static struct wst_loop *loop;
static struct wst_client *client;
static uv_prepare_t prepare;
static uv_idle_t idle;
static uv_timer_t settle;
static enum wst_message_type type;
static uint64_t dialed, opened, ended, sent, received;
static uint64_t begun; /* The ping-pong under way. */

static void dial(void);

static void finish(void)
{
    bench_stop();
    uv_stop(uv);
}

/* False: the queue is full. */
static bool send_one(void)
{
    int rc = wst_client_send(client, type, bench.payload, bench.size, NULL);

    if (rc != 0 && rc != WST_ERR_QUEUE_FULL)
        bench_die("send", wst_strerror(rc));
    sent += rc == 0;
    return rc == 0;
}

/* ---- Sending ------------------------------------------------------------------------------- */

/* As many as it takes to be above the low-water mark: then on_drained goes on. */
static void send_burst(void)
{
    while (send_one() && sent < bench.count && wst_client_buffered(client) <= LOW_WATER) {
    }
}

static void on_drained(struct wst_client *c, void *arg)
{
    (void)c;
    (void)arg;
    if (bench.mode == MODE_SEND && sent < bench.count)
        send_burst();
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle; /* It keeps the loop from sleeping. */
}

/* One in each turn, as long as there is room for them. */
static void on_prepare(uv_prepare_t *handle)
{
    if (sent < bench.count) {
        (void)send_one();
        return;
    }
    uv_prepare_stop(handle);
    uv_idle_stop(&idle);
}

/* ---- Callbacks of the client --------------------------------------------------------------- */

/* What was freed and what is still to come after the last open has settled. */
static void on_settled(uv_timer_t *handle)
{
    (void)handle;
    finish();
}

static void on_open_idle(void)
{
    if (dialed < bench.count)
        dial();
    if (opened == bench.count)
        uv_timer_start(&settle, on_settled, 1000, 0);
}

static void on_open(struct wst_client *c, const char *subprotocol, void *arg)
{
    (void)subprotocol;
    (void)arg;
    opened++;
    client = c;
    if (bench.mode == MODE_CONN) {
        wst_client_stop(c);
        return;
    }
    if (bench.mode == MODE_IDLE) {
        on_open_idle();
        return;
    }
    if (!bench.warm_up)
        bench_start();
    if (bench.mode == MODE_SEND) {
        send_burst();
    } else if (bench.mode == MODE_TURN) {
        uv_prepare_start(&prepare, on_prepare);
        uv_idle_start(&idle, on_idle);
    } else if (bench.mode == MODE_ECHO) {
        begun = bench_ns();
        (void)send_one();
    }
}

static void on_echo(void)
{
    if (received > bench.warm_up)
        bench_latency(bench_ns() - begun);
    if (received == bench.warm_up)
        bench_start();
    if (received == bench.count + bench.warm_up) {
        finish();
        return;
    }
    begun = bench_ns();
    (void)send_one();
}

static void on_message(struct wst_client *c, enum wst_message_type t, const void *data, size_t n,
                       void *arg)
{
    (void)c;
    (void)t;
    (void)data;
    (void)n;
    (void)arg;
    received++;
    if (bench.mode == MODE_ECHO)
        on_echo();
    else if (bench.mode != MODE_RECV || received == bench.count)
        finish();
}

static void on_ended(struct wst_client *c, enum wst_state state, const struct wst_error_info *info,
                     void *arg)
{
    (void)state;
    (void)arg;
    if (bench.mode != MODE_CONN || info->cause.code != WST_ERR_CANCELED)
        bench_die("ended", info->cause.text);
    if (ended++ == 0)
        bench_start(); /* The first one was for what is made once. */
    if (ended <= bench.count)
        wst_client_start(c);
    else
        finish();
}

static void dial(void)
{
    struct wst_config config;
    struct wst_cause why;
    struct wst_client *c;
    char url[512];

    snprintf(url, sizeof url, "%s://localhost:%d%s", bench.tls ? "wss" : "ws", bench.port,
             bench.path);
    wst_config_init(&config);
    config.loop = loop;
    config.ws_url = url;
    config.token_step = WST_STEP_MODE_OMIT;
    config.ticket_step = WST_STEP_MODE_OMIT;
    config.ca_file = bench.tls ? bench.ca : NULL;
    config.max_message_bytes = 64 << 20;
    config.queue_low_water = LOW_WATER;
    config.on_open = on_open;
    config.on_message = on_message;
    config.on_drained = on_drained;
    config.on_ended = on_ended;
    if (wst_client_new(&c, &config, &why) != 0)
        bench_die("client", why.text);
    dialed++;
    wst_client_start(c);
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    uv = uv_default_loop();
    type = bench.type == PAYLOAD_BINARY ? WST_BINARY : WST_TEXT;
    if (wst_loop_new(&loop, uv) != 0)
        bench_die("loop", "cannot be made");
    uv_prepare_init(uv, &prepare);
    uv_idle_init(uv, &idle);
    uv_timer_init(uv, &settle);
    bench_start();
    do
        dial();
    while (bench.mode == MODE_IDLE && dialed < DIALS && dialed < bench.count);
    uv_run(uv, UV_RUN_DEFAULT);
    bench_report();
    return 0;
}
