/* The opening handshake (RFC 6455, 4; RFC 9112 framing): request out, response in. */
#ifndef WST_WIRE_UPGRADE_H
#define WST_WIRE_UPGRADE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "wire/url.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wst__upgrade_request {
    const struct wst__url *url;
    const struct wst__secret *ticket; /* NULL: none. */
    enum wst_ticket_in ticket_in;
    const char *query_name;
    const char *ticket_header;
    const char *subprotocol_prefix;
    const char *const *subprotocols;
    size_t subprotocol_count;
    const char *const *headers;       /* "Name: value", NULL-terminated list. */
    const char *user_agent;           /* NULL or "": none. */
    const struct wst__secret *bearer; /* NULL: no Authorization. */
    const char *cookies;              /* NULL or "": none. */
    const char *extensions;           /* Sec-WebSocket-Extensions to offer; NULL: none. */
    uint8_t nonce[16];                /* Unpredictable. */
    int64_t wall_s; /* The wall clock, for a Retry-After that is a date in an answer without a Date;
                       0: there is none. */
};

/*
 * Appends the whole request to |out| (a secret buffer).  An application's own User-Agent or
 * Authorization header takes the place of ours, its Cookie header is joined to |cookies|.
 * TOO_LARGE, NOMEM; INVALID when the ticket cannot be a header or subprotocol value, or a header or
 * subprotocol of the request is none.  After an error nothing was appended.
 */
int wst__upgrade_write(struct wst__buf *out, const struct wst__upgrade_request *rq);

/* Where a chunked body stands (RFC 9112, 7.1). */
struct wst__chunked {
    unsigned phase;
    unsigned digits;  /* Of the size. */
    unsigned skipped; /* Bytes of extensions and trailers. */
    uint64_t left;    /* Of the chunk. */
};

/* The parser of one response: one object per attempt. */
struct wst__upgrade {
    struct wst__buf head; /* Of the response being read; of interim ones nothing is kept. */
    struct wst__buf body; /* Of a refusal, cut at its ceiling. */
    /* Filled in as far as it goes. */
    int status;    /* 0: the status line has not been read. */
    bool accepted; /* 101, and every check has passed. */
    bool has_retry_after;
    uint64_t retry_after_ms;    /* At most a day. */
    char location_host[256];    /* "" when the Location names no host. */
    char www_authenticate[128]; /* Scheme and error only, bounded, printable. */
    char subprotocol[128];      /* Chosen; "" none, or the one that carries the ticket. */
    char extensions[256];       /* Agreed, as sent; "" none. */
    /* Private. */
    unsigned phase;
    int result; /* Once it is over: 1 or the error. */
    struct wst_cause cause;
    size_t line;  /* Where in |head| the line being read begins. */
    size_t lines; /* Header lines of this response. */
    unsigned interim;
    bool http10;
    bool plain; /* Without TLS. */
    int64_t wall_s;
    char accept[32];
    struct wst__buf offered;  /* Subprotocols, each terminated; not the ticket's. */
    char *offered_extensions; /* NULL: none. */
    bool ticket_offered;
    uint8_t ticket_digest[32]; /* SHA-256 of the subprotocol that carries the ticket. */
    uint64_t body_left;
    struct wst__chunked chunked;
};

/* |rq| is read for what was offered; the ticket is not kept.  NOMEM: then it is empty. */
int wst__upgrade_init(struct wst__upgrade *u, const struct wst__upgrade_request *rq,
                      size_t max_header_bytes, size_t max_body_bytes);
void wst__upgrade_fini(struct wst__upgrade *u);
/*
 * Feeds bytes; |*used| says how many belong to the response (what follows a 101 are frames).
 * Returns 1 when the upgrade was accepted, 0 when more is needed, or an error with |why| filled in:
 * UPGRADE_REFUSED (with http_status; also 2xx), REDIRECTED ("redirected to HOST: not followed"),
 * BAD_UPGRADE (names the header), REPLY_TOO_LARGE, NOMEM.  Once it is over, the same is returned
 * again and no byte is used.  How the bytes are split over the calls makes no difference.
 *
 * A refusal is reported when its body is there: as long as announced, cut at |max_body_bytes|, or
 * ended by wst__upgrade_eof().  A body whose framing is wrong ends where it goes wrong.
 * why->http_status is set for refusals and redirects only, and for a refusal whose head is wrong.
 */
int wst__upgrade_feed(struct wst__upgrade *u, const uint8_t *bytes, size_t n, size_t *used,
                      struct wst_cause *why);
/* The connection ended, or nobody waits any longer: a refusal that was complete but for its body,
 * else EOF.  Returns what wst__upgrade_feed() would. */
int wst__upgrade_eof(struct wst__upgrade *u, struct wst_cause *why);
/* Has the head of a refusal come, and its body not wholly? */
bool wst__upgrade_is_refusal(const struct wst__upgrade *u);

#endif
