/* The client as its own files see it: what belongs to one client, and who may touch it. */
#ifndef WST_CLIENT_CLIENT_H
#define WST_CLIENT_CLIENT_H

#include "base/log.h"
#include "base/secret.h"
#include "client/config_share.h"
#include "client/link.h"
#include "client/loop.h"
#include "client/offline.h"
#include "client/ports.h"
#include "client/token.h"
#include "core/core.h"

/*
 * Events wait here while another is carried out, or while starts and stops overtake them.  What a
 * start or stop overtakes is dropped with what it is about, so no more can wait than: that a
 * ticket's request has left, and its answer; that the dialed connection stands, and its end.  (Step
 * 1 has one answer, and it is taken before the ticket is asked for.  So is DIAL_OK before the
 * upgrade is written, whose connection can open, begin to close and end; and LINK_OPEN before a
 * ping can leave.)
 */
#define WST__QUEUE_LEN 4
/* Tickets remembered as spent. */
#define WST__SPENT_LEN 32

/* An application's answer to a provider callback. */
struct wst__provided {
    struct wst__secret value;
    uint64_t life_ms;
    struct wst_cause why; /* Code 0: |value| counts. */
    uint64_t retry_after_ms;
};

/* A call from another thread. */
struct wst__posted {
    struct wst__letter letter;
    struct wst_client *client;
    wst_post_cb fn;
    void *arg;
};

/* What went wrong in an attempt, in words.  A client that is open has none. */
struct wst__words {
    struct wst_cause causes[WST_STEP_CONNECT + 1]; /* The last one of each step. */
    char reason[124];                              /* The peer's, of the link that ended. */
};

/* What was asked for in steps 1 and 2, and the ticket that came of it: of one attempt, from the
 * first request on. */
struct wst__asking {
    struct wst__http *http;
    uint64_t provider_request;      /* The application's answer that is awaited; 0: none. */
    struct wst__provided *provided; /* It has come, and waits for its turn. */
    struct wst__secret ticket;
    struct wst__url *one_time_url; /* When the reply named a whole URL, else NULL. */
    enum wst_step http_step : 8;
    enum wst_step provider_step : 8;
    bool ticket_is_url;
};

/* Tickets that were spent: keyed hashes. */
struct wst__spent {
    uint8_t key[16];
    uint64_t hashes[WST__SPENT_LEN];
    size_t count;
};

/* An event that waits: what its kind needs of struct wst__event, which is many times as large. */
struct wst__note {
    uint32_t ms;        /* retry_after_ms of a failure, ticket_life_ms of TICKET_OK. */
    uint32_t spread_ms; /* Of both. */
    union {
        uint32_t floor_ms; /* TICKET_OK: retry_after_ms. */
        struct {
            int16_t code;
            uint16_t status; /* Below 1000 it is HTTP's, from there on a close code. */
        } failure;
    };
    uint16_t attempt; /* Its last 16 bits. */
    uint8_t type, step;
};

/* What is counted for struct wst_stats.  Of what takes a round trip there are less than 2^32. */
struct wst__counts {
    struct wst__ws_tally messages;
    uint64_t unsent_messages;
    uint32_t attempts, opens;
    uint32_t tokens_fetched, tickets_fetched, tickets_dropped;
    uint32_t late_answers;
};

/* struct wst_timing; what takes longer than 71 minutes is told as 71 minutes. */
struct wst__timing {
    uint32_t dns_us, tcp_us, tls_us;
    uint32_t token_us, ticket_us;
    uint32_t upgrade_us, open_us;
    uint32_t ping_us;
};

static inline uint32_t wst__within_32_bits(uint64_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

struct wst_client {
    struct wst_loop *loop; /* NULL in a simulated world. */
    const struct wst__ports *ports;
    struct wst__shared_config *shared; /* The configuration; but for */
    void *arg;                         /* this. */

    /* The machine and its surroundings (driver.c). */
    struct wst__core core;
    struct wst__note queue[WST__QUEUE_LEN];
    unsigned flips;   /* Starts and stops asked for and not yet carried out: they alternate. */
    unsigned handles; /* Of ours in the loop: links, mailbox, files. */
    enum wst_state state : 8; /* As told: one step may pass through several, and tells each. */
    uint8_t queue_first, queue_count;
    bool timed_out; /* The timer has run. */
    bool wake;
    bool pumping;
    bool paused;
    bool asked;     /* The turn that was asked for has more to do than to send what is queued. */
    bool receiving; /* Messages are handed out: what is sent meanwhile leaves behind them. */
    bool owns_loop;
    bool closing;  /* wst_client_close() was called. */
    bool ended;    /* Everything has been told. */
    bool released; /* Everything has been given back, |handles| have to leave the loop. */
    struct wst__turn turn;
    struct wst__timer timer;

    struct wst__offline *offline; /* NULL: it is off. */

    /* What an attempt has under way. */
    struct wst__net *net;
    struct wst__asking *asking; /* NULL: nothing was asked for. */
    uint64_t request_serial;
    bool token_changed; /* Set or forgotten by the application: to be looked at. */
    uint16_t stop_code;
    uint16_t end_code;        /* Of the link that ends, its close code, 0: none, */
    bool was_clean;           /* and whether both close frames were exchanged, */
    bool error_lost;          /* No memory to keep |last_error|. */
    uint32_t link_attempt;    /* Its last 32 bits. */
    uint32_t rtt_us;          /* Of the last ping; at most 71 minutes. */
    char *stop_reason;        /* NULL: none. */
    struct wst__token *token; /* NULL: nothing wants one, and none was set. */
    struct wst__link *link;
    const char *subprotocol; /* Chosen by the server: while on_link_opened() runs. */

    struct wst__spent *spent; /* NULL: no ticket has come yet. */

    /* What is told. */
    struct wst__words *words;               /* NULL: none, or no memory for them. */
    uint64_t unsent_messages, unsent_bytes; /* Of the link that ends. */
    struct wst_error_info *last_error;      /* NULL: none. */
    struct wst__counts counts;
    struct wst__timing timing;
    uint64_t attempt_us;                /* When it began, */
    uint32_t step_at_us, upgrade_at_us; /* and what, so much later; the latter 0: not yet. */

    /* The end. */
    wst_close_cb close_cb;
    void *close_arg;
    struct wst__mailbox mailbox;
};

/* Where its log lines go. */
#define WST__LOG_OF(cl)                                                                            \
    (&(const struct wst__log){(cl)->shared->config.c.log_cb, (cl)->arg,                            \
                              (cl)->shared->config.c.log_level})

/* Where step 3 goes: the configured URL, or the one that the ticket's reply named. */
static inline const struct wst__url *wst__client_target(const struct wst_client *cl)
{
    const struct wst__url *named = cl->asking ? cl->asking->one_time_url : NULL;

    return named ? named : &cl->shared->config.ws_url;
}

/* Is there a ticket at hand? */
static inline bool wst__client_has_ticket(const struct wst_client *cl)
{
    return cl->asking && !wst__secret_empty(&cl->asking->ticket);
}

/* A handle of ours left the loop. */
void wst__client_handle_gone(void *client);

/* Nothing is wanted any more: gives everything back, and calls the close callback at zero. */
void wst__client_release(struct wst_client *cl);
/* wst_client_new() on given ports. */
int wst__client_new_on(struct wst_client **client, const struct wst__ports *ports,
                       const struct wst_config *config, struct wst_cause *why);

#endif
