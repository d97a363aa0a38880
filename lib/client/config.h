/* The configuration: defaults, checks, and a copy of our own. */
#ifndef WST_CLIENT_CONFIG_H
#define WST_CLIENT_CONFIG_H

#include "base/err.h"
#include "core/vocab.h"
#include "wire/reply.h"
#include "wire/url.h"

/* A checked copy: every pointer in |c| is ours. */
struct wst__config {
    struct wst_config c;
    struct wst__url token_url, ticket_url, ws_url; /* Host NULL: that step makes no request. */
    char *token_origin;                            /* What a stored token is bound to. */
};

/* Checks |in| and copies it.  CONFIG with the field and the fix in |why|; NOMEM. */
int wst__config_copy(struct wst__config *out, const struct wst_config *in, struct wst_cause *why);
/* Are they the same in everything?  Both were made by wst__config_copy(). */
bool wst__config_equal(const struct wst__config *a, const struct wst__config *b);
/* Wipes and frees. */
void wst__config_fini(struct wst__config *cfg);
/* What the core decides by. */
void wst__config_policy(const struct wst__config *cfg, struct wst__policy *policy);
/* How the replies of steps 1 and 2 are read. */
void wst__config_token_spec(const struct wst__config *cfg, struct wst__reply_spec *spec);
void wst__config_ticket_spec(const struct wst__config *cfg, struct wst__reply_spec *spec);
/* Plain http or ws to this URL is allowed, or it is not plain.  CONFIG, naming |field|. */
int wst__config_plaintext(const struct wst__config *cfg, const struct wst__url *url,
                          const char *field, struct wst_cause *why);

#endif
