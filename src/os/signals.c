/* os/signals.c: see signals.h. */
#include "os/signals.h"

#include <time.h>
#include <unistd.h>

static sigset_t stop_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

void wr_signals_block(struct wr_signals *signals) {
  sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, &signals->before);
}

int wr_signals_wait(uint64_t timeout_ns) {
  sigset_t set = stop_signals();
  struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u), .tv_nsec = (long)(timeout_ns % 1000000000u)};
  int signal = sigtimedwait(&set, NULL, &timeout);
  return signal > 0 ? signal : 0;
}

void wr_signals_restore(const struct wr_signals *signals) {
  pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
}

bool wr_stderr_is_terminal(void) {
  return isatty(STDERR_FILENO) == 1;
}

void wr_exit_now(int exit_code) {
  _exit(exit_code);
}
