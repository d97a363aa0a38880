/*
 * The failure table: what an HTTP status, a close code or an error means to the next attempt.
 *
 *                          step 1 token    step 2 ticket   step 3 connect
 *   HTTP 101               transient       transient       (success)
 *   HTTP 2xx               (success)       (success)       transient
 *   HTTP 1xx, 3xx, 5xx     transient       transient       transient
 *   HTTP 401               auth            token           ticket
 *   HTTP 403               auth            auth            ticket
 *   HTTP 408, 425          transient       transient       transient
 *   HTTP 429, 503          soft            soft            soft
 *   HTTP 4xx otherwise     refused         refused         refused
 *
 *                                          before stable   after
 *   close, configured as not authorized    ticket          token
 *   close 1012, 1013                       soft            soft
 *   close 1002, 1003, 1007, 1009, 1010     protocol        protocol
 *   close otherwise                        transient       transient
 *
 *   no status, no close code, or a success that is of no use: as the public error map says.
 *
 * What only the history of a client can tell is the core's (core_settle.c): the second auth
 * failure running becomes auth, the second refused ticket running drops the token too, and so does
 * the first one when there is no ticket step, or no attempt left.
 */
#ifndef WST_CORE_VERDICT_H
#define WST_CORE_VERDICT_H

#include "core/vocab.h"

/* The class of an HTTP status in a step; 101 in step 3 and 2xx in steps 1 and 2 are successes and
 * yield NONE. */
enum wst_class wst__verdict_http(enum wst_step step, int status);
/* The class of a close code; |stable|: the link had stayed up for policy.stable_ms. */
enum wst_class wst__verdict_close(const struct wst__policy *p, int code, bool stable);
/*
 * The class of any failure: by its close code, else its status, else its error code; never NONE.
 * A proxy's refusal goes by its error code, and a close that tells nothing (transient) by an error
 * code of class PROTOCOL or LOCAL: then it was we who ended the link.
 */
enum wst_class wst__verdict(const struct wst__policy *p, const struct wst__failure *f, bool stable);

#endif
