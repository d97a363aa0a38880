/*
 * Faults on purpose.  The program's own malloc(), socket(), SSL_new() and so on stand before those
 * of the libraries in the order of symbols, so that everybody in the process calls them: ours,
 * libuv, libcurl, OpenSSL, wslay, cJSON, zlib.  They count, and the k-th call fails; all else is
 * passed on.
 *
 * A call is known by its thread (the loop's, or any other: libuv's pool, libcurl's resolver), the
 * place in the code that called, and a number: the how-manieth from there.  So the same call is
 * found in each telling, although threads and packets come in another order.
 */
#ifndef WST_TESTS_FAULTS_H
#define WST_TESTS_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_kind {
    FAULT_ALLOC, /* malloc(), calloc(), realloc(), strdup(): whoever of the libraries calls. */
    FAULT_CALL   /* Outside functions, called by us, libuv or libcurl. */
};

enum fault_owner {
    OWNER_OURS,
    OWNER_UV,
    OWNER_CURL,
    OWNER_OPENSSL,
    OWNER_WSLAY,
    OWNER_CJSON,
    OWNER_ZLIB,
    OWNER_OTHER, /* The C library and the rest: never failed, not counted. */
    OWNERS
};

enum { FAULT_FRAMES = 24, FAULT_THREADS = 2, FAULT_RECORDS = 200 * 1000, FAULT_WAYS = 4 };

/* One way for a function to fail. */
struct fault_way {
    const char *name;
    intptr_t value; /* What it returns. */
    int err;        /* errno. */
    bool harmless;  /* It only means: once more. */
};

/* One counted call, when they are recorded. */
struct fault_record {
    const void *caller;
    long number;    /* From there, from 0. */
    uint64_t place; /* Function and stack. */
    const char *function;
    enum fault_owner owner;
    int ways;
    unsigned harmless; /* A bit for each way. */
    bool in_start;
};

/* What has happened; in memory that is shared with the parent. */
struct fault_report {
    atomic_long recorded[FAULT_THREADS];
    atomic_long waits; /* Calls of epoll_pwait(). */
    long unsent;       /* Messages that the story was told to be unsent. */
    atomic_bool failed;
    const char *function, *way;
    enum fault_owner owner;
    bool in_start; /* Inside of OPENSSL_init_ssl(). */
    uint64_t place;
    int frames;
    void *trace[FAULT_FRAMES];
    int crash_frames; /* Filled in by a signal handler. */
    void *crash[FAULT_FRAMES];
};

struct fault_plan {
    enum fault_kind kind;
    bool only_ours; /* Nothing else is counted. */
    int thread;     /* 0: the loop's; 1: the others. */
    const void *caller;
    long number;
    long row;      /* So many fail: that call, and those that follow from anywhere. */
    bool patient;  /* No attempt may end by a deadline: whoever noticed the fault says so. */
    bool harmless; /* No attempt may fail at all. */
    int way;       /* Of the function that is called, as far as it has so many. */
    bool stacks;   /* Keep the stack of every block, for faults_show_live(). */
    struct fault_record *records[FAULT_THREADS]; /* NULL: not recorded. */
};

/* Before the first fork(). */
void faults_init(void);
/* From now on calls and blocks of memory are counted; this thread is the loop's. */
void faults_arm(const struct fault_plan *plan, struct fault_report *report);
/* Nothing fails any more; blocks are still counted. */
void faults_disarm(void);
/* Blocks of memory that are left of those that were made since faults_arm(). */
long faults_live(enum fault_owner owner);
/* Writes where they were made to stderr. */
void faults_show_live(enum fault_owner owner);
const char *faults_owner_name(enum fault_owner owner);
enum fault_owner faults_owner(const void *address);
/* "libcrypto.so.3 CRYPTO_malloc+0x4f", as far as names are known. */
void faults_name(const void *address, char *text, size_t size);

/* For the functions themselves: the way to fail now; NULL: it does not. */
const struct fault_way *fault_due(enum fault_kind kind, const char *function, const void *caller,
                                  const struct fault_way *ways, int way_count);
/* Are blocks counted?  Since faults_arm(). */
bool faults_are_counted(void);
void *fault_born(void *p, size_t n, const void *caller);
void fault_dead(void *p);
void fault_waited(void);
void fault_start(bool begins);

#endif
