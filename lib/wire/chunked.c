/* A chunked body, byte by byte (RFC 9112, 7.1).  Extensions and trailers are passed over, bounded.
 */
#include "wire/upgrade_internal.h"

#define MAX_DIGITS  15 /* So that the size cannot overflow. */
#define MAX_SKIPPED 4096

enum phase {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* At the start of a trailer line. */
    TRAILER_LINE,
    TRAILER_LF
};

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int go(struct wst__chunked *c, enum phase phase)
{
    c->phase = phase;
    return 1;
}

static int size_byte(struct wst__chunked *c, uint8_t byte)
{
    int digit = hex_value(byte);

    if (digit >= 0) {
        c->left = c->left * 16 + (unsigned)digit;
        return ++c->digits > MAX_DIGITS ? -1 : 1;
    }
    if (c->digits == 0)
        return -1;
    if (byte == '\r')
        return go(c, SIZE_LF);
    return byte == ';' || byte == ' ' || byte == '\t' ? go(c, EXTENSION) : -1;
}

static int skip_byte(struct wst__chunked *c, enum phase phase)
{
    return ++c->skipped > MAX_SKIPPED ? -1 : go(c, phase);
}

static int end_size(struct wst__chunked *c)
{
    c->digits = 0;
    return go(c, c->left ? DATA : TRAILER);
}

int wst__chunked_byte(struct wst__chunked *c, uint8_t byte, bool *data)
{
    *data = c->phase == DATA;
    switch ((enum phase)c->phase) {
    case SIZE:
        return size_byte(c, byte);
    case EXTENSION:
        return byte == '\r' ? go(c, SIZE_LF) : skip_byte(c, EXTENSION);
    case SIZE_LF:
        return byte == '\n' ? end_size(c) : -1;
    case DATA:
        return --c->left ? 1 : go(c, DATA_CR);
    case DATA_CR:
        return byte == '\r' ? go(c, DATA_LF) : -1;
    case DATA_LF:
        return byte == '\n' ? go(c, SIZE) : -1;
    case TRAILER:
        return byte == '\r' ? go(c, TRAILER_LF) : skip_byte(c, TRAILER_LINE);
    case TRAILER_LINE:
        return skip_byte(c, byte == '\n' ? TRAILER : TRAILER_LINE);
    case TRAILER_LF:
        return byte == '\n' ? 0 : -1;
    }
    return -1;
}
