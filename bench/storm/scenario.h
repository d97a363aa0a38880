/* What happens to the server, moment by moment. */
#ifndef STORM_SCENARIO_H
#define STORM_SCENARIO_H

#include "storm.h"

#define NODES       10
#define MAX_MOMENTS 64

enum deed {
    DROP_ALL,      /* Every open link ends within 100 ms. */
    DRAIN_NODE,    /* The links of node |arg| are closed with 1012; it takes no new ones. */
    NODE_IS_BACK,  /* It takes new ones. */
    GO_DOWN,       /* The endpoints in the mask |arg|. */
    COME_UP,       /* The same. */
    CLOSE_AT_ONCE, /* |arg|: 1 begins, 0 ends. */
    WAKE_ALL,      /* wst_client_wake() everywhere, within 100 ms. */
    HEALED         /* The last fault is over. */
};

struct moment {
    uint32_t at_ms;
    enum deed deed;
    uint32_t arg;
};

struct plan {
    struct moment moments[MAX_MOMENTS]; /* In time's order. */
    uint32_t count;
    uint32_t last_ms; /* No link is lost by the plan afterwards. */
};

struct scenario {
    const char *name;
    const char *what;
    void (*plan)(struct plan *p, const struct setup *s);
    enum mode down;    /* How its endpoints are down. */
    bool half_unknown; /* Half of the clients begin without a usable token. */
    bool wakes;
};

/* All of them; the last one has no name. */
extern const struct scenario scenarios[];
const struct scenario *scenario_find(const char *name, size_t len);

#endif
