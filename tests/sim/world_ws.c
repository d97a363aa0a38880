/*
 * Simulated byte streams, and the WebSocket server at their other end (RFC 6455).
 *
 * What the library writes is parsed twice by the code below, which shares nothing with the
 * library's: once as the kernel takes it (the tap: what has left the client), once as it reaches
 * the server, later or never.
 */
#include "sim/world.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BUFFER_MAX   ((size_t)64 << 20)
#define INPUT_BUFFER ((size_t)64 * 1024)
#define WINDOW       ((size_t)64 * 1024)

enum phase { DIALING, READY, ENDED, CLOSED };

/* What a client sends: one request, then frames. */
struct parser {
    struct wst__buf in;
    bool is_tap;
    bool head_done;
    bool close_seen;
    int opcode; /* Of the fragmented message being collected; 0: none. */
    struct wst__buf message;
};

struct wst__stream {
    struct sim_world *w;
    struct wst__stream_cbs cbs;
    void *arg;
    enum phase phase;
    struct sim_dial_plan dial;
    struct sim_ws_plan plan;
    /* Client to server. */
    struct wst__buf to_server;
    size_t in_flight; /* Taken by the kernel, not yet read by the server. */
    size_t unread;    /* Has arrived there, but it does not read. */
    bool blocked;     /* The client waits for |writable|. */
    uint64_t first_write_us;
    struct parser tap, peer;
    /* Server to client. */
    struct wst__buf to_client;
    size_t delivered; /* Of these bytes, at the front. */
    size_t arrived;
    uint64_t arrival_us; /* Of the last piece: they come in order. */
    bool delivering;     /* A delivery is due. */
    int end;             /* WST_ERR_EOF, WST_ERR_RESET: has arrived, behind the bytes. */
    int end_to_come;     /* The same, on its way. */
    bool reading;
    /* The server. */
    bool cut, deaf;
    bool upgraded;
    bool close_sent, fin_sent;
    uint64_t pinged_us;   /* Monotonic: when the kernel took the last ping, */
    uint64_t received_us; /* and when the client was last given bytes. */
    bool shut;            /* The client has ended its side. */
    void (*closed)(void *arg);
    void *closed_arg;
};

static void to_client(struct wst__stream *s, const void *bytes, size_t n);
static void end_to_client(struct wst__stream *s, int code);

static bool is_live(const struct wst__stream *s)
{
    return s->phase < ENDED;
}

/* ---- The request --------------------------------------------------------------------------- */

/* The value of a header, as one string; "" when it is not there. */
static void find_header(const char *head, const char *name, char *out, size_t room)
{
    size_t len = strlen(name);

    *out = 0;
    for (const char *line = strstr(head, "\r\n"); line && line[2];
         line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':') {
            const char *value = line + 3 + len;
            size_t n = strcspn(value, "\r");

            while (*value == ' ')
                value++, n--;
            (void)snprintf(out, room, "%.*s", (int)n, value);
            return;
        }
    }
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c - 'a' + 10;
}

static void percent_decode(char *s)
{
    char *to = s;

    for (; *s; s++) {
        if (*s == '%' && s[1] && s[2]) {
            *to++ = (char)(hex(s[1]) << 4 | hex(s[2]));
            s += 2;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
}

/* The text of the ticket that a request carries; "" without one. */
static void find_ticket_text(const struct sim_world *w, const char *head, char *out, size_t room)
{
    char list[512];
    const char *at;

    *out = 0;
    if (w->server.ticket_in == WST_TICKET_IN_HEADER) {
        find_header(head, "X-Ticket", out, room);
    } else if (w->server.ticket_in == WST_TICKET_IN_SUBPROTOCOL) {
        find_header(head, "Sec-WebSocket-Protocol", list, sizeof list);
        at = strstr(list, "tkt-");
        if (at)
            (void)snprintf(out, room, "%.*s", (int)strcspn(at, ", "), at);
    } else {
        at = strstr(head, "ticket=");
        if (at && at < strstr(head, "\r\n")) {
            (void)snprintf(out, room, "%.*s", (int)strcspn(at + 7, " &"), at + 7);
            percent_decode(out);
        }
    }
}

static void check_request(struct sim_world *w, const char *head)
{
    char value[128];

    if (strncmp(head, "GET /", 5) != 0)
        sim_fail(w, "the upgrade is no GET");
    find_header(head, "Upgrade", value, sizeof value);
    if (strcasecmp(value, "websocket") != 0)
        sim_fail(w, "the upgrade has no Upgrade header");
    find_header(head, "Connection", value, sizeof value);
    if (strcasecmp(value, "Upgrade") != 0)
        sim_fail(w, "the upgrade has no Connection header");
    find_header(head, "Sec-WebSocket-Version", value, sizeof value);
    if (strcmp(value, "13") != 0)
        sim_fail(w, "the upgrade has no version 13");
    find_header(head, "Sec-WebSocket-Key", value, sizeof value);
    if (strlen(value) != 24)
        sim_fail(w, "the upgrade's key is malformed");
    find_header(head, "Authorization", value, sizeof value);
    if (*value && !w->server.bearer)
        sim_fail(w, "the upgrade is sent with a token");
    find_header(head, "Host", value, sizeof value);
    if (strcmp(value, w->server.whole_url ? "edge.example.com" : "api.example.com") != 0)
        sim_fail(w, "the upgrade's host is \"%s\"", value);
}

/* The promises that the wire shows: one ticket, one upgrade; and never a stale one. */
static void check_ticket(struct wst__stream *s, struct sim_ticket *t, const char *text)
{
    struct sim_world *w = s->w;
    uint64_t age_ms;

    if (w->server.no_tickets && !*text)
        return;
    if (!t) {
        sim_fail(w, "an upgrade without a ticket");
        return;
    }
    if (t->written)
        sim_fail(w, "ticket %" PRIu64 " is written twice", t->id);
    t->written = true;
    if (t->attempt != sim_app_attempt(w))
        sim_fail(w, "ticket %" PRIu64 " of attempt %" PRIu64 " is used in attempt %" PRIu64, t->id,
                 t->attempt, sim_app_attempt(w));
    age_ms = (s->first_write_us - t->asked_us) / 1000;
    if (age_ms > t->life_ms / 5 * 4 + 1)
        sim_fail(w,
                 "ticket %" PRIu64 " is written %" PRIu64
                 " ms after it was asked for, its life is %" PRIu64 " ms",
                 t->id, age_ms, t->life_ms);
}

static void on_tapped_request(struct wst__stream *s, const char *head)
{
    struct sim_world *w = s->w;
    struct sim_ticket *t;
    char text[256];

    find_header(head, "Authorization", text, sizeof text);
    if (*text)
        sim_trace(w, "upgrade with a token");
    find_header(head, "Cookie", text, sizeof text);
    if (*text)
        sim_trace(w, "upgrade with cookies: %s", text);
    find_ticket_text(w, head, text, sizeof text);
    t = *text ? sim_ticket_find(w, text) : NULL;
    check_request(w, head);
    check_ticket(s, t, text);
    if (t)
        sim_trace(w, "upgrade %.*s (ticket %" PRIu64 ")", (int)strcspn(head + 4, "? "), head + 4,
                  t->id);
    else
        sim_trace(w, "upgrade %.*s", (int)strcspn(head + 4, "? "), head + 4);
    sim_app_upgrade(w, t);
}

/* ---- The server's frames ------------------------------------------------------------------- */

static void send_frame(struct wst__stream *s, int opcode, const void *payload, size_t n)
{
    uint8_t head[10] = {(uint8_t)(0x80 | opcode)};
    size_t head_len = 2;
    struct wst__buf b;

    if (s->fin_sent || (s->close_sent && opcode < 8))
        return;
    if (n < 126) {
        head[1] = (uint8_t)n;
    } else if (n < 65536) {
        head[1] = 126;
        head[2] = (uint8_t)(n >> 8);
        head[3] = (uint8_t)n;
        head_len = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
        head_len = 10;
    }
    wst__buf_init(&b, BUFFER_MAX, false);
    if (wst__buf_add(&b, head, head_len) != 0 || wst__buf_add(&b, payload, n) != 0)
        abort();
    to_client(s, b.data, b.len);
    wst__buf_fini(&b);
}

static void send_close(struct wst__stream *s, int code, const char *reason)
{
    uint8_t payload[125];
    size_t n = 0;

    if (s->close_sent)
        return;
    if (code && code != 1005) {
        payload[0] = (uint8_t)(code >> 8);
        payload[1] = (uint8_t)code;
        n = 2 + strlen(reason);
        memcpy(payload + 2, reason, n - 2);
    }
    sim_trace(s->w, "server: close %d", code);
    send_frame(s, 8, payload, n);
    s->close_sent = true;
    if (code == 1012 || code == 1013)
        s->w->asked.restart = true;
}

/* ---- The server's answer to the request ---------------------------------------------------- */

static void accept_key(const char *key, char *out)
{
    char text[128];
    uint8_t digest[SHA_DIGEST_LENGTH];
    unsigned len = 0;

    (void)snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    if (!EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL))
        abort();
    (void)EVP_EncodeBlock((uint8_t *)out, digest, SHA_DIGEST_LENGTH);
}

static void on_planned(struct sim_world *w, void *obj, uint64_t what)
{
    struct wst__stream *s = obj;
    static const uint8_t garbage[] = {0xff, 0xff, 0x00, 0x17, 0x7e, 0x00};

    if (!is_live(s) || w->calm)
        return;
    switch (what) {
    case 'c':
        send_close(s, s->plan.close_code, s->plan.close_reason ? s->plan.close_reason : "");
        break;
    case 'r':
        sim_trace(w, "server: reset");
        s->fin_sent = true;
        end_to_client(s, WST_ERR_RESET);
        break;
    case 'f':
        sim_trace(w, "server: end");
        end_to_client(s, WST_ERR_EOF);
        break;
    case 'x':
        sim_trace(w, "the line is cut");
        s->cut = true;
        break;
    case 'd':
        sim_trace(w, "server: reads no more");
        s->deaf = true;
        break;
    case 'g':
        sim_trace(w, "server: garbage");
        to_client(s, garbage, sizeof garbage);
        break;
    default:
        abort();
    }
}

static void plan_rest(struct wst__stream *s)
{
    const struct sim_ws_plan *p = &s->plan;
    const struct {
        uint64_t ms;
        char what;
    } rest[] = {{p->close_ms, 'c'}, {p->reset_ms, 'r'}, {p->fin_ms, 'f'},
                {p->cut_ms, 'x'},   {p->deaf_ms, 'd'},  {p->garbage_ms, 'g'}};

    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        if (rest[i].ms)
            sim_after(s->w, rest[i].ms, on_planned, s, (uint64_t)rest[i].what);
    }
}

static void accept_upgrade(struct wst__stream *s, const char *head)
{
    char key[64], accept[64], text[512], protocol[128] = "";

    find_header(head, "Sec-WebSocket-Key", key, sizeof key);
    accept_key(key, accept);
    if (s->w->server.subprotocol)
        (void)snprintf(protocol, sizeof protocol, "Sec-WebSocket-Protocol: %s\r\n",
                       s->w->server.subprotocol);
    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                   accept, protocol);
    sim_trace(s->w, "server: 101");
    to_client(s, text, strlen(text));
    s->upgraded = true;
    if (s->plan.greeting)
        send_frame(s, 1, s->plan.greeting, strlen(s->plan.greeting));
    plan_rest(s);
}

static void refuse_upgrade(struct wst__stream *s, int status, const char *headers, const char *body)
{
    const char *after = strstr(headers, "Retry-After: ");
    char text[1024];

    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 %d Refused\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                   status, headers, strlen(body), body);
    sim_trace(s->w, "server: %d", status);
    if (s->plan.asked_ms == 0)
        s->w->asked = sim_asked_in(after ? strtoull(after + 13, NULL, 10) * 1000 : 0, body);
    to_client(s, text, strlen(text));
    end_to_client(s, WST_ERR_EOF);
}

/* Where there are no tickets, the token may be the key. */
static bool admits(struct wst__stream *s, const char *head)
{
    char authorization[256];
    bool good;

    if (!s->w->server.bearer || s->w->server.open_door)
        return true;
    find_header(head, "Authorization", authorization, sizeof authorization);
    good = sim_token_good(s->w, authorization);
    if (!good)
        sim_trace(s->w, "server: token rejected");
    return good;
}

/* Takes the ticket, once. */
static bool redeem(struct wst__stream *s, const char *head)
{
    struct sim_world *w = s->w;
    struct sim_ticket *t;
    char text[256];
    bool good;

    if (w->server.no_tickets)
        return admits(s, head);
    find_ticket_text(w, head, text, sizeof text);
    t = sim_ticket_find(w, text);
    good = t && !t->redeemed && w->real_us < t->until_us;
    if (t)
        t->redeemed = true;
    if (!good)
        sim_trace(w, "server: ticket rejected");
    return good;
}

static void answer_request(struct wst__stream *s, const char *head)
{
    const struct sim_ws_plan *p = &s->plan;
    const struct sim_server *server = &s->w->server;

    if (p->silent)
        return;
    s->w->asked.delay_ms = p->asked_ms;
    s->w->cut_off = false;
    if (p->gone) {
        sim_trace(s->w, "server: end");
        end_to_client(s, WST_ERR_EOF);
    } else if (p->raw) {
        to_client(s, p->raw, strlen(p->raw));
        if (!p->hangs)
            end_to_client(s, WST_ERR_EOF);
    } else if (p->status) {
        refuse_upgrade(s, p->status, p->headers ? p->headers : "", p->body ? p->body : "");
    } else if (redeem(s, head)) {
        accept_upgrade(s, head);
    } else if (server->reject_status) {
        refuse_upgrade(s, server->reject_status, "", "");
    } else {
        accept_upgrade(s, head);
        send_close(s, server->reject_close, "ticket");
    }
}

/* ---- Frames from the client ---------------------------------------------------------------- */

static void check_frame(struct wst__stream *s, const struct parser *p, const uint8_t *head,
                        uint64_t n)
{
    int opcode = head[0] & 15;

    if (head[0] & 0x70)
        sim_fail(s->w, "a frame with reserved bits");
    if (!(head[1] & 0x80))
        sim_fail(s->w, "a frame without a mask");
    if (opcode > 10 || (opcode > 2 && opcode < 8))
        sim_fail(s->w, "a frame with opcode %d", opcode);
    if (opcode >= 8 && (n > 125 || !(head[0] & 0x80)))
        sim_fail(s->w, "a control frame that is too long or fragmented");
    if (p->close_seen)
        sim_fail(s->w, "a frame after the close frame");
    if (opcode == 0 ? p->opcode == 0 : opcode < 8 && p->opcode != 0)
        sim_fail(s->w, "fragments out of order");
}

static void tap_control(struct wst__stream *s, int opcode, const uint8_t *payload, size_t n)
{
    if (opcode == 9)
        s->pinged_us = sim_mono_us(s->w);
    if (opcode == 8)
        sim_trace(s->w, "client: close %d", n >= 2 ? payload[0] << 8 | payload[1] : 1005);
    else
        sim_trace(s->w, "client: %s", opcode == 9 ? "ping" : "pong");
}

static void serve_control(struct wst__stream *s, int opcode, const uint8_t *payload, size_t n)
{
    if (s->plan.mute)
        return;
    if (opcode == 9)
        send_frame(s, 10, payload, n);
    if (opcode != 8)
        return;
    if (!s->close_sent) {
        sim_trace(s->w, "server: close answered");
        send_frame(s, 8, payload, n >= 2 ? 2 : 0);
        s->close_sent = true;
    }
    if (!s->plan.lazy_close)
        end_to_client(s, WST_ERR_EOF);
}

static void on_whole_message(struct wst__stream *s, const struct parser *p, int opcode,
                             const uint8_t *payload, size_t n)
{
    if (p->is_tap)
        sim_app_taken(s->w, opcode, payload, n);
    else if (!s->plan.mute && (s->w->server.echo_max == 0 || n <= s->w->server.echo_max))
        send_frame(s, opcode, payload, n);
}

static void on_frame(struct wst__stream *s, struct parser *p, bool fin, int opcode,
                     const uint8_t *payload, size_t n)
{
    if (opcode >= 8) {
        p->close_seen = p->close_seen || opcode == 8;
        if (p->is_tap)
            tap_control(s, opcode, payload, n);
        else
            serve_control(s, opcode, payload, n);
        return;
    }
    if (fin && opcode != 0) {
        on_whole_message(s, p, opcode, payload, n);
        return;
    }
    if (opcode != 0)
        p->opcode = opcode;
    if (wst__buf_add(&p->message, payload, n) != 0)
        abort();
    if (fin) {
        on_whole_message(s, p, p->opcode, p->message.data, p->message.len);
        wst__buf_fini(&p->message);
        p->opcode = 0;
    }
}

static void unmask(uint8_t *payload, uint64_t n, const uint8_t key[4])
{
    const uint8_t twice[8] = {key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]};
    uint64_t mask, word, i = 0;

    memcpy(&mask, twice, sizeof mask);
    for (; i + sizeof word <= n; i += sizeof word) {
        memcpy(&word, payload + i, sizeof word);
        word ^= mask;
        memcpy(payload + i, &word, sizeof word);
    }
    for (; i < n; i++)
        payload[i] ^= key[i % 4];
}

/* One frame off the front of |p->in|; false: it is not whole. */
static bool parse_frame(struct wst__stream *s, struct parser *p)
{
    uint8_t *in = p->in.data;
    size_t have = p->in.len;
    size_t at = 2;
    uint64_t n;

    if (have < 2)
        return false;
    n = in[1] & 0x7f;
    if (n >= 126) {
        size_t bytes = n == 126 ? 2 : 8;

        if (have < 2 + bytes)
            return false;
        for (n = 0; at < 2 + bytes; at++)
            n = n << 8 | in[at];
    }
    if (n > BUFFER_MAX) {
        sim_fail(s->w, "a frame of %" PRIu64 " bytes", n);
        return false;
    }
    if (have < at + 4 + n)
        return false;
    check_frame(s, p, in, n);
    unmask(in + at + 4, n, in + at);
    on_frame(s, p, in[0] & 0x80, in[0] & 15, in + at + 4, n);
    wst__buf_drop(&p->in, at + 4 + n);
    return true;
}

static bool parse_request(struct wst__stream *s, struct parser *p)
{
    char *end;

    if (wst__buf_add(&p->in, "", 1) != 0)
        abort();
    p->in.len--;
    end = strstr((char *)p->in.data, "\r\n\r\n");
    if (!end)
        return false;
    p->head_done = true;
    end[2] = 0;
    if (p->is_tap)
        on_tapped_request(s, (char *)p->in.data);
    else
        answer_request(s, (char *)p->in.data);
    wst__buf_drop(&p->in, (size_t)(end + 4 - (char *)p->in.data));
    return true;
}

static void parse(struct wst__stream *s, struct parser *p, const uint8_t *bytes, size_t n)
{
    if (wst__buf_add(&p->in, bytes, n) != 0)
        abort();
    if (!p->head_done && !parse_request(s, p))
        return;
    while (is_live(s) && parse_frame(s, p))
        continue;
}

static void init_parser(struct parser *p, bool is_tap)
{
    p->is_tap = is_tap;
    wst__buf_init(&p->in, BUFFER_MAX, false);
    wst__buf_init(&p->message, BUFFER_MAX, false);
}

static void fini_parser(struct parser *p)
{
    wst__buf_fini(&p->in);
    wst__buf_fini(&p->message);
}

/* ---- To the client ------------------------------------------------------------------------- */

static void on_deliver(struct sim_world *w, void *obj, uint64_t n);

/* With what else arrives at this moment. */
static void ask_delivery(struct wst__stream *s)
{
    if (s->delivering)
        return;
    s->delivering = true;
    sim_after(s->w, 0, on_deliver, s, 0);
}

static void tell_end(struct wst__stream *s)
{
    struct wst_cause why;
    int code = s->end;

    s->phase = ENDED;
    wst__cause(&why, code, WST_STEP_CONNECT, "%s", wst_strerror(code));
    s->cbs.ended(s->arg, &why);
}

/* Takes |n| bytes that have arrived. */
static void receive(struct wst__stream *s, uint8_t *to, size_t n)
{
    memcpy(to, s->to_client.data + s->delivered, n);
    s->received_us = sim_mono_us(s->w);
    s->arrived -= n;
    s->delivered += n;
    if (s->delivered == s->to_client.len) {
        s->to_client.len = s->delivered = 0;
    } else if (s->delivered > INPUT_BUFFER) { /* Not for each little piece. */
        wst__buf_drop(&s->to_client, s->delivered);
        s->delivered = 0;
    }
}

/* Hands out one input buffer of what has arrived. */
static void deliver(struct wst__stream *s)
{
    size_t most = s->plan.chunk && s->plan.chunk < INPUT_BUFFER ? s->plan.chunk : INPUT_BUFFER;
    size_t n = s->arrived < most ? s->arrived : most;
    size_t room = 0;
    uint8_t *place = s->cbs.place ? s->cbs.place(s->arg, &room) : NULL;
    uint8_t *shared;

    if (place && room > 0) {
        n = n < room ? n : room;
        receive(s, place, n);
        s->cbs.placed(s->arg, n);
    } else {
        shared = malloc(n);
        if (!shared)
            abort();
        receive(s, shared, n);
        s->cbs.data(s->arg, shared, n);
        free(shared); /* So that a sanitizer sees who keeps it. */
    }
    if (is_live(s) && s->reading && (s->arrived || s->end))
        ask_delivery(s);
}

static void on_deliver(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__stream *s = obj;

    (void)w;
    (void)n;
    s->delivering = false;
    if (s->phase != READY || !s->reading)
        return;
    if (s->arrived)
        deliver(s);
    else if (s->end)
        tell_end(s);
}

static void on_arrival(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__stream *s = obj;

    (void)w;
    if (!is_live(s) || s->cut || s->end)
        return;
    s->arrived += n;
    if (s->arrived > s->to_client.len - s->delivered)
        s->arrived = s->to_client.len - s->delivered; /* It was hurried. */
    ask_delivery(s);
}

static void end_arrives(struct wst__stream *s, int code)
{
    if (!is_live(s) || s->cut || s->end)
        return;
    s->end = code;
    if (s->end == WST_ERR_RESET) {
        s->arrived = 0; /* What was not read is lost. */
        s->w->cut_off = s->delivered < s->to_client.len;
    }
    ask_delivery(s);
}

static void on_end_arrival(struct sim_world *w, void *obj, uint64_t code)
{
    (void)w;
    end_arrives(obj, (int)(int64_t)code);
}

/* When the next piece arrives: never before the last one. */
static uint64_t next_arrival_us(struct wst__stream *s, uint64_t gap_us)
{
    uint64_t at = s->w->real_us + s->plan.latency_ms * 1000;

    if (at < s->arrival_us + gap_us)
        at = s->arrival_us + gap_us;
    s->arrival_us = at;
    return at - s->w->real_us;
}

static void to_client(struct wst__stream *s, const void *bytes, size_t n)
{
    size_t piece = s->plan.chunk ? s->plan.chunk : n;

    if (!is_live(s) || s->fin_sent || s->cut)
        return;
    if (wst__buf_add(&s->to_client, bytes, n) != 0)
        abort();
    for (size_t at = 0; at < n; at += piece) {
        size_t len = n - at < piece ? n - at : piece;

        sim_after_us(s->w, next_arrival_us(s, at ? s->plan.chunk_ms * 1000 : 0), on_arrival, s,
                     len);
    }
}

static void end_to_client(struct wst__stream *s, int code)
{
    if (!is_live(s) || (s->fin_sent && code == WST_ERR_EOF))
        return;
    s->fin_sent = true;
    s->end_to_come = code;
    sim_after_us(s->w, next_arrival_us(s, 0), on_end_arrival, s, (uint64_t)(int64_t)code);
}

/* ---- To the server ------------------------------------------------------------------------- */

static void on_writable(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__stream *s = obj;

    (void)w;
    (void)n;
    if (s->phase != READY || !s->blocked)
        return;
    s->blocked = false;
    s->cbs.writable(s->arg);
}

static void server_reads(struct wst__stream *s)
{
    size_t n = s->unread;

    s->unread = 0;
    s->in_flight -= n;
    if (s->fin_sent && !s->close_sent)
        end_to_client(s, WST_ERR_RESET); /* Nobody is there any more. */
    else if (n && !s->fin_sent)
        parse(s, &s->peer, s->to_server.data, n);
    wst__buf_drop(&s->to_server, n);
    if (is_live(s) && s->blocked)
        sim_after(s->w, 0, on_writable, s, 0);
}

static void on_server_arrival(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__stream *s = obj;

    (void)w;
    if (!is_live(s) || s->cut)
        return;
    s->unread += n;
    if (s->unread > s->to_server.len)
        s->unread = s->to_server.len; /* It was hurried. */
    if (!s->deaf)
        server_reads(s);
}

static void on_client_fin(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__stream *s = obj;

    (void)w;
    (void)n;
    if (is_live(s) && !s->cut && !s->deaf && !s->plan.mute)
        end_to_client(s, WST_ERR_EOF);
}

/* ---- The ports ----------------------------------------------------------------------------- */

static void on_dialed(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__stream *s = obj;
    static const struct wst__stream_timing timing = {1000, 2000, 3000};

    (void)n;
    if (s->phase != DIALING)
        return;
    if (s->dial.fail) {
        sim_trace(w, "dial: %s", wst_err_name(s->dial.fail));
        s->end = s->dial.fail;
        tell_end(s);
        return;
    }
    sim_trace(w, "dial: ready");
    s->phase = READY;
    s->cbs.ready(s->arg, &timing);
    if (s->dial.die_ms && is_live(s))
        sim_after(w, s->dial.die_ms, on_planned, s, 'f');
}

static int stream_open(void *world, struct wst__net *net, const struct wst__stream_request *rq,
                       const struct wst__stream_cbs *cbs, void *arg, struct wst__stream **out)
{
    struct sim_world *w = world;
    struct wst__stream *s = sim_alloc(w, sizeof *s);

    (void)net;
    s->dial.ready_ms = 30;
    s->plan.latency_ms = 10;
    if (w->plan_dial)
        w->plan_dial(w, &s->dial);
    if (s->dial.refuse)
        return s->dial.refuse;
    if (w->plan_ws)
        w->plan_ws(w, &s->plan);
    if (s->plan.window == 0)
        s->plan.window = WINDOW;
    s->w = w;
    s->cbs = *cbs;
    s->arg = arg;
    s->reading = true;
    init_parser(&s->tap, true);
    init_parser(&s->peer, false);
    wst__buf_init(&s->to_server, BUFFER_MAX, false);
    wst__buf_init(&s->to_client, BUFFER_MAX, false);
    sim_trace(w, "dial %s:%u%s", rq->host, (unsigned)rq->port, rq->tls ? "" : " without TLS");
    if (w->streams_live)
        sim_fail(w, "two connections at once");
    w->streams_live++;
    w->streams_begun++;
    w->stream = *out = s;
    sim_app_dial(w);
    if (!s->dial.stall)
        sim_after(w, s->dial.ready_ms, on_dialed, s, 0);
    return 0;
}

static size_t take(struct wst__stream *s, const struct iovec *iov, size_t count)
{
    size_t room = s->plan.window > s->in_flight ? s->plan.window - s->in_flight : 0;
    size_t taken = 0;

    for (size_t i = 0; i < count && taken < room; i++) {
        size_t n = iov[i].iov_len < room - taken ? iov[i].iov_len : room - taken;

        if (wst__buf_add(&s->to_server, iov[i].iov_base, n) != 0)
            abort();
        taken += n;
    }
    return taken;
}

static int stream_write(void *world, struct wst__stream *s, const struct iovec *iov, size_t count,
                        size_t *wrote, struct wst_cause *why)
{
    struct sim_world *w = world;
    size_t total = 0;
    size_t before = s->to_server.len;
    size_t taken;

    for (size_t i = 0; i < count; i++)
        total += iov[i].iov_len;
    w->stream_writes++;
    if (s->phase == DIALING || s->phase == CLOSED || s->shut || total == 0)
        sim_fail(w, "stream_write of %zu bytes in the wrong state", total);
    if (s->phase == ENDED || s->end == WST_ERR_RESET)
        return wst__cause(why, WST_ERR_RESET, WST_STEP_CONNECT, "the connection was reset");
    if (s->first_write_us == 0)
        s->first_write_us = w->real_us;
    taken = take(s, iov, count);
    s->in_flight += taken;
    s->blocked = taken < total;
    *wrote = taken;
    if (taken == 0)
        return 0;
    parse(s, &s->tap, s->to_server.data + before, taken);
    sim_after(w, s->plan.latency_ms, on_server_arrival, s, taken);
    return 0;
}

/* The simulated world has no TLS. */
static size_t stream_sealed(void *world, const struct wst__stream *s)
{
    (void)world;
    (void)s;
    return 0;
}

static void stream_read(void *world, struct wst__stream *s, bool on)
{
    struct sim_world *w = world;

    if (s->phase == CLOSED || s->phase == DIALING)
        sim_fail(w, "stream_read in the wrong state");
    s->reading = on;
    if (on)
        ask_delivery(s);
}

static void stream_shutdown(void *world, struct wst__stream *s)
{
    struct sim_world *w = world;

    if (s->phase == CLOSED || s->phase == DIALING || s->shut)
        sim_fail(w, "stream_shutdown in the wrong state");
    s->shut = true;
    sim_after(w, s->plan.latency_ms, on_client_fin, s, 0);
}

static void on_closed(struct sim_world *w, void *obj, uint64_t n)
{
    struct wst__stream *s = obj;

    (void)w;
    (void)n;
    s->closed(s->closed_arg);
}

static void stream_close(void *world, struct wst__stream *s, void (*closed)(void *arg), void *arg)
{
    struct sim_world *w = world;

    if (s->phase == CLOSED) {
        sim_fail(w, "stream_close twice");
        return;
    }
    if (s->phase < ENDED && !s->tap.head_done)
        sim_trace(w, "dial: dropped");
    s->phase = CLOSED;
    w->streams_live--;
    if (w->stream == s)
        w->stream = NULL;
    fini_parser(&s->tap);
    fini_parser(&s->peer);
    wst__buf_fini(&s->to_server);
    wst__buf_fini(&s->to_client);
    s->closed = closed;
    s->closed_arg = arg;
    if (closed)
        sim_after(w, 0, on_closed, s, 0);
}

void sim_stream_ports(struct wst__ports *p)
{
    p->stream_open = stream_open;
    p->stream_write = stream_write;
    p->stream_sealed = stream_sealed;
    p->stream_read = stream_read;
    p->stream_shutdown = stream_shutdown;
    p->stream_close = stream_close;
}

/* ---- What a test lets the server do -------------------------------------------------------- */

void sim_ws_text(struct sim_world *w, const char *text)
{
    if (w->stream)
        send_frame(w->stream, 1, text, strlen(text));
}

void sim_ws_binary(struct sim_world *w, size_t n)
{
    uint8_t *bytes = calloc(1, n + 1);

    if (!bytes)
        abort();
    if (w->stream)
        send_frame(w->stream, 2, bytes, n);
    free(bytes);
}

void sim_ws_close(struct sim_world *w, int code, const char *reason)
{
    if (w->stream)
        send_close(w->stream, code, reason);
}

static void do_now(struct sim_world *w, char what)
{
    if (w->stream)
        on_planned(w, w->stream, (uint64_t)what);
}

void sim_ws_reset(struct sim_world *w)
{
    do_now(w, 'r');
}

void sim_ws_fin(struct sim_world *w)
{
    do_now(w, 'f');
}

void sim_ws_cut(struct sim_world *w)
{
    do_now(w, 'x');
}

void sim_ws_deaf(struct sim_world *w, bool deaf)
{
    struct wst__stream *s = w->stream;

    if (!s)
        return;
    s->deaf = deaf;
    if (!deaf && is_live(s))
        server_reads(s);
}

void sim_ws_raw(struct sim_world *w, const void *bytes, size_t n)
{
    if (w->stream)
        to_client(w->stream, bytes, n);
}

void sim_ws_latency(struct sim_world *w, uint64_t ms)
{
    if (w->stream)
        w->stream->plan.latency_ms = ms;
}

void sim_ws_hurry(struct sim_world *w)
{
    struct wst__stream *s = w->stream;

    if (!s)
        return;
    s->plan.latency_ms = 10;
    s->plan.chunk = 0;
    s->plan.window = WINDOW;
    if (s->phase != READY)
        return;
    if (s->cut)
        return;
    s->arrival_us = w->real_us;
    s->unread = s->to_server.len;
    if (!s->deaf)
        server_reads(s);
    s->arrived = s->to_client.len - s->delivered;
    if (s->end_to_come)
        end_arrives(s, s->end_to_come);
    ask_delivery(s);
}

uint64_t sim_ws_silent_ms(const struct sim_world *w)
{
    const struct wst__stream *s = w->stream;

    if (!s || s->pinged_us <= s->received_us)
        return 0;
    return (sim_mono_us(w) - s->pinged_us) / 1000;
}

bool sim_ws_blocked_since_sleep(const struct sim_world *w)
{
    const struct wst__stream *s = w->stream;

    return s && s->blocked && s->received_us < w->woke_us;
}

void sim_ws_forget_ping(struct sim_world *w)
{
    if (w->stream)
        w->stream->pinged_us = 0;
}

bool sim_ws_hangs(const struct sim_world *w)
{
    const struct wst__stream *s = w->stream;

    return s && is_live(s) && (s->cut || s->deaf || s->plan.mute || s->plan.lazy_close);
}

bool sim_ws_alive(const struct sim_world *w)
{
    const struct wst__stream *s = w->stream;

    return s && s->phase == READY && s->upgraded && !s->cut && !s->deaf && !s->plan.mute &&
           !s->close_sent && !s->fin_sent && !s->shut && !s->end;
}
