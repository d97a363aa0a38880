/*
 * One attempt of a client with the default ceilings, and what its memory came to.
 *
 *   bombed URL [compress] [cookies] [chunks] [fill]
 *
 * With "chunks" messages are taken in chunks, of any size together; with "fill" it sends until its
 * queue is full.
 * Prints one line: "PEAK CODE CLOSE_CODE HTTP_STATUS MESSAGES TEXT".  PEAK is the most that the
 * heap of the whole process held, libcurl, OpenSSL and zlib included, above what it held when the
 * connection was open, or, when it never was, when the attempt began.  Under a sanitizer, which
 * brings an allocator of its own, it is "unknown".
 */
#include <wsticket/wsticket.h>

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* ---- The allocator: glibc's, counted --------------------------------------------------------- */

static atomic_size_t held, peak;

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define COUNTED false
#else
#define COUNTED true

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *p);

static void *note(void *p)
{
    size_t now = p ? atomic_fetch_add(&held, malloc_usable_size(p)) + malloc_usable_size(p) : 0;
    size_t most = atomic_load(&peak);

    while (now > most && !atomic_compare_exchange_weak(&peak, &most, now)) {
    }
    return p;
}

static void forget(void *p)
{
    if (p)
        atomic_fetch_sub(&held, malloc_usable_size(p));
}

void *malloc(size_t n)
{
    return note(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
    return note(__libc_calloc(n, size));
}

/* A block that moves is counted twice for a moment, as it is there twice. */
void *realloc(void *p, size_t n)
{
    size_t old = p ? malloc_usable_size(p) : 0;
    void *moved = note(__libc_realloc(p, n));

    if (moved || n == 0)
        atomic_fetch_sub(&held, old);
    return moved;
}

void *memalign(size_t alignment, size_t n)
{
    return note(__libc_memalign(alignment, n));
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return memalign(alignment, n);
}

int posix_memalign(void **p, size_t alignment, size_t n)
{
    *p = memalign(alignment, n);
    return *p ? 0 : ENOMEM;
}

void free(void *p)
{
    forget(p);
    __libc_free(p);
}
#endif

/* ---- The attempt ----------------------------------------------------------------------------- */

static size_t base;

struct seen {
    size_t peak;
    size_t messages;
    bool fill;
    struct wst_cause cause;
};

static void measure_from_here(void)
{
    base = atomic_load(&held);
    atomic_store(&peak, base);
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    static const char data[62000];
    const struct seen *seen = arg;

    (void)subprotocol;
    measure_from_here();
    while (seen->fill && wst_client_send(client, WST_BINARY, data, sizeof data, NULL) == 0) {
    }
}

static void on_message(struct wst_client *client, enum wst_message_type type, const void *data,
                       size_t len, void *arg)
{
    struct seen *seen = arg;

    (void)client;
    (void)type;
    (void)data;
    (void)len;
    seen->messages++;
}

static void on_chunk(struct wst_client *client, enum wst_message_type type, const void *data,
                     size_t len, unsigned flags, void *arg)
{
    struct seen *seen = arg;

    (void)client;
    (void)type;
    (void)data;
    (void)len;
    seen->messages += flags & WST_CHUNK_LAST ? 1 : 0;
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    struct seen *seen = arg;

    (void)client;
    seen->cause = info->cause;
}

static void on_closed(struct wst_client *client, const struct wst_close_info *info, void *arg)
{
    struct seen *seen = arg;

    seen->cause = info->info.cause;
    (void)wst_client_stop(client); /* A connection that was stable would be made anew. */
}

static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    struct seen *seen = arg;

    (void)state;
    (void)info;
    seen->peak = atomic_load(&peak) - base;
    wst_client_close(client, NULL, NULL);
}

int main(int argc, char **argv)
{
    struct seen seen = {0};
    struct wst_client *client;
    struct wst_config config;
    struct wst_cause why;

    if (argc < 2)
        return 2;
    wst_config_init(&config);
    config.uv_loop = uv_default_loop();
    config.url = argv[1];
    config.max_attempts = 1;
    config.give_up = WST_GIVE_UP_ALWAYS;
    config.arg = &seen;
    config.on_open = on_open;
    config.on_message = on_message;
    config.on_attempt_failed = on_attempt_failed;
    config.on_closed = on_closed;
    config.on_ended = on_ended;
    for (int i = 2; i < argc; i++) {
        config.compress |= strcmp(argv[i], "compress") == 0;
        config.cookies |= strcmp(argv[i], "cookies") == 0;
        seen.fill |= strcmp(argv[i], "fill") == 0;
        if (strcmp(argv[i], "chunks") == 0) {
            config.on_message = NULL;
            config.on_chunk = on_chunk;
            config.max_message_bytes = SIZE_MAX;
        }
    }
    if (wst_client_new(&client, &config, &why) != 0) {
        fprintf(stderr, "%s\n", why.text);
        return 2;
    }
    measure_from_here();
    wst_client_start(client);
    uv_run(config.uv_loop, UV_RUN_DEFAULT);
    if (COUNTED)
        printf("%zu", seen.peak);
    else
        printf("unknown");
    printf(" %s %d %d %zu %s\n", wst_err_name(seen.cause.code), seen.cause.close_code,
           seen.cause.http_status, seen.messages, seen.cause.text);
    return uv_loop_close(config.uv_loop) == 0 ? 0 : 1;
}
