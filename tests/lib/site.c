/* Token, ticket, upgrade, frames. */
#include "lib/site.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
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

static bool serve(struct conn *c, const char *extension)
{
    static atomic_uint tickets;
    char request[16 * 1024];
    char json[128];

    while (conn_read_request(c, request, sizeof request) > 0) {
        if (strstr(request, "\r\nSec-WebSocket-Key: "))
            return accept_upgrade(c, request, extension);
        if (strncmp(request, "POST ", 5) == 0)
            (void)snprintf(json, sizeof json, "{\"token\":\"opaque\",\"expiresInSeconds\":3600}");
        else
            (void)snprintf(json, sizeof json, "{\"ticket\":\"%032x\",\"expiresInSeconds\":30}",
                           ++tickets);
        if (!answer_json(c, json))
            return false;
    }
    return false;
}

bool site_serve(struct conn *c)
{
    return serve(c, "");
}

/* Without context each message stands for itself: what came compressed can go back as it is. */
bool site_serve_packed(struct conn *c)
{
    c->packs = true;
    return serve(c, "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; "
                    "server_no_context_takeover\r\n");
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
