/* What the parts of the running server share. */
#ifndef WSTSERVER_SERVER_H
#define WSTSERVER_SERVER_H

#include <uv.h>

#include "faults.h"
#include "jwt.h"
#include "options.h"
#include "stats.h"
#include "tickets.h"

struct ws_engine;

struct server {
    struct options options;
    uv_loop_t loop;
    struct jwt_key jwt_key;
    struct ticket_store *store;
    struct ws_engine *ws;
    struct faults faults;
    struct stats stats;
    char last_ticket[TICKET_LEN + 1]; /* for the fault "same"; "" when there is none */
};

#endif
