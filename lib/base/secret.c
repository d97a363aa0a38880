/* Secrets: one allocation each, wiped before it is freed. */
#include "base/secret.h"

#include "base/err.h"
#include "base/mem.h"

#include <string.h>

int wst__secret_set(struct wst__secret *s, const void *bytes, size_t n)
{
    uint8_t *copy = wst__malloc(n + 1);

    if (copy) {
        if (n)
            memcpy(copy, bytes, n);
        copy[n] = 0;
    }
    wst__secret_drop(s); /* After the copy: |bytes| may lie in |s|. */
    if (!copy)
        return WST_ERR_NOMEM;
    s->wst__bytes = copy;
    s->len = n;
    return 0;
}

int wst__secret_copy(struct wst__secret *to, const struct wst__secret *from)
{
    return wst__secret_set(to, from->wst__bytes, from->len);
}

void wst__secret_drop(struct wst__secret *s)
{
    if (s->wst__bytes)
        wst__wipe(s->wst__bytes, s->len);
    wst__free(s->wst__bytes);
    s->wst__bytes = NULL;
    s->len = 0;
}

void wst__secret_move(struct wst__secret *to, struct wst__secret *from)
{
    if (to == from)
        return;
    wst__secret_drop(to);
    *to = *from;
    from->wst__bytes = NULL;
    from->len = 0;
}

bool wst__secret_equal(const struct wst__secret *a, const struct wst__secret *b)
{
    uint8_t differ = 0;

    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++)
        differ |= (uint8_t)(a->wst__bytes[i] ^ b->wst__bytes[i]);
    return differ == 0;
}

const char *wst__secret_expose(const struct wst__secret *s)
{
    return s->wst__bytes ? (const char *)s->wst__bytes : "";
}
