/* Only the newest few are looked at: clients that are equal are made one after another. */
#include "client/config_share.h"

#include "base/mem.h"

enum { LOOK_AT = 8 };

/* A new one is checked and copied before it is compared: so it is known to be whole. */
static struct wst__shared_config *find(const struct wst__configs *all,
                                       const struct wst__config *config)
{
    struct wst__shared_config *s = all->first;

    for (int i = 0; s && i < LOOK_AT; i++, s = s->next) {
        if (wst__config_equal(&s->config, config))
            return s;
    }
    return NULL;
}

static void free_it(struct wst__shared_config *s)
{
    wst__config_fini(&s->config);
    wst__free(s);
}

static void add(struct wst__configs *all, struct wst__shared_config *s)
{
    s->all = all;
    s->next = all->first;
    if (s->next)
        s->next->prev = s;
    all->first = s;
}

int wst__config_get(struct wst__configs *all, const struct wst_config *in,
                    struct wst__shared_config **out, struct wst_cause *why)
{
    struct wst__shared_config *s = wst__calloc(1, sizeof *s);
    struct wst__shared_config *old;
    int rc;

    if (!s)
        return wst__cause(why, WST_ERR_NOMEM, WST_STEP_NONE, "out of memory");
    rc = wst__config_copy(&s->config, in, why);
    if (rc != 0) {
        wst__free(s);
        return rc;
    }
    s->config.c.arg = NULL;
    old = all ? find(all, &s->config) : NULL;
    if (old) {
        free_it(s);
        s = old;
    } else {
        wst__config_policy(&s->config, &s->policy);
        if (all)
            add(all, s);
    }
    s->users++;
    *out = s;
    return 0;
}

void wst__config_put(struct wst__shared_config *s)
{
    if (--s->users > 0)
        return;
    if (s->next)
        s->next->prev = s->prev;
    if (s->prev)
        s->prev->next = s->next;
    else if (s->all)
        s->all->first = s->next;
    free_it(s);
}
