/*
 * What the head of the answer says: of a 101 whether it keeps to what we asked for (RFC 6455, 4.1),
 * of a refusal what the report needs.  Nothing that the server wrote is repeated in a text, but for
 * a host it redirects to and the scheme and error of WWW-Authenticate: it may echo the ticket.
 */
#include "wire/upgrade_internal.h"

#include "wire/date.h"
#include "wire/field.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DAY_S 86400

static int bad(struct wst__upgrade *u, const char *what)
{
    return wst__cause(&u->cause, WST_ERR_BAD_UPGRADE, WST_STEP_CONNECT,
                      "the answer to the WebSocket upgrade %s", what);
}

/* RFC 9112, 4: "HTTP/1.1 101 Switching Protocols". */
int wst__upgrade_status(struct wst__upgrade *u, const char *line, size_t n)
{
    static const char pattern[] = "HTTP/1.v ddd";
    int status = 0;

    if (n < sizeof pattern - 1 || (n > sizeof pattern - 1 && line[12] != ' ') ||
        memcmp(line, pattern, 7) != 0 || (line[7] != '0' && line[7] != '1') || line[8] != ' ')
        return bad(u, "has a status line that is not HTTP/1.1's");
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return bad(u, "has a status that is not a number");
        status = status * 10 + (line[i] - '0');
    }
    if (status < 100 || !wst__is_field_text(line, n))
        return bad(u, "has a status line that is not HTTP/1.1's");
    u->status = status;
    u->http10 = line[7] == '0';
    return 0;
}

/* The fields of the head, as text; every line has been checked when it came. */
static struct wst__span fields(const struct wst__upgrade *u)
{
    const char *s = (const char *)u->head.data;
    const char *end = memchr(s, '\n', u->head.len);
    struct wst__span rest = {end + 1, u->head.len - (size_t)(end + 1 - s)};

    return rest;
}

static bool next_field(struct wst__span *rest, struct wst__field *f)
{
    const char *end = memchr(rest->s, '\n', rest->n);
    size_t n = end ? (size_t)(end - rest->s) + 1 : 0;

    if (n <= 2 || !wst__field_take(rest->s, n - 2, f))
        return false; /* The empty line. */
    rest->s += n;
    rest->n -= n;
    return true;
}

/* The value of the first field called |name|; how many there are. */
static unsigned find(const struct wst__upgrade *u, const char *name, struct wst__span *value)
{
    struct wst__span rest = fields(u);
    struct wst__field f;
    unsigned count = 0;

    while (next_field(&rest, &f)) {
        if (wst__field_is(&f, name) && count++ == 0)
            *value = f.value;
    }
    return count;
}

/* Is |token| an element of the lists in all fields called |name|? */
static bool lists(const struct wst__upgrade *u, const char *name, const char *token)
{
    struct wst__span rest = fields(u);
    struct wst__span element;
    struct wst__field f;

    while (next_field(&rest, &f)) {
        if (!wst__field_is(&f, name))
            continue;
        while (wst__list_next(&f.value, &element)) {
            if (wst__span_is_nocase(element, token))
                return true;
        }
    }
    return false;
}

static int check_accept(struct wst__upgrade *u)
{
    struct wst__span value;
    unsigned count = find(u, "Sec-WebSocket-Accept", &value);

    if (count != 1)
        return bad(u, count ? "has more than one Sec-WebSocket-Accept header"
                            : "has no Sec-WebSocket-Accept header");
    if (!wst__span_is(value, u->accept))
        return bad(u, "has a Sec-WebSocket-Accept header that does not fit our key");
    return 0;
}

static bool offered_subprotocol(const struct wst__upgrade *u, struct wst__span name)
{
    const char *s = (const char *)u->offered.data;

    for (size_t i = 0; i < u->offered.len; i += strlen(s + i) + 1) {
        if (wst__span_is(name, s + i))
            return true;
    }
    return false;
}

static int check_subprotocol(struct wst__upgrade *u)
{
    struct wst__span value;
    unsigned count = find(u, "Sec-WebSocket-Protocol", &value);

    if (count == 0)
        return 0; /* RFC 6455, 4.2.2: the server may choose none. */
    if (count > 1)
        return bad(u, "has more than one Sec-WebSocket-Protocol header");
    if (wst__upgrade_is_ticket(u, value.s, value.n))
        return 0;
    if (!offered_subprotocol(u, value))
        return bad(u, "has a Sec-WebSocket-Protocol header that names none of those we offered");
    if (value.n >= sizeof u->subprotocol)
        return bad(u, "has a Sec-WebSocket-Protocol header of more than 127 bytes");
    memcpy(u->subprotocol, value.s, value.n);
    return 0;
}

/* The name of an extension, which stands before its parameters (RFC 6455, 9.1). */
static struct wst__span extension_name(struct wst__span element)
{
    const char *end = memchr(element.s, ';', element.n);

    if (end)
        element.n = (size_t)(end - element.s);
    while (element.n && (element.s[element.n - 1] == ' ' || element.s[element.n - 1] == '\t'))
        element.n--;
    return element;
}

static bool offered_extension(const struct wst__upgrade *u, struct wst__span element)
{
    const char *offer = u->offered_extensions ? u->offered_extensions : "";
    struct wst__span rest = {offer, strlen(offer)};
    struct wst__span name = extension_name(element);
    struct wst__span offered;

    while (wst__list_next(&rest, &offered)) {
        offered = extension_name(offered);
        if (offered.n == name.n && strncasecmp(offered.s, name.s, name.n) == 0)
            return true;
    }
    return false;
}

static int add_extension(struct wst__upgrade *u, struct wst__span element)
{
    size_t n = strlen(u->extensions);
    size_t between = n ? 2 : 0;

    if (!offered_extension(u, element))
        return bad(u, "has a Sec-WebSocket-Extensions header that names one we did not offer");
    if (n + between + element.n >= sizeof u->extensions)
        return bad(u, "has Sec-WebSocket-Extensions of more than 255 bytes");
    memcpy(u->extensions + n, ", ", between);
    memcpy(u->extensions + n + between, element.s, element.n);
    return 0;
}

static int check_extensions(struct wst__upgrade *u)
{
    struct wst__span rest = fields(u);
    struct wst__span element;
    struct wst__field f;
    int rc = 0;

    while (rc == 0 && next_field(&rest, &f)) {
        if (!wst__field_is(&f, "Sec-WebSocket-Extensions"))
            continue;
        while (rc == 0 && wst__list_next(&f.value, &element))
            rc = add_extension(u, element);
    }
    return rc;
}

/*
 * Content-Length and Transfer-Encoding are not looked at: a 101 has no body, whatever they say
 * (RFC 9112, 6.3).
 */
int wst__upgrade_check(struct wst__upgrade *u)
{
    int rc;

    if (u->http10)
        return bad(u, "is a 101 in HTTP/1.0");
    if (!lists(u, "Upgrade", "websocket"))
        return bad(u, "has no Upgrade: websocket header");
    if (!lists(u, "Connection", "upgrade"))
        return bad(u, "has no Connection: Upgrade header");
    rc = check_accept(u);
    if (rc == 0)
        rc = check_subprotocol(u);
    return rc == 0 ? check_extensions(u) : rc;
}

/* Digits only; what is larger than |max| counts as |max|. */
static bool decimal(struct wst__span v, uint64_t max, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < v.n; i++) {
        if (v.s[i] < '0' || v.s[i] > '9')
            return false;
        *value = *value * 10 + (uint64_t)(v.s[i] - '0');
        if (*value > max)
            *value = max;
    }
    return v.n != 0;
}

/* The server's own time, as far as it tells it; else ours.  False: there is neither. */
static bool time_there(const struct wst__upgrade *u, int64_t *now)
{
    struct wst__span date;

    if (find(u, "Date", &date) != 0 && wst__date_http(date.s, date.n, now))
        return true;
    *now = u->wall_s;
    return *now != 0;
}

/* RFC 9110, 10.2.3: seconds, or a date. */
static void note_retry_after(struct wst__upgrade *u)
{
    struct wst__span value;
    uint64_t seconds;
    int64_t then;
    int64_t now;

    if (find(u, "Retry-After", &value) == 0)
        return;
    if (!decimal(value, DAY_S, &seconds)) {
        if (!wst__date_http(value.s, value.n, &then) || !time_there(u, &now))
            return;
        seconds = then <= now ? 0 : then - now > DAY_S ? DAY_S : (uint64_t)(then - now);
    }
    u->has_retry_after = true;
    u->retry_after_ms = seconds * 1000;
}

/* How many bytes come before the first of |any|; all of them when there is none. */
static size_t before(struct wst__span v, const char *any)
{
    size_t n = 0;

    while (n < v.n && !strchr(any, v.s[n]))
        n++;
    return n;
}

static struct wst__span skip(struct wst__span v, size_t n)
{
    v.s += n;
    v.n -= n;
    return v;
}

/* The authority of a URL reference (RFC 3986, 4.2) without its userinfo; empty when it has none. */
static struct wst__span authority(struct wst__span v)
{
    struct wst__span host;

    v = skip(v, before(v, "/?#"));
    if (v.n < 2 || v.s[0] != '/' || v.s[1] != '/')
        return skip(v, v.n);
    v = skip(v, 2);
    v.n = before(v, "/?#\\");
    for (host = v; v.n; v = skip(v, 1)) {
        if (*v.s == '@')
            host = skip(v, 1);
    }
    return host;
}

/* The host that Location points to, without its port; "" when it names none. */
static void note_location(struct wst__upgrade *u)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_:[]";
    struct wst__span host;

    if (find(u, "Location", &host) == 0)
        return;
    host = authority(host);
    if (host.n && host.s[0] != '[')
        host.n = before(host, ":");
    for (size_t i = 0; i < host.n; i++) {
        if (!strchr(allowed, host.s[i]))
            return;
    }
    if (host.n < sizeof u->location_host)
        memcpy(u->location_host, host.s, host.n);
}

/* How many letters, '_' and '-' |s| begins with: enough for schemes and error codes, and few
 * tickets look so. */
static size_t word(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n && ((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_' ||
                     s[i] == '-'))
        i++;
    return i;
}

/* RFC 6750, 3: Bearer realm="x", error="invalid_token".  Kept: Bearer error="invalid_token". */
static void note_authenticate(struct wst__upgrade *u)
{
    static const char param[] = "error=\"";
    const size_t param_len = sizeof param - 1;
    struct wst__span v;
    size_t scheme;

    if (find(u, "WWW-Authenticate", &v) == 0)
        return;
    scheme = word(v.s, v.n);
    if (scheme == 0 || scheme > 32 || (scheme < v.n && v.s[scheme] != ' '))
        return;
    (void)snprintf(u->www_authenticate, sizeof u->www_authenticate, "%.*s", (int)scheme, v.s);
    for (size_t i = scheme; i + param_len < v.n; i++) {
        const char *code = v.s + i + 1 + param_len;
        size_t left = v.n - i - 1 - param_len;
        size_t n;

        if (!strchr(" ,\t", v.s[i]) || strncasecmp(v.s + i + 1, param, param_len) != 0)
            continue;
        n = word(code, left);
        if (n && n <= 64 && n < left && code[n] == '"')
            (void)snprintf(u->www_authenticate, sizeof u->www_authenticate, "%.*s error=\"%.*s\"",
                           (int)scheme, v.s, (int)n, code);
        return;
    }
}

/* All lengths that are announced must be the same (RFC 9112, 6.3). */
static enum wst__body_end read_length(struct wst__upgrade *u)
{
    struct wst__span rest = fields(u);
    struct wst__span element;
    struct wst__field f;
    bool known = false;
    uint64_t n;

    while (next_field(&rest, &f)) {
        if (!wst__field_is(&f, "Content-Length"))
            continue;
        while (wst__list_next(&f.value, &element)) {
            if (!decimal(element, UINT64_MAX / 16, &n) || (known && n != u->body_left))
                return WST__BODY_NONE;
            u->body_left = n;
            known = true;
        }
    }
    return known ? WST__BODY_LENGTH : WST__BODY_EOF;
}

static enum wst__body_end body_end(struct wst__upgrade *u)
{
    struct wst__span value;
    unsigned codings = find(u, "Transfer-Encoding", &value);

    if (u->status == 204 || u->status == 304)
        return WST__BODY_NONE;
    if (codings == 0)
        return read_length(u);
    /* RFC 9112, 6.1: HTTP/1.0 knows no codings, and we know no other. */
    if (u->http10 || codings > 1 || !wst__span_is_nocase(value, "chunked"))
        return WST__BODY_NONE;
    return WST__BODY_CHUNKED;
}

enum wst__body_end wst__upgrade_note_refusal(struct wst__upgrade *u)
{
    note_retry_after(u);
    if (u->status >= 300 && u->status < 400)
        note_location(u);
    note_authenticate(u);
    return body_end(u);
}

int wst__upgrade_refused(struct wst__upgrade *u)
{
    const char *auth = u->www_authenticate;

    if (u->status >= 300 && u->status < 400 && u->location_host[0])
        return wst__cause(&u->cause, WST_ERR_REDIRECTED, WST_STEP_CONNECT,
                          "redirected to %.160s: not followed (status %d)", u->location_host,
                          u->status);
    if (u->status >= 300 && u->status < 400)
        return wst__cause(&u->cause, WST_ERR_REDIRECTED, WST_STEP_CONNECT,
                          "redirected (no other host is named): not followed (status %d)",
                          u->status);
    if (u->status < 300)
        return wst__cause(
            &u->cause, WST_ERR_UPGRADE_REFUSED, WST_STEP_CONNECT,
            "the server answered the WebSocket upgrade with status %d instead of 101: "
            "is it a WebSocket endpoint?",
            u->status);
    return wst__cause(&u->cause, WST_ERR_UPGRADE_REFUSED, WST_STEP_CONNECT,
                      "the server refused the WebSocket upgrade with status %d%s%s%s%s", u->status,
                      *auth ? " (" : "", auth, *auth ? ")" : "",
                      u->status == 404   ? "; check ws_url"
                      : u->status == 405 ? "; is this a WebSocket endpoint?"
                                         : "");
}
