/*
 * Sabotage: wslay's parser is replaced by one that checks nothing (the linker's --wrap).  The
 * conformance cases whose check is wslay's must then fail, and all others must still hold.  So the
 * checks come from wslay, nothing goes round them, and the table would notice if it did.
 */
#include "ws_fixture.h"

#include "conformance_cases.h"

#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

/*
 * The lenient parser.  It reads through the callback that was given to wslay, as wslay does, and
 * tells about frames as wslay does; one connection at a time.
 */
static struct {
    struct wslay_frame_callbacks callbacks;
    void *arg;
    uint8_t buf[4096];
    size_t have;
    uint64_t left; /* Payload bytes of the frame under way. */
    struct wslay_frame_iocb io;
} parser;

int __wrap_wslay_frame_context_init(wslay_frame_context_ptr *f,
                                    const struct wslay_frame_callbacks *callbacks, void *arg);
void __wrap_wslay_frame_context_free(wslay_frame_context_ptr f);
ssize_t __wrap_wslay_frame_recv(wslay_frame_context_ptr f, struct wslay_frame_iocb *io);

int __wrap_wslay_frame_context_init(wslay_frame_context_ptr *f,
                                    const struct wslay_frame_callbacks *callbacks, void *arg)
{
    memset(&parser, 0, sizeof parser);
    parser.callbacks = *callbacks;
    parser.arg = arg;
    *f = malloc(1);
    return 0;
}

void __wrap_wslay_frame_context_free(wslay_frame_context_ptr f)
{
    free(f);
}

/* Until |n| bytes are in the buffer; false when there are not so many now. */
static bool fill(size_t n)
{
    while (parser.have < n) {
        ssize_t r = parser.callbacks.recv_callback(parser.buf + parser.have,
                                                   sizeof parser.buf - parser.have, 0, parser.arg);

        if (r <= 0)
            return false;
        parser.have += (size_t)r;
    }
    return true;
}

static void drop(size_t n)
{
    parser.have -= n;
    memmove(parser.buf, parser.buf + n, parser.have);
}

static bool parse_header(void)
{
    size_t extra = 0;
    uint64_t size;

    if (!fill(2))
        return false;
    size = parser.buf[1] & 0x7f;
    extra = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (!fill(2 + extra + (parser.buf[1] & 0x80 ? 4 : 0)))
        return false;
    if (extra)
        size = 0;
    for (size_t i = 0; i < extra; i++)
        size = size << 8 | parser.buf[2 + i];
    parser.io.fin = parser.buf[0] >> 7;
    parser.io.rsv = parser.buf[0] >> 4 & 7;
    parser.io.opcode = parser.buf[0] & 15;
    parser.io.mask = parser.buf[1] >> 7;
    parser.io.payload_length = size;
    parser.left = size;
    drop(2 + extra + (parser.io.mask ? 4u : 0));
    return true;
}

ssize_t __wrap_wslay_frame_recv(wslay_frame_context_ptr f, struct wslay_frame_iocb *io)
{
    size_t n;

    (void)f;
    if (parser.left == 0) {
        if (!parse_header())
            return WSLAY_ERR_WANT_READ;
        if (parser.left == 0) {
            *io = parser.io;
            return 0;
        }
    }
    if (parser.have == 0 && !fill(1))
        return WSLAY_ERR_WANT_READ;
    n = parser.have < parser.left ? parser.have : (size_t)parser.left;
    drop(n);
    parser.left -= n;
    *io = parser.io;
    io->data_length = n;
    return (ssize_t)n;
}

static bool holds(const struct conformance_case *c)
{
    struct fixture fx;
    size_t n;
    uint8_t *input = bytes_from(c->input, &n);
    bool same;

    fixture_init(&fx, c->max_message, 0);
    if (c->flags & WE_CLOSE)
        fixture_close(&fx, 1000);
    (void)fixture_feed(&fx, input, n);
    fixture_flush(&fx, SIZE_MAX);
    same = strcmp(fx.events.text, c->events) == 0 && strcmp(fx.output.text, c->output) == 0;
    fixture_fini(&fx);
    free(input);
    return same;
}

static void without_wslay_exactly_its_checks_are_missing(void **state)
{
    unsigned missing = 0;

    (void)state;
    for (size_t i = 0; i < CONFORMANCE_CASES; i++) {
        const struct conformance_case *c = &conformance_cases[i];

        bool by_wslay = c->flags & BY_WSLAY;

        if (holds(c) == by_wslay)
            fail_msg("%s %s: %s", c->section, c->name,
                     by_wslay ? "holds without wslay's check" : "needs wslay's check");
        missing += by_wslay;
    }
    assert_true(missing >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_wslay_exactly_its_checks_are_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
