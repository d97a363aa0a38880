/* Seen with libuv 1.44.2, libcurl 7.88.1, OpenSSL 3.0.19. */
#include "excuses.h"

#include <dlfcn.h>
#include <string.h>

enum start { ANYWHERE, IN_START };

/* All of an entry's conditions must hold. */
static const struct excuse {
    struct excuse_info info;
    enum fault_owner owner; /* Of the call that failed. */
    enum start start;
    const char *frames[2];    /* Both in the stack of the call that failed; NULL: any. */
    const char *ending;       /* In the text of what went wrong: a sanitizer names no signal. */
    const char *crash;        /* Among the frames where it crashed, above any of ours; NULL: nothing
                                 crashed. */
    enum fault_owner crasher; /* Whose code called last, before it crashed. */
} excuses[] = {
#define ONCE(why, most, start, frame, ending)                                                      \
    {                                                                                              \
        {why, most}, OWNER_OPENSSL, start, {frame, NULL}, ending, NULL, OWNERS                     \
    }
    ONCE("OpenSSL begins once in a process: it does not try again, and we say so", 999, IN_START,
         NULL, "cannot be made"),
    ONCE("OpenSSL begins without the parts for which there was no memory", 999, IN_START, NULL,
         "does not open any more"),
    ONCE("OpenSSL initialises its parts once: no client", 999, ANYWHERE, "CRYPTO_THREAD_run_once",
         "cannot be made"),
    ONCE("OpenSSL initialises its parts once: no connection", 999, ANYWHERE,
         "CRYPTO_THREAD_run_once", "does not open any more"),
    ONCE("OpenSSL asks a provider for algorithms once, also if it had no memory for them", 999,
         ANYWHERE, "_fetch+", "does not open any more"),
    ONCE("the same, of decoders", 999, ANYWHERE, "_do_all_provided+", "does not open any more"),
    ONCE("OpenSSL loses a name of an algorithm", 999, ANYWHERE, "CRYPTO_strndup",
         "2 blocks of OpenSSL are left"),
    ONCE("OpenSSL loses the record of a handler", 999, IN_START, "OPENSSL_atexit",
         "1 blocks of OpenSSL are left"),
    ONCE("OpenSSL's generator is begun once", 999, ANYWHERE, "RAND_get0_p", "cannot be made"),
    ONCE("OpenSSL leaves an algorithm out of a context when it has no memory to look for it", 999,
         ANYWHERE, "SSL_CTX_new_ex", "does not open any more"),
    {{"libcurl frees a name twice when it has no memory for the rest of a TLS session", 999},
     OWNER_CURL,
     ANYWHERE,
     {"libssl.so.3", NULL},
     "",
     "libcurl.so.4",
     OWNER_CURL},
    {{"libcurl goes on with a table of transfers that it had no memory for", 999},
     OWNER_CURL,
     ANYWHERE,
     {"curl_multi_socket_action", NULL},
     "",
     "libcurl.so.4 curl_multi_socket_action",
     OWNER_CURL},
    {{"libuv ends the process when it has no memory to watch one more descriptor", 999},
     OWNER_UV,
     ANYWHERE,
     {"uv_poll_start", NULL},
     "Aborted",
     "uv_poll_start",
     OWNER_UV},
    {{"libuv ends the process when the kernel does not watch a descriptor", 999},
     OWNER_UV,
     ANYWHERE,
     {"epoll_ctl", NULL},
     "Aborted",
     "uv_run",
     OWNER_UV},
    {{"libuv ends the process when it cannot begin its pool", 999},
     OWNER_UV,
     ANYWHERE,
     {"uv_queue_work", NULL},
     "Aborted",
     "uv_queue_work",
     OWNER_UV},
    {{"libcurl's check of a pinned key does not look whether it has a digest", 999},
     OWNER_OPENSSL,
     ANYWHERE,
     {"EVP_MD_CTX_new", "libcurl.so.4"},
     "",
     "SHA256_Update",
     OWNER_OPENSSL},
    ONCE("libcurl asks a TLS connection in vain that had no memory to read, until a deadline", 999,
         ANYWHERE, "libcurl.so.4", "the loop has spun"),
    ONCE("libcurl loses the pinned key when it has no digest", 999, ANYWHERE, "libcurl.so.4",
         "blocks of libcurl are left"),
};

static bool has_frame(void *const *trace, int frames, const char *part)
{
    char name[256];

    for (int i = 0; i < frames; i++) {
        faults_name(trace[i], name, sizeof name);
        if (strstr(name, part))
            return true;
    }
    return false;
}

/* In one of the functions of ours that stand before the C library's? */
static bool is_allocator(const void *address)
{
    static const char *const names[] = {"malloc", "calloc", "realloc", "free", "strdup"};
    Dl_info info = {0};
    bool found = false;

    if (faults_owner(address) != OWNER_OURS || !dladdr(address, &info) || !info.dli_sname)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++)
        found = strcmp(info.dli_sname, names[i]) == 0;
    return found;
}

/* Behind the handler (of ours) and the C library, or the sanitizer: who called last. */
static int find_crasher(const struct fault_report *r)
{
    int i = 0;

    while (i < r->crash_frames && faults_owner(r->crash[i]) == OWNER_OURS)
        i++;
    while (i < r->crash_frames &&
           (faults_owner(r->crash[i]) == OWNER_OTHER || is_allocator(r->crash[i])))
        i++;
    return i;
}

/* A crash of the library itself, with that frame before any of ours? */
static bool crashed_in(const struct fault_report *r, enum fault_owner crasher, const char *frame)
{
    int first = find_crasher(r);
    int end = first;

    while (end < r->crash_frames && faults_owner(r->crash[end]) != OWNER_OURS)
        end++;
    return first < end && faults_owner(r->crash[first]) == crasher &&
           has_frame(r->crash + first, end - first, frame);
}

static bool fits(const struct excuse *e, const struct fault_report *r, const char *text)
{
    if (!r->failed || e->owner != r->owner || (e->start == IN_START && !r->in_start) ||
        !strstr(text, e->ending) || (e->crash != NULL) != (r->crash_frames > 0))
        return false;
    for (int i = 0; i < 2 && e->frames[i]; i++) {
        if (!has_frame(r->trace, r->frames, e->frames[i]))
            return false;
    }
    return !e->crash || crashed_in(r, e->crasher, e->crash);
}

const struct excuse_info *excuse_info(int number)
{
    return number < (int)(sizeof excuses / sizeof excuses[0]) ? &excuses[number].info : NULL;
}

int excuse_find(const struct fault_report *report, const char *text)
{
    for (int i = 0; excuse_info(i); i++) {
        if (fits(&excuses[i], report, text))
            return i;
    }
    return -1;
}
