/*
 * What the wire itself costs: bare send() and recv(), or SSL_write() and SSL_read(), and no
 * WebSocket work at all.  Received frames are counted by their bytes, sent ones were made before
 * and are not masked.  All ratios of the benchmark are to this client.
 *
 * With BENCH_LOOP=1, mode recv calls recv() from a libuv loop, when that says that something has
 * come: no client on such a loop can be below that.
 *
 * In mode send, 256 KiB of ready frames leave in one call; in mode turn, each turn of a libuv loop
 * makes one call with one frame.
 */
#include "net.h"

#include <uv.h>

enum { READ_BYTES = 64 * 1024, BATCH_BYTES = 256 * 1024 };

static struct net net;
static uint8_t *frames;   /* Ready to be sent, */
static size_t frame_size; /* each of so many bytes, */
static size_t batch;      /* so many of them. */
static uint8_t *input;

static void make_frames(void)
{
    uint8_t *p;

    frame_size = frame_head_size(bench.size) + 4 + bench.size;
    batch = bench.mode == MODE_SEND && BATCH_BYTES > frame_size ? BATCH_BYTES / frame_size : 1;
    p = frames = malloc(batch * frame_size);
    for (size_t i = 0; i < batch; i++) {
        p += frame_head(p, bench.type == PAYLOAD_BINARY ? 2 : 1, 0x80, bench.size);
        memset(p, 0, 4);
        memcpy(p + 4, bench.payload, bench.size);
        p += 4 + bench.size;
    }
}

static void read_bytes(uint64_t n)
{
    while (n) {
        ssize_t got = net_read(&net, input, READ_BYTES);

        if (got <= 0)
            net_die("read");
        n -= (uint64_t)got < n ? (uint64_t)got : n;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    uint64_t *left = poll->data;
    ssize_t got = net_read(&net, input, READ_BYTES);

    (void)status;
    (void)events;
    if (got <= 0)
        net_die("read");
    *left -= (uint64_t)got < *left ? (uint64_t)got : *left;
    if (*left == 0)
        uv_poll_stop(poll);
}

/* As read_bytes(), from a loop. */
static void poll_bytes(uint64_t n)
{
    size_t spilled = net.spill_len;
    uv_poll_t poll;

    read_bytes(spilled);
    if (spilled >= n)
        return;
    n -= spilled;
    uv_poll_init(uv_default_loop(), &poll, net.fd);
    poll.data = &n;
    uv_poll_start(&poll, UV_READABLE, on_poll);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

static void run_recv(void)
{
    uint64_t n = bench.count * (frame_head_size(bench.size) + bench.size);

    bench_start();
    if (getenv("BENCH_LOOP"))
        poll_bytes(n);
    else
        read_bytes(n);
    bench_stop();
}

static void run_send(void)
{
    bench_start();
    for (uint64_t left = bench.count; left;) {
        size_t some = left < batch ? (size_t)left : batch;

        net_write_all(&net, frames, some * frame_size);
        left -= some;
    }
    read_bytes(1);
    bench_stop();
}

static void on_prepare(uv_prepare_t *prepare)
{
    uint64_t *left = prepare->data;

    net_write_all(&net, frames, frame_size);
    if (--*left == 0)
        uv_stop(prepare->loop);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* It keeps the loop from sleeping. */
}

static void run_turn(void)
{
    uint64_t left = bench.count;
    uv_prepare_t prepare;
    uv_idle_t idle;

    uv_prepare_init(uv_default_loop(), &prepare);
    uv_idle_init(uv_default_loop(), &idle);
    prepare.data = &left;
    uv_prepare_start(&prepare, on_prepare);
    uv_idle_start(&idle, on_idle);
    bench_start();
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    read_bytes(1);
    bench_stop();
}

static void run_echo(void)
{
    for (uint64_t i = 0; i < bench.count + bench.warm_up; i++) {
        uint64_t begun;

        if (i == bench.warm_up)
            bench_start();
        begun = bench_ns();
        net_write_all(&net, frames, frame_size);
        read_bytes(frame_size - 4);
        if (i >= bench.warm_up)
            bench_latency(bench_ns() - begun);
    }
    bench_stop();
}

static void run_idle(void)
{
    struct net *all = calloc(bench.count, sizeof *all);

    bench_start();
    for (uint64_t i = 0; i < bench.count; i++)
        net_open(&all[i]);
    bench_stop(); /* Nothing more comes that would be read: what they take is settled. */
}

static void close_handshake(void)
{
    static const uint8_t close_frame[6] = {0x88, 0x80};

    net_write_all(&net, close_frame, sizeof close_frame);
    while (net_read(&net, input, READ_BYTES) > 0)
        ;
    net_close(&net);
}

/* The first time makes what is made once, and brings the first TLS session. */
static void run_conn(void)
{
    for (uint64_t i = 0; i <= bench.count; i++) {
        if (i == 1)
            bench_start();
        net_open(&net);
        close_handshake();
    }
    bench_stop();
}

int main(int argc, char **argv)
{
    static void (*const run[])(void) = {
        [MODE_RECV] = run_recv, [MODE_SEND] = run_send, [MODE_TURN] = run_turn,
        [MODE_ECHO] = run_echo, [MODE_IDLE] = run_idle, [MODE_CONN] = run_conn,
    };

    bench_init(argc, argv);
    net_init();
    input = malloc(READ_BYTES);
    make_frames();
    if (bench.mode < MODE_IDLE)
        net_open(&net);
    run[bench.mode]();
    bench_report();
    return 0;
}
