/* wsticket: connects by hand to a server that authenticates WebSockets with one-time tickets. */
#include "session.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

/*
 * A descriptor 0, 1 or 2 that was closed by whoever started us would be given to the first socket,
 * and that would then receive our messages.
 */
static void hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDWR) != fd)
            _exit(STATUS_USAGE);
}

static void print_version(void)
{
    printf("wsticket %s (libwsticket %s, libuv %s, cJSON %s)\n", WST_VERSION_STRING, wst_version(),
           uv_version_string(), cJSON_Version());
}

/* What was printed is written; a reader that has had enough, as in "| head", is no failure. */
static enum status flush_stdout(void)
{
    if ((fflush(stdout) == 0 && !ferror(stdout)) || errno == EPIPE)
        return STATUS_OK;
    fprintf(stderr, "wsticket: cannot write to stdout: %s\n", strerror(errno));
    return STATUS_USAGE;
}

static void warn(const struct settings *s)
{
    if (s->config.insecure)
        fputs("wsticket: warning: --insecure: the server is not verified; anybody on the way can "
              "read and change everything, the token included\n",
              stderr);
}

int main(int argc, char **argv)
{
    struct settings settings;
    enum status status = STATUS_USAGE;
    hold_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* A reader that goes away is told by EPIPE. */
    settings_init(&settings);
    if (settings_parse(&settings, argc, argv)) {
        if (settings.help || settings.version) {
            if (settings.help)
                options_help();
            else
                print_version();
            status = flush_stdout();
        } else {
            warn(&settings);
            status = session_run(&settings);
        }
    }
    settings_fini(&settings);
    return (int)status;
}
