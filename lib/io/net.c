/* A client's options, checked and copied; what equal options have in common is found or made. */
#include "io/net.h"

#include "base/mem.h"
#include "io/io.h"
#include "io/multi_curl.h"
#include "io/tls_openssl.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_AT = 8 };

/* The environment is read once, when the client is made. */
static const char *get_env(const char *name)
{
    return getenv(name);
}

/* Without these prefixes libcurl takes an unknown interface for a host's name and resolves it,
 * waiting. */
static int set_interface(struct wst__net *net, const char *interface, struct wst_cause *why)
{
    uint8_t bytes[16];
    bool address;
    size_t size;

    if (!interface)
        return 0;
    address =
        inet_pton(AF_INET, interface, bytes) == 1 || inet_pton(AF_INET6, interface, bytes) == 1;
    if (!*interface || strchr(interface, '!'))
        return wst__cause(why, WST_ERR_CONFIG, WST_STEP_NONE,
                          "interface: must be the name of an interface or an address");
    size = strlen(interface) + sizeof "host!";
    net->interface = wst__malloc(size);
    if (!net->interface)
        return wst__cause(why, WST_ERR_NOMEM, WST_STEP_NONE, "out of memory");
    (void)snprintf(net->interface, size, "%s%s", address ? "host!" : "if!", interface);
    return 0;
}

static int set_cookies(struct wst__net *net, struct wst_cause *why)
{
    net->share = curl_share_init();
    if (!net->share ||
        curl_share_setopt(net->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE) != CURLSHE_OK ||
        curl_share_setopt(net->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK)
        return wst__cause(why, WST_ERR_NOMEM, WST_STEP_NONE, "out of memory");
    return 0;
}

static int set_up(struct wst__net *net, const struct wst__net_options *opt, struct wst_cause *why)
{
    int rc = wst__proxies_init(&net->proxies, opt->proxy, opt->no_proxy, get_env, why);

    net->proxies.allow_plaintext = opt->allow_plaintext;
    if (rc == 0)
        rc = set_interface(net, opt->interface, why);
    if (rc == 0)
        rc = wst__trust_get(net->io, opt, &net->trust, why);
    if (rc == 0 && wst__multi_get(net->io, net->trust, &net->multi) != 0)
        rc = wst__cause(why, WST_ERR_NOMEM, WST_STEP_NONE, "out of memory");
    if (rc == 0 && opt->cookies)
        rc = set_cookies(net, why);
    return rc;
}

/* Cookies are each client's own. */
static bool is_equal(const struct wst__net *a, const struct wst__net *b)
{
    return a->trust == b->trust && a->multi == b->multi && !a->share && !b->share &&
           wst__same_text(a->interface, b->interface) &&
           wst__proxies_equal(&a->proxies, &b->proxies);
}

/* Only the newest few are looked at: clients that are equal are made one after another. */
static struct wst__net *find(const struct wst__net *like)
{
    struct wst__net *net = like->io->nets;

    for (int i = 0; net && i < LOOK_AT; i++, net = net->next) {
        if (is_equal(net, like))
            return net;
    }
    return NULL;
}

static void add(struct wst__net *net)
{
    struct wst__io *io = net->io;

    net->next = io->nets;
    if (net->next)
        net->next->prev = net;
    io->nets = net;
}

static void leave(struct wst__net *net)
{
    if (net->next)
        net->next->prev = net->prev;
    if (net->prev)
        net->prev->next = net->next;
    else
        net->io->nets = net->next;
}

static void free_net(struct wst__net *net)
{
    if (net->share)
        (void)curl_share_cleanup(net->share);
    if (net->multi)
        wst__multi_unref(net->multi);
    if (net->trust)
        wst__trust_unref(net->trust);
    wst__free(net->interface);
    wst__proxies_fini(&net->proxies);
    wst__free(net);
}

/* It is made first, also when an equal one is there: so the options are checked the same way. */
int wst__net_new(struct wst__io *io, const struct wst__net_options *opt, struct wst__net **out,
                 struct wst_cause *why)
{
    struct wst__net *net = wst__calloc(1, sizeof *net);
    struct wst__net *equal;
    int rc;

    if (!net)
        return wst__cause(why, WST_ERR_NOMEM, WST_STEP_NONE, "out of memory");
    net->io = io;
    net->own_ctx = wst__tls_is_ours(curl_version_info(CURLVERSION_NOW)->ssl_version);
    rc = set_up(net, opt, why);
    if (rc != 0) {
        free_net(net);
        return rc;
    }
    equal = find(net);
    if (equal) {
        free_net(net);
        net = equal;
    } else {
        add(net);
    }
    net->users++;
    *out = net;
    return 0;
}

void wst__net_free(struct wst__net *net)
{
    if (!net || --net->users > 0)
        return;
    leave(net);
    free_net(net);
}

int wst__net_apply(const struct wst__net *net, CURL *easy, const char *proxy)
{
    unsigned failed = 0;

    /* Both are set, also to nothing: else libcurl would look into the environment itself. */
    failed |= curl_easy_setopt(easy, CURLOPT_PROXY, proxy);
    failed |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    failed |= curl_easy_setopt(easy, CURLOPT_INTERFACE, net->interface);
    return failed ? WST_ERR_NOMEM : 0;
}
