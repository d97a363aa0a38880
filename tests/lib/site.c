/* Token, ticket, upgrade, frames. */
#include "lib/site.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* RFC 6455, 1.3. */
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static bool answer_json(struct conn *c, const char *json)
{
    char text[512];

    (void)snprintf(
        text, sizeof text,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        strlen(json), json);
    return conn_puts(c, text);
}

/* RFC 6455, 4.2.2. */
static bool accept_upgrade(struct conn *c, const char *request, const char *extension)
{
    static const char name[] = "\r\nSec-WebSocket-Key: ";
    const char *key = strstr(request, name);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char accept[64];
    char text[512];
    size_t n;

    if (!key)
        return false;
    key += sizeof name - 1;
    (void)snprintf(text, sizeof text, "%.*s%s", (int)strcspn(key, "\r"), key, GUID);
    if (!EVP_Q_digest(NULL, "SHA1", NULL, text, strlen(text), digest, &n))
        return false;
    (void)EVP_EncodeBlock(accept, digest, (int)n);
    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                   (const char *)accept, extension);
    return conn_puts(c, text);
}

/* ---- The book ------------------------------------------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* splitmix64: each seed's other, and none that is a number in a log. */
static unsigned long long mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void make_secret(char *to, unsigned number, unsigned which)
{
    uint64_t seed = (uint64_t)number << 32 | which << 1;

    (void)snprintf(to, SITE_SECRET, "%016llx%016llx", mix(seed), mix(seed + 1));
}

void site_book_begin(struct site_book *book, unsigned number)
{
    book->number = 0;
    book->given = book->newest = 0;
    book->tokenless = book->missing = book->unknown = book->repeated = 0;
    memset(book->used, 0, sizeof book->used);
    make_secret(book->token, number, 0);
    book->number = number;
}

const char *site_book_offence(const struct site_book *book)
{
    return book->tokenless  ? "a ticket was asked for without the token"
           : book->missing  ? "an upgrade without a ticket"
           : book->unknown  ? "an upgrade with a ticket that was not given"
           : book->repeated ? "an upgrade with a ticket that was used"
                            : NULL;
}

static const char *give_ticket(struct site_book *book)
{
    unsigned n;

    (void)pthread_mutex_lock(&lock);
    n = book->given;
    if (n == SITE_TICKETS) {
        (void)fputs("site: the book is full\n", stderr);
        abort();
    }
    make_secret(book->tickets[n], book->number, n + 1);
    book->given++;
    (void)pthread_mutex_unlock(&lock);
    return book->tickets[n];
}

/* Notes what came back.  Is it a good ticket? */
static bool take_ticket(struct site_book *book, const char *request)
{
    static const char name[] = "?ticket=";
    const char *ticket = strstr(request, name);
    unsigned i = 0;
    bool good;

    if (!ticket || ticket > strchr(request, '\r')) {
        book->missing++;
        return false;
    }
    ticket += sizeof name - 1;
    (void)pthread_mutex_lock(&lock);
    while (i < book->given && (strncmp(ticket, book->tickets[i], SITE_SECRET - 1) != 0 ||
                               ticket[SITE_SECRET - 1] != ' '))
        i++;
    good = i < book->given && !book->used[i];
    if (good) {
        book->used[i] = true;
        book->newest = i + 1 > book->newest ? i + 1 : book->newest;
    } else if (i < book->given) {
        book->repeated++;
    } else {
        book->unknown++;
    }
    (void)pthread_mutex_unlock(&lock);
    return good;
}

static void check_token(struct site_book *book, const char *request)
{
    char line[80];

    (void)snprintf(line, sizeof line, "\r\nAuthorization: Bearer %s\r\n", book->token);
    if (!strstr(request, line))
        book->tokenless++;
}

static struct site_book *find_book(const char *request, struct site_book *books, size_t count)
{
    const char *path = strstr(request, " /");
    unsigned number = path ? (unsigned)strtoul(path + 2, NULL, 10) : 0;
    struct site_book *book = &books[number % count];

    return number && book->number == number ? book : NULL;
}

/* ---- The sequence -------------------------------------------------------------------------- */

/* Without books all clients share one. */
static bool serve(struct conn *c, const char *extension, struct site_book *books, size_t count)
{
    static struct site_book shared;
    char request[16 * 1024];
    char json[128];
    bool good;

    while (conn_read_request(c, request, sizeof request) > 0) {
        c->book = books ? find_book(request, books, count) : &shared;
        if (!c->book)
            return false;
        if (strstr(request, "\r\nSec-WebSocket-Key: ")) {
            good = take_ticket(c->book, request) || (!books && !strstr(request, "?ticket="));
            if (good)
                return accept_upgrade(c, request, extension);
            (void)conn_puts(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
            return false;
        }
        if (strncmp(request, "POST ", 5) == 0) {
            (void)snprintf(json, sizeof json, "{\"token\":\"%s\",\"expiresInSeconds\":3600}",
                           books ? c->book->token : "opaque");
        } else {
            check_token(c->book, request);
            (void)snprintf(json, sizeof json, "{\"ticket\":\"%s\",\"expiresInSeconds\":30}",
                           give_ticket(c->book));
        }
        if (!answer_json(c, json))
            return false;
    }
    return false;
}

bool site_serve(struct conn *c)
{
    return serve(c, "", NULL, 0);
}

/* Without context each message stands for itself: what came compressed can go back as it is. */
bool site_serve_packed(struct conn *c, struct site_book *books, size_t count)
{
    c->packs = true;
    return serve(c,
                 "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; "
                 "server_no_context_takeover\r\n",
                 books, count);
}

/* In one write: two would wait for each other's acknowledgement. */
bool site_send(struct conn *c, uint8_t first, const void *payload, size_t n)
{
    uint8_t frame[4 + 65535] = {first, (uint8_t)n};
    size_t size = 2;

    if (n >= 126) {
        frame[1] = 126;
        frame[2] = (uint8_t)(n >> 8);
        frame[3] = (uint8_t)n;
        size = 4;
    }
    if (n)
        memcpy(frame + size, payload, n);
    return conn_write(c, frame, size + n);
}

static bool read_length(struct conn *c, uint8_t second, size_t *n)
{
    uint8_t more[8];
    size_t size = (second & 0x7f) < 126 ? 0 : (second & 0x7f) == 126 ? 2 : 8;

    *n = size ? 0 : second & 0x7fu;
    if (!conn_read_all(c, more, size))
        return false;
    for (size_t i = 0; i < size; i++)
        *n = *n << 8 | more[i];
    return true;
}

bool site_receive(struct conn *c, struct site_frame *f)
{
    uint8_t head[2];
    uint8_t key[4];
    uint8_t opcode;

    if (!conn_read_all(c, head, 2))
        return false;
    f->first = head[0];
    opcode = head[0] & 0x0f;
    if ((head[0] & (c->packs ? 0x30 : 0x70)) || (opcode > 2 && (opcode < 8 || opcode > 10)) ||
        !(head[1] & 0x80) || !read_length(c, head[1], &f->n) || f->n > sizeof f->payload ||
        !conn_read_all(c, key, sizeof key) || !conn_read_all(c, f->payload, f->n))
        return false;
    for (size_t i = 0; i < f->n; i++)
        f->payload[i] ^= key[i % 4];
    return true;
}

void site_close(struct conn *c, const struct site_frame *received)
{
    static const uint8_t normal[2] = {1000 >> 8, 1000 & 0xff};
    struct site_frame f;

    if (!site_send(c, 0x88, received ? received->payload : normal, received ? received->n : 2))
        return;
    while (!received && site_receive(c, &f) && f.first != 0x88)
        continue;
}
