/* Numbers, times and sizes. */
#include "values.h"

#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Reads digits up to |*end|; false when there are none, or more than fit. */
static bool digits(const char *text, uint64_t *out, const char **end)
{
    uint64_t n = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *end = p;
    *out = n;
    return p != text;
}

/* Digits, then one of |units|, the product at most |most|. */
static bool with_unit(const char *text, const struct unit *units, uint64_t most, uint64_t *out)
{
    const char *rest;
    uint64_t n;
    if (!digits(text, &n, &rest))
        return false;
    for (const struct unit *u = units; u->name; u++) {
        if (strcmp(rest, u->name) != 0)
            continue;
        *out = n * u->factor;
        return n <= most / u->factor;
    }
    return false;
}

bool value_number(const char *text, uint64_t *out)
{
    static const struct unit none[] = {{"", 1}, {NULL, 0}};
    return with_unit(text, none, UINT64_MAX, out);
}

bool value_time(const char *text, uint64_t *ms)
{
    static const struct unit units[] = {{"", 1},      {"ms", 1},      {"s", 1000},
                                        {"m", 60000}, {"h", 3600000}, {NULL, 0}};
    const uint64_t week = UINT64_C(7) * 24 * 3600000; /* The library's limit too. */
    return with_unit(text, units, week, ms);
}

bool value_size(const char *text, size_t *bytes)
{
    static const struct unit units[] = {{"", 1},        {"k", 1024},    {"K", 1024},
                                        {"m", 1048576}, {"M", 1048576}, {"g", 1 << 30},
                                        {"G", 1 << 30}, {NULL, 0}};
    uint64_t n;
    if (!with_unit(text, units, SIZE_MAX / 4, &n))
        return false;
    *bytes = (size_t)n;
    return true;
}
