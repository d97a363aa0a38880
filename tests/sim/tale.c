/* What the stories share. */
#include "sim/tale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tale *of(struct sim_world *w)
{
    return w->plans;
}

static void plan_http(struct sim_world *w, enum wst_step step, struct sim_http_plan *plan)
{
    struct tale *t = of(w);
    size_t *at = step == WST_STEP_TOKEN ? &t->token_at : &t->ticket_at;

    if (*at < TALE_MAX_PLANS)
        *plan = step == WST_STEP_TOKEN ? t->tokens[*at] : t->tickets[*at];
    (*at)++;
    if (plan->answer_ms == 0)
        plan->answer_ms = 20;
}

static void plan_dial(struct sim_world *w, struct sim_dial_plan *plan)
{
    struct tale *t = of(w);

    if (t->dial_at < TALE_MAX_PLANS)
        *plan = t->dials[t->dial_at];
    t->dial_at++;
    if (plan->ready_ms == 0)
        plan->ready_ms = 30;
}

static void plan_ws(struct sim_world *w, struct sim_ws_plan *plan)
{
    struct tale *t = of(w);

    if (t->links_repeat)
        *plan = t->links[0];
    else if (t->link_at < TALE_MAX_PLANS)
        *plan = t->links[t->link_at];
    t->link_at++;
    if (plan->latency_ms == 0)
        plan->latency_ms = 10;
}

static void plan_file(struct sim_world *w, struct sim_file_plan *plan)
{
    struct tale *t = of(w);

    if (t->file_at < TALE_MAX_PLANS)
        *plan = t->files[t->file_at];
    t->file_at++;
    if (plan->ms == 0)
        plan->ms = 2;
}

static void hook(struct sim_app *app, enum sim_cb cb)
{
    struct tale *t = app->test;

    if (!t->then || (t->when != SIM_CB_COUNT && t->when != cb) || ++t->calls != t->nth)
        return;
    t->then(t);
}

static enum wst_verdict verdict(struct sim_app *app, const struct wst_cause *cause)
{
    struct tale *t = app->test;

    (void)cause;
    return t->verdict_at < TALE_MAX_PLANS ? t->verdicts[t->verdict_at++] : WST_VERDICT_DEFAULT;
}

struct tale *tale_new(void)
{
    struct tale *t = calloc(1, sizeof *t);

    assert_non_null(t);
    sim_world_init(&t->w, 1);
    t->w.tracing = true;
    t->w.plans = t;
    t->w.plan_http = plan_http;
    t->w.plan_dial = plan_dial;
    t->w.plan_ws = plan_ws;
    t->w.plan_file = plan_file;
    sim_app_init(&t->app, &t->w);
    t->app.test = t;
    t->app.hook = hook;
    t->app.verdict = verdict;
    return t;
}

void tale_start(struct tale *t)
{
    sim_app_make(&t->app);
    (void)sim_start(&t->app);
}

void tale_run(struct tale *t, uint64_t ms)
{
    sim_app_run(&t->app, ms);
}

void tale_open(struct tale *t)
{
    tale_start(t);
    tale_run(t, 100);
    if (!t->app.open)
        sim_fail(&t->w, "the tale does not begin with an open link");
    tale_skip(t);
}

static bool shows(void)
{
    return getenv("WST_SIM_SHOW") != NULL;
}

void tale_skip(struct tale *t)
{
    t->shown = t->w.trace_len;
}

void tale_expect_at(struct tale *t, const char *text, const char *file, int line)
{
    const char *seen = t->w.trace ? t->w.trace + t->shown : "";

    if (shows()) {
        printf("---- %s:%d\n%s", file, line, seen);
    } else if (strcmp(seen, text) != 0) {
        print_error("%s:%d: expected\n%sand it was\n%s", file, line, text, seen);
        fail();
    }
    tale_skip(t);
}

void tale_when(struct tale *t, enum sim_cb cb, unsigned nth, tale_fn *then)
{
    t->when = cb;
    t->nth = nth;
    t->then = then;
    t->calls = 0;
}

void tale_end(struct tale *t)
{
    sim_app_finish(&t->app);
    if (*t->w.failure) {
        print_error("%s\n%s\n", t->w.failure, t->w.trace);
        fail();
    }
    sim_world_fini(&t->w);
    free(t);
}
