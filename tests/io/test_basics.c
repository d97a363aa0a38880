/* The small parts: clock, turns, timers, mailboxes, entropy, sealed records, cookies' rules. */
#include "io/cookies_curl.h"
#include "lib/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* ---- Clock --------------------------------------------------------------------------------- */

static void test_clock(void **state)
{
    struct wst__clock c;
    struct wst__time a, b;

    (void)state;
    wst__clock_init(&c);
    wst__clock_read(&c, &a);
    wst__clock_read(&c, &b);
    assert_true(a.now_ms > 0 && b.now_us >= a.now_us && b.now_ms >= a.now_ms);
    assert_true(a.boot_ms + 1 >= a.now_ms); /* Sleep is only ever added. */
    assert_in_range(a.wall_s, (uint64_t)time(NULL) - 1, (uint64_t)time(NULL) + 1);
    assert_in_range(a.now_us / 1000, a.now_ms, a.now_ms + 1);
}

static void test_clock_without_boottime(void **state)
{
    struct wst__clock c;

    (void)state;
    wst__clock_init(&c);
    assert_int_equal(wst__clock_slept(&c, 1000, 500000), 0);
    assert_int_equal(wst__clock_slept(&c, 2000, 501000), 0);
    assert_int_equal(wst__clock_slept(&c, 3000, 503500), 0);     /* A correction. */
    assert_int_equal(wst__clock_slept(&c, 4000, 534500), 30000); /* A suspend. */
    assert_int_equal(wst__clock_slept(&c, 5000, 100000), 30000); /* The clock was set back. */
    assert_int_equal(wst__clock_slept(&c, 6000, 101000), 30000);
    assert_int_equal(wst__clock_slept(&c, 7000, 112000), 40000);
}

/* ---- Turns --------------------------------------------------------------------------------- */

struct asker {
    struct world *w;
    struct wst__turn turn;
    struct wst__turn *also; /* Dropped when it runs. */
    int runs;
    int again; /* Times that it asks again when it runs. */
};

static void on_turn(void *arg)
{
    struct asker *a = arg;

    a->runs++;
    if (a->also)
        wst__turn_drop(a->also);
    if (a->again > 0) {
        a->again--;
        wst__turn_ask(&a->w->io.turns, &a->turn);
    }
}

static struct asker asker_of(struct world *w)
{
    struct asker a = {.w = w, .turn = {.cb = on_turn}};

    return a;
}

/* Nothing else keeps this loop alive: it must not sleep before the turn has run, and must end. */
static void run_dry(struct world *w)
{
    uint64_t begun = uv_hrtime();

    (void)uv_run(&w->uv, UV_RUN_DEFAULT);
    assert_true(uv_hrtime() - begun < (uint64_t)2 * 1000000000);
}

static void test_turn_from_outside(void **state)
{
    struct world *w = *state;
    struct asker a = asker_of(w);
    struct asker b = asker_of(w);

    a.turn.arg = &a;
    b.turn.arg = &b;
    wst__turn_ask(&w->io.turns, &a.turn);
    wst__turn_ask(&w->io.turns, &a.turn);
    wst__turn_ask(&w->io.turns, &b.turn);
    wst__turn_drop(&b.turn);
    wst__turn_drop(&b.turn);
    assert_int_equal(a.runs, 0);
    run_dry(w);
    assert_int_equal(a.runs, 1);
    assert_int_equal(b.runs, 0);
    run_dry(w);
    assert_int_equal(a.runs, 1);
}

static void test_turn_asks_again(void **state)
{
    struct world *w = *state;
    struct asker a = asker_of(w);
    struct asker b = asker_of(w);

    a.turn.arg = &a;
    b.turn.arg = &b;
    a.again = 1000;
    wst__turn_ask(&w->io.turns, &a.turn);
    (void)uv_run(&w->uv, UV_RUN_NOWAIT);
    assert_in_range(a.runs, 2, 20); /* The loop has gone round in between. */
    run_dry(w);
    assert_int_equal(a.runs, 1001);
    /* One drops the other, which was to run in the same pass. */
    a.also = &b.turn;
    wst__turn_ask(&w->io.turns, &a.turn);
    wst__turn_ask(&w->io.turns, &b.turn);
    run_dry(w);
    assert_int_equal(b.runs, 0);
}

static void test_turn_later(void **state)
{
    struct world *w = *state;
    struct asker a = asker_of(w);

    a.turn.arg = &a;
    wst__turn_ask_later(&w->io.turns, &a.turn);
    run_dry(w);
    assert_int_equal(a.runs, 1);
}

static struct asker *shared;

static void ask_shared(void)
{
    wst__turn_ask(&shared->w->io.turns, &shared->turn);
}

static void on_timer(uv_timer_t *timer)
{
    ask_shared();
    uv_close((uv_handle_t *)timer, NULL);
}

static void on_prepare(uv_prepare_t *prepare)
{
    ask_shared();
    uv_close((uv_handle_t *)prepare, NULL);
}

static void on_check(uv_check_t *check)
{
    ask_shared();
    uv_close((uv_handle_t *)check, NULL);
}

static void on_idle(uv_idle_t *idle)
{
    ask_shared();
    uv_close((uv_handle_t *)idle, NULL);
}

static void on_close(uv_handle_t *handle)
{
    (void)handle;
    ask_shared();
}

/* Wherever the wish comes from: the phases of the loop before and after ours. */
static void test_turn_from_every_phase(void **state)
{
    struct world *w = *state;
    struct asker a = asker_of(w);
    uv_timer_t timer, closing;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;

    a.turn.arg = &a;
    shared = &a;
    (void)uv_timer_init(&w->uv, &timer);
    (void)uv_timer_start(&timer, on_timer, 1, 0);
    run_dry(w);
    assert_int_equal(a.runs, 1);
    (void)uv_prepare_init(&w->uv, &prepare);
    (void)uv_prepare_start(&prepare, on_prepare);
    run_dry(w);
    assert_int_equal(a.runs, 2);
    (void)uv_check_init(&w->uv, &check);
    (void)uv_check_start(&check, on_check);
    (void)uv_idle_init(&w->uv, &idle);
    (void)uv_idle_start(&idle, on_idle);
    run_dry(w);
    assert_in_range(a.runs, 3, 4);
    (void)uv_timer_init(&w->uv, &closing);
    uv_close((uv_handle_t *)&closing, on_close);
    run_dry(w);
    assert_in_range(a.runs, 4, 5);
}

/* While a turn is asked for, the loop does not sleep, though others keep it alive. */
static void on_far_timer(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the loop slept");
}

static void on_any_turn(void *arg)
{
    uv_close(arg, NULL);
}

static void test_turn_before_sleep(void **state)
{
    struct world *w = *state;
    uv_timer_t far;
    struct wst__turn turn = {.cb = on_any_turn, .arg = &far};

    (void)uv_timer_init(&w->uv, &far);
    (void)uv_timer_start(&far, on_far_timer, 5000, 0);
    wst__turn_ask(&w->io.turns, &turn);
    run_dry(w);
}

static void on_prepare_once(uv_prepare_t *prepare)
{
    if (shared->runs == 0)
        ask_shared();
    (void)prepare;
}

/* From a prepare handle, right before the loop polls: the wish must not sleep through that. */
static void test_turn_from_prepare(void **state)
{
    struct world *w = *state;
    uv_prepare_t prepare;
    uv_timer_t far;
    struct asker a = asker_of(w);

    a.turn.arg = &a;
    shared = &a;
    (void)uv_prepare_init(&w->uv, &prepare);
    (void)uv_prepare_start(&prepare, on_prepare_once);
    (void)uv_timer_init(&w->uv, &far);
    (void)uv_timer_start(&far, on_far_timer, 5000, 0);
    (void)uv_run(&w->uv, UV_RUN_ONCE);
    assert_int_equal(a.runs, 0);
    (void)uv_run(&w->uv, UV_RUN_NOWAIT);
    assert_int_equal(a.runs, 1);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&far, NULL);
    run_dry(w);
}

/* ---- Timers -------------------------------------------------------------------------------- */

struct alarm {
    struct world *w;
    struct wst__timer timer;
    int runs;
    uint64_t ran_ms;
    bool rang;
};

static uint64_t now_ms(struct world *w)
{
    struct wst__time t;

    wst__clock_read(&w->io.clock, &t);
    return t.now_ms;
}

static void on_alarm(void *arg)
{
    struct alarm *a = arg;

    a->runs++;
    a->ran_ms = now_ms(a->w);
    a->rang = true;
}

static void alarm_init(struct alarm *a, struct world *w)
{
    memset(a, 0, sizeof *a);
    a->w = w;
    wst__timer_init(&a->timer, on_alarm, a);
}

static void alarm_set(struct alarm *a, uint64_t due_ms)
{
    wst__timer_set(&a->w->io.timers, &a->timer, due_ms);
}

static void test_timer(void **state)
{
    struct world *w = *state;
    struct alarm a;
    uint64_t due = now_ms(w) + 30;

    alarm_init(&a, w);
    run_dry(w); /* Not armed: it does not keep the loop alive. */
    alarm_set(&a, due);
    run_dry(w); /* Armed: it does. */
    assert_int_equal(a.runs, 1);
    assert_true(a.ran_ms >= due);
    alarm_set(&a, 1); /* Long past. */
    assert_int_equal(a.runs, 1);
    run_dry(w);
    assert_int_equal(a.runs, 2);
    alarm_set(&a, now_ms(w) + 20);
    alarm_set(&a, UINT64_MAX);
    run_dry(w);
    assert_int_equal(a.runs, 2);
    alarm_set(&a, now_ms(w) + 5000);
    alarm_set(&a, now_ms(w) + 1); /* Sooner. */
    run_dry(w);
    assert_int_equal(a.runs, 3);
}

/* Due in one turn of the loop, in the order of their times; each runs once, though the first one
 * takes back the second, and sets the third and itself to times that are past, too. */
static void set_others(void *arg)
{
    struct alarm *a = arg;

    on_alarm(&a[0]);
    assert_int_equal(a[2].runs, 0);
    assert_int_equal(a[3].runs, a[0].runs - 1); /* What is set now waits until all have run. */
    if (a[0].runs > 1)
        return;
    alarm_set(&a[0], 1);
    alarm_set(&a[1], UINT64_MAX);
    alarm_set(&a[2], 2);
}

static void test_timers_together(void **state)
{
    struct world *w = *state;
    struct alarm a[4];

    for (int i = 3; i >= 0; i--) {
        alarm_init(&a[i], w);
        alarm_set(&a[i], (uint64_t)i + 1);
    }
    a[0].timer.cb = set_others;
    run_dry(w);
    assert_int_equal(a[0].runs, 2);
    assert_int_equal(a[1].runs, 0);
    assert_int_equal(a[2].runs, 1);
    assert_int_equal(a[3].runs, 1);
}

/* Many at any times, some taken back and some moved: each runs once, none of them early. */
static void test_many_timers(void **state)
{
    enum { MANY = 500 };
    static struct alarm a[MANY];
    static uint64_t due[MANY];
    struct world *w = *state;
    uint64_t begin = now_ms(w);

    for (uint64_t i = 0; i < MANY; i++) {
        alarm_init(&a[i], w);
        due[i] = begin + i * 7919 % 40;
        alarm_set(&a[i], due[i]);
    }
    for (uint64_t i = 0; i < MANY; i += 3) {
        due[i] = i % 2 == 0 ? UINT64_MAX : begin + i * 104729 % 40;
        alarm_set(&a[i], due[i]);
    }
    run_dry(w);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(a[i].runs, due[i] != UINT64_MAX);
        assert_true(a[i].runs == 0 || a[i].ran_ms >= due[i]);
    }
}

/* After a suspend every armed timer looks at the clock, early, and still keeps its time. */
static void test_timers_after_a_suspend(void **state)
{
    struct world *w = *state;
    struct alarm a, b, c;

    alarm_init(&a, w);
    alarm_init(&b, w);
    alarm_init(&c, w);
    alarm_set(&a, now_ms(w) + 60);
    alarm_set(&b, now_ms(w) + 50000);
    wst__io_woke(&w->io);
    assert_int_equal(a.runs, 0);
    world_run(w, &b.rang);
    assert_int_equal(a.runs, 1);
    assert_int_equal(b.runs, 1);
    assert_int_equal(c.runs, 0);
    alarm_set(&b, UINT64_MAX);
    run_dry(w); /* The first is still armed for its own time. */
    assert_int_equal(a.runs, 2);
    assert_int_equal(b.runs, 1);
    alarm_set(&a, UINT64_MAX);
    alarm_set(&b, UINT64_MAX);
    alarm_set(&c, UINT64_MAX);
}

/* The watch wakes the loop when the machine has slept: the clock that runs during sleep is ahead.
 */
static void test_watch(void **state)
{
    struct world *w = *state;
    struct alarm a;

    if (w->io.timers.watch_fd < 0)
        skip();
    alarm_init(&a, w);
    alarm_set(&a, now_ms(w) + 50000);
    assert_true(w->io.timers.watching);
    /* As if the machine had slept since it was armed. */
    w->io.timers.slept_ms -= 3000;
    wst__timers_watch_in(&w->io.timers, 1);
    world_run(w, &a.rang);
    assert_true(w->io.timers.watching); /* Armed again. */
    a.rang = false;
    wst__timers_watch_in(&w->io.timers, 1);
    world_run_for(w, 20); /* It has not slept now. */
    assert_false(a.rang);
    alarm_set(&a, UINT64_MAX);
}

/* ---- Mailboxes ----------------------------------------------------------------------------- */

/* What came, in order: a number for each letter, 0 for the end. */
struct receiver {
    struct world *w;
    struct wst__mailbox box;
    int came[8], count;
};

struct note {
    struct wst__letter letter;
    struct receiver *to;
    int number;
    struct note *also; /* Posted when this one is run. */
    int answer;        /* What was said to that. */
};

static int post(struct note *n)
{
    return wst__mailbox_post(&n->to->w->io.mail, &n->to->box, &n->letter);
}

static void take_note(void *arg)
{
    struct note *n = arg;

    n->to->came[n->to->count++] = n->number;
    if (n->also)
        n->answer = post(n->also);
}

static void on_box_closed(void *arg)
{
    struct receiver *r = arg;

    r->came[r->count++] = 0;
}

static void note_init(struct note *n, struct receiver *to, int number)
{
    *n = (struct note){
        .to = to, .number = number, .letter = {.run = take_note, .arg = n}, .answer = 1};
}

static void test_mailbox(void **state)
{
    static const int to_a[] = {1, 3, 0}, to_b[] = {2, 5, 0};
    struct world *w = *state;
    struct receiver a = {.w = w}, b = {.w = w};
    struct note n[7];

    for (int i = 1; i < 7; i++)
        note_init(&n[i], i == 2 || i == 5 ? &b : &a, i);
    n[3].also = &n[6]; /* By then its box is closing. */
    assert_int_equal(post(&n[1]), 0);
    world_run_for(w, 20);
    assert_int_equal(a.count, 1);
    assert_int_equal(post(&n[2]), 0);
    assert_int_equal(post(&n[3]), 0);
    wst__mailbox_close(&w->io.mail, &a.box, on_box_closed, &a);
    assert_int_equal(post(&n[4]), WST_ERR_CLOSING);
    assert_int_equal(post(&n[5]), 0);
    assert_int_equal(a.count, 1);
    run_dry(w); /* The end keeps the loop alive until it is told. */
    assert_int_equal(a.count, 3);
    assert_memory_equal(a.came, to_a, sizeof to_a);
    assert_int_equal(n[3].answer, WST_ERR_CLOSING);
    wst__mailbox_close(&w->io.mail, &b.box, on_box_closed, &b);
    run_dry(w);
    assert_int_equal(b.count, 3);
    assert_memory_equal(b.came, to_b, sizeof to_b);
}

/* A letter alone does not keep the loop alive. */
static void test_mailbox_lets_the_loop_end(void **state)
{
    struct world *w = *state;
    struct receiver r = {.w = w};
    struct note n;

    note_init(&n, &r, 1);
    assert_int_equal(post(&n), 0);
    assert_int_equal(uv_loop_alive(&w->uv), 0);
    wst__mailbox_close(&w->io.mail, &r.box, on_box_closed, &r);
    assert_int_equal(uv_loop_alive(&w->uv), 1);
    run_dry(w);
    assert_int_equal(r.count, 2);
}

enum { BOXES = 3, POSTERS = 4, EACH = 5000, AT_MOST = 100000 };

/* Boxes that close after a while, and threads that post until all of them have. */
struct office {
    struct world *w;
    struct office_box {
        struct office *office;
        struct wst__mailbox box;
        long run;
        bool closing, closed;
    } boxes[BOXES];
    int open;
    bool over;
};

struct parcel {
    struct wst__letter letter;
    struct office_box *to;
};

struct poster {
    struct office *office;
    long taken[BOXES];
    uv_thread_t thread;
};

static void on_office_closed(void *arg)
{
    struct office_box *b = arg;

    b->closed = true;
    b->office->over = --b->office->open == 0;
}

static void take_parcel(void *arg)
{
    struct parcel *p = arg;
    struct office_box *b = p->to;

    free(p);
    assert_false(b->closed);
    if (++b->run >= EACH && !b->closing) {
        b->closing = true;
        wst__mailbox_close(&b->office->w->io.mail, &b->box, on_office_closed, b);
    }
}

static void post_parcels(void *arg)
{
    struct poster *me = arg;
    bool refused[BOXES] = {false};

    for (int i = 0; i < AT_MOST && !(refused[0] && refused[1] && refused[2]); i++) {
        int at = i % BOXES;
        struct parcel *p = malloc(sizeof *p);

        if (!p)
            abort();
        p->to = &me->office->boxes[at];
        p->letter = (struct wst__letter){.run = take_parcel, .arg = p};
        refused[at] = wst__mailbox_post(&me->office->w->io.mail, &p->to->box, &p->letter) != 0;
        me->taken[at] += !refused[at];
        if (refused[at])
            free(p);
    }
}

/* Everything that was taken is run before the end of its box, and nothing else. */
static void test_mail_from_threads(void **state)
{
    static struct office office;
    static struct poster posters[POSTERS];

    office = (struct office){.w = *state, .open = BOXES};
    for (int i = 0; i < BOXES; i++)
        office.boxes[i].office = &office;
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.office = &office};
        assert_int_equal(uv_thread_create(&posters[i].thread, post_parcels, &posters[i]), 0);
    }
    world_run(office.w, &office.over);
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(uv_thread_join(&posters[i].thread), 0);
    for (int b = 0; b < BOXES; b++) {
        long taken = 0;

        for (int i = 0; i < POSTERS; i++)
            taken += posters[i].taken[b];
        assert_int_equal(office.boxes[b].run, taken);
        assert_true(taken >= EACH && office.boxes[b].closed);
    }
}

/* ---- Entropy ------------------------------------------------------------------------------- */

static void test_entropy(void **state)
{
    struct wst__entropy e;
    uint8_t a[16], b[16], big[5000] = {0};
    size_t zeroes = 0;

    (void)state;
    wst__entropy_init(&e);
    for (int i = 0; i < 1000; i++) { /* Over the end of the pool many times. */
        assert_int_equal(wst__entropy_take(&e, a, sizeof a), 0);
        assert_int_equal(wst__entropy_take(&e, b, sizeof b), 0);
        assert_memory_not_equal(a, b, sizeof a);
    }
    assert_int_equal(wst__entropy_take(&e, big, sizeof big), 0);
    for (size_t i = 0; i < sizeof big; i++)
        zeroes += big[i] == 0;
    assert_in_range(zeroes, 0, 200);
    wst__entropy_fini(&e);
    for (size_t i = 0; i < sizeof e.pool; i++)
        assert_int_equal(e.pool[i], 0);
}

/* ---- Sealed records ------------------------------------------------------------------------ */

static void test_sealed(void **state)
{
    static uint8_t memory[WST__SEALED_BYTES];
    struct wst__sealed box = {.bytes = memory};
    struct wst__sealed *kept;

    (void)state;
    assert_true(wst__sealed_fits(&box, WST__SEALED_BYTES));
    wst__sealed_add(&box, "abcdef", 6); /* A record with 4 bytes of the application in it. */
    wst__sealed_carries(&box, 4);
    wst__sealed_add(&box, "gh", 2); /* One of TLS itself. */
    wst__sealed_add(&box, "ijkl", 4);
    wst__sealed_carries(&box, 3);
    assert_int_equal(wst__sealed_size(&box), 12);
    assert_int_equal(wst__sealed_left(&box, 5), 0);
    assert_int_equal(wst__sealed_left(&box, 1), 4);
    assert_int_equal(wst__sealed_left(&box, 3), 0);
    kept = wst__sealed_keep(&box);
    assert_non_null(kept);
    assert_int_equal(wst__sealed_size(kept), 3);
    assert_memory_equal(kept->bytes, "jkl", 3);
    assert_int_equal(wst__sealed_left(kept, 2), 0);
    assert_int_equal(wst__sealed_left(kept, 1), 3);
    assert_int_equal(wst__sealed_size(kept), 0);
    wst__sealed_clear(&box);
    for (int i = 0; i < 100; i++) { /* More than are told apart: none is told too early. */
        wst__sealed_add(&box, "x", 1);
        wst__sealed_carries(&box, 1);
    }
    assert_in_range(wst__sealed_left(&box, 50), 0, 50);
    assert_in_range(wst__sealed_left(&box, 50), 50, 100);
    assert_int_equal(wst__sealed_size(&box), 0);
    free(kept);
}

/* ---- Cookies ------------------------------------------------------------------------------- */

static void test_cookie_rules(void **state)
{
    static const struct {
        const char *line, *host, *path;
        bool secure, match;
    } table[] = {
        {"a.example\tFALSE\t/\tFALSE\t0\tn\tv", "a.example", "/", false, true},
        {"a.example\tFALSE\t/\tFALSE\t0\tn\tv", "A.example", "/x/y", true, true},
        {"a.example\tFALSE\t/\tFALSE\t0\tn\tv", "b.a.example", "/", false, false},
        {".a.example\tTRUE\t/\tFALSE\t0\tn\tv", "b.a.example", "/", false, true},
        {".a.example\tTRUE\t/\tFALSE\t0\tn\tv", "ba.example", "/", false, false},
        {"#HttpOnly_a.example\tFALSE\t/\tFALSE\t0\tn\tv", "a.example", "/", false, true},
        {"a.example\tFALSE\t/ws\tFALSE\t0\tn\tv", "a.example", "/ws", false, true},
        {"a.example\tFALSE\t/ws\tFALSE\t0\tn\tv", "a.example", "/ws/b", false, true},
        {"a.example\tFALSE\t/ws\tFALSE\t0\tn\tv", "a.example", "/wss", false, false},
        {"a.example\tFALSE\t/ws/\tFALSE\t0\tn\tv", "a.example", "/ws/b", false, true},
        {"a.example\tFALSE\t/\tTRUE\t0\tn\tv", "a.example", "/", false, false},
        {"a.example\tFALSE\t/\tTRUE\t0\tn\tv", "a.example", "/", true, true},
        {"a.example\tFALSE\t/\tFALSE\t1000\tn\tv", "a.example", "/", false, false},
        {"a.example\tFALSE\t/\tFALSE\t1001\tn\tv", "a.example", "/", false, true},
        {"a.example\tFALSE\t/\tFALSE\t0", "a.example", "/", false, false},
        {"", "a.example", "/", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct wst__cookie_target target = {.host = table[i].host,
                                            .path = table[i].path,
                                            .secure = table[i].secure,
                                            .wall_s = 1000};
        const char *name, *value;
        char line[128];

        (void)snprintf(line, sizeof line, "%s", table[i].line);
        if (wst__cookie_match(line, &target, &name, &value) != table[i].match)
            fail_msg("%zu", i);
        if (table[i].match) {
            assert_string_equal(name, "n");
            assert_string_equal(value, "v");
        }
    }
}

int main(void)
{
#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_clock_without_boottime),
        IN_WORLD(test_turn_from_outside),
        IN_WORLD(test_turn_asks_again),
        IN_WORLD(test_turn_later),
        IN_WORLD(test_turn_from_every_phase),
        IN_WORLD(test_turn_before_sleep),
        IN_WORLD(test_turn_from_prepare),
        IN_WORLD(test_timer),
        IN_WORLD(test_timers_together),
        IN_WORLD(test_many_timers),
        IN_WORLD(test_timers_after_a_suspend),
        IN_WORLD(test_watch),
        IN_WORLD(test_mailbox),
        IN_WORLD(test_mailbox_lets_the_loop_end),
        IN_WORLD(test_mail_from_threads),
        cmocka_unit_test(test_entropy),
        cmocka_unit_test(test_sealed),
        cmocka_unit_test(test_cookie_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
