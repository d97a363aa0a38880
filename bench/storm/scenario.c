#include "scenario.h"

#include <assert.h>
#include <string.h>

#define DRAIN_EVERY_MS 30000 /* Rolling restart: the next node. */
#define DRAINED_FOR_MS 10000 /* Until it is back. */
#define FLAP_MS        5000

#define BIT(e) (1U << (e))
#define ALL    (BIT(TOKEN) | BIT(TICKET) | BIT(UPGRADE))

static void add(struct plan *p, uint32_t at_ms, enum deed deed, uint32_t arg)
{
    assert(p->count < MAX_MOMENTS);
    p->moments[p->count++] = (struct moment){at_ms, deed, arg};
    p->last_ms = at_ms;
}

static void crash(struct plan *p, const struct setup *s)
{
    (void)s;
    add(p, 0, DROP_ALL, 0);
    add(p, 0, HEALED, 0);
}

static void down_for_a_while(struct plan *p, const struct setup *s, uint32_t endpoints)
{
    add(p, 0, GO_DOWN, endpoints);
    add(p, 0, DROP_ALL, 0);
    add(p, s->outage_ms, COME_UP, endpoints);
    add(p, s->outage_ms, HEALED, 0);
}

static void outage(struct plan *p, const struct setup *s)
{
    down_for_a_while(p, s, ALL);
}

static void auth_outage(struct plan *p, const struct setup *s)
{
    down_for_a_while(p, s, BIT(TOKEN));
}

static void ws_outage(struct plan *p, const struct setup *s)
{
    down_for_a_while(p, s, BIT(UPGRADE));
}

static void rolling(struct plan *p, const struct setup *s)
{
    (void)s;
    for (uint32_t i = 0; i < NODES; i++) {
        add(p, i * DRAIN_EVERY_MS, DRAIN_NODE, i);
        if (i == NODES - 1)
            add(p, i * DRAIN_EVERY_MS, HEALED, 0);
        add(p, i * DRAIN_EVERY_MS + DRAINED_FOR_MS, NODE_IS_BACK, i);
    }
}

static void accept_close(struct plan *p, const struct setup *s)
{
    add(p, 0, CLOSE_AT_ONCE, 1);
    add(p, 0, DROP_ALL, 0);
    add(p, s->outage_ms, CLOSE_AT_ONCE, 0);
    add(p, s->outage_ms, HEALED, 0);
}

/* Each time that it comes up it lets in whom it can, and loses them again. */
static void flapping(struct plan *p, const struct setup *s)
{
    uint32_t at_ms = 0;
    uint32_t left = (MAX_MOMENTS - 2) / 3;

    do {
        add(p, at_ms, GO_DOWN, ALL);
        add(p, at_ms, DROP_ALL, 0);
        add(p, at_ms + FLAP_MS, COME_UP, ALL);
        at_ms += 2 * FLAP_MS;
    } while (at_ms + FLAP_MS <= s->outage_ms && --left > 0);
    add(p, at_ms - FLAP_MS, HEALED, 0);
}

static void wake(struct plan *p, const struct setup *s)
{
    down_for_a_while(p, s, ALL);
    add(p, s->outage_ms, WAKE_ALL, 0);
}

const struct scenario scenarios[] = {
    {"crash", "every link is lost; the server can take them back at once", crash, UP, false, false},
    {"outage", "every link is lost; nobody listens for --outage seconds", outage, REFUSES, false,
     false},
    {"rolling", "ten nodes, one after the other, close with 1012 and are away for 10 s", rolling,
     UP, false, false},
    {"accept-close", "for --outage seconds every accepted link is closed at once", accept_close, UP,
     false, false},
    {"auth-outage", "crash, no tokens for --outage seconds, and half the fleet needs one",
     auth_outage, SAYS_503, true, false},
    {"ws-outage", "crash, tickets but no upgrades for --outage seconds", ws_outage, SAYS_503, false,
     false},
    {"flapping", "down 5 s, up 5 s, for --outage seconds", flapping, REFUSES, false, false},
    {"wake", "outage, at whose end every client is woken", wake, REFUSES, false, true},
    {.name = NULL},
};

const struct scenario *scenario_find(const char *name, size_t len)
{
    for (const struct scenario *s = scenarios; s->name; s++) {
        if (strlen(s->name) == len && memcmp(s->name, name, len) == 0)
            return s;
    }
    return NULL;
}
