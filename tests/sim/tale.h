/*
 * What the stories share: a world in which all is well but for what the story scripts, and the
 * comparison of its trace with the one that is written in the test.
 *
 * WST_SIM_SHOW=1 prints each trace, for the eye, and compares nothing.
 */
#ifndef WST_SIM_TALE_H
#define WST_SIM_TALE_H

#include "sim/app.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TALE_MAX_PLANS 16

/* How a story begins whose first token comes as it should. */
#define TALE_TO_THE_TICKET                                                                         \
    "[     0] > start\n"                                                                           \
    "[     0] idle -> token\n"                                                                     \
    "[     0] attempt 1\n"                                                                         \
    "[     0] POST /api/v1/auth/token\n"                                                           \
    "[     0] dial api.example.com:443\n"                                                          \
    "[    20] token: 200 token 1\n"                                                                \
    "[    20] token -> ticket\n"                                                                   \
    "[    20] GET /api/v1/ws-ticket (token 1)\n"

struct tale;
typedef void tale_fn(struct tale *t);

struct tale {
    struct sim_world w;
    struct sim_app app;
    /* What happens to the first, second ... of each kind; then all is well again. */
    struct sim_http_plan tokens[TALE_MAX_PLANS], tickets[TALE_MAX_PLANS];
    struct sim_dial_plan dials[TALE_MAX_PLANS];
    struct sim_ws_plan links[TALE_MAX_PLANS];
    struct sim_file_plan files[TALE_MAX_PLANS];
    size_t token_at, ticket_at, dial_at, link_at, file_at;
    bool links_repeat; /* The first plan of a link holds for all. */
    /* Called inside the |nth| callback of a kind; SIM_CB_COUNT: of any kind. */
    enum sim_cb when;
    unsigned nth;
    tale_fn *then;
    unsigned calls;
    enum wst_verdict verdicts[TALE_MAX_PLANS];
    size_t verdict_at;
    size_t shown; /* Of the trace. */
};

/* Begins a tale; its configuration may still be changed. */
struct tale *tale_new(void);
/* Makes the client and starts it. */
void tale_start(struct tale *t);
/* Goes on for so long. */
void tale_run(struct tale *t, uint64_t ms);
/* Open, with what led there out of the trace. */
void tale_open(struct tale *t);
/* What has been written down since the last time must be |text|. */
void tale_expect_at(struct tale *t, const char *text, const char *file, int line);
#define tale_expect(t, text) tale_expect_at(t, text, __FILE__, __LINE__)
/* Forgets what was written down. */
void tale_skip(struct tale *t);
/* Closes what is open, checks what must be true at the end, and frees. */
void tale_end(struct tale *t);
/* Calls |then| inside the |nth| callback of a kind. */
void tale_when(struct tale *t, enum sim_cb cb, unsigned nth, tale_fn *then);

#endif
