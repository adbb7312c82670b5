/* os/posix_clock.c: clock_gettime and getrandom. */
#include "os/posix_clock.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

static uint64_t monotonic_ns(struct wr_clock *clock) {
  (void)clock;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int64_t wall_ms(struct wr_clock *clock) {
  (void)clock;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void fill(struct wr_entropy *entropy, void *bytes, size_t length) {
  (void)entropy;
  for (size_t done = 0; done < length;) {
    ssize_t count = getrandom((char *)bytes + done, length - done, 0);
    if (count < 0 && errno == EINTR) continue;
    WR_ASSERT(count > 0); /* Ids that are not random could be met twice: better to stop. */
    done += (size_t)count;
  }
}

void wr_posix_clock_init(struct wr_clock *clock) {
  *clock = (struct wr_clock){.monotonic_ns = monotonic_ns, .wall_ms = wall_ms};
}

void wr_posix_entropy_init(struct wr_entropy *entropy) {
  *entropy = (struct wr_entropy){.fill = fill};
}
