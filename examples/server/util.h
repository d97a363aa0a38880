/* Small helpers: random bytes, text encodings, clocks. */
#ifndef WSTSERVER_UTIL_H
#define WSTSERVER_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define TEXT_OF_(x)  #x
#define TEXT_OF(x)   TEXT_OF_(x) /* a macro's value as a string */

/* malloc, realloc and strdup that end the program when memory is gone: a development server has
 * nothing better to do then.  |xgrow| keeps |*cap| in step. */
void *xalloc(size_t size);
char *xstrdup(const char *text);
void xgrow(char **buf, size_t *cap, size_t need);

/* Fills |out| from OpenSSL's generator. */
void random_bytes(void *out, size_t len);

/* Writes 2 * |len| lower-case hex digits and a NUL. */
void hex_encode(char *out, const unsigned char *in, size_t len);

/* A random UUID, version 4 (RFC 9562, 5.4). */
#define UUID_LEN 36
void uuid_make(char out[UUID_LEN + 1]);

/* base64url without padding (RFC 7515, 2).  |out| of the encoder needs BASE64URL_LEN(len) + 1; the
 * decoder returns the number of bytes, or -1 when the text is not strictly base64url or too long.
 */
#define BASE64URL_LEN(len) (((len)*4 + 2) / 3)
void base64url_encode(char *out, const void *in, size_t len);
long base64url_decode(unsigned char *out, size_t size, const char *in, size_t len);

/* What a log line or a statistic may say of a ticket: the first |digits| hex digits of its SHA-256.
 */
void ticket_hash(char *out, size_t digits, const char *ticket);

/* Replaces %XX in place; false when a % is not followed by two hex digits or the result has a NUL.
 */
bool percent_decode(char *text);

/* Milliseconds of a clock that only goes forward, and seconds and milliseconds of the wall clock.
 */
uint64_t mono_ms(void);
int64_t wall_ms(void);

#endif
