/* Log lines on stderr. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool timestamps;

void log_timestamps(bool on)
{
    timestamps = on;
}

static size_t put_time(char *line, size_t size)
{
    struct timespec ts;
    struct tm tm;
    size_t n;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    if (!gmtime_r(&ts.tv_sec, &tm))
        return 0;
    n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(line + n, size - n, ".%03ldZ ", ts.tv_nsec / 1000000);
}

void log_line(const char *fmt, ...)
{
    char line[1024];
    size_t n = timestamps ? put_time(line, 64) : 0;
    va_list ap;
    int made;

    va_start(ap, fmt);
    made = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    va_end(ap);
    if (made < 0)
        return;
    n = strlen(line);
    line[n++] = '\n';
    /* A reader of stderr that went away is no reason to stop. */
    if (write(STDERR_FILENO, line, n) < 0)
        return;
}

const char *log_text(char out[LOG_TEXT_LEN], const char *text)
{
    size_t n = 0;

    for (; text && *text && n < LOG_TEXT_LEN - 1; text++) {
        unsigned char c = (unsigned char)*text;

        out[n++] = (char)(c < 0x20 || c >= 0x7f || c == '\'' || c == '\\' ? '?' : c);
    }
    out[n] = '\0';
    return out;
}
