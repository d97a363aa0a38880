/*
 * A client that is given secrets, uses them, is closed, and leaves its process for others to look
 * at: what is left of the secrets?
 *
 *   release wipe|count STAGE URL CA TRACE WS_PATH
 *
 * The application's own secrets come on stdin, a line each: a header's value, a body, a proxy's URL
 * (or nothing), a query of the ticket's URL.  They are wiped as soon as the client has them, as an
 * application would do that takes care.  Tokens and tickets come from the server.
 *
 * wipe:   the allocator wipes what is freed.  After the release the process stops, so that its
 * memory can be read, and then aborts, so that its core can. count:  stdin's next line is a secret
 * to look for.  Every block that is freed is searched, and those that are alive after the release;
 * prints "LIBRARY FREED ALIVE" for each library that had asked for such a block.
 *
 * STAGE:  client: the loop's resources live on; loop: they are released, too.
 */
#include "lib/heap.h"

#include <wsticket/wsticket.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define LINE_MAX_BYTES 256
#define FAILURES       3 /* Then it is closed. */
#define GUARD_MS       15000

enum { HEADER, BODY, PROXY, QUERY, LOOK_FOR, LINES };

struct release {
    uv_loop_t uv;
    uv_timer_t guard;
    struct wst_loop *loop;
    struct wst_client *client;
    unsigned opens, failures;
    bool closing;
    bool loop_too;
    FILE *trace;
};

static char lines[LINES][LINE_MAX_BYTES];

/* Byte by byte, so that no buffer of stdio's keeps them. */
static void read_lines(void)
{
    for (int i = 0; i < LINES; i++) {
        size_t n = 0;

        while (n < LINE_MAX_BYTES - 1 && read(0, &lines[i][n], 1) == 1 && lines[i][n] != '\n')
            n++;
        lines[i][n] = '\0';
    }
}

static void on_gone(struct wst_client *client, void *arg)
{
    struct release *r = arg;

    (void)client;
    uv_close((uv_handle_t *)&r->guard, NULL);
    if (r->loop_too && wst_loop_close(r->loop, NULL, NULL) != 0)
        exit(1);
}

static void close_client(struct release *r)
{
    if (r->closing)
        return;
    r->closing = true;
    wst_client_close(r->client, on_gone, r);
}

static void on_guard(uv_timer_t *guard)
{
    (void)guard;
    fputs("too long\n", stderr);
    exit(1);
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    struct release *r = arg;

    (void)subprotocol;
    r->opens++;
    (void)wst_client_send(client, WST_TEXT, "again", 5, NULL);
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    struct release *r = arg;

    (void)client;
    fprintf(r->trace, "failed: %s\n", info->cause.text);
    if (++r->failures == FAILURES)
        close_client(r);
}

static void on_log(enum wst_log_level level, const char *text, void *arg)
{
    struct release *r = arg;

    fprintf(r->trace, "%d %s\n", (int)level, text);
}

static void make_client(struct release *r, char **argv)
{
    struct wst_header header = {WST_STEP_NONE, "X-Api-Key", lines[HEADER]};
    char ticket_url[2 * LINE_MAX_BYTES];
    char ws_url[2 * LINE_MAX_BYTES];
    struct wst_config c;
    struct wst_cause why;

    wst_config_init(&c);
    (void)snprintf(ws_url, sizeof ws_url, "ws%s%s", argv[3] + 4, argv[6]);
    c.ws_url = ws_url;
    (void)snprintf(ticket_url, sizeof ticket_url, "%s/api/v1/ws-ticket?%s", argv[3], lines[QUERY]);
    c.loop = r->loop;
    c.url = argv[3];
    c.ticket_url = ticket_url;
    c.ca_file = *argv[4] ? argv[4] : NULL;
    c.headers = &header;
    c.header_count = 1;
    c.token_body = lines[BODY];
    c.proxy = lines[PROXY];
    c.base_delay_ms = c.cap_ms = 50;
    c.give_up = WST_GIVE_UP_NEVER;
    c.cookies = 1;
    c.arg = r;
    c.on_open = on_open;
    c.on_attempt_failed = on_attempt_failed;
    c.log_cb = on_log;
    c.log_level = WST_LOG_DEBUG;
    if (wst_client_new(&r->client, &c, &why) != 0) {
        fprintf(stderr, "%s\n", why.text);
        exit(1);
    }
    explicit_bzero(ticket_url, sizeof ticket_url);
    explicit_bzero(lines, sizeof lines[0] * LOOK_FOR);
}

static void live(struct release *r, char **argv)
{
    if (uv_loop_init(&r->uv) != 0 || wst_loop_new(&r->loop, &r->uv) != 0)
        exit(1);
    (void)uv_timer_init(&r->uv, &r->guard);
    (void)uv_timer_start(&r->guard, on_guard, GUARD_MS, 0);
    make_client(r, argv);
    (void)wst_client_start(r->client);
    (void)uv_run(&r->uv, UV_RUN_DEFAULT);
    if (r->loop_too && uv_loop_close(&r->uv) != 0)
        exit(1);
}

int main(int argc, char **argv)
{
    struct release r = {.loop = NULL};
    bool wipe = argc > 1 && strcmp(argv[1], "wipe") == 0;

    if (argc != 7 || !heap_works()) {
        fputs("usage: release wipe|count STAGE URL CA TRACE WS_PATH\n", stderr);
        return 2;
    }
    r.loop_too = strcmp(argv[2], "loop") == 0;
    r.trace = fopen(argv[5], "w");
    read_lines();
    if (!r.trace)
        return 2;
    heap_wipe(wipe);
    if (!wipe)
        heap_plant(lines[LOOK_FOR]);
    live(&r, argv);
    fprintf(r.trace, "%u opens, %u failures\n", r.opens, r.failures);
    fflush(r.trace);
    if (!wipe) {
        heap_search_alive();
        heap_print_found(stdout);
        return 0;
    }
    printf("released\n");
    fflush(stdout);
    (void)raise(SIGSTOP);
    abort();
}
