/* What is told to the application of failures: causes in words, and what follows. */
#ifndef WST_CLIENT_REPORT_H
#define WST_CLIENT_REPORT_H

#include "client/client.h"

/* Remembers the cause of a step's failure, and translates it for the core. */
struct wst__failure wst__report_failure(struct wst_client *cl, enum wst_step step,
                                        const struct wst_cause *why, uint64_t retry_after_ms,
                                        uint64_t spread_ms);
/* An HTTP answer that is not what we need: the cause in words. */
void wst__report_status(struct wst_cause *why, enum wst_step step, int status,
                        const char *location_host);
/* The cause of a failure that the core knows of. */
void wst__report_cause(const struct wst_client *cl, const struct wst__failure *f,
                       struct wst_cause *cause);
/* The core's failure of the attempt or link that ended, and the next delay. */
void wst__report_info(struct wst_client *cl, uint64_t delay_ms, struct wst_error_info *info);

/* Where the words of this attempt go; NULL: no memory, the numbers have to do. */
struct wst__words *wst__report_words(struct wst_client *cl);
/* For wst_client_last_error().  Told to the application is |info| itself, whatever the memory. */
void wst__report_keep(struct wst_client *cl, const struct wst_error_info *info);

#endif
