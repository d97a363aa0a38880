/* HTTP/1.1 on a connection (RFC 9112).
 *
 * Bytes gather in |in| until the head is complete (CRLF CRLF), then until the body is: as long as
 * Content-Length says, or chunked, or empty when neither is there, whatever the method (RFC 9112,
 * 6.3).  The request then becomes an exchange and goes to the handler; what comes behind it stays
 * in |in| until the answer is written.  A request that breaks the rules is answered with its 4xx,
 * and the connection ends, because where the next request begins is not certain.
 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "util.h"

#define MAX_HEAD   ((size_t)16 * 1024)
#define MAX_BODY   ((size_t)1024 * 1024)
#define MAX_BEHIND ((size_t)64 * 1024) /* input kept while an answer is pending */

enum http_phase {
    HTTP_HEAD,
    HTTP_BODY,       /* |body_left| bytes are missing */
    HTTP_CHUNK_LINE, /* a chunk's size */
    HTTP_CHUNK_DATA, /* |body_left| bytes are missing, then CRLF */
    HTTP_CHUNK_END,  /* that CRLF */
    HTTP_TRAILER,    /* lines until an empty one */
    HTTP_BUSY        /* the handler has the request */
};

struct http_conn {
    struct conn *conn;
    void (*handle)(struct exchange *ex, void *arg);
    void *arg;
    unsigned idle_ms;
    enum http_phase phase;
    char *in;
    size_t in_len, in_cap;
    struct exchange *ex; /* being read or answered */
    size_t body_left, body_cap;
    bool running; /* inside run(), or before one: an answer or an end leaves the rest to it */
    bool paused;
};

static void run(struct http_conn *http);

static void free_exchange(struct exchange *ex)
{
    free(ex->head);
    free(ex->req.body);
    free(ex);
}

static void free_http(struct http_conn *http)
{
    free(http->in);
    free(http);
}

/* Where |what| begins in the input, or NULL. */
static char *find(const struct http_conn *http, const char *what)
{
    size_t len = strlen(what);
    size_t i;

    for (i = 0; i + len <= http->in_len; i++)
        if (!memcmp(http->in + i, what, len))
            return http->in + i;
    return NULL;
}

static void consume(struct http_conn *http, size_t len)
{
    memmove(http->in, http->in + len, http->in_len - len);
    http->in_len -= len;
}

/* Answers */

static const struct {
    int status;
    const char *text;
} reasons[] = {{101, "Switching Protocols"},
               {200, "OK"},
               {201, "Created"},
               {204, "No Content"},
               {301, "Moved Permanently"},
               {302, "Found"},
               {303, "See Other"},
               {304, "Not Modified"},
               {307, "Temporary Redirect"},
               {308, "Permanent Redirect"},
               {400, "Bad Request"},
               {401, "Unauthorized"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {407, "Proxy Authentication Required"},
               {408, "Request Timeout"},
               {410, "Gone"},
               {413, "Content Too Large"},
               {425, "Too Early"},
               {426, "Upgrade Required"},
               {429, "Too Many Requests"},
               {431, "Request Header Fields Too Large"},
               {500, "Internal Server Error"},
               {501, "Not Implemented"},
               {502, "Bad Gateway"},
               {503, "Service Unavailable"},
               {504, "Gateway Timeout"},
               {505, "HTTP Version Not Supported"}};

static const char *reason_of(int status)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "Status";
}

static void write_response(struct http_conn *http, int status, const char *extra, const char *type,
                           const char *body, size_t len, bool keep_alive)
{
    const char *method = http->ex ? http->ex->req.method : NULL;
    char head[4096];
    char date[64] = "";
    char length[64] = "";
    time_t now = time(NULL);
    struct tm tm;
    int n;

    if (gmtime_r(&now, &tm))
        (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    /* 1xx, 204 and 304 have no body, nor has any answer to a HEAD (RFC 9112, 6.3). */
    if (status < 200 || status == 204 || status == 304 || (method && !strcmp(method, "HEAD")))
        len = 0;
    else
        (void)snprintf(length, sizeof length, "Content-Length: %zu\r\n", len);
    n = snprintf(
        head, sizeof head, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s%s%sConnection: %s\r\n\r\n", status,
        reason_of(status), date, len ? "Content-Type: " : "", len ? type : "", len ? "\r\n" : "",
        length, extra ? extra : "", keep_alive ? "keep-alive" : "close");
    if (n < 0 || (size_t)n >= sizeof head)
        abort();
    (void)conn_write(http->conn, head, (size_t)n);
    (void)conn_write(http->conn, body, len);
}

/* The connection is not ours any more: what was read into it is dropped. */
static struct conn *release(struct http_conn *http)
{
    struct conn *conn = http->conn;

    conn_timeout(conn, 0);
    http->conn = NULL;
    if (!http->running)
        free_http(http);
    return conn;
}

void http_respond(struct exchange *ex, int status, const char *extra, const char *type,
                  const char *body, size_t len)
{
    struct http_conn *http = ex->http;
    bool keep_alive = ex->keep_alive;

    if (!http) {
        free_exchange(ex);
        return;
    }
    write_response(http, status, extra, type, body, len, keep_alive);
    free_exchange(ex);
    http->ex = NULL;
    if (!keep_alive) {
        conn_finish(release(http));
        return;
    }
    http->phase = HTTP_HEAD;
    conn_timeout(http->conn, http->idle_ms);
    if (http->paused) {
        /* With TLS this hands over what was kept, or tells of the end: both wait for run(). */
        http->paused = false;
        http->running = true;
        conn_resume(http->conn);
        http->running = false;
    }
    run(http);
}

struct conn *http_conn_of(const struct exchange *ex)
{
    return ex->http ? ex->http->conn : NULL;
}

struct conn *http_take_conn(struct exchange *ex, char **rest, size_t *rest_len)
{
    struct http_conn *http = ex->http;

    *rest = NULL;
    *rest_len = 0;
    if (!http)
        return NULL;
    *rest = http->in;
    *rest_len = http->in_len;
    http->in = NULL;
    http->in_len = http->in_cap = 0;
    http->ex = NULL;
    ex->http = NULL;
    return release(http);
}

void http_abandon(struct exchange *ex)
{
    if (ex->http)
        ex->http->ex = NULL;
    free_exchange(ex);
}

void http_drop(struct exchange *ex, enum http_drop how)
{
    struct http_conn *http = ex->http;

    http_abandon(ex);
    if (!http)
        return;
    if (how == HTTP_DROP_RST)
        conn_reset(release(http));
    else
        conn_drop(release(http));
}

/* A request that cannot be read. */
static void refuse(struct http_conn *http, int status, const char *why)
{
    char body[128];
    int n = snprintf(body, sizeof body, "{\"error\":\"%s\"}", why);

    write_response(http, status, NULL, "application/json", body, (size_t)n, false);
    if (http->ex) {
        free_exchange(http->ex);
        http->ex = NULL;
    }
    conn_finish(release(http));
}

/* Heads */

static char *trim(char *text)
{
    char *end;

    while (*text == ' ' || *text == '\t')
        text++;
    end = text + strlen(text);
    while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    return text;
}

static bool parse_header(struct http_request *req, char *line)
{
    char *colon = line + strcspn(line, ": \t");

    /* No name, or folding, or a space before the colon (RFC 9112, 5.1 and 5.2). */
    if (*colon != ':' || colon == line || req->header_count == HTTP_MAX_HEADERS)
        return false;
    *colon = '\0';
    req->headers[req->header_count].name = line;
    req->headers[req->header_count].value = trim(colon + 1);
    req->header_count++;
    return true;
}

static bool parse_request_line(struct exchange *ex, char *line)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;

    if (!version || target == line || target[1] != '/')
        return false;
    *target++ = '\0';
    *version++ = '\0';
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        return false;
    ex->keep_alive = version[7] == '1';
    ex->req.method = line;
    ex->req.path = target;
    ex->req.query = strchr(target, '?');
    if (ex->req.query)
        *ex->req.query++ = '\0';
    return true;
}

/* Cuts |ex->head| into its lines.  A bare CR or LF, or a NUL, is no part of a line. */
static bool parse_head(struct exchange *ex, size_t len)
{
    char *line = ex->head;
    char *end = ex->head + len - 2; /* The empty line ends the head. */
    bool first = true;

    if (strlen(ex->head) != len)
        return false;
    while (line < end) {
        char *next = strstr(line, "\r\n");

        *next = '\0';
        if (strpbrk(line, "\r\n"))
            return false;
        if (first ? !parse_request_line(ex, line) : !parse_header(&ex->req, line))
            return false;
        first = false;
        line = next + 2;
    }
    return !first;
}

const char *http_header(const struct http_request *req, const char *name)
{
    size_t i;

    for (i = 0; i < req->header_count; i++)
        if (!strcasecmp(req->headers[i].name, name))
            return req->headers[i].value;
    return NULL;
}

static bool is_repeated(const struct http_request *req, const char *name)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < req->header_count; i++)
        if (!strcasecmp(req->headers[i].name, name))
            count++;
    return count > 1;
}

static bool list_has(const char *list, const char *token)
{
    size_t len = strlen(token);

    while (*list) {
        size_t n;

        list += strspn(list, ", \t");
        n = strcspn(list, ", \t");
        if (n == len && !strncasecmp(list, token, len))
            return true;
        list += n;
    }
    return false;
}

bool http_has_token(const struct http_request *req, const char *name, const char *token)
{
    size_t i;

    for (i = 0; i < req->header_count; i++)
        if (!strcasecmp(req->headers[i].name, name) && list_has(req->headers[i].value, token))
            return true;
    return false;
}

/* Sets the phase that reads the body.  Returns 0, or the status to refuse with. */
static int begin_body(struct http_conn *http)
{
    const struct http_request *req = &http->ex->req;
    const char *length = http_header(req, "Content-Length");
    const char *coding = http_header(req, "Transfer-Encoding");

    http->body_left = 0;
    http->body_cap = 0;
    http->phase = HTTP_BODY;
    /* Where the body ends must not depend on who reads it (RFC 9112, 6.3). */
    if (is_repeated(req, "Content-Length") || is_repeated(req, "Transfer-Encoding"))
        return 400;
    if (coding) {
        if (strcasecmp(coding, "chunked") != 0)
            return 501;
        if (length) /* Two lengths: the stuff of request smuggling (RFC 9112, 6.1). */
            return 400;
        http->phase = HTTP_CHUNK_LINE;
        return 0;
    }
    if (!length)
        return 0;
    if (!*length || strspn(length, "0123456789") != strlen(length))
        return 400;
    if (strlen(length) > 9 || strtoul(length, NULL, 10) > MAX_BODY)
        return 413;
    http->body_left = strtoul(length, NULL, 10);
    return 0;
}

static bool read_head(struct http_conn *http)
{
    char *end;
    size_t len;
    int status;

    /* An empty line before a request is forgiven (RFC 9112, 2.2). */
    while (http->in_len >= 2 && !memcmp(http->in, "\r\n", 2))
        consume(http, 2);
    end = find(http, "\r\n\r\n");
    if (!end) {
        if (http->in_len > MAX_HEAD)
            refuse(http, 431, "request head too large");
        return false;
    }
    len = (size_t)(end - http->in) + 4;
    http->ex = xalloc(sizeof *http->ex);
    http->ex->http = http;
    http->ex->head = xalloc(len + 1);
    memcpy(http->ex->head, http->in, len);
    consume(http, len);
    if (len > MAX_HEAD || !parse_head(http->ex, len)) {
        refuse(http, len > MAX_HEAD ? 431 : 400, "malformed request");
        return false;
    }
    if (http_has_token(&http->ex->req, "Connection", "close"))
        http->ex->keep_alive = false;
    else if (http_has_token(&http->ex->req, "Connection", "keep-alive"))
        http->ex->keep_alive = true;
    status = begin_body(http);
    if (status) {
        refuse(http, status, "request body not accepted");
        return false;
    }
    if (http_has_token(&http->ex->req, "Expect", "100-continue"))
        (void)conn_write(http->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return true;
}

/* Bodies */

static bool read_body(struct http_conn *http)
{
    struct http_request *req = &http->ex->req;
    size_t n = http->in_len < http->body_left ? http->in_len : http->body_left;

    xgrow(&req->body, &http->body_cap, req->body_len + n + 1);
    memcpy(req->body + req->body_len, http->in, n);
    req->body_len += n;
    req->body[req->body_len] = '\0';
    http->body_left -= n;
    consume(http, n);
    return http->body_left == 0;
}

/* The next line of |in| as a string in |line|; false when it is not complete, or was refused. */
static bool read_line(struct http_conn *http, char *line, size_t size)
{
    char *end = find(http, "\r\n");
    size_t len = end ? (size_t)(end - http->in) : http->in_len;

    if (len >= size) {
        refuse(http, 400, "malformed chunk");
        return false;
    }
    if (!end)
        return false;
    memcpy(line, http->in, len);
    line[len] = '\0';
    consume(http, len + 2);
    return true;
}

static bool read_chunk_line(struct http_conn *http)
{
    char line[256];
    unsigned long size;
    size_t digits;

    if (!read_line(http, line, sizeof line))
        return false;
    digits = strspn(line, "0123456789abcdefABCDEF");
    if (!digits || (line[digits] && !strchr("; \t", line[digits]))) {
        refuse(http, 400, "malformed chunk");
        return false;
    }
    size = strtoul(line, NULL, 16);
    if (size > MAX_BODY || http->ex->req.body_len + size > MAX_BODY) {
        refuse(http, 413, "request body too large");
        return false;
    }
    http->body_left = size;
    http->phase = size ? HTTP_CHUNK_DATA : HTTP_TRAILER;
    return true;
}

static bool read_chunk_end(struct http_conn *http)
{
    if (http->in_len < 2)
        return false;
    if (memcmp(http->in, "\r\n", 2) != 0) {
        refuse(http, 400, "malformed chunk");
        return false;
    }
    consume(http, 2);
    http->phase = HTTP_CHUNK_LINE;
    return true;
}

static void hand_over(struct http_conn *http)
{
    http->phase = HTTP_BUSY;
    conn_timeout(http->conn, 0);
    http->handle(http->ex, http->arg);
}

/* Goes on as far as the input reaches.  Returns false when more input, or an answer, is needed. */
static bool step(struct http_conn *http)
{
    char trailer[1024];

    switch (http->phase) {
    case HTTP_HEAD:
        return read_head(http);
    case HTTP_BODY:
        if (!read_body(http))
            return false;
        hand_over(http);
        return true;
    case HTTP_CHUNK_LINE:
        return read_chunk_line(http);
    case HTTP_CHUNK_DATA:
        if (!read_body(http))
            return false;
        http->phase = HTTP_CHUNK_END;
        return true;
    case HTTP_CHUNK_END:
        return read_chunk_end(http);
    case HTTP_TRAILER:
        if (!read_line(http, trailer, sizeof trailer))
            return false;
        if (!*trailer) {
            http->body_left = 0;
            (void)read_body(http);
            hand_over(http);
        }
        return true;
    case HTTP_BUSY:
        break;
    }
    return false;
}

/* The handler may answer, and even give the connection away, before it returns: |running| keeps the
 * struct alive until the loop has noticed. */
static void run(struct http_conn *http)
{
    if (http->running)
        return;
    http->running = true;
    while (http->conn && step(http))
        continue;
    http->running = false;
    if (!http->conn)
        free_http(http);
}

static void on_data(void *arg, const char *data, size_t len)
{
    struct http_conn *http = arg;

    xgrow(&http->in, &http->in_cap, http->in_len + len);
    memcpy(http->in + http->in_len, data, len);
    http->in_len += len;
    if (http->phase == HTTP_BUSY && http->in_len > MAX_BEHIND) {
        http->paused = true;
        conn_pause(http->conn);
    }
    run(http);
}

static void on_close(void *arg)
{
    struct http_conn *http = arg;
    struct exchange *ex = http->ex;

    http->conn = NULL;
    http->ex = NULL;
    if (ex) {
        bool pending = http->phase == HTTP_BUSY;

        ex->http = NULL;
        if (!pending)
            free_exchange(ex);
        else if (ex->on_gone)
            ex->on_gone(ex);
    }
    if (!http->running)
        free_http(http);
}

void http_serve(struct conn *conn, void (*handle)(struct exchange *ex, void *arg), void *arg,
                unsigned idle_ms)
{
    static const struct conn_handler handler = {.on_data = on_data, .on_close = on_close};
    struct http_conn *http = xalloc(sizeof *http);

    http->conn = conn;
    http->handle = handle;
    http->arg = arg;
    http->idle_ms = idle_ms;
    conn_set_handler(conn, &handler, http);
    conn_timeout(conn, idle_ms);
}
