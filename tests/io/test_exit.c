/*
 * The process exits while a thread of the pool is inside OpenSSL, loading trust.  OpenSSL must not
 * free its globals under that thread's feet; and a child that was forked meanwhile, which has no
 * such thread, must not wait for it.
 */
#include "io/io.h"
#include "io/net.h"
#include "io/tls_openssl.h"

#include "lib/certs.h"
#include "lib/world.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { INSIDE_MS = 300, STATUS = 7 };

/* What the child saw, for the test to look at. */
static struct {
    atomic_bool loaded, cleaned, cleaned_while_inside, forks;
    atomic_int fork_ms;
} * seen;

static pid_t owner;
static sem_t inside, cleaned;
static char ca_path[256];

static int64_t clock_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* In the place of OpenSSL's: on the pool, gives exit() the time to do what it must not. */
int X509_STORE_add_cert(X509_STORE *store, X509 *cert)
{
    struct timespec until;

    (void)store;
    (void)cert;
    (void)sem_post(&inside);
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += INSIDE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    seen->cleaned_while_inside = sem_timedwait(&cleaned, &until) == 0;
    seen->loaded = true;
    return 1;
}

/* Set before OpenSSL's handler, so it runs after it. */
static void on_cleaned(void)
{
    if (getpid() != owner)
        _exit(0); /* libuv 1.44 joins at the end of a forked child threads that it does not have. */
    seen->cleaned = true;
    (void)sem_post(&cleaned);
}

static void not_yet(void *arg, const struct wst_cause *why)
{
    (void)arg;
    (void)why;
    _exit(1); /* The process ends before the loop gets to hear of it. */
}

static void exit_in_fork(void)
{
    int64_t began = clock_ms();
    pid_t pid = fork();
    int status;

    if (pid == 0)
        exit(0);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        _exit(1);
    seen->fork_ms = (int)(clock_ms() - began);
}

static void load_and_exit(void)
{
    struct wst__net_options options = {.ca_file = ca_path};
    struct wst__trust_wait wait = {.cb = not_yet};
    struct wst__trust *trust;
    struct wst_cause why;
    struct wst__io io;
    uv_loop_t uv;

    owner = getpid();
    if (atexit(on_cleaned) != 0 || uv_loop_init(&uv) != 0 || wst__io_init(&io, &uv) != 0 ||
        wst__trust_get(&io, &options, &trust, &why) != 0 || wst__trust_want(trust, &wait))
        _exit(1);
    while (sem_wait(&inside) != 0)
        continue;
    if (seen->forks)
        exit_in_fork();
    exit(STATUS);
}

static void run(bool forks)
{
    pid_t pid;
    int status;

    memset(seen, 0, sizeof *seen);
    seen->forks = forks;
    assert_int_equal(sem_init(&inside, 0, 0), 0);
    assert_int_equal(sem_init(&cleaned, 0, 0), 0);
    pid = fork();
    if (pid == 0)
        load_and_exit();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), STATUS);
    assert_true(seen->cleaned);
}

static void exit_waits_for_the_pool(void **state)
{
    (void)state;
    run(false);
    assert_true(seen->loaded);
    assert_false(seen->cleaned_while_inside);
}

static void a_forked_child_does_not_wait(void **state)
{
    (void)state;
    run(true);
    assert_in_range(seen->fork_ms, 0, 1500);
}

/* The test's own process must not have used OpenSSL: another writes the CA's file. */
static int write_ca(void **state)
{
    pid_t pid;
    int status;

    (void)state;
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED)
        return -1;
    (void)snprintf(ca_path, sizeof ca_path, "%s", temp_path("ca.pem"));
    pid = fork();
    if (pid == 0) {
        struct cert ca = cert_make_ca("exit");

        cert_write(&ca, ca_path);
        _exit(0);
    }
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exit_waits_for_the_pool),
                                       cmocka_unit_test(a_forked_child_does_not_wait)};

    return cmocka_run_group_tests(tests, write_ca, NULL);
}
