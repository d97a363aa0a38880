/* The header fields of one request. */
#include "client/fields.h"

#include "base/mem.h"

#include <string.h>
#include <strings.h>

static void append(struct wst__fields *f, const char *name, const char *prefix, const char *value)
{
    size_t name_len = strlen(name);
    size_t prefix_len = strlen(prefix);
    size_t value_len = strlen(value);
    char *line;

    if (f->rc != 0)
        return;
    if (f->count + 1 >= f->room) {
        size_t room = f->room ? f->room * 2 : 8;
        char **list = wst__realloc(f->list, room * sizeof *list);

        if (!list) {
            f->rc = WST_ERR_NOMEM;
            return;
        }
        f->list = list;
        f->room = room;
    }
    line = wst__malloc(name_len + 2 + prefix_len + value_len + 1);
    if (!line) {
        f->rc = WST_ERR_NOMEM;
        return;
    }
    memcpy(line, name, name_len);
    memcpy(line + name_len, ": ", 2);
    memcpy(line + name_len + 2, prefix, prefix_len);
    memcpy(line + name_len + 2 + prefix_len, value, value_len + 1);
    f->list[f->count++] = line;
    f->list[f->count] = NULL;
}

static bool is_for(const struct wst_header *h, enum wst_step step)
{
    return h->step == WST_STEP_NONE || h->step == step;
}

bool wst__fields_given(const struct wst__fields *f, const char *name)
{
    for (size_t i = 0; i < f->config->header_count; i++) {
        const struct wst_header *h = &f->config->headers[i];

        if (is_for(h, f->step) && strcasecmp(h->name, name) == 0)
            return true;
    }
    return false;
}

void wst__fields_init(struct wst__fields *f, const struct wst_config *config, enum wst_step step)
{
    memset(f, 0, sizeof *f);
    f->config = config;
    f->step = step;
    for (size_t i = 0; i < config->header_count; i++) {
        const struct wst_header *h = &config->headers[i];

        if (is_for(h, step))
            append(f, h->name, "", h->value);
    }
}

void wst__fields_fini(struct wst__fields *f)
{
    for (size_t i = 0; i < f->count; i++) {
        wst__wipe(f->list[i], strlen(f->list[i]));
        wst__free(f->list[i]);
    }
    wst__free(f->list);
    memset(f, 0, sizeof *f);
}

void wst__fields_add(struct wst__fields *f, const char *name, const char *prefix, const char *value)
{
    if (!wst__fields_given(f, name))
        append(f, name, prefix, value);
}

const char *const *wst__fields_list(const struct wst__fields *f)
{
    static const char *const none[] = {NULL};

    return f->list ? (const char *const *)f->list : none;
}
