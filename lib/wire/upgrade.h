/* The opening handshake (RFC 6455, 4; RFC 9112 framing): request out, response in. */
#ifndef WST_WIRE_UPGRADE_H
#define WST_WIRE_UPGRADE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "wire/url.h"

struct wst__upgrade_request {
    const struct wst__url *url;
    const struct wst__secret *ticket; /* NULL: none. */
    enum wst_ticket_in ticket_in;
    const char *query_name;
    const char *ticket_header;
    const char *subprotocol_prefix;
    const char *const *subprotocols;
    size_t subprotocol_count;
    const char *const *headers; /* "Name: value", NULL-terminated list. */
    const char *user_agent;     /* NULL or "": none. */
    const struct wst__secret *bearer; /* NULL: no Authorization. */
    const char *cookies;        /* NULL or "": none. */
    const char *extensions;     /* Sec-WebSocket-Extensions to offer; NULL: none. */
    uint8_t nonce[16];          /* Unpredictable. */
};

/* Appends the whole request to |out| (a secret buffer).  TOO_LARGE, NOMEM; INVALID when the ticket
 * cannot be a header or subprotocol value. */
int wst__upgrade_write(struct wst__buf *out, const struct wst__upgrade_request *rq);

/* The parser of one response: one object per attempt. */
struct wst__upgrade {
    struct wst__buf head;      /* Received so far. */
    struct wst__buf body;      /* Of a refusal, bounded. */
    /* Filled in as far as it goes. */
    int status;                /* 0: the status line has not been read. */
    bool accepted;             /* 101, and every check has passed. */
    bool has_retry_after;
    uint64_t retry_after_ms;
    char location_host[256];
    char www_authenticate[128]; /* Scheme and error only, bounded, printable. */
    char subprotocol[128];      /* Chosen; "" none. */
    char extensions[256];       /* Agreed, as sent; "" none. */
    /* Private. */
    char accept[32];
    char *offered; /* Copy of what was offered: subprotocols, separated by NUL; extensions. */
    size_t offered_len;
    bool offered_extensions;
    size_t body_left;
    int phase;
};

/* |rq| is read for what was offered; the ticket is not kept.  NOMEM. */
int wst__upgrade_init(struct wst__upgrade *u, const struct wst__upgrade_request *rq,
                      size_t max_header_bytes, size_t max_body_bytes);
void wst__upgrade_fini(struct wst__upgrade *u);
/*
 * Feeds bytes; |*used| says how many belong to the response (what follows a 101 are frames).
 * Returns 1 when the response is complete (look at |accepted|), 0 when more is needed, or an error
 * with |why| filled in: UPGRADE_REFUSED (with http_status; also 2xx), REDIRECTED ("redirected to
 * HOST: not followed"), BAD_UPGRADE (names the header), REPLY_TOO_LARGE, NOMEM.  A refusal's body is
 * read as far as it is at hand and announced, bounded; wst__upgrade_eof() ends it.
 */
int wst__upgrade_feed(struct wst__upgrade *u, const uint8_t *bytes, size_t n, size_t *used,
                      struct wst_cause *why);
/* The connection ended: a refusal that was complete but for its body, else EOF. */
int wst__upgrade_eof(struct wst__upgrade *u, struct wst_cause *why);

#endif
