/* Points in time as text.  HTTP-dates are read by libcurl, as they are in steps 1 and 2. */
#include "wire/date.h"

#include <curl/curl.h>
#include <string.h>

/* Reads exactly |n| digits. */
static bool digits(const char **s, int n, int *value)
{
    for (*value = 0; n > 0; n--, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        *value = *value * 10 + (**s - '0');
    }
    return true;
}

static bool take(const char **s, const char *any)
{
    if (!**s || !strchr(any, **s))
        return false;
    (*s)++;
    return true;
}

static bool leap_year(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int days_in_month(int y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return m == 2 && leap_year(y) ? 29 : days[m - 1];
}

/* Days from 1970-01-01 in the Gregorian calendar. */
static int64_t days_since_epoch(int y, int m, int d)
{
    int64_t before = y - 1;
    int64_t days = before * 365 + before / 4 - before / 100 + before / 400 - 719162;

    if (y == 0)
        days--; /* The year 0 was a leap year, and divisions round towards 0. */
    for (int i = 1; i < m; i++)
        days += days_in_month(y, i);
    return days + d - 1;
}

static bool date(const char **s, int64_t *days)
{
    int y;
    int m;
    int d;

    if (!digits(s, 4, &y) || !take(s, "-") || !digits(s, 2, &m) || !take(s, "-") ||
        !digits(s, 2, &d))
        return false;
    if (m < 1 || m > 12 || d < 1 || d > days_in_month(y, m))
        return false;
    *days = days_since_epoch(y, m, d);
    return true;
}

/* A fraction is read to the millisecond; what follows is passed over. */
static bool fraction(const char **s, int *ms)
{
    int scale = 100;

    *ms = 0;
    if (!take(s, "."))
        return true;
    if (**s < '0' || **s > '9')
        return false;
    for (; **s >= '0' && **s <= '9'; (*s)++, scale /= 10)
        *ms += (**s - '0') * scale;
    return true;
}

static bool clock_time(const char **s, int64_t *ms)
{
    int h;
    int m;
    int sec;
    int part;

    if (!digits(s, 2, &h) || !take(s, ":") || !digits(s, 2, &m) || !take(s, ":") ||
        !digits(s, 2, &sec) || !fraction(s, &part))
        return false;
    *ms = ((h * 60 + m) * 60 + sec) * INT64_C(1000) + part;
    return h <= 23 && m <= 59 && sec <= 60; /* 60: a leap second. */
}

static bool offset(const char **s, int64_t *minutes)
{
    int h;
    int m;
    bool west = **s == '-';

    *minutes = 0;
    if (take(s, "Zz"))
        return true;
    if (!take(s, "+-") || !digits(s, 2, &h) || !take(s, ":") || !digits(s, 2, &m))
        return false;
    *minutes = west ? -(h * 60 + m) : h * 60 + m;
    return h <= 23 && m <= 59;
}

bool wst__date_rfc3339(const char *s, int64_t *epoch_ms)
{
    int64_t days;
    int64_t ms;
    int64_t minutes;

    if (!date(&s, &days) || !take(&s, "Tt ") || !clock_time(&s, &ms) || !offset(&s, &minutes) || *s)
        return false;
    *epoch_ms = (days * 1440 - minutes) * 60000 + ms;
    return true;
}

bool wst__date_http(const char *s, size_t n, int64_t *epoch_s)
{
    char text[64];
    time_t t;

    /* All three forms begin with the name of a day; curl_getdate() would take far more. */
    if (n == 0 || n >= sizeof text || *s < 'A' || *s > 'Z')
        return false;
    memcpy(text, s, n);
    text[n] = '\0';
    t = curl_getdate(text, NULL);
    *epoch_s = t;
    return t != -1;
}
