/*
 * Many clients in one process, on the public API.  It checks what each client can tell by itself
 * (attempts and connections are begun and ended in pairs, an echo is one's own), writes a trace of
 * what happened to each, and at its end counts what was left behind.
 *
 *   fleet TRACE [OPTION=MS...] NAME=COUNT,URL[,CA]...
 *
 * It lives twice.  The first life is a warm-up: everybody opens and is closed again, and the
 * process then holds what its libraries keep for good.  The second one obeys the words on stdin:
 *
 *   status   prints one JSON object
 *   chat     everybody who is open, and waits for no echo, sends a message and waits for its echo
 *   quit     half of the clients are stopped first, then all are closed; prints the last object
 *
 * A line of the trace is "MICROSECONDS CLIENT EVENT ...", on the wall clock, as Redis has it:
 *   A n        attempt n has begun             O            open
 *   T          the ticket is asked for         C code name  closed, with the cause's name
 *   U          the upgrade is written          F code name status  the attempt has failed
 *   L text     a line of the library's log
 */
#include "lib/heap.h"

#include <wsticket/wsticket.h>

#include <dirent.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define GROUPS_MAX 8
#define CODES      64
#define WARM_UP    12    /* Clients of each group. */
#define GUARD_MS   60000 /* For the warm-up. */
#define BUF_BYTES  (1 << 20)

struct group {
    char *name, *url, *ca, *cache; /* |ca| NULL: the system's. */
    unsigned count, open, opens, closed, failed;
};

struct member {
    struct fleet *fleet;
    struct group *group;
    struct wst_client *client;
    unsigned number;
    bool in_attempt, open, awaits_echo;
    unsigned said;
    char body[48]; /* Names the user of the token, so that a ticket tells whose it is. */
};

struct fleet {
    uv_loop_t uv;
    uv_pipe_t in;
    uv_timer_t guard;
    struct wst_loop *loop;
    struct group *groups;
    size_t group_count;
    struct member *members;
    unsigned count, open, alive, ended, echoes;
    bool warm_up, quitting;
    unsigned codes[CODES], soft;
    char input[256];
    size_t input_len;
};

static struct wst_config options;
static uint64_t lives = 2;
static FILE *trace;

static void die(const struct member *m, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

static void die(const struct member *m, const char *format, ...)
{
    va_list ap;

    fprintf(stderr, "client %u: ", m ? m->number : 0);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    fflush(trace);
    exit(1);
}

static void expect(const struct member *m, bool ok, const char *what)
{
    if (!ok)
        die(m, "%s", what);
}

static void write_trace(const struct member *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void write_trace(const struct member *m, const char *format, ...)
{
    struct timespec now;
    va_list ap;

    if (m->fleet->warm_up)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    fprintf(trace, "%lld%06ld %u ", (long long)now.tv_sec, now.tv_nsec / 1000, m->number);
    va_start(ap, format);
    vfprintf(trace, format, ap);
    va_end(ap);
    fputc('\n', trace);
}

/* ---- The end of a life --------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    handle->data = NULL;
}

static void on_loop_closed(void *arg)
{
    struct fleet *f = arg;

    uv_close((uv_handle_t *)&f->guard, on_handle_closed);
    if (!f->warm_up)
        uv_close((uv_handle_t *)&f->in, on_handle_closed);
}

static void on_client_closed(struct wst_client *client, void *arg)
{
    struct member *m = arg;
    struct fleet *f = m->fleet;

    (void)client;
    expect(m, !m->open && !m->in_attempt, "closed with something begun and not ended");
    if (--f->alive == 0)
        expect(m, wst_loop_close(f->loop, on_loop_closed, f) == 0, "the loop cannot be closed");
}

static void close_all(struct fleet *f)
{
    for (unsigned i = 0; i < f->count; i++)
        wst_client_close(f->members[i].client, on_client_closed, &f->members[i]);
}

/* Those with an odd number are stopped, and all are closed when they have come to rest. */
static void quit(struct fleet *f)
{
    f->quitting = true;
    for (unsigned i = 1; i < f->count; i += 2)
        expect(&f->members[i], wst_client_stop(f->members[i].client) == 0, "it does not stop");
    if (f->count < 2)
        close_all(f);
}

/* ---- Callbacks ----------------------------------------------------------------------------- */

static void on_attempt(struct wst_client *client, uint64_t attempt, void *arg)
{
    struct member *m = arg;

    (void)client;
    expect(m, !m->in_attempt && !m->open, "a second attempt beside the first");
    m->in_attempt = true;
    write_trace(m, "A %llu", (unsigned long long)attempt);
}

static void on_progress(struct wst_client *client, enum wst_progress progress, void *arg)
{
    struct member *m = arg;

    (void)client;
    expect(m, m->in_attempt, "progress outside of an attempt");
    if (progress == WST_PROGRESS_TICKET_REQUEST)
        write_trace(m, "T");
    else if (progress == WST_PROGRESS_UPGRADE)
        write_trace(m, "U");
}

static void count_cause(struct fleet *f, const struct wst_cause *cause)
{
    if (cause->code < 0 && cause->code > -CODES)
        f->codes[-cause->code]++;
    if (cause->cls == WST_CLASS_SOFT)
        f->soft++;
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    struct member *m = arg;

    (void)client;
    expect(m, m->in_attempt, "a failure outside of an attempt");
    expect(m, info->next_delay_ms != WST_NO_DELAY || m->fleet->quitting, "it has given up");
    m->in_attempt = false;
    m->group->failed++;
    count_cause(m->fleet, &info->cause);
    write_trace(m, "F %d %s %d", info->cause.code, wst_err_name(info->cause.code),
                info->cause.http_status);
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    struct member *m = arg;
    struct fleet *f = m->fleet;

    (void)client;
    (void)subprotocol;
    expect(m, m->in_attempt && !m->open, "open without an attempt");
    m->in_attempt = false;
    m->open = true;
    m->group->open++;
    m->group->opens++;
    f->open++;
    write_trace(m, "O");
    if (f->warm_up && f->open == f->count)
        close_all(f);
}

static void on_closed(struct wst_client *client, const struct wst_close_info *info, void *arg)
{
    struct member *m = arg;

    (void)client;
    expect(m, m->open, "closed without having been open");
    m->open = m->awaits_echo = false;
    m->group->open--;
    m->group->closed++;
    m->fleet->open--;
    count_cause(m->fleet, &info->info.cause);
    write_trace(m, "C %d %s", info->code, wst_err_name(info->info.cause.code));
}

static void on_message(struct wst_client *client, enum wst_message_type type, const void *data,
                       size_t len, void *arg)
{
    struct member *m = arg;
    char mine[48];
    int n = snprintf(mine, sizeof mine, "client %u says %u", m->number, m->said);

    (void)client;
    expect(m, m->open, "a message while not open");
    expect(m,
           m->awaits_echo && type == WST_TEXT && len == (size_t)n && memcmp(data, mine, len) == 0,
           "a message that is not its own");
    m->awaits_echo = false;
    m->fleet->echoes++;
}

static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    struct member *m = arg;
    struct fleet *f = m->fleet;

    (void)client;
    (void)info;
    expect(m, state == WST_STATE_IDLE && (f->quitting || f->warm_up),
           "an end that nobody asked for");
    if (f->quitting && ++f->ended == f->count / 2)
        close_all(f);
}

static void on_log(enum wst_log_level level, const char *text, void *arg)
{
    (void)level;
    write_trace(arg, "L %s", text);
}

/* ---- Words --------------------------------------------------------------------------------- */

static void chat(struct fleet *f)
{
    f->echoes = 0;
    for (unsigned i = 0; i < f->count; i++) {
        struct member *m = &f->members[i];
        char text[48];
        int n;

        if (!m->open || m->awaits_echo)
            continue;
        n = snprintf(text, sizeof text, "client %u says %u", m->number, ++m->said);
        m->awaits_echo = wst_client_send(m->client, WST_TEXT, text, (size_t)n, NULL) == 0;
    }
}

static void print_status(const struct fleet *f)
{
    printf("{\"open\": %u, \"echoes\": %u, \"soft\": %u, \"codes\": {", f->open, f->echoes,
           f->soft);
    for (int i = 0, n = 0; i < CODES; i++) {
        if (f->codes[i])
            printf("%s\"%s\": %u", n++ ? ", " : "", wst_err_name(-i), f->codes[i]);
    }
    printf("}, \"groups\": {");
    for (size_t i = 0; i < f->group_count; i++) {
        const struct group *g = &f->groups[i];

        printf("%s\"%s\": {\"count\": %u, \"open\": %u, \"opens\": %u, \"closed\": %u, "
               "\"failed\": %u}",
               i ? ", " : "", g->name, g->count, g->open, g->opens, g->closed, g->failed);
    }
    printf("}}\n");
    fflush(stdout);
    fflush(trace);
}

static void obey(struct fleet *f, const char *word)
{
    if (strcmp(word, "status") == 0)
        print_status(f);
    else if (strcmp(word, "chat") == 0)
        chat(f);
    else if (strcmp(word, "quit") == 0)
        quit(f);
    else
        die(NULL, "unknown word");
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct fleet *f = handle->data;

    (void)suggested;
    *buf = uv_buf_init(f->input + f->input_len, (unsigned)(sizeof f->input - 1 - f->input_len));
}

static void on_input(uv_stream_t *in, ssize_t n, const uv_buf_t *buf)
{
    struct fleet *f = in->data;
    char *end;

    (void)buf;
    if (f->quitting)
        return;
    if (n < 0)
        die(NULL, "stdin has ended");
    f->input_len += (size_t)n;
    f->input[f->input_len] = '\0';
    while ((end = strchr(f->input, '\n')) != NULL) {
        *end = '\0';
        obey(f, f->input);
        f->input_len = strlen(end + 1);
        memmove(f->input, end + 1, f->input_len + 1);
    }
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void on_guard(uv_timer_t *guard)
{
    const struct fleet *f = guard->data;

    die(NULL, "the warm-up takes too long: %u of %u are open", f->open, f->count);
}

static void make_member(struct fleet *f, struct group *g, unsigned number)
{
    struct member *m = &f->members[number];
    struct wst_config c = options;
    struct wst_cause why;

    m->fleet = f;
    m->group = g;
    m->number = number;
    (void)snprintf(m->body, sizeof m->body, "{\"userId\": \"client-%u\"}", number);
    c.loop = f->loop;
    c.url = g->url;
    c.ca_file = g->ca;
    c.token_cache = g->cache;
    c.token_body = m->body;
    c.allow_plaintext = 1;
    c.arg = m;
    c.on_attempt = on_attempt;
    c.on_progress = on_progress;
    c.on_attempt_failed = on_attempt_failed;
    c.on_open = on_open;
    c.on_closed = on_closed;
    c.on_message = on_message;
    c.on_ended = on_ended;
    c.log_cb = on_log;
    c.log_level = WST_LOG_DEBUG;
    if (wst_client_new(&m->client, &c, &why) != 0)
        die(m, "%s", why.text);
    expect(m, wst_client_start(m->client) == 0, "it does not start");
}

static unsigned count_of(const struct fleet *f, const struct group *g)
{
    return f->warm_up && g->count > WARM_UP ? WARM_UP : g->count;
}

static void begin(struct fleet *f)
{
    unsigned number = 0;

    for (size_t i = 0; i < f->group_count; i++) {
        f->groups[i].open = f->groups[i].opens = f->groups[i].closed = f->groups[i].failed = 0;
        f->count += count_of(f, &f->groups[i]);
    }
    f->alive = f->count;
    f->members = calloc(f->count, sizeof *f->members);
    expect(NULL, f->members && uv_loop_init(&f->uv) == 0, "no loop");
    (void)uv_timer_init(&f->uv, &f->guard);
    f->guard.data = f->in.data = f;
    if (f->warm_up) {
        (void)uv_timer_start(&f->guard, on_guard, GUARD_MS, 0);
    } else {
        (void)uv_pipe_init(&f->uv, &f->in, 0);
        expect(NULL, uv_pipe_open(&f->in, 0) == 0, "stdin is no pipe");
        (void)uv_read_start((uv_stream_t *)&f->in, on_alloc, on_input);
    }
    expect(NULL, wst_loop_new(&f->loop, &f->uv) == 0, "no loop of the library's");
    for (size_t i = 0; i < f->group_count; i++) {
        for (unsigned k = 0; k < count_of(f, &f->groups[i]); k++)
            make_member(f, &f->groups[i], number++);
    }
}

static void live(struct group *groups, size_t count, bool warm_up)
{
    struct fleet f = {.groups = groups, .group_count = count, .warm_up = warm_up};

    begin(&f);
    (void)!write(-1, "the loop begins", 15); /* For those who look at our system calls. */
    (void)uv_run(&f.uv, UV_RUN_DEFAULT);
    (void)!write(-1, "the loop ends", 13);
    expect(NULL, f.alive == 0, "the loop ran dry before the last close callback");
    expect(NULL, uv_loop_close(&f.uv) == 0, "something was left in the loop");
    free(f.members);
    OPENSSL_thread_stop(); /* It keeps the text of the last errors for each thread. */
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* NAME=COUNT,URL[,CA[,TOKEN_CACHE]]: cut to pieces. */
static void read_group(struct group *g, char *words)
{
    g->name = strtok(words, "=");
    g->count = (unsigned)strtoul(strtok(NULL, ","), NULL, 10);
    g->url = strtok(NULL, ",");
    g->ca = strtok(NULL, ",");
    g->cache = g->ca ? strtok(NULL, ",") : NULL;
    expect(NULL, g->url && g->count > 0, "a group is NAME=COUNT,URL[,CA[,TOKEN_CACHE]]");
}

static bool read_option(const char *word)
{
    static const struct {
        const char *name;
        uint64_t *ms;
    } known[] = {{"lives", &lives},
                 {"base", &options.base_delay_ms},
                 {"cap", &options.cap_ms},
                 {"stable", &options.stable_ms},
                 {"spread", &options.restart_spread_ms},
                 {"step", &options.step_timeout_ms},
                 {"attempt", &options.attempt_timeout_ms},
                 {"ping", &options.ping_interval_ms},
                 {"pong", &options.ping_timeout_ms}};
    size_t n = strcspn(word, "=");

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].name) == n && strncmp(word, known[i].name, n) == 0) {
            *known[i].ms = strtoull(word + n + 1, NULL, 10);
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct group groups[GROUPS_MAX];
    size_t count = 0;
    struct heap_count heap;
    struct heap_count left;
    unsigned age;
    int fds;

    wst_config_init(&options);
    if (argc < 3 || !(trace = fopen(argv[1], "w")) ||
        setvbuf(trace, NULL, _IOFBF, BUF_BYTES) != 0) {
        fputs("usage: fleet TRACE [OPTION=NUMBER...] NAME=COUNT,URL[,CA[,TOKEN_CACHE]]...\n",
              stderr);
        return 2;
    }
    options.give_up = WST_GIVE_UP_NEVER;
    for (int i = 2; i < argc && count < GROUPS_MAX; i++) {
        if (!read_option(argv[i]))
            read_group(&groups[count++], argv[i]);
    }
    printf("%s\n", heap_works() ? "counts its heap" : "does not count its heap");
    fflush(stdout);
    if (lives > 1)
        live(groups, count, true);
    fds = count_descriptors();
    heap = heap_alive();
    age = heap_age();
    live(groups, count, false);
    left = heap_alive();
    printf("{\"descriptors\": %d, \"blocks\": %zd, \"bytes\": %zd}\n", count_descriptors() - fds,
           (ssize_t)(left.blocks - heap.blocks), (ssize_t)(left.bytes - heap.bytes));
    if (lives > 1)
        heap_print_since(age, stderr);
    return fclose(trace) == 0 ? 0 : 1;
}
