#include "server.h"

#include <stdlib.h>
#include <string.h>

bool server_init(struct server *s)
{
    bool ok;

    s->dials = calloc(s->bin_count, sizeof *s->dials);
    s->unspent = calloc(s->ticket_life_ms + 1, sizeof *s->unspent);
    ok = s->dials && s->unspent;
    for (int e = 0; e < ENDPOINT_COUNT; e++) {
        s->requests[e] = calloc(s->bin_count, sizeof *s->requests[e]);
        ok = ok && s->requests[e];
    }
    if (!ok)
        server_fini(s);
    return ok;
}

void server_fini(struct server *s)
{
    for (int e = 0; e < ENDPOINT_COUNT; e++)
        free(s->requests[e]);
    free(s->dials);
    free(s->unspent);
    memset(s, 0, sizeof *s);
}

static void count(const struct server *s, uint32_t *bins, uint32_t now_ms)
{
    uint32_t bin = now_ms / BIN_MS;

    if (bin < s->bin_count)
        bins[bin]++;
}

/* The time that |n| clients take at the upgrade's capacity. */
static uint32_t time_for(const struct server *s, uint64_t n)
{
    return (uint32_t)(n * 1000 / s->capacity[UPGRADE]);
}

static void steer(struct server *s, uint32_t now_ms, struct ask *ask)
{
    ask->retry_after_ms = ask->spread_ms = 0;
    if (s->steer == STEER_RETRY_AFTER) {
        ask->retry_after_ms = s->retry_after_ms;
    } else if (s->steer == STEER_SLOTS) {
        if (s->next_slot_ms < now_ms)
            s->next_slot_ms = now_ms;
        ask->retry_after_ms = (uint32_t)(s->next_slot_ms - now_ms);
        s->next_slot_ms += 1000.0 / s->capacity[UPGRADE];
    } else if (s->steer == STEER_SPREAD) {
        ask->spread_ms = time_for(s, s->missing);
    }
}

/* What bin number |bin| may serve: the tenths of a capacity add up to it. */
static uint32_t share(uint32_t capacity, uint32_t bin)
{
    uint64_t bins = 1000 / BIN_MS;

    return (uint32_t)((uint64_t)capacity * (bin + 1) / bins - (uint64_t)capacity * bin / bins);
}

bool server_serves(struct server *s, enum endpoint e, uint32_t now_ms, struct ask *ask)
{
    uint32_t bin = now_ms / BIN_MS;

    count(s, s->requests[e], now_ms);
    if (s->mode[e] != UP) {
        ask->retry_after_ms = ask->spread_ms = 0; /* The load balancer knows nothing. */
        return false;
    }
    if (s->served_bin[e] != bin) {
        s->served_bin[e] = bin;
        s->served[e] = 0;
    }
    if (s->served[e] < share(s->capacity[e], bin)) {
        s->served[e]++;
        return true;
    }
    steer(s, now_ms, ask);
    return false;
}

void server_dialed(struct server *s, uint32_t now_ms)
{
    count(s, s->dials, now_ms);
}

void server_age(struct server *s, uint32_t now_ms)
{
    while (s->aged_ms + s->ticket_life_ms < now_ms) {
        uint32_t *n = &s->unspent[s->aged_ms % (s->ticket_life_ms + 1)];

        s->expired += *n;
        s->alive -= *n;
        *n = 0;
        s->aged_ms++;
    }
}

void server_mint(struct server *s, uint32_t now_ms)
{
    server_age(s, now_ms);
    s->unspent[now_ms % (s->ticket_life_ms + 1)]++;
    s->minted++;
    if (++s->alive > s->most_alive)
        s->most_alive = s->alive;
}

uint32_t server_reply_spread_ms(const struct server *s)
{
    return s->steer == STEER_SPREAD ? time_for(s, s->clients) : 0;
}

bool server_redeem(struct server *s, uint32_t minted_ms, uint32_t now_ms)
{
    server_age(s, now_ms);
    if (minted_ms < s->aged_ms) {
        s->too_old++;
        return false;
    }
    s->unspent[minted_ms % (s->ticket_life_ms + 1)]--;
    s->alive--;
    s->redeemed++;
    return true;
}

uint64_t server_peak(const uint32_t *bins, uint32_t bin_count, uint32_t neighbours)
{
    uint64_t sum = 0;
    uint64_t most = 0;

    for (uint32_t i = 0; i < bin_count; i++) {
        sum += bins[i];
        if (i >= neighbours)
            sum -= bins[i - neighbours];
        most = sum > most ? sum : most;
    }
    return most;
}
