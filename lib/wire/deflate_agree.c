/*
 * The agreement on permessage-deflate (RFC 7692, 7.1).  Offer and answer have the same form: the
 * name, then parameters.  The answer must suit one of the offers.
 */
#include "wire/deflate.h"

#include "wire/field.h"

#include <string.h>

/* One offer, or the answer. */
struct terms {
    bool server_forgets, client_forgets;
    bool has_server_bits, has_client_bits;
    unsigned server_bits, client_bits; /* 0: named without a value. */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct wst__span trim(struct wst__span t)
{
    while (t.n && is_space(t.s[0])) {
        t.s++;
        t.n--;
    }
    while (t.n && is_space(t.s[t.n - 1]))
        t.n--;
    return t;
}

/* Takes what stands before the next |c|, trimmed, off |rest|; all of it when there is none. */
static struct wst__span take_until(struct wst__span *rest, char c)
{
    const char *end = memchr(rest->s, c, rest->n);
    struct wst__span head = {rest->s, end ? (size_t)(end - rest->s) : rest->n};

    rest->s += head.n + (end ? 1 : 0);
    rest->n -= head.n + (end ? 1 : 0);
    return trim(head);
}

/* 8 to 15, without leading zeros, maybe in quotes (RFC 7692, 7.1.2); 0: anything else. */
static unsigned bits_of(struct wst__span v)
{
    if (v.n >= 2 && v.s[0] == '"' && v.s[v.n - 1] == '"') {
        v.s++;
        v.n -= 2;
    }
    if (v.n == 1 && (v.s[0] == '8' || v.s[0] == '9'))
        return (unsigned)(v.s[0] - '0');
    if (v.n == 2 && v.s[0] == '1' && v.s[1] >= '0' && v.s[1] <= '5')
        return 10 + (unsigned)(v.s[1] - '0');
    return 0;
}

static bool set_flag(bool *flag, bool has_value)
{
    bool again = *flag;

    *flag = true;
    return !again && !has_value;
}

static bool set_bits(bool *has, unsigned *bits, bool has_value, struct wst__span value)
{
    bool again = *has;

    *has = true;
    *bits = has_value ? bits_of(value) : 0;
    return !again && (!has_value || *bits);
}

/* One parameter.  False: not one of ours, named twice, or with a value that cannot be. */
static bool read_param(struct terms *t, struct wst__span param)
{
    bool has_value = memchr(param.s, '=', param.n) != NULL;
    struct wst__span name = take_until(&param, '=');
    struct wst__span value = trim(param);

    if (wst__span_is_nocase(name, "server_no_context_takeover"))
        return set_flag(&t->server_forgets, has_value);
    if (wst__span_is_nocase(name, "client_no_context_takeover"))
        return set_flag(&t->client_forgets, has_value);
    if (wst__span_is_nocase(name, "server_max_window_bits"))
        return has_value && set_bits(&t->has_server_bits, &t->server_bits, true, value);
    return wst__span_is_nocase(name, "client_max_window_bits") &&
           set_bits(&t->has_client_bits, &t->client_bits, has_value, value);
}

static bool read_terms(struct terms *t, struct wst__span element)
{
    struct wst__span name = take_until(&element, ';');
    bool more = name.s + name.n < element.s;

    memset(t, 0, sizeof *t);
    if (!wst__span_is_nocase(name, "permessage-deflate"))
        return false;
    while (more) {
        more = memchr(element.s, ';', element.n) != NULL;
        if (!read_param(t, take_until(&element, ';')))
            return false;
    }
    return true;
}

/* Does the answer suit this offer (RFC 7692, 7.1.1 and 7.1.2)? */
static bool suits(const struct terms *answer, const struct terms *offer)
{
    if (offer->server_forgets && !answer->server_forgets)
        return false;
    if (offer->has_server_bits &&
        (!answer->has_server_bits || answer->server_bits > offer->server_bits))
        return false;
    if (!answer->has_client_bits)
        return true;
    return offer->has_client_bits && answer->client_bits &&
           (!offer->client_bits || answer->client_bits <= offer->client_bits);
}

static void settle(struct wst__deflate_params *params, const struct terms *answer,
                   const struct terms *offer)
{
    unsigned own = offer->client_bits ? offer->client_bits : 15;

    params->server_bits = (uint8_t)(answer->has_server_bits ? answer->server_bits : 15);
    params->client_bits = (uint8_t)(answer->has_client_bits ? answer->client_bits : own);
    params->server_forgets = answer->server_forgets;
    params->client_forgets = answer->client_forgets || offer->client_forgets;
}

int wst__deflate_agree(struct wst__deflate_params *params, const char *offered, const char *agreed,
                       struct wst_cause *why)
{
    struct wst__span answers = {agreed, strlen(agreed)};
    struct wst__span offers = {offered ? offered : "", offered ? strlen(offered) : 0};
    struct wst__span element;
    struct terms answer;
    struct terms offer;

    if (!wst__list_next(&answers, &element) || !read_terms(&answer, element))
        return wst__cause(why, WST_ERR_BAD_UPGRADE, WST_STEP_CONNECT,
                          "the server chose an extension or a parameter that we do not know "
                          "(RFC 7692, 7.1)");
    if (wst__list_next(&answers, &element))
        return wst__cause(why, WST_ERR_BAD_UPGRADE, WST_STEP_CONNECT,
                          "the server chose more than one extension (RFC 7692, 5)");
    while (wst__list_next(&offers, &element)) {
        if (read_terms(&offer, element) && suits(&answer, &offer)) {
            settle(params, &answer, &offer);
            return 0;
        }
    }
    return wst__cause(why, WST_ERR_BAD_UPGRADE, WST_STEP_CONNECT,
                      "the server chose permessage-deflate in a way that we did not offer "
                      "(RFC 7692, 7.1)");
}

bool wst__deflate_offer_ok(const char *offered)
{
    struct wst__span offers = {offered, strlen(offered)};
    struct wst__span element;
    struct terms offer;
    size_t count = 0;

    for (; wst__list_next(&offers, &element); count++) {
        if (!read_terms(&offer, element))
            return false;
    }
    return count > 0;
}
