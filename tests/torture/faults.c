/* Who calls, what is counted, what fails; and which blocks of memory live. */
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANGES = 16, CALLERS = 4096, LIVE = 1 << 17, SKIP = 2, DEPTH = 10, STACK = 20 };

struct range {
    uintptr_t from, to;
    enum fault_owner owner;
};

/* How many calls came from one place of the code. */
struct counter {
    const void *caller;
    long count;
};

struct block {
    void *p;
    size_t n;
    const void *caller;
};

static struct range ranges[RANGES];
static int range_count;
static struct fault_plan plan;
static atomic_long failures_left;
static struct fault_report *report;
static atomic_bool armed, tracking;
static _Thread_local bool on_loop, busy, in_start;

static struct counter counters[FAULT_THREADS][CALLERS];
static atomic_flag counter_lock = ATOMIC_FLAG_INIT;

static struct block live[LIVE];
static _Atomic(void *) dead[LIVE]; /* Freed, and not given out again: as many as find a place. */
static void *stacks[LIVE][STACK];
static atomic_flag live_lock = ATOMIC_FLAG_INIT;

static void lock(atomic_flag *flag)
{
    while (atomic_flag_test_and_set_explicit(flag, memory_order_acquire))
        continue;
}

static void unlock(atomic_flag *flag)
{
    atomic_flag_clear_explicit(flag, memory_order_release);
}

/* ---- Who ----------------------------------------------------------------------------------- */

static const char *const owner_names[OWNERS] = {"ours",  "libuv", "libcurl", "OpenSSL",
                                                "wslay", "cJSON", "zlib",    "other"};

const char *faults_owner_name(enum fault_owner owner)
{
    return owner_names[owner];
}

/* The program has no name in this list. */
static enum fault_owner owner_of(const char *name)
{
    static const struct {
        const char *part;
        enum fault_owner owner;
    } known[] = {{"/libuv.so", OWNER_UV},       {"/libcurl.so", OWNER_CURL},
                 {"/libssl.so", OWNER_OPENSSL}, {"/libcrypto.so", OWNER_OPENSSL},
                 {"/libwslay.so", OWNER_WSLAY}, {"/libcjson.so", OWNER_CJSON},
                 {"/libz.so", OWNER_ZLIB}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strstr(name, known[i].part))
            return known[i].owner;
    }
    return *name ? OWNER_OTHER : OWNER_OURS;
}

static int add_ranges(struct dl_phdr_info *info, size_t size, void *arg)
{
    enum fault_owner owner = owner_of(info->dlpi_name);

    (void)size;
    (void)arg;
    if (strstr(info->dlpi_name, "vdso"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum && owner != OWNER_OTHER && range_count < RANGES; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
            ranges[range_count++] = (struct range){
                info->dlpi_addr + p->p_vaddr, info->dlpi_addr + p->p_vaddr + p->p_memsz, owner};
        }
    }
    return 0;
}

enum fault_owner faults_owner(const void *address)
{
    uintptr_t a = (uintptr_t)address;

    for (int i = 0; i < range_count; i++) {
        if (a >= ranges[i].from && a < ranges[i].to)
            return ranges[i].owner;
    }
    return OWNER_OTHER;
}

void faults_name(const void *address, char *text, size_t size)
{
    Dl_info info = {0};
    const char *file;

    if (!dladdr(address, &info)) {
        (void)snprintf(text, size, "%p", address);
        return;
    }
    file = strrchr(info.dli_fname, '/');
    if (info.dli_sname)
        (void)snprintf(text, size, "%s %s+0x%zx", file ? file + 1 : info.dli_fname, info.dli_sname,
                       (size_t)((const char *)address - (const char *)info.dli_saddr));
    else
        (void)snprintf(text, size, "%s +0x%zx", file ? file + 1 : info.dli_fname,
                       (size_t)((const char *)address - (const char *)info.dli_fbase));
}

/* ---- What fails ---------------------------------------------------------------------------- */

static __attribute__((noinline)) int stack_of(void **trace, int size)
{
    int n;

    busy = true;
    n = backtrace(trace, size);
    busy = false;
    return n;
}

/* FNV-1a of the function's name and the innermost frames; ours here are left out. */
static uint64_t place_of(const char *function, void *const *trace, int frames)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *function; function++)
        h = (h ^ (uint8_t)*function) * UINT64_C(0x100000001b3);
    for (int i = SKIP; i < frames && i < SKIP + DEPTH; i++)
        h = (h ^ (uintptr_t)trace[i]) * UINT64_C(0x100000001b3);
    return h;
}

static __attribute__((noinline)) void record(const char *function, enum fault_owner owner,
                                             const struct fault_way *ways, int way_count,
                                             int thread, const void *caller, long number)
{
    unsigned harmless = 0;
    long n = report->recorded[thread]++;
    void *trace[FAULT_FRAMES];
    int frames = stack_of(trace, SKIP + 1 + DEPTH);

    for (int i = 0; i < way_count; i++)
        harmless |= (unsigned)ways[i].harmless << i;
    if (n >= FAULT_RECORDS)
        return;
    plan.records[thread][n] = (struct fault_record){
        caller,   number,  place_of(function, trace + 1, frames > 0 ? frames - 1 : 0),
        function, owner,   way_count,
        harmless, in_start};
}

static bool is_counted(enum fault_kind kind, enum fault_owner owner)
{
    if (plan.only_ours)
        return owner == OWNER_OURS;
    if (kind == FAULT_ALLOC)
        return owner != OWNER_OTHER;
    return owner == OWNER_OURS || owner == OWNER_UV || owner == OWNER_CURL;
}

static __attribute__((noinline)) const struct fault_way *
fail(const char *function, enum fault_owner owner, const struct fault_way *ways, int count)
{
    const struct fault_way *way = &ways[plan.way < count ? plan.way : 0];
    int frames;

    if (!atomic_exchange(&report->failed, true)) {
        frames = stack_of(report->trace, FAULT_FRAMES);
        report->function = function;
        report->owner = owner;
        report->in_start = in_start;
        report->way = way->name;
        report->place = place_of(function, report->trace + 1, frames > 0 ? frames - 1 : 0);
        report->frames = frames;
    }
    return way;
}

/* The number of this call from there. */
static long count(int thread, const void *caller)
{
    struct counter *all = counters[thread];
    size_t i = (uintptr_t)caller % CALLERS;
    long number;

    lock(&counter_lock);
    while (all[i].caller && all[i].caller != caller)
        i = (i + 1) % CALLERS;
    all[i].caller = caller;
    number = all[i].count++;
    unlock(&counter_lock);
    return number;
}

const struct fault_way *fault_due(enum fault_kind kind, const char *function, const void *caller,
                                  const struct fault_way *ways, int way_count)
{
    enum fault_owner owner;
    int thread = on_loop ? 0 : 1;
    long number;

    if (!armed || busy || kind != plan.kind)
        return NULL;
    owner = faults_owner(caller);
    if (!is_counted(kind, owner))
        return NULL;
    number = count(thread, caller);
    if (plan.records[thread])
        record(function, owner, ways, way_count, thread, caller, number);
    if (thread == plan.thread && caller == plan.caller && number == plan.number)
        failures_left = plan.row;
    if (failures_left <= 0)
        return NULL;
    failures_left--;
    return fail(function, owner, ways, way_count);
}

void fault_start(bool begins)
{
    in_start = begins;
}

void fault_waited(void)
{
    if (report)
        report->waits++;
}

/* ---- What lives ---------------------------------------------------------------------------- */

static size_t slot_of(const void *p)
{
    return (size_t)(((uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % LIVE;
}

/* Only in a detailed telling: it takes its time. */
static void keep_stack(size_t i)
{
    int n = busy ? 0 : stack_of(stacks[i], STACK);

    memset(&stacks[i][n], 0, (size_t)(STACK - n) * sizeof stacks[i][0]);
}

void *fault_born(void *p, size_t n, const void *caller)
{
    size_t i;

    if (!p || !tracking)
        return p;
    if (dead[slot_of(p)] == p)
        dead[slot_of(p)] = NULL;
    if (faults_owner(caller) == OWNER_OTHER)
        return p;
    lock(&live_lock);
    for (i = slot_of(p); live[i].p; i = (i + 1) % LIVE)
        continue;
    live[i] = (struct block){p, n, caller};
    if (plan.stacks)
        keep_stack(i);
    unlock(&live_lock);
    return p;
}

/* Fills the hole, so that what was put behind it is still found. */
static void remove_at(size_t hole)
{
    for (size_t i = (hole + 1) % LIVE; live[i].p; i = (i + 1) % LIVE) {
        size_t home = slot_of(live[i].p);

        if ((i - home) % LIVE < (i - hole) % LIVE)
            continue;
        live[hole] = live[i];
        memcpy(stacks[hole], stacks[i], plan.stacks ? sizeof stacks[i] : 0);
        hole = i;
    }
    live[hole].p = NULL;
}

void fault_dead(void *p)
{
    size_t i;

    if (!p || !tracking)
        return;
    /* The C library would notice later, anywhere, or never. */
    if (atomic_exchange(&dead[slot_of(p)], p) == p) {
        busy = true;
        (void)fputs("a block is freed twice\n", stderr);
        abort();
    }
    lock(&live_lock);
    for (i = slot_of(p); live[i].p && live[i].p != p; i = (i + 1) % LIVE)
        continue;
    if (live[i].p)
        remove_at(i);
    unlock(&live_lock);
}

bool faults_are_counted(void)
{
    return tracking;
}

long faults_live(enum fault_owner owner)
{
    long n = 0;

    lock(&live_lock);
    for (size_t i = 0; i < LIVE; i++)
        n += live[i].p && faults_owner(live[i].caller) == owner;
    unlock(&live_lock);
    return n;
}

void faults_show_live(enum fault_owner owner)
{
    char text[256];
    int shown = 0;

    for (size_t i = 0; i < LIVE && shown < 20; i++) {
        if (!live[i].p || faults_owner(live[i].caller) != owner)
            continue;
        faults_name(live[i].caller, text, sizeof text);
        (void)fprintf(stderr, "  %zu bytes of %s\n", live[i].n, text);
        for (int at = 0; plan.stacks && at < STACK && stacks[i][at]; at++) {
            faults_name(stacks[i][at], text, sizeof text);
            (void)fprintf(stderr, "    %s\n", text);
        }
        shown++;
    }
}

/* ---- Life ---------------------------------------------------------------------------------- */

void faults_init(void)
{
    void *trace[2];

    (void)dl_iterate_phdr(add_ranges, NULL);
    (void)backtrace(trace, 2); /* The first call loads a library. */
}

void faults_arm(const struct fault_plan *new_plan, struct fault_report *new_report)
{
    plan = *new_plan;
    report = new_report;
    on_loop = true;
    tracking = true;
    armed = true;
}

void faults_disarm(void)
{
    armed = false;
}
