/*
 * A simulated world behind the driver's ports (lib/client/ports.h): virtual clocks, timers, turns
 * and a mailbox; an HTTP server that hands out tokens and one-time tickets; a WebSocket server that
 * reads the very bytes the library writes; files in memory.  Nothing here sleeps, and one seed
 * makes one history.
 *
 * What happens to each request, dial and connection is a plan, which the test gives: a story
 * scripts them, a sweep draws them.  The world itself watches its ports: each misuse, and each
 * broken promise that can be seen from there, ends in sim_fail().
 */
#ifndef WST_SIM_WORLD_H
#define WST_SIM_WORLD_H

#include "client/ports.h"
#include "core/rng.h"
#include "sim/decide.h"

#include <stdarg.h>

/* Every token, ticket and password of the world has this in it: it may not be seen in any text. */
#define SIM_SECRET "sEcReT"

/* What happens to one HTTP exchange.  Zeros: all is well, and the server answers by itself. */
struct sim_http_plan {
    uint64_t sent_ms;   /* Until the request has left. */
    uint64_t answer_ms; /* From then until the answer is here. */
    int fail;           /* WST_ERR_*: no answer but this. */
    bool fail_unsent;   /* It fails before it has left. */
    bool unsent;        /* It never leaves. */
    bool stall;         /* It leaves, and nothing comes. */
    int refuse;         /* http_start() itself fails. */
    int status;         /* 0: the server's own answer. */
    const char *body;
    uint64_t retry_after_ms; /* 0: no such header. */
    const char *location;
    bool endless; /* The head comes, and the body has no end. */
};

/* What happens to one dial. */
struct sim_dial_plan {
    uint64_t ready_ms;
    int fail; /* WST_ERR_* instead of ready. */
    bool stall;
    int refuse;      /* stream_open() itself fails. */
    uint64_t die_ms; /* The connection ends so long after it is ready, whatever happens; 0: no. */
};

/* What the WebSocket server does with one connection. */
struct sim_ws_plan {
    uint64_t latency_ms; /* Each way. */
    size_t chunk;        /* Bytes arrive in pieces of at most so many; 0: whole. */
    uint64_t chunk_ms;   /* Between two pieces. */
    size_t window;       /* What the client's kernel takes; 0: 64 KiB. */
    bool silent;         /* Reads the request and says nothing. */
    const char *raw;     /* Says this instead of a response, */
    bool hangs;          /* and does not end the connection behind it. */
    int status;          /* Refuses with this; 0: by itself. */
    const char *headers; /* Of that refusal, each line ended. */
    const char *body;
    uint64_t asked_ms;    /* What |raw|, or a date in |headers|, asks for. */
    bool gone;            /* Ends the connection instead of answering. */
    const char *greeting; /* A text message glued to the 101. */
    bool mute;            /* Answers neither messages, nor pings, nor closes. */
    bool lazy_close;      /* Answers a close frame, but does not end TCP. */
    /* What happens so long after the 101; 0: it does not. */
    uint64_t close_ms;
    int close_code;
    const char *close_reason;
    uint64_t reset_ms;   /* RST. */
    uint64_t fin_ms;     /* FIN without a close frame. */
    uint64_t cut_ms;     /* The line goes dead: nothing passes, either way. */
    uint64_t deaf_ms;    /* The server stops reading. */
    uint64_t garbage_ms; /* Bytes that are no frames. */
};

/* What happens to the token's file. */
struct sim_file_plan {
    uint64_t ms;
    int fail; /* WST_ERR_IO, NOMEM; CONFIG: others may read it. */
    int refuse;
};

struct sim_token {
    uint64_t id;
    uint64_t until_us; /* On the real clock. */
    bool revoked;
};

struct sim_ticket {
    uint64_t id;
    uint64_t attempt;  /* Of the client, when it asked. */
    uint64_t asked_us; /* On the real clock: when the client began to ask. */
    uint64_t until_us; /* The server forgets it then. */
    uint64_t life_ms;  /* As told. */
    bool redeemed;
    bool written; /* Seen on the wire. */
};

/* How the ticket server behaves. */
struct sim_server {
    int64_t token_life_s;    /* As told; 0: not told. */
    int64_t ticket_life_s;   /* As told; 0: not told, then 30. */
    bool open_door;          /* Needs no token for a ticket. */
    bool no_tickets;         /* The WebSocket server needs none. */
    bool same_ticket;        /* Hands out the last one again. */
    bool whole_url;          /* The reply is {"url": ...}. */
    bool auth_down;          /* No token is good. */
    int reject_close;        /* A bad ticket: open, then this close code ... */
    int reject_status;       /* ... or this status. */
    size_t echo_max;         /* Larger messages are not sent back; 0: all are. */
    uint64_t retry_after_ms; /* retryAfterMs in ticket replies. */
    uint64_t spread_ms;      /* reconnectSpreadMs in ticket replies. */
    bool bearer;             /* The upgrade carries the token; without tickets it must be good. */
    enum wst_ticket_in ticket_in;
    const char *subprotocol; /* Chosen; NULL: none. */
    struct sim_token *tokens;
    size_t token_count;
    struct sim_ticket *tickets;
    size_t ticket_count;
};

/* How long a server asked its client to wait. */
struct sim_asked {
    uint64_t delay_ms;  /* Retry-After, retryAfterMs. */
    uint64_t spread_ms; /* reconnectSpreadMs. */
    bool restart;       /* Close 1012 or 1013. */
};

struct sim_event;
struct sim_world;
typedef void sim_fn(struct sim_world *w, void *obj, uint64_t n);

struct sim_file {
    char path[64];
    struct wst__buf data;
    bool exists;
};

struct sim_world {
    struct wst__ports ports;
    /* Clocks. */
    uint64_t real_us; /* Runs during sleep. */
    uint64_t slept_us;
    uint64_t woke_us; /* Monotonic: the last time. */
    int64_t wall_offset_s;
    uint64_t polled_late_us; /* libuv's clock may be that of the kernel's last tick. */
    /* Random: for the library, and for the world. */
    struct wst__rng entropy;
    struct sim_decider decider;
    bool no_entropy;
    /* The loop. */
    struct sim_event *heap;
    size_t heap_count, heap_room;
    uint64_t seq;
    struct wst__turn turns;            /* A ring. */
    unsigned turns_in_row;             /* Without an event between them. */
    unsigned timers_in_row;            /* Without time passing. */
    bool shuffles;                     /* Turns and events of one moment come in any order. */
    struct wst__timer *timer;          /* The one that is armed; NULL: none is. */
    uint64_t timer_fire_us;            /* When it is due, and perhaps a little late. */
    uint64_t timer_late_ms;            /* At most so late, at random. */
    struct wst__letter *first, **last; /* The mailbox. */
    struct wst__mailbox *closing;
    /* What is under way. */
    struct wst__net *net;
    struct wst__http *http;     /* The one. */
    struct wst__stream *stream; /* The newest. */
    unsigned stream_writes;     /* So far. */
    size_t https_live, streams_live, files_live, https_begun, streams_begun;
    void **objects; /* Everything that was ever made: freed with the world. */
    size_t object_count, object_room;
    struct sim_file files[4];
    char cookie[64];
    struct sim_server server;
    bool cut_off;                  /* The last answer on a link was lost in part. */
    struct sim_asked asked;        /* In the last answer of this attempt, and on its link, */
    struct sim_asked asked_at_end; /* and in the ticket's reply, for the end of the link. */
    bool calm; /* What was planned for connections that stand does not happen any more. */
    /* Plans.  NULL: all is well. */
    void (*plan_http)(struct sim_world *w, enum wst_step step, struct sim_http_plan *plan);
    void (*plan_dial)(struct sim_world *w, struct sim_dial_plan *plan);
    void (*plan_ws)(struct sim_world *w, struct sim_ws_plan *plan);
    void (*plan_file)(struct sim_world *w, struct sim_file_plan *plan);
    void *plans;
    /* The application. */
    struct sim_app *app;
    unsigned in_api; /* Depth of calls of the public API. */
    /* The trace. */
    bool tracing;
    const char
        *live; /* It goes to stdout at once, with this before each line.  NULL: it is kept. */
    char *trace;
    size_t trace_len, trace_room;
    char failure[512]; /* The first one. */
};

void sim_world_init(struct sim_world *w, uint64_t seed);
void sim_world_fini(struct sim_world *w);

/* ---- Time ---- */
uint64_t sim_mono_us(const struct sim_world *w);
uint64_t sim_mono_ms(const struct sim_world *w);
uint64_t sim_boot_ms(const struct sim_world *w);
/* Runs |fn| after so long of real time. */
void sim_after_us(struct sim_world *w, uint64_t us, sim_fn *fn, void *obj, uint64_t n);
void sim_after(struct sim_world *w, uint64_t ms, sim_fn *fn, void *obj, uint64_t n);
/* The machine sleeps. */
void sim_suspend(struct sim_world *w, uint64_t ms);
/* One event or turn, none later than |until_us|; false: nothing is due by then. */
bool sim_step(struct sim_world *w, uint64_t until_us);
/* Goes on for so long. */
void sim_run(struct sim_world *w, uint64_t ms);
/* Runs until nothing is under way for the client any more. */
void sim_drain(struct sim_world *w);
bool sim_timer_armed(const struct sim_world *w);
uint64_t sim_timer_due_ms(const struct sim_world *w);

/* ---- Chance: decisions of the unit that was begun last ---- */
uint64_t sim_upto(struct sim_world *w, uint64_t max);
bool sim_chance(struct sim_world *w, unsigned per_mille);

/* ---- The trace, and what is wrong ---- */
void sim_trace(struct sim_world *w, const char *fmt, ...) WST__PRINTF(2, 3);
void sim_fail(struct sim_world *w, const char *fmt, ...) WST__PRINTF(2, 3);
/* Fails when a secret is in it. */
void sim_check_text(struct sim_world *w, const char *what, const char *text);
/* Memory that is freed with the world. */
void *sim_alloc(struct sim_world *w, size_t n);

/* ---- Files ---- */
struct sim_file *sim_file(struct sim_world *w, const char *path);
void sim_file_put(struct sim_world *w, const char *path, const char *text);

/* ---- The ticket server (world_http.c) ---- */
void sim_http_ports(struct wst__ports *p);
/* A new good token; its text is "tok-" SIM_SECRET "-ID". */
uint64_t sim_token_mint(struct sim_world *w);
void sim_token_text(char *out, size_t room, uint64_t id);
void sim_tokens_revoke(struct sim_world *w);
/* Is this Authorization header's value that of a token that is good now? */
bool sim_token_good(const struct sim_world *w, const char *authorization);
/* What an answer with this Retry-After (0: none) and this body asks for. */
struct sim_asked sim_asked_in(uint64_t retry_after_ms, const char *body);
/* NULL: no such ticket. */
struct sim_ticket *sim_ticket_find(struct sim_world *w, const char *text);

/* ---- Streams and the WebSocket server (world_ws.c) ---- */
void sim_stream_ports(struct wst__ports *p);
/* What the server does now, on the newest connection. */
void sim_ws_text(struct sim_world *w, const char *text);
void sim_ws_binary(struct sim_world *w, size_t n);
void sim_ws_close(struct sim_world *w, int code, const char *reason);
void sim_ws_reset(struct sim_world *w);
void sim_ws_fin(struct sim_world *w);
void sim_ws_cut(struct sim_world *w);
void sim_ws_deaf(struct sim_world *w, bool deaf);
void sim_ws_raw(struct sim_world *w, const void *bytes, size_t n);
/* From now on it takes so long, each way; what arrives stays in order. */
void sim_ws_latency(struct sim_world *w, uint64_t ms);
/* What is on the way arrives now, and the line is fast, also that of a dial. */
void sim_ws_hurry(struct sim_world *w);
/* Is there a connection on which nothing is answered, or at least no close?  Nobody tells. */
bool sim_ws_hangs(const struct sim_world *w);
/* Since the last ping left nothing was received for so long; 0: something was.  After a sleep or a
 * pause the client asks again. */
uint64_t sim_ws_silent_ms(const struct sim_world *w);
/* Is the client's output blocked, and has nothing come since the machine slept? */
bool sim_ws_blocked_since_sleep(const struct sim_world *w);
void sim_ws_forget_ping(struct sim_world *w);
/* Is there a connection with a WebSocket on it, over which everything passes and is answered? */
bool sim_ws_alive(const struct sim_world *w);

/* ---- What the application is told by the world (app.c) ---- */
uint64_t sim_app_attempt(const struct sim_world *w);
/* Begins: HTTP exchange, dial; an upgrade was given to the kernel (its ticket: NULL when none). */
void sim_app_http(struct sim_world *w, enum wst_step step);
void sim_app_dial(struct sim_world *w);
void sim_app_upgrade(struct sim_world *w, struct sim_ticket *ticket);
/* A whole message was given to the kernel. */
void sim_app_taken(struct sim_world *w, int opcode, const uint8_t *payload, size_t n);

#endif
