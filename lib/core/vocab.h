/*
 * The words of the core: what can happen (events), what must be done (actions), and what is known
 * of a failure.  Plain data without pointers and without secrets: the core holds only the fact of
 * a token, of a ticket and of a connection.
 */
#ifndef WST_CORE_VOCAB_H
#define WST_CORE_VOCAB_H

#include "wsticket/wsticket.h"

#include <stdbool.h>
#include <stdint.h>

#define WST__STATE_COUNT      (WST_STATE_FAILED + 1)
#define WST__NEVER            UINT64_MAX
#define WST__MAX_UNAUTHORIZED 16

/* What can happen.  Those from TOKEN_OK on are answers: they carry the number of the attempt that
 * asked, and are dropped when another one is under way (the driver counts them). */
enum wst__ev {
    WST__EV_START,         /* The user wants the connection. */
    WST__EV_STOP,          /* The user wants none. */
    WST__EV_WAKE,          /* The network is back, or the application came to the front. */
    WST__EV_TIMEOUT,       /* now_ms has reached wst__core_deadline(); early ones do nothing. */
    WST__EV_TOKEN_OK,      /* Step 1 is done: a token is at hand, or none is needed. */
    WST__EV_TOKEN_FAILED,  /* Step 1 failed: |failure|. */
    WST__EV_TICKET_SENT,   /* The ticket's request has left. */
    WST__EV_TICKET_OK,     /* Step 2 is done: |ticket_life_ms|, |retry_after_ms|, |spread_ms|. */
    WST__EV_TICKET_FAILED, /* Step 2 failed: |failure|. */
    WST__EV_DIAL_OK,       /* The connection (TLS included) stands, nothing is written yet. */
    WST__EV_LINK_FAILED,   /* It never came up, ended before it was open, or was refused: |failure|.
                            */
    WST__EV_LINK_OPEN,     /* The upgrade was accepted. */
    WST__EV_LINK_CLOSING,  /* The peer's close frame, or the end of our patience with its protocol:
                              the close handshake is under way.  |failure|, when known, counts
                              if the end of the handshake is never seen. */
    WST__EV_LINK_CLOSED,   /* An open link is gone: |failure| with the close code. */
    WST__EV_PING_LEFT,     /* The ping asked for last was given to the kernel. */
    WST__EV_COUNT
};

/*
 * What is known of a failure, as far as a decision needs it.  Small, as each client has two.
 * Durations are at most 49 days, here and in an event: more than a server may ask for.
 */
struct wst__failure {
    uint32_t retry_after_ms; /* What the server asked for: a floor.  0: nothing. */
    uint32_t spread_ms;      /* reconnectSpreadMs of a refusal.  0: nothing. */
    int16_t code;            /* WST_ERR_*; 0: none. */
    uint16_t http_status;    /* 0: none. */
    uint16_t close_code;     /* 0: none. */
    enum wst_step step : 8;
    enum wst_class cls : 8;       /* Filled in by the core (verdict.h). */
    enum wst_verdict verdict : 8; /* The application's own. */
    bool own; /* Filled in by the core: found by itself (a deadline, silence, a stale ticket), so
                 the application was not asked before; see wst__core_foresee(). */
};

struct wst__event {
    enum wst__ev type;
    uint64_t attempt;    /* Of the one that asked; answers only. */
    uint64_t now_ms;     /* Monotonic clock. */
    uint64_t boot_ms;    /* The clock that runs during sleep. */
    uint64_t last_rx_ms; /* Monotonic time of the last byte received on the link; 0: none.  While
                            receiving is paused: now_ms, for then the liveness clock stands. */
    uint32_t ticket_life_ms;     /* TICKET_OK. */
    uint32_t retry_after_ms;     /* TICKET_OK: retryAfterMs, a floor for the wait after the link. */
    uint32_t spread_ms;          /* TICKET_OK: reconnectSpreadMs for the next reconnect; 0: none. */
    struct wst__failure failure; /* *_FAILED, LINK_CLOSED, LINK_CLOSING; of any other event only
                                    |verdict| is read, on a failure that the core finds itself. */
};

/* What must be done, in this order. */
enum wst__act {
    WST__ACT_STATE,         /* Tell: state changed, |from| -> |to|. */
    WST__ACT_ATTEMPT_BEGIN, /* Tell: attempt |attempt| begins. */
    WST__ACT_ENSURE_TOKEN,  /* Begin step 1; answer TOKEN_OK or TOKEN_FAILED. */
    WST__ACT_DROP_TOKEN,    /* Forget the token that this attempt used (not a newer one). */
    WST__ACT_GET_TICKET,    /* Begin step 2; answer TICKET_SENT, then TICKET_OK or TICKET_FAILED. */
    WST__ACT_DROP_TICKET,   /* Wipe the ticket at hand. */
    WST__ACT_CANCEL_HTTP,   /* Drop what steps 1 and 2 have under way. */
    WST__ACT_DIAL,          /* Begin to connect; answer DIAL_OK or LINK_FAILED. */
    WST__ACT_UPGRADE,    /* Write the upgrade with the ticket; answer LINK_OPEN or LINK_FAILED. */
    WST__ACT_CLOSE_LINK, /* Begin the close handshake; answer LINK_CLOSED. */
    WST__ACT_DROP_LINK,  /* End dial or connection at once; no answer. */
    WST__ACT_PING,       /* Send a ping; answer PING_LEFT. */
    WST__ACT_OPENED,     /* Tell: the attempt ended well. */
    WST__ACT_ATTEMPT_FAILED, /* Tell: the attempt ended badly: core.failure, core.other, |ms|. */
    WST__ACT_CLOSED,         /* Tell: the open link ended: core.failure, |ms|. */
    WST__ACT_ENDED,          /* Tell: IDLE by stop, or FAILED: core.failure.  The terminal event. */
    WST__ACT_COUNT
};

struct wst__action {
    enum wst__act type;
    enum wst_state from; /* STATE. */
    enum wst_state to;   /* STATE, ENDED. */
    uint64_t attempt;    /* All but STATE and ENDED. */
    uint64_t ms;         /* ATTEMPT_FAILED, CLOSED: the next delay, WST_NO_DELAY when none. */
};

#define WST__MAX_ACTIONS 16

struct wst__actions {
    size_t count;
    struct wst__action list[WST__MAX_ACTIONS];
};

/* The part of the configuration that the core decides by. */
struct wst__policy {
    uint64_t base_ms;
    uint64_t cap_ms;
    uint32_t jitter_percent;
    uint64_t max_server_delay_ms;
    uint64_t restart_spread_ms;
    uint64_t stable_ms;
    uint64_t step_timeout_ms;
    uint64_t attempt_timeout_ms;
    uint64_t close_timeout_ms;
    uint64_t ping_interval_ms; /* 0: no pings. */
    uint64_t ping_timeout_ms;
    uint64_t dial_idle_ms; /* A dialed connection is not kept idle for longer. */
    uint32_t max_attempts; /* 0: no limit. */
    enum wst_give_up give_up;
    uint32_t unauthorized_count;
    uint16_t unauthorized[WST__MAX_UNAUTHORIZED];
    bool token_step;       /* There is a step 1 (a token is needed at all). */
    bool ticket_step;      /* There is a step 2. */
    bool parallel_dial;    /* Dial beside steps 1 and 2. */
    bool late_dial_target; /* The reply of step 2 names the URL: dial only after it. */
};

#endif
