/* wsticket-server: the reference ticket server, FOR DEVELOPMENT AND TESTS ONLY.
 *
 * It hands out tokens to anybody who asks, keeps its faults switchable, and has not been hardened
 * in any way: do not put it where strangers can reach it.
 *
 * It does not use libwsticket.  It is an independent implementation of the other end of the wire,
 * so that the two can disagree: one libuv loop carries the connections and OpenSSL (conn.c, tls.c),
 * HTTP (http.c, api.c, admin.c), libwebsockets (ws.c), and Redis through hiredis (tickets_redis.c).
 */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "api.h"
#include "conn.h"
#include "http.h"
#include "log.h"
#include "server.h"
#include "tls.h"
#include "ws.h"

#define IDLE_MS 60000
#define SHUTDOWN_MS                                                                                \
    800 /* for the close handshakes; the rest of the promised second is for the end */
#define POLL_MS 10

struct main_state {
    struct server server;
    struct tls tls;
    struct conn_listener *listener, *admin_listener;
    uv_signal_t sigint, sigterm;
    uv_timer_t end;
    uint64_t end_at;
    bool stopping;
};

static int fail(const char *what, const char *arg, const char *why)
{
    (void)fprintf(stderr, "wsticket-server: %s %s: %s\n", what, arg, why);
    return 1;
}

/* Connections */

static void on_accept(struct conn *conn, void *arg)
{
    struct main_state *m = arg;
    struct fault *fault = faults_take(&m->server.faults, FAULT_ACCEPT);

    m->server.stats.tcp_accepted++;
    if (fault && fault->drop == FAULT_DROP_RST) {
        conn_reset(conn);
    } else if (fault && fault->drop == FAULT_DROP_FIN) {
        conn_drop(conn);
    } else {
        http_serve(conn, api_handle, &m->server, fault && fault->stall ? 0 : IDLE_MS);
        if (fault && fault->stall)
            conn_freeze(conn);
    }
    fault_unref(fault);
}

static void on_admin_accept(struct conn *conn, void *arg)
{
    struct main_state *m = arg;

    http_serve(conn, api_handle, &m->server, IDLE_MS);
}

/* Splits HOST:PORT or [HOST]:PORT; an empty or missing host is 127.0.0.1. */
static bool split_address(const char *text, char *host, size_t size, const char **port)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;

    if (!colon || !colon[1])
        return false;
    if (len >= 2 && *text == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    *port = colon + 1;
    return (size_t)snprintf(host, size, "%.*s", (int)len, len ? text : "") < size;
}

static struct addrinfo *resolve(const char *text, char *host, size_t size)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *port;

    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    if (!split_address(text, host, size, &port))
        return NULL;
    if (!*host)
        (void)snprintf(host, size, "127.0.0.1");
    /* getaddrinfo() would take 65536 for 0. */
    if (strspn(port, "0123456789") != strlen(port) || strtoul(port, NULL, 10) > 65535)
        return NULL;
    return getaddrinfo(host, port, &hints, &found) == 0 ? found : NULL;
}

/* The host to write into a URL: a person on this machine uses localhost where that leads here. */
static void url_host(char *out, size_t size, const char *host)
{
    static const char *const local[] = {"127.0.0.1", "::1", "0.0.0.0", "::", "localhost"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(local); i++) {
        if (!strcmp(local[i], host)) {
            (void)snprintf(out, size, "localhost");
            return;
        }
    }
    (void)snprintf(out, size, strchr(host, ':') ? "[%s]" : "%s", host);
}

static bool write_port(const char *file, int port)
{
    FILE *out = fopen(file, "w");
    bool ok = out && fprintf(out, "%d\n", port) > 0;

    return (!out || fclose(out) == 0) && ok;
}

static bool is_loopback(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr);
    return ntohl(((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr) >> 24 == 127;
}

/* The first line of stdout is for programs; what follows is for people. */
static void announce(const struct main_state *m, const char *host)
{
    int port = conn_listener_port(m->listener);
    char name[256];

    url_host(name, sizeof name, host);
    (void)printf("listening %s://%s:%d%s\n", m->tls.ctx ? "https" : "http", name, port,
                 m->server.options.prefix);
    if (m->tls.ca_file)
        (void)printf("trust it with: wsticket connect --ca-file %s https://%s:%d%s\n",
                     m->tls.ca_file, name, port, m->server.options.prefix);
    (void)fflush(stdout);
}

static int listen_tcp(struct main_state *m)
{
    const struct options *options = &m->server.options;
    const char *text = options->listen    ? options->listen
                       : options->use_tls ? "127.0.0.1:8443"
                                          : "127.0.0.1:8080";
    struct conn_listener_config config = {m->tls.ctx, on_accept, m, false};
    char host[256];
    struct addrinfo *found = resolve(text, host, sizeof host);
    bool reachable;
    int err;

    if (!found)
        return fail("cannot listen on", text,
                    "not HOST:PORT with a host of this machine and a port to 65535");
    m->listener = conn_listen_tcp(&m->server.loop, found->ai_addr, &config, &err);
    reachable = !is_loopback(found->ai_addr);
    freeaddrinfo(found);
    if (!m->listener)
        return fail("cannot listen on", text, uv_strerror(err));
    if (options->port_file && !write_port(options->port_file, conn_listener_port(m->listener)))
        return fail("cannot write", options->port_file, strerror(errno));
    announce(m, host);
    if (reachable)
        log_line("Warning: other machines may reach %s, and this server gives a token to anybody; "
                 "it is for development and tests",
                 text);
    return 0;
}

static int listen_admin(struct main_state *m)
{
    const char *path = m->server.options.admin_socket;
    struct conn_listener_config config = {NULL, on_admin_accept, m, true};
    int err;

    if (!path)
        return 0;
    m->admin_listener = conn_listen_path(&m->server.loop, path, &config, &err);
    if (m->admin_listener)
        return 0;
    /* libuv says EACCES for ENOENT, too. */
    return fail("cannot listen on", path,
                err == UV_EACCES ? "no such directory, or not ours to write" : uv_strerror(err));
}

/* The end */

static void close_everything(struct main_state *m)
{
    conn_drop_all();
    if (m->server.ws)
        ws_engine_stop(m->server.ws);
    if (m->server.store)
        m->server.store->close(m->server.store);
    m->server.store = NULL;
    conn_listener_close(m->admin_listener);
    uv_close((uv_handle_t *)&m->sigint, NULL);
    uv_close((uv_handle_t *)&m->sigterm, NULL);
    uv_close((uv_handle_t *)&m->end, NULL);
}

static void check_end(uv_timer_t *timer)
{
    struct main_state *m = timer->data;

    if (ws_count(m->server.ws) == 0 || uv_now(&m->server.loop) >= m->end_at)
        close_everything(m);
}

/* WebSockets are closed with 1001 "going away" and get SHUTDOWN_MS to answer. */
static void stop(struct main_state *m)
{
    conn_listener_close(m->listener);
    m->listener = NULL;
    ws_close_all(m->server.ws, 1001, "server stops");
    m->end_at = uv_now(&m->server.loop) + SHUTDOWN_MS;
    (void)uv_timer_start(&m->end, check_end, 0, POLL_MS);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct main_state *m = handle->data;

    (void)signum;
    if (m->stopping) {
        m->end_at = 0;
        return;
    }
    m->stopping = true;
    stop(m);
}

static void watch_signal(struct main_state *m, uv_signal_t *handle, int signum)
{
    (void)uv_signal_init(&m->server.loop, handle);
    handle->data = m;
    (void)uv_signal_start(handle, on_signal, signum);
}

/* The beginning */

static int start_store(struct server *server)
{
    const char *why;

    if (!server->options.redis) {
        server->store = tickets_memory_new();
        return 0;
    }
    server->store = tickets_redis_new(&server->loop, server->options.redis,
                                      (unsigned)server->options.redis_timeout_ms, &why);
    /* The URL may hold a password, so it is not repeated. */
    return server->store ? 0 : fail("cannot use", "the URL of --redis", why);
}

static int start_faults(struct server *server)
{
    char why[256];
    size_t i;

    for (i = 0; i < server->options.fault_count; i++)
        if (!admin_apply(server, server->options.faults[i], why, sizeof why))
            return fail("cannot use", "--fault", why);
    return 0;
}

static int start(struct main_state *m)
{
    struct server *server = &m->server;

    jwt_key_set(&server->jwt_key, server->options.jwt_secret);
    if (server->options.use_tls && !tls_init(&m->tls, &server->options.tls))
        return 1;
    server->ws = ws_engine_new(server);
    if (!server->ws || start_store(server) || start_faults(server) || listen_admin(m))
        return 1;
    return listen_tcp(m);
}

/* Each WebSocket takes three descriptors, so the soft limit is raised to what is allowed. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    static struct main_state m;
    int status = options_parse(&m.server.options, argc, argv);

    if (status >= 0)
        return status;
    log_timestamps(m.server.options.timestamps);
    (void)signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    (void)uv_loop_init(&m.server.loop);
    watch_signal(&m, &m.sigint, SIGINT);
    watch_signal(&m, &m.sigterm, SIGTERM);
    (void)uv_timer_init(&m.server.loop, &m.end);
    m.end.data = &m;
    status = start(&m);
    if (status != 0) {
        conn_listener_close(m.listener);
        close_everything(&m);
    }
    (void)uv_run(&m.server.loop, UV_RUN_DEFAULT);
    ws_engine_free(m.server.ws);
    (void)uv_loop_close(&m.server.loop);
    faults_clear(&m.server.faults);
    jwt_key_clear(&m.server.jwt_key);
    tls_fini(&m.tls);
    return status;
}
