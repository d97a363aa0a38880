/* Header fields and the lists in them (RFC 9110, 5.5 and 5.6): views into memory of the caller. */
#ifndef WST_WIRE_FIELD_H
#define WST_WIRE_FIELD_H

#include <stdbool.h>
#include <stddef.h>

struct wst__span {
    const char *s;
    size_t n;
};

struct wst__field {
    struct wst__span name;
    struct wst__span value; /* Without white space around it. */
};

/* Takes a line, without its end, apart.  False: no name, a space before the colon, folding, a
 * control byte. */
bool wst__field_split(const char *line, size_t n, struct wst__field *f);
/* The same with a line that has been through it before.  False: there is no colon. */
bool wst__field_take(const char *line, size_t n, struct wst__field *f);
bool wst__field_is(const struct wst__field *f, const char *name); /* In any case. */
bool wst__span_is(struct wst__span a, const char *text);          /* The same bytes. */
bool wst__span_is_nocase(struct wst__span a, const char *text);
/* Is it a token (RFC 9110, 5.6.2)? */
bool wst__is_token(const char *s, size_t n);
/* May the bytes stand in a field's value (no control bytes but tabs)? */
bool wst__is_field_text(const char *s, size_t n);
/*
 * The elements of a list: |*rest| begins as the value, |*element| is the next one without white
 * space around it.  Commas inside quotes do not separate, empty elements are passed over.
 */
bool wst__list_next(struct wst__span *rest, struct wst__span *element);

#endif
