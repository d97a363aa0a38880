/*
 * The modelled server: three endpoints, each with a capacity, each up or down in one of three ways.
 *
 * In every 100 ms an endpoint serves its capacity's tenth and refuses the rest with 503; refusing
 * costs it nothing.  A ticket is minted by its request, lives for its TTL, and is redeemed by an
 * accepted upgrade, once.  What the server asks of its clients (steering) rides on its answers.
 */
#ifndef STORM_SERVER_H
#define STORM_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIN_MS 100

enum endpoint { TOKEN, TICKET, UPGRADE, ENDPOINT_COUNT };
enum mode {
    UP,
    REFUSES,  /* Nobody listens: the connection is refused after a round trip. */
    SAYS_503, /* A load balancer answers for it. */
    SILENT    /* Nothing comes back: the client's deadlines end it. */
};
enum steer {
    STEER_NONE,
    STEER_RETRY_AFTER, /* Refusals: Retry-After, the same for all. */
    STEER_SLOTS,       /* Refusals: retryAfterMs, from a virtual queue. */
    STEER_SPREAD       /* Refusals and ticket replies: reconnectSpreadMs, by who is missing. */
};

struct ask {
    uint32_t retry_after_ms, spread_ms;
};

struct server {
    /* Given. */
    uint32_t capacity[ENDPOINT_COUNT]; /* A second. */
    uint32_t clients;
    uint32_t ticket_life_ms;
    uint32_t retry_after_ms; /* STEER_RETRY_AFTER. */
    enum steer steer;
    uint32_t bin_count;
    /* What is. */
    enum mode mode[ENDPOINT_COUNT];
    bool closes_at_once; /* Accepts and closes. */
    uint32_t missing;    /* Clients that are not open. */
    double next_slot_ms; /* STEER_SLOTS. */
    uint32_t served[ENDPOINT_COUNT], served_bin[ENDPOINT_COUNT];
    /* The book. */
    uint32_t *requests[ENDPOINT_COUNT]; /* For each BIN_MS: those that arrived. */
    uint32_t *dials;                    /* For each BIN_MS: connections for step 3. */
    uint32_t *unspent;                  /* Tickets by the millisecond that minted them, a ring. */
    uint32_t aged_ms;                   /* Tickets minted before have expired or are spent. */
    uint64_t minted, redeemed, expired, too_old, alive, most_alive;
};

bool server_init(struct server *s);
void server_fini(struct server *s);

/* A request arrives at an endpoint that is UP or SAYS_503: is it served?  If not, |ask| is what the
 * refusal asks. */
bool server_serves(struct server *s, enum endpoint e, uint32_t now_ms, struct ask *ask);
/* A connection is begun. */
void server_dialed(struct server *s, uint32_t now_ms);
void server_mint(struct server *s, uint32_t now_ms);
/* What a ticket reply asks for the time after the link. */
uint32_t server_reply_spread_ms(const struct server *s);
/* False: it had expired. */
bool server_redeem(struct server *s, uint32_t minted_ms, uint32_t now_ms);
/* Lets tickets expire. */
void server_age(struct server *s, uint32_t now_ms);

/* The most in |bins| neighbouring bins. */
uint64_t server_peak(const uint32_t *bins, uint32_t count, uint32_t neighbours);

#endif
