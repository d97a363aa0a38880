/* The payload of a JWT: base64url (RFC 7515, 2) between the first and the second dot. */
#include "wire/jwt.h"

#include "base/mem.h"
#include "wire/json.h"

#include <cjson/cJSON.h>
#include <string.h>

#define MAX_LIFE_S (INT64_C(3650) * 86400)
#define MAX_TOKEN  65536

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '-')
        return 62;
    return c == '_' ? 63 : -1;
}

/* Decodes into |out| (3 bytes for 4 characters are enough); the length, -1 when it is wrong. */
static int64_t decode(const char *s, size_t n, char *out)
{
    uint32_t bits = 0;
    unsigned held = 0;
    int64_t len = 0;

    for (size_t i = 0; i < n; i++) {
        int v = sextet(s[i]);

        if (v < 0)
            return -1;
        bits = (bits << 6 | (uint32_t)v) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[len++] = (char)(bits >> held & 0xff);
        }
    }
    return held == 6 ? -1 : len; /* A single character at the end is no byte. */
}

/* Finds the second of three parts; padding, which RFC 7515 leaves out, is cut off. */
static bool find_payload(const char *token, size_t n, const char **part, size_t *len)
{
    const char *end = token + n;
    const char *first = memchr(token, '.', n);
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;

    if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
        return false;
    *part = first + 1;
    *len = (size_t)(second - *part);
    for (int i = 0; i < 2 && *len && (*part)[*len - 1] == '='; i++)
        (*len)--;
    return *len != 0;
}

/* RFC 7519, 4.1.4 and 4.1.6: NumericDate, which may have a fraction. */
static int64_t life(const cJSON *claims, int64_t wall_s)
{
    const cJSON *exp = wst__json_at(claims, "/exp");
    const cJSON *iat = wst__json_at(claims, "/iat");
    double from = cJSON_IsNumber(iat) ? iat->valuedouble : (double)wall_s;
    double span;

    if (!cJSON_IsNumber(exp))
        return -1;
    span = exp->valuedouble - from;
    return span >= 1 && span <= (double)MAX_LIFE_S ? (int64_t)span : -1;
}

int64_t wst__jwt_life_s(const char *token, size_t n, int64_t wall_s)
{
    const char *part;
    size_t len;
    char *text;
    int64_t text_len;
    int64_t life_s = -1;
    cJSON *claims = NULL;
    size_t at;

    if (n > MAX_TOKEN || !find_payload(token, n, &part, &len))
        return -1;
    text = wst__malloc(len);
    if (!text)
        return -1;
    text_len = decode(part, len, text);
    if (text_len > 0 && wst__json_read(text, (size_t)text_len, &claims, &at) == WST__JSON_OK)
        life_s = life(claims, wall_s);
    wst__json_drop(claims);
    wst__wipe(text, len);
    wst__free(text);
    return life_s;
}
