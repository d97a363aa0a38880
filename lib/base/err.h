/* Causes: what went wrong, in one struct, with a text for a person.  The map is public. */
#ifndef WST_BASE_ERR_H
#define WST_BASE_ERR_H

#include "wsticket/wsticket.h"

#if defined(__GNUC__)
#define WST__PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define WST__PRINTF(fmt, first)
#endif

/*
 * Fills in |cause|: code, step, the class that the map gives, and the text.  Everything else is
 * zeroed.  Returns |code|, so that a failing function can end in `return wst__cause(...)`.
 * |cause| may be NULL.  Never pass a secret to the format.
 */
int wst__cause(struct wst_cause *cause, int code, enum wst_step step, const char *fmt, ...)
    WST__PRINTF(4, 5);

/*
 * Makes one clean line of |text|, in which a server's words may stand: control characters become
 * '?', and a character that was cut in its middle at the end goes.
 */
void wst__clean(char *text);

#endif
