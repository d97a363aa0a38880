/* Small private files: whole or not at all, never on the loop's thread. */
#include "io/file_uv.h"
#include "lib/world.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- In the place of others' functions: rename() can fail or wait, and knows its thread; who we
 * are can be changed. ------------------------------------------------------------------------- */

static pthread_t loop_thread;
static atomic_bool rename_waits;
static atomic_int renames, calls_on_loop;
static int rename_errno;
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

int __wrap_rename(const char *from, const char *to)
{
    calls_on_loop += pthread_equal(pthread_self(), loop_thread) != 0;
    renames++;
    while (rename_waits)
        (void)usleep(500);
    if (rename_errno == 0)
        return __real_rename(from, to);
    errno = rename_errno;
    return -1;
}

static uid_t somebody; /* 0: who we are. */
uid_t __real_geteuid(void);
uid_t __wrap_geteuid(void);

uid_t __wrap_geteuid(void)
{
    return somebody ? somebody : __real_geteuid();
}

/* ---- One job ------------------------------------------------------------------------------- */

struct job {
    struct wst__file *file;
    bool done;
    int err, sys_errno;
    bool has_data;
    char data[256];
    size_t n;
    int order;
};

static int finished;

static void on_done(void *arg, int err, int sys_errno, const void *data, size_t n)
{
    struct job *j = arg;

    assert_false(j->done);
    j->done = true;
    j->err = err;
    j->sys_errno = sys_errno;
    j->has_data = data != NULL;
    j->n = n;
    j->order = ++finished;
    if (data && n < sizeof j->data)
        memcpy(j->data, data, n);
}

static void read_now(struct world *w, struct job *j, const char *path)
{
    memset(j, 0, sizeof *j);
    assert_int_equal(wst__file_read(&w->io.files, path, on_done, j, &j->file), 0);
    assert_false(j->done);
    world_run(w, &j->done);
}

static void replace_now(struct world *w, struct job *j, const char *path, const char *text)
{
    memset(j, 0, sizeof *j);
    assert_int_equal(
        wst__file_replace(&w->io.files, path, text, strlen(text), on_done, j, &j->file), 0);
    world_run(w, &j->done);
}

static void remove_now(struct world *w, struct job *j, const char *path)
{
    memset(j, 0, sizeof *j);
    assert_int_equal(wst__file_remove(&w->io.files, path, on_done, j, &j->file), 0);
    world_run(w, &j->done);
}

/* Entries of the test's directory. */
static int entries(void)
{
    DIR *dir = opendir(temp_dir());
    int n = 0;

    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n - 2;
}

static void test_there_and_back(void **state)
{
    struct world *w = *state;
    const char *path = temp_path("token");
    struct stat st;
    struct job j;

    read_now(w, &j, path);
    assert_int_equal(j.err, 0);
    assert_false(j.has_data);
    (void)umask(0);
    replace_now(w, &j, path, "first");
    assert_int_equal(j.err, 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    read_now(w, &j, path);
    assert_true(j.has_data);
    assert_int_equal(j.n, 5);
    assert_memory_equal(j.data, "first", 5);
    replace_now(w, &j, path, "");
    read_now(w, &j, path);
    assert_true(j.has_data);
    assert_int_equal(j.n, 0);
    remove_now(w, &j, path);
    assert_int_equal(j.err, 0);
    remove_now(w, &j, path);
    assert_int_equal(j.err, 0);
    read_now(w, &j, path);
    assert_false(j.has_data);
    assert_int_equal(entries(), 0);
    assert_int_equal(calls_on_loop, 0);
    assert_true(renames >= 2);
}

/* A file that others may read becomes private. */
static void test_mode(void **state)
{
    struct world *w = *state;
    const char *path = temp_path("open");
    FILE *f = fopen(path, "we");
    struct stat st;
    struct job j;

    assert_non_null(f);
    (void)fclose(f);
    assert_int_equal(chmod(path, 0666), 0);
    replace_now(w, &j, path, "secret");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    remove_now(w, &j, path);
}

/* What others may read or write, or have put there, is not read. */
static void test_not_ours_alone(void **state)
{
    static const mode_t modes[] = {0640, 0620, 0610, 0604, 0602, 0601};
    struct world *w = *state;
    const char *path = temp_path("shared");
    struct job j;

    replace_now(w, &j, path, "secret");
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        read_now(w, &j, path);
        assert_int_equal(j.err, WST_ERR_CONFIG);
        assert_int_equal(j.sys_errno, EACCES);
        assert_false(j.has_data);
    }
    assert_int_equal(chmod(path, 0400), 0);
    read_now(w, &j, path);
    assert_int_equal(j.err, 0);
    assert_true(j.has_data);
    somebody = __real_geteuid() + 1;
    read_now(w, &j, path);
    somebody = 0;
    assert_int_equal(j.err, WST_ERR_CONFIG);
    assert_int_equal(j.sys_errno, EPERM);
    assert_false(j.has_data);
    remove_now(w, &j, path);
}

static void test_failures(void **state)
{
    struct world *w = *state;
    const char *path = temp_path("kept");
    char *big = calloc(1, WST__FILE_MAX + 2);
    FILE *f;
    struct job j;

    replace_now(w, &j, temp_path("no/such/dir"), "x");
    assert_int_equal(j.err, WST_ERR_IO);
    assert_int_equal(j.sys_errno, ENOENT);
    read_now(w, &j, temp_dir());
    assert_int_equal(j.err, WST_ERR_IO);
    assert_int_equal(j.sys_errno, EISDIR);
    remove_now(w, &j, temp_dir());
    assert_int_equal(j.err, WST_ERR_IO);
    read_now(w, &j, "/proc/self/mem/x");
    assert_int_equal(j.sys_errno, ENOTDIR);
    /* A replacement that fails leaves the old one, and nothing beside it. */
    replace_now(w, &j, path, "old");
    rename_errno = ENOSPC;
    replace_now(w, &j, path, "new");
    rename_errno = 0;
    assert_int_equal(j.err, WST_ERR_IO);
    assert_int_equal(j.sys_errno, ENOSPC);
    assert_int_equal(entries(), 1);
    read_now(w, &j, path);
    assert_memory_equal(j.data, "old", 3);
    remove_now(w, &j, path);
    /* Too large. */
    f = fopen(path, "we");
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(fwrite(big, 1, WST__FILE_MAX, f), WST__FILE_MAX);
    (void)fflush(f);
    read_now(w, &j, path);
    assert_int_equal(j.err, 0);
    assert_int_equal(j.n, WST__FILE_MAX);
    (void)fputc('x', f);
    (void)fclose(f);
    read_now(w, &j, path);
    assert_int_equal(j.err, WST_ERR_IO);
    assert_int_equal(j.sys_errno, EFBIG);
    remove_now(w, &j, path);
    free(big);
}

/* A FIFO would keep a reader waiting for ever. */
static void test_fifo(void **state)
{
    struct world *w = *state;
    const char *path = temp_path("fifo");
    struct job j;

    assert_int_equal(mkfifo(path, 0600), 0);
    read_now(w, &j, path);
    assert_int_equal(j.err, WST_ERR_IO);
    remove_now(w, &j, path);
    assert_int_equal(j.err, 0);
}

/* A reader sees the old or the new content, never a part or nothing. */
static void test_atomic(void **state)
{
    struct world *w = *state;
    const char *path = temp_path("atomic");
    static char a[5000], b[7000];
    struct job j;

    memset(a, 'a', sizeof a - 1);
    memset(b, 'b', sizeof b - 1);
    replace_now(w, &j, path, a);
    for (int i = 0; i < 50; i++) {
        memset(&j, 0, sizeof j);
        assert_int_equal(wst__file_replace(&w->io.files, path, i % 2 ? a : b,
                                           i % 2 ? sizeof a - 1 : sizeof b - 1, on_done, &j,
                                           &j.file),
                         0);
        while (!j.done) {
            char bytes[8000];
            FILE *f = fopen(path, "re");
            size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;

            assert_true(n == sizeof a - 1 || n == sizeof b - 1);
            for (size_t k = 0; k < n; k++)
                assert_int_equal(bytes[k], n == sizeof a - 1 ? 'a' : 'b');
            (void)fclose(f);
            (void)uv_run(&w->uv, UV_RUN_NOWAIT);
        }
    }
    remove_now(w, &j, path);
}

/* Jobs on one path keep their order; those on others do not wait. */
static void test_order(void **state)
{
    struct world *w = *state;
    const char *path = temp_path("ordered");
    struct job write = {0}, read = {0}, erase = {0}, other = {0};

    rename_waits = true;
    assert_int_equal(wst__file_replace(&w->io.files, path, "x", 1, on_done, &write, &write.file),
                     0);
    assert_int_equal(wst__file_read(&w->io.files, path, on_done, &read, &read.file), 0);
    assert_int_equal(wst__file_remove(&w->io.files, path, on_done, &erase, &erase.file), 0);
    assert_int_equal(
        wst__file_read(&w->io.files, temp_path("another"), on_done, &other, &other.file), 0);
    world_run(w, &other.done);
    assert_false(write.done || read.done || erase.done);
    rename_waits = false;
    world_run(w, &erase.done);
    assert_true(write.order < read.order && read.order < erase.order);
    assert_memory_equal(read.data, "x", 1);
    read_now(w, &read, path);
    assert_false(read.has_data);
}

/* Canceled: no callback; but what was to be written is written, what was to go is gone. */
static void test_cancel(void **state)
{
    struct world *w = *state;
    const char *path = temp_path("canceled");
    struct job j = {0}, after;

    assert_int_equal(wst__file_replace(&w->io.files, path, "x", 1, on_done, &j, &j.file), 0);
    wst__file_cancel(j.file);
    read_now(w, &after, path);
    assert_true(after.has_data);
    assert_false(j.done);
    assert_int_equal(wst__file_read(&w->io.files, path, on_done, &j, &j.file), 0);
    wst__file_cancel(j.file);
    assert_int_equal(wst__file_remove(&w->io.files, path, on_done, &j, &j.file), 0);
    wst__file_cancel(j.file);
    read_now(w, &after, path);
    assert_false(after.has_data);
    assert_false(j.done);
}

/* The room closes while a write is under way: it waits for it. */
static void test_close_meanwhile(void **state)
{
    struct world *w = *state;
    static struct job j;

    memset(&j, 0, sizeof j);
    assert_int_equal(
        wst__file_replace(&w->io.files, temp_path("last"), "x", 1, on_done, &j, &j.file), 0);
    wst__file_cancel(j.file);
}

int main(void)
{
#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_there_and_back), IN_WORLD(test_mode),   IN_WORLD(test_not_ours_alone),
        IN_WORLD(test_failures),       IN_WORLD(test_fifo),   IN_WORLD(test_atomic),
        IN_WORLD(test_order),          IN_WORLD(test_cancel), IN_WORLD(test_close_meanwhile),
    };

    loop_thread = pthread_self();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
