/*
 * Torture: the story of story.h is told again and again, and in the k-th telling the k-th
 * allocation fails, or the k-th call of an outside function, in each of its ways.
 *
 *   test_torture alloc [all|ours]    allocations of ours and of the libraries, one at a time
 *   test_torture rows                of ours, seven in a row
 *   test_torture calls [all|ours]    outside functions
 *   test_torture KIND THREAD K WAY   one telling, in detail
 *
 * Calls that come from the same place, that is with the same stack, are told once, or each of them
 * with "all" or WST_LONG.  A telling is a process of its own, which has never used the libraries
 * before: so their beginnings fail too, and a crash is one result among others.  After it nothing
 * may be left: no memory of ours, nor of the libraries once they are cleaned up; no descriptor.
 *
 * The peer is a process of its own, too: in the teller nothing runs but the client.
 */
#include "faults.h"
#include "story.h"

#include "lib/certs.h"
#include "lib/site.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum {
    WORKERS = 2,
    ROW = 7,
    PATIENCE_S = 120,   /* For one telling, before it is ended from outside. */
    WAITS_MAX = 200000, /* Turns of the loop in one telling: it does not spin. */
    LATE_MS = 5000,     /* For threads that libcurl has let go. */
    TEXT = 800,
    SHOWN = 50, /* Failures in detail. */
    EXCUSES_MAX = 32,
/* Of the many places inside OpenSSL's start, and inside OpenSSL otherwise, one in so many. */
#ifdef __SANITIZE_ADDRESS__
    START_STEP = 32,
    OPENSSL_STEP = 8
#else
    START_STEP = 8,
    OPENSSL_STEP = 1
#endif
};

enum outcome { GOOD, PROBLEM, CRASHED };

/* Shared with a teller. */
struct result {
    struct fault_report report;
    char text[TEXT];
};

struct job {
    int thread, way;
    long k;
};

static struct {
    enum fault_kind kind;
    long row;
    bool all, only_ours;
    struct stage *stage; /* Shared with the peer. */
    struct fault_record *records[FAULT_THREADS];
    struct job *jobs;
    size_t job_count, next_job;
    long told, not_reached, bad;
    long excused[EXCUSES_MAX];
    long by_owner[OWNERS];
} torture = {.row = 1};

static struct {
    pid_t pid; /* 0: free. */
    struct job job;
    struct result *result;
    FILE *output;
} workers[WORKERS];

static void die(const char *what) __attribute__((noreturn));

static void die(const char *what)
{
    (void)fprintf(stderr, "test_torture: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void *share(size_t size)
{
    void *p =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        die("mmap");
    return p;
}

/* ---- The peer ------------------------------------------------------------------------------ */

static bool answer(struct conn *c, const struct site_frame *f)
{
    if (f->first == 0x8a)
        return true;
    return site_send(c, f->first == 0x89 ? 0x8a : f->first, f->payload, f->n);
}

static bool is_drop(const struct site_frame *f)
{
    return f->first == 0x81 && f->n == sizeof STORY_DROP - 1 &&
           memcmp(f->payload, STORY_DROP, f->n) == 0;
}

/* Compressed messages go back unread. */
static void serve(struct conn *c)
{
    struct site_frame *f = malloc(sizeof *f);
    bool talks = f && site_serve_packed(c);

    while (talks && site_receive(c, f) && !is_drop(f)) {
        if (f->first == 0x88)
            site_close(c, f);
        talks = f->first != 0x88 && answer(c, f);
    }
    free(f);
}

static void write_identity(const struct cert *c, const char *dir)
{
    char cert[160], key[160], command[512];

    (void)snprintf(cert, sizeof cert, "%s/c.pem", dir);
    (void)snprintf(key, sizeof key, "%s/k.pem", dir);
    (void)snprintf(command, sizeof command, "cat %s %s > %s/client.pem", cert, key, dir);
    cert_write(c, cert);
    cert_write_key(c, key, NULL);
    if (system(command) != 0)
        die("client.pem");
}

static void make_stage(struct stage *stage)
{
    struct cert ca = cert_make_ca("torture");
    struct cert leaf = cert_make_server(&ca);
    char name[32], path[256];

    (void)snprintf(path, sizeof path, "%s/ca.pem", stage->dir);
    cert_write(&ca, path);
    (void)snprintf(path, sizeof path, "%s/cas", stage->dir);
    if (mkdir(path, 0700) != 0)
        die(path);
    cert_hash_name(&ca, name, sizeof name);
    (void)snprintf(path, sizeof path, "%s/cas/%s", stage->dir, name);
    cert_write(&ca, path);
    write_identity(&leaf, stage->dir);
    cert_pin(&leaf, stage->pin, sizeof stage->pin);
    stage->port = server_port(server_start(serve, NULL, server_ctx(&leaf)));
}

/* Runs until |until| reports that the parent is gone. */
static void be_peer(int ready, int until)
{
    char byte = 0;

    make_stage(torture.stage);
    if (write(ready, &byte, 1) != 1)
        _exit(1);
    while (read(until, &byte, 1) < 0)
        continue;
    _exit(0);
}

static void start_peer(void)
{
    int ready[2], until[2];
    char byte;
    pid_t pid;

    torture.stage = share(sizeof *torture.stage);
    (void)snprintf(torture.stage->dir, sizeof torture.stage->dir, "/tmp/torture-XXXXXX");
    if (!mkdtemp(torture.stage->dir) || pipe(ready) != 0 || pipe(until) != 0)
        die("stage");
    pid = fork();
    if (pid == 0) {
        (void)close(until[1]);
        be_peer(ready[1], until[0]);
    }
    (void)close(ready[1]);
    if (pid < 0 || read(ready[0], &byte, 1) != 1)
        die("peer");
    (void)close(ready[0]);
    (void)close(until[0]); /* The other end stays open until we end. */
}

static void remove_stage(void)
{
    char command[256];

    (void)snprintf(command, sizeof command, "rm -r %s", torture.stage->dir);
    if (system(command) != 0)
        (void)fputs("the stage is left\n", stderr);
}

/* ---- One telling --------------------------------------------------------------------------- */

static struct result *mine;

static void on_signal(int signal)
{
    mine->report.crash_frames = backtrace(mine->report.crash, FAULT_FRAMES);
    (void)snprintf(mine->text, sizeof mine->text, "%s", strsignal(signal));
    _exit(CRASHED);
}

#ifdef __SANITIZE_ADDRESS__
void __asan_set_death_callback(void (*callback)(void));

static void on_report(void)
{
    mine->report.crash_frames = backtrace(mine->report.crash, FAULT_FRAMES);
    (void)snprintf(mine->text, sizeof mine->text, "AddressSanitizer");
}
#endif

static void catch_signals(void)
{
    static const int signals[] = {SIGABRT, SIGALRM,
                                  SIGPIPE,
#ifndef __SANITIZE_ADDRESS__
                                  SIGSEGV, SIGBUS,
                                  SIGFPE
#endif
    };

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        (void)signal(signals[i], on_signal);
#ifdef __SANITIZE_ADDRESS__
    __asan_set_death_callback(on_report);
#endif
    (void)alarm(PATIENCE_S);
}

/* With "." and "..". */
static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        (void)closedir(dir);
    return n;
}

static int open_fds(void)
{
    return entries("/proc/self/fd");
}

static bool has_threads(void)
{
    return entries("/proc/self/task") > 3;
}

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_left_now(enum fault_owner owner, int fds)
{
    return owner < OWNERS ? faults_live(owner) > 0 : open_fds() > fds;
}

/* libcurl lets a thread go that still resolves: it frees what it holds when it ends. */
static bool is_left(enum fault_owner owner, int fds)
{
    int64_t until = now_ms() + LATE_MS;

    while (is_left_now(owner, fds)) {
        if (!has_threads() || now_ms() >= until)
            return is_left_now(owner, fds); /* It may have ended in between. */
        (void)usleep(1000);                 /* Bounded, for that thread's end. */
    }
    return false;
}

static void clean_up_libraries(void)
{
    uv_library_shutdown();
    curl_global_cleanup();
    OPENSSL_cleanup();
}

static const char *leftovers(int fds)
{
    static char text[200];

    if (mine->report.waits > WAITS_MAX) {
        (void)snprintf(text, sizeof text, "the loop has spun: %ld turns", (long)mine->report.waits);
        return text;
    }
    if (faults_live(OWNER_OURS) > 0) {
        faults_show_live(OWNER_OURS);
        return "memory of ours is left";
    }
    clean_up_libraries();
    for (enum fault_owner owner = 0; owner < OWNER_OTHER; owner++) {
        if (!is_left(owner, 0))
            continue;
        faults_show_live(owner);
        (void)snprintf(text, sizeof text, "%ld blocks of %s are left", faults_live(owner),
                       faults_owner_name(owner));
        return text;
    }
    return is_left(OWNERS, fds) ? "descriptors are left" : NULL;
}

#ifdef TORTURE_COVERAGE
void __gcov_dump(void); /* Writes what this build has counted; _exit() does not. */
#endif

static void tell(const struct job *job, bool record, struct result *result, FILE *output)
{
    struct fault_plan plan = {.kind = torture.kind,
                              .only_ours = torture.only_ours,
                              .thread = job->thread,
                              .way = job->way};
    const char *problem;
    int fds = open_fds();

    mine = result;
    if (!record && job->k >= 0 && job->k < FAULT_RECORDS) {
        const struct fault_record *r = &torture.records[job->thread][job->k];

        plan.caller = r->caller;
        plan.number = r->number;
        plan.row = torture.row;
        plan.harmless = r->harmless >> job->way & 1;
        plan.patient = plan.harmless || (torture.kind == FAULT_ALLOC && r->owner == OWNER_OURS);
    }
    if (output && (dup2(fileno(output), 1) < 0 || dup2(fileno(output), 2) < 0))
        _exit(PROBLEM);
    catch_signals();
    for (int i = 0; record && i < FAULT_THREADS; i++)
        plan.records[i] = torture.records[i];
    if (record)
        plan.patient = plan.harmless = true; /* Nothing fails, so nothing may fail. */
    plan.stacks = !output;
    problem = story_tell(torture.stage, &plan, &result->report);
    if (!problem)
        problem = leftovers(fds);
    if (problem)
        (void)snprintf(result->text, sizeof result->text, "%s", problem);
#ifdef TORTURE_COVERAGE
    __gcov_dump();
#endif
    _exit(problem ? PROBLEM : GOOD);
}

/* ---- The faults of others ------------------------------------------------------------------ */

enum start { ANYWHERE, IN_START };

/*
 * What libraries make of a failed call of their own, and nobody can mend from outside: seen with
 * libuv 1.44.2, libcurl 7.88.1, OpenSSL 3.0.19.  All of an entry's conditions must hold.
 */
static const struct excuse {
    const char *why;
    enum fault_owner owner; /* Of the call that failed. */
    enum start start;
    const char *frame;  /* In the stack of the call that failed; NULL: any. */
    const char *ending; /* In the text of what went wrong: a sanitizer names no signal. */
    const char *crash;  /* In the stack of the crash; NULL: there was none. */
} excuses[] = {
    {"OpenSSL begins once in a process: it does not try again, and we say so", OWNER_OPENSSL,
     IN_START, NULL, "cannot be made", NULL},
    {"OpenSSL begins without the parts for which there was no memory", OWNER_OPENSSL, IN_START,
     NULL, "does not open any more", NULL},
    {"OpenSSL initialises its parts once, and does not try again", OWNER_OPENSSL, ANYWHERE,
     "CRYPTO_THREAD_run_once", "cannot be made", NULL},
    {"OpenSSL initialises its parts once, and does not try again", OWNER_OPENSSL, ANYWHERE,
     "CRYPTO_THREAD_run_once", "does not open any more", NULL},
    {"OpenSSL asks a provider for algorithms once, also if it had no memory for them",
     OWNER_OPENSSL, ANYWHERE, "_fetch+", "does not open any more", NULL},
    {"the same, of decoders", OWNER_OPENSSL, ANYWHERE, "_do_all_provided+",
     "does not open any more", NULL},
    {"OpenSSL loses a name of an algorithm", OWNER_OPENSSL, ANYWHERE, "CRYPTO_strndup",
     "2 blocks of OpenSSL are left", NULL},
    {"OpenSSL loses the record of a handler", OWNER_OPENSSL, IN_START, "OPENSSL_atexit",
     "1 blocks of OpenSSL are left", NULL},
    {"OpenSSL's generator is begun once", OWNER_OPENSSL, ANYWHERE, "RAND_get0_p", "cannot be made",
     NULL},
    {"OpenSSL leaves an algorithm out of a context when it has no memory to look for it",
     OWNER_OPENSSL, ANYWHERE, "SSL_CTX_new_ex", "does not open any more", NULL},
    {"libcurl frees a name twice when it has no memory for the rest of a TLS session", OWNER_CURL,
     ANYWHERE, "libssl.so.3", "", ""},
    {"libcurl goes on with a table of transfers that it had no memory for", OWNER_CURL, ANYWHERE,
     "curl_multi_socket_action", "", "curl_multi_socket_action"},
    {"libuv ends the process when it has no memory to watch one more descriptor", OWNER_UV,
     ANYWHERE, "uv_poll_start", "Aborted", "abort+"},
    {"libuv ends the process when the kernel does not watch a descriptor", OWNER_UV, ANYWHERE,
     "epoll_ctl", "Aborted", "abort+"},
    {"libuv ends the process when it cannot begin its pool", OWNER_UV, ANYWHERE, "uv_queue_work",
     "Aborted", "abort+"},
    {"libcurl's check of a pinned key does not look whether it has a digest", OWNER_OPENSSL,
     ANYWHERE, "libcurl.so.4", "", "SHA256_Update"},
    {"libcurl asks a TLS connection in vain that had no memory to read, until a deadline ends it",
     OWNER_OPENSSL, ANYWHERE, "libcurl.so.4", "the loop has spun", NULL},
    {"libcurl loses the pinned key when it has no digest", OWNER_OPENSSL, ANYWHERE, "libcurl.so.4",
     "blocks of libcurl are left", NULL},
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

static bool fits(const struct excuse *e, const struct result *result)
{
    const struct fault_report *r = &result->report;

    return r->failed && e->owner == r->owner && (e->start == ANYWHERE || r->in_start) &&
           strstr(result->text, e->ending) && (e->crash != NULL) == (r->crash_frames > 0) &&
           (!e->frame || has_frame(r->trace, r->frames, e->frame)) &&
           (!e->crash || has_frame(r->crash, r->crash_frames, e->crash));
}

static bool excuse(const struct result *result)
{
    for (size_t i = 0; i < sizeof excuses / sizeof excuses[0]; i++) {
        if (fits(&excuses[i], result)) {
            torture.excused[i]++;
            return true;
        }
    }
    return false;
}

/* ---- Results ------------------------------------------------------------------------------- */

static void show_stack(const char *what, void *const *trace, int frames)
{
    char name[256];

    printf("  %s\n", what);
    for (int i = 0; i < frames; i++) {
        faults_name(trace[i], name, sizeof name);
        printf("    %s\n", name);
    }
}

static void show_output(FILE *output)
{
    char line[512];

    rewind(output);
    while (fgets(line, sizeof line, output))
        printf("  | %s", line);
}

static const char *kind_name(void)
{
    return torture.kind == FAULT_CALL ? "calls" : torture.row > 1 ? "rows" : "alloc";
}

static void show(const struct job *job, const struct result *result, int status, FILE *output)
{
    const struct fault_report *r = &result->report;

    printf("%s %s %d %ld %d: %s by %s, %s: %s (status %x)\n", status ? "FAILED" : "good",
           kind_name(), job->thread, job->k, job->way, r->failed ? r->function : "nothing failed",
           faults_owner_name(r->owner), r->failed ? r->way : "-", result->text, (unsigned)status);
    show_stack("the call that failed", r->trace, r->frames);
    if (r->crash_frames)
        show_stack("where it ended", r->crash, r->crash_frames);
    if (output)
        show_output(output);
    (void)fflush(stdout);
}

static void judge(const struct job *job, const struct result *result, int status, FILE *output)
{
    const struct fault_report *r = &result->report;

    torture.told++;
    if (torture.told % 1000 == 0) {
        printf("  told %ld of %zu\n", torture.told, torture.job_count);
        (void)fflush(stdout);
    }
    if (r->failed)
        torture.by_owner[r->owner]++;
    else
        torture.not_reached++;
    if (status == 0)
        return;
    if (excuse(result))
        return;
    if (++torture.bad <= SHOWN)
        show(job, result, status, output);
}

/* ---- All of them --------------------------------------------------------------------------- */

static void start(int w, const struct job *job)
{
    pid_t pid;

    workers[w].job = *job;
    memset(workers[w].result, 0, sizeof *workers[w].result);
    workers[w].output = tmpfile();
    if (!workers[w].output)
        die("tmpfile");
    (void)fflush(stdout);
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        tell(job, false, workers[w].result, workers[w].output);
    workers[w].pid = pid;
}

static void wait_for_one(void)
{
    int status;
    pid_t pid = wait(&status);

    for (int w = 0; w < WORKERS; w++) {
        if (workers[w].pid != pid)
            continue;
        judge(&workers[w].job, workers[w].result, status, workers[w].output);
        (void)fclose(workers[w].output);
        workers[w].pid = 0;
        return;
    }
    die("the peer has ended");
}

static void tell_all(void)
{
    int busy = 0;

    while (torture.next_job < torture.job_count || busy > 0) {
        int w = 0;

        while (w < WORKERS && workers[w].pid)
            w++;
        if (w < WORKERS && torture.next_job < torture.job_count) {
            start(w, &torture.jobs[torture.next_job++]);
            busy++;
        } else {
            wait_for_one();
            busy--;
        }
    }
}

static void record(struct result *result)
{
    static const struct job nothing = {.k = -1};
    FILE *output = tmpfile();
    pid_t pid;
    int status;

    for (int i = 0; i < FAULT_THREADS; i++)
        torture.records[i] = share(FAULT_RECORDS * sizeof(struct fault_record));
    pid = fork();
    if (pid == 0)
        tell(&nothing, true, result, output);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        die("recording");
    if (status != 0) {
        show(&nothing, result, status, output);
        exit(1);
    }
    (void)fclose(output);
}

/* Is it the first from its place? */
static bool is_new(uint64_t *places, size_t size, uint64_t place)
{
    size_t i = place % size;

    while (places[i] && places[i] != place)
        i = (i + 1) % size;
    if (places[i])
        return false;
    places[i] = place;
    return true;
}

static void add_job(int thread, long k, int way)
{
    torture.jobs[torture.job_count++] = (struct job){.thread = thread, .way = way, .k = k};
}

/* Is this call to fail in a telling? */
static bool is_chosen(const struct fault_record *r, bool is_new_place)
{
    static long starts, others;

    if (torture.all || (r->owner == OWNER_OURS && torture.kind == FAULT_ALLOC))
        return true;
    if (!is_new_place)
        return false;
    if (r->in_start)
        return starts++ % START_STEP == 0;
    return r->owner != OWNER_OPENSSL || others++ % OPENSSL_STEP == 0;
}

/* Returns the number of places. */
static size_t plan_jobs(const struct result *result)
{
    enum { PLACES = 2 * FAULT_THREADS * FAULT_RECORDS };
    uint64_t *places = share(PLACES * sizeof *places);
    size_t place_count = 0;

    torture.jobs = share((size_t)FAULT_THREADS * FAULT_RECORDS * FAULT_WAYS * sizeof(struct job));
    for (int thread = 0; thread < FAULT_THREADS; thread++) {
        long n = result->report.recorded[thread];

        if (n > FAULT_RECORDS)
            die("too many calls");
        for (long k = 0; k < n; k++) {
            const struct fault_record *r = &torture.records[thread][k];
            bool new = is_new(places, PLACES, r->place);

            place_count += new;
            for (int way = 0, ways = is_chosen(r, new) ? r->ways : 0; way < ways; way++)
                add_job(thread, k, way);
        }
    }
    (void)munmap(places, PLACES * sizeof *places);
    return place_count;
}

static bool one_telling(char **argv)
{
    struct job job = {.thread = atoi(argv[0]) != 0, .k = atol(argv[1]), .way = atoi(argv[2])};
    struct result *result = share(sizeof *result);
    pid_t pid;
    int status;

    record(result);
    memset(result, 0, sizeof *result);
    pid = fork();
    if (pid == 0)
        tell(&job, false, result, NULL);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        die("telling");
    show(&job, result, status, NULL);
    return status == 0;
}

static int sweep(void)
{
    struct result *result = share(sizeof *result);
    int64_t began = now_ms();
    size_t places;

    record(result);
    places = plan_jobs(result);
    for (int w = 0; w < WORKERS; w++)
        workers[w].result = share(sizeof *workers[w].result);
    printf("%s: %ld + %ld calls from %zu places: %zu tellings\n", kind_name(),
           (long)result->report.recorded[0], (long)result->report.recorded[1], places,
           torture.job_count);
    tell_all();
    for (enum fault_owner owner = 0; owner < OWNER_OTHER; owner++)
        printf("  failed in %-8s %ld\n", faults_owner_name(owner), torture.by_owner[owner]);
    for (size_t i = 0; i < sizeof excuses / sizeof excuses[0]; i++)
        printf("  excused %3ld: %s\n", torture.excused[i], excuses[i].why);
    printf("  told %ld in %.1f s; not reached %ld; FAILED %ld\n", torture.told,
           (double)(now_ms() - began) / 1000, torture.not_reached, torture.bad);
    /* On a busy machine the story takes other turns; but this many were not told at all. */
    if (torture.not_reached * 2 > torture.told)
        puts("FAILED: most of the calls were not found again");
    return torture.bad > 0 || torture.not_reached * 2 > torture.told;
}

/* The excuses are of these versions.  With others, only our own calls fail. */
static bool are_known_libraries(void)
{
    bool known = OPENSSL_VERSION_MAJOR == 3 && OPENSSL_VERSION_MINOR == 0 &&
                 LIBCURL_VERSION_NUM >> 8 == 0x0758 && UV_VERSION_MINOR == 44;

    if (!known)
        puts("other versions of libraries than those of Debian 12: only our own calls fail");
    return known;
}

int main(int argc, char **argv)
{
    int rc;

    if (argc < 2) {
        (void)fputs("usage: test_torture alloc|rows|calls [all | ours | THREAD K WAY]\n", stderr);
        return 2;
    }
    torture.kind = strcmp(argv[1], "calls") == 0 ? FAULT_CALL : FAULT_ALLOC;
    torture.row = strcmp(argv[1], "rows") == 0 ? ROW : 1;
    torture.all = getenv("WST_LONG") || (argc == 3 && strcmp(argv[2], "all") == 0);
    torture.only_ours =
        torture.row > 1 || (argc == 3 && strcmp(argv[2], "ours") == 0) || !are_known_libraries();
    (void)setenv("UV_THREADPOOL_SIZE", "2", 1);
    faults_init();
    start_peer();
    rc = argc == 5 ? !one_telling(argv + 2) : sweep();
    remove_stage();
    (void)fflush(stdout);
    _exit(rc); /* What the loader holds is no leak, but a sanitizer cannot know it. */
}
