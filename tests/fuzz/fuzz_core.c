/*
 * Any bytes as a life of the core: a policy, and events at any time (tests/core/play.h).  The book
 * beside it objects to every broken promise.
 */
#include "play.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct play p;

    if (!play(&p, data, size, NULL, NULL)) {
        fprintf(stderr, "event %llu ms: %s\n", (unsigned long long)p.ev.now_ms, p.book.broken);
        MUST(!"a promise is broken");
    }
    return 0;
}
