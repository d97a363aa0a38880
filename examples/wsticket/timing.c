/* The phases of an attempt in the order in which people ask for them. */
#include "view.h"

#include <string.h>

const struct phase phases[] = {{"dns", offsetof(struct wst_timing, dns_us)},
                               {"tcp", offsetof(struct wst_timing, tcp_us)},
                               {"tls", offsetof(struct wst_timing, tls_us)},
                               {"token", offsetof(struct wst_timing, token_us)},
                               {"ticket", offsetof(struct wst_timing, ticket_us)},
                               {"upgrade", offsetof(struct wst_timing, upgrade_us)},
                               {"open", offsetof(struct wst_timing, open_us)},
                               {"ping", offsetof(struct wst_timing, ping_us)},
                               {NULL, 0}};

uint64_t phase_us(const struct wst_timing *timing, const struct phase *phase)
{
    uint64_t us;
    memcpy(&us, (const char *)timing + phase->offset, sizeof(us));
    return us;
}
