/*
 * One HTTP exchange on libcurl.  It begins when trust is loaded (https), and ends in one answer,
 * whatever the status, or one cause.
 *
 * Ceilings are ours: libcurl's MAXFILESIZE does not stop a chunked body, and nothing of it stops
 * endless headers.  What was sent and received is wiped in our buffers when the object goes.
 */
#include "io/http_curl.h"

#include "base/mem.h"
#include "io/cause_curl.h"
#include "io/cookies_curl.h"
#include "io/io.h"
#include "io/multi_curl.h"
#include "io/net.h"
#include "io/tls_openssl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DAY_S = 24 * 60 * 60 };

struct wst__http {
    struct wst__transfer transfer;
    struct wst__net *net;
    enum wst_step step;
    struct wst__http_cbs cbs;
    void *arg;
    bool secure;
    char host[256];
    uint16_t port;
    char proxy_name[128];
    bool through_http;
    struct curl_slist *headers; /* Secrets. */
    struct wst__buf out;        /* The request's body. */
    struct wst__buf in;         /* The answer's. */
    size_t header_bytes, max_header_bytes;
    char retry_after[64], date[64]; /* The headers of these names. */
    bool headers_done;              /* The empty line behind them has come. */
    const char *too_large;          /* The name of the limit that was passed. */
    struct wst__http_answer answer;
    char error_text[CURL_ERROR_SIZE];
    struct wst__trust_wait wait;
    struct wst__turn turn; /* Tells what went wrong before it began. */
    struct wst_cause why;
};

static void free_http(struct wst__http *h)
{
    wst__turn_drop(&h->turn);
    wst__trust_forget(&h->wait);
    wst__transfer_fini(&h->transfer);
    for (struct curl_slist *s = h->headers; s; s = s->next)
        wst__wipe(s->data, strlen(s->data));
    curl_slist_free_all(h->headers);
    wst__buf_fini(&h->out);
    wst__buf_fini(&h->in);
    wst__free(h);
}

/* ---- The answer ---------------------------------------------------------------------------- */

/* All forms of an HTTP-date begin with the name of a day; curl_getdate() would take far more. */
static bool read_date(const char *value, int64_t *s)
{
    if (!isalpha((unsigned char)*value))
        return false;
    *s = (int64_t)curl_getdate(value, NULL);
    return *s != -1;
}

bool wst__retry_after(const char *value, int64_t now_s, uint64_t *ms)
{
    int64_t s = 0;

    if (isdigit((unsigned char)*value)) {
        const char *p = value;

        for (; isdigit((unsigned char)*p) && s <= DAY_S; p++)
            s = s * 10 + (*p - '0');
        p += strspn(p, "0123456789");
        if (*p == '\0') {
            *ms = (uint64_t)(s < DAY_S ? s : DAY_S) * 1000;
            return true;
        }
    }
    if (!read_date(value, &s))
        return false;
    s = s > now_s ? s - now_s : 0;
    *ms = (uint64_t)(s < DAY_S ? s : DAY_S) * 1000;
    return true;
}

/* The value of header |name| in |line|, without the space around it; false: another header. */
static bool header_value(const char *line, size_t n, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);

    if (n <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
        return false;
    line += name_len + 1;
    n -= name_len + 1;
    while (n > 0 && isspace((unsigned char)*line)) {
        line++;
        n--;
    }
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        n--;
    if (n >= size)
        n = size - 1;
    memcpy(out, line, n);
    out[n] = '\0';
    return true;
}

/* A date counts from the server's own time, as far as it tells that. */
static void end_headers(struct wst__http *h)
{
    struct wst__http_answer *a = &h->answer;
    struct wst__time now;
    int64_t now_s;

    h->headers_done = true;
    wst__clock_read(&h->net->io->clock, &now);
    if (!read_date(h->date, &now_s))
        now_s = now.wall_s;
    a->has_retry_after = wst__retry_after(h->retry_after, now_s, &a->retry_after_ms);
}

static void read_header(struct wst__http *h, const char *line, size_t n)
{
    struct wst__http_answer *a = &h->answer;

    if (n > 5 && memcmp(line, "HTTP/", 5) == 0) {
        /* A new answer: that of the proxy or an interim one is forgotten. */
        memset(a, 0, sizeof *a);
        *h->retry_after = *h->date = '\0';
        h->headers_done = false;
    } else if (n <= 2 && (*line == '\r' || *line == '\n')) {
        end_headers(h);
    } else if (!header_value(line, n, "Retry-After", h->retry_after, sizeof h->retry_after) &&
               !header_value(line, n, "Date", h->date, sizeof h->date)) {
        (void)header_value(line, n, "Content-Type", a->content_type, sizeof a->content_type);
    }
}

/* Every line counts, also of interim answers and of a proxy. */
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct wst__http *h = arg;

    n *= size;
    h->header_bytes += n;
    if (h->header_bytes > h->max_header_bytes) {
        h->too_large = "max_header_bytes";
        return 0;
    }
    read_header(h, line, n);
    return n;
}

/* What a refusal says is in its head: the page behind it may be as long as it likes, break off, or
 * never end.  Neither an interim answer nor the one to a CONNECT is one. */
static bool is_refused(const struct wst__http *h)
{
    long status = 0;

    if (h->headers_done)
        (void)curl_easy_getinfo(h->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    return status > 299;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct wst__http *h = arg;
    size_t room = h->in.max - 1 - h->in.len; /* One byte stays free for the terminator. */

    n *= size;
    if (n <= room)
        return wst__buf_add(&h->in, bytes, n) == 0 ? n : 0;
    if (is_refused(h))
        (void)wst__buf_add(&h->in, bytes, room);
    else
        h->too_large = "max_body_bytes";
    return 0;
}

/* Where a 3xx points to: only the host, the rest may hold secrets. */
static void read_location(struct wst__http *h)
{
    const char *url = NULL;
    char *host = NULL;
    CURLU *parts = curl_url();

    (void)curl_easy_getinfo(h->transfer.easy, CURLINFO_REDIRECT_URL, &url);
    if (parts && url && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
        (void)snprintf(h->answer.location_host, sizeof h->answer.location_host, "%s", host);
    curl_free(host);
    curl_url_cleanup(parts);
}

/* libcurl keeps one header line in memory up to a limit of its own, which it reports like this. */
static bool is_long_line(const struct wst__http *h, CURLcode result)
{
#if LIBCURL_VERSION_NUM >= 0x080600
    if (result == CURLE_TOO_LARGE)
        return true;
#endif
    return result == CURLE_OUT_OF_MEMORY && h->transfer.sent_told && h->in.len == 0;
}

static void explain(struct wst__http *h, CURLcode result, struct wst_cause *why)
{
    char place[WST__PLACE];
    struct wst__transfer_about about = {.step = h->step,
                                        .host = h->host,
                                        .place = wst__place(h->host, h->port, place),
                                        .proxy = h->proxy_name,
                                        .through_http = h->through_http,
                                        .sent = h->transfer.sent_told,
                                        .plain = !h->secure,
                                        .interface = h->net->interface,
                                        .error_text = h->error_text,
                                        .no_socket = wst__multi_no_socket(h->transfer.multi)};

    if (is_long_line(h, result))
        h->too_large = "max_header_bytes";
    if (h->too_large && (about.sent || !about.through_http))
        (void)wst__cause(why, WST_ERR_REPLY_TOO_LARGE, h->step,
                         "the answer of %s is larger than %s allows", place, h->too_large);
    else
        wst__curl_cause(why, h->transfer.easy, result, &about);
}

static void take_answer(struct wst__http *h, struct wst_cause *why)
{
    struct wst__http_answer *a = &h->answer;
    long status = 0;

    (void)curl_easy_getinfo(h->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    /* libcurl takes any number of a server for a status: as a cause it would be a close code. */
    a->status = status >= 100 && status <= 999 ? (int)status : 0;
    if (status / 100 == 3)
        read_location(h);
    if (a->status == 0)
        (void)wst__cause(why, WST_ERR_HTTP, h->step,
                         "%s answered with a status that is none (RFC 9110, 15): %ld", h->host,
                         status);
    else if (status == 407)
        (void)wst__cause(why, WST_ERR_PROXY_AUTH, h->step,
                         "%s wants other proxy credentials (407); they belong in the proxy's "
                         "URL: http://USER:PASSWORD@HOST:PORT",
                         *h->proxy_name ? h->proxy_name : h->host);
    else if (wst__buf_reserve(&h->in, 1) != 0)
        (void)wst__cause(why, WST_ERR_NOMEM, h->step, "out of memory");
    if (why->code != 0) {
        why->http_status = a->status;
        return;
    }
    h->in.data[h->in.len] = '\0';
    a->body = (const char *)h->in.data;
    a->body_len = h->in.len;
}

/* Nothing of the net is in use any more when |done| runs: it may free that. */
static void end(struct wst__http *h, const struct wst_cause *why)
{
    wst__transfer_fini(&h->transfer);
    wst__cookies_bound(h->net);
    h->cbs.done(h->arg, why, why->code == 0 ? &h->answer : NULL);
    free_http(h);
}

static void on_done(struct wst__transfer *t, CURLcode result)
{
    struct wst__http *h = (struct wst__http *)t; /* Its first member. */
    struct wst_cause why = {0};

    if (result == CURLE_OK && !h->headers_done)
        result = CURLE_PARTIAL_FILE; /* libcurl takes headers without an end for an answer. */
    if (result == CURLE_OK || is_refused(h))
        take_answer(h, &why);
    else
        explain(h, result, &why);
    end(h, &why);
}

static void on_sent(struct wst__transfer *t)
{
    struct wst__http *h = (struct wst__http *)t;

    h->cbs.sent(h->arg);
}

/* ---- The request --------------------------------------------------------------------------- */

static CURLcode on_ssl_ctx(CURL *easy, void *ctx, void *arg)
{
    struct wst__http *h = arg;

    (void)easy;
    wst__transfer_shakes_hands(&h->transfer);
    return wst__trust_apply(h->net->trust, ctx, h->host) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

/* libcurl's TLS is not our OpenSSL: it gets the same options as text. */
static unsigned set_tls_files(CURL *easy, const struct wst__trust_files *f)
{
    unsigned failed = 0;

    if (f->ca_file || f->ca_dir || f->ca_pem) {
        struct curl_blob pem = {.data = (void *)(uintptr_t)f->ca_pem,
                                .len = f->ca_pem ? strlen(f->ca_pem) : 0,
                                .flags = CURL_BLOB_COPY};

        failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, f->ca_file);
        failed |= curl_easy_setopt(easy, CURLOPT_CAPATH, f->ca_dir);
        if (f->ca_pem)
            failed |= curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &pem);
    }
    if (f->client_cert) {
        failed |= curl_easy_setopt(easy, CURLOPT_SSLCERT, f->client_cert);
        failed |=
            curl_easy_setopt(easy, CURLOPT_SSLKEY, f->client_key ? f->client_key : f->client_cert);
        failed |= curl_easy_setopt(easy, CURLOPT_KEYPASSWD, ""); /* Never asks on the terminal. */
    }
    return failed;
}

static unsigned set_tls(struct wst__http *h)
{
    CURL *easy = h->transfer.easy;
    const struct wst__trust_files *f = wst__trust_files(h->net->trust);
    unsigned failed = 0;

    failed |=
        curl_easy_setopt(easy, CURLOPT_SSLVERSION,
                         (long)(f->tls13_only ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2));
    failed |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, f->insecure ? 0L : 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, f->insecure ? 0L : 2L);
    if (f->pinned_key)
        failed |= curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, f->pinned_key);
    if (!h->net->own_ctx)
        return failed | set_tls_files(easy, f);
    /* libcurl fills the store after the callback; with these it adds nothing to ours. */
    failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    failed |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    failed |= curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL);
    failed |= curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
    failed |= curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    failed |= curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
    failed |= curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, h);
    return failed;
}

/* A header must be one line: whatever a server or a user put in, it cannot become two. */
static bool is_line(const char *header)
{
    for (; *header; header++) {
        if ((unsigned char)*header < ' ' && *header != '\t')
            return false;
    }
    return true;
}

static bool has_header(const char *const *headers, const char *name)
{
    size_t n = strlen(name);

    for (; headers && *headers; headers++) {
        if (strncasecmp(*headers, name, n) == 0 && (*headers)[n] == ':')
            return true;
    }
    return false;
}

static bool add_line(struct wst__http *h, const char *line)
{
    struct curl_slist *more = curl_slist_append(h->headers, line);

    if (more)
        h->headers = more;
    return more != NULL;
}

/* libcurl drops "Name:" without a value, and sends "Name;" as such. */
static bool add_header(struct wst__http *h, const char *header)
{
    const char *colon = strchr(header, ':');
    char *empty;
    bool ok;

    if (!colon || colon[1 + strspn(colon + 1, " \t")] != '\0')
        return add_line(h, header);
    empty = wst__strndup(header, (size_t)(colon - header) + 1);
    if (!empty)
        return false;
    empty[colon - header] = ';';
    ok = add_line(h, empty);
    wst__free(empty);
    return ok;
}

/* The value of a "Cookie: value" header; NULL: another one. */
static const char *cookie_value(const char *header)
{
    static const char name[] = "Cookie:";

    if (strncasecmp(header, name, sizeof name - 1) != 0)
        return NULL;
    header += sizeof name - 1;
    return header + strspn(header, " \t");
}

/* The application's own, which libcurl puts behind those that were set, into one header. */
static int set_cookies(struct wst__http *h, const struct wst__http_request *rq)
{
    struct wst__buf own;
    int rc = 0;

    wst__buf_init(&own, SIZE_MAX / 2, true);
    for (const char *const *p = rq->headers; p && *p && rc == 0; p++) {
        const char *value = cookie_value(*p);

        if (!value || !*value)
            continue;
        if (own.len > 0)
            rc = wst__buf_adds(&own, "; ");
        if (rc == 0)
            rc = wst__buf_adds(&own, value);
    }
    if (rc == 0 && own.len > 0) {
        rc = wst__buf_add(&own, "", 1);
        if (rc == 0 &&
            curl_easy_setopt(h->transfer.easy, CURLOPT_COOKIE, (const char *)own.data) != CURLE_OK)
            rc = WST_ERR_NOMEM;
    }
    wst__buf_fini(&own);
    return rc;
}

static int set_headers(struct wst__http *h, const struct wst__http_request *rq)
{
    /* What libcurl would add by itself. */
    static const char *const unwanted[] = {"Accept", "Content-Type", "Expect"};

    for (const char *const *p = rq->headers; p && *p; p++) {
        if (!is_line(*p))
            return WST_ERR_INVALID;
        if (!cookie_value(*p) && !add_header(h, *p))
            return WST_ERR_NOMEM;
    }
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) {
        char line[32];

        (void)snprintf(line, sizeof line, "%s:", unwanted[i]);
        if (!has_header(rq->headers, unwanted[i]) && !add_line(h, line))
            return WST_ERR_NOMEM;
    }
    if (curl_easy_setopt(h->transfer.easy, CURLOPT_HTTPHEADER, h->headers) != CURLE_OK)
        return WST_ERR_NOMEM;
    return 0;
}

/* POST and PUT announce their length, also of nothing: some servers wait for it. */
static int set_method(struct wst__http *h, const struct wst__http_request *rq)
{
    CURL *easy = h->transfer.easy;
    bool post = strcmp(rq->method, "POST") == 0;
    bool has_body = rq->body || post || strcmp(rq->method, "PUT") == 0;
    unsigned failed = 0;

    if (rq->body && wst__buf_add(&h->out, rq->body, rq->body_len) != 0)
        return WST_ERR_NOMEM;
    if (has_body) {
        failed |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
        failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)h->out.len);
        failed |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                                   h->out.data ? (const char *)h->out.data : "");
    }
    if (strcmp(rq->method, "HEAD") == 0)
        failed |= curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (!post && (has_body || strcmp(rq->method, "GET") != 0))
        failed |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, rq->method);
    return failed ? WST_ERR_NOMEM : 0;
}

static int set_rest(struct wst__http *h, const struct wst__http_request *rq, const char *proxy)
{
    CURL *easy = h->transfer.easy;
    unsigned failed = 0;

    failed |= curl_easy_setopt(easy, CURLOPT_URL, rq->url);
    failed |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, h->error_text);
    failed |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    failed |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, h);
    failed |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    failed |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, h);
    /* Our headers are for the target: a proxy that is asked to CONNECT never sees them. */
    failed |= curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    if (h->net->share) {
        failed |= curl_easy_setopt(easy, CURLOPT_SHARE, h->net->share);
        failed |= curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
    }
    if (h->secure)
        failed |= set_tls(h);
    return failed ? WST_ERR_NOMEM : wst__net_apply(h->net, easy, proxy);
}

/* ---- Begin and end ------------------------------------------------------------------------- */

/* Host, port and scheme, for the choice of the proxy, the certificate's check and the words. */
static int read_url(struct wst__http *h, const char *url)
{
    CURLU *parts = curl_url();
    char *scheme = NULL;
    char *host = NULL;
    char *port = NULL;
    int rc = WST_ERR_INVALID;

    if (!parts)
        return WST_ERR_NOMEM;
    if (curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK) {
        size_t n = strlen(host);
        bool brackets = n > 2 && host[0] == '['; /* An IPv6 address. */

        h->secure = strcmp(scheme, "https") == 0;
        h->port = (uint16_t)strtoul(port, NULL, 10);
        (void)snprintf(h->host, sizeof h->host, "%.*s", (int)(brackets ? n - 2 : n),
                       host + (brackets ? 1 : 0));
        rc = h->secure || strcmp(scheme, "http") == 0 ? 0 : WST_ERR_INVALID;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return rc;
}

/* Ends it with |h->why|, from the loop. */
static void on_failed(void *arg)
{
    struct wst__http *h = arg;

    h->why.step = h->step;
    end(h, &h->why);
}

static void on_trust(void *arg, const struct wst_cause *why)
{
    struct wst__http *h = arg;
    int rc = why->code;

    h->why = *why;
    if (rc == 0) {
        rc = wst__transfer_start(&h->transfer);
        if (rc != 0)
            (void)wst__cause(&h->why, rc, h->step, "the request to %s could not begin", h->host);
    }
    if (rc != 0)
        on_failed(h);
}

static int begin(struct wst__http *h, const struct wst__http_request *rq)
{
    const char *proxy;
    int rc = read_url(h, rq->url);

    if (rc != 0)
        return rc;
    if (wst__proxies_choose(&h->net->proxies, h->secure, h->host, h->port, h->step, &proxy,
                            &h->why) != 0) {
        wst__turn_ask(&h->net->io->turns, &h->turn);
        return 0;
    }
    wst__proxy_name(proxy, h->proxy_name, sizeof h->proxy_name);
    h->through_http = wst__proxy_is_http(proxy);
    rc = wst__transfer_init(&h->transfer, h->net->multi);
    h->transfer.tls = h->secure;
    if (rc == 0)
        rc = set_headers(h, rq);
    if (rc == 0)
        rc = set_cookies(h, rq);
    if (rc == 0)
        rc = set_method(h, rq);
    if (rc == 0)
        rc = set_rest(h, rq, proxy);
    if (rc == 0 && (!h->secure || wst__trust_want(h->net->trust, &h->wait)))
        rc = wst__transfer_start(&h->transfer);
    return rc;
}

int wst__http_start(struct wst__net *net, const struct wst__http_request *rq,
                    const struct wst__http_cbs *cbs, void *arg, struct wst__http **out)
{
    struct wst__http *h = wst__calloc(1, sizeof *h);
    int rc;

    if (!h)
        return WST_ERR_NOMEM;
    h->net = net;
    h->step = rq->step;
    h->cbs = *cbs;
    h->arg = arg;
    h->max_header_bytes = rq->max_header_bytes;
    wst__buf_init(&h->out, SIZE_MAX / 2, true);
    wst__buf_init(&h->in, rq->max_body_bytes + 1, true);
    h->transfer.done = on_done;
    h->transfer.sent = cbs->sent ? on_sent : NULL;
    h->turn.cb = on_failed;
    h->wait.cb = on_trust;
    h->turn.arg = h->wait.arg = h;
    rc = begin(h, rq);
    if (rc != 0) {
        free_http(h);
        return rc;
    }
    *out = h;
    return 0;
}

bool wst__http_refusal(struct wst__http *h, struct wst_cause *why,
                       const struct wst__http_answer **answer)
{
    if (!is_refused(h))
        return false;
    take_answer(h, why);
    *answer = &h->answer;
    return true;
}

void wst__http_cancel(struct wst__http *h)
{
    free_http(h);
}
