/* One HTTP request or one stream of a test, and what came of it. */
#ifndef WST_TESTS_IO_CALLS_H
#define WST_TESTS_IO_CALLS_H

#include "io/http_curl.h"
#include "io/stream_openssl.h"
#include "lib/server.h"
#include "lib/world.h"

/* ---- HTTP ---------------------------------------------------------------------------------- */

struct call {
    struct wst__http *http;
    bool done;
    int sent; /* Times that |sent| ran; all before |done|. */
    struct wst_cause why;
    struct wst__http_answer answer; /* |body| points to the copy below. */
    char body[4096];
};

/* Starts "METHOD URL" with these headers and a body (may be NULL), 16 KiB and 64 KiB ceilings. */
void call_start(struct call *c, struct wst__net *net, const char *method, const char *url,
                const char *const *headers, const char *body);
/* The same with GET, and waits for the end; returns why.code. */
int call_get(struct call *c, struct world *w, struct wst__net *net, const char *url);
/* "SCHEME://HOST:PORT/PATH" of a server; a static ring of buffers. */
const char *url_of(const char *scheme, const char *host, const struct server *s, const char *path);

/* ---- Streams ------------------------------------------------------------------------------- */

struct pipe {
    struct world *world;
    struct wst__stream *stream;
    bool ready, ended, closed, writable;
    struct wst_cause why;
    struct wst__stream_timing timing;
    uint8_t *data; /* All that came; NULL: only counted. */
    size_t len, max;
    size_t calls; /* Of |data| and |placed|. */
    bool got_enough;
    size_t enough; /* When len reaches it, got_enough is set. */
    /* Called in |ready| and |data|; may be NULL. */
    void (*on_ready)(struct pipe *p);
    void (*on_data)(struct pipe *p);
    uint8_t *place; /* Given out by |place| while place_room > 0. */
    size_t place_room;
    size_t placed;
};

void pipe_open(struct pipe *p, struct world *w, struct wst__net *net, const char *host,
               uint16_t port, bool tls);
/* Opens and waits until it is ready or has ended; returns why.code. */
int pipe_connect(struct pipe *p, struct world *w, struct wst__net *net, const char *host,
                 uint16_t port, bool tls);
/* Writes all of it; waits for |writable| where needed.  Returns 0 or the code. */
int pipe_write(struct pipe *p, const void *bytes, size_t n);
/* Waits until |n| bytes have come in all. */
void pipe_expect(struct pipe *p, size_t n);
/* Closes and waits until it is closed. */
void pipe_close(struct pipe *p);

#endif
