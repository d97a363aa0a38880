/*
 * A network with a delay, for kernels without netem.  Needs root.
 *
 *     wan -d MS -- SERVER... -- CLIENT...
 *
 * Makes two network namespaces without names, one for the client (192.0.2.1) and one for the
 * server (192.0.2.2), each with one TUN device, and carries IP packets between them, each MS
 * milliseconds late.  Ends with the client, and with its exit status, or after a minute.  The
 * namespaces vanish with their last process, and both children die with this one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PACKETS = 4096, PACKET_MAX = 2048, FAILED = 125, LIMIT_S = 60, READY_MS = 300 };

#define NS_PER_MS 1000000ll
#define CLIENT    "192.0.2.1"
#define SERVER    "192.0.2.2"

struct packet {
    int64_t due;
    size_t len;
    uint8_t bytes[PACKET_MAX];
};

/* One direction: packets wait here until they are due. */
struct way {
    int from, to;
    unsigned head, tail;
    struct packet packets[PACKETS];
};

static struct way ways[2];

static void die(const char *what)
{
    perror(what);
    exit(FAILED);
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* ---- Namespaces and devices ---------------------------------------------------------------- */

static void set_address(int s, struct ifreq *r, unsigned long what, const char *address)
{
    struct sockaddr_in a = {.sin_family = AF_INET};

    inet_pton(AF_INET, address, &a.sin_addr);
    memcpy(&r->ifr_addr, &a, sizeof a);
    if (ioctl(s, what, r) != 0)
        die("address");
}

static void bring_up(int s, struct ifreq *r)
{
    if (ioctl(s, SIOCGIFFLAGS, r) != 0)
        die("flags");
    r->ifr_flags = (short)(r->ifr_flags | IFF_UP | IFF_RUNNING);
    if (ioctl(s, SIOCSIFFLAGS, r) != 0)
        die("flags");
}

static int open_tun(void)
{
    struct ifreq r = {.ifr_name = "wan0"};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    r.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0)
        die("/dev/net/tun");
    return fd;
}

/* A new namespace with both devices up; |*tun| is the device's other end. */
static int make_side(const char *address, const char *peer, int *tun)
{
    struct ifreq lo = {.ifr_name = "lo"};
    struct ifreq wan = {.ifr_name = "wan0"};
    int namespace, s;

    if (unshare(CLONE_NEWNET) != 0)
        die("unshare");
    s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *tun = open_tun();
    bring_up(s, &lo);
    set_address(s, &wan, SIOCSIFADDR, address);
    set_address(s, &wan, SIOCSIFDSTADDR, peer);
    bring_up(s, &wan);
    close(s);
    namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (namespace < 0)
        die("namespace");
    return namespace;
}

static pid_t start(int namespace, char **argv)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setns(namespace, CLONE_NEWNET) != 0)
        die("setns");
    execvp(argv[0], argv);
    die(argv[0]);
    return -1;
}

/* ---- Packets ------------------------------------------------------------------------------- */

static void take(struct way *w, int64_t delay)
{
    while (w->tail - w->head < PACKETS) {
        struct packet *p = &w->packets[w->tail % PACKETS];
        ssize_t n = read(w->from, p->bytes, sizeof p->bytes);

        if (n <= 0)
            return;
        p->len = (size_t)n;
        p->due = now() + delay;
        w->tail++;
    }
}

/* Hands over what is due; returns when the next one will be. */
static int64_t give(struct way *w, int64_t otherwise)
{
    int64_t t = now();

    for (; w->head != w->tail; w->head++) {
        const struct packet *p = &w->packets[w->head % PACKETS];

        if (p->due > t)
            return p->due < otherwise ? p->due : otherwise;
        if (write(w->to, p->bytes, p->len) < 0 && errno != EAGAIN && errno != EIO)
            die("packet");
    }
    return otherwise;
}

static void wait_until(int64_t next)
{
    struct pollfd fds[2] = {{ways[0].from, POLLIN, 0}, {ways[1].from, POLLIN, 0}};
    int64_t left = next - now();
    struct timespec t = {0, left < 0 ? 0 : (long)left};

    ppoll(fds, 2, &t, NULL);
}

/* Carries packets until |pid| ends (its exit status), or until |end| (-1). */
static int carry(pid_t pid, int64_t delay, int64_t end)
{
    while (now() < end) {
        int status;
        int64_t next = now() + 20 * NS_PER_MS;

        for (int i = 0; i < 2; i++)
            next = give(&ways[i], next);
        if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
        wait_until(next);
        for (int i = 0; i < 2; i++)
            take(&ways[i], delay);
    }
    return -1;
}

static int run(char **server, char **client, int64_t delay)
{
    int tuns[2];
    int near = make_side(CLIENT, SERVER, &tuns[0]);
    int far = make_side(SERVER, CLIENT, &tuns[1]);
    pid_t pids[2];
    int rc;

    ways[0].from = ways[1].to = tuns[0];
    ways[1].from = ways[0].to = tuns[1];
    pids[0] = start(far, server);
    (void)carry(0, delay, now() + READY_MS * NS_PER_MS);
    pids[1] = start(near, client);
    rc = carry(pids[1], delay, now() + LIMIT_S * 1000 * NS_PER_MS);
    if (rc < 0) {
        kill(pids[1], SIGKILL);
        waitpid(pids[1], NULL, 0);
    }
    kill(pids[0], SIGKILL);
    waitpid(pids[0], NULL, 0);
    return rc < 0 ? FAILED : rc;
}

int main(int argc, char **argv)
{
    char **server = argv + 4;
    char **client = server;

    if (argc < 8 || strcmp(argv[1], "-d") != 0 || strcmp(argv[3], "--") != 0) {
        fprintf(stderr, "usage: wan -d MS -- SERVER... -- CLIENT...\n");
        return FAILED;
    }
    while (*client && strcmp(*client, "--") != 0)
        client++;
    if (!client[0] || !client[1])
        return FAILED;
    *client++ = NULL;
    return run(server, client, strtol(argv[2], NULL, 10) * NS_PER_MS);
}
