/*
 * What every client of the benchmark shares: its arguments, the clocks, the line that it prints.
 * For C11 and C++17.
 *
 *     CLIENT MODE HOST PORT TLS SIZE COUNT TYPE       TLS 0|1, TYPE text|utf8|binary
 *
 * MODE:
 *     recv   COUNT messages that the server pushes; from open to the last one
 *     send   COUNT messages, as many at a time as the client likes; until the server has them all
 *     turn   the same, one per turn of the client's loop
 *     echo   COUNT ping-pongs, after a warm-up
 *     idle   COUNT connections that stay open; reports the memory
 *     conn   COUNT times open, close handshake, end of TCP, one after another
 *
 * Environment: BENCH_CA (the file of the only CA to trust), BENCH_RESUME=1 (resume TLS sessions),
 * BENCH_LIMIT (seconds after which the client dies), BENCH_COUNTED=1 (instructions are counted: no
 * warm-up, no clock, no statistics of times).
 */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "payload.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum bench_mode { MODE_RECV, MODE_SEND, MODE_TURN, MODE_ECHO, MODE_IDLE, MODE_CONN };

enum { BENCH_WARM_UP = 20 /* One part in so many of the ping-pongs is not measured. */ };

struct bench {
    enum bench_mode mode;
    const char *host;
    const char *ca;
    int port;
    bool tls, resume, counted;
    enum payload type;
    size_t size;
    uint64_t count;
    uint64_t warm_up;
    char path[256];
    uint8_t *payload;
    /* What was measured. */
    double wall, user, sys; /* At the begin, and after bench_stop() what it took. */
    uint32_t *latencies;    /* In nanoseconds. */
    uint64_t latency_count;
};

/* The one of this process. */
static struct bench bench;

static inline uint64_t bench_ns(void)
{
    struct timespec t;

    if (bench.counted)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void bench_read(double *wall, double *user, double *sys)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    *user = (double)r.ru_utime.tv_sec + (double)r.ru_utime.tv_usec / 1e6;
    *sys = (double)r.ru_stime.tv_sec + (double)r.ru_stime.tv_usec / 1e6;
    *wall = (double)bench_ns() / 1e9;
}

/* The part that is measured begins. */
static inline void bench_start(void)
{
    bench_read(&bench.wall, &bench.user, &bench.sys);
}

/* It ends. */
static inline void bench_stop(void)
{
    double wall, user, sys;

    bench_read(&wall, &user, &sys);
    bench.wall = wall - bench.wall;
    bench.user = user - bench.user;
    bench.sys = sys - bench.sys;
}

static inline void bench_latency(uint64_t ns)
{
    if (bench.counted)
        return;
    bench.latencies[bench.latency_count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static inline void bench_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static inline enum bench_mode bench_mode_of(const char *name)
{
    static const char *const names[] = {"recv", "send", "turn", "echo", "idle", "conn"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum bench_mode)i;
    }
    bench_die(name, "not a mode");
    return MODE_RECV;
}

static inline void bench_path(const char *type)
{
    switch (bench.mode) {
    case MODE_RECV:
        snprintf(bench.path, sizeof bench.path, "/recv?size=%zu&count=%llu&type=%s", bench.size,
                 (unsigned long long)bench.count, type);
        break;
    case MODE_SEND:
    case MODE_TURN:
        snprintf(bench.path, sizeof bench.path, "/send?count=%llu",
                 (unsigned long long)bench.count);
        break;
    case MODE_ECHO:
        snprintf(bench.path, sizeof bench.path, "/echo");
        break;
    case MODE_IDLE:
    case MODE_CONN:
        snprintf(bench.path, sizeof bench.path, "/idle");
        break;
    }
}

/* As many descriptors as there may be, no SIGPIPE, and an end in any case. */
static inline void bench_limits(void)
{
    const char *limit = getenv("BENCH_LIMIT");
    struct rlimit files;

    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    alarm(limit ? (unsigned)strtoul(limit, NULL, 10) : 120);
}

static inline void bench_init(int argc, char **argv)
{
    const char *resume = getenv("BENCH_RESUME");
    const char *counted = getenv("BENCH_COUNTED");

    if (argc != 8)
        bench_die(argv[0], "usage: MODE HOST PORT TLS SIZE COUNT TYPE");
    bench.mode = bench_mode_of(argv[1]);
    bench.host = argv[2];
    bench.port = (int)strtol(argv[3], NULL, 10);
    bench.tls = argv[4][0] == '1';
    bench.size = strtoull(argv[5], NULL, 10);
    bench.count = strtoull(argv[6], NULL, 10);
    bench.type = payload_type(argv[7]);
    bench.ca = getenv("BENCH_CA");
    bench.resume = resume && *resume == '1';
    bench.counted = counted && *counted == '1';
    bench.payload = (uint8_t *)malloc(bench.size + 1);
    payload_fill(bench.payload, bench.size, bench.type);
    if (bench.mode == MODE_ECHO) {
        bench.warm_up = bench.counted ? 0 : bench.count / BENCH_WARM_UP;
        bench.latencies = (uint32_t *)calloc(bench.count + 1, sizeof *bench.latencies);
    }
    bench_path(argv[7]);
    bench_limits();
}

/* Proportional set size of this process in KiB. */
static inline long bench_pss(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long pss = -1;

    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "Pss:", 4) == 0)
            pss = strtol(line + 4, NULL, 10);
    }
    if (f)
        fclose(f);
    return pss;
}

static inline int bench_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The result, as one line of JSON. */
static inline void bench_report(void)
{
    uint64_t n = bench.latency_count;

    printf("{\"wall\": %.6f, \"user\": %.6f, \"sys\": %.6f", bench.wall, bench.user, bench.sys);
    if (n && !bench.counted) {
        qsort(bench.latencies, n, sizeof *bench.latencies, bench_compare);
        printf(", \"p50_us\": %.2f, \"p99_us\": %.2f", bench.latencies[n / 2] / 1e3,
               bench.latencies[n * 99 / 100] / 1e3);
    }
    if (bench.mode == MODE_IDLE)
        printf(", \"pss_kib\": %ld", bench_pss());
    printf("}\n");
    fflush(stdout);
}

#endif
