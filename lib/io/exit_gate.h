/*
 * OpenSSL frees its globals in a handler of exit().  A thread of libuv's pool that is inside
 * OpenSSL at that moment would crash, and the application can neither see nor stop that thread.
 * So exit() waits here until ours are out of it, and none goes in any more.
 */
#ifndef WST_IO_EXIT_GATE_H
#define WST_IO_EXIT_GATE_H

#include <stdbool.h>

/* Begins OpenSSL, which sets its handler, and sets ours: they run in reverse order.  Once in a
 * process.  NOMEM. */
int wst__exit_gate_init(void);
/* On a thread of the pool, around what it does with OpenSSL.  False: the process is ending. */
bool wst__exit_gate_enter(void);
void wst__exit_gate_leave(void);

#endif
