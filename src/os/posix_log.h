/* os/posix_log.h: the log on standard error: "2026-01-02T03:04:05.678Z INFO text", times in UTC. Any thread: a line is
 * one write, so lines of several threads do not mix. */
#ifndef WR_OS_POSIX_LOG_H
#define WR_OS_POSIX_LOG_H

#include "os/seams.h"

struct wr_posix_log {
  struct wr_log log;      /* what is handed on */
  struct wr_clock *clock; /* of the times; not owned */
  int descriptor;         /* 2; a test has its own */
};

void wr_posix_log_init(struct wr_posix_log *posix, struct wr_clock *clock, enum wr_log_level level);

#endif
