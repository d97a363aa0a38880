/*
 * Any fields of a configuration, set in any order: checked and copied by itself, and given to
 * wst_client_new() on a real loop.  No client is started, so nothing leaves this process.
 *
 * The input is a list of steps: a byte names the field, what follows is its value (see set_string,
 * number).  Fields that hold secrets get a mark, which no error text may repeat.
 */
#include "fuzz.h"
#include "base/mem.h"
#include "client/config.h"
#include "client/config_share.h"

#include <stdbool.h>
#include <string.h>
#include <uv.h>

#define MARK    "sEcReT"
#define ENTRIES 4

enum kind { TEXT, SECRET, SIZE, WIDE, NARROW, CALLBACK };

static const struct {
    size_t offset;
    enum kind kind;
} fields[] = {
#define F(name, kind)                                                                              \
    {                                                                                              \
        offsetof(struct wst_config, name), kind                                                    \
    }
    F(url, TEXT),
    F(token_url, TEXT),
    F(ticket_url, TEXT),
    F(ws_url, TEXT),
    F(allow_plaintext, NARROW),
    F(token_step, NARROW),
    F(token, SECRET),
    F(token_method, TEXT),
    F(token_body, SECRET),
    F(token_content_type, TEXT),
    F(token_pointer, TEXT),
    F(token_expiry_pointer, TEXT),
    F(token_expiry_format, NARROW),
    F(token_success_pointer, TEXT),
    F(token_success_value, TEXT),
    F(token_cb, CALLBACK),
    F(upgrade_bearer, NARROW),
    F(ticket_step, NARROW),
    F(ticket_method, TEXT),
    F(ticket_body, SECRET),
    F(ticket_content_type, TEXT),
    F(ticket_pointer, TEXT),
    F(url_pointer, TEXT),
    F(expiry_pointer, TEXT),
    F(expiry_format, NARROW),
    F(ticket_success_pointer, TEXT),
    F(ticket_success_value, TEXT),
    F(ticket_life_ms, WIDE),
    F(ticket_cb, CALLBACK),
    F(ticket_in, NARROW),
    F(query_name, TEXT),
    F(ticket_header, TEXT),
    F(subprotocol_prefix, TEXT),
    F(compress, NARROW),
    F(compress_offer, TEXT),
    F(compress_min_bytes, SIZE),
    F(user_agent, TEXT),
    F(cookies, NARROW),
    F(ca_file, TEXT),
    F(ca_dir, TEXT),
    F(ca_pem, TEXT),
    F(client_cert, TEXT),
    F(client_key, TEXT),
    F(pinned_key, TEXT),
    F(tls_min, TEXT),
    F(insecure, NARROW),
    F(proxy, TEXT),
    F(no_proxy, TEXT),
    F(interface, TEXT),
    F(base_delay_ms, WIDE),
    F(cap_ms, WIDE),
    F(jitter_percent, NARROW),
    F(max_server_delay_ms, WIDE),
    F(restart_spread_ms, WIDE),
    F(stable_ms, WIDE),
    F(step_timeout_ms, WIDE),
    F(attempt_timeout_ms, WIDE),
    F(close_timeout_ms, WIDE),
    F(ping_interval_ms, WIDE),
    F(ping_timeout_ms, WIDE),
    F(max_attempts, NARROW),
    F(give_up, NARROW),
    F(parallel_dial, NARROW),
    F(max_header_bytes, SIZE),
    F(max_body_bytes, SIZE),
    F(max_message_bytes, SIZE),
    F(max_queue_bytes, SIZE),
    F(queue_low_water, SIZE),
    F(offline_messages, NARROW),
    F(offline_bytes, SIZE),
    F(offline_age_ms, WIDE),
    F(token_cache, TEXT),
    F(store_load, CALLBACK),
    F(store_save, CALLBACK),
    F(store_clear, CALLBACK),
    F(on_message, CALLBACK),
    F(on_chunk, CALLBACK),
    F(log_level, NARROW),
#undef F
};

enum {
    FIELDS = sizeof fields / sizeof fields[0],
    /* Steps that are no plain field. */
    HEADER = FIELDS,
    SUBPROTOCOL,
    CODES,
    STRUCT_SIZE,
    COUNTS_ALONE,
    STEPS
};

/* The input, and all that was made of it. */
struct input {
    const uint8_t *at, *end;
    char *strings[256]; /* So that they can be spoiled after the copy. */
    size_t string_count;
    struct wst_config c;
    struct wst_header headers[ENTRIES];
    const char *subprotocols[ENTRIES];
    uint16_t codes[ENTRIES * 8];
};

static uint8_t byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* A length and as many bytes; 255: NULL.  |mark|: it stands in front of them. */
static char *text(struct input *in, bool mark)
{
    size_t n = byte(in);
    size_t before = mark ? strlen(MARK) : 0;
    char *s;

    if (n == 255)
        return NULL;
    n = n < (size_t)(in->end - in->at) ? n : (size_t)(in->end - in->at);
    s = malloc(before + n + 1);
    MUST(s);
    memcpy(s, MARK, before);
    memcpy(s + before, in->at, n);
    s[before + n] = '\0';
    in->at += n;
    MUST(in->string_count < sizeof in->strings / sizeof in->strings[0]);
    in->strings[in->string_count++] = s;
    return s;
}

/* Numbers at which something changes, or any. */
static uint64_t number(struct input *in)
{
    static const uint64_t edges[] = {
        0,    1,     2,         3,         100,     255,           256,        1023,
        1024, 65536, 604800000, 604800001, 1 << 30, (1 << 30) + 1, UINT64_MAX, INT64_MAX};
    uint8_t first = byte(in);
    uint64_t value = 0;

    if (first < sizeof edges / sizeof edges[0])
        return edges[first];
    for (int i = 0; i < first % 9; i++)
        value = value << 8 | byte(in);
    return value;
}

static void no_callback(void)
{
    abort(); /* Nothing is started: none is called. */
}

static void set_field(struct input *in, size_t field)
{
    char *to = (char *)&in->c + fields[field].offset;
    const char *string;
    uint64_t wide;
    unsigned narrow;
    void (*callback)(void);

    switch (fields[field].kind) {
    case TEXT:
    case SECRET:
        string = text(in, fields[field].kind == SECRET);
        memcpy(to, &string, sizeof string);
        break;
    case SIZE:
    case WIDE:
        wide = number(in);
        memcpy(to, &wide, sizeof wide);
        break;
    case NARROW:
        narrow = (unsigned)number(in);
        memcpy(to, &narrow, sizeof narrow);
        break;
    case CALLBACK:
        callback = byte(in) & 1 ? no_callback : NULL;
        memcpy(to, &callback, sizeof callback);
        break;
    }
}

static void add_header(struct input *in)
{
    struct wst_header *h = &in->headers[in->c.header_count % ENTRIES];

    h->name = text(in, false);
    h->value = text(in, true);
    h->step = (enum wst_step)byte(in);
    in->c.headers = in->headers;
    in->c.header_count = in->c.header_count < ENTRIES ? in->c.header_count + 1 : ENTRIES;
}

static void add_subprotocol(struct input *in)
{
    in->subprotocols[in->c.subprotocol_count % ENTRIES] = text(in, false);
    in->c.subprotocols = in->subprotocols;
    in->c.subprotocol_count =
        in->c.subprotocol_count < ENTRIES ? in->c.subprotocol_count + 1 : ENTRIES;
}

static void set_codes(struct input *in)
{
    in->c.unauthorized_count = byte(in) % (ENTRIES * 8 + 1);
    for (size_t i = 0; i < in->c.unauthorized_count; i++)
        in->codes[i] = (uint16_t)(byte(in) << 8 | byte(in));
    in->c.unauthorized_codes = in->codes;
}

static void step(struct input *in, unsigned what)
{
    switch (what) {
    case HEADER:
        add_header(in);
        break;
    case SUBPROTOCOL:
        add_subprotocol(in);
        break;
    case CODES:
        set_codes(in);
        break;
    case STRUCT_SIZE: /* A program that was built against another header. */
        in->c.size = (size_t)number(in);
        break;
    case COUNTS_ALONE:
        in->c.headers = NULL;
        in->c.subprotocols = NULL;
        in->c.unauthorized_codes = NULL;
        break;
    default:
        set_field(in, what);
        break;
    }
}

static void read_input(struct input *in, const uint8_t *data, size_t size)
{
    memset(in, 0, sizeof *in);
    in->at = data;
    in->end = data + size;
    wst_config_init(&in->c);
    /* Two strings in a step at most. */
    while (in->at < in->end && in->string_count + 2 <= sizeof in->strings / sizeof in->strings[0])
        step(in, byte(in) % STEPS);
}

/* No more than the program's struct has, so that a read beyond its end is seen. */
static struct wst_config *exact(const struct wst_config *c)
{
    size_t least = offsetof(struct wst_config, url);
    size_t n = c->size < least ? least : c->size > sizeof *c ? sizeof *c : c->size;
    struct wst_config *copy = malloc(n);

    MUST(copy);
    memcpy(copy, c, n);
    return copy;
}

static void check_failure(int rc, const struct wst_cause *why)
{
    MUST(rc == WST_ERR_CONFIG && why->code == WST_ERR_CONFIG && why->text[0]);
    MUST(!strstr(why->text, MARK));
    for (const char *p = why->text; *p; p++)
        MUST((unsigned char)*p >= 0x20 && *p != 0x7f);
}

/* A credential does not go out in the clear, unless that was asked for. */
static bool is_safe(const struct wst__config *cfg, const struct wst__url *url)
{
    return !url->host || url->tls || url->loopback || cfg->c.allow_plaintext;
}

static void check_policy(const struct wst__config *cfg)
{
    const uint64_t week = UINT64_C(7) * 86400 * 1000;
    struct wst__policy p;

    wst__config_policy(cfg, &p);
    MUST(p.base_ms >= 1 && p.base_ms <= p.cap_ms && p.cap_ms <= week && p.jitter_percent <= 100);
    MUST(p.step_timeout_ms >= 1 && p.attempt_timeout_ms >= 1 && p.close_timeout_ms >= 1);
    MUST(p.max_server_delay_ms <= week && p.restart_spread_ms <= week && p.stable_ms <= week);
    MUST(p.ping_timeout_ms >= 1 && p.ping_timeout_ms <= week && p.ping_interval_ms <= week);
    MUST(p.unauthorized_count <= WST__MAX_UNAUTHORIZED);
    /* Where to connect is known, or a reply will tell it. */
    MUST(cfg->ws_url.host || (cfg->c.url_pointer && p.ticket_step));
    MUST(is_safe(cfg, &cfg->token_url) && is_safe(cfg, &cfg->ticket_url));
    MUST(is_safe(cfg, &cfg->ws_url));
    MUST(cfg->token_origin && *cfg->token_origin);
}

/* What was copied is whole: it stands the same checks, and is the same again. */
static void check_copy(const struct wst__config *cfg)
{
    struct wst__config again;
    struct wst_cause why;

    check_policy(cfg);
    MUST(wst__config_copy(&again, &cfg->c, &why) == 0);
    MUST(wst__config_equal(cfg, &again));
    MUST(strcmp(cfg->token_origin, again.token_origin) == 0);
    wst__config_fini(&again);
}

static void check_shared(const struct wst_config *c)
{
    struct wst__configs all = {0};
    struct wst__shared_config *a;
    struct wst__shared_config *b;
    struct wst_cause why;

    MUST(wst__config_get(&all, c, &a, &why) == 0);
    MUST(wst__config_get(&all, c, &b, &why) == 0);
    MUST(a == b && a->users == 2);
    wst__config_put(a);
    wst__config_put(b);
    MUST(!all.first);
}

static void on_closed(struct wst_client *client, void *arg)
{
    (void)client;
    *(bool *)arg = true;
}

/* As a program does it.  |good|: the fields are; what files and addresses say is not known yet. */
static void make_client(struct wst_config *c, bool good)
{
    static uv_loop_t uv;
    static struct wst_loop *loop;
    struct wst_client *client;
    struct wst_cause why = {0};
    bool closed = false;
    int rc;

    if (!loop)
        MUST(uv_loop_init(&uv) == 0 && wst_loop_new(&loop, &uv) == 0);
    c->loop = loop;
    rc = wst_client_new(&client, c, &why);
    if (rc != 0) {
        check_failure(rc, &why);
        return;
    }
    MUST(good && wst_client_state(client) == WST_STATE_IDLE);
    wst_client_close(client, on_closed, &closed);
    for (int turns = 0; !closed && turns < 100; turns++)
        (void)uv_run(&uv, UV_RUN_ONCE);
    MUST(closed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in;
    struct wst_config *c;
    struct wst__config cfg;
    struct wst_cause why = {0};
    int rc;

    for (size_t i = 0; i + strlen(MARK) <= size; i++) {
        if (memcmp(data + i, MARK, strlen(MARK)) == 0)
            return 0; /* It would stand where it may. */
    }
    read_input(&in, data, size);
    c = exact(&in.c);
    rc = wst__config_copy(&cfg, c, &why);
    if (rc == 0)
        check_shared(c);
    else
        check_failure(rc, &why);
    make_client(c, rc == 0);
    free(c);
    /* Nothing of the caller's is kept. */
    for (size_t i = 0; i < in.string_count; i++)
        free(in.strings[i]);
    memset(&in, 0x5a, sizeof in);
    if (rc == 0) {
        check_copy(&cfg);
        wst__config_fini(&cfg);
    }
    return 0;
}
