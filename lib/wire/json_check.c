/* The grammar of RFC 8259, read by recursive descent; the depth is bounded. */
#include "wire/json.h"

#include <string.h>

#define MAX_DEPTH  64
#define MAX_NUMBER 60 /* cJSON cuts numbers at 63 characters. */

struct text {
    const char *s;
    size_t n;
    size_t at;
    unsigned depth;
};

static enum wst__json_fault value(struct text *t);

/* The fault at the present place: the text ended, or goes on wrongly. */
static enum wst__json_fault wrong(const struct text *t)
{
    return t->at == t->n ? WST__JSON_CUT : WST__JSON_WRONG;
}

static bool next_is(const struct text *t, char c)
{
    return t->at < t->n && t->s[t->at] == c;
}

static bool take(struct text *t, char c)
{
    if (!next_is(t, c))
        return false;
    t->at++;
    return true;
}

static void space(struct text *t)
{
    while (t->at < t->n && t->s[t->at] && strchr(" \t\r\n", t->s[t->at]))
        t->at++;
}

static size_t digits(struct text *t)
{
    size_t start = t->at;

    while (t->at < t->n && t->s[t->at] >= '0' && t->s[t->at] <= '9')
        t->at++;
    return t->at - start;
}

static enum wst__json_fault number(struct text *t)
{
    size_t start = t->at;

    (void)take(t, '-');
    if (!take(t, '0') && digits(t) == 0)
        return wrong(t);
    if (take(t, '.') && digits(t) == 0)
        return wrong(t);
    if (take(t, 'e') || take(t, 'E')) {
        if (!take(t, '+'))
            (void)take(t, '-');
        if (digits(t) == 0)
            return wrong(t);
    }
    return t->at - start > MAX_NUMBER ? WST__JSON_WRONG : WST__JSON_OK;
}

static enum wst__json_fault literal(struct text *t, const char *word)
{
    for (; *word; word++) {
        if (!take(t, *word))
            return wrong(t);
    }
    return WST__JSON_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static enum wst__json_fault four_hex(struct text *t, unsigned *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        int d = t->at < t->n ? hex_digit(t->s[t->at]) : -1;

        if (d < 0)
            return wrong(t);
        *unit = *unit * 16 + (unsigned)d;
        t->at++;
    }
    return WST__JSON_OK;
}

/* Behind "\u": one UTF-16 unit, or a whole surrogate pair; half a pair has no meaning. */
static enum wst__json_fault utf16(struct text *t)
{
    unsigned unit;
    enum wst__json_fault f = four_hex(t, &unit);

    if (f != WST__JSON_OK)
        return f;
    if (unit == 0)
        return WST__JSON_NUL;
    if (unit < 0xd800 || unit > 0xdfff)
        return WST__JSON_OK;
    if (unit > 0xdbff)
        return WST__JSON_WRONG;
    if (!take(t, '\\') || !take(t, 'u'))
        return wrong(t);
    f = four_hex(t, &unit);
    if (f != WST__JSON_OK)
        return f;
    return unit >= 0xdc00 && unit <= 0xdfff ? WST__JSON_OK : WST__JSON_WRONG;
}

/* Behind the opening quote. */
static enum wst__json_fault string(struct text *t)
{
    while (t->at < t->n) {
        char c = t->s[t->at];
        enum wst__json_fault f = WST__JSON_OK;

        if ((unsigned char)c < 0x20)
            return c ? WST__JSON_WRONG : WST__JSON_NUL;
        t->at++;
        if (c == '"')
            return WST__JSON_OK;
        if (c != '\\')
            continue;
        if (take(t, 'u'))
            f = utf16(t);
        else if (t->at < t->n && t->s[t->at] && strchr("\"\\/bfnrt", t->s[t->at]))
            t->at++;
        else
            f = wrong(t);
        if (f != WST__JSON_OK)
            return f;
    }
    return WST__JSON_CUT;
}

/* A member's name and the colon. */
static enum wst__json_fault name(struct text *t)
{
    enum wst__json_fault f;

    space(t);
    if (!take(t, '"'))
        return wrong(t);
    f = string(t);
    if (f != WST__JSON_OK)
        return f;
    space(t);
    return take(t, ':') ? WST__JSON_OK : wrong(t);
}

/* Behind the bracket: members or elements up to |end|. */
static enum wst__json_fault members(struct text *t, char end)
{
    space(t);
    if (take(t, end))
        return WST__JSON_OK;
    for (;;) {
        enum wst__json_fault f = end == '}' ? name(t) : WST__JSON_OK;

        if (f == WST__JSON_OK)
            f = value(t);
        if (f != WST__JSON_OK)
            return f;
        if (take(t, end))
            return WST__JSON_OK;
        if (!take(t, ','))
            return wrong(t);
    }
}

static enum wst__json_fault nested(struct text *t, char end)
{
    enum wst__json_fault f;

    if (++t->depth > MAX_DEPTH)
        return WST__JSON_WRONG;
    f = members(t, end);
    t->depth--;
    return f;
}

/* A value and the white space around it. */
static enum wst__json_fault value(struct text *t)
{
    enum wst__json_fault f;

    space(t);
    if (take(t, '{'))
        f = nested(t, '}');
    else if (take(t, '['))
        f = nested(t, ']');
    else if (take(t, '"'))
        f = string(t);
    else if (next_is(t, 't'))
        f = literal(t, "true");
    else if (next_is(t, 'f'))
        f = literal(t, "false");
    else if (next_is(t, 'n'))
        f = literal(t, "null");
    else
        f = number(t);
    if (f == WST__JSON_OK)
        space(t);
    return f;
}

enum wst__json_fault wst__json_check(const char *text, size_t n, size_t *at)
{
    struct text t = {text, n, 0, 0};
    enum wst__json_fault f;

    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        t.at = 3;
    space(&t);
    if (t.at == n) {
        *at = n;
        return WST__JSON_EMPTY;
    }
    f = value(&t);
    if (f == WST__JSON_OK && t.at != n)
        f = WST__JSON_WRONG;
    *at = t.at;
    return f;
}
