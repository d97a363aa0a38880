/*
 * The token: cached, aged by the clock that runs during sleep, and kept across runs.
 *
 * The store is read once, before the first token is wanted.  Writes are serial: one file operation
 * at a time, and when the token has changed meanwhile another one follows, which writes what is
 * then there.  So the last state wins, and close waits until it is on the disk.
 */
#include "client/token.h"

#include "base/errno_text.h"
#include "base/mem.h"
#include "client/driver.h"
#include "wire/jwt.h"
#include "wire/reply.h"

#include <errno.h>
#include <string.h>

#define MAX_LIFE_S (INT64_C(3650) * 86400) /* Beyond it a life is a mistake: not known. */

/* A clock that is outside of a stored token's life tells nothing: the token is tried. */
static void set_stored(struct wst__token *t, struct wst__secret *value, int64_t received_at,
                       int64_t life_s)
{
    struct wst_client *cl = t->client;
    struct wst__time now;

    cl->ports->clock(cl->ports->world, &now);
    wst__secret_move(&t->value, value);
    t->serial++;
    t->received_boot_ms = now.boot_ms;
    t->received_wall_s = received_at;
    t->age_ms = 0;
    t->life_ms = -1;
    if (life_s > 0 && life_s <= MAX_LIFE_S && received_at >= 0 && now.wall_s >= received_at &&
        now.wall_s - received_at < life_s) {
        t->age_ms = (uint64_t)(now.wall_s - received_at) * 1000;
        t->life_ms = life_s * 1000;
    }
}

/* ---- The store: reading -------------------------------------------------------------------- */

static bool app_store(const struct wst_client *cl)
{
    return cl->shared->config.c.store_load != NULL;
}

static void finish_load(struct wst__token *t)
{
    void (*done)(struct wst_client *) = t->on_loaded;

    t->loaded = true;
    t->on_loaded = NULL;
    if (done)
        done(t->client);
}

static const char another_origin[] = "the stored token is of another origin: not used";

/* NULL, or why it is not used.  Says nothing by itself: it may be inside a call of the API. */
static const char *accept_record(struct wst__token *t, struct wst__token_record *r)
{
    if (!wst__secret_empty(&t->value))
        return NULL; /* The application was faster, by set_token. */
    if (strcmp(r->origin, t->client->shared->config.token_origin) != 0)
        return another_origin;
    set_stored(t, &r->token, r->received_at, r->life_s);
    return NULL;
}

static void log_unused(const struct wst__token *t, const char *why)
{
    if (why)
        wst__log(WST__LOG_OF(t->client), WST_LOG_WARN, "%s", why);
}

static const char *reason(int err, int sys_errno, char text[WST__ERRNO_TEXT])
{
    return sys_errno ? wst__errno_text(sys_errno, text) : wst_strerror(err);
}

static void log_unread(const struct wst__token *t, int err, int sys_errno)
{
    const char *path = t->client->shared->config.c.token_cache;
    char text[WST__ERRNO_TEXT];

    if (err == WST_ERR_CONFIG && sys_errno == EPERM)
        wst__log(WST__LOG_OF(t->client), WST_LOG_WARN,
                 "token_cache: %s belongs to another user: it is not read, but replaced", path);
    else if (err == WST_ERR_CONFIG)
        wst__log(WST__LOG_OF(t->client), WST_LOG_WARN,
                 "token_cache: others may use %s: it is not read, but replaced; chmod 600 keeps it",
                 path);
    else
        wst__log(WST__LOG_OF(t->client), WST_LOG_WARN, "token_cache: %s could not be read (%s)",
                 path, reason(err, sys_errno, text));
}

static void on_read(void *arg, int err, int sys_errno, const void *data, size_t n)
{
    struct wst__token *t = arg;
    struct wst__token_record r = {0};

    t->reading = NULL;
    if (err != 0)
        log_unread(t, err, sys_errno);
    else if (data && !wst__token_record_read(data, n, &r))
        wst__log(WST__LOG_OF(t->client), WST_LOG_WARN, "token_cache is damaged: not used");
    else if (data)
        log_unused(t, accept_record(t, &r));
    wst__token_record_fini(&r);
    finish_load(t);
}

bool wst__token_load(struct wst__token *t, void (*done)(struct wst_client *client))
{
    struct wst_client *cl = t->client;

    if (t->loaded)
        return false;
    t->on_loaded = done;
    if (t->reading || t->load_request)
        return true;
    if (app_store(cl)) {
        t->load_request = ++cl->request_serial;
        cl->shared->config.c.store_load(cl, t->load_request, cl->shared->config.c.store_arg);
        return true;
    }
    if (cl->shared->config.c.token_cache &&
        cl->ports->file_read(cl->ports->world, cl->shared->config.c.token_cache, on_read, t,
                             &t->reading) == 0)
        return true;
    t->loaded = true;
    t->on_loaded = NULL;
    return false;
}

void wst__token_cancel_load(struct wst__token *t)
{
    if (t)
        t->on_loaded = NULL; /* What it brings is kept for the next attempt. */
}

/* It goes into a header line. */
static bool is_visible(const char *s)
{
    for (; *s; s++) {
        if (*s < 0x21 || *s > 0x7e)
            return false;
    }
    return true;
}

/* NULL, or why it is not used. */
static const char *accept_stored(struct wst__token *t, const struct wst_stored_token *s)
{
    struct wst__token_record r = {.received_at = s->received_at, .life_s = s->life_s};
    const char *why = NULL;

    if (!s->token || !*s->token || !s->origin)
        return NULL;
    if (!is_visible(s->token))
        return "the stored token has a character that a header cannot carry: not used";
    r.origin = wst__strdup(s->origin);
    if (r.origin && wst__secret_set(&r.token, s->token, strlen(s->token)) == 0)
        why = accept_record(t, &r);
    wst__token_record_fini(&r);
    return why;
}

void wst__token_loaded(struct wst_client *client, uint64_t request,
                       const struct wst_stored_token *s)
{
    struct wst__token *t = client->token;

    if (!t || request == 0 || request != t->load_request) {
        client->counts.late_answers++;
        return;
    }
    t->load_request = 0;
    t->unused_because = s ? accept_stored(t, s) : NULL;
    t->loaded = true; /* The rest runs in the loop's turn: no callback from inside a call. */
    wst__driver_ask(client);
}

/* ---- The store: writing -------------------------------------------------------------------- */

static void save(struct wst__token *t);
static int remove_file(struct wst__token *t);

static void on_written(void *arg, int err, int sys_errno, const void *data, size_t n)
{
    struct wst__token *t = arg;
    struct wst_client *cl = t->client;
    bool replaces = t->replaces;
    char text[WST__ERRNO_TEXT];

    (void)data;
    (void)n;
    t->writing = t->replaces = false;
    if (err != 0)
        wst__log(WST__LOG_OF(cl), WST_LOG_WARN, "token_cache could not be written (%s)",
                 reason(err, sys_errno, text));
    if (t->dirty)
        save(t);
    else if (err != 0 && replaces)
        t->writing = remove_file(t) == 0; /* The one before may be another user's. */
    if (!t->writing && cl->closing)
        wst__driver_ask(cl);
}

/* As a store keeps it: whole seconds, and not known when it would not be read. */
static int64_t life_to_store(const struct wst__token *t)
{
    if (t->life_ms < 0 || t->life_ms / 1000 > MAX_LIFE_S)
        return -1;
    return t->life_ms < 1000 ? 1 : t->life_ms / 1000;
}

static int remove_file(struct wst__token *t)
{
    const struct wst__ports *ports = t->client->ports;
    struct wst__file *file;

    return ports->file_remove(ports->world, t->client->shared->config.c.token_cache, on_written, t,
                              &file);
}

static int write_file(struct wst__token *t)
{
    const struct wst__ports *ports = t->client->ports;
    const char *path = t->client->shared->config.c.token_cache;
    struct wst__token_record r = {.origin = t->client->shared->config.token_origin,
                                  .token = t->value, /* Lent. */
                                  .received_at = t->received_wall_s,
                                  .life_s = life_to_store(t)};
    struct wst__file *file;
    struct wst__buf b;
    int rc;

    if (wst__secret_empty(&t->value))
        return remove_file(t);
    wst__buf_init(&b, (size_t)64 * 1024, true);
    rc = wst__token_record_write(&r, &b);
    if (rc == 0)
        rc = ports->file_replace(ports->world, path, b.data, b.len, on_written, t, &file);
    wst__buf_fini(&b);
    t->replaces = rc == 0;
    if (rc != WST_ERR_TOO_LARGE)
        return rc;
    wst__log(WST__LOG_OF(t->client), WST_LOG_WARN,
             "the token is longer than %d bytes: it is not kept in token_cache", WST__TOKEN_MAX);
    return remove_file(t); /* The one before may be another user's. */
}

/* The callback sees a copy: it may set another token, or forget it, while it looks. */
static void save_in_app(struct wst__token *t)
{
    const struct wst_config *c = &t->client->shared->config.c;
    struct wst__secret token = WST__SECRET_INIT;
    struct wst_stored_token s = {.origin = t->client->shared->config.token_origin,
                                 .received_at = t->received_wall_s,
                                 .life_s = life_to_store(t)};

    if (wst__secret_empty(&t->value)) {
        c->store_clear(t->client, c->store_arg);
        return;
    }
    if (wst__secret_copy(&token, &t->value) != 0) {
        wst__log(WST__LOG_OF(t->client), WST_LOG_WARN,
                 "the token could not be stored (out of memory)");
        return;
    }
    s.token = wst__secret_expose(&token);
    c->store_save(t->client, &s, c->store_arg);
    wst__secret_drop(&token);
}

/* From the loop only: the application's store is its callback. */
static void save(struct wst__token *t)
{
    struct wst_client *cl = t->client;

    if (t->writing)
        return;
    t->dirty = false;
    if (app_store(cl)) {
        save_in_app(t);
        return;
    }
    if (!cl->shared->config.c.token_cache)
        return;
    t->writing = true;
    if (write_file(t) != 0) {
        t->writing = false;
        wst__log(WST__LOG_OF(cl), WST_LOG_WARN, "token_cache could not be written (out of memory)");
    }
}

void wst__token_sync(struct wst__token *t)
{
    const char *unused = t ? t->unused_because : NULL;

    if (!t)
        return;
    t->unused_because = NULL;
    log_unused(t, unused);
    if (t->loaded && t->on_loaded)
        finish_load(t); /* The application's store has answered. */
    if (t->dirty)
        save(t);
}

bool wst__token_busy(const struct wst__token *t)
{
    return t && (t->writing || t->dirty);
}

static void changed(struct wst__token *t)
{
    t->dirty = true;
    wst__driver_ask(t->client);
}

/* ---- In memory ----------------------------------------------------------------------------- */

struct wst__token *wst__token_new(struct wst_client *client)
{
    struct wst__token *t = wst__calloc(1, sizeof *t);

    if (t) {
        t->client = client;
        t->life_ms = -1;
    }
    return t;
}

static void cancel_read(struct wst__token *t)
{
    const struct wst__ports *ports = t->client->ports;

    if (t->reading)
        ports->file_cancel(ports->world, t->reading);
    t->reading = NULL;
}

void wst__token_free(struct wst__token *t)
{
    if (!t)
        return;
    cancel_read(t);
    wst__secret_drop(&t->value);
    wst__free(t);
}

static uint64_t age_ms(const struct wst__token *t, uint64_t boot_ms)
{
    return t->age_ms + (boot_ms > t->received_boot_ms ? boot_ms - t->received_boot_ms : 0);
}

enum wst__token_state wst__token_state(const struct wst__token *t, uint64_t boot_ms)
{
    uint64_t age = age_ms(t, boot_ms);

    if (wst__secret_empty(&t->value))
        return WST__TOKEN_NONE;
    if (t->life_ms < 0 || age <= (uint64_t)t->life_ms / 5 * 4)
        return WST__TOKEN_FRESH;
    return age < (uint64_t)t->life_ms ? WST__TOKEN_AGEING : WST__TOKEN_OLD;
}

void wst__token_put(struct wst__token *t, struct wst__secret *value, int64_t life_ms, bool keep)
{
    struct wst_client *cl = t->client;
    struct wst__time now;

    cl->ports->clock(cl->ports->world, &now);
    if (life_ms < 0) {
        int64_t life_s = wst__jwt_life_s(wst__secret_expose(value), value->len, now.wall_s);

        life_ms = life_s < 0 ? -1 : life_s * 1000;
    }
    wst__secret_move(&t->value, value);
    t->serial++;
    t->received_boot_ms = now.boot_ms;
    t->received_wall_s = now.wall_s;
    t->age_ms = 0;
    t->life_ms = life_ms;
    t->refresh_stalled = false;
    if (keep)
        changed(t);
    else
        t->loaded = true; /* Given by the configuration: the store is not asked. */
}

void wst__token_forget(struct wst__token *t, uint64_t serial)
{
    if (serial != t->serial || wst__secret_empty(&t->value))
        return;
    wst__secret_drop(&t->value);
    changed(t);
}

void wst__token_forget_all(struct wst__token *t)
{
    if (!t)
        return;
    cancel_read(t);
    t->load_request = 0;
    t->loaded = true; /* What the store holds is to be forgotten, too. */
    wst__secret_drop(&t->value);
    t->serial++;
    changed(t);
}
