/* The driver: the core's actions become calls, completions become events. */
#ifndef WST_CLIENT_DRIVER_H
#define WST_CLIENT_DRIVER_H

#include "client/client.h"

/* Puts an answer behind those that wait; wst__driver_pump() carries it out. */
void wst__driver_push(struct wst_client *cl, const struct wst__event *ev);
/* Drops the answers from |first| to |last| that wait. */
void wst__driver_purge(struct wst_client *cl, enum wst__ev first, enum wst__ev last);
/* Carries out what waits, one event at a time.  From the loop only; does nothing when it already
 * runs further up the stack, which will see what was pushed. */
void wst__driver_pump(struct wst_client *cl);
/* Asks for a pump and a flush in this turn of the loop.  From anywhere. */
void wst__driver_ask(struct wst_client *cl);
/* The same, for nothing but what is queued in the link. */
void wst__driver_ask_to_send(struct wst_client *cl);
/* The turn has come. */
void wst__driver_on_turn(void *arg);
/* The core's deadline has come. */
void wst__driver_on_timer(void *arg);
/* Is the connection wanted, once everything that waits has been carried out? */
bool wst__driver_wants(const struct wst_client *cl);
/* Ends everything at once and tells what must be told: afterwards the core is at rest. */
void wst__driver_end(struct wst_client *cl);

#endif
