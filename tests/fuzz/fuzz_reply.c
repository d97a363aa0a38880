/* Any bytes as a reply (the first byte chooses how it is read) and as a token file. */
#include "fuzz.h"
#include "wire/json.h"
#include "wire/reply.h"

#include <string.h>

static void check_json(const char *body, size_t n)
{
    struct cJSON *root;
    size_t at;

    /* What passes the check must be readable for cJSON, else it frees secrets unwiped. */
    MUST(wst__json_read(body, n, &root, &at) != WST__JSON_NOMEM);
    MUST(at <= n);
    wst__json_drop(root);
}

static void check_record(const char *body, size_t n)
{
    struct wst__token_record r;
    struct wst__token_record again;
    struct wst__buf b;

    if (!wst__token_record_read(body, n, &r))
        return;
    wst__buf_init(&b, 1 << 20, true);
    MUST(wst__token_record_write(&r, &b) == 0);
    MUST(wst__token_record_read((char *)b.data, b.len, &again));
    MUST(wst__secret_equal(&r.token, &again.token) && strcmp(r.origin, again.origin) == 0);
    MUST(r.received_at == again.received_at && r.life_s == again.life_s);
    wst__token_record_fini(&r);
    wst__token_record_fini(&again);
    wst__buf_fini(&b);
}

static void check_token(const struct wst__reply_spec *spec, const char *body, size_t n)
{
    struct wst__token_reply out;
    struct wst_cause why;

    if (wst__reply_token(spec, body, n, 1700000000, &out, &why) == 0) {
        MUST(out.token.len > 0 && out.token.len <= 16384);
        MUST(out.life_ms == -1 || (out.life_ms > 0 && out.life_ms <= INT64_C(315360000000)));
    } else {
        MUST(why.code == WST_ERR_BAD_REPLY && wst__secret_empty(&out.token));
    }
    wst__secret_drop(&out.token);
}

static void check_ticket(const struct wst__reply_spec *spec, const char *body, size_t n)
{
    struct wst__ticket_reply out;
    struct wst_cause why;

    if (wst__reply_ticket(spec, body, n, 1700000000, &out, &why) == 0) {
        MUST(out.value.len > 0 && out.value.len <= 4096);
        MUST(out.life_ms > 0 && out.life_ms <= 86400000);
        MUST(out.retry_after_ms <= 86400000 && out.spread_ms <= 86400000);
    } else {
        MUST(why.code == WST_ERR_BAD_REPLY && wst__secret_empty(&out.value));
    }
    wst__secret_drop(&out.value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wst__reply_spec spec = {0};
    const char *body = (const char *)data + 1;
    uint64_t retry_after_ms;
    uint64_t spread_ms;

    if (size == 0)
        return 0;
    spec.expiry_format = (enum wst_expiry_format)(data[0] % 5);
    spec.value_pointer = data[0] & 0x20 ? "/a/0/b~1c" : NULL;
    spec.success_pointer = data[0] & 0x40 ? "/ok" : NULL;
    spec.url_pointer = data[0] & 0x80 ? "/url" : NULL;
    check_json(body, size - 1);
    check_token(&spec, body, size - 1);
    check_ticket(&spec, body, size - 1);
    check_record(body, size - 1);
    wst__reply_steering(body, size - 1, &retry_after_ms, &spread_ms);
    MUST(retry_after_ms <= 86400000 && spread_ms <= 86400000);
    return 0;
}
