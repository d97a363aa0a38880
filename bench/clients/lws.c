/*
 * libwebsockets.  It checks UTF-8 as all other clients do (it does not by default).  LWS_BUFFER
 * sets the size of its receive buffer (4096 by default).
 */
#include "bench.h"

#include <libwebsockets.h>

enum { DIALS = 16 };

static struct lws_context *context;
static uint8_t *frame; /* Room for a header ahead of the payload, which is masked in place. */
static uint64_t dialed, opened, closed, sent, received;
static uint64_t begun;
static bool done;

static void dial(void)
{
    struct lws_client_connect_info info = {
        .context = context,
        .address = bench.tls ? "localhost" : bench.host,
        .port = bench.port,
        .path = bench.path,
        .host = "localhost",
        .ssl_connection = bench.tls ? LCCSCF_USE_SSL : 0,
        .local_protocol_name = "bench",
    };

    dialed++;
    if (!lws_client_connect_via_info(&info))
        bench_die("libwebsockets", "no connection");
}

static void finish(void)
{
    bench_stop();
    done = true;
}

static void on_open(struct lws *wsi)
{
    opened++;
    if (bench.mode == MODE_IDLE) {
        if (dialed < bench.count)
            dial();
        if (opened == bench.count)
            finish();
        return;
    }
    if (bench.mode != MODE_CONN && !bench.warm_up)
        bench_start();
    if (bench.mode != MODE_RECV)
        lws_callback_on_writable(wsi);
}

static void on_echo(struct lws *wsi)
{
    if (received > bench.warm_up)
        bench_latency(bench_ns() - begun);
    if (received == bench.warm_up)
        bench_start();
    if (received == bench.count + bench.warm_up)
        finish();
    else
        lws_callback_on_writable(wsi);
}

static void on_message(struct lws *wsi)
{
    received++;
    if (bench.mode == MODE_ECHO)
        on_echo(wsi);
    else if (bench.mode != MODE_RECV || received == bench.count)
        finish();
}

static int write_one(struct lws *wsi)
{
    enum lws_write_protocol type = bench.type == PAYLOAD_BINARY ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;

    sent++;
    return lws_write(wsi, frame + LWS_PRE, bench.size, type) < 0 ? -1 : 0;
}

static int on_writable(struct lws *wsi)
{
    if (bench.mode == MODE_CONN) {
        lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
        return -1;
    }
    if (bench.mode == MODE_ECHO) {
        memcpy(frame + LWS_PRE, bench.payload, bench.size);
        begun = bench_ns();
        return write_one(wsi);
    }
    if (sent == bench.count)
        return 0;
    do {
        if (write_one(wsi) != 0)
            return -1;
    } while (bench.mode == MODE_SEND && sent < bench.count && !lws_send_pipe_choked(wsi));
    if (sent < bench.count)
        lws_callback_on_writable(wsi);
    return 0;
}

static void on_closed(void)
{
    if (bench.mode != MODE_CONN)
        return;
    if (closed++ == 0)
        bench_start(); /* The first one was for what is made once. */
    if (closed <= bench.count)
        dial();
    else
        finish();
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    (void)user;
    (void)len;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        bench_die("libwebsockets", in ? (const char *)in : "no connection");
        break;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        on_open(wsi);
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        if (lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi))
            on_message(wsi);
        break;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writable(wsi);
    case LWS_CALLBACK_CLIENT_CLOSED:
        on_closed();
        break;
    default:
        break;
    }
    return 0;
}

static void make_context(void)
{
    const char *buffer = getenv("LWS_BUFFER");
    static struct lws_protocols protocols[2];
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_VALIDATE_UTF8,
        .client_ssl_ca_filepath = bench.tls ? bench.ca : NULL,
        .fd_limit_per_thread = bench.mode == MODE_IDLE ? (unsigned)bench.count + 64 : 64,
    };

    protocols[0].name = "bench";
    protocols[0].callback = on_event;
    if (buffer) {
        info.pt_serv_buf_size = (unsigned)strtoul(buffer, NULL, 10);
        protocols[0].rx_buffer_size = info.pt_serv_buf_size;
    }
    lws_set_log_level(LLL_ERR, NULL);
    context = lws_create_context(&info);
    if (!context)
        bench_die("libwebsockets", "no context");
}

int main(int argc, char **argv)
{
    bench_init(argc, argv);
    make_context();
    frame = malloc(LWS_PRE + bench.size + 1);
    memcpy(frame + LWS_PRE, bench.payload, bench.size);
    bench_start();
    do
        dial();
    while (bench.mode == MODE_IDLE && dialed < DIALS && dialed < bench.count);
    while (!done && lws_service(context, 0) >= 0)
        ;
    if (bench.mode == MODE_IDLE) {
        for (uint64_t end = bench_ns() + 1000000000u; bench_ns() < end; usleep(10000)) {
            lws_cancel_service(context);
            lws_service(context, 0);
        }
    }
    bench_report();
    return 0;
}
