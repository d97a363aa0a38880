/*
 * Dialing with libcurl, so that happy eyeballs, HTTP CONNECT and SOCKS proxies and interface
 * binding are the same as for the HTTP steps.  A transfer on an http:// URL with CONNECT_ONLY ends
 * as soon as the way to the target stands; its socket is then taken from libcurl, which keeps
 * nothing: no easy handle stays behind a WebSocket.  TLS comes later, in stream_openssl.c.
 *
 * With HTTPPROXYTUNNEL an HTTP proxy is asked to CONNECT, whatever the URL's scheme; without it
 * libcurl would report success on the socket to the proxy.
 */
#include "io/dial_curl.h"

#include "base/mem.h"
#include "io/cause_curl.h"
#include "io/io.h"
#include "io/multi_curl.h"
#include "io/net.h"

#include <stdio.h>
#include <string.h>

/* Of a proxy's answer to CONNECT. */
enum { MAX_HEADER_BYTES = 16 * 1024, BUFFER_BYTES = 1024, HOST_MAX = 255 };

struct wst__dial {
    struct wst__transfer transfer;
    struct wst__net *net;
    wst__dial_cb cb;
    void *arg;
    char *host;
    uint16_t port;
    char proxy_name[128];
    bool through_http;
    CURLU *url;
    char error_text[CURL_ERROR_SIZE];
    size_t header_bytes;
    uint64_t begun_us;
    struct wst_cause *refused; /* Why it cannot even begin. */
    struct wst__turn turn;
};

static void free_dial(struct wst__dial *d)
{
    wst__turn_drop(&d->turn);
    wst__transfer_fini(&d->transfer);
    curl_url_cleanup(d->url);
    wst__free(d->refused);
    wst__free(d->host);
    wst__free(d);
}

/* Ends the dial, then tells. */
static void finish(struct wst__dial *d, int fd, uv_poll_t *poll, const struct wst_cause *why)
{
    wst__dial_cb cb = d->cb;
    void *arg = d->arg;
    struct wst__stream_timing timing = {0};
    struct wst__time now;
    curl_off_t dns_us = 0;

    if (poll) {
        wst__clock_read(&d->net->io->clock, &now);
        (void)curl_easy_getinfo(d->transfer.easy, CURLINFO_NAMELOOKUP_TIME_T, &dns_us);
        timing.dns_us = (uint64_t)dns_us;
        timing.tcp_us = now.now_us - d->begun_us;
        timing.tcp_us -= timing.dns_us < timing.tcp_us ? timing.dns_us : timing.tcp_us;
    }
    free_dial(d);
    cb(arg, fd, poll, &timing, why);
}

static void on_done(struct wst__transfer *t, CURLcode result)
{
    struct wst__dial *d = (struct wst__dial *)t; /* Its first member. */
    char place[WST__PLACE];
    struct wst__transfer_about about = {.step = WST_STEP_CONNECT,
                                        .host = d->host,
                                        .place = wst__place(d->host, d->port, place),
                                        .proxy = d->proxy_name,
                                        .through_http = d->through_http,
                                        .interface = d->net->interface,
                                        .error_text = d->error_text,
                                        .no_socket = wst__multi_no_socket(t->multi)};
    struct wst_cause why = {0};

    if (result != CURLE_OK)
        wst__curl_cause(&why, t->easy, result, &about);
    else if (!t->poll)
        (void)wst__cause(&why, WST_ERR_IO, WST_STEP_CONNECT,
                         "libcurl did not hand over the connection to %s", d->host);
    finish(d, t->fd, t->poll, &why);
}

static void on_refused(void *arg)
{
    struct wst__dial *d = arg;
    struct wst_cause why = *d->refused;

    finish(d, -1, NULL, &why);
}

/* Headers of the proxy's answer: only counted. */
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct wst__dial *d = arg;

    (void)line;
    d->header_bytes += size * n;
    return d->header_bytes > MAX_HEADER_BYTES ? 0 : size * n;
}

/* The target as parts: libcurl need not put them together and take them apart again. */
static int make_url(struct wst__dial *d)
{
    char ipv6[HOST_MAX + 3];
    const char *host = d->host;
    char port[8];
    CURLUcode rc = CURLUE_OUT_OF_MEMORY;

    if (strchr(host, ':')) {
        (void)snprintf(ipv6, sizeof ipv6, "[%s]", host);
        host = ipv6;
    }
    (void)snprintf(port, sizeof port, "%u", d->port);
    d->url = curl_url();
    if (d->url)
        rc = curl_url_set(d->url, CURLUPART_SCHEME, "http", 0);
    if (rc == CURLUE_OK)
        rc = curl_url_set(d->url, CURLUPART_HOST, host, 0);
    if (rc == CURLUE_OK)
        rc = curl_url_set(d->url, CURLUPART_PORT, port, 0);
    if (rc == CURLUE_OK)
        return 0;
    return rc == CURLUE_OUT_OF_MEMORY ? WST_ERR_NOMEM : WST_ERR_INVALID;
}

/* All options are set each time: the handle may be that of another client's dial. */
static int set_up(struct wst__dial *d, const char *proxy)
{
    CURL *easy = d->transfer.easy;
    unsigned failed = 0;
    int rc = make_url(d);

    if (rc != 0)
        return rc;
    failed |= curl_easy_setopt(easy, CURLOPT_CURLU, d->url);
    /* It is not looked at; but without one, libcurl 7.88 makes one of the parts. */
    failed |= curl_easy_setopt(easy, CURLOPT_URL, "http:");
    failed |= curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    failed |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    failed |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, d);
    failed |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, d->error_text);
    return failed ? WST_ERR_NOMEM : wst__net_apply(d->net, easy, proxy);
}

static int begin(struct wst__dial *d, bool secure)
{
    struct wst_cause why;
    const char *proxy;
    int rc = wst__proxies_choose(&d->net->proxies, secure, d->host, d->port, WST_STEP_CONNECT,
                                 &proxy, &why);

    if (rc != 0) {
        d->refused = wst__malloc(sizeof *d->refused);
        if (!d->refused)
            return WST_ERR_NOMEM;
        *d->refused = why;
        wst__turn_ask(&d->net->io->turns, &d->turn);
        return 0;
    }
    wst__proxy_name(proxy, d->proxy_name, sizeof d->proxy_name);
    d->through_http = wst__proxy_is_http(proxy);
    d->transfer.direct = !*proxy;
    rc = wst__transfer_init(&d->transfer, d->net->multi);
    if (rc == 0)
        rc = set_up(d, proxy);
    if (rc == 0)
        rc = wst__transfer_start(&d->transfer);
    return rc;
}

int wst__dial_start(struct wst__net *net, const char *host, uint16_t port, bool secure,
                    wst__dial_cb cb, void *arg, struct wst__dial **out)
{
    struct wst__dial *d = wst__calloc(1, sizeof *d);
    struct wst__time now;
    int rc;

    if (strlen(host) > HOST_MAX) {
        wst__free(d);
        return WST_ERR_INVALID;
    }
    if (!d)
        return WST_ERR_NOMEM;
    wst__clock_read(&net->io->clock, &now);
    d->begun_us = now.now_us;
    d->net = net;
    d->port = port;
    d->cb = cb;
    d->arg = arg;
    d->turn.cb = on_refused;
    d->turn.arg = d;
    d->transfer.done = on_done;
    d->transfer.keep_socket = true;
    d->host = wst__strdup(host);
    rc = d->host ? begin(d, secure) : WST_ERR_NOMEM;
    if (rc != 0) {
        free_dial(d);
        return rc;
    }
    *out = d;
    return 0;
}

void wst__dial_cancel(struct wst__dial *d)
{
    free_dial(d);
}
