/* JSON Web Tokens, signed with HS256 (RFC 7519, RFC 7515, RFC 7518 3.2). */
#ifndef WSTSERVER_JWT_H
#define WSTSERVER_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JWT_USER_LEN 128 /* longest user id accepted */

struct jwt_key {
    unsigned char *bytes;
    size_t len;
};

/* Takes the bytes of |secret|, or 32 random ones when it is NULL; the former key is dropped. */
void jwt_key_set(struct jwt_key *key, const char *secret);
void jwt_key_clear(struct jwt_key *key);

/* A new token for |user_id| (NULL: anonymous), issued at |now| seconds.  Free with free(). */
char *jwt_make(const struct jwt_key *key, const char *user_id, int64_t now, int64_t ttl);

/* Checks |token|.  Returns NULL when it is good, with its user id, or "", in |user_id|; else the
 * reason in words that hold nothing of the token. */
const char *jwt_check(const struct jwt_key *key, const char *token, int64_t now,
                      char user_id[JWT_USER_LEN + 1]);

#endif
