/* Counters. */
#include "stats.h"

#include <stdio.h>
#include <string.h>

#include "util.h"

/* The record of |hash|, made when there is none; the oldest is given up for it. */
static struct stats_ticket *record(struct stats *stats, const char *hash)
{
    unsigned long n =
        stats->ticket_count < STATS_MAX_TICKETS ? stats->ticket_count : STATS_MAX_TICKETS;
    struct stats_ticket *ticket;
    unsigned long i;

    /* Newest first: that is nearly always the one. */
    for (i = 1; i <= n; i++) {
        ticket = &stats->tickets[(stats->ticket_count - i) % STATS_MAX_TICKETS];
        if (!strcmp(ticket->hash, hash))
            return ticket;
    }
    ticket = &stats->tickets[stats->ticket_count++ % STATS_MAX_TICKETS];
    memset(ticket, 0, sizeof *ticket);
    (void)snprintf(ticket->hash, sizeof ticket->hash, "%s", hash);
    return ticket;
}

void stats_ticket(struct stats *stats, const char *ticket, enum stats_what what)
{
    char hash[STATS_HASH_LEN + 1];
    struct stats_ticket *entry;

    ticket_hash(hash, STATS_HASH_LEN, ticket);
    entry = record(stats, hash);
    if (what == STATS_REDEEMED)
        entry->redeemed++;
    if (what == STATS_REJECTED)
        entry->rejected++;
}

static void add(cJSON *json, const char *name, unsigned long value)
{
    cJSON_AddNumberToObject(json, name, (double)value);
}

static cJSON *tickets_json(const struct stats *stats)
{
    unsigned long n =
        stats->ticket_count < STATS_MAX_TICKETS ? stats->ticket_count : STATS_MAX_TICKETS;
    cJSON *json = cJSON_CreateObject();
    unsigned long i;

    for (i = 0; i < n; i++) {
        cJSON *entry = cJSON_CreateObject();

        add(entry, "redeemed", stats->tickets[i].redeemed);
        add(entry, "rejected", stats->tickets[i].rejected);
        cJSON_AddItemToObject(json, stats->tickets[i].hash, entry);
    }
    return json;
}

cJSON *stats_json(const struct stats *stats)
{
    cJSON *json = cJSON_CreateObject();

    add(json, "tokenRequests", stats->token_requests);
    add(json, "tokensIssued", stats->tokens_issued);
    add(json, "tokensRefused", stats->tokens_refused);
    add(json, "ticketRequests", stats->ticket_requests);
    add(json, "ticketsGenerated", stats->tickets_generated);
    add(json, "ticketsRepeated", stats->tickets_repeated);
    add(json, "ticketsRefused", stats->tickets_refused);
    add(json, "upgradeRequests", stats->upgrade_requests);
    add(json, "upgradesRefused", stats->upgrades_refused);
    add(json, "redeemed", stats->redeemed);
    add(json, "rejected", stats->rejected);
    add(json, "expired", stats->expired);
    add(json, "missing", stats->missing);
    add(json, "storeFailures", stats->store_failures);
    add(json, "connectionsAccepted", stats->tcp_accepted);
    add(json, "webSocketsOpened", stats->ws_opened);
    add(json, "webSocketsOpen", stats->ws_open);
    add(json, "messages", stats->messages);
    add(json, "bytes", stats->bytes);
    cJSON_AddItemToObject(json, "tickets", tickets_json(stats));
    return json;
}
