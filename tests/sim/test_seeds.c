/*
 * The promises, and liveness, over many seeds (seed.h), in a few processes.  A seed that fails is
 * printed with the command that replays it, and shrunk: the story that is left is printed, too.
 *
 *   WST_SIM_SEEDS=N   how many (default 2000; with WST_LONG=1 ten million)
 *   WST_SIM_FIRST=N   the first one (default 1)
 *   WST_SIM_SEED=N    this one alone: its trace, and if it fails its story
 */
#include "lib/sweep.h"
#include "sim/seed.h"
#include "sim/shrink.h"

#include "wsticket/wsticket.h"

#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_STORIES    2    /* Seeds that are shrunk. */
#define MOST_RUNS      8000 /* To shrink one. */
#define MOST_TRACE     60   /* Lines of a story that are shown. */
#define MOST_DECISIONS ((size_t)1 << 20)
#define ENOUGH         2000 /* Seeds by which every situation has been met. */

static const char *program;

/* ---- How a history fails ------------------------------------------------------------------- */

/* Numbers aside: the same fault is found at other times, with other tickets. */
static void normalize(char *text)
{
    char *to = text;
    const char *address = strstr(text, "0x");

    for (const char *s = text; *s && *s != '\n' && s != address; s++) {
        if (!isdigit((unsigned char)*s))
            *to++ = *s;
    }
    *to = 0;
}

static void play(uint64_t number, const struct sim_history *script, struct sim_history *record,
                 const char *trace_before, struct sim_outcome *out)
{
    const struct sim_seed_run run = {
        .number = number, .script = script, .record = record, .trace_before = trace_before};

    memset(out, 0, sizeof *out);
    sim_seed_run(&run, out);
}

/* Runs it in a process of its own, for an assertion may fail; what it says goes to |to|, what it
 * dies of too.  False: it does not fail. */
static bool play_apart(uint64_t number, const struct sim_history *script,
                       struct sim_history *record, const char *trace_before, FILE *to)
{
    int status = 0;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        static struct sim_outcome out;

        (void)alarm(SWEEP_SEED_S);
        (void)dup2(fileno(to), STDOUT_FILENO);
        (void)dup2(fileno(to), STDERR_FILENO);
        (void)setvbuf(stdout, NULL, _IOLBF, 0);
        play(number, script, record, trace_before, &out);
        if (*out.failure && !trace_before)
            printf("%s\n", out.failure);
        (void)fflush(stdout);
        _exit(*out.failure != 0);
    }
    if (waitpid(pid, &status, 0) != pid)
        abort();
    if (WIFSIGNALED(status))
        fprintf(to, "signal %s\n", strsignal(WTERMSIG(status)));
    return status != 0;
}

/* The first line of what it says, without its numbers. */
static bool fails_how(uint64_t number, const struct sim_history *script, char *text, size_t room)
{
    FILE *f = tmpfile();
    bool fails;

    if (!f)
        abort();
    fails = play_apart(number, script, NULL, NULL, f);
    (void)fseek(f, 0, SEEK_SET);
    if (!fgets(text, (int)room, f))
        *text = 0;
    (void)fclose(f);
    normalize(text);
    return fails;
}

struct fault {
    uint64_t number;
    char text[600];
};

static bool fails_alike(const struct sim_history *h, void *arg)
{
    const struct fault *fault = arg;
    char text[sizeof fault->text];

    return fails_how(fault->number, h, text, sizeof text) && strcmp(text, fault->text) == 0;
}

/* ---- Telling its story --------------------------------------------------------------------- */

/* The decisions of a seed, also of one that dies. */
static struct sim_history record(uint64_t number)
{
    struct sim_history *h = sweep_share(sizeof *h);
    struct sim_history copy = {0};
    FILE *nowhere = fopen("/dev/null", "w");

    h->list = sweep_share(MOST_DECISIONS * sizeof *h->list);
    h->room = MOST_DECISIONS;
    h->fixed = true;
    if (!nowhere)
        abort();
    (void)play_apart(number, NULL, h, NULL, nowhere);
    (void)fclose(nowhere);
    for (size_t i = 0; i < h->count; i++)
        sim_history_add(&copy, h->list[i].name, h->list[i].value);
    (void)munmap(h->list, MOST_DECISIONS * sizeof *h->list);
    (void)munmap(h, sizeof *h);
    return copy;
}

/* Of a long story, which repeats itself, its begin and its end. */
static void print_story(FILE *f)
{
    char line[600];
    unsigned lines = 0, at = 0;

    (void)fseek(f, 0, SEEK_SET);
    while (fgets(line, sizeof line, f))
        lines++;
    (void)fseek(f, 0, SEEK_SET);
    for (; fgets(line, sizeof line, f); at++) {
        if (at < MOST_TRACE / 2 || at + MOST_TRACE / 2 >= lines)
            printf("# %s%s", line, strchr(line, '\n') ? "" : "\n");
        else if (at == MOST_TRACE / 2)
            printf("# ... %u lines ...\n", lines - MOST_TRACE / 2 * 2);
    }
}

static void tell_story(uint64_t number)
{
    struct sim_history h = record(number);
    struct fault fault = {.number = number};
    size_t before = h.count;
    FILE *f = tmpfile();
    unsigned runs;

    if (!f)
        abort();
    if (!fails_how(number, NULL, fault.text, sizeof fault.text)) {
        printf("# seed %" PRIu64 " does not fail when it is played alone\n", number);
    } else {
        runs = sim_shrink(&h, fails_alike, &fault, MOST_RUNS);
        printf("# seed %" PRIu64 ": %zu decisions, shrunk to %zu in %u runs; the story:\n", number,
               before, h.count, runs);
        (void)play_apart(number, &h, NULL, "", f);
        print_story(f);
    }
    (void)fflush(stdout);
    (void)fclose(f);
    sim_history_fini(&h);
}

static int replay(uint64_t number)
{
    bool fails = play_apart(number, NULL, NULL, "", stdout);

    if (fails)
        tell_story(number);
    return fails ? 1 : 0;
}

/* ---- The sweep ----------------------------------------------------------------------------- */

static bool run_seed(uint64_t number, void *sum)
{
    static struct sim_outcome out;

    play(number, NULL, NULL, NULL, &out);
    sim_outcome_add(sum, &out);
    return !*out.failure;
}

static void add(void *sum, const void *from)
{
    sim_outcome_add(sum, from);
}

/* ---- The report ---------------------------------------------------------------------------- */

/* In which of them a client can be: the dial stands beside the three steps alone. */
static bool is_possible(int state, int dial)
{
    switch (state) {
    case WST_STATE_TOKEN:
        return dial != WST__DIAL_DEAD;
    case WST_STATE_TICKET:
        return true;
    case WST_STATE_CONNECTING:
        return dial == WST__DIAL_BUSY || dial == WST__DIAL_READY;
    default:
        return dial == WST__DIAL_NONE;
    }
}

/* Where the world turned good: in each state, and with each dial beside it. */
static bool covers_all(const struct sim_outcome *out)
{
    static const char *const dials[] = {"", " dialing", " dialed", " dial dead"};
    unsigned kinds = 0;
    bool all = true;

    for (size_t i = 0; i < SIM_SITUATIONS; i++)
        kinds += out->situations[i / 8] >> i % 8 & 1;
    printf("# note: liveness: the world turned good %" PRIu64
           " times, in %u different situations\n#",
           out->turned_good, kinds);
    for (int state = 0; state < WST__STATE_COUNT; state++) {
        for (int dial = 0; dial < WST__DIAL_COUNT; dial++) {
            if (is_possible(state, dial) != (out->from[state][dial] > 0))
                all = false;
            if (is_possible(state, dial))
                printf(" %s%s %" PRIu64, wst_state_name((enum wst_state)state), dials[dial],
                       out->from[state][dial]);
        }
    }
    printf("\n# note: liveness: the slowest needed of its bound, from");
    for (int state = 0; state < WST__STATE_COUNT; state++)
        printf(" %s %u %%", wst_state_name((enum wst_state)state), out->slowest_percent[state]);
    printf("\n");
    return all;
}

static void print_figures(const struct sim_outcome *out, double seconds)
{
    double hours = (double)out->simulated_s / 3600;

    printf("# note: sim: %" PRIu64 " seeds, %.0f simulated hours, %" PRIu64 " attempts, %" PRIu64
           " opens, %" PRIu64 " events, %" PRIu64 " decisions in %.1f s: %.1f simulated hours "
           "per second\n",
           out->seeds, hours, out->attempts, out->opens, out->steps, out->decisions, seconds,
           hours / seconds);
}

static void print_failed(const struct sweep *s)
{
    for (unsigned i = 0; i < s->failed_count; i++)
        printf("# seed %" PRIu64 " fails; replay and shrink it: WST_SIM_SEED=%" PRIu64 " %s\n",
               s->failed[i], s->failed[i], program);
    for (unsigned i = 0; i < s->failed_count && i < MAX_STORIES; i++)
        tell_story(s->failed[i]);
}

int main(int argc, char **argv)
{
    static struct sim_outcome sum;
    uint64_t one = sweep_number("WST_SIM_SEED", 0);
    uint64_t count = sweep_number("WST_SIM_SEEDS", sweep_number("WST_LONG", 0) ? 10000000 : 2000);
    struct sweep s = {.first = sweep_number("WST_SIM_FIRST", 1),
                      .count = count,
                      .run = run_seed,
                      .add = add,
                      .sum = &sum,
                      .sum_size = sizeof sum};
    bool good, covered;

    program = argc > 0 ? argv[0] : "test_sim_seeds";
    if (one)
        return replay(one);
    sweep_run(&s);
    printf("1..2\n");
    print_figures(&sum, s.seconds);
    covered = covers_all(&sum) || count < ENOUGH;
    good = s.failed_count == 0 && s.complete;
    printf("%s 1 - the promises and liveness hold in every seed\n", good ? "ok" : "not ok");
    print_failed(&s);
    printf("%s 2 - the world turned good in every state, with every dial beside it\n",
           covered ? "ok" : "not ok");
    return good && covered ? 0 : 1;
}
