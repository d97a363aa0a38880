/* A step, the cells and the moves that were seen, and the diagram of them. */
#include "step.h"

#include "draws.h"
#include "words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct {
    uint64_t steps;
    uint64_t cells[WST__STATE_COUNT][WST__EV_COUNT];
    uint32_t moves[WST__STATE_COUNT][WST__STATE_COUNT]; /* By which events, as bits. */
} seen;

#define PROMISE(what)                                                                              \
    do {                                                                                           \
        if (!(what))                                                                               \
            book_objects(#what, __FILE__, __LINE__);                                               \
    } while (0)

static void see(enum wst_state state, bool late, const struct wst__event *ev,
                const struct wst__actions *out)
{
    seen.steps++;
    if (!late)
        seen.cells[state][ev->type]++;
    for (size_t i = 0; i < out->count; i++) {
        if (out->list[i].type == WST__ACT_STATE)
            seen.moves[out->list[i].from][out->list[i].to] |= 1U << ev->type;
    }
}

unsigned step_world(struct world *w, const struct wst__event *ev, unsigned draws)
{
    struct wst__core before = w->core;
    struct wst__actions out;
    unsigned taken;

    book_event(&w->book, &before, ev, draws);
    draws_script(draws);
    wst__core_step(&w->core, ev, &out);
    taken = draws_taken();
    see(before.state, wst__core_is_late(&before, ev), ev, &out);
    book_actions(&w->book, &before, &w->core, ev, &out, draws);
    return taken;
}

uint64_t steps_taken(void)
{
    uint64_t n = seen.steps;

    seen.steps = 0;
    return n;
}

void check_foresight(const struct world *before, const struct wst__event *ev, unsigned draws)
{
    struct wst__core copy = before->core;
    struct wst__actions out;
    struct wst__failure f;
    bool ends = false, foreseen;

    draws_script(draws);
    foreseen = wst__core_foresee(&before->core, ev, &f);
    draws_script(draws);
    wst__core_step(&copy, ev, &out);
    for (size_t i = 0; i < out.count; i++)
        ends = ends || out.list[i].type == WST__ACT_ATTEMPT_FAILED ||
               out.list[i].type == WST__ACT_CLOSED;
    ends = ends && (copy.failure.own ||
                    (ev->type == WST__EV_TIMEOUT && copy.failure.code != WST_ERR_CANCELED));
    PROMISE(foreseen == ends);
    PROMISE(!foreseen || memcmp(&f, &copy.failure, sizeof f) == 0);
}

/* ---- What was seen ------------------------------------------------------------------------- */

/* Why an event never comes to the table in a state; NULL: no reason. */
static const char *excuse(enum wst_state s, enum wst__ev type)
{
    bool over = s == WST_STATE_IDLE || s == WST_STATE_BACKOFF || s == WST_STATE_FAILED;

    return over && type >= WST__EV_TOKEN_OK
               ? "no attempt runs that could have asked: every answer is late, and dropped before"
               : NULL;
}

size_t print_unreached(void)
{
    size_t wrong = 0;

    for (int s = 0; s < WST__STATE_COUNT; s++) {
        for (int e = 0; e < WST__EV_COUNT; e++) {
            const char *why = excuse((enum wst_state)s, (enum wst__ev)e);

            if ((seen.cells[s][e] == 0) != (why != NULL)) {
                printf("# %s in %s: %s\n", event_name((enum wst__ev)e),
                       state_name((enum wst_state)s), why ? "reached" : "never reached");
                wrong++;
            } else if (why && e == WST__EV_TOKEN_OK) {
                printf("# %s, %s to %s: not reached: %s\n", state_name((enum wst_state)s),
                       event_name(WST__EV_TOKEN_OK), event_name(WST__EV_PING_LEFT), why);
            }
        }
    }
    return wrong;
}

struct writer {
    char *text;
    size_t size, len;
};

static void put(struct writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct writer *w, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(w->text + w->len, w->size - w->len, fmt, ap);
    va_end(ap);
    PROMISE(n >= 0 && (size_t)n < w->size - w->len);
    w->len += (size_t)n;
}

static void put_edge(struct writer *w, int from, int to)
{
    const char *end = "";

    put(w, "    %s -> %s [label=\"", state_name((enum wst_state)from),
        state_name((enum wst_state)to));
    for (int e = 0; e < WST__EV_COUNT; e++) {
        if (seen.moves[from][to] >> e & 1) {
            put(w, "%s%s", end, event_name((enum wst__ev)e));
            end = "\\n";
        }
    }
    /* Only the way to OPEN and to its end is laid out from top to bottom. */
    put(w, "\"%s];\n", to == from + 1 && to != WST_STATE_FAILED ? "" : ", constraint=false");
}

void write_diagram(char *text, size_t size)
{
    struct writer w = {.text = text, .size = size};

    put(&w, "// Written by tests/explore: every move that the core can make, and by which event.\n"
            "// Of a label's events each alone leads there, in some situation of the state.\n"
            "digraph states {\n"
            "    graph [rankdir=TB, nodesep=0.6, ranksep=0.9];\n"
            "    node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=12];\n"
            "    edge [fontname=\"sans-serif\", fontsize=8];\n"
            "    OPEN [penwidth=2];\n"
            "    FAILED [style=\"rounded,dashed\"];\n");
    for (int from = 0; from < WST__STATE_COUNT; from++) {
        for (int to = 0; to < WST__STATE_COUNT; to++) {
            if (seen.moves[from][to])
                put_edge(&w, from, to);
        }
    }
    put(&w, "}\n");
}
