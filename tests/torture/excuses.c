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
    const char *ending;       /* In the text of what went wrong; a sanitizer names no signal. */
    enum fault_owner crasher; /* Whose code was run when it crashed; OWNERS: nothing crashed. */
    const char *crash;        /* In the stack of the crash, before any frame of ours. */
} excuses[] = {
#define OPENSSL(why, most, all, start, frame, ending)                                              \
    {                                                                                              \
        {why, most, all}, OWNER_OPENSSL, start, {frame, NULL}, ending, OWNERS, NULL                \
    }
#define CRASH(why, most, all, owner, frame1, frame2, ending, crasher, crash)                       \
    {                                                                                              \
        {why, most, all}, owner, ANYWHERE, {frame1, frame2}, ending, crasher, crash                \
    }
    OPENSSL("OpenSSL begins once in a process: it does not try again, and we say so", 32, 0,
            IN_START, NULL, "cannot be made"),
    OPENSSL("OpenSSL begins without the parts for which there was no memory", 10, 0, IN_START, NULL,
            "does not open any more"),
    OPENSSL("OpenSSL initialises its parts once, and does not try again", 6, 0, ANYWHERE,
            "CRYPTO_THREAD_run_once", "does not open any more"),
    OPENSSL("OpenSSL asks a provider for algorithms once, also if it had no memory for them", 8,
            160, ANYWHERE, "_fetch+", "does not open any more"),
    OPENSSL("the same, of decoders", 8, 0, ANYWHERE, "_do_all_provided+", "does not open any more"),
    OPENSSL("OpenSSL loses a name of an algorithm", 14, 1000, ANYWHERE, "CRYPTO_strndup",
            "2 blocks of OpenSSL are left"),
    OPENSSL("OpenSSL loses the record of a handler", 2, 0, IN_START, "OPENSSL_atexit",
            "1 blocks of OpenSSL are left"),
    OPENSSL("OpenSSL's generator is begun once", 50, 0, ANYWHERE, "RAND_get0_p", "cannot be made"),
    OPENSSL("OpenSSL leaves an algorithm out of a context when it has no memory to look for it", 3,
            0, ANYWHERE, "SSL_CTX_new_ex", "does not open any more"),
    OPENSSL("libcurl loses the pinned key when it has no digest", 2, 0, ANYWHERE, "libcurl.so.4",
            "1 blocks of libcurl are left"),
    /* Not in every run. */
    CRASH("libcurl asks a TLS connection in vain that had no memory to read, until a deadline", 4,
          0, OWNER_OPENSSL, "libcurl.so.4", "libssl.so.3", "the loop has spun", OWNERS, NULL),
    CRASH("libcurl's check of a pinned key does not look whether it has a digest", 2, 0,
          OWNER_OPENSSL, "libcurl.so.4", NULL, "", OWNER_OPENSSL, "SHA256_Update"),
    CRASH("libcurl frees a name twice when it has no memory for the rest of a TLS session", 2, 0,
          OWNER_CURL, "libssl.so.3 SSL_read", "strdup", "Aborted", OWNER_CURL, "libcurl.so.4"),
    /* Only with "all": the first call from that place does no harm. */
    CRASH("libcurl goes on with a table of transfers that it had no memory for", 1, 0, OWNER_CURL,
          "curl_multi_socket_action", "malloc", "", OWNER_CURL,
          "libcurl.so.4 curl_multi_socket_action"),
    CRASH("libuv ends the process when it has no memory to watch one more descriptor", 2, 0,
          OWNER_UV, "uv_poll_start", "realloc", "Aborted", OWNER_UV, "uv_poll_start"),
    CRASH("libuv ends the process when the kernel does not watch a descriptor", 4, 0, OWNER_UV,
          "epoll_ctl", "uv_run", "Aborted", OWNER_UV, "uv_run"),
    CRASH("libuv ends the process when it cannot begin its pool", 5, 0, OWNER_UV, "uv_once",
          "uv_queue_work", "Aborted", OWNER_UV, "uv_queue_work"),
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

/*
 * Who called last: behind the handler (which is ours; the sanitizer's may stand before it) and the
 * C library; or behind the allocator, inside of which there is nobody else.
 */
static int find_crasher(const struct fault_report *r)
{
    int i = 0;

    while (i < r->crash_frames && !is_allocator(r->crash[i]))
        i++;
    if (i < r->crash_frames)
        return i + 1;
    i = 0;
    while (i < r->crash_frames && faults_owner(r->crash[i]) == OWNER_OTHER)
        i++;
    while (i < r->crash_frames && faults_owner(r->crash[i]) == OWNER_OURS)
        i++;
    while (i < r->crash_frames && faults_owner(r->crash[i]) == OWNER_OTHER)
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
        !strstr(text, e->ending) || (e->crasher != OWNERS) != (r->crash_frames > 0))
        return false;
    for (int i = 0; i < 2 && e->frames[i]; i++) {
        if (!has_frame(r->trace, r->frames, e->frames[i]))
            return false;
    }
    return e->crasher == OWNERS || crashed_in(r, e->crasher, e->crash);
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
