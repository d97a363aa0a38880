/* Log lines: levels and one sink, given by the application. */
#ifndef WST_BASE_LOG_H
#define WST_BASE_LOG_H

#include "base/err.h"

struct wst__log {
    wst_log_cb cb; /* NULL: silence. */
    void *arg;
    enum wst_log_level level; /* Lines above it are not made. */
};

/* |log| may be NULL.  Lines longer than 511 bytes are cut.  Never pass a secret. */
void wst__log(const struct wst__log *log, enum wst_log_level level, const char *fmt, ...)
    WST__PRINTF(3, 4);

#endif
