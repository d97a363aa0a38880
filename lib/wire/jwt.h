/* The life of a JWT (RFC 7519), read without checking its signature: that is the server's work. */
#ifndef WST_WIRE_JWT_H
#define WST_WIRE_JWT_H

#include <stddef.h>
#include <stdint.h>

/* exp - iat in seconds; without iat: exp - |wall_s|; -1 when it is opaque, has no exp, or the
 * result is not in (0, 10 years]. */
int64_t wst__jwt_life_s(const char *token, size_t n, int64_t wall_s);

#endif
