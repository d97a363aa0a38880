/* Small private files, read and written on libuv's pool. */
#ifndef WST_IO_FILE_UV_H
#define WST_IO_FILE_UV_H

#include "io/types.h"

struct wst__io;

/* A larger file is no token cache. */
enum { WST__FILE_MAX = 64 * 1024 };

struct wst__files {
    struct wst__io *io;
    struct wst__file *first, *last; /* All jobs, in the order in which they were asked for. */
};

void wst__files_init(struct wst__files *fs, struct wst__io *io);

/* See client/ports.h.  Jobs on the same path are done one after the other, in order. */
int wst__file_read(struct wst__files *fs, const char *path, wst__file_cb cb, void *arg,
                   struct wst__file **out);
int wst__file_replace(struct wst__files *fs, const char *path, const void *data, size_t n,
                      wst__file_cb cb, void *arg, struct wst__file **out);
int wst__file_remove(struct wst__files *fs, const char *path, wst__file_cb cb, void *arg,
                     struct wst__file **out);
/* |cb| will not run.  What was asked for is done all the same, except reading. */
void wst__file_cancel(struct wst__file *f);

#endif
