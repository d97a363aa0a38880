/* The failure table: what an HTTP status, a close code or an error means to the next attempt. */
#ifndef WST_CORE_VERDICT_H
#define WST_CORE_VERDICT_H

#include "core/vocab.h"

/* The class of an HTTP status in a step; 101 in step 3 and 2xx in steps 1 and 2 are successes and
 * yield NONE. */
enum wst_class wst__verdict_http(enum wst_step step, int status);
/* The class of a close code; |stable|: the link had stayed up for policy.stable_ms. */
enum wst_class wst__verdict_close(const struct wst__policy *p, int code, bool stable);
/* The class of any failure: by its close code, else its status, else its error code. */
enum wst_class wst__verdict(const struct wst__policy *p, const struct wst__failure *f, bool stable);

#endif
