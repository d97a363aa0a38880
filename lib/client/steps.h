/* Steps 1 and 2: the token and the ticket, by HTTP or by the application. */
#ifndef WST_CLIENT_STEPS_H
#define WST_CLIENT_STEPS_H

#include "client/client.h"

/* Each answers with an event of its step, pushed onto the driver's queue. */
void wst__steps_ensure_token(struct wst_client *cl);
void wst__steps_get_ticket(struct wst_client *cl);
/* No more time for the answer: a refusal whose head has come is told as the step's failure. */
void wst__steps_time_is_up(struct wst_client *cl);
/* Drops what is under way. */
void wst__steps_cancel(struct wst_client *cl);
/* Takes the application's answer that waits (cl->provided), if there is one. */
void wst__steps_take_provided(struct wst_client *cl);
/* The token was set or forgotten under step 1: it begins anew. */
void wst__steps_token_changed(struct wst_client *cl);
/* Marks the ticket at hand as spent. */
void wst__steps_ticket_spent(struct wst_client *cl);
/* Wipes the ticket at hand, if there is one, and the URL that its reply has named. */
void wst__steps_drop_ticket(struct wst_client *cl);
/* The attempt has ended: nothing of the steps is kept. */
void wst__steps_end(struct wst_client *cl);

#endif
