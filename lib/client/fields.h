/* The header fields of one request: "Name: value" lines, wiped when dropped. */
#ifndef WST_CLIENT_FIELDS_H
#define WST_CLIENT_FIELDS_H

#include "base/secret.h"
#include "client/config.h"

struct wst__fields {
    const struct wst_config *config;
    enum wst_step step;
    char **list; /* NULL-terminated. */
    size_t count, room;
    int rc; /* The first failure; then nothing more is added. */
};

/* Begins with the application's own fields of |step|.  Failures are kept in |rc|. */
void wst__fields_init(struct wst__fields *f, const struct wst_config *config, enum wst_step step);
void wst__fields_fini(struct wst__fields *f);
/* Does the application give this field itself?  Then ours stays away. */
bool wst__fields_given(const struct wst__fields *f, const char *name);
/* Adds "name: prefix value", unless the application gives that field itself. */
void wst__fields_add(struct wst__fields *f, const char *name, const char *prefix,
                     const char *value);
const char *const *wst__fields_list(const struct wst__fields *f);

#endif
