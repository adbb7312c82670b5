/* os/park.h: how a thread sleeps until it is woken or its time has come.
 *
 * A wake is remembered: one that comes before the wait ends the wait at once; several count as one. A wake of a thread
 * that is not parked costs one atomic exchange and no system call.
 */
#ifndef WR_OS_PARK_H
#define WR_OS_PARK_H

#include "os/seams.h"

#define WR_PARK_FOREVER UINT64_MAX

struct wr_parker {
  struct wr_waker waker;  /* any thread; the parker must outlive every wake */
  _Atomic uint32_t state; /* a futex word; see park.c */
};

void wr_parker_init(struct wr_parker *parker);
/* Only the owner. True when woken (then or before), false after `timeout_ns`. A timeout of 0 only looks. */
bool wr_parker_wait(struct wr_parker *parker, uint64_t timeout_ns);

#endif
