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

#endif
