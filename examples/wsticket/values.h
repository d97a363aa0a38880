/* Values of options: text to numbers. */
#ifndef WSTICKET_VALUES_H
#define WSTICKET_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits and nothing else. */
bool value_number(const char *text, uint64_t *out);
/* "250", "250ms", "10s", "2m", "1h": milliseconds; at most a week. */
bool value_time(const char *text, uint64_t *ms);
/* "4096", "64k", "16M", "1G": bytes; powers of 1024. */
bool value_size(const char *text, size_t *bytes);

#endif
