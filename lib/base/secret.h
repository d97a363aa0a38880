/*
 * Tokens and tickets.  A type of its own, so that no secret is ever printed by accident: it has no
 * char pointer to hand to a format, it is moved rather than copied, and it is wiped when dropped.
 */
#ifndef WST_BASE_SECRET_H
#define WST_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wst__secret {
    uint8_t *wst__bytes; /* Only wst__secret_expose() hands it out.  Terminated. */
    size_t len;
};

#define WST__SECRET_INIT                                                                           \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

/* Copies |n| bytes in; what was there is dropped first.  NOMEM: then it is empty. */
int wst__secret_set(struct wst__secret *s, const void *bytes, size_t n);
/* A second one with the same bytes.  NOMEM: then |to| is empty. */
int wst__secret_copy(struct wst__secret *to, const struct wst__secret *from);
/* Wipes and frees.  An empty secret stays empty. */
void wst__secret_drop(struct wst__secret *s);
/* Moves |from| into |to|; |from| is empty afterwards. */
void wst__secret_move(struct wst__secret *to, struct wst__secret *from);
/* Same length and bytes, in constant time. */
bool wst__secret_equal(const struct wst__secret *a, const struct wst__secret *b);
static inline bool wst__secret_empty(const struct wst__secret *s)
{
    return s->len == 0;
}
/* The bytes, terminated, for the one place that puts them on the wire.  "" when empty. */
const char *wst__secret_expose(const struct wst__secret *s);

#endif
