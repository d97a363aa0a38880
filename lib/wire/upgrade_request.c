/*
 * The upgrade request (RFC 6455, 4.1), and what the key in it makes the server answer.  Everything
 * that could end a line early is refused here again, whatever the configuration's check let pass:
 * the ticket comes from a server, and a line break in it would be a header of its own.
 */
#include "wire/upgrade_internal.h"

#include "base/mem.h"
#include "wire/field.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

/* RFC 6455, 1.3. */
#define WEBSOCKET_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_LEN        24 /* 16 bytes in base64. */

/* Appends pieces; after the first failure it does nothing more. */
struct writer {
    struct wst__buf *out;
    int rc;
};

static void put_n(struct writer *w, const void *p, size_t n)
{
    if (w->rc == 0)
        w->rc = wst__buf_add(w->out, p, n);
}

static void put(struct writer *w, const char *s)
{
    put_n(w, s, strlen(s));
}

static void put_encoded(struct writer *w, const void *p, size_t n)
{
    if (w->rc == 0)
        w->rc = wst__url_encode(w->out, p, n);
}

static void fail(struct writer *w, int rc)
{
    if (w->rc == 0)
        w->rc = rc;
}

static const char *or_default(const char *s, const char *otherwise)
{
    return s ? s : otherwise;
}

static bool ticket_in(const struct wst__upgrade_request *rq, enum wst_ticket_in where)
{
    return rq->ticket && !wst__secret_empty(rq->ticket) && rq->ticket_in == where;
}

/* What the request itself says, or how the message is framed, is no matter of the application's. */
static bool reserved(const struct wst__field *f)
{
    static const char *const ours[] = {"Host", "Upgrade", "Connection", "Content-Length",
                                       "Transfer-Encoding"};

    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (wst__field_is(f, ours[i]))
            return true;
    }
    return f->name.n >= 4 && strncasecmp(f->name.s, "Sec-", 4) == 0;
}

/* Has the application set this header itself? */
static bool has_own(const struct wst__upgrade_request *rq, const char *name)
{
    struct wst__field f;

    for (const char *const *h = rq->headers; h && *h; h++) {
        if (wst__field_split(*h, strlen(*h), &f) && wst__field_is(&f, name))
            return true;
    }
    return ticket_in(rq, WST_TICKET_IN_HEADER) && rq->ticket_header &&
           strcasecmp(rq->ticket_header, name) == 0;
}

static void put_target(struct writer *w, const struct wst__upgrade_request *rq)
{
    const char *name = or_default(rq->query_name, "ticket");

    put(w, "GET ");
    put(w, rq->url->path);
    if (rq->url->query) {
        put(w, "?");
        put(w, rq->url->query);
    }
    if (ticket_in(rq, WST_TICKET_IN_QUERY)) {
        put(w, rq->url->query ? "&" : "?");
        put_encoded(w, name, strlen(name));
        put(w, "=");
        put_encoded(w, wst__secret_expose(rq->ticket), rq->ticket->len);
    }
    put(w, " HTTP/1.1\r\nHost: ");
    if (w->rc == 0)
        w->rc = wst__url_host_header(rq->url, w->out);
    put(w, "\r\n");
}

static void put_key(struct writer *w, const struct wst__upgrade_request *rq)
{
    unsigned char key[KEY_LEN + 1];

    (void)EVP_EncodeBlock(key, rq->nonce, (int)sizeof rq->nonce);
    put(w, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
    put_n(w, key, KEY_LEN);
    put(w, "\r\nSec-WebSocket-Version: 13\r\n");
}

static void put_ticket_protocol(struct writer *w, const struct wst__upgrade_request *rq)
{
    const char *prefix = or_default(rq->subprotocol_prefix, "");
    const char *ticket = wst__secret_expose(rq->ticket);

    if ((*prefix && !wst__is_token(prefix, strlen(prefix))) ||
        !wst__is_token(ticket, rq->ticket->len))
        fail(w, WST_ERR_INVALID);
    put(w, prefix);
    put_n(w, ticket, rq->ticket->len);
}

static void put_subprotocols(struct writer *w, const struct wst__upgrade_request *rq)
{
    bool ticket = ticket_in(rq, WST_TICKET_IN_SUBPROTOCOL);

    if (rq->subprotocol_count == 0 && !ticket)
        return;
    put(w, "Sec-WebSocket-Protocol: ");
    for (size_t i = 0; i < rq->subprotocol_count; i++) {
        const char *name = rq->subprotocols[i];

        if (!wst__is_token(name, strlen(name)))
            fail(w, WST_ERR_INVALID);
        put(w, i ? ", " : "");
        put(w, name);
    }
    if (ticket) {
        put(w, rq->subprotocol_count ? ", " : "");
        put_ticket_protocol(w, rq);
    }
    put(w, "\r\n");
}

/* "Name: value", where the value has to be one that a header can carry. */
static void put_field(struct writer *w, const char *name, const char *value, size_t n)
{
    if (!wst__is_field_text(value, n))
        fail(w, WST_ERR_INVALID);
    put(w, name);
    put(w, ": ");
    put_n(w, value, n);
    put(w, "\r\n");
}

static void put_bearer(struct writer *w, const struct wst__upgrade_request *rq)
{
    const char *token;

    if (!rq->bearer || wst__secret_empty(rq->bearer) || has_own(rq, "Authorization"))
        return;
    token = wst__secret_expose(rq->bearer);
    for (size_t i = 0; i < rq->bearer->len; i++) {
        if (token[i] < 0x21 || token[i] > 0x7e)
            fail(w, WST_ERR_INVALID);
    }
    put(w, "Authorization: Bearer ");
    put_n(w, token, rq->bearer->len);
    put(w, "\r\n");
}

/* One Cookie line at most (RFC 6265, 5.4): the jar's cookies and the application's own. */
static void put_cookies(struct writer *w, const struct wst__upgrade_request *rq)
{
    const char *between = "Cookie: ";
    struct wst__field f;

    if (rq->cookies && *rq->cookies) {
        put(w, between);
        put(w, rq->cookies);
        between = "; ";
        if (!wst__is_field_text(rq->cookies, strlen(rq->cookies)))
            fail(w, WST_ERR_INVALID);
    }
    for (const char *const *h = rq->headers; h && *h; h++) {
        if (!wst__field_split(*h, strlen(*h), &f) || !wst__field_is(&f, "Cookie"))
            continue;
        put(w, between);
        put_n(w, f.value.s, f.value.n);
        between = "; ";
    }
    if (*between == ';')
        put(w, "\r\n");
}

static void put_ticket_header(struct writer *w, const struct wst__upgrade_request *rq)
{
    const char *name = or_default(rq->ticket_header, "X-Ticket");
    const char *ticket = wst__secret_expose(rq->ticket);
    size_t n = rq->ticket->len;
    struct wst__field f = {{name, strlen(name)}, {ticket, n}};

    /* White space at either end would be lost on the way (RFC 9110, 5.5). */
    if (!wst__is_token(name, f.name.n) || reserved(&f) || strchr(" \t", ticket[0]) ||
        strchr(" \t", ticket[n - 1]))
        fail(w, WST_ERR_INVALID);
    put_field(w, name, ticket, n);
}

static void put_headers(struct writer *w, const struct wst__upgrade_request *rq)
{
    struct wst__field f;

    for (const char *const *h = rq->headers; h && *h; h++) {
        if (!wst__field_split(*h, strlen(*h), &f) || reserved(&f))
            fail(w, WST_ERR_INVALID);
        else if (!wst__field_is(&f, "Cookie")) {
            put(w, *h);
            put(w, "\r\n");
        }
    }
}

int wst__upgrade_write(struct wst__buf *out, const struct wst__upgrade_request *rq)
{
    struct writer w = {out, 0};
    size_t start = out->len;

    put_target(&w, rq);
    put_key(&w, rq);
    put_subprotocols(&w, rq);
    if (rq->extensions && *rq->extensions)
        put_field(&w, "Sec-WebSocket-Extensions", rq->extensions, strlen(rq->extensions));
    put_bearer(&w, rq);
    put_cookies(&w, rq);
    if (rq->user_agent && *rq->user_agent && !has_own(rq, "User-Agent"))
        put_field(&w, "User-Agent", rq->user_agent, strlen(rq->user_agent));
    if (ticket_in(rq, WST_TICKET_IN_HEADER))
        put_ticket_header(&w, rq);
    put_headers(&w, rq);
    put(&w, "\r\n");
    if (w.rc != 0)
        out->len = start; /* A secret buffer wipes all it has, used or not. */
    return w.rc;
}

/* RFC 6455, 4.2.2: base64(SHA-1(key, GUID)). */
static bool expected_accept(const uint8_t nonce[16], char accept[32])
{
    unsigned char text[KEY_LEN + sizeof WEBSOCKET_GUID];
    unsigned char digest[SHA_DIGEST_LENGTH];

    (void)EVP_EncodeBlock(text, nonce, 16);
    memcpy(text + KEY_LEN, WEBSOCKET_GUID, sizeof WEBSOCKET_GUID);
    if (!EVP_Q_digest(NULL, "SHA1", NULL, text, sizeof text - 1, digest, NULL))
        return false;
    (void)EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
    return true;
}

/* The ticket is not kept, but its subprotocol must be known again when the server chooses it. */
static bool note_ticket(struct wst__upgrade *u, const struct wst__upgrade_request *rq)
{
    struct wst__buf text;
    struct writer w = {&text, 0};

    if (!ticket_in(rq, WST_TICKET_IN_SUBPROTOCOL))
        return true;
    wst__buf_init(&text, SIZE_MAX, true);
    put(&w, or_default(rq->subprotocol_prefix, ""));
    put_n(&w, wst__secret_expose(rq->ticket), rq->ticket->len);
    u->ticket_offered = w.rc == 0 && EVP_Q_digest(NULL, "SHA256", NULL, text.data, text.len,
                                                  u->ticket_digest, NULL);
    wst__buf_fini(&text);
    return u->ticket_offered;
}

bool wst__upgrade_note_offer(struct wst__upgrade *u, const struct wst__upgrade_request *rq)
{
    struct writer w = {&u->offered, 0};

    for (size_t i = 0; i < rq->subprotocol_count; i++)
        put_n(&w, rq->subprotocols[i], strlen(rq->subprotocols[i]) + 1);
    if (w.rc != 0)
        return false;
    if (rq->extensions && *rq->extensions) {
        u->offered_extensions = wst__strdup(rq->extensions);
        if (!u->offered_extensions)
            return false;
    }
    return note_ticket(u, rq) && expected_accept(rq->nonce, u->accept);
}

bool wst__upgrade_is_ticket(const struct wst__upgrade *u, const char *name, size_t n)
{
    uint8_t digest[32];

    return u->ticket_offered && EVP_Q_digest(NULL, "SHA256", NULL, name, n, digest, NULL) &&
           memcmp(digest, u->ticket_digest, sizeof digest) == 0;
}
