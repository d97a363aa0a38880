/* Any bytes as a URL: what is taken means the same when it is written and read again. */
#include "fuzz.h"
#include "wire/url.h"

#include <string.h>

static int same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check(const struct wst__url *u)
{
    struct wst__buf b;
    struct wst__url again;
    struct wst_cause why;

    wst__buf_init(&b, 65536, true);
    MUST(wst__url_origin(u, &b) == 0);
    b.len = 0;
    MUST(wst__url_http_text(u, &b) == 0);
    MUST(wst__buf_add(&b, "", 1) == 0);
    /* Encoding makes it longer than what is taken, perhaps. */
    if (b.len <= WST__URL_MAX) {
        MUST(wst__url_parse(&again, (char *)b.data, WST__URL_HTTP, "url", &why) == 0);
        MUST(same_text(u->host, again.host) && same_text(u->query, again.query));
        MUST(same_text(u->path, again.path));
        MUST(u->tls == again.tls && u->port == again.port && u->is_ip == again.is_ip);
        MUST(u->is_ipv6 == again.is_ipv6 && u->loopback == again.loopback);
        wst__url_fini(&again);
    }
    wst__buf_fini(&b);
    MUST(u->port != 0 && u->path[0] == '/' && !strpbrk(u->path, " \r\n?#"));
    MUST(!u->query || !strpbrk(u->query, " \r\n#"));
    MUST(!strpbrk(u->host, " \r\n/?#@[]"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct wst_cause why;
    struct wst__url u;

    MUST(text);
    memcpy(text, data, size);
    text[size] = '\0';
    if (wst__url_parse(&u, text, WST__URL_HTTP | WST__URL_WS, "url", &why) == 0) {
        check(&u);
        wst__url_fini(&u);
    } else {
        MUST(why.code == WST_ERR_CONFIG && strncmp(why.text, "url ", 4) == 0);
    }
    free(text);
    return 0;
}
