/* JSON Web Tokens.
 *
 * A token is three base64url parts with dots between: header, claims, signature.  Only HS256 is
 * accepted; the header's "alg" is compared with it before anything else is believed, so that a
 * token with "none" or another algorithm fails (RFC 8725, 3.1).
 */
#include "jwt.h"

#include <cjson/cJSON.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define MAC_LEN     32
#define MAX_PART    2048
#define CLOCK_SKEW  60
#define HEADER_JSON "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

void jwt_key_clear(struct jwt_key *key)
{
    if (key->bytes)
        OPENSSL_cleanse(key->bytes, key->len);
    free(key->bytes);
    key->bytes = NULL;
    key->len = 0;
}

void jwt_key_set(struct jwt_key *key, const char *secret)
{
    jwt_key_clear(key);
    key->len = secret ? strlen(secret) : 32;
    key->bytes = xalloc(key->len + 1);
    if (secret)
        memcpy(key->bytes, secret, key->len);
    else
        random_bytes(key->bytes, key->len);
}

static void sign(const struct jwt_key *key, const char *text, size_t len,
                 unsigned char mac[MAC_LEN])
{
    unsigned mac_len = MAC_LEN;

    if (!HMAC(EVP_sha256(), key->bytes, (int)key->len, (const unsigned char *)text, len, mac,
              &mac_len))
        abort();
}

static char *claims_json(const char *user_id, int64_t now, int64_t ttl)
{
    cJSON *claims = cJSON_CreateObject();
    char id[UUID_LEN + 1];
    char *text;

    uuid_make(id);
    cJSON_AddStringToObject(claims, "sub", user_id ? user_id : "anonymous");
    if (user_id)
        cJSON_AddStringToObject(claims, "userId", user_id);
    else
        cJSON_AddNullToObject(claims, "userId");
    cJSON_AddNumberToObject(claims, "iat", (double)now);
    cJSON_AddNumberToObject(claims, "exp", (double)(now + ttl));
    cJSON_AddStringToObject(claims, "jti", id);
    text = cJSON_PrintUnformatted(claims);
    cJSON_Delete(claims);
    if (!text)
        abort();
    return text;
}

char *jwt_make(const struct jwt_key *key, const char *user_id, int64_t now, int64_t ttl)
{
    char *claims = claims_json(user_id, now, ttl);
    size_t size = BASE64URL_LEN(strlen(HEADER_JSON)) + BASE64URL_LEN(strlen(claims)) +
                  BASE64URL_LEN(MAC_LEN) + 8;
    unsigned char mac[MAC_LEN];
    char *token = xalloc(size);
    size_t n;

    base64url_encode(token, HEADER_JSON, strlen(HEADER_JSON));
    n = strlen(token);
    token[n++] = '.';
    base64url_encode(token + n, claims, strlen(claims));
    cJSON_free(claims);
    n = strlen(token);
    sign(key, token, n, mac);
    token[n++] = '.';
    base64url_encode(token + n, mac, sizeof mac);
    return token;
}

/* One base64url part as JSON; NULL when it is none. */
static cJSON *part_json(const char *part, size_t len)
{
    unsigned char text[MAX_PART];
    long n = base64url_decode(text, sizeof text, part, len);

    return n < 0 ? NULL : cJSON_ParseWithLength((const char *)text, (size_t)n);
}

static bool header_ok(const char *part, size_t len)
{
    cJSON *header = part_json(part, len);
    const char *alg = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(header, "alg"));
    bool ok = alg && strcmp(alg, "HS256") == 0;

    cJSON_Delete(header);
    return ok;
}

static const char *check_claims(const cJSON *claims, int64_t now, char user_id[JWT_USER_LEN + 1])
{
    const cJSON *exp = cJSON_GetObjectItemCaseSensitive(claims, "exp");
    const cJSON *iat = cJSON_GetObjectItemCaseSensitive(claims, "iat");
    const char *user = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(claims, "userId"));

    if (!cJSON_IsNumber(exp) || !cJSON_IsNumber(iat))
        return "token without times";
    if (exp->valuedouble <= (double)now)
        return "token expired";
    if (iat->valuedouble > (double)(now + CLOCK_SKEW))
        return "token from the future";
    if (user && strlen(user) > JWT_USER_LEN)
        return "token with a user id that is too long";
    (void)snprintf(user_id, JWT_USER_LEN + 1, "%s", user ? user : "");
    return NULL;
}

const char *jwt_check(const struct jwt_key *key, const char *token, int64_t now,
                      char user_id[JWT_USER_LEN + 1])
{
    const char *dot1 = strchr(token, '.');
    const char *dot2 = dot1 ? strchr(dot1 + 1, '.') : NULL;
    unsigned char want[MAC_LEN];
    unsigned char got[MAC_LEN];
    const char *reason;
    cJSON *claims;

    if (!dot2)
        return "not a token";
    if (!header_ok(token, (size_t)(dot1 - token)))
        return "token algorithm not accepted";
    sign(key, token, (size_t)(dot2 - token), want);
    if (base64url_decode(got, sizeof got, dot2 + 1, strlen(dot2 + 1)) != MAC_LEN ||
        CRYPTO_memcmp(want, got, MAC_LEN) != 0)
        return "token signature wrong";
    claims = part_json(dot1 + 1, (size_t)(dot2 - dot1 - 1));
    reason = claims ? check_claims(claims, now, user_id) : "not a token";
    cJSON_Delete(claims);
    return reason;
}
