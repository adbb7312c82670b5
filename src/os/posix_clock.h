/* os/posix_clock.h: the clock and the entropy of the system. No state; any thread. */
#ifndef WR_OS_POSIX_CLOCK_H
#define WR_OS_POSIX_CLOCK_H

#include "os/seams.h"

void wr_posix_clock_init(struct wr_clock *clock);
void wr_posix_entropy_init(struct wr_entropy *entropy);

#endif
