/* Points in time as text. */
#ifndef WST_WIRE_DATE_H
#define WST_WIRE_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 3339, 5.6: "2030-01-31T12:00:00.5+01:00"; 't', 'z' and a space for 'T' are taken, too. */
bool wst__date_rfc3339(const char *s, int64_t *epoch_ms);
/* An HTTP-date (RFC 9110, 5.6.7), of |n| bytes, in any of its three forms. */
bool wst__date_http(const char *s, size_t n, int64_t *epoch_s);

#endif
