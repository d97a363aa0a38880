/* The endpoints. */
#ifndef WSTSERVER_API_H
#define WSTSERVER_API_H

#include "http.h"
#include "server.h"

/* Answers a request; |arg| is the server. */
void api_handle(struct exchange *ex, void *arg);

/* Requests of the admin's kind: faults, statistics.  In admin.c. */
void admin_handle(struct exchange *ex, struct server *server);

/* Applies one JSON text of faults and commands; false with the reason in |why|. */
bool admin_apply(struct server *server, const char *text, char *why, size_t size);

/* Answers with JSON, which is taken over; an error object when |json| is NULL.  In api.c. */
void api_respond_json(struct exchange *ex, int status, const char *extra, cJSON *json);
void api_respond_error(struct exchange *ex, int status, const char *extra, const char *error);

#endif
