/* A uv loop with the io room on it, as tests of that room use it. */
#ifndef WST_TESTS_WORLD_H
#define WST_TESTS_WORLD_H

#include "io/io.h"
#include "io/net.h"

#include <stdbool.h>

struct world {
    uv_loop_t uv;
    struct wst__io io;
    bool closed;
    int fds; /* Open descriptors before it was made. */
};

/* For cmocka's setup and teardown: *state is a struct world. */
int world_setup(void **state);
/* Closes it; fails the test unless nothing is left: no handle in the loop, no descriptor. */
int world_teardown(void **state);

/* Runs the loop until |*flag|; fails the test after half a minute. */
void world_run(struct world *w, const bool *flag);
void world_run_either(struct world *w, const bool *one, const bool *other);
/* Runs it for |ms|. */
void world_run_for(struct world *w, uint64_t ms);

/* Default options, with |ca_file| (may be NULL). */
struct wst__net *world_net(struct world *w, const char *ca_file);
struct wst__net *world_net_with(struct world *w, const struct wst__net_options *opt);

int count_fds(void);
/* A directory for the files of this test program; removed at exit. */
const char *temp_dir(void);
/* PATH in that directory; a static ring of buffers. */
const char *temp_path(const char *name);

#endif
