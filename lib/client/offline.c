/* The offline queue: a list, oldest first. */
#include "client/offline.h"

#include "base/mem.h"
#include "client/driver.h"
#include "wire/utf8.h"

#include <assert.h>
#include <string.h>

struct wst__waiting {
    struct wst__waiting *next;
    uint64_t start;    /* The number of the start that it belongs to. */
    uint64_t until_ms; /* On the clock that runs during sleep. */
    void *ref;
    size_t len;
    enum wst_message_type type;
    uint8_t data[];
};

_Static_assert(sizeof(struct wst__waiting) <= WST__OFFLINE_EACH, "a message costs more than told");

static const struct wst_config *config_of(const struct wst_client *cl)
{
    return &cl->shared->config.c;
}

static void read_clock(const struct wst_client *cl, struct wst__time *t)
{
    cl->ports->clock(cl->ports->world, t);
}

static void drop(struct wst__waiting *m)
{
    wst__wipe(m, sizeof *m + m->len);
    wst__free(m);
}

/* Takes the first one out. */
static struct wst__waiting *pop(struct wst__offline *q)
{
    struct wst__waiting *m = q->first;

    q->first = m->next;
    if (!q->first)
        q->last = NULL;
    q->count--;
    q->payload -= m->len;
    return m;
}

/* It will not be sent. */
static void report(struct wst_client *cl, struct wst__waiting *m, int reason)
{
    void *ref = m->ref;
    size_t len = m->len;

    drop(m);
    cl->counts.unsent_messages++;
    if (config_of(cl)->on_unsent)
        config_of(cl)->on_unsent(cl, ref, len, reason, cl->arg);
}

static int check(const struct wst_client *cl, enum wst_message_type type, const void *data,
                 size_t len)
{
    const struct wst_config *c = config_of(cl);
    const struct wst__offline *q = cl->offline;
    size_t used;

    if (!q || !wst__driver_wants(cl))
        return WST_ERR_NOT_OPEN;
    if (q->refusal != 0)
        return q->refusal; /* Sent again, it would come round in the same step, for ever. */
    used = q->payload + q->count * WST__OFFLINE_EACH;
    if (type == WST_TEXT && !wst__utf8_valid(data, len))
        return WST_ERR_BAD_UTF8;
    if (len > c->offline_bytes || WST__OFFLINE_EACH > c->offline_bytes - len)
        return WST_ERR_TOO_LARGE;
    if (q->count >= c->offline_messages || used > c->offline_bytes - len - WST__OFFLINE_EACH)
        return WST_ERR_QUEUE_FULL;
    return 0;
}

int wst__offline_add(struct wst_client *cl, enum wst_message_type type, const void *data,
                     size_t len, void *ref)
{
    struct wst__offline *q = cl->offline;
    struct wst__waiting *m;
    struct wst__time t;
    int rc = check(cl, type, data, len);

    if (rc != 0)
        return rc;
    m = wst__malloc(sizeof *m + len);
    if (!m)
        return WST_ERR_NOMEM;
    read_clock(cl, &t);
    *m = (struct wst__waiting){.start = q->starts,
                               .until_ms = t.boot_ms + config_of(cl)->offline_age_ms,
                               .ref = ref,
                               .len = len,
                               .type = type};
    if (len)
        memcpy(m->data, data, len);
    if (q->last)
        q->last->next = m;
    else
        q->first = m;
    q->last = m;
    q->count++;
    q->payload += len;
    return 0;
}

uint64_t wst__offline_due(const struct wst_client *cl)
{
    const struct wst__waiting *m = cl->offline ? cl->offline->first : NULL;
    struct wst__time t;

    if (!m)
        return WST__NEVER;
    read_clock(cl, &t);
    return t.now_ms + (m->until_ms > t.boot_ms ? m->until_ms - t.boot_ms : 0);
}

void wst__offline_expire(struct wst_client *cl)
{
    struct wst__offline *q = cl->offline;
    struct wst__time t;

    if (!q || !q->first)
        return;
    read_clock(cl, &t);
    while (q->first && q->first->until_ms <= t.boot_ms && !cl->closing)
        report(cl, pop(q), WST_ERR_TOO_OLD);
}

void wst__offline_send(struct wst_client *cl)
{
    struct wst__offline *q = cl->offline;

    /* Those of a start that waits are not for this connection, which is about to be stopped. */
    while (q && q->first && q->first->start <= q->ends + 1 && !cl->closing) {
        struct wst__waiting *m = pop(q);
        int rc = wst__link_send(cl->link, m->type, m->data, m->len, m->ref);

        if (rc == 0) {
            drop(m);
        } else { /* There is room for it, but perhaps no memory, or no masking key. */
            q->refusal = rc;
            report(cl, m, rc);
            q->refusal = 0;
        }
        wst__driver_ask(cl);
    }
}

void wst__offline_end(struct wst_client *cl, int reason)
{
    struct wst__offline *q = cl->offline;
    uint64_t end;

    if (!q)
        return;
    end = ++q->ends;
    assert(end <= q->starts);
    while (q->first && q->first->start <= end)
        report(cl, pop(q), reason);
}
