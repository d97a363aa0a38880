/*
 * Marks the turns of a loop: libuv finds this epoll_wait() before that of the system.  Under
 * callgrind each turn begins with a dump of what the one before has cost, which names how many
 * descriptors were ready: "ready N".  Elsewhere nothing happens.
 */
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define HAVE_CALLGRIND 1
#endif
#endif

static void mark(int ready)
{
#ifdef HAVE_CALLGRIND
    char text[32];

    if (!RUNNING_ON_VALGRIND)
        return;
    (void)snprintf(text, sizeof text, "ready %d", ready);
    CALLGRIND_DUMP_STATS_AT(text);
#else
    (void)ready;
#endif
}

int epoll_pwait(int fd, struct epoll_event *events, int max, int timeout, const sigset_t *mask)
{
    int n = (int)syscall(SYS_epoll_pwait, fd, events, max, timeout, mask, (size_t)8);

    mark(n);
    return n;
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    return epoll_pwait(fd, events, max, timeout, NULL);
}
