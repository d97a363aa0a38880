#include "ws_reference.h"

#include "wire/message.h"
#include "wire/utf8.h"

#include <stdlib.h>
#include <string.h>

struct reference {
    struct trace *events, *output;
    size_t max_message;
    uint8_t *body;
    size_t body_len;
    unsigned type;
    uint8_t utf8;
};

static bool broken(struct reference *r, const char *error, unsigned code)
{
    uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    trace_add(r->events, "%serror(%s %u)", r->events->len ? " " : "", error, code);
    trace_payload(r->output, "close", payload, 2);
    return false;
}

static bool closed(struct reference *r, const uint8_t *p, size_t n)
{
    unsigned code = n < 2 ? 1005 : (unsigned)(p[0] << 8 | p[1]);

    if (n == 1)
        return broken(r, "WS_PROTOCOL", 1002);
    if (n && (code < 1000 || (code > 1003 && code < 1007) || (code > 1014 && code < 3000) ||
              code > 4999))
        return broken(r, "WS_PROTOCOL", 1002);
    if (n > 2 && wst__utf8_automaton(WST__UTF8_ACCEPT, p + 2, n - 2) != WST__UTF8_ACCEPT)
        return broken(r, "WS_BAD_UTF8", 1007);
    /* As the fixture writes it: up to a NUL; it does not feed reasons with one. */
    trace_add(r->events, "%sclosed(%u%s%.*s)", r->events->len ? " " : "", code, n > 2 ? " " : "",
              n > 2 ? (int)(n - 2) : 0, (const char *)p + 2);
    trace_payload(r->output, "close", p, n ? 2 : 0);
    return false;
}

/* |n| of |size| bytes of a data frame are there. */
static bool data(struct reference *r, const uint8_t *p, size_t n, uint64_t size, bool fin)
{
    if (r->type == WST_TEXT) {
        r->utf8 = wst__utf8_automaton(r->utf8, p, n);
        if (r->utf8 == WST__UTF8_REJECT)
            return broken(r, "WS_BAD_UTF8", 1007);
    }
    if (n < size)
        return false;
    if (n)
        memcpy(r->body + r->body_len, p, n);
    r->body_len += n;
    if (!fin)
        return true;
    if (r->type == WST_TEXT && r->utf8 != WST__UTF8_ACCEPT)
        return broken(r, "WS_BAD_UTF8", 1007);
    trace_payload(r->events, r->type == WST_TEXT ? "text" : "binary", r->body, r->body_len);
    r->type = 0;
    r->body_len = 0;
    return true;
}

/* One frame at |p|; false: the end.  |*used| is its size. */
static bool frame(struct reference *r, const uint8_t *p, size_t n, size_t *used)
{
    unsigned opcode, length, extra;
    uint64_t size;
    size_t head;

    if (n < 2)
        return false;
    opcode = p[0] & 15;
    length = p[1] & 127;
    extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    head = 2 + extra + (p[1] & 0x80 ? 4 : 0);
    if (opcode >= 8 && (length > 125 || !(p[0] & 0x80)))
        return broken(r, "WS_PROTOCOL", 1002);
    if (n < 2 + extra)
        return false;
    size = extra ? 0 : length;
    for (unsigned i = 0; i < extra; i++)
        size = size << 8 | p[2 + i];
    if (extra && (size < (extra == 2 ? 126u : 65536u) || size >> 63))
        return broken(r, "WS_PROTOCOL", 1002);
    if (n < head)
        return false;
    if (p[1] & 0x80 || p[0] & 0x70 || (opcode > 2 && opcode < 8) || opcode > 10 ||
        (opcode < 8 && (opcode == 0) != (r->type != 0)))
        return broken(r, "WS_PROTOCOL", 1002);
    if (opcode < 8) {
        if (size > r->max_message - r->body_len)
            return broken(r, "WS_TOO_LARGE", 1009);
        if (opcode) {
            r->type = opcode;
            r->utf8 = WST__UTF8_ACCEPT;
        }
    }
    *used = head + (size_t)size;
    n -= head;
    if (opcode < 8)
        return data(r, p + head, n < size ? n : (size_t)size, size, p[0] & 0x80);
    if (n < size)
        return false;
    if (opcode == 8)
        return closed(r, p + head, (size_t)size);
    if (opcode == 9)
        trace_payload(r->output, "pong", p + head, (size_t)size);
    else
        trace_payload(r->events, "pong", p + head, (size_t)size);
    return true;
}

void reference_run(const uint8_t *p, size_t n, size_t max_message, struct trace *events,
                   struct trace *output)
{
    struct reference r = {events, output, max_message, malloc(n + 1), 0, 0, 0};
    size_t used = 0;

    while (frame(&r, p, n, &used)) {
        p += used;
        n -= used;
    }
    free(r.body);
}

/* ---- Streams ------------------------------------------------------------------------------- */

static size_t random_size(uint64_t *seed)
{
    switch (draw(seed) % 12) {
    case 0:
        return 0;
    case 1:
        return 120 + draw(seed) % 12;
    case 2:
        return draw(seed) % 6000;
    case 3:
        return draw(seed) % 40 ? 300 : 65530 + draw(seed) % 12;
    default:
        return draw(seed) % 40;
    }
}

static void random_payload(uint64_t *seed, uint8_t *to, size_t n, bool control)
{
    static const char *const chars[] = {"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    size_t at = 0;

    while (at < n) {
        const char *c = chars[draw(seed) % 4];
        size_t size = strlen(c);

        /* A character that does not fit goes on in the next fragment, or is a fault. */
        size = size < n - at ? size : n - at;
        if (draw(seed) % 64)
            size = draw(seed) % 3 ? 1 : size;
        memcpy(to + at, size == 1 && draw(seed) % 32 ? "x" : c, size);
        at += size;
    }
    if (n && !control && draw(seed) % 200 == 0)
        to[draw(seed) % n] ^= (uint8_t)(1 + draw(seed) % 255);
}

size_t reference_stream(uint64_t *seed, uint8_t *to, size_t room)
{
    size_t n = 0;
    bool inside = false;

    for (int frames = (int)(draw(seed) % 30); frames > 0; frames--) {
        bool control = draw(seed) % 5 == 0;
        size_t size = control ? draw(seed) % 126 : random_size(seed);
        bool fin = control || draw(seed) % 3 != 0;
        uint8_t opcode = control  ? (uint8_t)(draw(seed) % 40 ? 9 + draw(seed) % 2 : 8)
                         : inside ? 0
                                  : (uint8_t)(1 + draw(seed) % 2);
        unsigned form = size < 126 ? 0 : size < 65536 ? 2 : 8;
        uint8_t *p = to + n;

        if (room - n < size + 14)
            break;
        if (draw(seed) % 60 == 0)
            opcode = (uint8_t)(draw(seed) % 16);
        if (draw(seed) % 100 == 0)
            fin = !fin;
        if (draw(seed) % 150 == 0)
            form = form == 0 ? 2 : 8;
        p[0] = (uint8_t)((fin ? 0x80 : 0) | opcode);
        if (draw(seed) % 150 == 0)
            p[0] ^= (uint8_t)(0x10 << draw(seed) % 3);
        p[1] = (uint8_t)(form == 0 ? size : form == 2 ? 126 : 127);
        for (unsigned i = 0; i < form; i++)
            p[2 + i] = (uint8_t)((uint64_t)size >> (8 * (form - 1 - i)));
        if (draw(seed) % 200 == 0)
            p[1] |= 0x80;
        random_payload(seed, p + 2 + form, size, control);
        if (opcode == 8 && size >= 2 && draw(seed) % 4) {
            p[2 + form] = 3;
            p[3 + form] = (uint8_t)(0xe8 + draw(seed) % 20);
        }
        n += 2 + form + size;
        if (opcode < 8)
            inside = !fin;
    }
    /* Often the stream just stops. */
    return draw(seed) % 3 && n ? n : n - (n ? draw(seed) % n : 0);
}
