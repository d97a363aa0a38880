/* Tickets in memory: a chained hash table, and a list in the order of making by which the old ones
 * are swept out.  An expired ticket is kept for a while, so that its late use can be called by its
 * name. */
#include "tickets.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS     4096
#define MAX_TICKETS 100000
#define KEEP_MS     60000

struct entry {
    char ticket[TICKET_LEN + 1];
    struct ticket_value value;
    uint64_t expires; /* mono_ms() */
    struct entry *next_in_bucket;
    struct entry *older, *newer;
};

struct memory_store {
    struct ticket_store base;
    struct entry *buckets[BUCKETS];
    struct entry *oldest, *newest;
    size_t count;
};

void ticket_make(char out[TICKET_LEN + 1])
{
    unsigned char raw[TICKET_LEN / 2];

    random_bytes(raw, sizeof raw);
    hex_encode(out, raw, sizeof raw);
}

bool ticket_wellformed(const char *text)
{
    return strspn(text, "0123456789abcdef") == TICKET_LEN && !text[TICKET_LEN];
}

/* Tickets are random, so their own digits are a hash. */
static struct entry **bucket_of(struct memory_store *store, const char *ticket)
{
    char digits[9];

    memcpy(digits, ticket, 8);
    digits[8] = '\0';
    return &store->buckets[strtoul(digits, NULL, 16) % BUCKETS];
}

static void drop_entry(struct memory_store *store, struct entry *entry)
{
    struct entry **at = bucket_of(store, entry->ticket);

    while (*at != entry)
        at = &(*at)->next_in_bucket;
    *at = entry->next_in_bucket;
    if (entry->older)
        entry->older->newer = entry->newer;
    else
        store->oldest = entry->newer;
    if (entry->newer)
        entry->newer->older = entry->older;
    else
        store->newest = entry->older;
    store->count--;
    free(entry);
}

static void drop_oldest(struct memory_store *store)
{
    assert(!store->oldest->older);
    drop_entry(store, store->oldest);
}

static void sweep(struct memory_store *store)
{
    while (store->oldest &&
           (store->count >= MAX_TICKETS || store->oldest->expires + KEEP_MS < mono_ms()))
        drop_oldest(store);
}

static void memory_put(struct ticket_store *base, const char *ticket,
                       const struct ticket_value *value, unsigned ttl_s, ticket_cb cb, void *arg)
{
    struct memory_store *store = (struct memory_store *)base;
    struct entry **bucket = bucket_of(store, ticket);
    struct entry *entry;

    sweep(store);
    entry = xalloc(sizeof *entry);
    memcpy(entry->ticket, ticket, sizeof entry->ticket);
    entry->value = *value;
    entry->expires = mono_ms() + ttl_s * 1000ull;
    entry->next_in_bucket = *bucket;
    *bucket = entry;
    entry->older = store->newest;
    *(store->newest ? &store->newest->newer : &store->oldest) = entry;
    store->newest = entry;
    store->count++;
    cb(arg, TICKET_OK, NULL);
}

static void memory_take(struct ticket_store *base, const char *ticket, ticket_cb cb, void *arg)
{
    struct memory_store *store = (struct memory_store *)base;
    struct entry *entry = *bucket_of(store, ticket);
    struct ticket_value value;
    bool expired;

    while (entry && strcmp(entry->ticket, ticket) != 0)
        entry = entry->next_in_bucket;
    if (!entry) {
        cb(arg, TICKET_UNKNOWN, NULL);
        return;
    }
    value = entry->value;
    expired = mono_ms() >= entry->expires;
    drop_entry(store, entry);
    if (expired)
        cb(arg, TICKET_EXPIRED, NULL);
    else
        cb(arg, TICKET_OK, &value);
}

static void memory_close(struct ticket_store *base)
{
    struct memory_store *store = (struct memory_store *)base;

    while (store->oldest)
        drop_oldest(store);
    free(store);
}

struct ticket_store *tickets_memory_new(void)
{
    struct memory_store *store = xalloc(sizeof *store);

    store->base.put = memory_put;
    store->base.take = memory_take;
    store->base.close = memory_close;
    return &store->base;
}
