/* The replies of steps 1 and 2: JSON (cJSON), read by JSON pointers (RFC 6901). */
#ifndef WST_WIRE_REPLY_H
#define WST_WIRE_REPLY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

/* The longest token, in bytes: no server takes so long a header.  Of a reply, and in the store. */
enum { WST__TOKEN_MAX = 16384 };

/* How a reply is read; every pointer may be NULL: the defaults of the header. */
struct wst__reply_spec {
    const char *value_pointer;
    const char *url_pointer; /* Ticket: takes a whole URL instead. */
    const char *expiry_pointer;
    enum wst_expiry_format expiry_format;
    const char *success_pointer; /* NULL: no check. */
    const char *success_value;   /* JSON text; NULL: "true". */
    uint64_t default_life_ms;    /* Ticket: when the reply names none.  0: 30 s. */
    size_t max_value;            /* Longest token or ticket, in bytes.  0: WST__TOKEN_MAX, 4096. */
};

struct wst__token_reply {
    struct wst__secret token;
    int64_t life_ms; /* -1: unknown (neither an expiry nor a JWT with exp). */
};

struct wst__ticket_reply {
    struct wst__secret value; /* The ticket, or the whole URL. */
    bool is_url;
    uint64_t life_ms;
    uint64_t retry_after_ms; /* retryAfterMs, 0: none. */
    uint64_t spread_ms;      /* reconnectSpreadMs, 0: none. */
};

/* Is |pointer| a JSON pointer?  For the configuration's check. */
bool wst__reply_pointer_ok(const char *pointer);
/* Is |value| JSON text that a success field can be compared with?  For the same. */
bool wst__reply_value_ok(const char *value);
/*
 * |body| is what came under a 2xx.  BAD_REPLY with a text that names the field ("the ticket reply's
 * field /ticket is a number, expected a string") and never repeats a value; NOMEM.  The values are
 * checked: not empty, no control bytes, not longer than |max_value|; a token must also be usable in
 * a header (visible ASCII).  An expiry that is zero, negative, not a number or more than a day
 * (ticket; token: 10 years) is an error that names the field.  cJSON's tree is wiped.
 *
 * An expiry may be a number or a string that holds a decimal number, as some servers send it.  One
 * that is a point in time becomes a life by subtracting |wall_s|: a clock that is wrong makes the
 * life wrong, and it is up to a second too long because |wall_s| has whole seconds.  A default
 * field that is null counts as absent, so does an expiry that was named but is not there.  |out| is
 * overwritten; after an error it holds nothing.
 */
int wst__reply_token(const struct wst__reply_spec *spec, const char *body, size_t len,
                     int64_t wall_s, struct wst__token_reply *out, struct wst_cause *why);
int wst__reply_ticket(const struct wst__reply_spec *spec, const char *body, size_t len,
                      int64_t wall_s, struct wst__ticket_reply *out, struct wst_cause *why);
/* retryAfterMs and reconnectSpreadMs of any refusal; 0 when it names none or is not JSON. */
void wst__reply_steering(const char *body, size_t len, uint64_t *retry_after_ms,
                         uint64_t *spread_ms);

/* The token file: a JSON object of our own.  Damaged: false, and nothing is set. */
struct wst__token_record {
    struct wst__secret token;
    char *origin; /* wst__free() */
    int64_t received_at;
    int64_t life_s; /* -1: unknown. */
};
/* Appends it to |out|, a secret buffer.  TOO_LARGE (also: longer than WST__TOKEN_MAX, which would
 * not be read), NOMEM: then nothing was appended. */
int wst__token_record_write(const struct wst__token_record *r, struct wst__buf *out);
bool wst__token_record_read(const char *body, size_t len, struct wst__token_record *out);
void wst__token_record_fini(struct wst__token_record *r);

#endif
