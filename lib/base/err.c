/* The error map and the names of the public words. */
#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct entry {
    int code;
    enum wst_class cls;
    const char *name;
    const char *text;
};

static const struct entry entries[] = {
#define ENTRY(name, value, cls, text) {value, WST_CLASS_##cls, #name, text},
    WST_ERR_MAP(ENTRY)
#undef ENTRY
};

static const struct entry *find(int err)
{
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        if (entries[i].code == err)
            return &entries[i];
    }
    return NULL;
}

const char *wst_strerror(int err)
{
    const struct entry *e = find(err);

    if (err == 0)
        return "no error";
    return e ? e->text : "unknown error";
}

const char *wst_err_name(int err)
{
    const struct entry *e = find(err);

    if (err == 0)
        return "OK";
    return e ? e->name : "UNKNOWN";
}

enum wst_class wst_err_class(int err)
{
    const struct entry *e = find(err);

    return e ? e->cls : WST_CLASS_NONE;
}

const char *wst_class_name(enum wst_class cls)
{
    static const char *const names[] = {
        [WST_CLASS_NONE] = "none",       [WST_CLASS_TRANSIENT] = "transient",
        [WST_CLASS_SOFT] = "soft",       [WST_CLASS_TOKEN] = "token",
        [WST_CLASS_TICKET] = "ticket",   [WST_CLASS_AUTH] = "auth",
        [WST_CLASS_REFUSED] = "refused", [WST_CLASS_PROTOCOL] = "protocol",
        [WST_CLASS_LOCAL] = "local",
    };

    return (size_t)cls < sizeof names / sizeof names[0] ? names[cls] : "unknown";
}

const char *wst_step_name(enum wst_step step)
{
    static const char *const names[] = {
        [WST_STEP_NONE] = "none",
        [WST_STEP_TOKEN] = "token",
        [WST_STEP_TICKET] = "ticket",
        [WST_STEP_CONNECT] = "connect",
    };

    return (size_t)step < sizeof names / sizeof names[0] ? names[step] : "unknown";
}

const char *wst_state_name(enum wst_state state)
{
    static const char *const names[] = {
        [WST_STATE_IDLE] = "idle",       [WST_STATE_TOKEN] = "token",
        [WST_STATE_TICKET] = "ticket",   [WST_STATE_CONNECTING] = "connecting",
        [WST_STATE_OPEN] = "open",       [WST_STATE_CLOSING] = "closing",
        [WST_STATE_BACKOFF] = "backoff", [WST_STATE_FAILED] = "failed",
    };

    return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

const char *wst_version(void)
{
    return WST_VERSION_STRING;
}

/* Bytes at the end of |text| that begin a character (RFC 3629, 3) and do not finish it. */
static size_t cut_character(const char *text, size_t n)
{
    size_t more = 0;
    unsigned char lead;
    size_t wants;

    while (more < 3 && more < n && ((unsigned char)text[n - 1 - more] & 0xc0) == 0x80)
        more++;
    if (more == n)
        return 0;
    lead = (unsigned char)text[n - 1 - more];
    wants = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    return more < wants ? more + 1 : 0;
}

/* U+0080 to U+009F, two bytes each, become '?': a line end is among them, and CSI. */
static void replace_c1(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        bool c1 = from[0] == '\xc2' && ((unsigned char)from[1] & 0xe0) == 0x80;

        *to++ = c1 ? '?' : *from;
        from += c1;
    }
    *to = '\0';
}

void wst__clean(char *text)
{
    char *first = strchr(text, 0xc2);
    size_t n;

    if (first)
        replace_c1(first);
    n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
    }
    text[n - cut_character(text, n)] = '\0';
}

int wst__cause(struct wst_cause *cause, int code, enum wst_step step, const char *fmt, ...)
{
    va_list ap;

    if (!cause)
        return code;
    memset(cause, 0, sizeof *cause);
    cause->code = code;
    cause->step = step;
    cause->cls = wst_err_class(code);
    va_start(ap, fmt);
    (void)vsnprintf(cause->text, sizeof cause->text, fmt, ap);
    va_end(ap);
    wst__clean(cause->text);
    return code;
}
