/* os/signals.h: SIGINT and SIGTERM, taken by waiting for them, so that no handler and no global is needed.
 *
 * They are blocked in the calling thread and stay pending until it asks. All threads of weir have every signal blocked
 * (os/thread.c); a signal to the process therefore reaches the one thread that asks.
 */
#ifndef WR_OS_SIGNALS_H
#define WR_OS_SIGNALS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct wr_signals {
  sigset_t before; /* the thread's mask before */
};

/* The three functions are called by one thread. */
void wr_signals_block(struct wr_signals *signals);
/* Waits up to `timeout_ns`; the signal's number, or 0. */
int wr_signals_wait(uint64_t timeout_ns);
void wr_signals_restore(const struct wr_signals *signals);

/* Standard error is a terminal. */
bool wr_stderr_is_terminal(void);
/* Ends the process at once: nothing is flushed, no function registered for the exit is called. */
_Noreturn void wr_exit_now(int exit_code);

#endif
