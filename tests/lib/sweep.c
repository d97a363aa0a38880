/* Seeds are dealt out to the processes; what comes of them is in shared memory, so that it is there
 * also when one dies. */
#include "lib/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct worker {
    uint64_t running; /* The seed; 0: it has come to its end. */
    uint64_t done;
    uint64_t failed[SWEEP_MAX_FAILED];
    unsigned failed_count;
};

uint64_t sweep_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

void *sweep_share(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        abort();
    return p;
}

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void work(const struct sweep *s, struct worker *me, void *sum, uint64_t first, uint64_t step)
{
    for (uint64_t n = first; n < s->first + s->count && me->failed_count < SWEEP_MAX_FAILED;
         n += step) {
        me->running = n;
        (void)alarm(SWEEP_SEED_S);
        if (!s->run(n, sum)) {
            me->failed[me->failed_count++] = n;
            fprintf(stderr, "seed %llu fails\n",
                    (unsigned long long)n); /* A sweep may take hours. */
        }
        me->done++;
    }
    me->running = 0;
}

static uint64_t collect(struct sweep *s, const struct worker *from, const void *sum)
{
    for (unsigned i = 0; i < from->failed_count; i++)
        s->failed[s->failed_count++] = from->failed[i];
    if (from->running)
        s->failed[s->failed_count++] = from->running; /* It died there. */
    s->add(s->sum, sum);
    return from->done;
}

void sweep_run(struct sweep *s)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t workers = cpus < 1 ? 1 : cpus > SWEEP_MAX_WORKERS ? SWEEP_MAX_WORKERS : (uint64_t)cpus;
    struct worker *all = sweep_share(workers * sizeof *all);
    char *sums = sweep_share(workers * s->sum_size);
    pid_t pids[SWEEP_MAX_WORKERS];
    double begun = now_s();
    uint64_t done = 0;

    (void)fflush(NULL);
    for (uint64_t k = 0; k < workers; k++) {
        pids[k] = fork();
        if (pids[k] < 0)
            abort();
        if (pids[k] == 0) {
            work(s, &all[k], sums + k * s->sum_size, s->first + k, workers);
            _exit(0);
        }
    }
    for (uint64_t k = 0; k < workers; k++) {
        (void)waitpid(pids[k], NULL, 0);
        done += collect(s, &all[k], sums + k * s->sum_size);
    }
    s->seconds = now_s() - begun;
    s->complete = done == s->count;
    (void)munmap(all, workers * sizeof *all);
    (void)munmap(sums, workers * s->sum_size);
}
