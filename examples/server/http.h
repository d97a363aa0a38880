/* HTTP/1.1 on a connection: one request after the other, each answered when the answer is known. */
#ifndef WSTSERVER_HTTP_H
#define WSTSERVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "conn.h"

#define HTTP_MAX_HEADERS 100

struct http_field {
    const char *name, *value;
};

struct http_request {
    const char *method, *path;
    char *query; /* behind the '?', not decoded; NULL when there is none */
    struct http_field headers[HTTP_MAX_HEADERS];
    size_t header_count;
    char *body; /* NUL behind it */
    size_t body_len;
};

/* A request that waits for its answer.  From the handler's call on it belongs to the handler, until
 * one of the functions below marked "ends |ex|" is called; asynchronous work may lie between. */
struct exchange {
    struct http_request req;
    struct http_conn *http; /* NULL once the client is gone */
    bool keep_alive;
    /* Optional: told when the client goes while the answer is pending.  It may end |ex| with
     * http_abandon, or wait until its own work is done and end it then in any way. */
    void (*on_gone)(struct exchange *ex);
    void *user;
    char *head; /* what |req| points into */
};

/* Serves |conn|; |handle| gets each request.  |idle_ms|: an unfinished or absent request ends it.
 */
void http_serve(struct conn *conn, void (*handle)(struct exchange *ex, void *arg), void *arg,
                unsigned idle_ms);

/* The first header |name| (any case), or NULL. */
const char *http_header(const struct http_request *req, const char *name);

/* Whether the comma-separated lists of all headers |name| hold |token| (any case; RFC 9110, 5.6.1).
 */
bool http_has_token(const struct http_request *req, const char *name, const char *token);

/* The connection of |ex|; NULL once the client is gone. */
struct conn *http_conn_of(const struct exchange *ex);

/* Answers; |extra| holds further header lines, each ended by CRLF, or is NULL.  Ends |ex|. */
void http_respond(struct exchange *ex, int status, const char *extra, const char *type,
                  const char *body, size_t len);

/* Hands the connection over for another protocol.  Bytes that came behind the request are in
 * |*rest| (free with free()).  NULL when the client is gone.  The new owner sets its handler, then
 * resumes reading.  Does not end |ex|, whose request stays readable; http_abandon must follow. */
struct conn *http_take_conn(struct exchange *ex, char **rest, size_t *rest_len);

/* Ends |ex| without an answer.  The connection, if it is still there, is the caller's to end: only
 * after http_take_conn, or from on_gone. */
void http_abandon(struct exchange *ex);

/* Forgets the client: ends the connection in the given way, then |ex|. */
enum http_drop { HTTP_DROP_FIN, HTTP_DROP_RST };
void http_drop(struct exchange *ex, enum http_drop how);

#endif
