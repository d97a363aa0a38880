/*
 * File work for the token cache.  The loop's thread only queues; a thread of libuv's pool makes
 * the blocking calls, and the answer comes back on the loop.
 *
 * A file is replaced whole or not at all: a temporary file beside it gets the data and is renamed
 * over it.  Jobs on one path wait for each other: a removal
 * (somebody logged out) must not be overtaken by a write that was asked for before it.
 */
#include "io/file_uv.h"

#include "base/mem.h"
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum op { OP_READ, OP_REPLACE, OP_REMOVE };

struct wst__file {
    struct wst__files *all;
    struct wst__file *next;
    uv_work_t work;
    enum op op;
    char *path;
    struct wst__buf data; /* What is written, or was read.  Secret. */
    bool missing;
    bool started, canceled;
    int err;
    int sys_errno;
    wst__file_cb cb;
    void *arg;
};

/* ---- On the pool --------------------------------------------------------------------------- */

static void fail(struct wst__file *f, int err, int sys_errno)
{
    f->err = err;
    f->sys_errno = sys_errno;
}

/* Reads up to the ceiling; one byte more shows that there is more. */
static void read_all(struct wst__file *f, int fd)
{
    uint8_t chunk[4096];
    ssize_t n;

    while ((n = read(fd, chunk, sizeof chunk)) != 0) {
        int rc;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail(f, WST_ERR_IO, errno);
            break;
        }
        rc = wst__buf_add(&f->data, chunk, (size_t)n);
        if (rc != 0) {
            fail(f, rc == WST_ERR_NOMEM ? rc : WST_ERR_IO, rc == WST_ERR_NOMEM ? 0 : EFBIG);
            break;
        }
    }
    wst__wipe(chunk, sizeof chunk);
}

/* Who may write it could put a token of his own there; who may read it has ours. */
static void check_private(struct wst__file *f, const struct stat *st)
{
    if (st->st_uid != geteuid())
        fail(f, WST_ERR_CONFIG, EPERM);
    else if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
        fail(f, WST_ERR_CONFIG, EACCES);
}

static void do_read(struct wst__file *f)
{
    /* Not blocking: opening a FIFO would wait for its writer. */
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0) {
        f->missing = errno == ENOENT;
        if (!f->missing)
            fail(f, WST_ERR_IO, errno);
        return;
    }
    if (fstat(fd, &st) != 0)
        fail(f, WST_ERR_IO, errno);
    else if (!S_ISREG(st.st_mode))
        fail(f, WST_ERR_IO, S_ISDIR(st.st_mode) ? EISDIR : EINVAL);
    else
        check_private(f, &st);
    if (f->err == 0)
        read_all(f, fd);
    (void)close(fd);
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t did = write(fd, p, n);

        if (did < 0 && errno == EINTR)
            continue;
        if (did < 0)
            return errno;
        p += did;
        n -= (size_t)did;
    }
    return 0;
}

/*
 * A new file beside |path|, readable by its owner only; its name is written behind the path in
 * |temp|.  Returns the descriptor, or -1 and errno.
 */
static int open_temp(const char *path, char *temp, size_t size)
{
    enum { TRIES = 100 };
    int fd = -1;

    for (int i = 0; i < TRIES && fd < 0; i++) {
        unsigned number = (unsigned)uv_hrtime() ^ ((unsigned)getpid() << 16);

        (void)snprintf(temp, size, "%s.tmp-%08x", path, number);
        fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    return fd;
}

/* Nothing is synced: see docs/decisions.md. */
static int replace_by(struct wst__file *f, char *temp, size_t size)
{
    int fd = open_temp(f->path, temp, size);
    int err;

    if (fd < 0)
        return errno;
    err = write_all(fd, f->data.data, f->data.len);
    if (close(fd) != 0 && err == 0)
        err = errno;
    if (err == 0 && rename(temp, f->path) != 0)
        err = errno;
    if (err != 0)
        (void)unlink(temp);
    return err;
}

static void do_replace(struct wst__file *f)
{
    size_t size = strlen(f->path) + sizeof ".tmp-01234567";
    char *temp = wst__malloc(size);
    int err;

    if (!temp) {
        fail(f, WST_ERR_NOMEM, 0);
        return;
    }
    err = replace_by(f, temp, size);
    if (err != 0)
        fail(f, WST_ERR_IO, err);
    wst__free(temp);
}

static void do_remove(struct wst__file *f)
{
    int err = 0;

    if (unlink(f->path) != 0) {
        f->missing = errno == ENOENT;
        err = f->missing ? 0 : errno;
    }
    if (err != 0)
        fail(f, WST_ERR_IO, err);
}

static void on_pool(uv_work_t *work)
{
    struct wst__file *f = work->data;

    switch (f->op) {
    case OP_READ:
        do_read(f);
        break;
    case OP_REPLACE:
        do_replace(f);
        break;
    case OP_REMOVE:
        do_remove(f);
        break;
    }
}

/* ---- On the loop --------------------------------------------------------------------------- */

static void on_done(uv_work_t *work, int status);

static bool must_wait(const struct wst__files *fs, const struct wst__file *f)
{
    for (const struct wst__file *g = fs->first; g != f; g = g->next) {
        if (strcmp(g->path, f->path) == 0)
            return true;
    }
    return false;
}

static void start_what_can(struct wst__files *fs)
{
    for (struct wst__file *f = fs->first; f; f = f->next) {
        if (f->started || must_wait(fs, f))
            continue;
        f->started = true;
        (void)uv_queue_work(fs->io->uv, &f->work, on_pool, on_done);
    }
}

static void unlink_job(struct wst__files *fs, struct wst__file *f)
{
    struct wst__file *before = NULL;

    for (struct wst__file *g = fs->first; g != f; g = g->next)
        before = g;
    if (before)
        before->next = f->next;
    else
        fs->first = f->next;
    if (fs->last == f)
        fs->last = before;
}

static void free_job(struct wst__file *f)
{
    wst__buf_fini(&f->data);
    wst__free(f->path);
    wst__free(f);
}

static void on_done(uv_work_t *work, int status)
{
    struct wst__file *f = work->data;
    struct wst__files *fs = f->all;

    unlink_job(fs, f);
    start_what_can(fs);
    if (!f->canceled && status == 0) {
        bool has_data = f->op == OP_READ && f->err == 0 && !f->missing;
        /* An empty file is there, too: its data is not NULL. */
        const void *data = f->data.data ? (const void *)f->data.data : "";

        f->cb(f->arg, f->err, f->sys_errno, has_data ? data : NULL, has_data ? f->data.len : 0);
    }
    free_job(f);
    wst__io_release(fs->io);
}

static int begin(struct wst__files *fs, struct wst__file *f, struct wst__file **out)
{
    if (fs->last)
        fs->last->next = f;
    else
        fs->first = f;
    fs->last = f;
    wst__io_hold(fs->io);
    *out = f;
    start_what_can(fs);
    return 0;
}

static struct wst__file *job_new(struct wst__files *fs, enum op op, const char *path,
                                 wst__file_cb cb, void *arg)
{
    struct wst__file *f = wst__calloc(1, sizeof *f);

    if (!f)
        return NULL;
    wst__buf_init(&f->data, WST__FILE_MAX, true);
    f->path = wst__strdup(path);
    if (!f->path) {
        wst__free(f);
        return NULL;
    }
    f->all = fs;
    f->op = op;
    f->work.data = f;
    f->cb = cb;
    f->arg = arg;
    return f;
}

void wst__files_init(struct wst__files *fs, struct wst__io *io)
{
    memset(fs, 0, sizeof *fs);
    fs->io = io;
}

int wst__file_read(struct wst__files *fs, const char *path, wst__file_cb cb, void *arg,
                   struct wst__file **out)
{
    struct wst__file *f = job_new(fs, OP_READ, path, cb, arg);

    return f ? begin(fs, f, out) : WST_ERR_NOMEM;
}

int wst__file_replace(struct wst__files *fs, const char *path, const void *data, size_t n,
                      wst__file_cb cb, void *arg, struct wst__file **out)
{
    struct wst__file *f = job_new(fs, OP_REPLACE, path, cb, arg);

    if (!f)
        return WST_ERR_NOMEM;
    if (wst__buf_add(&f->data, data, n) != 0) {
        free_job(f);
        return WST_ERR_NOMEM;
    }
    return begin(fs, f, out);
}

int wst__file_remove(struct wst__files *fs, const char *path, wst__file_cb cb, void *arg,
                     struct wst__file **out)
{
    struct wst__file *f = job_new(fs, OP_REMOVE, path, cb, arg);

    return f ? begin(fs, f, out) : WST_ERR_NOMEM;
}

void wst__file_cancel(struct wst__file *f)
{
    f->canceled = true;
}
