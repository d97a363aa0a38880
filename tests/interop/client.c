/*
 * Walks through one part of the interoperability matrix on one connection: sends a message of each
 * size and type to a server that echoes, and compares what comes back, byte by byte.
 *
 *   interop_client URL [ca=FILE] [compress] [chunks]
 *
 * With "chunks" each message leaves in four fragments, one of them empty.
 *
 * Prints a line for each cell, "TYPE SIZE ok" or "TYPE SIZE: " and what was wrong, which ends it;
 * and at the end "closed CODE", with "clean" when both close frames were exchanged.
 */
#include <wsticket/wsticket.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define MIB ((size_t)1024 * 1024)

static const size_t sizes[] = {0, 1, 125, 126, 65535, 65536, MIB, 16 * MIB};
enum { SIZES = sizeof sizes / sizeof sizes[0], CELLS = 2 * SIZES };

struct walk {
    struct wst_client *client;
    bool chunks;
    size_t cell;
    uint8_t *data; /* What was sent last. */
    bool failed;
};

static size_t size_of(const struct walk *w)
{
    return sizes[w->cell / 2];
}

static enum wst_message_type type_of(const struct walk *w)
{
    return w->cell % 2 ? WST_BINARY : WST_TEXT;
}

/* Characters of one to four bytes; what is left of the last one is filled up. */
static void fill_text(uint8_t *p, size_t n, uint64_t state)
{
    static const char *const parts[] = {"e",  "wort ", "\xc3\xa4",     "\xe2\x82\xac",
                                        "12", "\n",    "\xed\x9f\xbf", "\xf0\x9f\x8e\x9f"};

    while (n) {
        const char *part = parts[state >> 61];
        size_t len = strlen(part);

        state = state * 6364136223846793005u + 1442695040888963407u;
        if (len > n) {
            part = "aaa";
            len = n;
        }
        memcpy(p, part, len);
        p += len;
        n -= len;
    }
}

/* Every value of a byte, in an order without end, and stretches that can be compressed. */
static void fill_binary(uint8_t *p, size_t n, uint64_t state)
{
    for (size_t i = 0; i < n; i++) {
        if (i % 8 == 0)
            state = state * 6364136223846793005u + 1442695040888963407u;
        p[i] = (uint8_t)(i % 512 < 128 ? state >> (i % 8 * 8) : i / 512);
    }
}

static void fail(struct walk *w, const char *what, unsigned long long where)
{
    printf("%s %zu: ", type_of(w) == WST_TEXT ? "text" : "binary", size_of(w));
    printf(what, where);
    putchar('\n');
    w->failed = true;
    wst_client_stop(w->client);
}

/* Cut anywhere, inside of characters too. */
static int send_in_chunks(struct walk *w)
{
    size_t n = size_of(w);
    size_t ends[] = {n / 3, n / 3, n - n / 4, n};
    size_t from = 0;

    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        unsigned flags = (i == 0 ? WST_CHUNK_FIRST : 0u) | (i == 3 ? WST_CHUNK_LAST : 0u);
        int rc = wst_client_send_chunk(w->client, type_of(w), w->data + from, ends[i] - from, flags,
                                       NULL);

        if (rc != 0)
            return rc;
        from = ends[i];
    }
    return 0;
}

static void next(struct walk *w)
{
    int rc;

    if (w->cell == CELLS) {
        wst_client_stop(w->client);
        return;
    }
    if (type_of(w) == WST_TEXT)
        fill_text(w->data, size_of(w), w->cell + 1);
    else
        fill_binary(w->data, size_of(w), w->cell + 1);
    rc = w->chunks ? send_in_chunks(w)
                   : wst_client_send(w->client, type_of(w), w->data, size_of(w), NULL);
    if (rc != 0)
        fail(w, wst_strerror(rc), 0);
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    (void)client;
    (void)subprotocol;
    next(arg);
}

static void on_message(struct wst_client *client, enum wst_message_type type, const void *data,
                       size_t len, void *arg)
{
    struct walk *w = arg;
    const uint8_t *p = data;
    size_t at = 0;

    (void)client;
    if (w->failed)
        return;
    while (at < len && at < size_of(w) && p[at] == w->data[at])
        at++;
    if (type != type_of(w)) {
        fail(w, "it came back with the other type", 0);
    } else if (at != len || at != size_of(w)) {
        fail(w, "it came back otherwise from byte %llu on", at);
    } else {
        printf("%s %zu ok\n", type == WST_TEXT ? "text" : "binary", len);
        w->cell++;
        next(w);
    }
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    (void)client;
    (void)arg;
    printf("not open: %s\n", info->cause.text);
}

static void on_closed(struct wst_client *client, const struct wst_close_info *info, void *arg)
{
    (void)client;
    (void)arg;
    if (info->was_clean)
        printf("closed %d clean\n", info->code);
    else
        printf("closed %d: %s\n", info->code, info->info.cause.text);
}

static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    (void)state;
    (void)info;
    (void)arg;
    wst_client_close(client, NULL, NULL);
}

static void read_arguments(struct walk *w, struct wst_config *config, char **argv)
{
    for (; *argv; argv++) {
        if (strncmp(*argv, "ca=", 3) == 0) {
            config->ca_file = *argv + 3;
        } else if (strcmp(*argv, "chunks") == 0) {
            w->chunks = true;
        } else if (strcmp(*argv, "compress") == 0) {
            config->compress = 1;
            config->compress_min_bytes = 1;
        } else {
            fprintf(stderr, "interop_client: %s?\n", *argv);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    struct walk w = {0};
    struct wst_config config;
    struct wst_cause why;

    if (argc < 2) {
        fputs("usage: interop_client URL [ca=FILE] [compress] [chunks]\n", stderr);
        return 2;
    }
    wst_config_init(&config);
    config.uv_loop = uv_default_loop();
    config.ws_url = argv[1];
    config.ticket_step = WST_STEP_MODE_OMIT;
    config.max_message_bytes = sizes[SIZES - 1];
    config.max_queue_bytes = 2 * sizes[SIZES - 1];
    config.max_attempts = 1;
    config.ping_interval_ms = 0; /* A peer on a busy machine may need long for 16 MiB. */
    config.arg = &w;
    config.on_open = on_open;
    config.on_message = on_message;
    config.on_attempt_failed = on_attempt_failed;
    config.on_closed = on_closed;
    config.on_ended = on_ended;
    read_arguments(&w, &config, argv + 2);
    w.data = malloc(sizes[SIZES - 1]);
    if (!w.data || wst_client_new(&w.client, &config, &why) != 0) {
        fprintf(stderr, "interop_client: %s\n", w.data ? why.text : "out of memory");
        return 2;
    }
    wst_client_start(w.client);
    uv_run(config.uv_loop, UV_RUN_DEFAULT);
    free(w.data);
    return uv_loop_close(config.uv_loop) == 0 && !w.failed ? 0 : 1;
}
