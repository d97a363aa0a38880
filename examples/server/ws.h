/* The WebSocket side: libwebsockets behind a socket pair. */
#ifndef WSTSERVER_WS_H
#define WSTSERVER_WS_H

#include "http.h"
#include "server.h"

struct ws_engine;

/* Starts libwebsockets on the server's loop; NULL when it cannot be started. */
struct ws_engine *ws_engine_new(struct server *server);

/* Ends libwebsockets; its handles, and the sessions, close on the loop.  Free behind that. */
void ws_engine_stop(struct ws_engine *engine);
void ws_engine_free(struct ws_engine *engine);

/* What becomes of an upgrade. */
struct ws_open {
    char session_id[UUID_LEN + 1];
    const char *subprotocol; /* selected, or NULL */
    int close_code;          /* close right after the opening; 0: do not */
    const char *close_reason;
    struct fault *fault; /* to apply to the open connection, or NULL; taken over */
};

/* Opens a WebSocket on the connection of |ex|, whose request asked for the upgrade.  Ends |ex|. */
void ws_accept(struct ws_engine *engine, struct exchange *ex, const struct ws_open *open);

/* Closes all WebSockets with |code|, or drops their connections. */
void ws_close_all(struct ws_engine *engine, int code, const char *reason);
void ws_drop_all(struct ws_engine *engine, enum http_drop how);
size_t ws_count(const struct ws_engine *engine);

#endif
