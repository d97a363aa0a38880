/* What the server has done so far, for tests that compare it with what the client says. */
#ifndef WSTSERVER_STATS_H
#define WSTSERVER_STATS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#define STATS_HASH_LEN    12   /* hex digits by which a ticket is told apart */
#define STATS_MAX_TICKETS 4096 /* tickets remembered one by one, the newest */

struct stats {
    unsigned long token_requests, tokens_issued, tokens_refused;
    unsigned long ticket_requests, tickets_generated, tickets_repeated, tickets_refused;
    unsigned long upgrade_requests, upgrades_refused;
    unsigned long redeemed, rejected, expired, missing;
    unsigned long store_failures;
    unsigned long tcp_accepted, ws_opened, ws_open;
    unsigned long messages, bytes;
    struct stats_ticket {
        char hash[STATS_HASH_LEN + 1];
        unsigned redeemed, rejected;
    } tickets[STATS_MAX_TICKETS];
    unsigned long ticket_count; /* ever; the table is a ring */
};

/* Remembers that |ticket| was made, redeemed, or tried in vain. */
enum stats_what { STATS_MADE, STATS_REDEEMED, STATS_REJECTED };
void stats_ticket(struct stats *stats, const char *ticket, enum stats_what what);

cJSON *stats_json(const struct stats *stats);

#endif
