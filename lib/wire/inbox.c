/* The message under way. */
#include "wire/inbox.h"

#include "base/err.h"
#include "wire/utf8.h"

#include <string.h>

enum { PLACE_LEAST = 16 << 10 }; /* The least that is worth a receive of its own. */

static int check_text(struct wst__inbox *in, const uint8_t *p, size_t n)
{
    if (in->type != WST_TEXT)
        return 0;
    in->utf8 = wst__utf8_feed(in->utf8, p, n);
    return in->utf8 == WST__UTF8_REJECT ? WST_ERR_WS_BAD_UTF8 : 0;
}

/*
 * Makes room for |n| more bytes, behind which |left| are announced.  It grows with what has
 * arrived: to twice that, but not over the message's end when |fin| says that it is announced.
 */
static int grow(struct wst__inbox *in, const struct wst__ws_env *env, size_t n, size_t left,
                bool fin)
{
    struct wst__block larger = {NULL, 0};
    size_t need = in->len + n;
    size_t end = fin ? need + left : env->max_message;
    size_t cap = in->body.cap < end / 2 ? 2 * in->body.cap : end;
    int rc;

    if (need <= in->body.cap)
        return 0;
    cap = cap > need ? cap : need;
    rc = wst__pool_take(env->pool, &larger, cap, cap > need + left ? cap : need + left);
    if (rc != 0)
        return rc;
    if (in->len)
        memcpy(larger.data, in->body.data, in->len);
    wst__pool_give(env->pool, &in->body);
    in->body = larger;
    return 0;
}

/* What the inflater holds is put to the body; the ceiling counts inflated bytes. */
static int run_inflater(struct wst__inbox *in, const struct wst__ws_env *env)
{
    int more = WST__INFLATE_MORE;
    int rc = 0;

    while (more == WST__INFLATE_MORE && rc == 0) {
        size_t room = wst__inbox_room(in, env->max_message);
        uint8_t over; /* Beyond the ceiling one byte is enough to know. */
        size_t made;

        if (room && grow(in, env, 1, 0, false) != 0)
            return WST_ERR_NOMEM;
        if (room > in->body.cap - in->len)
            room = in->body.cap - in->len;
        more = wst__inflate_run(env->deflate, room ? in->body.data + in->len : &over,
                                room ? room : 1, &made);
        if (made > room)
            return WST_ERR_WS_TOO_LARGE;
        rc = wst__inbox_placed(in, made); /* Also what came before a fault. */
    }
    if (rc == 0 && more < 0)
        rc = more;
    return rc;
}

int wst__inbox_add(struct wst__inbox *in, const struct wst__ws_env *env, const uint8_t *p, size_t n,
                   size_t left, bool fin)
{
    int rc = 0;

    if (n == 0)
        return 0;
    if (in->packed) {
        rc = wst__inflate_feed(env->deflate, p, n);
        return rc == 0 ? run_inflater(in, env) : rc;
    }
    rc = grow(in, env, n, left, fin);
    if (rc != 0)
        return rc;
    memcpy(in->body.data + in->len, p, n);
    return wst__inbox_placed(in, n);
}

int wst__inbox_pass(struct wst__inbox *in, const uint8_t *p, size_t n)
{
    in->passed += n;
    return check_text(in, p, n);
}

int wst__inbox_end(struct wst__inbox *in, const struct wst__ws_env *env)
{
    int rc = 0;

    if (in->packed) {
        rc = wst__inflate_finish(env->deflate);
        if (rc == 0)
            rc = run_inflater(in, env);
        if (rc == 0)
            rc = wst__inflate_end(env->deflate);
    }
    if (rc == 0 && in->type == WST_TEXT && in->utf8 != WST__UTF8_ACCEPT)
        rc = WST_ERR_WS_BAD_UTF8; /* It ends inside a character. */
    return rc;
}

uint8_t *wst__inbox_place(struct wst__inbox *in, const struct wst__ws_env *env, size_t left,
                          bool fin, size_t *room)
{
    if (left < PLACE_LEAST || in->packed ||
        grow(in, env, PLACE_LEAST, left - PLACE_LEAST, fin) != 0)
        return NULL;
    *room = in->body.cap - in->len < left ? in->body.cap - in->len : left;
    return in->body.data + in->len;
}

int wst__inbox_placed(struct wst__inbox *in, size_t n)
{
    int rc;

    if (n == 0)
        return 0; /* There may be no body yet. */
    rc = check_text(in, in->body.data + in->len, n);
    in->len += n;
    return rc;
}
