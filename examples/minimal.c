/*
 * The smallest program that keeps a WebSocket open: connects, sends a greeting, prints the first
 * answer, closes.  Every attempt, the first and each reconnect, fetches its own one-time ticket.
 *
 *   cc minimal.c $(pkg-config --cflags --libs libwsticket libuv) -o minimal
 *   ./minimal https://api.example.com [ca.pem]
 */
#include <wsticket/wsticket.h>

#include <stdio.h>
#include <uv.h>

static void on_open(struct wst_client *client, const char *subprotocol, void *arg)
{
    static const char greeting[] = "hello";
    (void)subprotocol;
    (void)arg;
    wst_client_send(client, WST_TEXT, greeting, sizeof(greeting) - 1, NULL);
}

static void on_message(struct wst_client *client, enum wst_message_type type, const void *data,
                       size_t len, void *arg)
{
    int *answered = arg;
    if (type == WST_TEXT)
        printf("%.*s\n", (int)len, (const char *)data);
    *answered = 1;
    wst_client_stop(client); /* Closes with 1000; on_ended() follows. */
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    (void)client;
    (void)arg;
    fprintf(stderr, "%s: %s\n", wst_step_name(info->cause.step), info->cause.text);
}

/* The one terminal event: stopped, or given up. */
static void on_ended(struct wst_client *client, enum wst_state state,
                     const struct wst_error_info *info, void *arg)
{
    (void)info;
    (void)arg;
    if (state == WST_STATE_FAILED)
        fputs("giving up\n", stderr);
    wst_client_close(client, NULL, NULL); /* Nothing of it is left in the loop afterwards. */
}

int main(int argc, char **argv)
{
    int answered = 0;
    struct wst_config config;
    wst_config_init(&config);
    config.uv_loop = uv_default_loop();
    config.url = argc > 1 ? argv[1] : "https://localhost:8443";
    config.ca_file = argc > 2 ? argv[2] : NULL; /* NULL: the CAs of the system. */
    config.arg = &answered;
    config.on_open = on_open;
    config.on_message = on_message;
    config.on_attempt_failed = on_attempt_failed;
    config.on_ended = on_ended;

    struct wst_client *client;
    struct wst_cause why = {0};
    int err = wst_client_new(&client, &config, &why);
    if (err) {
        fprintf(stderr, "%s: %s\n", wst_strerror(err), why.text);
        return 1;
    }
    wst_client_start(client);
    uv_run(config.uv_loop, UV_RUN_DEFAULT);
    uv_loop_close(config.uv_loop);
    return answered ? 0 : 1;
}
