/*
 * Endpoint URLs.  libcurl's URL API takes them apart, so that a host means the same here as in
 * steps 1 and 2; around it stands what libcurl lets pass and we do not: spaces, backslashes,
 * userinfo, fragments, a missing host, port 0.  The result is handed to libcurl again only as the
 * text that wst__url_http_text() makes, so that there is one reading of a URL and not two.
 */
#include "wire/url.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <locale.h>
#include <string.h>
#include <strings.h>

/* The longest name that DNS can hold (RFC 1035, 2.3.4), as text. */
#define MAX_HOST 253

struct scheme {
    const char *prefix;
    unsigned kind;
    bool tls;
};

static const struct scheme known_schemes[] = {
    {"https://", WST__URL_HTTP, true},
    {"http://", WST__URL_HTTP, false},
    {"wss://", WST__URL_WS, true},
    {"ws://", WST__URL_WS, false},
};

static int refuse(struct wst_cause *why, const char *field, const char *what)
{
    return wst__cause(why, WST_ERR_CONFIG, WST_STEP_NONE, "%.60s %s", field, what);
}

static int no_memory(struct wst_cause *why)
{
    return wst__cause(why, WST_ERR_NOMEM, WST_STEP_NONE, "out of memory");
}

static const struct scheme *find_scheme(const char *text, unsigned schemes)
{
    for (size_t i = 0; i < sizeof known_schemes / sizeof known_schemes[0]; i++) {
        const struct scheme *s = &known_schemes[i];

        if ((s->kind & schemes) && strncasecmp(text, s->prefix, strlen(s->prefix)) == 0)
            return s;
    }
    return NULL;
}

static const char *scheme_hint(unsigned schemes)
{
    if (schemes == WST__URL_HTTP)
        return "must begin with https:// (or http:// for loopback)";
    if (schemes == WST__URL_WS)
        return "must begin with wss:// (or ws:// for loopback)";
    return "must begin with https:// or wss:// (or http:// or ws:// for loopback)";
}

/* NULL when no byte of |text| is one that we never take, else what is wrong. */
static const char *bad_bytes(const char *text)
{
    size_t n = 0;

    for (const unsigned char *p = (const unsigned char *)text; *p; p++, n++) {
        if (*p <= 0x20 || *p == 0x7f)
            return "has a space or control character in it: encode it as %20 or leave it out";
        if (*p == '\\')
            return "has a backslash in it: write / or %5C";
        if (*p == '#')
            return "has a fragment: leave out the # and what follows (or write %23)";
        if (n == WST__URL_MAX)
            return "is longer than 8192 bytes";
    }
    return NULL;
}

/* NULL when |rest|, what follows "://", begins with an authority that we take. */
static const char *bad_authority(const char *rest)
{
    size_t n = strcspn(rest, "/?");

    if (n == 0)
        return "has no host";
    if (memchr(rest, '@', n))
        return "has a user name or password in it: leave out what stands before the @";
    return NULL;
}

static const char *curl_fault(CURLUcode rc)
{
    switch (rc) {
    case CURLUE_BAD_PORT_NUMBER:
        return "has a port that is not a number from 1 to 65535";
    case CURLUE_NO_HOST:
        return "has no host";
    default:
        return "has a host name that is not valid";
    }
}

/* Is the host of the authority that |s| begins with ASCII as it is written? */
static bool plain_host(const char *s)
{
    for (size_t n = strcspn(s, "/?"); n; n--, s++) {
        if ((unsigned char)*s >= 0x80 || *s == '%')
            return false;
    }
    return true;
}

/*
 * Is the last label a number?  Such a host can only be an IPv4 address (URL Standard, 3.5): what
 * looks like one and is none must not reach a resolver, which would read it in its own way.
 */
static bool ends_in_number(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *label = dot ? dot + 1 : host;

    if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return label[2 + strspn(label + 2, "0123456789abcdefABCDEF")] == '\0';
    return label[strspn(label, "0123456789")] == '\0';
}

static bool name_ok(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    size_t n = strlen(host);

    return n != 0 && n <= MAX_HOST && host[strspn(host, allowed)] == '\0' && host[0] != '.' &&
           !strstr(host, "..") && !ends_in_number(host);
}

static bool is_localhost(const char *host)
{
    static const char suffix[] = ".localhost"; /* RFC 6761, 6.3. */
    size_t n = strlen(host);

    return strcmp(host, suffix + 1) == 0 ||
           (n > sizeof suffix - 1 && strcmp(host + n - (sizeof suffix - 1), suffix) == 0);
}

static void lower(char *s)
{
    for (; *s; s++) {
        if (*s >= 'A' && *s <= 'Z')
            *s = (char)(*s - 'A' + 'a');
    }
}

/* Fills in |u|'s host from libcurl's |host|, whose buffer it may change.  CONFIG, NOMEM. */
static int set_host(struct wst__url *u, char *host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    struct in_addr v4;
    size_t n = strlen(host);

    if (n > 2 && host[0] == '[') {
        host[n - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &v6) != 1 || !inet_ntop(AF_INET6, &v6, text, sizeof text))
            return WST_ERR_CONFIG;
        u->is_ip = u->is_ipv6 = true;
        u->loopback = IN6_IS_ADDR_LOOPBACK(&v6);
        host = text;
    } else {
        lower(host);
        if (n > 1 && host[n - 1] == '.')
            host[n - 1] = '\0'; /* Certificates and the Host header know the name without it. */
        u->is_ip = inet_pton(AF_INET, host, &v4) == 1;
        if (!u->is_ip && !name_ok(host))
            return WST_ERR_CONFIG;
        u->loopback = u->is_ip ? ntohl(v4.s_addr) >> 24 == 127 : is_localhost(host);
    }
    u->host = wst__strdup(host);
    return u->host ? 0 : WST_ERR_NOMEM;
}

/* May the byte stand in a path or query as it is (RFC 3986, 3.3 and 3.4)? */
static bool stands(unsigned char c)
{
    return c < 0x80 && c > 0x20 && c != 0x7f && !strchr("\"<>[\\]^`{|}", c);
}

static int add_escaped(struct wst__buf *b, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    const char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};

    return wst__buf_add(b, escaped, sizeof escaped);
}

/* A copy of a path or query with everything encoded that must be; NULL when out of memory. */
static char *encode_part(const char *part)
{
    struct wst__buf b;
    int rc = 0;

    wst__buf_init(&b, 3 * WST__URL_MAX + 1, true);
    for (const unsigned char *p = (const unsigned char *)part; *p && rc == 0; p++)
        rc = stands(*p) ? wst__buf_add(&b, p, 1) : add_escaped(&b, *p);
    if (rc == 0)
        rc = wst__buf_add(&b, "", 1);
    if (rc != 0) {
        wst__buf_fini(&b);
        return NULL;
    }
    return (char *)b.data;
}

/* libcurl's copy of a path or query goes back wiped. */
static void drop_part(char *part)
{
    if (part)
        wst__wipe(part, strlen(part));
    curl_free(part);
}

/* A zone (RFC 6874) has no place in struct wst__url, and none in a certificate. */
static int refuse_zone(CURLU *h, const char *field, struct wst_cause *why)
{
    char *zone = NULL;
    CURLUcode rc = curl_url_get(h, CURLUPART_ZONEID, &zone, 0);

    curl_free(zone);
    if (rc == CURLUE_OK)
        return refuse(why, field, "has an IPv6 zone in it: leave out the % and what follows");
    return rc == CURLUE_OUT_OF_MEMORY ? no_memory(why) : 0;
}

static int read_host(struct wst__url *u, CURLU *h, const char *field, struct wst_cause *why)
{
    char *host = NULL;
    int rc = refuse_zone(h, field, why);

    if (rc != 0)
        return rc;
    if (curl_url_get(h, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return no_memory(why);
    rc = set_host(u, host);
    curl_free(host);
    if (rc == WST_ERR_NOMEM)
        return no_memory(why);
    return rc == 0 ? 0 : refuse(why, field, "has a host name that is not valid");
}

static int read_port(struct wst__url *u, CURLU *h, const char *field, struct wst_cause *why)
{
    char *text = NULL;
    unsigned port = 0;
    CURLUcode rc = curl_url_get(h, CURLUPART_PORT, &text, 0);

    if (rc == CURLUE_OUT_OF_MEMORY)
        return no_memory(why);
    if (rc != CURLUE_OK) {
        u->port = u->tls ? 443 : 80;
        return 0;
    }
    for (const char *p = text; *p && port <= 65535; p++)
        port = port * 10 + (unsigned)(*p - '0');
    curl_free(text);
    if (port == 0 || port > 65535)
        return refuse(why, field, curl_fault(CURLUE_BAD_PORT_NUMBER));
    u->port = (uint16_t)port;
    return 0;
}

static int read_path(struct wst__url *u, CURLU *h, struct wst_cause *why)
{
    char *path = NULL;
    char *query = NULL;
    CURLUcode rc;
    bool ok;

    if (curl_url_get(h, CURLUPART_PATH, &path, 0) != CURLUE_OK)
        return no_memory(why);
    u->path = encode_part(path);
    drop_part(path);
    rc = curl_url_get(h, CURLUPART_QUERY, &query, 0);
    ok = u->path && rc != CURLUE_OUT_OF_MEMORY;
    if (ok && rc == CURLUE_OK && *query) {
        u->query = encode_part(query);
        ok = u->query != NULL;
    }
    drop_part(query);
    return ok ? 0 : no_memory(why);
}

static int read_parts(struct wst__url *u, CURLU *h, const char *field, struct wst_cause *why)
{
    int rc = read_host(u, h, field, why);

    if (rc == 0)
        rc = read_port(u, h, field, why);
    if (rc == 0)
        rc = read_path(u, h, why);
    return rc;
}

static int load(CURLU *h, const char *text, const char *field, struct wst_cause *why)
{
    /* Debian's libcurl knows no ws and wss by itself; the scheme has been checked. */
    CURLUcode rc = curl_url_set(h, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);

    if (rc == CURLUE_OUT_OF_MEMORY)
        return no_memory(why);
    return rc == CURLUE_OK ? 0 : refuse(why, field, curl_fault(rc));
}

/*
 * The whole URL with an A-label for an internationalised host.  libcurl hands the name to libidn2
 * in the encoding of the locale, which in a program that never called setlocale() is ASCII; ours
 * is always UTF-8, so the thread borrows such a locale for the call.  The whole URL, because
 * libcurl 7.88 leaks the host when it is asked for that alone and cannot convert it.
 */
static char *with_ascii_host(CURLU *h)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    char *text = NULL;

    if (curl_url_get(h, CURLUPART_URL, &text, CURLU_PUNYCODE) != CURLUE_OK)
        text = NULL;
    if (utf8) {
        (void)uselocale(before);
        freelocale(utf8);
    }
    return text;
}

/* libcurl 7.88 calls every failure of the conversion "out of memory", so we cannot tell either. */
static int reload_ascii(CURLU *h, const char *field, struct wst_cause *why)
{
    char *text = with_ascii_host(h);
    int rc;

    if (!text)
        return refuse(why, field,
                      "has a host name that cannot be made ASCII (no valid international name, or "
                      "libcurl without IDN): write it in its xn-- form");
    rc = load(h, text, field, why);
    drop_part(text);
    return rc;
}

static int take_apart(struct wst__url *u, const char *text, bool plain, const char *field,
                      struct wst_cause *why)
{
    CURLU *h = curl_url();
    int rc = h ? load(h, text, field, why) : no_memory(why);

    if (rc == 0 && !plain)
        rc = reload_ascii(h, field, why);
    if (rc == 0)
        rc = read_parts(u, h, field, why);
    curl_url_cleanup(h);
    return rc;
}

int wst__url_parse(struct wst__url *u, const char *text, unsigned schemes, const char *field,
                   struct wst_cause *why)
{
    const struct scheme *s = find_scheme(text, schemes);
    const char *rest;
    const char *fault;
    int rc;

    memset(u, 0, sizeof *u);
    if (!s)
        return refuse(why, field, *text ? scheme_hint(schemes) : "is empty");
    rest = text + strlen(s->prefix);
    fault = bad_bytes(text);
    if (!fault)
        fault = bad_authority(rest);
    if (fault)
        return refuse(why, field, fault);
    u->tls = s->tls;
    rc = take_apart(u, text, plain_host(rest), field, why);
    if (rc != 0)
        wst__url_fini(u);
    return rc;
}

static void drop_text(char *s)
{
    if (s)
        wst__wipe(s, strlen(s));
    wst__free(s);
}

void wst__url_fini(struct wst__url *u)
{
    wst__free(u->host);
    drop_text(u->path);
    drop_text(u->query);
    memset(u, 0, sizeof *u);
}

static int add_host(const struct wst__url *u, struct wst__buf *out)
{
    return u->is_ipv6 ? wst__buf_addf(out, "[%s]", u->host) : wst__buf_adds(out, u->host);
}

int wst__url_origin(const struct wst__url *u, struct wst__buf *out)
{
    int rc = wst__buf_adds(out, u->tls ? "https://" : "http://");

    if (rc == 0)
        rc = add_host(u, out);
    return rc == 0 ? wst__buf_addf(out, ":%u", (unsigned)u->port) : rc;
}

int wst__url_host_header(const struct wst__url *u, struct wst__buf *out)
{
    int rc = add_host(u, out);

    if (rc == 0 && u->port != (u->tls ? 443 : 80))
        rc = wst__buf_addf(out, ":%u", (unsigned)u->port);
    return rc;
}

int wst__url_http_text(const struct wst__url *u, struct wst__buf *out)
{
    int rc = wst__buf_adds(out, u->tls ? "https://" : "http://");

    if (rc == 0)
        rc = wst__url_host_header(u, out);
    if (rc == 0)
        rc = wst__buf_adds(out, u->path);
    if (rc == 0 && u->query)
        rc = wst__buf_adds(out, "?");
    return rc == 0 && u->query ? wst__buf_adds(out, u->query) : rc;
}

/* |prefix|, without a slash at its end, and |suffix| in one new string; NULL when out of memory. */
static char *join(const char *prefix, const char *suffix)
{
    size_t n = strlen(prefix);
    size_t m = strlen(suffix) + 1;
    char *path;

    while (n && prefix[n - 1] == '/')
        n--;
    path = wst__malloc(n + m);
    if (!path)
        return NULL;
    memcpy(path, prefix, n);
    memcpy(path + n, suffix, m);
    return path;
}

int wst__url_derive(struct wst__url *out, const struct wst__url *base, bool base_is_ws,
                    const char *suffix, bool ws)
{
    bool itself = base_is_ws && ws; /* Step 3 of a ws base: its own query stays. */
    bool keep_path = itself && strcmp(base->path, "/") != 0;

    memset(out, 0, sizeof *out);
    if (!base_is_ws && base->query)
        return WST_ERR_CONFIG;
    *out = *base;
    out->host = wst__strdup(base->host);
    out->path = keep_path ? wst__strdup(base->path) : join(base_is_ws ? "" : base->path, suffix);
    out->query = itself ? wst__strdup(base->query) : NULL;
    if (!out->host || !out->path || (itself && base->query && !out->query)) {
        wst__url_fini(out);
        return WST_ERR_NOMEM;
    }
    return 0;
}

int wst__url_encode(struct wst__buf *out, const void *bytes, size_t n)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-_.!~*'()";
    const unsigned char *p = bytes;
    size_t start = out->len;
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = p[i] && strchr(plain, p[i]) ? wst__buf_add(out, p + i, 1) : add_escaped(out, p[i]);
    if (rc != 0)
        out->len = start;
    return rc;
}
