/* Faults that people and tests turn on and off while the server runs. */
#ifndef WSTSERVER_FAULTS_H
#define WSTSERVER_FAULTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* Where a fault can strike. */
enum fault_step {
    FAULT_ACCEPT,  /* a new connection */
    FAULT_TOKEN,   /* the token endpoint */
    FAULT_TICKET,  /* the ticket endpoint */
    FAULT_UPGRADE, /* the WebSocket upgrade */
    FAULT_OPEN,    /* a WebSocket that has just been opened */
    FAULT_STEP_COUNT
};

enum fault_drop { FAULT_DROP_NO, FAULT_DROP_FIN, FAULT_DROP_RST };

/* One fault.  A field that the JSON did not name is 0, NULL, false, or -1 where that is said. */
struct fault {
    int refs;
    cJSON *source; /* as it was given */
    long count;    /* uses left; -1: no end */
    long delay_ms; /* before anything else */
    long status;   /* answer this instead of doing the work */
    const char *retry_after, *location, *body, *content_type;
    long body_size;      /* answer so many bytes */
    long retry_after_ms; /* said in the JSON of the answer; -1: not */
    long reconnect_spread_ms;
    enum fault_drop drop;
    bool stall;      /* never answer */
    long ttl;        /* life of the ticket or token in seconds */
    bool same;       /* hand out the last ticket again */
    long close_code; /* close with it; 0: not */
    const char *close_reason;
    long after_ms; /* after so long */
    bool mute;     /* read, but never answer anything again */
    bool stop_reading;
};

struct faults {
    struct fault *step[FAULT_STEP_COUNT];
};

/* Puts the faults that |json| names into |faults|: {"ticket": {"status": 503}} replaces the fault
 * of that step, null or {} ends it, "reset": true ends all.  All or nothing: on failure returns
 * false with the reason, which names the field, in |why|.  Members that are not the name of a step
 * are left to the caller. */
bool faults_set(struct faults *faults, const cJSON *json, char *why, size_t size);
bool faults_is_step(const char *name);

/* The faults that are on, as JSON. */
cJSON *faults_json(const struct faults *faults);

/* The fault to apply now at |step|, or NULL; counts the use.  Give back with fault_unref. */
struct fault *faults_take(struct faults *faults, enum fault_step step);
void fault_unref(struct fault *fault);

void faults_clear(struct faults *faults);

#endif
