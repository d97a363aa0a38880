/* A session: one client from its start to its end. */
#ifndef WSTICKET_SESSION_H
#define WSTICKET_SESSION_H

#include "options.h"
#include "status.h"

/* Connects and stays until it ends.  Wipes the secrets of |settings| on the way. */
enum status session_run(struct settings *settings);

#endif
