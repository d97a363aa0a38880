/* What the two directions of a WebSocket share. */
#ifndef WST_WIRE_ENV_H
#define WST_WIRE_ENV_H

#include "wire/deflate.h"
#include "wire/message.h"
#include "wire/pool.h"

#include <stddef.h>

struct wst__ws_env {
    struct wst__ws_pool *pool;
    struct wst__deflate *deflate; /* NULL: permessage-deflate was not agreed. */
    struct wst__ws_tally *tally;
    size_t max_message; /* Bytes of a received message, inflated. */
    size_t max_queue;   /* Bytes of frames and marks in the send queue. */
};

#endif
