/*
 * Any bytes as the answer to the upgrade, fed in one piece and in pieces whose lengths the first
 * four bytes choose: both must end alike.
 */
#include "fuzz.h"
#include "wire/upgrade.h"

#include <string.h>

#define MAX_HEADER 2048
#define MAX_BODY   256

struct end {
    struct wst__upgrade u;
    struct wst_cause why;
    size_t used;
    int rc;
};

static void begin(struct end *e, const struct wst__upgrade_request *rq)
{
    memset(e, 0, sizeof *e);
    MUST(wst__upgrade_init(&e->u, rq, MAX_HEADER, MAX_BODY) == 0);
}

static void feed(struct end *e, const uint8_t *bytes, size_t n)
{
    size_t used;

    if (e->rc != 0)
        return;
    e->rc = wst__upgrade_feed(&e->u, bytes, n, &used, &e->why);
    MUST(used <= n && (e->rc != 0 || used == n));
    e->used += used;
}

static void finish(struct end *e)
{
    if (e->rc == 0)
        e->rc = wst__upgrade_eof(&e->u, &e->why);
    MUST(e->rc == 1 || e->rc < 0);
    MUST(e->u.accepted == (e->rc == 1) && (e->rc != 1 || e->u.status == 101));
    MUST(e->rc == 1 || (e->why.code == e->rc && e->why.http_status != 101));
    MUST(e->u.body.len <= MAX_BODY && e->u.head.len <= MAX_HEADER);
}

static void compare(const struct end *a, const struct end *b)
{
    MUST(a->rc == b->rc && a->used == b->used && a->u.status == b->u.status);
    MUST(a->u.has_retry_after == b->u.has_retry_after);
    MUST(a->u.retry_after_ms == b->u.retry_after_ms && a->u.retry_after_ms <= 86400000);
    MUST(strcmp(a->u.location_host, b->u.location_host) == 0);
    MUST(strcmp(a->u.www_authenticate, b->u.www_authenticate) == 0);
    MUST(strcmp(a->u.subprotocol, b->u.subprotocol) == 0);
    MUST(strcmp(a->u.extensions, b->u.extensions) == 0);
    MUST(strcmp(a->why.text, b->why.text) == 0);
    MUST(a->u.body.len == b->u.body.len);
    MUST(a->u.body.len == 0 || memcmp(a->u.body.data, b->u.body.data, a->u.body.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const offered[] = {"chat", "superchat"};
    struct wst__upgrade_request rq = {
        .subprotocols = offered, .subprotocol_count = 2, .extensions = "permessage-deflate"};
    struct end whole;
    struct end split;
    size_t at = 4;

    if (size < 4)
        return 0;
    memcpy(rq.nonce, "the sample nonce", sizeof rq.nonce); /* RFC 6455, 1.3. */
    begin(&whole, &rq);
    feed(&whole, data + at, size - at);
    finish(&whole);
    begin(&split, &rq);
    for (unsigned i = 0; at < size; i++) {
        size_t n = (size_t)data[i % 4] % 64 + 1;

        n = n < size - at ? n : size - at;
        feed(&split, data + at, n);
        at += n;
    }
    finish(&split);
    compare(&whole, &split);
    wst__upgrade_fini(&whole.u);
    wst__upgrade_fini(&split.u);
    return 0;
}
