/* One HTTP request, one bounded answer. */
#ifndef WST_IO_HTTP_CURL_H
#define WST_IO_HTTP_CURL_H

#include "io/types.h"

struct wst__net;

/* See client/ports.h.  INVALID: the URL or a header cannot be sent as it is. */
int wst__http_start(struct wst__net *net, const struct wst__http_request *rq,
                    const struct wst__http_cbs *cbs, void *arg, struct wst__http **out);
bool wst__http_refusal(struct wst__http *h, struct wst_cause *why,
                       const struct wst__http_answer **answer);
void wst__http_cancel(struct wst__http *h);

/* RFC 9110, 10.2.3: seconds or a date.  False: it is neither. */
bool wst__retry_after(const char *value, int64_t now_s, uint64_t *ms);

#endif
