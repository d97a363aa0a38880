/* Tickets in Redis, asynchronously on the server's loop.
 *
 * The connection is in one of three states.  UP: commands are sent as they come.  CONNECTING: they
 * wait, each until its own deadline.  DOWN (the last try failed, the next is waited for): they fail
 * at once. hiredis knows no time-outs on this loop, so every command has a timer, and so has the
 * making of a connection.  A command that is not answered in time also ends the connection: a Redis
 * that is stopped keeps its sockets open, and only a new connection whose PING is answered shows
 * that it is back.
 *
 * Lifetimes: hiredis calls back once for every command it was given, with no reply when the
 * connection ends; so a command is freed when hiredis and its timer are both done with it, and the
 * store when all of that has happened to every command.
 */
#include "tickets.h"

#include <cjson/cJSON.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <hiredis/adapters/libuv.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define MIN_BACKOFF_MS 100u
#define MAX_BACKOFF_MS 2000u
#define MAX_ARGS       5

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_UP };

struct redis_store {
    struct ticket_store base;
    uv_loop_t *loop;
    char *host, *user, *password;
    long port, db;
    unsigned timeout_ms, backoff_ms;
    enum redis_state state;
    redisAsyncContext *redis;
    uv_timer_t timer; /* DOWN: the next try; CONNECTING: the end of this one */
    uv_getaddrinfo_t dns;
    struct command *commands; /* not answered */
    int refs;                 /* the timer, the lookup, the commands */
    bool closing, said_down;
};

struct command {
    struct redis_store *store;
    uv_timer_t deadline;
    char *args[MAX_ARGS];
    int argc;
    bool is_take, done, in_redis, timer_open;
    ticket_cb cb;
    void *arg;
    struct command *prev, *next;
};

static void connect_redis(struct redis_store *store);
static void go_down(struct redis_store *store, const char *reason);

/* Lifetimes */

static void wipe_free(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

static void unref_store(struct redis_store *store)
{
    if (--store->refs)
        return;
    free(store->host);
    free(store->user);
    wipe_free(store->password);
    free(store);
}

static void free_if_over(struct command *cmd)
{
    struct redis_store *store = cmd->store;
    int i;

    if (!cmd->done || cmd->in_redis || cmd->timer_open)
        return;
    for (i = 0; i < cmd->argc; i++)
        wipe_free(cmd->args[i]);
    free(cmd);
    unref_store(store);
}

static void deadline_closed(uv_handle_t *handle)
{
    struct command *cmd = handle->data;

    cmd->timer_open = false;
    free_if_over(cmd);
}

/* The one end of a command. */
static void finish(struct command *cmd, enum ticket_verdict verdict,
                   const struct ticket_value *value)
{
    struct redis_store *store = cmd->store;

    if (cmd->done)
        return;
    cmd->done = true;
    *(cmd->prev ? &cmd->prev->next : &store->commands) = cmd->next;
    if (cmd->next)
        cmd->next->prev = cmd->prev;
    uv_close((uv_handle_t *)&cmd->deadline, deadline_closed);
    cmd->cb(cmd->arg, verdict, value);
}

/* Values */

static char *value_json(const struct ticket_value *value)
{
    cJSON *json = cJSON_CreateObject();
    char *text;

    if (*value->user_id)
        cJSON_AddStringToObject(json, "userId", value->user_id);
    else
        cJSON_AddNullToObject(json, "userId");
    cJSON_AddStringToObject(json, "sessionId", value->session_id);
    cJSON_AddNumberToObject(json, "createdAt", (double)value->created_at);
    text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!text)
        abort();
    return text;
}

static bool parse_value(struct ticket_value *value, const char *text, size_t len)
{
    cJSON *json = cJSON_ParseWithLength(text, len);
    const char *user = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "userId"));
    const char *session = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "sessionId"));
    const cJSON *created = cJSON_GetObjectItemCaseSensitive(json, "createdAt");
    bool ok = session && cJSON_IsNumber(created);

    memset(value, 0, sizeof *value);
    if (ok) {
        (void)snprintf(value->user_id, sizeof value->user_id, "%s", user ? user : "");
        (void)snprintf(value->session_id, sizeof value->session_id, "%s", session);
        value->created_at = (int64_t)created->valuedouble;
    }
    cJSON_Delete(json);
    return ok;
}

/* Commands */

static void log_redis_error(const redisReply *reply)
{
    char text[LOG_TEXT_LEN];

    if (reply && reply->type == REDIS_REPLY_ERROR)
        log_line("[Redis] Error { reason: '%s' }", log_text(text, reply->str));
}

static void on_reply(redisAsyncContext *redis, void *data, void *arg)
{
    const redisReply *reply = data;
    struct command *cmd = arg;
    struct ticket_value value;

    (void)redis;
    cmd->in_redis = false;
    if (!cmd->done)
        log_redis_error(reply);
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        finish(cmd, TICKET_UNAVAILABLE, NULL);
    else if (!cmd->is_take)
        finish(cmd, reply->type == REDIS_REPLY_STATUS ? TICKET_OK : TICKET_UNAVAILABLE, NULL);
    else if (reply->type == REDIS_REPLY_STRING &&
             parse_value(&value, reply->str, (size_t)reply->len))
        finish(cmd, TICKET_OK, &value);
    else
        finish(cmd, TICKET_UNKNOWN, NULL);
    free_if_over(cmd);
}

static void give_to_redis(struct command *cmd)
{
    const char *args[MAX_ARGS];
    size_t lens[MAX_ARGS];
    int i;

    for (i = 0; i < cmd->argc; i++) {
        args[i] = cmd->args[i];
        lens[i] = strlen(cmd->args[i]);
    }
    cmd->in_redis =
        redisAsyncCommandArgv(cmd->store->redis, on_reply, cmd, cmd->argc, args, lens) == REDIS_OK;
    if (!cmd->in_redis)
        finish(cmd, TICKET_UNAVAILABLE, NULL);
}

static void deadline_passed(uv_timer_t *timer)
{
    struct command *cmd = timer->data;
    struct redis_store *store = cmd->store;
    bool sent = cmd->in_redis;

    finish(cmd, TICKET_UNAVAILABLE, NULL);
    if (sent)
        go_down(store, "no answer in time");
}

static struct command *command_new(struct redis_store *store, ticket_cb cb, void *arg)
{
    struct command *cmd = xalloc(sizeof *cmd);

    cmd->store = store;
    cmd->cb = cb;
    cmd->arg = arg;
    cmd->timer_open = true;
    store->refs++;
    (void)uv_timer_init(store->loop, &cmd->deadline);
    cmd->deadline.data = cmd;
    cmd->next = store->commands;
    if (cmd->next)
        cmd->next->prev = cmd;
    store->commands = cmd;
    return cmd;
}

static void submit(struct command *cmd)
{
    struct redis_store *store = cmd->store;

    if (store->state == REDIS_DOWN || store->closing) {
        finish(cmd, TICKET_UNAVAILABLE, NULL);
        return;
    }
    (void)uv_timer_start(&cmd->deadline, deadline_passed, store->timeout_ms, 0);
    if (store->state == REDIS_UP)
        give_to_redis(cmd);
}

static char *format_arg(const char *fmt, const char *text)
{
    size_t size = strlen(fmt) + strlen(text) + 1;
    char *arg = xalloc(size);

    (void)snprintf(arg, size, "%s%s", fmt, text);
    return arg;
}

static void redis_put(struct ticket_store *base, const char *ticket,
                      const struct ticket_value *value, unsigned ttl_s, ticket_cb cb, void *arg)
{
    struct command *cmd = command_new((struct redis_store *)base, cb, arg);
    char *json = value_json(value);
    char ttl[16];

    (void)snprintf(ttl, sizeof ttl, "%u", ttl_s);
    cmd->args[0] = xstrdup("SET");
    cmd->args[1] = format_arg("ws_ticket:", ticket);
    cmd->args[2] = xstrdup(json);
    cmd->args[3] = xstrdup("EX");
    cmd->args[4] = xstrdup(ttl);
    cmd->argc = 5;
    cJSON_free(json);
    submit(cmd);
}

static void redis_take(struct ticket_store *base, const char *ticket, ticket_cb cb, void *arg)
{
    struct command *cmd = command_new((struct redis_store *)base, cb, arg);

    cmd->is_take = true;
    cmd->args[0] = xstrdup("GETDEL");
    cmd->args[1] = format_arg("ws_ticket:", ticket);
    cmd->argc = 2;
    submit(cmd);
}

/* The connection */

static void retry_now(uv_timer_t *timer)
{
    connect_redis(timer->data);
}

/* Ends the connection, if there is one, fails what waits for it, and plans the next try. */
static void go_down(struct redis_store *store, const char *reason)
{
    redisAsyncContext *redis = store->redis;
    char text[LOG_TEXT_LEN];

    if (!store->said_down && !store->closing)
        log_line("[Redis] Unavailable { host: '%s', port: %ld, reason: '%s' }", store->host,
                 store->port, log_text(text, reason));
    store->said_down = true;
    store->state = REDIS_DOWN;
    store->redis = NULL;
    if (redis)
        redisAsyncFree(redis);
    while (store->commands)
        finish(store->commands, TICKET_UNAVAILABLE, NULL);
    if (store->closing)
        return;
    (void)uv_timer_start(&store->timer, retry_now, store->backoff_ms, 0);
    store->backoff_ms =
        store->backoff_ms * 2 < MAX_BACKOFF_MS ? store->backoff_ms * 2 : MAX_BACKOFF_MS;
}

static void connect_timed_out(uv_timer_t *timer)
{
    go_down(timer->data, "no connection in time");
}

static void go_up(struct redis_store *store)
{
    struct command *cmd = store->commands;

    store->state = REDIS_UP;
    store->backoff_ms = MIN_BACKOFF_MS;
    store->said_down = false;
    (void)uv_timer_stop(&store->timer);
    log_line("[Redis] Connected { host: '%s', port: %ld }", store->host, store->port);
    while (cmd) {
        struct command *next = cmd->next;

        give_to_redis(cmd);
        cmd = next;
    }
}

/* The answers to AUTH, SELECT and PING; the last makes the connection usable. */
static void on_setup(redisAsyncContext *redis, void *data, void *arg)
{
    struct redis_store *store = redis->data;
    const redisReply *reply = data;

    if (store->redis != redis || !reply)
        return; /* The connection has ended, which is said elsewhere. */
    if (reply->type == REDIS_REPLY_ERROR)
        go_down(store, reply->str);
    else if (arg)
        go_up(store);
}

static void on_disconnect(const redisAsyncContext *redis, int status)
{
    struct redis_store *store = redis->data;

    (void)status;
    if (store->redis != redis)
        return;
    store->redis = NULL; /* hiredis frees it. */
    go_down(store, "connection lost");
}

static void on_connect(const redisAsyncContext *redis, int status)
{
    struct redis_store *store = redis->data;

    if (status == REDIS_OK || store->redis != redis)
        return;
    store->redis = NULL;
    go_down(store, redis->errstr ? redis->errstr : "no connection");
}

/*
 * The adapter of hiredis before 1.0 passes over a poll that reports an error: a connection that was
 * refused would be known only when its time is up.  So what it calls to watch the socket is ours:
 * an error is what it waits for, and hiredis finds out which.
 */
static void on_poll(uv_poll_t *handle, int status, int events)
{
    const redisLibuvEvents *adapter = handle->data;

    redisLibuvPoll(handle, 0, status < 0 ? adapter->events : events);
}

static void watch(redisLibuvEvents *adapter, int events)
{
    adapter->events = events;
    if (events)
        (void)uv_poll_start(&adapter->handle, events, on_poll);
    else
        (void)uv_poll_stop(&adapter->handle);
}

static void add_read(void *adapter)
{
    watch(adapter, ((redisLibuvEvents *)adapter)->events | UV_READABLE);
}

static void del_read(void *adapter)
{
    watch(adapter, ((redisLibuvEvents *)adapter)->events & ~UV_READABLE);
}

static void add_write(void *adapter)
{
    watch(adapter, ((redisLibuvEvents *)adapter)->events | UV_WRITABLE);
}

static void del_write(void *adapter)
{
    watch(adapter, ((redisLibuvEvents *)adapter)->events & ~UV_WRITABLE);
}

static void set_up(struct redis_store *store)
{
    redisAsyncContext *redis = store->redis;

    redis->data = store;
    redis->ev.addRead = add_read;
    redis->ev.delRead = del_read;
    redis->ev.addWrite = add_write;
    redis->ev.delWrite = del_write;
    (void)redisAsyncSetConnectCallback(redis, on_connect);
    (void)redisAsyncSetDisconnectCallback(redis, on_disconnect);
    if (store->user)
        (void)redisAsyncCommand(redis, on_setup, NULL, "AUTH %s %s", store->user, store->password);
    else if (store->password)
        (void)redisAsyncCommand(redis, on_setup, NULL, "AUTH %s", store->password);
    if (store->db)
        (void)redisAsyncCommand(redis, on_setup, NULL, "SELECT %ld", store->db);
    (void)redisAsyncCommand(redis, on_setup, store, "PING");
}

static void dial(struct redis_store *store, const struct sockaddr *addr)
{
    redisAsyncContext *redis;
    char ip[64];

    if (uv_ip_name(addr, ip, sizeof ip) < 0) {
        go_down(store, "no address");
        return;
    }
    redis = redisAsyncConnect(ip, (int)store->port);
    if (!redis || redis->err || redisLibuvAttach(redis, store->loop) != REDIS_OK) {
        go_down(store, redis && redis->err ? redis->errstr : "no connection");
        if (redis)
            redisAsyncFree(redis);
        return;
    }
    store->redis = redis;
    set_up(store);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct redis_store *store = req->data;

    if (store->state == REDIS_CONNECTING && !store->redis && !store->closing) {
        if (status < 0)
            go_down(store, uv_strerror(status));
        else
            dial(store, found->ai_addr);
    }
    uv_freeaddrinfo(found);
    store->dns.data = NULL;
    unref_store(store);
}

/* hiredis would look the name up in the foreground, so that is done here, on libuv's pool. */
static void connect_redis(struct redis_store *store)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int err = UV_EBUSY;
    char port[8];

    (void)snprintf(port, sizeof port, "%ld", store->port);
    store->state = REDIS_CONNECTING;
    (void)uv_timer_start(&store->timer, connect_timed_out, store->timeout_ms, 0);
    if (!store->dns.data) {
        store->dns.data = store;
        err = uv_getaddrinfo(store->loop, &store->dns, on_resolved, store->host, port, &hints);
        if (err == 0)
            store->refs++;
        else
            store->dns.data = NULL;
    }
    if (err < 0)
        go_down(store, uv_strerror(err));
}

static void timer_closed(uv_handle_t *handle)
{
    unref_store(handle->data);
}

static void redis_close(struct ticket_store *base)
{
    struct redis_store *store = (struct redis_store *)base;

    store->closing = true;
    go_down(store, "closing");
    if (store->dns.data)
        (void)uv_cancel((uv_req_t *)&store->dns);
    uv_close((uv_handle_t *)&store->timer, timer_closed);
}

/* The URL */

/* Cuts |text| at the first |sep| and returns what is behind it, or NULL when there is none. */
static char *cut(char *text, char sep)
{
    char *at = strchr(text, sep);

    if (at)
        *at++ = '\0';
    return at;
}

static const char *parse_credentials(struct redis_store *store, char *user)
{
    char *password = cut(user, ':');

    if (!password || !*password || !percent_decode(user) || !percent_decode(password))
        return "the part before the @ is not [user]:password";
    store->user = *user ? xstrdup(user) : NULL;
    store->password = xstrdup(password);
    return NULL;
}

static const char *parse_host(struct redis_store *store, char *host)
{
    char *port;
    long n = 6379;

    if (*host == '[') {
        port = cut(++host, ']');
        if (!port || (*port && *port != ':'))
            return "the address in brackets is not complete";
        port = *port ? port + 1 : NULL;
    } else {
        port = cut(host, ':');
    }
    if (port) {
        if (!*port || strspn(port, "0123456789") != strlen(port) || strlen(port) > 5)
            return "the port is not a number";
        n = strtol(port, NULL, 10);
    }
    if (!*host || n < 1 || n > 65535)
        return *host ? "the port is not between 1 and 65535" : "the host is missing";
    store->host = xstrdup(host);
    store->port = n;
    return NULL;
}

static const char *parse_url(struct redis_store *store, char *url)
{
    char *db;
    char *at;

    if (strncmp(url, "redis://", 8) != 0)
        return "it does not begin with redis://";
    url += 8;
    db = cut(url, '/');
    if (db && *db) {
        if (strspn(db, "0123456789") != strlen(db) || strlen(db) > 4)
            return "the database is not a number";
        store->db = strtol(db, NULL, 10);
    }
    at = strrchr(url, '@');
    if (at) {
        const char *why;

        *at = '\0';
        why = parse_credentials(store, url);
        if (why)
            return why;
        url = at + 1;
    }
    return parse_host(store, url);
}

struct ticket_store *tickets_redis_new(uv_loop_t *loop, const char *url, unsigned timeout_ms,
                                       const char **why)
{
    struct redis_store *store = xalloc(sizeof *store);
    char *copy = xstrdup(url);

    store->refs = 1;
    *why = parse_url(store, copy);
    wipe_free(copy);
    if (*why) {
        unref_store(store);
        return NULL;
    }
    store->base.put = redis_put;
    store->base.take = redis_take;
    store->base.close = redis_close;
    store->loop = loop;
    store->timeout_ms = timeout_ms;
    store->backoff_ms = MIN_BACKOFF_MS;
    (void)uv_timer_init(loop, &store->timer);
    store->timer.data = store;
    connect_redis(store);
    return &store->base;
}
