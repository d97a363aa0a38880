/*
 * The application of the simulated world: it uses the public functions as a program would, writes
 * down what it is told, and watches the promises that can be seen from here.  What it finds broken
 * ends in sim_fail().
 */
#ifndef WST_SIM_APP_H
#define WST_SIM_APP_H

#include "sim/world.h"

/* Where it is when the hook is called. */
enum sim_cb {
    SIM_CB_STATE,
    SIM_CB_ATTEMPT,
    SIM_CB_PROGRESS,
    SIM_CB_FAILED,
    SIM_CB_OPEN,
    SIM_CB_MESSAGE,
    SIM_CB_CHUNK,
    SIM_CB_CLOSED,
    SIM_CB_UNSENT,
    SIM_CB_ENDED,
    SIM_CB_PONG,
    SIM_CB_DRAINED,
    SIM_CB_VERDICT,
    SIM_CB_LOG,
    SIM_CB_PROVIDE, /* A token or a ticket is asked for. */
    SIM_CB_STORE,
    SIM_CB_POST,
    SIM_CB_COUNT
};

/* A message that was accepted. */
struct sim_sent {
    char fate;
    bool waits;     /* In the offline queue. */
    uint64_t at_us; /* Real. */
    uint64_t slept_us;
    uint64_t start; /* The number of the start that it belongs to. */
};

struct sim_app {
    struct sim_world *w;
    struct wst_config config;
    struct wst_client *client; /* NULL: not made, or gone. */
    /* What a test makes of it: called inside every callback. */
    void (*hook)(struct sim_app *app, enum sim_cb cb);
    enum wst_verdict (*verdict)(struct sim_app *app, const struct wst_cause *cause);
    void *test;
    bool quiet; /* State and progress are not written down. */

    /* What it was told. */
    enum wst_state state;
    enum wst_state state_from;
    enum wst_progress progress;
    uint64_t attempt;    /* Of the last wst_attempt_cb, */
    uint64_t attempt_us; /* and when that was, on the real clock, */
    uint64_t attempt_ms; /* and on the monotonic one. */
    bool trying;         /* An attempt has begun and not ended. */
    bool open;
    bool must_end;         /* No attempt follows: the terminal event is due. */
    bool asked;            /* on_verdict was called for what ends now, */
    enum wst_verdict said; /* and this was the answer. */
    struct wst_error_info failure;
    uint32_t failures;            /* In a row, by our own count. */
    uint64_t open_ms, closing_ms; /* When the link was; 0: it is not. */
    uint64_t starts, ends;        /* Accepted; terminal events. */
    unsigned in_cb;
    bool closing, gone;
    unsigned close_cbs;
    uint64_t counts[SIM_CB_COUNT];
    /* The wait under way. */
    bool waits;
    uint64_t woken_us;      /* When wake was called last. */
    uint64_t wait_begun_us; /* Real. */
    uint64_t wait_mono_ms;
    uint64_t wait_slept_us;
    /* Messages. */
    bool paused;
    bool pinged;               /* By the application: no question of liveness. */
    struct sim_sent *messages; /* By their number, from 1. */
    size_t sent, messages_room;
    size_t chunk_id, chunk_len; /* Of the message that is sent in chunks; 0: none. */
    char *piece;                /* Of the message that arrives in chunks, so far. */
    size_t piece_len;
    unsigned pieces;
    size_t last_taken, last_echoed;
    uint64_t unsent_here, unsent_bytes_here; /* Of this link. */
    uint64_t taken, unsent;
    /* Providers and the store. */
    uint64_t request; /* The last one asked for; 0: answered. */
    enum wst_step request_step;
    uint64_t request_attempt;
    uint64_t load_request;
    bool stored;
    char stored_token[128], stored_origin[128];
    int64_t stored_at, stored_life_s;
    /* What an attempt did. */
    unsigned tickets_asked, upgrades;
};

/* The longest wait that the last failure may be followed by; |closed|: it was the end of a link. */
uint64_t sim_longest_wait_ms(const struct sim_app *app, bool closed);
/* Fills in the configuration; sim_app_make() makes the client from it. */
void sim_app_init(struct sim_app *app, struct sim_world *w);
void sim_app_make(struct sim_app *app);
/* Closes the client if it is there, runs the world out, and checks what must be true at the end. */
void sim_app_finish(struct sim_app *app);
/* What must be true between any two events. */
void sim_app_check(struct sim_app *app);
/* sim_run(), with sim_app_check() after each event. */
void sim_app_run(struct sim_app *app, uint64_t ms);

/* The public functions, with the checks around them. */
int sim_start(struct sim_app *app);
int sim_stop(struct sim_app *app);
int sim_stop_with(struct sim_app *app, int code, const char *reason);
void sim_close(struct sim_app *app);
int sim_wake(struct sim_app *app);
int sim_ping(struct sim_app *app);
int sim_pause(struct sim_app *app);
int sim_resume(struct sim_app *app);
/* A message of |n| bytes at least, which names itself. */
int sim_send(struct sim_app *app, size_t n);
/* A chunk of one, which goes on where the last one ended. */
int sim_send_chunk(struct sim_app *app, size_t n, unsigned flags);
/* Messages are received in chunks. */
void sim_use_chunks(struct sim_app *app);
int sim_post(struct sim_app *app);
int sim_set_token(struct sim_app *app, uint64_t id, uint64_t life_ms);
int sim_forget_token(struct sim_app *app);
/* Answers the provider's question: with what the server would give. */
int sim_provide(struct sim_app *app);
int sim_provide_failed(struct sim_app *app, int status, uint64_t retry_after_ms);
int sim_loaded(struct sim_app *app);
/* Gives the configuration a store of the application's; |answers|: at once, inside the callback. */
void sim_use_store(struct sim_app *app);

#endif
