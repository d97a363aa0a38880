/* The policies: each part of an attempt there and not there, each way to give up. */
#include "plans.h"

const struct plan plans[] = {
    {.name = "default",
     .states = 302480,
     .steps = 58766975,
     .states_of_all = 330596,
     .steps_of_all = 94413853},
    {.name = "no parallel dial, give up never",
     .serial = true,
     .give_up = WST_GIVE_UP_NEVER,
     .states = 69062,
     .steps = 12417821,
     .states_of_all = 216839,
     .steps_of_all = 65639095},
    {.name = "the ticket names the URL",
     .late_target = true,
     .states = 21101,
     .steps = 4154112,
     .states_of_all = 67700,
     .steps_of_all = 21672511},
    {.name = "no token step, give up always",
     .no_token = true,
     .give_up = WST_GIVE_UP_ALWAYS,
     .states = 34721,
     .steps = 5768761,
     .states_of_all = 121943,
     .steps_of_all = 35275076},
    {.name = "no ticket step",
     .no_ticket = true,
     .states = 5238,
     .steps = 1256650,
     .states_of_all = 5919,
     .steps_of_all = 1749335},
    {.name = "no token, no ticket, no pings",
     .no_token = true,
     .no_ticket = true,
     .no_ping = true,
     .states = 855,
     .steps = 231787,
     .states_of_all = 957,
     .steps_of_all = 306039},
    {.name = "serial, no token step, three attempts",
     .serial = true,
     .no_token = true,
     .max_attempts = 3,
     .states = 49912,
     .steps = 7593121,
     .states_of_all = 163219,
     .steps_of_all = 41128390},
};
const size_t plan_count = sizeof plans / sizeof plans[0];

static const struct {
    uint64_t step, attempt, idle, stable, interval, timeout, close, base;
} durations[DURATIONS] = {
    {100, 200, 50, 60, 100, 50, 100, 250},
    {100, 100, 100, 100, 100, 100, 100, 250},
    {200, 100, 300, 200, 100, 200, 200, (uint64_t)1 << 30}, /* A wake ends no wait sooner. */
};

void plan_policy(const struct plan *plan, size_t d, struct wst__policy *p)
{
    *p = (struct wst__policy){
        .base_ms = durations[d].base,
        .cap_ms = 1000, /* The third failure in a row is at the cap: FAILURES_AT_CAP. */
        .jitter_percent = 50,
        .max_server_delay_ms = 300000,
        .restart_spread_ms = 5000,
        .stable_ms = durations[d].stable,
        .step_timeout_ms = durations[d].step,
        .attempt_timeout_ms = durations[d].attempt,
        .close_timeout_ms = durations[d].close,
        .ping_interval_ms = plan->no_ping ? 0 : durations[d].interval,
        .ping_timeout_ms = durations[d].timeout,
        .dial_idle_ms = durations[d].idle,
        .max_attempts = plan->max_attempts,
        .give_up = plan->give_up,
        .unauthorized_count = 1,
        .unauthorized = {1008},
        .token_step = !plan->no_token,
        .ticket_step = !plan->no_ticket,
        .parallel_dial = !plan->serial,
        .late_dial_target = plan->late_target,
    };
}
