/* Log lines. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void wst__log(const struct wst__log *log, enum wst_log_level level, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    if (!log || !log->cb || level > log->level)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    wst__clean(line);
    log->cb(level, line, log->arg);
}
