/*
 * How long it takes to be open, from start() to on_open: sequence HOST PORT CA MODE ROUNDS.
 *
 *     cold        nothing is known: token, ticket, WebSocket
 *     cached      the JWT is known, no connection is
 *     reconnect   the JWT is known and the HTTP connection is still there
 *
 * Prints one line for each round: milliseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>
#include <wsticket/wsticket.h>

static uv_loop_t uv;
static uint64_t begun;
static long rounds;
static int skip; /* Rounds that are not counted. */

static void start(struct wst_client *client)
{
    begun = uv_hrtime();
    (void)wst_client_start(client);
}

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    (void)subprotocol;
    (void)arg;
    if (skip == 0)
        printf("%.3f\n", (double)(uv_hrtime() - begun) / 1e6);
    (void)wst_client_stop(client);
}

static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    (void)state;
    (void)arg;
    if (info->cause.code != WST_ERR_CANCELED) {
        fprintf(stderr, "%s\n", info->cause.text);
        exit(1);
    }
    if (skip > 0)
        skip--;
    else
        rounds--;
    if (rounds > 0 && arg)
        start(client);
    else
        wst_client_close(client, NULL, NULL);
}

/* Runs one client until it is closed; |again|: it starts again until the rounds are over. */
static void run(const struct wst_config *base, void *again)
{
    struct wst_config config = *base;
    struct wst_client *client;
    struct wst_cause why;

    config.uv_loop = &uv;
    config.on_open = on_open;
    config.on_ended = on_ended;
    config.arg = again;
    if (wst_client_new(&client, &config, &why) != 0) {
        fprintf(stderr, "%s\n", why.text);
        exit(1);
    }
    start(client);
    (void)uv_run(&uv, UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
    struct wst_config config;
    char url[256];
    int reconnect;

    if (argc != 6)
        return 2;
    (void)snprintf(url, sizeof url, "https://%s:%s", argv[1], argv[2]);
    wst_config_init(&config);
    config.url = url;
    config.ca_file = argv[3];
    config.give_up = WST_GIVE_UP_ALWAYS;
    reconnect = strcmp(argv[4], "reconnect") == 0;
    if (strcmp(argv[4], "cached") == 0)
        config.token = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";
    rounds = strtol(argv[5], NULL, 10);
    skip = reconnect;
    (void)alarm(60);
    (void)uv_loop_init(&uv);
    while (rounds > 0)
        run(&config, reconnect ? &rounds : NULL);
    return 0;
}
