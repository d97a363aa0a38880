/* The command line. */
#ifndef WSTSERVER_OPTIONS_H
#define WSTSERVER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "tls.h"

/* How a bad ticket is refused. */
enum reject_mode { REJECT_CLOSE, REJECT_HTTP_401, REJECT_HTTP_403 };

/* Where the upgrade carries its ticket. */
enum ticket_in { TICKET_IN_QUERY, TICKET_IN_HEADER, TICKET_IN_SUBPROTOCOL };

#define MAX_NAMES 16

struct options {
    const char *listen; /* HOST:PORT, or NULL for the default */
    const char *port_file, *admin_socket;
    bool admin;
    bool use_tls;
    struct tls_config tls;
    const char *names[MAX_NAMES];
    const char *jwt_secret; /* NULL: random */
    long jwt_ttl, ticket_ttl;
    bool open;
    enum reject_mode reject;
    enum ticket_in ticket_in;
    const char *ticket_name, *prefix;
    const char *subprotocols[MAX_NAMES];
    size_t subprotocol_count;
    bool deflate;
    long max_message, fragment;
    const char *redis;
    long redis_timeout_ms;
    const char *faults[MAX_NAMES]; /* JSON */
    size_t fault_count;
    bool timestamps;
};

/* Reads the command line into |options|.  Returns -1 to go on, else the status to exit with, after
 * everything that was to be said has been said. */
int options_parse(struct options *options, int argc, char **argv);

#endif
