/* os/park.c: see park.h. One futex word: AWAKE, WOKEN (a wake waits to be taken), PARKED.
 *
 * wake exchanges the word for WOKEN and calls the system only if it was PARKED. It always exchanges, also where the
 * word is WOKEN already: the owner acquires from the last wake, and the exchanges form one release sequence, so it sees
 * what was written before each of them.
 */
#include "os/park.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { AWAKE, WOKEN, PARKED };

static void wake(struct wr_waker *waker) {
  struct wr_parker *parker = (struct wr_parker *)waker;
  if (atomic_exchange_explicit(&parker->state, WOKEN, memory_order_acq_rel) == PARKED)
    syscall(SYS_futex, &parker->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void wr_parker_init(struct wr_parker *parker) {
  parker->waker.wake = wake;
  atomic_init(&parker->state, AWAKE);
}

/* The moment `timeout_ns` from now, on the monotonic clock. */
static struct timespec deadline_after(uint64_t timeout_ns) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  uint64_t ns = (uint64_t)now.tv_nsec + timeout_ns % 1000000000u;
  now.tv_sec += (time_t)(timeout_ns / 1000000000u + ns / 1000000000u);
  now.tv_nsec = (long)(ns % 1000000000u);
  return now;
}

bool wr_parker_wait(struct wr_parker *parker, uint64_t timeout_ns) {
  uint32_t expected = atomic_load_explicit(&parker->state, memory_order_relaxed);
  if (expected == AWAKE && timeout_ns == 0) return false;
  struct timespec deadline = {0};
  if (expected == AWAKE && timeout_ns != WR_PARK_FOREVER) deadline = deadline_after(timeout_ns);
  expected = AWAKE;
  if (atomic_compare_exchange_strong_explicit(&parker->state, &expected, PARKED, memory_order_acq_rel,
                                              memory_order_acquire)) {
    do {
      /* The absolute deadline makes a wait that a signal broke, or that woke for nothing, go on for the rest only. */
      long result = syscall(SYS_futex, &parker->state, FUTEX_WAIT_BITSET_PRIVATE, PARKED,
                            timeout_ns == WR_PARK_FOREVER ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
      if (result != 0 && errno == ETIMEDOUT) break;
    } while (atomic_load_explicit(&parker->state, memory_order_relaxed) == PARKED);
  }
  return atomic_exchange_explicit(&parker->state, AWAKE, memory_order_acq_rel) == WOKEN;
}
