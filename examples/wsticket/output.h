/*
 * Writing to stdout and stderr without ever making the loop wait.
 *
 * What the kernel takes at once is written at once, so that the two keep their order.  The rest
 * waits for a thread of libuv's pool.  The descriptor is not made non-blocking: it is shared with
 * other programs (the shell's terminal, the other end of 2>&1), and they would see it too.  A
 * terminal is opened anew for that; when it cannot be, the pool writes everything.
 */
#ifndef WSTICKET_OUTPUT_H
#define WSTICKET_OUTPUT_H

#include "bytes.h"

#include <uv.h>

struct output {
    uv_loop_t *loop;
    int fd;
    int now_fd; /* Where the loop writes: |fd|, or a terminal opened anew; -1: nowhere. */
    uv_work_t work;
    bool busy;                  /* The pool is writing |writing|. */
    struct bytes waiting;       /* Goes next. */
    struct bytes writing;       /* Belongs to the pool while |busy|. */
    int error;                  /* errno of the write that failed; nothing is written after it. */
    void (*changed)(void *arg); /* Less is pending, or |error| is set.  From the loop. */
    void *arg;
};

void output_init(struct output *o, uv_loop_t *loop, int fd, void (*changed)(void *arg), void *arg);
void output_write(struct output *o, const void *data, size_t len);
/* Bytes that the kernel has not taken yet. */
size_t output_pending(const struct output *o);
void output_fini(struct output *o);

#endif
