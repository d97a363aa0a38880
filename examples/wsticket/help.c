/* --help, made from the table of options. */
#include "options.h"

#include <stdio.h>
#include <string.h>

#define COLUMN 34 /* Where the texts begin. */
#define WIDTH  79 /* Where they are broken. */

static const char head[] =
    "Usage: wsticket connect URL [options]\n"
    "\n"
    "Keeps one authenticated WebSocket open: a JWT, a fresh one-time ticket and the\n"
    "WebSocket, on every attempt.  Lines of stdin are sent, received messages are\n"
    "printed on stdout, the rest is told on stderr.\n"
    "\n"
    "URL is https://HOST[/prefix] or wss://HOST/path; for loopback also http:// and\n"
    "ws://.\n";

static const char tail[] =
    "\n"
    "Environment:\n"
    "  WSTICKET_TOKEN                  a token to begin with, as --token\n"
    "  NO_COLOR                        no colour on a terminal either\n"
    "  https_proxy, all_proxy, http_proxy, no_proxy\n"
    "\n"
    "Exit status:\n"
    "  0  it was open and ended as asked (end of stdin, Ctrl-C; with --once: closed\n"
    "     with 1000 or 1001)\n"
    "  1  wrong usage, or this machine could not do its part; at the end of stdin: a\n"
    "     line from there could not be sent\n"
    "  2  refused: not allowed in, or TLS does not take a certificate or key\n"
    "  3  never came to that: attempts used up, --once failed or lost its\n"
    "     connection, interrupted before it was open\n"
    "  4  the server's certificate was not accepted (--once, or attempts used up)\n";

/* Prints |text| from COLUMN on, broken between words; |at| is where the cursor stands. */
static void print_wrapped(const char *text, int at)
{
    if (at >= COLUMN) {
        putchar('\n');
        at = 0;
    }
    printf("%*s", COLUMN - at, "");
    for (at = COLUMN; *text; text += strspn(text, " ")) {
        int word = (int)strcspn(text, " ");
        if (at > COLUMN && at + 1 + word > WIDTH) {
            printf("\n%*s", COLUMN, "");
            at = COLUMN;
        } else if (at > COLUMN) {
            at += printf(" ");
        }
        at += printf("%.*s", word, text);
        text += word;
    }
    putchar('\n');
}

static void print_option(const struct option *o)
{
    int at = o->letter ? printf("  -%c, ", o->letter) : printf("  ");
    at += printf("--%s", o->name);
    if (o->argument)
        at += printf(" %s", o->argument);
    print_wrapped(o->help, at);
}

void options_help(void)
{
    fputs(head, stdout);
    for (const struct option *o = options_table; o->help; o++) {
        if (o->name)
            print_option(o);
        else
            printf("\n%s:\n", o->help);
    }
    fputs(tail, stdout);
}
