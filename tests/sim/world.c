/* The world's clocks and its loop: events, the timer, turns, the mailbox, files. */
#include "sim/world.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_US      (5000ull * 1000) /* Of the monotonic clock: never 0. */
#define START_BOOT_US (3600ull * 1000 * 1000)
#define START_WALL_S  1700000000
#define MAX_TURNS     100
#define MAX_TRACE     ((size_t)8 << 20)

struct sim_event {
    uint64_t at_us; /* On the real clock. */
    uint64_t seq;
    sim_fn *fn;
    void *obj;
    uint64_t n;
};

struct wst__net {
    bool cookies;
    bool freed;
};

struct wst__file {
    wst__file_cb cb;
    void *arg;
    struct sim_file *file;
    struct sim_file_plan plan;
    char what; /* 'r', 'w', 'x' */
    struct wst__buf data;
    bool live;
};

/* ---- Failing, tracing, memory -------------------------------------------------------------- */

static void add_trace(struct sim_world *w, const char *text, size_t n)
{
    if (w->trace_len + n + 1 > w->trace_room) {
        w->trace_room = (w->trace_len + n + 1) * 2;
        w->trace = realloc(w->trace, w->trace_room);
        if (!w->trace)
            abort();
    }
    memcpy(w->trace + w->trace_len, text, n + 1);
    w->trace_len += n;
}

static void trace_line(struct sim_world *w, const char *fmt, va_list ap)
{
    char line[512];
    int n = snprintf(line, sizeof line, "[%6llu] ",
                     (unsigned long long)((w->real_us - START_BOOT_US) / 1000));

    (void)vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    if (w->live) {
        printf("%s%s\n", w->live, line);
        return;
    }
    n = (int)strlen(line);
    line[n++] = '\n';
    line[n] = 0;
    if (w->trace_len < MAX_TRACE)
        add_trace(w, line, (size_t)n);
}

void sim_trace(struct sim_world *w, const char *fmt, ...)
{
    va_list ap;

    if (!w->tracing)
        return;
    va_start(ap, fmt);
    trace_line(w, fmt, ap);
    va_end(ap);
}

void sim_fail(struct sim_world *w, const char *fmt, ...)
{
    va_list ap;

    if (!*w->failure) {
        va_start(ap, fmt);
        (void)vsnprintf(w->failure, sizeof w->failure, fmt, ap);
        va_end(ap);
    }
    sim_trace(w, "!!! %s", w->failure);
}

void sim_check_text(struct sim_world *w, const char *what, const char *text)
{
    if (strstr(text, SIM_SECRET))
        sim_fail(w, "a secret in %s: %s", what, text);
}

void *sim_alloc(struct sim_world *w, size_t n)
{
    void *p = calloc(1, n);

    if (w->object_count == w->object_room) {
        w->object_room = w->object_room ? w->object_room * 2 : 64;
        w->objects = realloc(w->objects, w->object_room * sizeof *w->objects);
    }
    if (!p || !w->objects)
        abort();
    w->objects[w->object_count++] = p;
    return p;
}

uint64_t sim_upto(struct sim_world *w, uint64_t max)
{
    return sim_decide(&w->decider, max);
}

bool sim_chance(struct sim_world *w, unsigned per_mille)
{
    return sim_decide_chance(&w->decider, per_mille);
}

/* ---- Time and events ----------------------------------------------------------------------- */

uint64_t sim_mono_us(const struct sim_world *w)
{
    return w->real_us - w->slept_us - START_BOOT_US + START_US;
}

uint64_t sim_mono_ms(const struct sim_world *w)
{
    return sim_mono_us(w) / 1000;
}

uint64_t sim_boot_ms(const struct sim_world *w)
{
    return w->real_us / 1000;
}

static uint64_t mono_to_real(const struct sim_world *w, uint64_t mono_us)
{
    return mono_us + w->slept_us + START_BOOT_US - START_US;
}

static void clock_read(void *world, struct wst__time *t)
{
    struct sim_world *w = world;

    t->now_us = sim_mono_us(w);
    t->now_ms = t->now_us / 1000;
    t->boot_ms = sim_boot_ms(w);
    t->wall_s = START_WALL_S + (int64_t)((w->real_us - START_BOOT_US) / 1000000) + w->wall_offset_s;
}

static uint64_t polled_ms(void *world)
{
    const struct sim_world *w = world;

    return (sim_mono_us(w) - w->polled_late_us) / 1000;
}

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void swap(struct sim_event *a, struct sim_event *b)
{
    struct sim_event t = *a;

    *a = *b;
    *b = t;
}

void sim_after_us(struct sim_world *w, uint64_t us, sim_fn *fn, void *obj, uint64_t n)
{
    size_t i = w->heap_count++;

    if (w->heap_count > w->heap_room) {
        w->heap_room = w->heap_room ? w->heap_room * 2 : 64;
        w->heap = realloc(w->heap, w->heap_room * sizeof *w->heap);
        if (!w->heap)
            abort();
    }
    w->heap[i] = (struct sim_event){w->real_us + us, w->seq++, fn, obj, n};
    for (; i > 0 && earlier(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&w->heap[i], &w->heap[(i - 1) / 2]);
}

void sim_after(struct sim_world *w, uint64_t ms, sim_fn *fn, void *obj, uint64_t n)
{
    sim_after_us(w, ms * 1000, fn, obj, n);
}

static struct sim_event pop(struct sim_world *w)
{
    struct sim_event first = w->heap[0];
    size_t i = 0;

    w->heap[0] = w->heap[--w->heap_count];
    for (;;) {
        size_t least = i;

        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < w->heap_count; k++) {
            if (earlier(&w->heap[k], &w->heap[least]))
                least = k;
        }
        if (least == i)
            return first;
        swap(&w->heap[i], &w->heap[least]);
        i = least;
    }
}

void sim_suspend(struct sim_world *w, uint64_t ms)
{
    sim_trace(w, "the machine sleeps for %llu ms", (unsigned long long)ms);
    w->real_us += ms * 1000;
    w->slept_us += ms * 1000;
    w->woke_us = sim_mono_us(w);
    sim_ws_forget_ping(w);
}

/* ---- The timer ----------------------------------------------------------------------------- */

static uint64_t lateness_ms(struct sim_world *w)
{
    struct sim_unit before;
    uint64_t ms;

    if (w->timer_late_ms == 0)
        return 0;
    before = sim_unit_begin(&w->decider, SIM_UNIT_LATE);
    ms = sim_upto(w, w->timer_late_ms);
    sim_unit_end(&w->decider, before);
    return ms;
}

static void timer_set(void *world, struct wst__timer *t, uint64_t due_ms)
{
    struct sim_world *w = world;

    w->timer = due_ms != UINT64_MAX ? t : NULL;
    t->node.key = due_ms;
    w->timer_fire_us = UINT64_MAX;
    if (due_ms < UINT64_MAX / 1000 - w->timer_late_ms)
        w->timer_fire_us = (due_ms + lateness_ms(w)) * 1000;
}

bool sim_timer_armed(const struct sim_world *w)
{
    return w->timer;
}

uint64_t sim_timer_due_ms(const struct sim_world *w)
{
    return wst__timer_due_ms(w->timer);
}

/* ---- Turns --------------------------------------------------------------------------------- */

static void turn_ask(void *world, struct wst__turn *turn)
{
    struct sim_world *w = world;

    if (turn->next)
        return;
    turn->prev = w->turns.prev;
    turn->next = &w->turns;
    turn->prev->next = turn->next->prev = turn;
}

static void turn_drop(void *world, struct wst__turn *turn)
{
    (void)world;
    if (!turn->next)
        return;
    turn->prev->next = turn->next;
    turn->next->prev = turn->prev;
    turn->next = turn->prev = NULL;
}

static bool run_turn(struct sim_world *w)
{
    struct wst__turn *turn = w->turns.next;

    if (turn == &w->turns)
        return false;
    if (++w->turns_in_row > MAX_TURNS) {
        sim_fail(w, "the loop spins");
        turn_drop(w, turn);
        return true;
    }
    turn_drop(w, turn);
    turn->cb(turn->arg);
    return true;
}

/* ---- One step ------------------------------------------------------------------------------ */

static uint64_t timer_real_us(const struct sim_world *w)
{
    if (!w->timer || w->timer_fire_us == UINT64_MAX)
        return UINT64_MAX;
    return mono_to_real(w, w->timer_fire_us);
}

static void fire_timer(struct sim_world *w)
{
    struct wst__timer *t = w->timer;

    if (++w->timers_in_row > MAX_TURNS)
        sim_fail(w, "the timer spins");
    w->timer = NULL;
    t->node.key = UINT64_MAX;
    t->cb(t->arg);
}

static void advance(struct sim_world *w, uint64_t to_us)
{
    if (to_us > w->real_us) {
        w->real_us = to_us;
        w->turns_in_row = w->timers_in_row = 0;
    }
}

/* Which of two things that are due comes first? */
static bool other_first(struct sim_world *w)
{
    struct sim_unit before;
    bool other;

    if (!w->shuffles)
        return false;
    before = sim_unit_begin(&w->decider, SIM_UNIT_ORDER);
    other = sim_chance(w, 500);
    sim_unit_end(&w->decider, before);
    return other;
}

bool sim_step(struct sim_world *w, uint64_t until_us)
{
    uint64_t timer_us = timer_real_us(w);
    uint64_t event_us = w->heap_count ? w->heap[0].at_us : UINT64_MAX;
    uint64_t next_us = timer_us < event_us ? timer_us : event_us;
    bool now = next_us <= w->real_us;

    /* What is due at this moment may come before the turn: one poll brings several answers. */
    if (!(now && !other_first(w)) && run_turn(w))
        return true;
    if (next_us == UINT64_MAX || next_us > until_us)
        return false;
    advance(w, next_us);
    w->turns_in_row = 0;
    if (timer_us < event_us || (timer_us == event_us && other_first(w))) {
        fire_timer(w);
    } else {
        struct sim_event ev = pop(w);

        ev.fn(w, ev.obj, ev.n);
    }
    return true;
}

void sim_run(struct sim_world *w, uint64_t ms)
{
    uint64_t slept = w->slept_us;
    uint64_t until_us = w->real_us + ms * 1000;

    while (!*w->failure && sim_step(w, until_us + (w->slept_us - slept)))
        continue;
    advance(w, until_us + (w->slept_us - slept));
}

void sim_drain(struct sim_world *w)
{
    for (unsigned i = 0; i < 5000000 && !*w->failure; i++) {
        if (!sim_step(w, UINT64_MAX - 1))
            return;
    }
    sim_fail(w, "the loop does not come to rest");
}

/* ---- Random -------------------------------------------------------------------------------- */

static int random_bytes(void *world, void *p, size_t n)
{
    struct sim_world *w = world;
    uint8_t *to = p;

    if (w->no_entropy)
        return WST_ERR_ENTROPY;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t x = wst__rng_next(&w->entropy);

        memcpy(to + i, &x, n - i < 8 ? n - i : 8);
    }
    return 0;
}

/* ---- The mailbox --------------------------------------------------------------------------- */

static void mailbox_run(struct sim_world *w, void *obj, uint64_t n)
{
    (void)obj;
    (void)n;
    while (w->first) {
        struct wst__letter *letter = w->first;

        w->first = letter->next;
        if (!w->first)
            w->last = &w->first;
        if (w->closing && letter == &w->closing->last) {
            w->closing = NULL;
            if (sim_timer_armed(w))
                sim_fail(w, "a timer is armed after the end");
        }
        letter->run(letter->arg);
    }
}

static void put_letter(struct sim_world *w, struct wst__letter *letter)
{
    letter->next = NULL;
    *w->last = letter;
    w->last = &letter->next;
    sim_after(w, 0, mailbox_run, NULL, 0);
}

static int mailbox_post(void *world, struct wst__mailbox *box, struct wst__letter *letter)
{
    if (box->last.run)
        return WST_ERR_CLOSING;
    put_letter(world, letter);
    return 0;
}

static void mailbox_close(void *world, struct wst__mailbox *box, void (*closed)(void *arg),
                          void *arg)
{
    struct sim_world *w = world;

    if (box->last.run)
        sim_fail(w, "mailbox_close twice");
    box->last.run = closed;
    box->last.arg = arg;
    w->closing = box;
    put_letter(w, &box->last);
}

/* ---- The net ------------------------------------------------------------------------------- */

static int net_new(void *world, const struct wst__net_options *opt, struct wst__net **out,
                   struct wst_cause *why)
{
    struct sim_world *w = world;
    struct wst__net *net = sim_alloc(w, sizeof *net);

    (void)why;
    net->cookies = opt->cookies;
    w->net = *out = net;
    return 0;
}

static void net_free(void *world, struct wst__net *net)
{
    struct sim_world *w = world;

    if (net->freed)
        sim_fail(w, "net_free twice");
    net->freed = true;
    if (w->https_live || w->streams_live)
        sim_fail(w, "net_free with %zu exchanges and %zu streams under way", w->https_live,
                 w->streams_live);
}

static int cookies(void *world, struct wst__net *net, const char *url, struct wst__buf *out)
{
    struct sim_world *w = world;

    (void)url;
    return net->cookies ? wst__buf_adds(out, w->cookie) : 0;
}

/* ---- Files --------------------------------------------------------------------------------- */

struct sim_file *sim_file(struct sim_world *w, const char *path)
{
    for (size_t i = 0; i < sizeof w->files / sizeof w->files[0]; i++) {
        struct sim_file *f = &w->files[i];

        if (!*f->path)
            (void)snprintf(f->path, sizeof f->path, "%s", path);
        if (strcmp(f->path, path) == 0)
            return f;
    }
    abort();
}

static void set_file(struct sim_file *f, const void *data, size_t n)
{
    wst__buf_fini(&f->data);
    wst__buf_init(&f->data, (size_t)1 << 20, true);
    f->exists = true;
    if (wst__buf_add(&f->data, data, n) != 0 || wst__buf_add(&f->data, "", 1) != 0)
        abort();
    f->data.len--; /* Terminated, for the tests. */
}

void sim_file_put(struct sim_world *w, const char *path, const char *text)
{
    set_file(sim_file(w, path), text, strlen(text));
}

static void file_done(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__file *f = obj;
    bool live = f->live;
    int err = f->plan.fail;
    struct wst__buf none;

    (void)n;
    if (err == 0 && f->what == 'w')
        set_file(f->file, f->data.data, f->data.len);
    if (err == 0 && f->what == 'x')
        f->file->exists = false;
    wst__buf_init(&none, 0, false);
    if (live) {
        bool found = err == 0 && f->what == 'r' && f->file->exists;
        const struct wst__buf *b = found ? &f->file->data : &none;

        f->live = false;
        w->files_live--;
        sim_trace(w, "file %s: %s",
                  f->what == 'r'   ? "read"
                  : f->what == 'w' ? "written"
                                   : "removed",
                  err ? "failed" : "ok");
        f->cb(f->arg, err,
              err == WST_ERR_IO       ? EIO
              : err == WST_ERR_CONFIG ? EACCES
                                      : 0,
              b->data, b->len);
    }
    wst__buf_fini(&f->data);
}

static int file_begin(struct sim_world *w, char what, const char *path, const void *data, size_t n,
                      wst__file_cb cb, void *arg, struct wst__file **out)
{
    struct wst__file *f = sim_alloc(w, sizeof *f);

    if (w->plan_file)
        w->plan_file(w, &f->plan);
    if (f->plan.refuse)
        return f->plan.refuse;
    f->what = what;
    f->file = sim_file(w, path);
    f->cb = cb;
    f->arg = arg;
    f->live = true;
    w->files_live++;
    wst__buf_init(&f->data, (size_t)1 << 20, true);
    if (n && wst__buf_add(&f->data, data, n) != 0)
        abort();
    sim_after(w, f->plan.ms, file_done, f, 0);
    *out = f;
    return 0;
}

static int file_read(void *world, const char *path, wst__file_cb cb, void *arg,
                     struct wst__file **out)
{
    return file_begin(world, 'r', path, NULL, 0, cb, arg, out);
}

static int file_replace(void *world, const char *path, const void *data, size_t n, wst__file_cb cb,
                        void *arg, struct wst__file **out)
{
    return file_begin(world, 'w', path, data, n, cb, arg, out);
}

static int file_remove(void *world, const char *path, wst__file_cb cb, void *arg,
                       struct wst__file **out)
{
    return file_begin(world, 'x', path, NULL, 0, cb, arg, out);
}

static void file_cancel(void *world, struct wst__file *f)
{
    struct sim_world *w = world;

    if (!f->live) {
        sim_fail(w, "file_cancel of nothing");
        return;
    }
    f->live = false;
    w->files_live--;
}

/* ---- Life ---------------------------------------------------------------------------------- */

void sim_world_init(struct sim_world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->real_us = START_BOOT_US;
    sim_decider_init(&w->decider, seed);
    wst__rng_init(&w->entropy, seed);
    wst__rng_init(&w->entropy, wst__rng_next(&w->entropy));
    w->turns.next = w->turns.prev = &w->turns;
    w->last = &w->first;
    w->server.token_life_s = 3600;
    w->server.ticket_life_s = 30;
    w->server.reject_close = 4401;
    w->ports = (struct wst__ports){
        .world = w,
        .clock = clock_read,
        .polled_ms = polled_ms,
        .random = random_bytes,
        .timer_set = timer_set,
        .turn_ask = turn_ask,
        .turn_drop = turn_drop,
        .mailbox_post = mailbox_post,
        .mailbox_close = mailbox_close,
        .net_new = net_new,
        .net_free = net_free,
        .cookies = cookies,
        .file_read = file_read,
        .file_replace = file_replace,
        .file_remove = file_remove,
        .file_cancel = file_cancel,
    };
    sim_http_ports(&w->ports);
    sim_stream_ports(&w->ports);
}

void sim_world_fini(struct sim_world *w)
{
    for (size_t i = 0; i < w->object_count; i++)
        free(w->objects[i]);
    for (size_t i = 0; i < sizeof w->files / sizeof w->files[0]; i++)
        wst__buf_fini(&w->files[i].data);
    free(w->objects);
    free(w->heap);
    free(w->trace);
    free(w->server.tokens);
    free(w->server.tickets);
}
