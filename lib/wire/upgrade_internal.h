/* What the files of the upgrade share. */
#ifndef WST_WIRE_UPGRADE_INTERNAL_H
#define WST_WIRE_UPGRADE_INTERNAL_H

#include "wire/upgrade.h"

/* How the body of a refusal ends. */
enum wst__body_end {
    WST__BODY_NONE,
    WST__BODY_LENGTH, /* u->body_left bytes. */
    WST__BODY_CHUNKED,
    WST__BODY_EOF
};

/* Keeps what was offered and what must be answered.  False: out of memory. */
bool wst__upgrade_note_offer(struct wst__upgrade *u, const struct wst__upgrade_request *rq);
/* Is it the subprotocol that carried the ticket? */
bool wst__upgrade_is_ticket(const struct wst__upgrade *u, const char *name, size_t n);

/* Reads the status line: u->status and u->http10.  BAD_UPGRADE. */
int wst__upgrade_status(struct wst__upgrade *u, const char *line, size_t n);
/* Checks the whole head of a 101; 0 or BAD_UPGRADE. */
int wst__upgrade_check(struct wst__upgrade *u);
/* Takes from the head of a refusal what the report needs; how its body ends. */
enum wst__body_end wst__upgrade_note_refusal(struct wst__upgrade *u);
/* The cause of a refusal: UPGRADE_REFUSED or REDIRECTED. */
int wst__upgrade_refused(struct wst__upgrade *u);

/* One byte of a chunked body; 1: |*data| says whether it is content; 0: the body's end; -1: wrong.
 */
int wst__chunked_byte(struct wst__chunked *c, uint8_t byte, bool *data);

#endif
