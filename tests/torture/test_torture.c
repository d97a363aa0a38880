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
#include "excuses.h"
#include "faults.h"
#include "peer.h"
#include "story.h"

#include <curl/curl.h>
#include <dirent.h>
#include <execinfo.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
    SHOWN = 50,      /* Failures in detail. */
    NOT_REACHED = 5, /* Percent of the tellings, at most. */
/* Of the many places inside OpenSSL's start, and inside OpenSSL otherwise, one in so many. */
#ifdef __SANITIZE_ADDRESS__
    START_STEP = 32,
    OPENSSL_STEP = 8
#else
    START_STEP = 1,
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
    bool again; /* Its call was not found the first time. */
};

/* How often an excuse was needed; and the first time. */
struct excused {
    long count;
    struct job first;
};

static struct {
    enum fault_kind kind;
    long row;
    bool all, only_ours;
    unsigned tellings; /* Begun. */
    struct fault_record *records[FAULT_THREADS];
    struct job *jobs;
    size_t job_count, next_job;
    size_t calls, places, places_told;
    long told, not_reached, bad, unsent;
    struct excused excused[EXCUSES_MAX];
    long by_owner[OWNERS];
} torture = {.row = 1};

static struct {
    pid_t pid; /* 0: free. */
    struct job job;
    struct result *result;
    FILE *output;
} workers[WORKERS];

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

static void tell(const struct stage *stage, const struct job *job, bool record,
                 struct result *result, FILE *output)
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
    problem = story_tell(stage, &plan, &result->report);
    if (!problem)
        problem = leftovers(fds);
    if (problem)
        (void)snprintf(result->text, sizeof result->text, "%s", problem);
#ifdef TORTURE_COVERAGE
    __gcov_dump();
#endif
    _exit(problem ? PROBLEM : GOOD);
}

/* Begins a telling: a process with a book of its own at the peer. */
static pid_t begin(const struct job *job, bool record, struct result *result, FILE *output)
{
    struct stage stage = peer_stage(++torture.tellings);
    pid_t pid;

    (void)fflush(stdout);
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        tell(&stage, job, record, result, output);
    return pid;
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

static bool is_excused(const struct job *job, const struct result *result)
{
    int i = excuse_find(&result->report, result->text);

    if (i >= 0 && torture.excused[i].count++ == 0)
        torture.excused[i].first = *job;
    return i >= 0;
}

/* Packets came in another order than when it was recorded: the next time they may not. */
static bool is_to_repeat(const struct job *job, const struct result *result, int status)
{
    if (status != 0 || result->report.failed || job->again)
        return false;
    torture.jobs[torture.job_count] = *job;
    torture.jobs[torture.job_count++].again = true;
    return true;
}

static void judge(const struct job *job, const struct result *result, int status, FILE *output)
{
    const struct fault_report *r = &result->report;

    if (is_to_repeat(job, result, status))
        return;
    torture.told++;
    if (torture.told % 1000 == 0) {
        printf("  told %ld of %zu\n", torture.told, torture.job_count);
        (void)fflush(stdout);
    }
    torture.unsent += r->unsent > 0;
    if (r->failed)
        torture.by_owner[r->owner]++;
    else
        torture.not_reached++;
    if (status == 0 || is_excused(job, result))
        return;
    if (++torture.bad <= SHOWN)
        show(job, result, status, output);
}

/* ---- All of them --------------------------------------------------------------------------- */

static void start(int w, const struct job *job)
{
    workers[w].job = *job;
    memset(workers[w].result, 0, sizeof *workers[w].result);
    workers[w].output = tmpfile();
    if (!workers[w].output)
        die("tmpfile");
    workers[w].pid = begin(job, false, workers[w].result, workers[w].output);
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
        torture.records[i] = peer_share(FAULT_RECORDS * sizeof(struct fault_record));
    pid = begin(&nothing, true, result, output);
    if (waitpid(pid, &status, 0) != pid)
        die("recording");
    if (status != 0) {
        show(&nothing, result, status, output);
        peer_remove_files();
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

static void plan_jobs(const struct result *result)
{
    enum { PLACES = 2 * FAULT_THREADS * FAULT_RECORDS };
    uint64_t *places = peer_share(PLACES * sizeof *places);

    torture.jobs =
        peer_share((size_t)FAULT_THREADS * FAULT_RECORDS * FAULT_WAYS * 2 * sizeof(struct job));
    for (int thread = 0; thread < FAULT_THREADS; thread++) {
        long n = result->report.recorded[thread];

        if (n > FAULT_RECORDS)
            die("too many calls");
        torture.calls += (size_t)n;
        for (long k = 0; k < n; k++) {
            const struct fault_record *r = &torture.records[thread][k];
            bool new = is_new(places, PLACES, r->place);
            bool chosen = is_chosen(r, new);

            torture.places += new;
            torture.places_told += new &&chosen;
            for (int way = 0; chosen && way < r->ways; way++)
                add_job(thread, k, way);
        }
    }
    (void)munmap(places, PLACES * sizeof *places);
}

static bool one_telling(char **argv)
{
    struct job job = {.thread = atoi(argv[0]) != 0, .k = atol(argv[1]), .way = atoi(argv[2])};
    struct result *result = peer_share(sizeof *result);
    pid_t pid;
    int status;

    record(result);
    memset(result, 0, sizeof *result);
    pid = begin(&job, false, result, NULL);
    if (waitpid(pid, &status, 0) != pid)
        die("telling");
    show(&job, result, status, NULL);
    return status == 0;
}

/* With "all" more than one call from a place fails, and each may need the place's excuse. */
static long excused_most(const struct excuse_info *e)
{
    size_t calls = torture.all ? torture.calls : torture.places;

    if (torture.all && e->all)
        return e->all;
    return e->most * (long)((calls + torture.places - 1) / torture.places);
}

/* Was one needed too often? */
static bool show_excuses(void)
{
    const struct excuse_info *e;
    bool good = true;

    for (int i = 0; (e = excuse_info(i)); i++) {
        const struct excused *x = &torture.excused[i];

        if (x->count == 0)
            continue;
        printf("  excused %3ld of at most %3ld, first %d %ld %d: %s\n", x->count, excused_most(e),
               x->first.thread, x->first.k, x->first.way, e->why);
        if (x->count > excused_most(e)) {
            puts("FAILED: that is too often");
            good = false;
        }
    }
    return good;
}

/* On a busy machine the story takes other turns; but more than that were not told at all. */
static bool are_enough_reached(void)
{
    bool enough = torture.not_reached * 100 <= torture.told * NOT_REACHED;

    if (!enough)
        puts("FAILED: too many of the calls were not found again");
    return enough;
}

static int sweep(void)
{
    struct result *result = peer_share(sizeof *result);
    int64_t began = now_ms();
    bool good;

    record(result);
    plan_jobs(result);
    for (int w = 0; w < WORKERS; w++)
        workers[w].result = peer_share(sizeof *workers[w].result);
    printf("%s: %ld + %ld calls from %zu places, %zu told, %zu not told: %zu tellings\n",
           kind_name(), (long)result->report.recorded[0], (long)result->report.recorded[1],
           torture.places, torture.places_told, torture.places - torture.places_told,
           torture.job_count);
    tell_all();
    for (enum fault_owner owner = 0; owner < OWNER_OTHER; owner++)
        printf("  failed in %-8s %ld\n", faults_owner_name(owner), torture.by_owner[owner]);
    printf("  a message was reported unsent in %ld\n", torture.unsent);
    good = show_excuses();
    printf("  told %ld in %.1f s; not reached %ld; FAILED %ld\n", torture.told,
           (double)(now_ms() - began) / 1000, torture.not_reached, torture.bad);
    return !(are_enough_reached() && good && torture.bad == 0);
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
    peer_start();
    rc = argc == 5 ? !one_telling(argv + 2) : sweep();
    peer_remove_files();
    (void)fflush(stdout);
    _exit(rc); /* What the loader holds is no leak, but a sanitizer cannot know it. */
}
