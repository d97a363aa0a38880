/* Header fields and the lists in them. */
#include "wire/field.h"

#include <string.h>
#include <strings.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct wst__span trim(const char *s, size_t n)
{
    struct wst__span t = {s, n};

    while (t.n && is_space(t.s[0])) {
        t.s++;
        t.n--;
    }
    while (t.n && is_space(t.s[t.n - 1]))
        t.n--;
    return t;
}

static bool token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool wst__is_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!token_char((unsigned char)s[i]))
            return false;
    }
    return n != 0;
}

bool wst__is_field_text(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool wst__field_take(const char *line, size_t n, struct wst__field *f)
{
    const char *colon = memchr(line, ':', n);

    if (!colon)
        return false;
    f->name.s = line;
    f->name.n = (size_t)(colon - line);
    f->value = trim(colon + 1, n - f->name.n - 1);
    return true;
}

bool wst__field_split(const char *line, size_t n, struct wst__field *f)
{
    /* A folded line begins with a space, and no token does (RFC 9112, 5.2). */
    return wst__field_take(line, n, f) && wst__is_token(f->name.s, f->name.n) &&
           wst__is_field_text(f->value.s, f->value.n);
}

bool wst__span_is(struct wst__span a, const char *text)
{
    return a.n == strlen(text) && memcmp(a.s, text, a.n) == 0;
}

bool wst__span_is_nocase(struct wst__span a, const char *text)
{
    return a.n == strlen(text) && strncasecmp(a.s, text, a.n) == 0;
}

bool wst__field_is(const struct wst__field *f, const char *name)
{
    return wst__span_is_nocase(f->name, name);
}

/* Where the element that begins at |s| ends: the next comma outside quotes. */
static size_t element_end(const char *s, size_t n)
{
    bool quoted = false;
    size_t i;

    for (i = 0; i < n; i++) {
        if (quoted && s[i] == '\\' && i + 1 < n)
            i++;
        else if (s[i] == '"')
            quoted = !quoted;
        else if (s[i] == ',' && !quoted)
            break;
    }
    return i;
}

bool wst__list_next(struct wst__span *rest, struct wst__span *element)
{
    while (rest->n) {
        size_t end = element_end(rest->s, rest->n);

        *element = trim(rest->s, end);
        if (end < rest->n)
            end++; /* The comma. */
        rest->s += end;
        rest->n -= end;
        if (element->n)
            return true;
    }
    return false;
}
