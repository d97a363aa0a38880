/* Token, ticket, upgrade, echo; what came is noted where the tellers see it. */
#include "peer.h"

#include "lib/certs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* A book is used again when its telling ended long ago. */
enum { BOOKS = 256 };

static struct {
    uint16_t port;
    char dir[128];
    char pin[64];
    struct site_book books[BOOKS];
    atomic_uchar arrived[BOOKS][STORY_MESSAGES];
} * shared;

void die(const char *what)
{
    (void)fprintf(stderr, "test_torture: %s: %s\n", what, strerror(errno));
    exit(2);
}

void *peer_share(size_t size)
{
    void *p =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        die("mmap");
    return p;
}

/* ---- Messages ------------------------------------------------------------------------------ */

static bool answer(struct conn *c, const struct site_frame *f)
{
    if (f->first == 0x8a)
        return true;
    return site_send(c, f->first == 0x89 ? 0x8a : f->first, f->payload, f->n);
}

static bool is_drop(const struct site_frame *f)
{
    return f->first == 0x81 && f->n == STORY_DIGITS + sizeof STORY_DROP - 1 &&
           memcmp(f->payload + STORY_DIGITS, STORY_DROP, sizeof STORY_DROP - 1) == 0;
}

/* The first bytes of what a message's first frame holds. */
static void read_head(struct site_frame *f, char *to, size_t n)
{
    z_stream z = {0};

    if (!(f->first & 0x40)) {
        memcpy(to, f->payload, f->n < n ? f->n : n);
        return;
    }
    if (inflateInit2(&z, -15) != Z_OK)
        return;
    z.next_in = f->payload;
    z.avail_in = (uInt)f->n;
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)n;
    (void)inflate(&z, Z_SYNC_FLUSH);
    (void)inflateEnd(&z);
}

/* |number|: of the message that is under way. */
static void note_frame(const struct conn *c, struct site_frame *f, unsigned long *number)
{
    char head[STORY_DIGITS + 1] = "";

    if ((f->first & 0x0f) > 2)
        return;
    if (f->first & 0x0f) {
        read_head(f, head, STORY_DIGITS);
        *number = strtoul(head, NULL, 10);
    }
    if (f->first & 0x80)
        shared->arrived[c->book - shared->books][*number % STORY_MESSAGES]++;
}

/* Compressed messages go back unread. */
static void serve(struct conn *c)
{
    struct site_frame *f = malloc(sizeof *f);
    bool talks = f && site_serve_packed(c, shared->books, BOOKS);
    unsigned long number = 0;

    while (talks && site_receive(c, f)) {
        note_frame(c, f, &number);
        if (is_drop(f))
            break;
        if (f->first == 0x88)
            site_close(c, f);
        talks = f->first != 0x88 && answer(c, f);
    }
    free(f);
}

/* ---- The process --------------------------------------------------------------------------- */

static void write_identity(const struct cert *c, const char *dir)
{
    char cert[160], key[160], command[512];

    (void)snprintf(cert, sizeof cert, "%s/c.pem", dir);
    (void)snprintf(key, sizeof key, "%s/k.pem", dir);
    (void)snprintf(command, sizeof command, "cat %s %s > %s/client.pem", cert, key, dir);
    cert_write(c, cert);
    cert_write_key(c, key, NULL);
    if (system(command) != 0)
        die("client.pem");
}

static void make_files(void)
{
    struct cert ca = cert_make_ca("torture");
    struct cert leaf = cert_make_server(&ca);
    char name[32], path[256];

    (void)snprintf(path, sizeof path, "%s/ca.pem", shared->dir);
    cert_write(&ca, path);
    (void)snprintf(path, sizeof path, "%s/cas", shared->dir);
    if (mkdir(path, 0700) != 0)
        die(path);
    cert_hash_name(&ca, name, sizeof name);
    (void)snprintf(path, sizeof path, "%s/cas/%s", shared->dir, name);
    cert_write(&ca, path);
    write_identity(&leaf, shared->dir);
    cert_pin(&leaf, shared->pin, sizeof shared->pin);
    shared->port = server_port(server_start(serve, NULL, server_ctx(&leaf)));
}

/* Runs until |until| reports that the parent is gone. */
static void be_peer(int ready, int until)
{
    char byte = 0;

    make_files();
    if (write(ready, &byte, 1) != 1)
        _exit(1);
    while (read(until, &byte, 1) < 0)
        continue;
    _exit(0);
}

void peer_start(void)
{
    int ready[2], until[2];
    char byte;
    pid_t pid;

    shared = peer_share(sizeof *shared);
    (void)snprintf(shared->dir, sizeof shared->dir, "/tmp/torture-XXXXXX");
    if (!mkdtemp(shared->dir) || pipe(ready) != 0 || pipe(until) != 0)
        die("stage");
    pid = fork();
    if (pid == 0) {
        (void)close(until[1]);
        be_peer(ready[1], until[0]);
    }
    (void)close(ready[1]);
    if (pid < 0 || read(ready[0], &byte, 1) != 1)
        die("peer");
    (void)close(ready[0]);
    (void)close(until[0]); /* The other end stays open until we end. */
}

struct stage peer_stage(unsigned number)
{
    unsigned i = number % BOOKS;
    struct stage stage = {
        .port = shared->port, .book = &shared->books[i], .arrived = shared->arrived[i]};

    memcpy(stage.dir, shared->dir, sizeof stage.dir);
    memcpy(stage.pin, shared->pin, sizeof stage.pin);
    memset(shared->arrived[i], 0, sizeof shared->arrived[i]);
    site_book_begin(&shared->books[i], number);
    return stage;
}

void peer_remove_files(void)
{
    char command[256];

    (void)snprintf(command, sizeof command, "rm -r %s", shared->dir);
    if (system(command) != 0)
        (void)fputs("the stage is left\n", stderr);
}
