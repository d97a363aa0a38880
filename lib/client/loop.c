/* The loop: the io room on a borrowed uv loop, and the port table in front of it. */
#include "client/loop.h"

#include "base/mem.h"
#include "client/config_share.h"
#include "io/cookies_curl.h"
#include "io/file_uv.h"
#include "io/http_curl.h"
#include "io/io.h"
#include "io/net.h"
#include "io/stream_openssl.h"
#include "wire/message.h"

#include <assert.h>

struct wst_loop {
    struct wst__io io;
    struct wst__ports ports;
    struct wst__configs configs;
    size_t clients;
    bool closing;
    wst_loop_close_cb cb;
    void *arg;
};

/* ---- The ports ----------------------------------------------------------------------------- */

static struct wst__io *io_of(void *world)
{
    struct wst_loop *loop = world;

    return &loop->io;
}

static void port_clock(void *world, struct wst__time *t)
{
    wst__clock_read(&io_of(world)->clock, t);
}

static uint64_t port_polled_ms(void *world)
{
    return wst__clock_polled_ms(io_of(world)->uv);
}

static int port_random(void *world, void *p, size_t n)
{
    return wst__entropy_take(&io_of(world)->entropy, p, n);
}

static void port_timer_set(void *world, struct wst__timer *t, uint64_t due_ms)
{
    wst__timer_set(&io_of(world)->timers, t, due_ms);
}

static void port_turn_ask(void *world, struct wst__turn *turn)
{
    wst__turn_ask(&io_of(world)->turns, turn);
}

static void port_turn_drop(void *world, struct wst__turn *turn)
{
    (void)world;
    wst__turn_drop(turn);
}

static int port_mailbox_post(void *world, struct wst__mailbox *box, struct wst__letter *letter)
{
    return wst__mailbox_post(&io_of(world)->mail, box, letter);
}

static void port_mailbox_close(void *world, struct wst__mailbox *box, void (*closed)(void *arg),
                               void *arg)
{
    wst__mailbox_close(&io_of(world)->mail, box, closed, arg);
}

static int port_net_new(void *world, const struct wst__net_options *opt, struct wst__net **out,
                        struct wst_cause *why)
{
    return wst__net_new(io_of(world), opt, out, why);
}

static void port_net_free(void *world, struct wst__net *net)
{
    (void)world;
    wst__net_free(net);
}

static int port_cookies(void *world, struct wst__net *net, const char *url, struct wst__buf *out)
{
    (void)world;
    return wst__cookies(net, url, out);
}

static int port_http_start(void *world, struct wst__net *net, const struct wst__http_request *rq,
                           const struct wst__http_cbs *cbs, void *arg, struct wst__http **out)
{
    (void)world;
    return wst__http_start(net, rq, cbs, arg, out);
}

static bool port_http_refusal(void *world, struct wst__http *h, struct wst_cause *why,
                              const struct wst__http_answer **answer)
{
    (void)world;
    return wst__http_refusal(h, why, answer);
}

static void port_http_cancel(void *world, struct wst__http *h)
{
    (void)world;
    wst__http_cancel(h);
}

static int port_stream_open(void *world, struct wst__net *net, const struct wst__stream_request *rq,
                            const struct wst__stream_cbs *cbs, void *arg, struct wst__stream **out)
{
    (void)world;
    return wst__stream_open(net, rq, cbs, arg, out);
}

static int port_stream_write(void *world, struct wst__stream *s, const struct iovec *iov,
                             size_t count, size_t *wrote, struct wst_cause *why)
{
    (void)world;
    return wst__stream_write(s, iov, count, wrote, why);
}

static size_t port_stream_sealed(void *world, const struct wst__stream *s)
{
    (void)world;
    return wst__stream_sealed(s);
}

static void port_stream_read(void *world, struct wst__stream *s, bool on)
{
    (void)world;
    wst__stream_read(s, on);
}

static void port_stream_shutdown(void *world, struct wst__stream *s)
{
    (void)world;
    wst__stream_shutdown(s);
}

static void port_stream_close(void *world, struct wst__stream *s, void (*closed)(void *arg),
                              void *arg)
{
    (void)world;
    wst__stream_close(s, closed, arg);
}

static int port_file_read(void *world, const char *path, wst__file_cb cb, void *arg,
                          struct wst__file **out)
{
    return wst__file_read(&io_of(world)->files, path, cb, arg, out);
}

static int port_file_replace(void *world, const char *path, const void *data, size_t n,
                             wst__file_cb cb, void *arg, struct wst__file **out)
{
    return wst__file_replace(&io_of(world)->files, path, data, n, cb, arg, out);
}

static int port_file_remove(void *world, const char *path, wst__file_cb cb, void *arg,
                            struct wst__file **out)
{
    return wst__file_remove(&io_of(world)->files, path, cb, arg, out);
}

static void port_file_cancel(void *world, struct wst__file *f)
{
    (void)world;
    wst__file_cancel(f);
}

static const struct wst__ports real_ports = {
    .clock = port_clock,
    .polled_ms = port_polled_ms,
    .random = port_random,
    .timer_set = port_timer_set,
    .turn_ask = port_turn_ask,
    .turn_drop = port_turn_drop,
    .mailbox_post = port_mailbox_post,
    .mailbox_close = port_mailbox_close,
    .net_new = port_net_new,
    .net_free = port_net_free,
    .cookies = port_cookies,
    .http_start = port_http_start,
    .http_refusal = port_http_refusal,
    .http_cancel = port_http_cancel,
    .stream_open = port_stream_open,
    .stream_write = port_stream_write,
    .stream_sealed = port_stream_sealed,
    .stream_read = port_stream_read,
    .stream_shutdown = port_stream_shutdown,
    .stream_close = port_stream_close,
    .file_read = port_file_read,
    .file_replace = port_file_replace,
    .file_remove = port_file_remove,
    .file_cancel = port_file_cancel,
};

/* ---- Life ---------------------------------------------------------------------------------- */

int wst_loop_new(struct wst_loop **out, struct uv_loop_s *uv)
{
    struct wst_loop *loop;
    int rc;

    if (!out || !uv)
        return WST_ERR_INVALID;
    loop = wst__calloc(1, sizeof *loop);
    if (!loop)
        return WST_ERR_NOMEM;
    loop->ports = real_ports;
    loop->ports.world = loop;
    loop->ports.configs = &loop->configs;
    rc = wst__ws_pool_new(&loop->ports.ws_pool, port_random, loop);
    if (rc == 0)
        rc = wst__io_init(&loop->io, uv);
    if (rc != 0) {
        wst__ws_pool_free(loop->ports.ws_pool);
        wst__free(loop);
        return rc;
    }
    *out = loop;
    return 0;
}

static void on_closed(void *arg)
{
    struct wst_loop *loop = arg;
    wst_loop_close_cb cb = loop->cb;
    void *cb_arg = loop->arg;

    wst__ws_pool_free(loop->ports.ws_pool);
    wst__free(loop);
    if (cb)
        cb(cb_arg);
}

int wst_loop_close(struct wst_loop *loop, wst_loop_close_cb cb, void *arg)
{
    if (!loop)
        return WST_ERR_INVALID;
    if (loop->clients > 0 || loop->closing)
        return WST_ERR_STATE;
    loop->closing = true;
    loop->cb = cb;
    loop->arg = arg;
    wst__io_close(&loop->io, on_closed, loop);
    return 0;
}

const struct wst__ports *wst__loop_ports(struct wst_loop *loop)
{
    return &loop->ports;
}

void wst__loop_ref(struct wst_loop *loop)
{
    loop->clients++;
}

void wst__loop_unref(struct wst_loop *loop)
{
    assert(loop->clients > 0);
    loop->clients--;
}

struct uv_loop_s *wst__loop_uv(struct wst_loop *loop)
{
    return loop->io.uv;
}

bool wst__loop_is_mine(const struct wst_loop *loop)
{
    uv_thread_t self = uv_thread_self();

    return uv_thread_equal(&self, &loop->io.thread) != 0;
}
