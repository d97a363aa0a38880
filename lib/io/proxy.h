/* Which proxy leads to a host: one rule for all three steps. */
#ifndef WST_IO_PROXY_H
#define WST_IO_PROXY_H

#include "io/types.h"

/* What was configured and what the environment said when the client was made.  Secrets. */
struct wst__proxies {
    char *secure;   /* For https and wss; NULL: none. */
    char *plain;    /* For http and ws. */
    char *no_proxy; /* Hosts reached without. */
    bool allow_plaintext;
};

/*
 * |proxy| and |no_proxy| as in wst_config; |env| looks up a variable (NULL: not set).
 * CONFIG: |proxy| is not usable, and |why| says for what.  NOMEM.
 */
int wst__proxies_init(struct wst__proxies *p, const char *proxy, const char *no_proxy,
                      const char *(*env)(const char *name), struct wst_cause *why);
void wst__proxies_fini(struct wst__proxies *p);
bool wst__proxies_equal(const struct wst__proxies *a, const struct wst__proxies *b);

/*
 * The proxy's URL for this target: "" for none.  What is plain because it goes to loopback does not
 * leave this machine by a proxy elsewhere, unless |allow_plaintext|: that is passed by.  PROXY:
 * there is one that cannot be used; |why| names it, without its credentials.
 */
int wst__proxies_choose(const struct wst__proxies *p, bool secure, const char *host, uint16_t port,
                        enum wst_step step, const char **url, struct wst_cause *why);

/* "HOST:PORT" of a proxy's URL, for texts: nothing of its credentials. */
void wst__proxy_name(const char *url, char *out, size_t size);

/* Does it speak HTTP, and not SOCKS?  False for "". */
bool wst__proxy_is_http(const char *url);

/* Is |host| in a list as no_proxy has it? */
bool wst__no_proxy_match(const char *list, const char *host, uint16_t port);

#endif
