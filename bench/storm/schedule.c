#include "schedule.h"

#include <math.h>
#include <string.h>

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t between(struct wst__rng *r, uint64_t low, uint64_t high)
{
    return high > low ? low + wst__rng_upto(r, high - low) : low;
}

/* first * 2^n, at most |most|. */
static uint64_t doubled(uint64_t first, uint32_t n, uint64_t most)
{
    return n >= 63 || first > most >> n ? most : first << n;
}

/* ---- Ours ---------------------------------------------------------------------------------- */

static void as_configured(struct wst__policy *p, uint64_t ideal_ms)
{
    (void)p;
    (void)ideal_ms;
}

/* The first wait is uniform over the time in which the server can take the whole fleet back, and
 * waits on the cap are no denser. */
static void for_the_fleet(struct wst__policy *p, uint64_t ideal_ms)
{
    p->jitter_percent = 100;
    p->base_ms = larger(p->base_ms, ideal_ms / 2);
    p->cap_ms = larger(p->cap_ms, ideal_ms);
}

static void without_jitter(struct wst__policy *p, uint64_t ideal_ms)
{
    (void)ideal_ms;
    p->jitter_percent = 0;
}

/* ---- The textbook's, on our base and cap --------------------------------------------------- */

static uint64_t full(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                     uint32_t now_ms)
{
    (void)now_ms;
    return wst__rng_upto(r, doubled(p->base_ms, m->tries, p->cap_ms));
}

static uint64_t equal(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                      uint32_t now_ms)
{
    uint64_t nominal = doubled(p->base_ms, m->tries, p->cap_ms);

    (void)now_ms;
    return between(r, nominal / 2, nominal);
}

static uint64_t decorrelated(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                             uint32_t now_ms)
{
    uint64_t last = m->tries == 0 ? p->base_ms : m->own_ms;

    (void)now_ms;
    m->own_ms = (uint32_t)smaller(p->cap_ms, between(r, p->base_ms, 3 * last));
    return m->own_ms;
}

/* ---- Published ----------------------------------------------------------------------------- */

/* phoenix.js: a table, then 5 s; no jitter. */
static uint64_t phoenix(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                        uint32_t now_ms)
{
    static const uint16_t table[] = {10, 50, 100, 150, 200, 250, 500, 1000, 2000};

    (void)p, (void)r, (void)now_ms;
    return m->tries < sizeof table / sizeof table[0] ? table[m->tries] : 5000;
}

/* socket.io-client: 1 s doubling, half of it either way, then clamped to 5 s. */
static uint64_t socket_io(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                          uint32_t now_ms)
{
    uint64_t nominal = doubled(1000, m->tries, UINT64_C(1) << 40);

    (void)p, (void)now_ms;
    return smaller(5000, between(r, nominal - nominal / 2, nominal + nominal / 2));
}

/* @microsoft/signalr, withAutomaticReconnect(): 0, 2, 10, 30 s, and no more. */
static uint64_t signalr(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                        uint32_t now_ms)
{
    static const uint16_t table[] = {0, 2000, 10000, 30000};

    (void)p, (void)r, (void)now_ms;
    return m->tries < sizeof table / sizeof table[0] ? table[m->tries] : SCHEDULE_GIVE_UP;
}

/* graphql-ws: 1 s doubling, 0.3 to 3 s more; five times. */
static uint64_t graphql_ws(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                           uint32_t now_ms)
{
    (void)p, (void)now_ms;
    return m->tries < 5 ? doubled(1000, m->tries, 32000) + between(r, 300, 2999) : SCHEDULE_GIVE_UP;
}

/* reconnecting-websocket 4.4: a client's own 1 to 5 s, times 1.3 each time, at most 10 s. */
static uint64_t reconnecting_ws(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                                uint32_t now_ms)
{
    if (m->own_ms == 0)
        m->own_ms = (uint32_t)between(r, 1000, 4999);
    (void)p, (void)now_ms;
    return smaller(10000, (uint64_t)(m->own_ms * pow(1.3, (double)smaller(m->tries, 64))));
}

/* centrifuge-js: 0.5 s and up to 0.5 s doubling more, at most 20 s. */
static uint64_t centrifuge(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                           uint32_t now_ms)
{
    (void)p, (void)now_ms;
    return smaller(20000, 500 + wst__rng_upto(r, doubled(500, m->tries, 20000)));
}

/* @azure/web-pubsub-client, and mosquitto's loop: 1 s. */
static uint64_t every_second(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                             uint32_t now_ms)
{
    (void)p, (void)m, (void)r, (void)now_ms;
    return 1000;
}

/* nats.c over TLS: 2 s and up to 1 s more, 60 times. */
static uint64_t nats(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                     uint32_t now_ms)
{
    (void)p, (void)now_ms;
    return m->tries < 60 ? 2000 + wst__rng_upto(r, 999) : SCHEDULE_GIVE_UP;
}

/* paho.mqtt.c: 1 s doubling to 60 s, divided or multiplied by up to 1.2, in whole seconds. */
static uint64_t paho(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                     uint32_t now_ms)
{
    uint64_t base = doubled(1, m->tries, 60);
    uint64_t most = base * 6 / 5;
    uint64_t least = base * 5 / 6;

    (void)p, (void)now_ms;
    return between(r, least, most) * 1000;
}

/* aws-c-mqtt, MQTT 5: uniform up to 1 s doubling, then clamped to 120 s. */
static uint64_t aws_mqtt5(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                          uint32_t now_ms)
{
    (void)p, (void)now_ms;
    return smaller(120000, wst__rng_upto(r, doubled(1000, m->tries, UINT64_C(1) << 50)));
}

/* librdkafka: 0.1 s doubling to 10 s, times 0.75 to 1.5, then clamped to 10 s; begins again when
 * the last wait ended more than 10 s ago. */
static uint64_t librdkafka(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                           uint32_t now_ms)
{
    uint64_t nominal;

    (void)p;
    if (now_ms > m->due_ms + 10000)
        m->tries = 0;
    nominal = doubled(100, m->tries, 10000);
    return smaller(10000, between(r, nominal * 3 / 4, nominal * 3 / 2));
}

/* gRPC's connection backoff: 1 s times 1.6 each time, at most 120 s, then a fifth either way. */
static uint64_t grpc(const struct wst__policy *p, struct memory *m, struct wst__rng *r,
                     uint32_t now_ms)
{
    double nominal = fmin(120000, 1000 * pow(1.6, (double)smaller(m->tries, 64)));

    (void)p, (void)now_ms;
    return between(r, (uint64_t)(nominal * 0.8), (uint64_t)(nominal * 1.2));
}

const struct schedule schedules[] = {
    {"default", "ours, as configured (--base, --cap, --jitter)", .policy = as_configured},
    {"sized", "ours, jitter 100, base clients / (2 * capacity), cap clients / capacity",
     .policy = for_the_fleet},
    {"none", "ours, jitter 0", .policy = without_jitter},
    {"full", "full jitter on our base and cap: U(0, nominal)", .wait = full, .forgiving_ms = 5000},
    {"equal", "equal jitter on our base and cap: U(nominal/2, nominal)", .wait = equal,
     .forgiving_ms = 5000},
    {"decorrelated", "decorrelated jitter on our base and cap: U(base, 3 * last)",
     .wait = decorrelated, .forgiving_ms = 5000},
    {"phoenix", "phoenix.js", .wait = phoenix, .cap_ms = 5000, .published = true},
    {"socket.io", "Socket.IO", .wait = socket_io, .cap_ms = 5000, .published = true},
    {"signalr", "SignalR, withAutomaticReconnect()", .wait = signalr, .cap_ms = 30000,
     .published = true},
    {"graphql-ws", "graphql-ws", .wait = graphql_ws, .cap_ms = 32000, .published = true},
    {"reconnecting-ws", "reconnecting-websocket 4.4", .wait = reconnecting_ws, .cap_ms = 10000,
     .forgiving_ms = 5000, .published = true},
    {"centrifuge", "centrifuge-js", .wait = centrifuge, .cap_ms = 20000, .published = true},
    {"every-second", "Azure Web PubSub client, mosquitto: 1 s", .wait = every_second,
     .cap_ms = 1000, .published = true},
    {"nats", "nats.c over TLS", .wait = nats, .cap_ms = 3000, .published = true},
    {"paho", "paho.mqtt.c", .wait = paho, .cap_ms = 60000, .published = true},
    {"aws-mqtt5", "aws-c-mqtt, MQTT 5", .wait = aws_mqtt5, .cap_ms = 120000, .forgiving_ms = 30000,
     .published = true},
    {"librdkafka", "librdkafka", .wait = librdkafka, .cap_ms = 10000, .forgiving_ms = UINT32_MAX,
     .published = true},
    {"grpc", "gRPC's connection backoff", .wait = grpc, .cap_ms = 120000, .published = true},
    {.name = NULL},
};

const struct schedule *schedule_find(const char *name, size_t len)
{
    for (const struct schedule *s = schedules; s->name; s++) {
        if (strlen(s->name) == len && memcmp(s->name, name, len) == 0)
            return s;
    }
    return NULL;
}
