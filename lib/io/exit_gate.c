/*
 * The gate is a lock: who goes in holds it for reading, exit() takes it for writing and keeps it.
 * That is a matter of milliseconds; a file system that does not answer holds exit() up for two
 * seconds at most.  A child of fork() has none of its parent's threads, so it has nothing to wait
 * for unless a thread of its own has gone in.
 */
#include "io/exit_gate.h"

#include "base/err.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_S = 2 };

static pthread_rwlock_t gate = PTHREAD_RWLOCK_INITIALIZER;
static atomic_bool ending;
static atomic_int last_inside; /* The process of the last thread that went in. */

static void on_exit_of_process(void)
{
    struct timespec until;

    ending = true;
    if (last_inside != getpid())
        return;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    (void)pthread_rwlock_timedwrlock(&gate, &until);
}

/*
 * OpenSSL begins once in a process.  If that fails, for want of memory, it does not try again, and
 * without its default context it would crash later, in RAND_bytes() for one.
 */
static bool openssl_has_begun(void)
{
    return OPENSSL_init_ssl(0, NULL) == 1 && OSSL_LIB_CTX_get0_global_default() != NULL;
}

int wst__exit_gate_init(void)
{
    return openssl_has_begun() && atexit(on_exit_of_process) == 0 ? 0 : WST_ERR_NOMEM;
}

bool wst__exit_gate_enter(void)
{
    if (pthread_rwlock_tryrdlock(&gate) != 0)
        return false;
    last_inside = getpid();
    if (!ending)
        return true;
    (void)pthread_rwlock_unlock(&gate);
    return false;
}

void wst__exit_gate_leave(void)
{
    (void)pthread_rwlock_unlock(&gate);
}
