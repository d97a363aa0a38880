/* A uv loop with the io room on it. */
#include "lib/world.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TOO_LONG_MS = 30000 }; /* Ten times more than valgrind needs. */

int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n - 3; /* Without ".", ".." and the directory itself. */
}

/* libuv's first loop makes a pipe for signals that lives as long as the process. */
static void warm_up(void)
{
    uv_loop_t uv;

    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(uv_loop_close(&uv), 0);
}

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    warm_up();
    w->fds = count_fds();
    assert_int_equal(uv_loop_init(&w->uv), 0);
    assert_int_equal(wst__io_init(&w->io, &w->uv), 0);
    *state = w;
    return 0;
}

static void on_closed(void *arg)
{
    struct world *w = arg;

    w->closed = true;
}

int world_teardown(void **state)
{
    struct world *w = *state;

    wst__io_close(&w->io, on_closed, w);
    world_run(w, &w->closed);
    assert_int_equal(uv_run(&w->uv, UV_RUN_NOWAIT), 0);
    assert_int_equal(uv_loop_close(&w->uv), 0);
    assert_int_equal(count_fds(), w->fds);
    free(w);
    return 0;
}

/* Ticks, so that the flags are looked at soon also when nothing else happens. */
static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void on_tick_closed(uv_handle_t *handle)
{
    handle->data = NULL;
}

/* Runs until one of the flags or |ms| have passed; true: a flag. */
static bool run(struct world *w, const bool *one, const bool *other, uint64_t ms)
{
    uint64_t end = uv_hrtime() + ms * 1000000;
    uv_timer_t tick;

    (void)uv_timer_init(&w->uv, &tick);
    tick.data = &tick;
    (void)uv_timer_start(&tick, on_tick, 1, 2);
    while (!*one && !*other && uv_hrtime() < end)
        (void)uv_run(&w->uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, on_tick_closed);
    while (tick.data)
        (void)uv_run(&w->uv, UV_RUN_NOWAIT);
    return *one || *other;
}

void world_run(struct world *w, const bool *flag)
{
    assert_true(run(w, flag, flag, TOO_LONG_MS));
}

void world_run_either(struct world *w, const bool *one, const bool *other)
{
    assert_true(run(w, one, other, TOO_LONG_MS));
}

void world_run_for(struct world *w, uint64_t ms)
{
    bool never = false;

    (void)run(w, &never, &never, ms);
}

struct wst__net *world_net_with(struct world *w, const struct wst__net_options *opt)
{
    struct wst__net *net = NULL;
    struct wst_cause why;

    assert_int_equal(wst__net_new(&w->io, opt, &net, &why), 0);
    return net;
}

struct wst__net *world_net(struct world *w, const char *ca_file)
{
    struct wst__net_options opt = {.ca_file = ca_file, .proxy = ""};

    return world_net_with(w, &opt);
}

static char dir_name[] = "/tmp/wsticket-test-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static pid_t owner;

static void remove_dir(void)
{
    if (getpid() == owner)
        (void)nftw(dir_name, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *temp_dir(void)
{
    if (owner == 0) {
        assert_non_null(mkdtemp(dir_name));
        owner = getpid();
        (void)atexit(remove_dir);
    }
    return dir_name;
}

const char *temp_path(const char *name)
{
    static _Thread_local char paths[16][256];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 16];

    (void)snprintf(path, sizeof paths[0], "%s/%s", temp_dir(), name);
    return path;
}
