/*
 * Watches a loop while a client looks for its server: a timer ticks every 10 ms, and the largest
 * gap between two ticks tells how long the loop stood still.
 *
 *   turns URL HOLD_MS
 *
 * After HOLD_MS the client is closed.  Prints "TICKS GAP_MS CLOSE_MS STATE": how often it ticked,
 * the largest gap, how long the close took, and the state in which the client was closed.
 */
#include <wsticket/wsticket.h>

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define TICK_MS 10

struct watch {
    uv_timer_t tick, hold;
    struct wst_client *client;
    unsigned ticks;
    uint64_t last_ns, gap_ns, close_ns;
    enum wst_state state;
};

static void look(struct watch *w)
{
    uint64_t now = uv_hrtime();

    if (now - w->last_ns > w->gap_ns)
        w->gap_ns = now - w->last_ns;
    w->last_ns = now;
    w->ticks++;
}

static void on_tick(uv_timer_t *timer)
{
    look(timer->data);
}

static void on_gone(struct wst_client *client, void *arg)
{
    struct watch *w = arg;

    (void)client;
    w->close_ns = uv_hrtime() - w->close_ns;
    look(w);
    uv_close((uv_handle_t *)&w->tick, NULL);
    uv_close((uv_handle_t *)&w->hold, NULL);
}

static void on_hold_over(uv_timer_t *timer)
{
    struct watch *w = timer->data;

    w->state = wst_client_state(w->client);
    w->close_ns = uv_hrtime();
    wst_client_close(w->client, on_gone, w);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    struct watch w = {.client = NULL};
    struct wst_config config;
    struct wst_cause why;

    if (argc != 3) {
        fputs("usage: turns URL HOLD_MS\n", stderr);
        return 2;
    }
    wst_config_init(&config);
    config.uv_loop = loop;
    config.url = argv[1];
    config.allow_plaintext = 1;
    config.base_delay_ms = config.cap_ms = 50;
    if (wst_client_new(&w.client, &config, &why) != 0) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    uv_timer_init(loop, &w.tick);
    uv_timer_init(loop, &w.hold);
    w.tick.data = w.hold.data = &w;
    w.last_ns = uv_hrtime();
    uv_timer_start(&w.tick, on_tick, TICK_MS, TICK_MS);
    uv_timer_start(&w.hold, on_hold_over, (uint64_t)atoll(argv[2]), 0);
    wst_client_start(w.client);
    uv_run(loop, UV_RUN_DEFAULT);
    printf("%u %.0f %.0f %s\n", w.ticks, (double)w.gap_ns / 1e6, (double)w.close_ns / 1e6,
           wst_state_name(w.state));
    return uv_loop_close(loop) == 0 ? 0 : 1;
}
