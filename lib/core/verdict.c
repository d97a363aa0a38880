/* The failure table; verdict.h shows it. */
#include "core/verdict.h"

static bool is_success(enum wst_step step, int status)
{
    /* RFC 6455, 4.1: anything but 101 means that there is no WebSocket, a 2xx included. */
    if (step == WST_STEP_CONNECT)
        return status == 101;
    return status >= 200 && status <= 299;
}

/* 401 and 403: what they refuse is what the step has shown. */
static enum wst_class unauthorized(enum wst_step step, int status)
{
    if (step == WST_STEP_CONNECT)
        return WST_CLASS_TICKET;
    return step == WST_STEP_TICKET && status == 401 ? WST_CLASS_TOKEN : WST_CLASS_AUTH;
}

enum wst_class wst__verdict_http(enum wst_step step, int status)
{
    if (status == 0 || is_success(step, status))
        return WST_CLASS_NONE;
    switch (status) {
    case 401:
    case 403:
        return unauthorized(step, status);
    case 408:
    case 425:
        return WST_CLASS_TRANSIENT;
    case 429:
    case 503:
        return WST_CLASS_SOFT;
    default:
        return status >= 400 && status <= 499 ? WST_CLASS_REFUSED : WST_CLASS_TRANSIENT;
    }
}

static bool is_unauthorized_code(const struct wst__policy *p, int code)
{
    for (uint32_t i = 0; i < p->unauthorized_count && i < WST__MAX_UNAUTHORIZED; i++) {
        if (p->unauthorized[i] == code)
            return true;
    }
    return false;
}

enum wst_class wst__verdict_close(const struct wst__policy *p, int code, bool stable)
{
    if (is_unauthorized_code(p, code))
        return stable ? WST_CLASS_TOKEN : WST_CLASS_TICKET;
    switch (code) { /* RFC 6455, 7.4.1, and the IANA registry of close codes. */
    case 1012:
    case 1013:
        return WST_CLASS_SOFT;
    case 1002:
    case 1003:
    case 1007:
    case 1009:
    case 1010:
        return WST_CLASS_PROTOCOL;
    default:
        return WST_CLASS_TRANSIENT;
    }
}

/* The class that the public map gives.  The table wst_err_class() is in a room the core does not
 * call. */
static enum wst_class of_code(int code)
{
    switch (code) {
#define ROW(name, value, cls, text)                                                                \
    case value:                                                                                    \
        return WST_CLASS_##cls;
        WST_ERR_MAP(ROW)
#undef ROW
    default:
        return WST_CLASS_NONE;
    }
}

static enum wst_class of_close(const struct wst__policy *p, const struct wst__failure *f,
                               bool stable)
{
    enum wst_class cls = wst__verdict_close(p, f->close_code, stable);
    enum wst_class mapped = of_code(f->code);

    /* A link that we ended for its faults, or our own, ends in a code that tells nothing: 1006. */
    if (cls == WST_CLASS_TRANSIENT && (mapped == WST_CLASS_PROTOCOL || mapped == WST_CLASS_LOCAL))
        return mapped;
    return cls;
}

enum wst_class wst__verdict(const struct wst__policy *p, const struct wst__failure *f, bool stable)
{
    /* A proxy's answer says nothing of what the server thinks of token and ticket. */
    bool proxy = f->code == WST_ERR_PROXY || f->code == WST_ERR_PROXY_AUTH;
    enum wst_class cls = WST_CLASS_NONE;

    if (f->close_code != 0)
        cls = of_close(p, f, stable);
    else if (!proxy)
        cls = wst__verdict_http(f->step, f->http_status);
    if (cls == WST_CLASS_NONE) /* No status, or a success whose content is of no use. */
        cls = of_code(f->code);
    /* What has no class is no reason to give up. */
    return cls == WST_CLASS_NONE ? WST_CLASS_TRANSIENT : cls;
}
