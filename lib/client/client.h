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

/* Events wait here while another is carried out.  Each of the at most one token request, ticket
 * request and link can have a bounded number of answers waiting; eight are never reached.  What a
 * start or stop has overtaken is dropped with what it is about. */
#define WST__QUEUE_LEN 8
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
    wst_post_cb fn;
    void *arg;
};

/* What went wrong in an attempt, in words.  A client that is open has none. */
struct wst__words {
    struct wst_cause causes[WST_STEP_CONNECT + 1]; /* The last one of each step. */
    char reason[124];                              /* The peer's, of the link that ended. */
};

/* Tickets that were spent: keyed hashes. */
struct wst__spent {
    uint64_t hashes[WST__SPENT_LEN];
    size_t count;
};

/* An event that waits: what its kind needs of struct wst__event, which is three times as large. */
struct wst__note {
    uint64_t attempt;
    uint64_t ms;        /* retry_after_ms of a failure, ticket_life_ms of TICKET_OK. */
    uint32_t floor_ms;  /* retry_after_ms of TICKET_OK. */
    uint32_t spread_ms; /* Of both. */
    int16_t code;
    uint16_t http_status, close_code;
    uint8_t type, step;
};

struct wst_client {
    struct wst_loop *loop; /* NULL in a simulated world. */
    bool owns_loop;
    const struct wst__ports *ports;
    struct wst__shared_config *shared; /* The configuration; but for */
    void *arg;                         /* this. */
    struct wst__log log;

    /* The machine and its surroundings (driver.c). */
    struct wst__core core;
    enum wst_state state; /* As told: one step may pass through several, and tells each in turn. */
    struct wst__note queue[WST__QUEUE_LEN];
    uint8_t queue_first, queue_count;
    bool pumping;
    unsigned flips; /* Starts and stops asked for and not yet carried out: they alternate. */
    bool wake;
    bool paused;
    bool asked;     /* The turn that was asked for has more to do than to send what is queued. */
    bool receiving; /* Messages are handed out: what is sent meanwhile leaves behind them. */
    struct wst__turn turn;
    struct wst__timer *timer;
    uint64_t armed_ms;

    struct wst__offline offline;

    /* What an attempt has under way. */
    struct wst__net *net;
    struct wst__http *http;
    enum wst_step http_step;
    uint64_t provider_request; /* The application's answer that is awaited; 0: none. */
    enum wst_step provider_step;
    struct wst__provided *provided; /* It has come, and waits for its turn. */
    bool token_changed;             /* Set or forgotten by the application: to be looked at. */
    uint64_t request_serial;
    struct wst__token token;
    uint64_t token_used; /* Serial of the token of this attempt. */
    struct wst__secret ticket;
    bool ticket_is_url;
    struct wst__url one_time_url; /* When the reply named a whole URL. */
    struct wst__link *link;
    uint64_t link_attempt;
    const char *subprotocol; /* Chosen by the server: while on_link_opened() runs. */
    int stop_code;
    char *stop_reason; /* NULL: none. */

    uint8_t hash_key[16];
    struct wst__spent *spent; /* NULL: no ticket has come yet. */

    /* What is told. */
    struct wst__words *words;               /* NULL: none, or no memory for them. */
    int end_code;                           /* Of the link that ends: its close code, 0: none, */
    bool was_clean;                         /* and whether both close frames were exchanged. */
    uint64_t unsent_messages, unsent_bytes; /* Of the link that ends. */
    struct wst_error_info *last_error;      /* NULL: none, or */
    bool error_lost;                        /* no memory to keep it. */
    struct wst_stats stats;
    struct wst_timing timing;
    uint64_t attempt_us, step_us, upgrade_us; /* When they began; the last one 0: not yet. */

    /* The end. */
    bool closing;     /* wst_client_close() was called. */
    bool ended;       /* Everything has been told. */
    bool released;    /* Everything has been given back, |handles| have to leave the loop. */
    unsigned handles; /* Of ours in the loop: links, timer, mailbox, files. */
    wst_close_cb close_cb;
    void *close_arg;
    struct wst__mailbox *mailbox;
};

/* A handle of ours left the loop. */
void wst__client_handle_gone(void *client);

/* Nothing is wanted any more: gives everything back, and calls the close callback at zero. */
void wst__client_release(struct wst_client *cl);
/* wst_client_new() on given ports. */
int wst__client_new_on(struct wst_client **client, const struct wst__ports *ports,
                       const struct wst_config *config, struct wst_cause *why);

#endif
