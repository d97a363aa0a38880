/* A pool of random bytes of OpenSSL's generator; what is handed out is wiped from it. */
#include "io/entropy.h"

#include "base/err.h"
#include "base/mem.h"

#include <openssl/rand.h>
#include <string.h>

void wst__entropy_init(struct wst__entropy *e)
{
    e->left = 0;
}

void wst__entropy_fini(struct wst__entropy *e)
{
    wst__wipe(e->pool, sizeof e->pool);
    e->left = 0;
}

int wst__entropy_take(struct wst__entropy *e, void *p, size_t n)
{
    uint8_t *at;

    if (n > sizeof e->pool / 4) /* Large wishes would only drain it. */
        return RAND_bytes(p, (int)n) == 1 ? 0 : WST_ERR_ENTROPY;
    if (n > e->left) {
        if (RAND_bytes(e->pool, sizeof e->pool) != 1)
            return WST_ERR_ENTROPY;
        e->left = sizeof e->pool;
    }
    at = e->pool + sizeof e->pool - e->left;
    memcpy(p, at, n);
    wst__wipe(at, n);
    e->left -= n;
    return 0;
}
