/*
 * stdin, line by line, and only while somebody wants it: what is not read stays with whoever wrote
 * it, so that nothing is lost while the WebSocket is not open.  A terminal, a pipe, a socket and a
 * file all work.
 */
#ifndef WSTICKET_INPUT_H
#define WSTICKET_INPUT_H

#include "bytes.h"

#include <uv.h>

struct input_cbs {
    /* One line, without its line feed.  false: not now, as if input_pause() had been called; the
     * line is kept and comes again after input_go(). */
    bool (*line)(void *arg, const char *line, size_t len, size_t number);
    /* A line was longer than the limit and is left out. */
    void (*too_long)(void *arg, size_t number);
    /* The end: every line has been taken.  |err|: 0, or the libuv error that ended it. */
    void (*end)(void *arg, int err);
};

struct input {
    uv_loop_t *loop;
    const struct input_cbs *cbs;
    void *arg;
    size_t limit; /* Of a line, in bytes. */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tty_t tty;
        uv_pipe_t pipe;
    } in;
    uv_fs_t file;
    int flags; /* What fcntl(F_GETFL) said before libuv made stdin non-blocking; -1: none. */
    bool opened;
    bool is_file;
    bool has_handle;
    bool wanted; /* Between input_go() and input_pause(). */
    bool reading;
    bool delivering;
    bool skipping; /* Inside a line that is too long. */
    bool at_end;
    bool told_end;
    int error;
    size_t number;     /* Of the last line that was taken, from 1. */
    struct bytes held; /* Read, not yet taken. */
    size_t scanned;    /* So much of |held|, from the line that is next, has no line feed. */
    char chunk[65536];
};

void input_init(struct input *in, uv_loop_t *loop, const struct input_cbs *cbs, void *arg,
                size_t limit);
/* Wants lines: delivers what is held, then reads on. */
void input_go(struct input *in);
/* Wants none for now. */
void input_pause(struct input *in);
/* Gives the handle back; the memory must last until the loop has ended. */
void input_close(struct input *in);
void input_fini(struct input *in);

#endif
