/*
 * The token of a client: cached in memory, asked for once at a time, kept across runs by a store.
 * Its life is a duration counted from its receipt, never a comparison with the raw wall clock.
 */
#ifndef WST_CLIENT_TOKEN_H
#define WST_CLIENT_TOKEN_H

#include "base/secret.h"
#include "client/config.h"
#include "client/ports.h"

struct wst_client;

enum wst__token_state {
    WST__TOKEN_NONE,   /* Nothing at hand. */
    WST__TOKEN_FRESH,  /* Usable. */
    WST__TOKEN_AGEING, /* More than 80 % of its life is over: to be refreshed; good meanwhile. */
    WST__TOKEN_OLD     /* Its life is over. */
};

/* A client has one when a step or a store wants it, or when the application has set a token: all
 * but wst__token_put(), wst__token_forget() and what belongs to step 1 also take NULL. */
struct wst__token {
    struct wst_client *client;
    struct wst__secret value;
    uint64_t serial; /* Counts the tokens: "drop A, not a newer one". */
    uint64_t used;   /* Serial of the one that this attempt uses. */
    uint64_t received_boot_ms;
    uint64_t age_ms; /* Its age when it was received (loaded from a store). */
    int64_t life_ms; /* -1: unknown. */
    int64_t received_wall_s;
    bool refresh_stalled; /* Step 1 was not answered in time: this one is used while it is good. */
    /* The store. */
    bool loaded;           /* The store has been asked, or there is none. */
    bool writing;          /* A file operation is under way, */
    bool replaces;         /* which puts a token where perhaps another one is. */
    bool dirty;            /* Another one must follow it. */
    uint64_t load_request; /* Of the application's store; 0: none under way. */
    void (*on_loaded)(struct wst_client *client);
    struct wst__file *reading;
    const char *unused_because; /* What the application's store gave is of no use: to be logged. */
};

/* NULL: out of memory. */
struct wst__token *wst__token_new(struct wst_client *client);
/* Wipes and frees. */
void wst__token_free(struct wst__token *t);
/* Empty: there is none at hand. */
static inline const struct wst__secret *wst__token_value(const struct wst__token *t)
{
    static const struct wst__secret none = WST__SECRET_INIT;

    return t ? &t->value : &none;
}
/* The one at hand is shown to the server, in this attempt. */
static inline void wst__token_use(struct wst__token *t)
{
    if (t)
        t->used = t->serial;
}
/* Reads the store once; |done| runs later, or never when it is dropped.  Returns false when there
 * is nothing to wait for. */
bool wst__token_load(struct wst__token *t, void (*done)(struct wst_client *client));
/* An answer is no longer wanted. */
void wst__token_cancel_load(struct wst__token *t);
/* The application's store has answered. */
void wst__token_loaded(struct wst_client *client, uint64_t request,
                       const struct wst_stored_token *stored);
enum wst__token_state wst__token_state(const struct wst__token *t, uint64_t boot_ms);
/* Takes |value| (moved).  |life_ms| -1: the JWT's own.  |keep|: it goes into the store, too. */
void wst__token_put(struct wst__token *t, struct wst__secret *value, int64_t life_ms, bool keep);
/* Forgets the token, here and in the store, if it still is the one with |serial|. */
void wst__token_forget(struct wst__token *t, uint64_t serial);
/* The same with the one that this attempt uses. */
static inline void wst__token_forget_used(struct wst__token *t)
{
    if (t)
        wst__token_forget(t, t->used);
}
/* Log out: forgets whatever there is, here and in the store. */
void wst__token_forget_all(struct wst__token *t);
/* Does what the functions above could not do: saves what has changed.  From the loop only. */
void wst__token_sync(struct wst__token *t);
/* Is there anything for it to do? */
static inline bool wst__token_has_chores(const struct wst__token *t)
{
    return t && (t->dirty || t->unused_because || (t->loaded && t->on_loaded));
}
/* Something is not saved yet: close waits for it. */
bool wst__token_busy(const struct wst__token *t);

#endif
