/*
 * wsticket-storm: what a fleet of clients does to its server when it comes back.
 *
 * The clients are real: each is a core of the library.  Server and network are modelled, time is
 * virtual.  docs/storms.md tells what came out.
 */
#include "output.h"
#include "scenario.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXIT_USAGE   1
#define EXIT_TROUBLE 2
#define MAX_RUNS     256
#define MAX_CLIENTS  10000000
#define DIAL_IDLE_MS 5000 /* As lib/client/config.c. */

static const char usage[] =
    "Usage: wsticket-storm [OPTION...]\n"
    "Many clients of the library against one modelled server, in virtual time.\n\n"
    "What happens:\n"
    "  --scenario NAME[,...]|all   default crash\n"
    "  --schedule NAME[,...]|all   who waits how long; default \"default\"\n"
    "  --list                      scenarios and schedules, and what they are\n"
    "  --clients N                 default 100000\n"
    "  --seed N                    default 1; the same seed is the same storm\n"
    "  --outage SECONDS            of the scenarios that have one; default 60\n"
    "  --limit SECONDS             the storm is ended then; default 3600\n\n"
    "The server:\n"
    "  --capacity N                tickets, and upgrades, a second; default clients / 50\n"
    "  --token-capacity N          tokens a second; default the same\n"
    "  --down refuse|503|silent    what down means; default the scenario's own\n"
    "  --steer none|retry-after|slots|spread\n"
    "                              what it asks of its clients; default none\n"
    "  --retry-after SECONDS       for --steer retry-after; default half of clients / capacity\n"
    "  --ticket-life SECONDS       default 30\n"
    "  --token-life SECONDS        default 3600\n"
    "  --token-age SECONDS         of every client's token when the storm begins; default 0\n\n"
    "The clients, as in struct wst_config, with its defaults:\n"
    "  --base MS  --cap MS  --jitter PERCENT  --restart-spread MS  --max-server-delay MS\n\n"
    "What is written, beside the table:\n"
    "  --csv FILE                  a line for each run; \"-\" instead of the table\n"
    "  --svg FILE                  pictures\n"
    "  --help\n";

enum choice {
    SCENARIO = 256,
    SCHEDULE,
    LIST,
    CLIENTS,
    SEED,
    OUTAGE,
    LIMIT,
    CAPACITY,
    TOKEN_CAPACITY,
    DOWN,
    STEER,
    RETRY_AFTER,
    TICKET_LIFE,
    TOKEN_LIFE,
    TOKEN_AGE,
    BASE,
    CAP,
    JITTER,
    RESTART_SPREAD,
    MAX_SERVER_DELAY,
    CSV,
    SVG,
    HELP
};

static const struct option options[] = {
    {"scenario", 1, NULL, SCENARIO},
    {"schedule", 1, NULL, SCHEDULE},
    {"list", 0, NULL, LIST},
    {"clients", 1, NULL, CLIENTS},
    {"seed", 1, NULL, SEED},
    {"outage", 1, NULL, OUTAGE},
    {"limit", 1, NULL, LIMIT},
    {"capacity", 1, NULL, CAPACITY},
    {"token-capacity", 1, NULL, TOKEN_CAPACITY},
    {"down", 1, NULL, DOWN},
    {"steer", 1, NULL, STEER},
    {"retry-after", 1, NULL, RETRY_AFTER},
    {"ticket-life", 1, NULL, TICKET_LIFE},
    {"token-life", 1, NULL, TOKEN_LIFE},
    {"token-age", 1, NULL, TOKEN_AGE},
    {"base", 1, NULL, BASE},
    {"cap", 1, NULL, CAP},
    {"jitter", 1, NULL, JITTER},
    {"restart-spread", 1, NULL, RESTART_SPREAD},
    {"max-server-delay", 1, NULL, MAX_SERVER_DELAY},
    {"csv", 1, NULL, CSV},
    {"svg", 1, NULL, SVG},
    {"help", 0, NULL, HELP},
    {NULL, 0, NULL, 0},
};

/* What the command line says; 0 and NULL: nothing. */
struct command {
    struct setup setup;
    const char *scenarios, *schedules, *csv, *svg;
    const struct scenario *scenario_list[MAX_RUNS];
    const struct schedule *schedule_list[MAX_RUNS];
    size_t scenario_count, schedule_count;
};

_Noreturn static void refuse(const char *option, const char *value, const char *expected)
{
    fprintf(stderr, "wsticket-storm: --%s %s: expected %s\n", option, value, expected);
    exit(EXIT_USAGE);
}

static uint64_t number(const char *option, const char *value, uint64_t least, uint64_t most)
{
    char expected[80];
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(value, &end, 10);
    if (*value >= '0' && *value <= '9' && !*end && errno == 0 && n >= least && n <= most)
        return n;
    (void)snprintf(expected, sizeof expected, "a number from %" PRIu64 " to %" PRIu64, least, most);
    refuse(option, value, expected);
}

static int word(const char *option, const char *value, const char *const *words,
                const char *expected)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], value) == 0)
            return i;
    }
    refuse(option, value, expected);
}

static void list(void)
{
    printf("Scenarios:\n");
    for (const struct scenario *s = scenarios; s->name; s++)
        printf("  %-16s %s\n", s->name, s->what);
    printf("Schedules:\n");
    for (const struct schedule *s = schedules; s->name; s++)
        printf("  %-16s %s\n", s->name, s->what);
}

/* ---- The command line ---------------------------------------------------------------------- */

/* The library's own defaults. */
static void take_defaults(struct setup *s)
{
    struct wst_config c;
    struct wst__policy *p = &s->policy;

    wst_config_init(&c);
    p->base_ms = c.base_delay_ms;
    p->cap_ms = c.cap_ms;
    p->jitter_percent = c.jitter_percent;
    p->max_server_delay_ms = c.max_server_delay_ms;
    p->restart_spread_ms = c.restart_spread_ms;
    p->stable_ms = c.stable_ms;
    p->step_timeout_ms = c.step_timeout_ms;
    p->attempt_timeout_ms = c.attempt_timeout_ms;
    p->close_timeout_ms = c.close_timeout_ms;
    p->ping_interval_ms = 0; /* A link at rest costs nothing here. */
    p->ping_timeout_ms = c.ping_timeout_ms;
    p->dial_idle_ms = DIAL_IDLE_MS;
    p->give_up = c.give_up;
    p->token_step = p->ticket_step = true;
    p->parallel_dial = c.parallel_dial != 0;
    s->clients = 100000;
    s->seed = 1;
    s->outage_ms = 60000;
    s->limit_ms = 3600000;
    s->down = -1;
    s->ticket_life_ms = (uint32_t)c.ticket_life_ms;
    s->token_life_ms = 3600000;
}

static uint32_t seconds(const char *option, const char *value, uint32_t least, uint32_t most)
{
    return (uint32_t)number(option, value, least, most) * 1000;
}

static void set_policy(struct wst__policy *p, enum choice choice, const char *name,
                       const char *value)
{
    const uint64_t day_ms = 86400000;

    if (choice == BASE)
        p->base_ms = number(name, value, 1, day_ms);
    else if (choice == CAP)
        p->cap_ms = number(name, value, 1, day_ms);
    else if (choice == JITTER)
        p->jitter_percent = (uint32_t)number(name, value, 0, 100);
    else if (choice == RESTART_SPREAD)
        p->restart_spread_ms = number(name, value, 0, day_ms);
    else
        p->max_server_delay_ms = number(name, value, 0, day_ms);
}

static void set_server(struct setup *s, enum choice choice, const char *name, const char *value)
{
    static const char *const downs[] = {"up", "refuse", "503", "silent", NULL};
    static const char *const steers[] = {"none", "retry-after", "slots", "spread", NULL};

    if (choice == CAPACITY)
        s->capacity = (uint32_t)number(name, value, 1, 1000000000);
    else if (choice == TOKEN_CAPACITY)
        s->token_capacity = (uint32_t)number(name, value, 1, 1000000000);
    else if (choice == DOWN)
        s->down = 1 + word(name, value, downs + 1, "refuse, 503 or silent");
    else if (choice == STEER)
        s->steer = (enum steer)word(name, value, steers, "none, retry-after, slots or spread");
    else if (choice == RETRY_AFTER)
        s->retry_after_ms = seconds(name, value, 1, 86400);
    else if (choice == TICKET_LIFE)
        s->ticket_life_ms = seconds(name, value, 1, 3600);
    else if (choice == TOKEN_LIFE)
        s->token_life_ms = seconds(name, value, 1, 1000000);
    else
        s->token_age_ms = seconds(name, value, 0, 1000000);
}

static void set(struct command *c, enum choice choice, const char *name, const char *value)
{
    struct setup *s = &c->setup;

    switch (choice) {
    case SCENARIO:
        c->scenarios = value;
        break;
    case SCHEDULE:
        c->schedules = value;
        break;
    case CLIENTS:
        s->clients = (uint32_t)number(name, value, 1, MAX_CLIENTS);
        break;
    case SEED:
        s->seed = number(name, value, 0, UINT64_MAX);
        break;
    case OUTAGE:
        s->outage_ms = seconds(name, value, 1, 86400);
        break;
    case LIMIT:
        s->limit_ms = seconds(name, value, 1, 1000000);
        break;
    case CSV:
        c->csv = value;
        break;
    case SVG:
        c->svg = value;
        break;
    case LIST:
        list();
        exit(0);
    case HELP:
        fputs(usage, stdout);
        exit(0);
    case BASE:
    case CAP:
    case JITTER:
    case RESTART_SPREAD:
    case MAX_SERVER_DELAY:
        set_policy(&s->policy, choice, name, value);
        break;
    default:
        set_server(s, choice, name, value);
        break;
    }
}

static void choose_scenarios(struct command *c)
{
    const char *names = c->scenarios;

    if (strcmp(names, "all") == 0) {
        for (const struct scenario *s = scenarios; s->name; s++)
            c->scenario_list[c->scenario_count++] = s;
        return;
    }
    do {
        size_t len = strcspn(names, ",");
        const struct scenario *s = scenario_find(names, len);

        if (!s || c->scenario_count == MAX_RUNS)
            refuse("scenario", c->scenarios, "names that --list shows");
        c->scenario_list[c->scenario_count++] = s;
        names += len;
    } while (*names++ == ',');
}

static void choose_schedules(struct command *c)
{
    const char *names = c->schedules;

    if (strcmp(names, "all") == 0) {
        for (const struct schedule *s = schedules; s->name; s++)
            c->schedule_list[c->schedule_count++] = s;
        return;
    }
    do {
        size_t len = strcspn(names, ",");
        const struct schedule *s = schedule_find(names, len);

        if (!s || c->schedule_count == MAX_RUNS)
            refuse("schedule", c->schedules, "names that --list shows");
        c->schedule_list[c->schedule_count++] = s;
        names += len;
    } while (*names++ == ',');
}

static void complete(struct command *c)
{
    struct setup *s = &c->setup;

    if (s->policy.base_ms > s->policy.cap_ms) {
        fprintf(stderr, "wsticket-storm: --base is larger than --cap\n");
        exit(EXIT_USAGE);
    }
    if (s->limit_ms <= s->outage_ms) {
        fprintf(stderr, "wsticket-storm: --limit is not larger than --outage\n");
        exit(EXIT_USAGE);
    }
    if (s->capacity == 0)
        s->capacity = s->clients < 50 ? 1 : s->clients / 50;
    if (s->token_capacity == 0)
        s->token_capacity = s->capacity;
    if (s->retry_after_ms == 0)
        s->retry_after_ms = 1000 + s->clients / s->capacity / 2 * 1000;
    choose_scenarios(c);
    choose_schedules(c);
    if (c->scenario_count * c->schedule_count > MAX_RUNS) {
        fprintf(stderr, "wsticket-storm: more than %d runs\n", MAX_RUNS);
        exit(EXIT_USAGE);
    }
}

static void read_command(struct command *c, int argc, char **argv)
{
    int option;
    int index = 0;

    memset(c, 0, sizeof *c);
    c->scenarios = "crash";
    c->schedules = "default";
    take_defaults(&c->setup);
    while ((option = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (option == '?') {
            fprintf(stderr, "Try wsticket-storm --help\n");
            exit(EXIT_USAGE);
        }
        set(c, (enum choice)option, options[index].name, optarg);
    }
    if (optind < argc) {
        fprintf(stderr, "wsticket-storm: %s: unexpected argument\n", argv[optind]);
        exit(EXIT_USAGE);
    }
    complete(c);
}

/* ---- The runs ------------------------------------------------------------------------------ */

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static FILE *open_file(const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");

    if (!file) {
        fprintf(stderr, "wsticket-storm: %s: %s\n", path, strerror(errno));
        exit(EXIT_TROUBLE);
    }
    return file;
}

static void close_file(FILE *file, const char *path)
{
    bool bad = fflush(file) != 0 || ferror(file);

    if (file != stdout)
        bad = fclose(file) != 0 || bad;
    if (bad) {
        fprintf(stderr, "wsticket-storm: %s: could not be written\n", path);
        exit(EXIT_TROUBLE);
    }
}

/* All runs; what the pictures need of them stays. */
static size_t run_all(const struct command *c, struct run *runs, FILE *table, FILE *csv)
{
    size_t count = 0;

    for (size_t i = 0; i < c->scenario_count; i++) {
        for (size_t k = 0; k < c->schedule_count; k++) {
            struct run *run = &runs[count];

            run->setup = c->setup;
            run->setup.scenario = c->scenario_list[i];
            run->setup.schedule = c->schedule_list[k];
            if (run->setup.scenario->wakes && run->setup.schedule->published)
                continue; /* Of their wake nothing is known. */
            if (!storm_run(&run->setup, &run->report)) {
                fprintf(stderr, "wsticket-storm: out of memory; fewer --clients?\n");
                exit(EXIT_TROUBLE);
            }
            if (table)
                table_row(table, run);
            if (csv)
                csv_row(csv, run);
            count++;
        }
    }
    return count;
}

static void print_effort(const struct run *runs, size_t count, double seconds_spent)
{
    uint64_t steps = 0;

    for (size_t i = 0; i < count; i++)
        steps += runs[i].report.steps;
    printf("%" PRIu64 " steps of the core in %.1f s\n", steps, seconds_spent);
}

int main(int argc, char **argv)
{
    static struct command c;
    static struct run runs[MAX_RUNS];
    FILE *csv = NULL;
    FILE *svg = NULL;
    FILE *table = stdout;
    double begin = now_s();
    size_t count;

    read_command(&c, argc, argv);
    if (c.csv && strcmp(c.csv, "-") == 0)
        table = NULL;
    if (c.csv)
        csv_head(csv = open_file(c.csv));
    if (c.svg)
        svg = open_file(c.svg);
    if (table) {
        printf("%" PRIu32 " clients, %" PRIu32 " tickets and upgrades a second, seed %" PRIu64 "\n",
               c.setup.clients, c.setup.capacity, c.setup.seed);
        table_head(table);
    }
    count = run_all(&c, runs, table, csv);
    if (table)
        print_effort(runs, count, now_s() - begin);
    if (svg) {
        plot(svg, runs, count);
        close_file(svg, c.svg);
    }
    if (csv)
        close_file(csv, c.csv);
    for (size_t i = 0; i < count; i++)
        storm_report_fini(&runs[i].report);
    if (count == 0) {
        fprintf(stderr, "wsticket-storm: no such run: the wake of other clients is not known\n");
        return EXIT_USAGE;
    }
    return 0;
}
