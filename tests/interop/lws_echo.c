/*
 * A server on libwebsockets that echoes every message with its own type, for the interoperability
 * matrix.  It shares nothing with the library, nor with wsticket-server.
 *
 *   interop_lws [cert=FILE key=FILE] [deflate] [fragments]
 *
 * Listens on a free port of 127.0.0.1 and prints "listening PORT", then for each connection
 * "extensions permessage-deflate" or "extensions none".  |fragments|: each echo goes out in
 * several. Ends with SIGTERM.
 */
#include <libwebsockets.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(x)    #x
#define TEXT_OF(x) TEXT(x)
/* permessage-deflate of 4.1.6 loses what does not fit into its buffers at once: 32 MiB. */
#define DEFLATE_BUF_PWR2 25
#define MESSAGE_MAX      ((size_t)16 << 20)

static bool in_fragments;

/* One message at a time: the client waits for its echo. */
struct session {
    unsigned char *buf; /* LWS_PRE bytes of room, then the message. */
    size_t len, sent;
    bool binary, echoing, begun, deflate;
};

/*
 * The next fragment: a few of different sizes, with empty ones at both ends.  With
 * permessage-deflate 4.1.6 fails an assertion on an empty frame, so there are none.
 */
static size_t next_fragment(const struct session *s, bool *last)
{
    size_t left = s->len - s->sent;
    size_t n = left > 4 ? left / 3 + 1 : left > 1 ? 1 : left;

    *last = !in_fragments || (s->deflate ? n == left : s->begun && left == 0);
    return !in_fragments ? left : s->begun || s->deflate ? n : 0;
}

static int write_fragment(struct lws *wsi, struct session *s)
{
    static const unsigned char empty[2][2] = {{0x81, 0}, {0x82, 0}};
    bool last;
    size_t n = next_fragment(s, &last);
    int flags = lws_write_ws_flags(s->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT, !s->begun, last);

    if (s->deflate && s->len == 0) {
        memcpy(s->buf + LWS_PRE, empty[s->binary], 2);
        if (lws_write(wsi, s->buf + LWS_PRE, 2, LWS_WRITE_RAW) < 2)
            return -1;
    } else if (lws_write(wsi, s->buf + LWS_PRE + s->sent, n, (enum lws_write_protocol)flags) <
               (int)n) {
        return -1;
    }
    s->begun = true;
    s->sent += n;
    if (last) {
        s->len = s->sent = 0;
        s->begun = s->echoing = false;
    } else {
        lws_callback_on_writable(wsi);
    }
    return 0;
}

static int received(struct lws *wsi, struct session *s, const void *in, size_t n)
{
    if (s->echoing || s->len + n > MESSAGE_MAX)
        return -1;
    if (n)
        memcpy(s->buf + LWS_PRE + s->len, in, n);
    s->len += n;
    if (lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0) {
        s->binary = lws_frame_is_binary(wsi);
        s->echoing = true;
        lws_callback_on_writable(wsi);
    }
    return 0;
}

static int opened(struct lws *wsi, struct session *s)
{
    static const char size[] = TEXT_OF(DEFLATE_BUF_PWR2);

    memset(s, 0, sizeof *s);
    s->deflate = lws_set_extension_option(wsi, "permessage-deflate", "rx_buf_size", size) == 0 &&
                 lws_set_extension_option(wsi, "permessage-deflate", "tx_buf_size", size) == 0;
    printf("extensions %s\n", s->deflate ? "permessage-deflate" : "none");
    s->buf = malloc(LWS_PRE + MESSAGE_MAX);
    return s->buf ? 0 : -1;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct session *s = user;

    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return opened(wsi, s);
    case LWS_CALLBACK_RECEIVE:
        return received(wsi, s, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return s->echoing ? write_fragment(wsi, s) : 0;
    case LWS_CALLBACK_CLOSED:
        free(s->buf);
        s->buf = NULL;
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

static void read_arguments(struct lws_context_creation_info *info,
                           const struct lws_extension *deflate, char **argv)
{
    for (; *argv; argv++) {
        if (strncmp(*argv, "cert=", 5) == 0) {
            info->ssl_cert_filepath = *argv + 5;
            info->options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        } else if (strncmp(*argv, "key=", 4) == 0) {
            info->ssl_private_key_filepath = *argv + 4;
        } else if (strcmp(*argv, "deflate") == 0) {
            info->extensions = deflate;
        } else if (strcmp(*argv, "fragments") == 0) {
            in_fragments = true;
        }
    }
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {
        {"echo", on_event, sizeof(struct session), (size_t)1 << DEFLATE_BUF_PWR2, 0, NULL, 0},
        {NULL, NULL, 0, 0, 0, NULL, 0}};
    static const struct lws_extension deflate[] = {
        {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"},
        {NULL, NULL, NULL}};
    struct lws_context_creation_info info = {.protocols = protocols,
                                             .port = CONTEXT_PORT_NO_LISTEN,
                                             .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                                                        LWS_SERVER_OPTION_VALIDATE_UTF8};
    struct lws_context *context;
    struct lws_vhost *host;

    (void)argc;
    setvbuf(stdout, NULL, _IOLBF, 0);
    lws_set_log_level(LLL_ERR, NULL);
    read_arguments(&info, deflate, argv + 1);
    context = lws_create_context(&info);
    info.port = 0;
    info.iface = "127.0.0.1";
    host = context ? lws_create_vhost(context, &info) : NULL;
    if (!host)
        return 1;
    printf("listening %d\n", lws_get_vhost_listen_port(host));
    while (lws_service(context, 0) >= 0) {
    }
    lws_context_destroy(context);
    return 1;
}
