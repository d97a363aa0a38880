#include "output.h"

#include "scenario.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

static const char *const endpoint_names[ENDPOINT_COUNT] = {"token", "ticket", "upgrade"};
static const char *const steer_names[] = {"none", "retry-after", "slots", "spread"};

double ideal_ms(const struct run *run)
{
    return run->report.lost * 1000.0 / run->setup.capacity;
}

static double a_client(const struct run *run, uint64_t n)
{
    return (double)n / run->setup.clients;
}

static uint64_t peak(const struct run *run, int endpoint, uint32_t neighbours)
{
    const struct server *s = &run->report.server;

    return server_peak(s->requests[endpoint], s->bin_count, neighbours);
}

/* ---- The table ----------------------------------------------------------------------------- */

/* Seconds since the server was well again, or a word. */
static void print_open(FILE *out, const struct run *run, int which)
{
    uint32_t ms = run->report.open_ms[which];

    if (ms == NOT_REACHED)
        fprintf(out, " %8s", "never");
    else
        fprintf(out, " %8.1f", ms / 1000.0);
}

static void print_ratio(FILE *out, const struct run *run)
{
    uint32_t ms = run->report.open_ms[2];

    if (ms == NOT_REACHED)
        fprintf(out, " %7s", "-");
    else
        fprintf(out, " %7.2f", ms / ideal_ms(run));
}

void table_head(FILE *out)
{
    fprintf(out, "%-13s%-16s|%-30s|%-30s|%-35s|%-16s|%-38s|%8s %7s %8s\n", "", "",
            "      peak in any 100 ms", "        peak in any 1 s",
            "   seconds until so many are open", "   a client", "              tickets", "token",
            "delays", "gave");
    fprintf(out,
            "%-13s%-16s|%9s %9s %9s  |%9s %9s %9s  | %8s %8s %8s %7s |%8s %7s |%9s %9s %9s %8s|"
            "%8s %7s %8s\n",
            "scenario", "schedule", "token", "ticket", "upgrade", "token", "ticket", "upgrade",
            "50 %", "99 %", "100 %", "x ideal", "refused", "wasted", "minted", "redeemed",
            "expired", "alive", "calls", "at cap", "up");
}

void table_row(FILE *out, const struct run *run)
{
    const struct report *r = &run->report;
    const struct server *s = &r->server;

    fprintf(out, "%-13s%-16s|", run->setup.scenario->name, run->setup.schedule->name);
    for (uint32_t neighbours = 1; neighbours <= 10; neighbours += 9) {
        for (int e = 0; e < ENDPOINT_COUNT; e++)
            fprintf(out, "%9" PRIu64 " ", peak(run, e, neighbours));
        fprintf(out, " |");
    }
    for (int i = 0; i < 3; i++)
        print_open(out, run, i);
    print_ratio(out, run);
    fprintf(out, " |%8.2f %7.2f |%9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %8" PRIu64 "|",
            a_client(run, r->refused), a_client(run, r->wasted), s->minted, s->redeemed, s->expired,
            s->most_alive);
    fprintf(out, "%8" PRIu64 " %7" PRIu64 " %8" PRIu64 "\n", r->token_calls,
            storm_gathered_at_cap(r), r->gave_up);
    fflush(out);
}

/* ---- CSV ----------------------------------------------------------------------------------- */

void csv_head(FILE *out)
{
    fprintf(out, "scenario,schedule,steer,clients,capacity,seed,base_ms,cap_ms,jitter_percent");
    for (int e = 0; e < ENDPOINT_COUNT; e++)
        fprintf(out, ",%s_peak_100ms,%s_peak_1s", endpoint_names[e], endpoint_names[e]);
    fprintf(out, ",dial_peak_100ms,dial_peak_1s,healed_ms,ended_ms,lost,ideal_ms,open50_ms,"
                 "open99_ms,open100_ms,ratio100,attempts,opens,refused,wasted,refused_per_client,"
                 "wasted_per_client,minted,redeemed,expired,too_old,most_alive,token_calls,waits,"
                 "waits_at_cap,gathered_at_cap,without_ticket,gave_up,steps\n");
}

static void csv_time(FILE *out, uint32_t ms)
{
    if (ms == NOT_REACHED)
        fprintf(out, ",");
    else
        fprintf(out, ",%" PRIu32, ms);
}

static void csv_numbers(FILE *out, int count, ...)
{
    va_list ap;

    va_start(ap, count);
    while (count-- > 0)
        fprintf(out, ",%" PRIu64, va_arg(ap, uint64_t));
    va_end(ap);
}

void csv_row(FILE *out, const struct run *run)
{
    const struct setup *c = &run->setup;
    const struct report *r = &run->report;
    const struct server *s = &r->server;

    fprintf(out, "%s,%s,%s,%" PRIu32 ",%" PRIu32, c->scenario->name, c->schedule->name,
            steer_names[c->steer], c->clients, c->capacity);
    csv_numbers(out, 4, c->seed, r->policy.base_ms, r->policy.cap_ms,
                (uint64_t)r->policy.jitter_percent);
    for (int e = 0; e < ENDPOINT_COUNT; e++)
        csv_numbers(out, 2, peak(run, e, 1), peak(run, e, 10));
    csv_numbers(out, 5, server_peak(s->dials, s->bin_count, 1),
                server_peak(s->dials, s->bin_count, 10), (uint64_t)r->healed_ms,
                (uint64_t)r->ended_ms, (uint64_t)r->lost);
    fprintf(out, ",%.0f", ideal_ms(run));
    for (int i = 0; i < 3; i++)
        csv_time(out, r->open_ms[i]);
    if (r->open_ms[2] == NOT_REACHED)
        fprintf(out, ",");
    else
        fprintf(out, ",%.3f", r->open_ms[2] / ideal_ms(run));
    csv_numbers(out, 4, r->attempts, r->opens, r->refused, r->wasted);
    fprintf(out, ",%.4f,%.4f", a_client(run, r->refused), a_client(run, r->wasted));
    csv_numbers(out, 12, s->minted, s->redeemed, s->expired, s->too_old, s->most_alive,
                r->token_calls, r->waits, r->waits_at_cap, storm_gathered_at_cap(r),
                r->without_ticket, r->gave_up, r->steps);
    fprintf(out, "\n");
    fflush(out);
}

/* ---- Pictures ------------------------------------------------------------------------------ */

#define WIDTH  460
#define HEIGHT 240
#define LEFT   60
#define TOP    36
#define GAP    70
#define LEGEND 18

static const char *const colors[] = {"#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd",
                                     "#8c564b", "#e377c2", "#17becf", "#7f7f7f", "#bcbd22"};

struct panel {
    double x, y;
    uint32_t span_ms;
    double most; /* The value at the top; log: the decades. */
    bool log;
};

static double height_of(const struct panel *p, double value)
{
    if (p->log)
        value = value < 1 ? 0 : log10(value);
    return p->y + HEIGHT * (1 - value / p->most);
}

static void frame(FILE *out, const struct panel *p, const char *title, double capacity)
{
    fprintf(out,
            "<rect x='%.0f' y='%.0f' width='%d' height='%d' fill='none' stroke='#999'/>"
            "<text x='%.0f' y='%.0f' font-weight='bold'>%s</text>\n",
            p->x, p->y, WIDTH, HEIGHT, p->x, p->y - 8, title);
    for (int i = 0; i <= (p->log ? (int)p->most : 4); i++) {
        double y = p->y + HEIGHT * (1 - i / (p->log ? p->most : 4.0));

        if (p->log)
            fprintf(out,
                    "<text x='%.0f' y='%.0f' text-anchor='end'>10<tspan dy='-4' "
                    "font-size='8'>%d</tspan></text>",
                    p->x - 6, y + 4, i);
        else
            fprintf(out, "<text x='%.0f' y='%.0f' text-anchor='end'>%d %%</text>", p->x - 6, y + 4,
                    i * 25);
        fprintf(out, "<path d='M%.0f %.1fh%d' stroke='#eee'/>\n", p->x, y, WIDTH);
    }
    for (int i = 0; i <= 5; i++)
        fprintf(out, "<text x='%.0f' y='%.0f' text-anchor='middle'>%.4g s</text>\n",
                p->x + WIDTH * i / 5.0, p->y + HEIGHT + 16, p->span_ms / 1000.0 * i / 5);
    if (capacity > 0)
        fprintf(out, "<path d='M%.0f %.1fh%d' stroke='#000' stroke-dasharray='6 4'/>\n", p->x,
                height_of(p, capacity), WIDTH);
}

/* One line: of each pixel's bins the largest. */
static void curve(FILE *out, const struct panel *p, const uint32_t *bins, uint32_t count,
                  double scale, const char *color)
{
    uint32_t span = p->span_ms / BIN_MS;

    fprintf(out, "<polyline fill='none' stroke='%s' stroke-width='1.2' points='", color);
    for (uint32_t x = 0; x < WIDTH; x++) {
        uint32_t from = (uint32_t)((uint64_t)span * x / WIDTH);
        uint32_t to = (uint32_t)((uint64_t)span * (x + 1) / WIDTH);
        uint32_t most = 0;

        if (from >= count)
            break;
        for (uint32_t i = from; i < count && (i < to || i == from); i++)
            most = bins[i] > most ? bins[i] : most;
        fprintf(out, "%.0f,%.1f ", p->x + x, height_of(p, most * scale));
    }
    fprintf(out, "'/>\n");
}

static void legend(FILE *out, double x, double y, const struct run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(out, "<text x='%.0f' y='%.0f' fill='%s'>%s</text>\n", x, y + (double)i * LEGEND,
                colors[i % (sizeof colors / sizeof colors[0])], runs[i].setup.schedule->name);
}

/* Four times as long as the ideal will show who is late; at least half a minute. */
static uint32_t span_of(const struct run *runs, size_t count)
{
    uint32_t most = 0;

    for (size_t i = 0; i < count; i++) {
        const struct report *r = &runs[i].report;
        uint32_t wanted = r->healed_ms + (uint32_t)(4 * ideal_ms(&runs[i])) + 30000;

        wanted = wanted < r->ended_ms ? wanted : r->ended_ms;
        most = wanted > most ? wanted : most;
    }
    return most < 5000 ? 5000 : most;
}

static void plot_scenario(FILE *out, double y, const struct run *runs, size_t count)
{
    struct panel load = {LEFT, y, span_of(runs, count), 0, true};
    struct panel open = {LEFT + WIDTH + GAP, y, load.span_ms, 100, false};
    char title[160];
    uint64_t most = 1;

    for (size_t i = 0; i < count; i++)
        most = peak(&runs[i], TICKET, 1) > most ? peak(&runs[i], TICKET, 1) : most;
    while (most > 0) {
        load.most++;
        most /= 10;
    }
    (void)snprintf(title, sizeof title, "%s: ticket requests in 100 ms (dashed: capacity)",
                   runs->setup.scenario->name);
    frame(out, &load, title, runs->setup.capacity * BIN_MS / 1000.0);
    (void)snprintf(title, sizeof title, "%s: clients that are open", runs->setup.scenario->name);
    frame(out, &open, title, 0);
    for (size_t i = 0; i < count; i++) {
        const struct report *r = &runs[i].report;
        const char *color = colors[i % (sizeof colors / sizeof colors[0])];
        uint32_t bins = r->ended_ms / BIN_MS + 1;

        curve(out, &load, r->server.requests[TICKET], bins, 1, color);
        curve(out, &open, r->open, bins, 100.0 / runs[i].setup.clients, color);
    }
    legend(out, open.x + WIDTH + 12, y + 12, runs, count);
}

static size_t same_scenario(const struct run *runs, size_t count)
{
    size_t n = 1;

    while (n < count && runs[n].setup.scenario == runs->setup.scenario)
        n++;
    return n;
}

void plot(FILE *out, const struct run *runs, size_t count)
{
    double row = HEIGHT + TOP + 40;
    size_t rows = 0;

    for (size_t i = 0; i < count; i += same_scenario(&runs[i], count - i))
        rows++;
    fprintf(out,
            "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%.0f' "
            "font-family='sans-serif' font-size='11'><rect width='100%%' height='100%%' "
            "fill='#fff'/>\n",
            LEFT + 2 * WIDTH + GAP + 130, (double)rows * row + 10);
    for (size_t i = 0, n = 0; i < count; n++) {
        size_t same = same_scenario(&runs[i], count - i);

        plot_scenario(out, TOP + (double)n * row, &runs[i], same);
        i += same;
    }
    fprintf(out, "</svg>\n");
}
