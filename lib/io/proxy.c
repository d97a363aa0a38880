/*
 * The choice of a proxy.  libcurl would choose by the scheme of the URL that it is given, and the
 * dial of step 3 gives it an http:// URL whatever the target is: it would take http_proxy for a
 * wss target.  So the choice is made here, and libcurl is told its result.
 *
 * Of the environment, as everywhere: https_proxy, HTTPS_PROXY, then all_proxy, ALL_PROXY for https
 * and wss; http_proxy (lower case only: in a CGI program HTTP_PROXY is a header of the request),
 * then all_proxy, ALL_PROXY for http and ws; no_proxy, NO_PROXY for the exceptions.
 */
#include "io/proxy.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* HOST:PORT of a host as long as DNS allows (RFC 1035, 2.3.4); texts have room for less. */
enum { NAME_SIZE = 253 + sizeof ":65535" };

/* The first variable of the list that is set; an empty one counts as not set, as in libcurl. */
static const char *first_of(const char *(*env)(const char *name), const char *const *names)
{
    for (; *names; names++) {
        const char *value = env(*names);

        if (value && *value)
            return value;
    }
    return NULL;
}

static void drop(char **s)
{
    if (*s)
        wst__wipe(*s, strlen(*s));
    wst__free(*s);
    *s = NULL;
}

static bool scheme_is(const char *url, const char *scheme)
{
    size_t n = strlen(scheme);

    return strncasecmp(url, scheme, n) == 0 && strncmp(url + n, "://", 3) == 0;
}

static bool known_scheme(const char *url)
{
    static const char *const schemes[] = {"http", "socks4", "socks4a", "socks5", "socks5h"};

    if (!strstr(url, "://"))
        return true; /* As everywhere: HOST:PORT means http. */
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (scheme_is(url, schemes[i]))
            return true;
    }
    return false;
}

/* HOST, HOST:PORT, as wst__proxy_name() gives it; no IPv6 address without brackets. */
static bool is_place(const char *name)
{
    const char *end = *name == '[' ? strchr(name, ']') : name + strcspn(name, ":");
    size_t digits;

    if (!end || end == name)
        return false;
    end += *end == ']';
    if (*end == '\0')
        return true;
    digits = strspn(end + 1, "0123456789");
    return *end == ':' && digits > 0 && digits <= 5 && end[1 + digits] == '\0' &&
           strtoul(end + 1, NULL, 10) - 1 < 65535;
}

/* Refuses by name what cannot serve all three steps. */
static int check(const char *url, int code, enum wst_step step, struct wst_cause *why)
{
    char name[NAME_SIZE];

    wst__proxy_name(url, name, sizeof name);
    if (known_scheme(url) && (is_place(name) || !*url || *name == '('))
        return 0;
    if (known_scheme(url))
        return wst__cause(
            why, code, step,
            "proxy: \"%.120s\" is no place of a proxy; it must be HOST:PORT, with a port "
            "from 1 to 65535",
            name);
    if (scheme_is(url, "https"))
        return wst__cause(why, code, step,
                          "proxy: the https:// proxy %.120s cannot carry the WebSocket; "
                          "use an http:// or socks5h:// one",
                          name);
    return wst__cause(
        why, code, step,
        "proxy: the proxy %.120s has an unknown scheme; http, socks4, socks4a, socks5 "
        "and socks5h are known",
        name);
}

/* Copies, also NULL; false when out of memory. */
static bool copy(char **to, const char *from)
{
    *to = wst__strdup(from);
    return *to || !from;
}

int wst__proxies_init(struct wst__proxies *p, const char *proxy, const char *no_proxy,
                      const char *(*env)(const char *name), struct wst_cause *why)
{
    static const char *const for_secure[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                             NULL};
    static const char *const for_plain[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const exceptions[] = {"no_proxy", "NO_PROXY", NULL};
    int rc = 0;

    memset(p, 0, sizeof *p);
    if (proxy)
        rc = check(proxy, WST_ERR_CONFIG, WST_STEP_NONE, why);
    if (rc != 0)
        return rc;
    if (!copy(&p->secure, proxy ? proxy : first_of(env, for_secure)) ||
        !copy(&p->plain, proxy ? proxy : first_of(env, for_plain)) ||
        !copy(&p->no_proxy, no_proxy ? no_proxy : first_of(env, exceptions))) {
        wst__proxies_fini(p);
        return wst__cause(why, WST_ERR_NOMEM, WST_STEP_NONE, "out of memory");
    }
    return 0;
}

void wst__proxies_fini(struct wst__proxies *p)
{
    drop(&p->secure);
    drop(&p->plain);
    drop(&p->no_proxy);
}

bool wst__proxies_equal(const struct wst__proxies *a, const struct wst__proxies *b)
{
    return wst__same_text(a->secure, b->secure) && wst__same_text(a->plain, b->plain) &&
           wst__same_text(a->no_proxy, b->no_proxy) && a->allow_plaintext == b->allow_plaintext;
}

/* ---- What stays on this machine ------------------------------------------------------------ */

/* An address as bytes; 0: |text| is none. */
static size_t address(const char *text, size_t n, uint8_t out[16])
{
    char copy_of[64];

    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n == 0 || n >= sizeof copy_of)
        return 0;
    memcpy(copy_of, text, n);
    copy_of[n] = '\0';
    if (inet_pton(AF_INET, copy_of, out) == 1)
        return 4;
    return inet_pton(AF_INET6, copy_of, out) == 1 ? 16 : 0;
}

/* As wire/url.c has it, and as libcurl resolves names: RFC 6761, 6.3. */
static bool is_loopback(const char *host, size_t n)
{
    static const char name[] = "localhost";
    static const uint8_t one[16] = {[15] = 1}; /* ::1 */
    const size_t name_len = sizeof name - 1;
    uint8_t addr[16];
    size_t addr_len = address(host, n, addr);

    if (addr_len == 4)
        return addr[0] == 127;
    if (addr_len == 16)
        return memcmp(addr, one, sizeof one) == 0;
    if (n < name_len || strncasecmp(host + n - name_len, name, name_len) != 0)
        return false;
    return n == name_len || host[n - name_len - 1] == '.';
}

/* The same of a proxy's host. */
static bool proxy_is_loopback(const char *url)
{
    char name[NAME_SIZE];

    wst__proxy_name(url, name, sizeof name);
    return is_loopback(name, *name == '[' ? strcspn(name, "]") + 1 : strcspn(name, ":"));
}

int wst__proxies_choose(const struct wst__proxies *p, bool secure, const char *host, uint16_t port,
                        enum wst_step step, const char **url, struct wst_cause *why)
{
    const char *proxy = secure ? p->secure : p->plain;

    *url = "";
    if (!proxy || !*proxy || (p->no_proxy && wst__no_proxy_match(p->no_proxy, host, port)))
        return 0;
    if (!secure && !p->allow_plaintext && is_loopback(host, strlen(host)) &&
        !proxy_is_loopback(proxy))
        return 0;
    *url = proxy;
    return check(proxy, WST_ERR_PROXY, step, why);
}

void wst__proxy_name(const char *url, char *out, size_t size)
{
    const char *start = strstr(url, "://");
    const char *end;
    const char *at;

    start = start ? start + 3 : url;
    end = start + strcspn(start, "/?#");
    /* The last @ before the path ends the credentials; a password may hold others. */
    for (at = end; at > start; at--) {
        if (at[-1] == '@')
            break;
    }
    /* A password may hold a slash, too: then an @ stands behind what looks like the end. */
    if (strchr(end, '@')) {
        (void)snprintf(out, size, "(with an unencoded password)");
        return;
    }
    (void)snprintf(out, size, "%.*s", (int)(end - at), at);
}

bool wst__proxy_is_http(const char *url)
{
    return *url && (!strstr(url, "://") || scheme_is(url, "http"));
}

/* ---- no_proxy ------------------------------------------------------------------------------ */

static bool same_bits(const uint8_t *a, const uint8_t *b, size_t bits)
{
    size_t bytes = bits / 8;
    size_t rest = bits % 8;

    if (memcmp(a, b, bytes) != 0)
        return false;
    return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

/* ADDRESS or ADDRESS/BITS, for a host that is an address. */
static bool match_address(const char *entry, size_t n, const uint8_t *host, size_t host_len)
{
    const char *slash = memchr(entry, '/', n);
    size_t addr_len = slash ? (size_t)(slash - entry) : n;
    uint8_t addr[16];
    unsigned long bits = host_len * 8;

    if (address(entry, addr_len, addr) != host_len)
        return false;
    if (slash) {
        char *end;

        if (!isdigit((unsigned char)slash[1]))
            return false;
        bits = strtoul(slash + 1, &end, 10);
        if (end != entry + n || bits > host_len * 8)
            return false;
    }
    return same_bits(addr, host, bits);
}

/* A name matches itself and everything below it; a leading dot or "*." changes nothing. */
static bool match_name(const char *entry, size_t n, const char *host, size_t host_len)
{
    if (n >= 2 && entry[0] == '*' && entry[1] == '.') {
        entry++;
        n--;
    }
    while (n > 0 && entry[0] == '.') {
        entry++;
        n--;
    }
    if (n > 0 && entry[n - 1] == '.')
        n--;
    if (n == 0 || n > host_len || strncasecmp(host + host_len - n, entry, n) != 0)
        return false;
    return n == host_len || host[host_len - n - 1] == '.';
}

/* Cuts a ":PORT" off the entry; false: it is there and another one. */
static bool match_port(const char *entry, size_t *n, uint16_t port)
{
    const char *colon = NULL;
    unsigned long wanted = 0;

    for (size_t i = 0; i < *n; i++) {
        if (entry[i] == ':') {
            if (colon && entry[0] != '[')
                return true; /* Two colons: an IPv6 address. */
            colon = entry + i;
        }
    }
    if (!colon || colon + 1 == entry + *n || (entry[0] == '[' && colon[-1] != ']'))
        return true;
    for (const char *p = colon + 1; p < entry + *n; p++) {
        if (!isdigit((unsigned char)*p) || wanted > 65535)
            return true;
        wanted = wanted * 10 + (unsigned long)(*p - '0');
    }
    *n = (size_t)(colon - entry);
    return wanted == port;
}

bool wst__no_proxy_match(const char *list, const char *host, uint16_t port)
{
    size_t host_len = strlen(host);
    uint8_t addr[16];
    size_t addr_len = address(host, host_len, addr);

    if (addr_len == 0 && host_len > 1 && host[host_len - 1] == '.')
        host_len--; /* A name with its final dot is the same name. */
    while (*list) {
        size_t n;

        list += strspn(list, ", \t");
        n = strcspn(list, ", \t");
        if (n == 1 && *list == '*')
            return true;
        if (n > 0) {
            size_t name_len = n;

            if (match_port(list, &name_len, port) &&
                (addr_len ? match_address(list, name_len, addr, addr_len)
                          : match_name(list, name_len, host, host_len)))
                return true;
        }
        list += n;
    }
    return false;
}
