/*
 * Any bytes as a life of the core: a policy, and events at any time (tests/core/play.h).  The book
 * beside it objects to every broken promise.
 */
#include "play.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct play p;

    bool kept = play(&p, data, size, NULL, NULL);

    if (!kept)
        fprintf(stderr, "event %llu ms: %s\n", (unsigned long long)p.ev.now_ms, p.book.broken);
    MUST(kept);
    return 0;
}
