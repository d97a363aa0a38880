/* Sealed records in order, with an account of what they carry. */
#include "io/sealed.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

bool wst__sealed_fits(const struct wst__sealed *box, size_t n)
{
    return n <= WST__SEALED_BYTES - box->len;
}

void wst__sealed_add(struct wst__sealed *box, const void *bytes, size_t n)
{
    size_t last = box->first + box->count - 1;

    memcpy(box->bytes + box->len, bytes, n);
    box->len += n;
    /* What carries nothing leaves together with what follows it. */
    if (box->count > 0 && (box->records[last].plain == 0 || last == WST__SEALED_RECORDS - 1)) {
        box->records[last].sealed += n;
        return;
    }
    box->records[last + 1].sealed = n;
    box->records[last + 1].plain = 0;
    box->count++;
}

void wst__sealed_carries(struct wst__sealed *box, size_t n)
{
    assert(box->count > 0);
    box->records[box->first + box->count - 1].plain += n;
}

size_t wst__sealed_left(struct wst__sealed *box, size_t n)
{
    size_t plain = 0;

    assert(n <= wst__sealed_size(box));
    box->pos += n;
    while (box->count > 0 && n >= box->records[box->first].sealed) {
        n -= box->records[box->first].sealed;
        plain += box->records[box->first].plain;
        box->first++;
        box->count--;
    }
    if (box->count > 0)
        box->records[box->first].sealed -= n;
    else
        wst__sealed_clear(box);
    return plain;
}

void wst__sealed_clear(struct wst__sealed *box)
{
    box->pos = box->len = 0;
    box->first = box->count = 0;
}

struct wst__sealed *wst__sealed_keep(const struct wst__sealed *box)
{
    size_t n = wst__sealed_size(box);
    struct wst__sealed *copy = wst__malloc(sizeof *copy + n);

    if (!copy)
        return NULL;
    *copy = *box;
    copy->bytes = (uint8_t *)(copy + 1);
    memcpy(copy->bytes, box->bytes + box->pos, n);
    copy->pos = 0;
    copy->len = n;
    return copy;
}

bool wst__sealed_extend(struct wst__sealed **copy, const void *bytes, size_t n)
{
    struct wst__sealed *box = *copy;

    if (!wst__sealed_fits(box, n))
        return false;
    box = wst__realloc(box, sizeof *box + box->len + n);
    if (!box)
        return false;
    box->bytes = (uint8_t *)(box + 1);
    wst__sealed_add(box, bytes, n);
    *copy = box;
    return true;
}
