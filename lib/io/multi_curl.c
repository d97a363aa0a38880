/*
 * libcurl's multi interface on libuv.  libcurl tells which sockets it wants watched and when it
 * wants to be called; we call it with what happened, and afterwards, when it has returned, look at
 * what it has finished: always, whatever it says about the number of running transfers.
 *
 * Nothing of ours is ever called from inside libcurl, so every callback may cancel any transfer.
 *
 * Sockets are opened and closed by us: opened, so that no child inherits them; closed, so that the
 * uv handle stops looking at a descriptor before it is gone, and so that a dialed socket can be
 * kept, together with that handle, when libcurl lets go of it.  A socket outlives the transfer that
 * opened it, so its context is the multi.
 *
 * Only a few TLS handshakes begin in one turn of the loop.  Transfers that may need one wait to be
 * begun; and where many connections come to stand at once, libcurl hears of the others in the turns
 * that follow: their sockets are still ready then.
 */
#include "io/multi_curl.h"

#include "base/mem.h"
#include "io/exit_gate.h"
#include "io/io.h"
#include "io/tls_openssl.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    /* Idle connections that are kept.  Few: a fleet of clients on one loop needs one each only
     * while it connects. */
    KEEP_CONNECTIONS = 8,
    /* Polls of a socket that report an error and nothing else, before libcurl is told to give up.
     */
    ERRORS_IN_A_ROW = 16,
    HANDSHAKES_A_TURN = 4,
    /* The driver has its own deadlines, of a week at most; libcurl's would be five minutes. */
    CONNECT_MS = 7 * 24 * 3600 * 1000
};

struct sock {
    struct wst__io *io;
    struct wst__multi *multi; /* Not to be used once it is closing. */
    int fd;
    bool ours;  /* We opened it; else it is libcurl's own, a resolver's wake-up. */
    int wanted; /* UV_READABLE, UV_WRITABLE: as libcurl asked. */
    int errors; /* In a row. */
    uv_poll_t *poll;
    ino_t inode;    /* Which socket it was: the descriptor may be another's when it is closed. */
    bool announced; /* libcurl has asked for it to be watched. */
    bool suspected; /* In the list of suspects. */
    struct sock *next;
};

struct wst__multi {
    struct wst__io *io;
    struct wst__trust *trust;
    struct wst__multi *next;
    size_t refs;
    size_t running; /* Transfers in it. */
    bool settling;
    CURLM *curl;
    CURLSH *share;
    CURL *spare; /* Of a dial that has ended, for the next one; NULL: none. */
    uv_timer_t timer;
    struct sock **socks; /* By descriptor. */
    size_t sock_count;
    struct sock *suspects;        /* They may have been closed silently. */
    int no_socket;                /* Why the last one could not be made, for want of what; or 0. */
    int keep_fd;                  /* Not to be closed, but handed over; -1: none. */
    uv_poll_t *kept;              /* What watched it, once libcurl has let go of it. */
    struct wst__transfer told;    /* Head of the ring of those whose request has left. */
    struct wst__transfer waiting; /* Head of the ring of those that wait to begin. */
    struct wst__turn turn;
    int started, shaken; /* In this turn: transfers begun that may shake hands, handshakes begun. */
};

/* ---- Sockets ------------------------------------------------------------------------------- */

static struct sock *find_sock(const struct wst__multi *m, int fd)
{
    return fd >= 0 && (size_t)fd < m->sock_count ? m->socks[fd] : NULL;
}

static bool make_slot(struct wst__multi *m, int fd)
{
    size_t count = (size_t)fd + 16;
    struct sock **socks;

    if ((size_t)fd < m->sock_count)
        return true;
    socks = wst__realloc(m->socks, count * sizeof(struct sock *));
    if (!socks)
        return false;
    for (size_t i = m->sock_count; i < count; i++)
        socks[i] = NULL;
    m->socks = socks;
    m->sock_count = count;
    return true;
}

static void poll_closed(uv_handle_t *handle)
{
    struct wst__io *io = handle->data;

    wst__free(handle);
    wst__io_release(io);
}

static void clear(struct wst__multi *m, struct sock *s)
{
    struct sock **at = &m->suspects;

    if (!s->suspected)
        return;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    s->suspected = false;
}

static void suspect(struct wst__multi *m, struct sock *s)
{
    if (s->suspected)
        return;
    s->suspected = true;
    s->next = m->suspects;
    m->suspects = s;
}

/* What is known of the descriptor is forgotten; its handle is left to the caller. */
static uv_poll_t *take_poll(struct wst__multi *m, struct sock *s)
{
    uv_poll_t *poll = s->poll;

    clear(m, s);
    m->socks[s->fd] = NULL;
    wst__free(s);
    return poll;
}

/* Lets go of the descriptor, which may be closed or polled by others from now on. */
static void drop_sock(struct wst__multi *m, struct sock *s)
{
    struct wst__io *io = s->io;
    uv_poll_t *poll = take_poll(m, s);

    poll->data = io;
    uv_close((uv_handle_t *)poll, poll_closed);
}

/* The socket of a dial is not closed, nor is what watches it: a new handle costs system calls. */
static void keep_sock(struct wst__multi *m, struct sock *s)
{
    if (s->wanted)
        (void)uv_poll_stop(s->poll);
    m->kept = take_poll(m, s);
    wst__io_release(m->io); /* Whoever takes it has a hold of its own. */
}

static bool is_open(const struct sock *s)
{
    struct stat st;

    return fstat(s->fd, &st) == 0 && st.st_ino == s->inode;
}

/*
 * libcurl 7.88 closes a socket that was never connected (the dial was canceled, or another address
 * of the host was faster) without calling on_close_socket().  It happens inside of libcurl, to a
 * socket that it has just opened or no longer wants watched: those are looked at when it returns,
 * before anybody else can get the same descriptor.
 */
static void drop_closed(struct wst__multi *m)
{
    struct sock *next;

    for (struct sock *s = m->suspects; s; s = next) {
        next = s->next;
        if (!is_open(s))
            drop_sock(m, s);
        else if (s->announced)
            clear(m, s);
    }
}

static struct sock *new_sock(struct wst__multi *m, int fd, bool ours)
{
    struct sock *s = make_slot(m, fd) ? wst__calloc(1, sizeof *s) : NULL;
    struct stat st;

    if (!s)
        return NULL;
    assert(fd >= 0);
    if (fstat(fd, &st) == 0)
        s->inode = st.st_ino;
    s->poll = wst__malloc(sizeof *s->poll);
    if (!s->poll || uv_poll_init_socket(m->io->uv, s->poll, fd) != 0) {
        wst__free(s->poll);
        wst__free(s);
        return NULL;
    }
    s->poll->data = s;
    s->io = m->io;
    s->multi = m;
    s->fd = fd;
    s->ours = ours;
    m->socks[fd] = s;
    wst__io_hold(m->io);
    return s;
}

static void watch(struct sock *s, int wanted);

/* The machine has none to give, whatever the address. */
static bool is_want(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    struct wst__multi *m = arg;
    int fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
    struct sock *old = find_sock(m, fd);
    int wanted = 0;
    struct sock *s;

    (void)purpose;
    m->no_socket = fd < 0 && is_want(errno) ? errno : 0;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    /* The one of the last address was closed silently, and libcurl takes this one for the same. */
    if (old) {
        wanted = old->wanted;
        drop_sock(m, old);
    }
    s = new_sock(m, fd, true);
    if (!s) {
        m->no_socket = ENOMEM;
        (void)close(fd);
        return CURL_SOCKET_BAD;
    }
    suspect(m, s);
    if (wanted)
        watch(s, wanted);
    return fd;
}

static int on_close_socket(void *arg, curl_socket_t fd)
{
    struct wst__multi *m = arg;
    struct sock *s = find_sock(m, fd);

    if (s && fd == m->keep_fd) {
        keep_sock(m, s);
        return 0;
    }
    if (s)
        drop_sock(m, s);
    return close(fd);
}

static void settle(struct wst__multi *m);

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct sock *s = poll->data;
    struct wst__multi *m = s->multi;
    int fd = s->fd;
    int flags = 0;
    int running;

    if (status >= 0 && m->shaken >= HANDSHAKES_A_TURN)
        return; /* In the next turn, as it will be ready still. */
    if (status < 0) {
        /* libuv has stopped looking at it.  An answer may have come before the error: libcurl
         * reads first, and finds the error itself.  Only if it does not, it is told. */
        s->errors++;
        flags = s->errors > ERRORS_IN_A_ROW ? CURL_CSELECT_ERR
                                            : CURL_CSELECT_IN | CURL_CSELECT_OUT | CURL_CSELECT_ERR;
    } else {
        s->errors = 0;
        flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    }
    (void)curl_multi_socket_action(m->curl, fd, flags, &running);
    if (status < 0 && find_sock(m, fd) == s && s->wanted)
        (void)uv_poll_start(s->poll, s->wanted, on_poll);
    settle(m);
}

static void watch(struct sock *s, int wanted)
{
    s->announced = true;
    s->wanted = wanted;
    (void)uv_poll_start(s->poll, wanted, on_poll);
}

/* libcurl wants |fd| watched, in another way than before. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    struct wst__multi *m = arg;
    struct sock *s = find_sock(m, fd);

    (void)easy;
    (void)unused;
    if (what == CURL_POLL_REMOVE) {
        if (s && !s->ours) {
            drop_sock(m, s); /* libcurl closes it without telling. */
        } else if (s) {
            s->wanted = 0;
            (void)uv_poll_stop(s->poll);
            suspect(m, s);
        }
        return 0;
    }
    if (!s)
        s = new_sock(m, fd, false);
    if (!s)
        return 0; /* No memory: the transfer stalls, and its deadline ends it. */
    watch(s, (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0));
    return 0;
}

/* ---- Time ---------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    struct wst__multi *m = timer->data;
    int running;

    (void)curl_multi_socket_action(m->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    settle(m);
}

/* Never calls libcurl back from here: also a timeout of 0 goes through the loop. */
static int on_set_timer(CURLM *curl, long timeout_ms, void *arg)
{
    struct wst__multi *m = arg;

    (void)curl;
    if (timeout_ms < 0)
        (void)uv_timer_stop(&m->timer);
    else
        (void)uv_timer_start(&m->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

/* ---- What has happened --------------------------------------------------------------------- */

static void take_out(struct wst__transfer *t)
{
    if (!t->sent_next)
        return;
    t->sent_prev->sent_next = t->sent_next;
    t->sent_next->sent_prev = t->sent_prev;
    t->sent_next = t->sent_prev = NULL;
}

/* Inside libcurl: only noted.  libcurl asks again when it repeats a request on another connection.
 */
static int on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    struct wst__transfer *t = arg;
    struct wst__transfer *head = &t->multi->told;

    (void)ip;
    (void)local_ip;
    (void)port;
    (void)local_port;
    if (!t->sent_told && t->sent) {
        t->sent_prev = head->sent_prev;
        t->sent_next = head;
        head->sent_prev->sent_next = t;
        head->sent_prev = t;
    }
    t->sent_told = true;
    return CURL_PREREQFUNC_OK;
}

/* Takes the transfer out of the multi, and keeps the socket of a dial that succeeded. */
static void leave(struct wst__transfer *t, CURLcode result)
{
    struct wst__multi *m = t->multi;
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (t->keep_socket && result == CURLE_OK)
        (void)curl_easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &fd);
    m->keep_fd = fd;
    m->kept = NULL;
    (void)curl_multi_remove_handle(m->curl, t->easy);
    m->keep_fd = -1;
    drop_closed(m);
    /* libcurl must have let go of it: two owners of a descriptor would close it twice. */
    t->poll = m->kept;
    t->fd = t->poll ? fd : -1;
    take_out(t);
    t->running = false;
    if (--m->running == 0)
        uv_unref((uv_handle_t *)&m->timer);
}

static void destroy(struct wst__multi *m);

static void tell_sent(struct wst__multi *m)
{
    while (m->told.sent_next != &m->told) {
        struct wst__transfer *t = m->told.sent_next;

        take_out(t);
        t->sent(t);
    }
}

/* Reports what has happened, now that libcurl has returned. */
static void settle(struct wst__multi *m)
{
    const CURLMsg *msg;
    int left;

    m->settling = true;
    drop_closed(m);
    tell_sent(m);
    while ((msg = curl_multi_info_read(m->curl, &left)) != NULL) {
        struct wst__transfer *t = NULL;
        CURLcode result = msg->data.result; /* |msg| is gone after the removal. */

        if (msg->msg == CURLMSG_DONE)
            (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t);
        if (!t)
            continue; /* Then its owner's deadline ends it. */
        leave(t, result);
        t->done(t, result);
    }
    m->settling = false;
    if (m->refs == 0)
        destroy(m);
}

/* ---- Transfers ----------------------------------------------------------------------------- */

static CURL *new_easy(struct wst__multi *m)
{
    CURL *easy = curl_easy_init();
    unsigned failed = 0;

    if (!easy)
        return NULL;
    failed |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Without it, a removal joins the thread that resolves, and the loop stands still. */
    failed |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    failed |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    failed |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    /*
     * HTTP/1.1 on purpose: there is nothing to multiplex, and a request that is given up closes
     * its connection, where HTTP/2 would leave a dead one to the next attempt.
     */
    failed |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    failed |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    failed |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    failed |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, m);
    failed |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    failed |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, m);
    failed |= curl_easy_setopt(easy, CURLOPT_SHARE, m->share);
    failed |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    if (!failed)
        return easy;
    curl_easy_cleanup(easy);
    return NULL;
}

/*
 * To make an easy handle costs more than to set up a dial with it, so one is kept from dial to
 * dial; with its options, as each dial sets the same ones.  Not where a proxy was asked: its
 * credentials would stay in the handle.
 */
static bool give_back(const struct wst__transfer *t)
{
    struct wst__multi *m = t->multi;

    if (!t->poll || !t->direct || m->spare)
        return false;
    /* They are going. */
    (void)curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, NULL);
    (void)curl_easy_setopt(t->easy, CURLOPT_CURLU, NULL);
    m->spare = t->easy;
    return true;
}

int wst__transfer_init(struct wst__transfer *t, struct wst__multi *m)
{
    bool spare = t->keep_socket && m->spare;
    CURL *easy = spare ? m->spare : new_easy(m);
    unsigned failed = 0;

    if (!easy)
        return WST_ERR_NOMEM;
    if (spare)
        m->spare = NULL;
    t->multi = m;
    t->easy = easy;
    t->fd = -1;
    failed |= curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    failed |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
    return failed ? WST_ERR_NOMEM : 0;
}

static void stop_waiting(struct wst__transfer *t)
{
    if (!t->wait_next)
        return;
    t->wait_prev->wait_next = t->wait_next;
    t->wait_next->wait_prev = t->wait_prev;
    t->wait_next = t->wait_prev = NULL;
}

static void wait_to_begin(struct wst__transfer *t)
{
    struct wst__transfer *head = &t->multi->waiting;

    t->wait_prev = head->wait_prev;
    t->wait_next = head;
    head->wait_prev->wait_next = t;
    head->wait_prev = t;
}

static int start(struct wst__transfer *t)
{
    struct wst__multi *m = t->multi;
    CURLMcode rc = curl_multi_add_handle(m->curl, t->easy);

    if (rc != CURLM_OK)
        return rc == CURLM_OUT_OF_MEMORY ? WST_ERR_NOMEM : WST_ERR_IO;
    t->running = true;
    if (m->running++ == 0)
        uv_ref((uv_handle_t *)&m->timer);
    return 0;
}

static bool any_waits(const struct wst__multi *m)
{
    return m->waiting.wait_next != &m->waiting;
}

/* Another turn has begun: a few more may. */
static void on_turn(void *arg)
{
    struct wst__multi *m = arg;

    m->started = m->shaken = 0;
    m->settling = true;
    while (m->started < HANDSHAKES_A_TURN && any_waits(m)) {
        struct wst__transfer *t = m->waiting.wait_next;

        m->started++;
        stop_waiting(t);
        if (start(t) != 0)
            t->done(t, CURLE_OUT_OF_MEMORY);
    }
    m->settling = false;
    if (m->refs == 0)
        destroy(m);
    else if (m->started > 0)
        wst__turn_ask_later(&m->io->turns, &m->turn);
}

int wst__transfer_start(struct wst__transfer *t)
{
    struct wst__multi *m = t->multi;

    if (!t->tls)
        return start(t);
    wst__turn_ask_later(&m->io->turns, &m->turn);
    if (any_waits(m) || m->started >= HANDSHAKES_A_TURN) {
        wait_to_begin(t);
        return 0;
    }
    m->started++;
    return start(t);
}

void wst__transfer_shakes_hands(struct wst__transfer *t)
{
    struct wst__multi *m = t->multi;

    m->shaken++;
    wst__turn_ask_later(&m->io->turns, &m->turn);
}

void wst__transfer_fini(struct wst__transfer *t)
{
    stop_waiting(t);
    if (t->running)
        leave(t, CURLE_ABORTED_BY_CALLBACK);
    if (t->easy && !give_back(t))
        curl_easy_cleanup(t->easy);
    t->easy = NULL;
}

/* ---- Life ---------------------------------------------------------------------------------- */

/* Once in a process; but what failed, for want of memory, is tried anew. */
int wst__multi_global(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool has_gate;
    static bool has_curl;
    int rc;

    (void)pthread_mutex_lock(&lock);
    has_gate = has_gate || wst__exit_gate_init() == 0;
    has_curl = has_curl || (has_gate && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    rc = has_curl ? 0 : WST_ERR_NOMEM;
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

static bool set_up(struct wst__multi *m)
{
    int rc = 0;

    m->curl = curl_multi_init();
    m->share = curl_share_init();
    if (!m->curl || !m->share)
        return false;
    rc |= curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
    rc |= curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    rc |= curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_set_timer);
    rc |= curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    rc |= curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, (long)KEEP_CONNECTIONS);
    /* TLS sessions are resumed by new connections, too, of the same options only. */
    (void)curl_share_setopt(m->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    return rc == 0;
}

static void clean_up(struct wst__multi *m)
{
    if (m->spare)
        curl_easy_cleanup(m->spare);
    if (m->curl)
        (void)curl_multi_cleanup(m->curl);
    if (m->share)
        (void)curl_share_cleanup(m->share);
    for (size_t fd = 0; fd < m->sock_count; fd++) {
        if (m->socks[fd])
            drop_sock(m, m->socks[fd]);
    }
    wst__free(m->socks);
}

static void timer_closed(uv_handle_t *handle)
{
    struct wst__multi *m = handle->data;
    struct wst__io *io = m->io;

    wst__free(m);
    wst__io_release(io);
}

static void destroy(struct wst__multi *m)
{
    struct wst__multi **at = &m->io->multis;

    assert(m->running == 0);
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    wst__turn_drop(&m->turn);
    clean_up(m);
    wst__trust_unref(m->trust);
    uv_close((uv_handle_t *)&m->timer, timer_closed);
}

static struct wst__multi *new_multi(struct wst__io *io, struct wst__trust *trust)
{
    struct wst__multi *m = wst__calloc(1, sizeof *m);

    if (!m)
        return NULL;
    m->io = io;
    m->keep_fd = -1;
    m->told.sent_next = m->told.sent_prev = &m->told;
    m->waiting.wait_next = m->waiting.wait_prev = &m->waiting;
    m->turn.cb = on_turn;
    m->turn.arg = m;
    if (!set_up(m)) {
        clean_up(m);
        wst__free(m);
        return NULL;
    }
    (void)uv_timer_init(io->uv, &m->timer);
    m->timer.data = m;
    uv_unref((uv_handle_t *)&m->timer); /* Until there is something to wait for. */
    wst__io_hold(io);
    m->trust = trust;
    wst__trust_ref(trust);
    m->next = io->multis;
    io->multis = m;
    return m;
}

int wst__multi_get(struct wst__io *io, struct wst__trust *trust, struct wst__multi **out)
{
    struct wst__multi *m = io->multis;

    while (m && m->trust != trust)
        m = m->next;
    if (!m)
        m = new_multi(io, trust);
    if (!m)
        return WST_ERR_NOMEM;
    m->refs++;
    *out = m;
    return 0;
}

int wst__multi_no_socket(const struct wst__multi *m)
{
    return m->no_socket;
}

void wst__multi_unref(struct wst__multi *m)
{
    if (--m->refs == 0 && !m->settling)
        destroy(m);
}

void wst__multis_distrust(struct wst__io *io)
{
    for (struct wst__multi *m = io->multis; m; m = m->next) {
        for (size_t fd = 0; fd < m->sock_count; fd++) {
            const struct sock *s = m->socks[fd];

            /* Nobody uses it, and libcurl will see that it has ended before it reuses it. */
            if (s && s->ours && !s->wanted)
                (void)shutdown(s->fd, SHUT_RDWR);
        }
    }
}
