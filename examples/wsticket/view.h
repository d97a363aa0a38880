/*
 * How a session is shown: as lines for people on stderr (console.c), or as JSON on stdout (json.c).
 * The functions follow the library's callbacks.
 */
#ifndef WSTICKET_VIEW_H
#define WSTICKET_VIEW_H

#include "output.h"

#include <wsticket/wsticket.h>

/* What a view needs to know of the session. */
struct view_options {
    uv_loop_t *loop;
    struct output *out; /* stdout. */
    struct output *err; /* stderr. */
    uint64_t ticket_life_ms;
    bool has_ticket;
    bool raw_binary;
    bool quiet;
    bool verbose;
};

struct view {
    /* Returns what the others take as |self|. */
    void *(*make)(const struct view_options *options);
    void (*state)(void *self, enum wst_state from, enum wst_state to);
    void (*attempt)(void *self, uint64_t attempt);
    void (*progress)(void *self, enum wst_progress progress);
    void (*attempt_failed)(void *self, const struct wst_error_info *info);
    void (*open)(void *self, const char *subprotocol);
    void (*message)(void *self, enum wst_message_type type, const void *data, size_t len);
    void (*closed)(void *self, const struct wst_close_info *info);
    void (*pong)(void *self, uint64_t rtt_us);
    void (*timing)(void *self, const struct wst_timing *timing);
    void (*log)(void *self, enum wst_log_level level, const char *text);
    /* Something about stdin or an echo that the user should know. */
    void (*note)(void *self, const char *text);
    void (*ended)(void *self, enum wst_state state, const struct wst_error_info *info,
                  int exit_status);
    /* Gives everything back to the loop; |self| stays until release. */
    void (*close)(void *self);
    void (*release)(void *self);
};

extern const struct view view_console;
extern const struct view view_json;

/* The phases of an attempt, for both views. */
struct phase {
    const char *name;
    size_t offset; /* In struct wst_timing. */
};
extern const struct phase phases[]; /* The last one has no name. */
uint64_t phase_us(const struct wst_timing *timing, const struct phase *phase);

#endif
