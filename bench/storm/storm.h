/*
 * A storm: many clients, each a real core of the library, against one modelled server, in virtual
 * time.  The core's actions are carried out as the driver would, in the time that a network takes.
 */
#ifndef STORM_STORM_H
#define STORM_STORM_H

#include "schedule.h"
#include "server.h"

struct scenario;

struct setup {
    uint32_t clients;
    uint32_t capacity; /* Of ticket and upgrade, a second. */
    uint32_t token_capacity;
    uint64_t seed;
    const struct scenario *scenario;
    const struct schedule *schedule;
    struct wst__policy policy; /* As configured; the schedule may change it. */
    uint32_t outage_ms;
    uint32_t limit_ms; /* The storm is ended then. */
    int down;          /* enum mode, or -1: the scenario's own. */
    enum steer steer;
    uint32_t retry_after_ms;
    uint32_t ticket_life_ms;
    uint32_t token_life_ms;
    uint32_t token_age_ms; /* Of every client's, at the beginning. */
};

#define NOT_REACHED UINT32_MAX

struct report {
    struct wst__policy policy; /* As the schedule made it. */
    uint32_t ended_ms;
    uint32_t healed_ms;  /* From here on the server can. */
    uint32_t open_ms[3]; /* After |healed_ms|: 50, 99, 100 % open; NOT_REACHED. */
    uint32_t lost;       /* Clients that were missing then. */
    uint64_t attempts;
    uint64_t refused; /* Attempts that a server with too much to do refused. */
    uint64_t wasted;  /* Attempts that met a server out of order. */
    uint64_t opens;
    uint64_t token_calls;
    uint64_t gave_up;
    uint64_t waits;           /* Delays that were drawn. */
    uint64_t waits_at_cap;    /* Equal to the cap ... */
    uint64_t waits_below_cap; /* ... and to one of the NEIGHBOURS milliseconds below it. */
    uint64_t without_ticket;  /* Upgrades that no ticket of their attempt was there for. */
    uint64_t steps;           /* Of all cores. */
    struct server server;     /* Its book. */
    uint32_t *open;           /* For each BIN_MS: clients that were open at its end. */
};

#define NEIGHBOURS 100

/* Runs it.  False: out of memory. */
bool storm_run(const struct setup *setup, struct report *r);
void storm_report_fini(struct report *r);

/*
 * Delays equal to the cap beyond those that chance puts there: with jitter each of the milliseconds
 * round the cap is drawn about equally often.  0 within five standard deviations.
 */
uint64_t storm_gathered_at_cap(const struct report *r);

#endif
