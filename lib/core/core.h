/*
 * The state machine: an event that carries its own time goes in, an ordered list of actions comes
 * out.  It calls no clock, no allocator and no IO, cannot fail, and is a plain struct that points
 * to nothing but its policy, which never changes: it can be copied, explored and simulated.
 *
 * What the user wants (|wanted|) is kept apart from what is (|state|).  Beside the states of the
 * sequence runs the dial as a parallel region (|dial|): the connection of step 3 needs no ticket.
 */
#ifndef WST_CORE_CORE_H
#define WST_CORE_CORE_H

#include "core/rng.h"
#include "core/vocab.h"

/* The dial beside token and ticket. */
enum wst__dial {
    WST__DIAL_NONE,  /* No connection, none under way. */
    WST__DIAL_BUSY,  /* Under way. */
    WST__DIAL_READY, /* Stands and waits for the ticket. */
    WST__DIAL_DEAD,  /* Failed, while the ticket's answer is still awaited. */
    WST__DIAL_COUNT
};

struct wst__core {
    const struct wst__policy *policy;
    struct wst__rng rng;
    uint64_t attempt;         /* Number of the current or last one; 0: none yet. */
    uint32_t tries;           /* Attempts begun since the start or the last stable link. */
    uint32_t failures;        /* In a row, since the last stable link. */
    uint32_t auth_failures;   /* Attempts running that ended in an auth failure. */
    uint32_t ticket_refusals; /* Times running that a ticket was refused. */
    enum wst_state state : 8;
    enum wst__dial dial : 8;
    bool wanted;           /* What the user wants. */
    bool stopping;         /* CLOSING because of a stop; with |wanted|: started again since. */
    bool ever_open;        /* This client has been open once. */
    bool attempts_used_up; /* FAILED because of policy->max_attempts, not because of |failure|. */
    /* This attempt. */
    bool token_retried;  /* One 401 in step 2 has been answered with a new token. */
    bool ticket_sent;    /* The ticket's request has left: its answer is awaited. */
    bool ticket_ready;   /* A ticket is at hand. */
    bool ticket_retried; /* A stale ticket was replaced once. */
    bool redialed;       /* A connection that ended while it waited was replaced once. */
    bool serial;         /* No parallel dial: the last attempt failed in step 1 or 2. */
    /* The link. */
    bool stable;             /* It has been up for policy->stable_ms. */
    bool ping_pending;       /* A ping was asked for and has not left. */
    uint64_t ping_left_ms;   /* When the unanswered ping left, or while it is pending was asked for;
                                WST__NEVER: none. */
    uint64_t ticket_boot_ms; /* When the request for this attempt's ticket was begun, on the clock
                                that runs during sleep. */
    uint32_t ticket_life_ms;
    uint32_t retry_after_ms, spread_ms; /* From the last ticket reply, for when the link ends. */
    /* Deadlines, monotonic; WST__NEVER: not running.  A state has those of one line alone, and
     * leaves none behind: so they share their place. */
    union {
        struct {
            uint64_t step_due, dial_due, attempt_due,
                dial_idle_due; /* TOKEN, TICKET, CONNECTING. */
        };
        struct {
            uint64_t stable_due, ping_due, dead_due; /* OPEN. */
        };
        uint64_t close_due; /* CLOSING. */
        uint64_t retry_due; /* BACKOFF: its end. */
        uint64_t due[4];    /* Whichever run. */
    };
    uint64_t retry_floor; /* A wake does not go below: what the server asked for. */
    uint64_t wake_ok_at;  /* No wake counts before: at most once per base delay. */
    /* Clocks seen last, for a noticed suspend. */
    uint64_t seen_now_ms, seen_boot_ms;
    /* What went wrong: of the attempt or link that ended last. */
    struct wst__failure failure;
    struct wst__failure other; /* code 0: none. */
};

/* |policy| must live as long as |c|. */
void wst__core_init(struct wst__core *c, const struct wst__policy *policy, uint64_t seed);
/* Feeds |ev| to the machine and writes what must now be done to |out|. */
void wst__core_step(struct wst__core *c, const struct wst__event *ev, struct wst__actions *out);
/* The one time at which to send WST__EV_TIMEOUT; WST__NEVER when nothing is due. */
uint64_t wst__core_deadline(const struct wst__core *c);
/* Is this answer of an attempt that is no more?  Then wst__core_step() drops it. */
bool wst__core_is_late(const struct wst__core *c, const struct wst__event *ev);
/*
 * Would |ev| end the attempt or the link by a failure that the core finds itself (a deadline,
 * silence, a stale ticket)?  Then |f| tells it: the application can be asked, and its verdict put
 * into |ev|->failure.verdict before the step.  What if is a copy away: nothing changes.
 */
bool wst__core_foresee(const struct wst__core *c, const struct wst__event *ev,
                       struct wst__failure *f);

#endif
