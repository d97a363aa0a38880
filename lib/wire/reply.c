/*
 * Token and ticket replies.  The happy path: the text is JSON, the success field (if one was
 * configured) says yes, the value is a string that can be used, the expiry makes a life.  Every way
 * to fail ends in a text that names the field and never a value.
 */
#include "wire/reply.h"

#include "base/mem.h"
#include "wire/date.h"
#include "wire/json.h"
#include "wire/jwt.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DAY_MS             INT64_C(86400000)
#define TOKEN_MAX_LIFE_MS  (3650 * DAY_MS)
#define TICKET_MAX_LIFE_MS DAY_MS
#define TICKET_LIFE_MS     30000

/* One reply being read, and where the story of a failure goes. */
struct reading {
    enum wst_step step;
    int64_t wall_s;
    int64_t max_life_ms;
    cJSON *root;
    struct wst_cause *why;
};

static const char *const token_fields[] = {"/token", "/access_token", "/accessToken", NULL};
static const char *const ticket_fields[] = {"/ticket", NULL};
static const char *const expiry_fields[] = {"/expiresInSeconds", "/expires_in", "/expiresIn", NULL};
static const char *const ticket_expiry_fields[] = {"/expiresInSeconds", NULL};

/* BAD_REPLY: "the ticket reply's field /ticket is a number, expected a string". */
static int refuse(const struct reading *r, const char *field, const char *fmt, ...)
    WST__PRINTF(3, 4);

static int refuse(const struct reading *r, const char *field, const char *fmt, ...)
{
    char what[160];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return wst__cause(r->why, WST_ERR_BAD_REPLY, r->step, "the %s reply%s%.80s %s",
                      wst_step_name(r->step), *field ? "'s field " : "", field, what);
}

static int no_memory(const struct reading *r)
{
    return wst__cause(r->why, WST_ERR_NOMEM, r->step, "out of memory");
}

static bool looks_like_html(const char *body, size_t len)
{
    while (len && strchr(" \t\r\n\xef\xbb\xbf", *body) && *body) {
        body++;
        len--;
    }
    return len && *body == '<';
}

static int read_root(struct reading *r, const char *body, size_t len)
{
    size_t at = 0;

    switch (wst__json_read(body, len, &r->root, &at)) {
    case WST__JSON_OK:
        return 0;
    case WST__JSON_EMPTY:
        return refuse(r, "", "is empty, expected JSON");
    case WST__JSON_CUT:
        return refuse(r, "", "ends in the middle of its JSON");
    case WST__JSON_NUL:
        return refuse(r, "", "has a NUL character in a string");
    case WST__JSON_WRONG:
        if (looks_like_html(body, len))
            return refuse(r, "", "looks like HTML, expected JSON: is the URL right?");
        return refuse(r, "", "is not JSON (at byte %zu)", at);
    default:
        return no_memory(r);
    }
}

/* The success field must equal |value|, as JSON values are equal. */
static int check_success(const struct reading *r, const char *field, const char *value)
{
    cJSON *expected = NULL;
    const cJSON *found;
    bool equal;
    size_t at;

    if (!field)
        return 0;
    if (!value)
        value = "true";
    switch (wst__json_read(value, strlen(value), &expected, &at)) {
    case WST__JSON_OK:
        break;
    case WST__JSON_NOMEM:
        return no_memory(r);
    default:
        return wst__cause(r->why, WST_ERR_INVALID, r->step, "the success value is not JSON");
    }
    found = wst__json_at(r->root, field);
    equal = found && cJSON_Compare(found, expected, 1);
    wst__json_drop(expected);
    if (equal)
        return 0;
    return refuse(r, field, found ? "is not %.60s: no success" : "is missing, expected %.60s",
                  value);
}

/* The configured field, else the first of the defaults that is there; |*field| is its name. */
static const cJSON *find(const struct reading *r, const char *own, const char *const *defaults,
                         const char **field)
{
    *field = own ? own : defaults[0];
    if (own)
        return wst__json_at(r->root, own);
    for (; *defaults; defaults++) {
        const cJSON *item = wst__json_at(r->root, *defaults);

        if (item && !cJSON_IsNull(item)) {
            *field = *defaults;
            return item;
        }
    }
    return NULL;
}

/* NULL when every byte may be there: a token goes into a header, a ticket is encoded. */
static const char *bad_value(const char *s, bool header)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c < 0x20 || c == 0x7f)
            return "has a control character in it";
        if (header && (c == 0x20 || c > 0x7e))
            return "has a character in it that a header cannot carry";
    }
    return NULL;
}

static int take_value(const struct reading *r, const cJSON *item, const char *field, size_t max,
                      struct wst__secret *out)
{
    const char *fault;
    size_t n;

    if (!item)
        return refuse(r, field, "is missing");
    if (!cJSON_IsString(item))
        return refuse(r, field, "is %s, expected a string", wst__json_type(item));
    n = strlen(item->valuestring);
    if (n == 0)
        return refuse(r, field, "is empty");
    if (n > max)
        return refuse(r, field, "is %zu bytes long, more than the limit of %zu", n, max);
    fault = bad_value(item->valuestring, r->step == WST_STEP_TOKEN);
    if (fault)
        return refuse(r, field, "%s", fault);
    return wst__secret_set(out, item->valuestring, n) == 0 ? 0 : no_memory(r);
}

/* The life in milliseconds that |item| stands for, as it is: perhaps negative or absurd. */
static bool expiry_ms(const struct reading *r, const cJSON *item, enum wst_expiry_format format,
                      double *ms)
{
    int64_t date_ms;
    double now_ms = (double)r->wall_s * 1000;

    if (format == WST_EXPIRY_DATE) {
        if (!cJSON_IsString(item) || !wst__date_rfc3339(item->valuestring, &date_ms))
            return false;
        *ms = (double)date_ms - now_ms;
        return true;
    }
    if (!wst__json_number(item, ms))
        return false;
    if (format == WST_EXPIRY_SECONDS || format == WST_EXPIRY_EPOCH_S)
        *ms *= 1000;
    if (format == WST_EXPIRY_EPOCH_S || format == WST_EXPIRY_EPOCH_MS)
        *ms -= now_ms;
    return true;
}

static int take_life(const struct reading *r, const cJSON *item, const char *field,
                     enum wst_expiry_format format, int64_t *life_ms)
{
    bool moment = format != WST_EXPIRY_SECONDS && format != WST_EXPIRY_MS;
    double ms;

    if (!expiry_ms(r, item, format, &ms))
        return refuse(r, field, "is not %s",
                      format == WST_EXPIRY_DATE ? "a date like 2030-01-31T12:00:00Z" : "a number");
    if (ms < 1)
        return refuse(r, field,
                      moment ? "is not in the future by this machine's clock"
                             : "is zero or negative");
    if (ms > (double)r->max_life_ms)
        return refuse(r, field, "is more than %s ahead (are its unit and format right?)",
                      r->step == WST_STEP_TICKET ? "a day" : "10 years");
    *life_ms = (int64_t)ms;
    return 0;
}

/* Reads the expiry when there is one; |*life_ms| stays as it is when there is none. */
static int read_life(const struct reading *r, const struct wst__reply_spec *spec,
                     const char *const *defaults, int64_t *life_ms)
{
    const char *field;
    const cJSON *item = find(r, spec->expiry_pointer, defaults, &field);

    if (!item || cJSON_IsNull(item))
        return 0;
    return take_life(r, item, field, spec->expiry_format, life_ms);
}

static int read_token(const struct reading *r, const struct wst__reply_spec *spec,
                      struct wst__token_reply *out)
{
    const char *field;
    const cJSON *item = find(r, spec->value_pointer, token_fields, &field);
    int64_t jwt_s;
    int rc;

    if (!item && !spec->value_pointer)
        return refuse(r, "", "has none of the fields /token, /access_token, /accessToken");
    rc =
        take_value(r, item, field, spec->max_value ? spec->max_value : WST__TOKEN_MAX, &out->token);
    if (rc != 0)
        return rc;
    rc = read_life(r, spec, expiry_fields, &out->life_ms);
    if (rc != 0 || out->life_ms >= 0)
        return rc;
    jwt_s = wst__jwt_life_s(wst__secret_expose(&out->token), out->token.len, r->wall_s);
    if (jwt_s > 0)
        out->life_ms = jwt_s * 1000;
    return 0;
}

int wst__reply_token(const struct wst__reply_spec *spec, const char *body, size_t len,
                     int64_t wall_s, struct wst__token_reply *out, struct wst_cause *why)
{
    struct reading r = {WST_STEP_TOKEN, wall_s, TOKEN_MAX_LIFE_MS, NULL, why};
    int rc = read_root(&r, body, len);

    memset(out, 0, sizeof *out);
    out->life_ms = -1;
    if (rc == 0)
        rc = check_success(&r, spec->success_pointer, spec->success_value);
    if (rc == 0)
        rc = read_token(&r, spec, out);
    if (rc != 0)
        wst__secret_drop(&out->token);
    wst__json_drop(r.root);
    return rc;
}

/* A duration that the server asks for: never an error, bounded to a day. */
static uint64_t steering_ms(const cJSON *root, const char *field)
{
    const cJSON *item = wst__json_at(root, field);
    double ms;

    if (!item || !wst__json_number(item, &ms) || !(ms > 0))
        return 0;
    return ms > (double)DAY_MS ? (uint64_t)DAY_MS : (uint64_t)ms;
}

static int read_ticket(const struct reading *r, const struct wst__reply_spec *spec,
                       struct wst__ticket_reply *out)
{
    const char *own = spec->url_pointer ? spec->url_pointer : spec->value_pointer;
    const char *field;
    const cJSON *item = find(r, own, ticket_fields, &field);
    int64_t life_ms = (int64_t)spec->default_life_ms;
    int rc = take_value(r, item, field, spec->max_value ? spec->max_value : 4096, &out->value);

    if (rc == 0)
        rc = read_life(r, spec, ticket_expiry_fields, &life_ms);
    out->is_url = spec->url_pointer != NULL;
    out->life_ms = life_ms > 0 ? (uint64_t)life_ms : TICKET_LIFE_MS;
    out->retry_after_ms = steering_ms(r->root, "/retryAfterMs");
    out->spread_ms = steering_ms(r->root, "/reconnectSpreadMs");
    return rc;
}

int wst__reply_ticket(const struct wst__reply_spec *spec, const char *body, size_t len,
                      int64_t wall_s, struct wst__ticket_reply *out, struct wst_cause *why)
{
    struct reading r = {WST_STEP_TICKET, wall_s, TICKET_MAX_LIFE_MS, NULL, why};
    int rc = read_root(&r, body, len);

    memset(out, 0, sizeof *out);
    if (rc == 0)
        rc = check_success(&r, spec->success_pointer, spec->success_value);
    if (rc == 0)
        rc = read_ticket(&r, spec, out);
    if (rc != 0) {
        wst__secret_drop(&out->value);
        memset(out, 0, sizeof *out);
    }
    wst__json_drop(r.root);
    return rc;
}

void wst__reply_steering(const char *body, size_t len, uint64_t *retry_after_ms,
                         uint64_t *spread_ms)
{
    cJSON *root = NULL;
    size_t at;

    *retry_after_ms = *spread_ms = 0;
    if (wst__json_read(body, len, &root, &at) != WST__JSON_OK)
        return;
    *retry_after_ms = steering_ms(root, "/retryAfterMs");
    *spread_ms = steering_ms(root, "/reconnectSpreadMs");
    wst__json_drop(root);
}

bool wst__reply_pointer_ok(const char *pointer)
{
    return wst__json_pointer_ok(pointer);
}

bool wst__reply_value_ok(const char *value)
{
    size_t at;

    return wst__json_check(value, strlen(value), &at) == WST__JSON_OK;
}
