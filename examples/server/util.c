/* Small helpers: random bytes, text encodings, clocks. */
#include "util.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void out_of_memory(void)
{
    (void)fputs("wsticket-server: out of memory\n", stderr);
    abort();
}

void *xalloc(size_t size)
{
    void *p = calloc(1, size);

    if (!p)
        out_of_memory();
    return p;
}

char *xstrdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = xalloc(size);

    memcpy(copy, text, size);
    return copy;
}

void xgrow(char **buf, size_t *cap, size_t need)
{
    size_t want = *cap ? *cap : 1024;
    char *grown;

    if (need <= *cap)
        return;
    while (want < need)
        want *= 2;
    grown = realloc(*buf, want);
    if (!grown)
        out_of_memory();
    *buf = grown;
    *cap = want;
}

void random_bytes(void *out, size_t len)
{
    if (RAND_bytes(out, (int)len) != 1) {
        (void)fputs("wsticket-server: no random bytes\n", stderr);
        abort();
    }
}

void hex_encode(char *out, const unsigned char *in, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < len; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * len] = '\0';
}

void uuid_make(char out[UUID_LEN + 1])
{
    unsigned char raw[16];
    char hex[33];

    random_bytes(raw, sizeof raw);
    raw[6] = (unsigned char)((raw[6] & 0x0f) | 0x40);
    raw[8] = (unsigned char)((raw[8] & 0x3f) | 0x80);
    hex_encode(hex, raw, sizeof raw);
    (void)snprintf(out, UUID_LEN + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                   hex + 20);
}

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(char *out, const void *in, size_t len)
{
    const unsigned char *bytes = in;
    unsigned acc = 0;
    int bits = 0;
    size_t i;

    for (i = 0; i < len; i++) {
        acc = (acc << 8 | bytes[i]) & 0xffff;
        for (bits += 8; bits >= 6; bits -= 6)
            *out++ = base64url[acc >> (bits - 6) & 63];
    }
    if (bits)
        *out++ = base64url[acc << (6 - bits) & 63];
    *out = '\0';
}

long base64url_decode(unsigned char *out, size_t size, const char *in, size_t len)
{
    unsigned acc = 0;
    size_t n = 0;
    int bits = 0;
    size_t i;

    for (i = 0; i < len; i++) {
        const char *at = in[i] ? strchr(base64url, in[i]) : NULL;

        if (!at)
            return -1;
        acc = (acc << 6 | (unsigned)(at - base64url)) & 0xffff;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        if (n == size)
            return -1;
        out[n++] = (unsigned char)(acc >> bits);
    }
    /* A lone character or leftover bits that are set: another text of the same bytes. */
    if (bits >= 6 || (acc & ((1u << bits) - 1)))
        return -1;
    return (long)n;
}

void ticket_hash(char *out, size_t digits, const char *ticket)
{
    unsigned char md[SHA256_DIGEST_LENGTH];
    char hex[2 * SHA256_DIGEST_LENGTH + 1];

    SHA256((const unsigned char *)ticket, strlen(ticket), md);
    hex_encode(hex, md, sizeof md);
    memcpy(out, hex, digits);
    out[digits] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool percent_decode(char *text)
{
    char *out = text;

    for (; *text; text++) {
        int hi;
        int lo;

        if (*text != '%') {
            *out++ = *text;
            continue;
        }
        hi = hex_digit(text[1]);
        lo = hi < 0 ? -1 : hex_digit(text[2]);
        if (lo < 0 || (hi == 0 && lo == 0))
            return false;
        *out++ = (char)(hi * 16 + lo);
        text += 2;
    }
    *out = '\0';
    return true;
}

uint64_t mono_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int64_t wall_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
