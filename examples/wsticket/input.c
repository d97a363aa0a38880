/*
 * stdin, line by line.  A terminal, a pipe and a socket are streams of libuv; a file, which is
 * always "ready", is read on the pool.
 */
#include "input.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void deliver(struct input *in);

static void ended(struct input *in, int err)
{
    in->at_end = true;
    in->error = err;
}

static void alloc_chunk(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
    (void)hint;
    struct input *in = handle->data;
    *buf = uv_buf_init(in->chunk, sizeof(in->chunk));
}

static void stream_data(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct input *in = stream->data;
    if (n == 0)
        return;
    if (n > 0) {
        bytes_add(&in->held, buf->base, (size_t)n);
    } else {
        uv_read_stop(stream);
        in->reading = false;
        ended(in, n == UV_EOF ? 0 : (int)n);
    }
    deliver(in);
}

static void file_data(uv_fs_t *rq)
{
    struct input *in = rq->data;
    ssize_t n = rq->result;
    uv_fs_req_cleanup(rq);
    in->reading = false;
    if (n > 0)
        bytes_add(&in->held, in->chunk, (size_t)n);
    else
        ended(in, (int)n);
    deliver(in);
}

/* Makes a stream of stdin; false when that is not possible. */
static bool open_stream(struct input *in, uv_handle_type type)
{
    int err = type == UV_TTY ? uv_tty_init(in->loop, &in->in.tty, STDIN_FILENO, 1)
                             : uv_pipe_init(in->loop, &in->in.pipe, 0);
    if (err)
        return ended(in, err), false;
    in->has_handle = true;
    in->in.handle.data = in;
    if (type == UV_TTY)
        return true;
    /* libuv makes the pipe non-blocking, for every program that shares it: put back at the end. */
    in->flags = fcntl(STDIN_FILENO, F_GETFL);
    err = uv_pipe_open(&in->in.pipe, STDIN_FILENO);
    return err ? ended(in, err), false : true;
}

static void open_input(struct input *in)
{
    in->opened = true;
    switch (uv_guess_handle(STDIN_FILENO)) {
    case UV_TTY:
        open_stream(in, UV_TTY);
        break;
    case UV_NAMED_PIPE:
    case UV_TCP:
        open_stream(in, UV_NAMED_PIPE);
        break;
    default: /* A file; or a directory and the like, which reading will tell. */
        in->is_file = true;
        break;
    }
}

static void read_more(struct input *in)
{
    if (in->reading)
        return;
    in->reading = true;
    int err;
    if (in->is_file) {
        uv_buf_t buf = uv_buf_init(in->chunk, sizeof(in->chunk));
        in->file.data = in;
        err = uv_fs_read(in->loop, &in->file, STDIN_FILENO, &buf, 1, -1, file_data);
    } else {
        err = uv_read_start(&in->in.stream, alloc_chunk, stream_data);
    }
    if (err) {
        in->reading = false;
        ended(in, err);
        deliver(in);
    }
}

static void stop_reading(struct input *in)
{
    /* A read of a file is left to end by itself; what it brings is held. */
    if (!in->reading || in->is_file)
        return;
    uv_read_stop(&in->in.stream);
    in->reading = false;
}

/*
 * Finds the line that begins at |from|: its length, and where the next one begins.  false when it
 * is not complete yet; at the end of the input, what is left is a line.
 */
static bool find_line(struct input *in, size_t from, size_t *len, size_t *next)
{
    if (from == in->held.len)
        return false;
    if (in->scanned < from)
        in->scanned = from;
    const char *begin = in->held.data + in->scanned;
    const char *end = memchr(begin, '\n', in->held.len - in->scanned);
    in->scanned = end ? (size_t)(end - in->held.data) : in->held.len;
    if (!end && !in->at_end)
        return false;
    *len = in->scanned - from;
    *next = in->scanned + (end ? 1 : 0);
    return true;
}

/* Hands over one line; false: it was not taken. */
static bool take_line(struct input *in, const char *line, size_t len)
{
    if (in->skipping) { /* The rest of a line that was reported already. */
        in->skipping = false;
        return true;
    }
    if (len > in->limit) {
        in->cbs->too_long(in->arg, ++in->number);
        return true;
    }
    if (!in->cbs->line(in->arg, line, len, in->number + 1))
        return false;
    in->number++;
    return true;
}

/* A line beyond the limit is not collected: it is reported once, and skipped up to its end. */
static void skip_endless(struct input *in)
{
    if (in->at_end || in->held.len <= in->limit || in->scanned < in->held.len)
        return;
    in->held.len = in->scanned = 0;
    if (!in->skipping)
        in->cbs->too_long(in->arg, ++in->number);
    in->skipping = true;
}

static void deliver(struct input *in)
{
    if (in->delivering) /* A callback called input_go(): the loop below goes on. */
        return;
    in->delivering = true;
    size_t from = 0, len, next;
    while (in->wanted && find_line(in, from, &len, &next)) {
        if (take_line(in, in->held.data + from, len))
            from = next;
        else
            in->wanted = false;
    }
    bytes_drop(&in->held, from);
    in->scanned = in->scanned > from ? in->scanned - from : 0;
    skip_endless(in);
    in->delivering = false;
    if (!in->wanted)
        stop_reading(in);
    else if (!in->at_end)
        read_more(in);
    else if (in->held.len == 0 && !in->told_end) {
        in->told_end = true;
        in->cbs->end(in->arg, in->error);
    }
}

void input_init(struct input *in, uv_loop_t *loop, const struct input_cbs *cbs, void *arg,
                size_t limit)
{
    memset(in, 0, sizeof(*in));
    in->loop = loop;
    in->cbs = cbs;
    in->arg = arg;
    in->limit = limit;
    in->flags = -1;
}

void input_go(struct input *in)
{
    in->wanted = true;
    if (!in->opened)
        open_input(in);
    deliver(in);
}

void input_pause(struct input *in)
{
    in->wanted = false;
    stop_reading(in);
}

void input_close(struct input *in)
{
    in->wanted = false;
    stop_reading(in);
    if (in->has_handle)
        uv_close(&in->in.handle, NULL);
    in->has_handle = false;
    if (in->flags != -1)
        fcntl(STDIN_FILENO, F_SETFL, in->flags);
    in->flags = -1;
}

void input_fini(struct input *in)
{
    bytes_free(&in->held);
}
