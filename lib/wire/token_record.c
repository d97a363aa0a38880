/*
 * The token file: {"v":1,"origin":..,"token":..,"receivedAt":..,"lifeSeconds":..}.  It is written
 * by hand because cJSON's printer grows its buffer without wiping what it leaves behind.
 */
#include "base/mem.h"
#include "wire/json.h"
#include "wire/reply.h"

#include <cjson/cJSON.h>
#include <string.h>

#define VERSION    1
#define MAX_ORIGIN 512
#define MAX_LIFE_S (INT64_C(3650) * 86400)
#define MAX_TIME_S (INT64_C(1) << 52) /* A double holds it exactly. */

static int add_string(struct wst__buf *out, const char *s)
{
    int rc = wst__buf_adds(out, "\"");

    for (; *s && rc == 0; s++) {
        if ((unsigned char)*s < 0x20)
            rc = wst__buf_addf(out, "\\u%04x", (unsigned)*s);
        else if (*s == '"' || *s == '\\')
            rc = wst__buf_addf(out, "\\%c", *s);
        else
            rc = wst__buf_add(out, s, 1);
    }
    return rc == 0 ? wst__buf_adds(out, "\"") : rc;
}

static int write_fields(const struct wst__token_record *r, struct wst__buf *out)
{
    int rc = wst__buf_addf(out, "{\"v\":%d,\"origin\":", VERSION);

    if (rc == 0)
        rc = add_string(out, r->origin);
    if (rc == 0)
        rc = wst__buf_adds(out, ",\"token\":");
    if (rc == 0)
        rc = add_string(out, wst__secret_expose(&r->token));
    if (rc == 0)
        rc = wst__buf_addf(out, ",\"receivedAt\":%lld,\"lifeSeconds\":%lld}\n",
                           (long long)r->received_at, (long long)r->life_s);
    return rc;
}

int wst__token_record_write(const struct wst__token_record *r, struct wst__buf *out)
{
    size_t start = out->len;
    int rc = r->token.len > WST__TOKEN_MAX ? WST_ERR_TOO_LARGE : write_fields(r, out);

    if (rc != 0)
        out->len = start; /* A secret buffer wipes all it has, used or not. */
    return rc;
}

/* A string of |max| bytes at most, all of them visible ASCII; NULL when it is anything else. */
static const char *visible(const cJSON *root, const char *field, size_t max)
{
    const cJSON *item = wst__json_at(root, field);
    const char *s = cJSON_IsString(item) ? item->valuestring : NULL;

    if (!s || !*s || strlen(s) > max)
        return NULL;
    for (const char *p = s; *p; p++) {
        if (*p < 0x21 || *p > 0x7e)
            return NULL;
    }
    return s;
}

static bool integer(const cJSON *root, const char *field, int64_t min, int64_t max, int64_t *value)
{
    const cJSON *item = wst__json_at(root, field);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= (double)min) ||
        !(item->valuedouble <= (double)max))
        return false;
    *value = (int64_t)item->valuedouble;
    return true;
}

static bool read_fields(const cJSON *root, struct wst__token_record *out)
{
    const char *origin = visible(root, "/origin", MAX_ORIGIN);
    const char *token = visible(root, "/token", WST__TOKEN_MAX);
    int64_t version;

    if (!origin || !token || !integer(root, "/v", VERSION, VERSION, &version) ||
        !integer(root, "/receivedAt", 0, MAX_TIME_S, &out->received_at) ||
        !integer(root, "/lifeSeconds", -1, MAX_LIFE_S, &out->life_s) || out->life_s == 0)
        return false;
    out->origin = wst__strdup(origin);
    return out->origin && wst__secret_set(&out->token, token, strlen(token)) == 0;
}

bool wst__token_record_read(const char *body, size_t len, struct wst__token_record *out)
{
    cJSON *root = NULL;
    size_t at;
    bool ok;

    memset(out, 0, sizeof *out);
    ok = wst__json_read(body, len, &root, &at) == WST__JSON_OK && read_fields(root, out);
    wst__json_drop(root);
    if (!ok)
        wst__token_record_fini(out);
    return ok;
}

void wst__token_record_fini(struct wst__token_record *r)
{
    wst__secret_drop(&r->token);
    wst__free(r->origin);
    memset(r, 0, sizeof *r);
}
