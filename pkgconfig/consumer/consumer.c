/*
 * A program outside the tree, built with nothing but `pkg-config --cflags --libs libwsticket`.
 * It asks for a connection at a port where nobody listens, is told so, closes, and ends with 0
 * when each callback came as promised.
 */
#include <wsticket/wsticket.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

struct seen {
    int failed;
    int closed;
};

static void on_closed(struct wst_client *client, void *arg)
{
    struct seen *seen = arg;

    (void)client;
    seen->closed++;
}

static void on_attempt_failed(struct wst_client *client, const struct wst_error_info *info,
                              void *arg)
{
    struct seen *seen = arg;

    printf("attempt failed: %s: %s\n", wst_err_name(info->cause.code), info->cause.text);
    seen->failed += info->cause.code == WST_ERR_CONNECT;
    wst_client_close(client, on_closed, seen);
}

/* A port of loopback that the kernel has just given and taken back; 0: none. */
static int free_port(void)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int port = 0;

    memset(&addr, 0, sizeof addr);
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 &&
        getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
        port = ntohs(addr.sin_port);
    (void)close(fd);
    return port;
}

int main(void)
{
    struct seen seen = {0, 0};
    struct wst_client *client = NULL;
    struct wst_config config;
    struct wst_cause why;
    uv_loop_t loop;
    char url[64];

    if (strcmp(wst_version(), WST_VERSION_STRING) != 0 || uv_loop_init(&loop) != 0)
        return 1;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", free_port());
    wst_config_init(&config);
    config.uv_loop = &loop;
    config.url = url;
    config.proxy = "";
    config.arg = &seen;
    config.on_attempt_failed = on_attempt_failed;
    if (wst_client_new(&client, &config, &why) != 0) {
        fprintf(stderr, "client: %s\n", why.text);
        return 1;
    }
    if (wst_client_start(client) != 0)
        return 1;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0)
        return 1;
    return seen.failed == 1 && seen.closed == 1 ? 0 : 1;
}
