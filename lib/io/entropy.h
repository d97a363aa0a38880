/* Unpredictable bytes. */
#ifndef WST_IO_ENTROPY_H
#define WST_IO_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

/* RFC 6455, 10.3: masks must be unpredictable.  A call of the generator per frame would cost more
 * than the frame, so it fills a pool. */
struct wst__entropy {
    uint8_t pool[2048];
    size_t left; /* Unused bytes, at the pool's end. */
};

void wst__entropy_init(struct wst__entropy *e);
void wst__entropy_fini(struct wst__entropy *e);
/* Fills in |n| bytes, each handed out once.  ENTROPY: nothing was filled in. */
int wst__entropy_take(struct wst__entropy *e, void *p, size_t n);

#endif
