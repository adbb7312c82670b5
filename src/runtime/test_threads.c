/* Tests of the production host: steppables on real threads, wake-ups, timers, and what an idle worker costs. */
#include "base/test.h"
#include "base/test_memory.h"
#include "os/park.h"
#include "os/posix_clock.h"
#include "runtime/channel.h"
#include "runtime/threads.h"

#include <pthread.h>

struct fixture {
  struct test_memory memory;
  struct wr_clock clock;
  struct wr_seams seams;
  struct wr_parker parker; /* the test's own, woken when something detaches */
  struct wr_threads *threads;
  struct wr_host host;
};
static void begin(struct fixture *fixture, uint32_t workers) {
  memset(fixture, 0, sizeof *fixture);
  test_memory_init(&fixture->memory);
  wr_posix_clock_init(&fixture->clock);
  wr_parker_init(&fixture->parker);
  fixture->seams = (struct wr_seams){.memory = &fixture->memory.memory, .clock = &fixture->clock};
  CHECK_INT(wr_threads_new(&fixture->seams, workers, &fixture->threads, &fixture->host, NULL), WEIR_OK);
  CHECK_INT(fixture->host.worker_count, workers);
}
static void end(struct fixture *fixture) {
  wr_threads_free(fixture->threads);
  CHECK_INT(fixture->memory.living_count, 0);
}
static void wait_detached(struct fixture *fixture, struct wr_steppable *steppable) {
  while (!atomic_load_explicit(&steppable->detached, memory_order_acquire))
    wr_parker_wait(&fixture->parker, WR_PARK_FOREVER);
}

/* ---- a ring of tasks, each of which hands on what comes ---- */

struct relay {
  struct wr_steppable steppable;
  struct wr_channel *in, *out;
  int64_t remaining; /* items to hand on before it is done */
  bool starts;
};
static enum wr_progress step_relay(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  (void)now_ns, (void)wake_at_ns;
  struct relay *self = (struct relay *)steppable;
  if (self->starts) {
    struct wr_item first = {.kind = WR_ITEM_WATERMARK, .value = 1};
    wr_channel_push(self->out, &first);
    self->starts = false;
    return WR_PROGRESS_MADE;
  }
  const struct wr_item *front = wr_channel_peek(self->in);
  if (front == NULL) return WR_PROGRESS_NONE;
  struct wr_item item = wr_channel_pop(self->in);
  if (self->remaining > 0) wr_channel_push(self->out, &item);
  return --self->remaining <= 0 ? WR_PROGRESS_DONE : WR_PROGRESS_MADE;
}

TEST(relay_over_workers) {
  enum { RELAYS = 6, WORKERS = 3 };
  struct fixture f;
  begin(&f, WORKERS);
  struct wr_channel *channels[RELAYS];
  struct relay relays[RELAYS];
  for (int i = 0; i < RELAYS; i++) /* channel i leads from relay i to relay i + 1 */
    CHECK_INT(wr_channel_new(&f.memory.memory, f.host.workers[i % WORKERS].waker,
                             f.host.workers[(i + 1) % RELAYS % WORKERS].waker, &channels[i], NULL),
              WEIR_OK);
  for (int i = 0; i < RELAYS; i++) {
    relays[i] = (struct relay){.steppable = {.step = step_relay, .name = "relay", .owner = &f.parker.waker},
                               .in = channels[(i + RELAYS - 1) % RELAYS],
                               .out = channels[i],
                               .remaining = 5000,
                               .starts = i == 0};
    wr_worker_attach(&f.host.workers[i % WORKERS], &relays[i].steppable);
  }
  for (int i = 0; i < RELAYS; i++)
    wait_detached(&f, &relays[i].steppable);
  for (int i = 0; i < RELAYS; i++)
    wr_channel_free(channels[i]);
  end(&f);
}

/* ---- timers ---- */

struct ticker {
  struct wr_steppable steppable;
  uint64_t next_ns, interval_ns, worst_late_ns;
  int remaining;
};
static enum wr_progress step_ticker(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  struct ticker *self = (struct ticker *)steppable;
  if (self->next_ns == 0) self->next_ns = now_ns + self->interval_ns;
  if (now_ns >= self->next_ns) {
    uint64_t late_ns = now_ns - self->next_ns;
    if (late_ns > self->worst_late_ns) self->worst_late_ns = late_ns;
    self->next_ns = now_ns + self->interval_ns;
    if (--self->remaining == 0) return WR_PROGRESS_DONE;
  }
  if (self->next_ns < *wake_at_ns) *wake_at_ns = self->next_ns;
  return WR_PROGRESS_NONE;
}

static uint64_t process_cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

TEST(timers_and_idle_cost) {
  struct fixture f;
  begin(&f, 2);
  struct ticker ticker = {.steppable = {.step = step_ticker, .name = "ticker", .owner = &f.parker.waker},
                          .interval_ns = 5000000,
                          .remaining = 200};
  uint64_t before_ns = f.clock.monotonic_ns(&f.clock), cpu_before_ns = process_cpu_ns();
  wr_worker_attach(&f.host.workers[0], &ticker.steppable);
  wait_detached(&f, &ticker.steppable);
  uint64_t wall_ns = f.clock.monotonic_ns(&f.clock) - before_ns, cpu_ns = process_cpu_ns() - cpu_before_ns;
  fprintf(stderr, "%.2f s: CPU %.2f %%, worst lateness %.2f ms\n", (double)wall_ns / 1e9,
          100.0 * (double)cpu_ns / (double)wall_ns, (double)ticker.worst_late_ns / 1e6);
  CHECK(wall_ns >= 200u * 5000000u);
  CHECK(cpu_ns < wall_ns / 20); /* far above what it costs (well under 1 %): the machine may be slow and sanitized */
  end(&f);
}

struct reader {
  struct wr_steppable steppable;
  char name[16];
};
static enum wr_progress step_reader(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  (void)now_ns, (void)wake_at_ns;
  struct reader *self = (struct reader *)steppable;
  pthread_getname_np(pthread_self(), self->name, sizeof self->name);
  return WR_PROGRESS_DONE;
}

TEST(thread_names) {
  struct fixture f;
  begin(&f, 2);
  struct reader reader = {.steppable = {.step = step_reader, .name = "reader", .owner = &f.parker.waker}};
  wr_worker_attach(&f.host.workers[1], &reader.steppable);
  wait_detached(&f, &reader.steppable);
  CHECK_STRING(reader.name, "weir-worker-1");
  end(&f);
}

TEST(bad_arguments) {
  struct wr_threads *threads = NULL;
  struct wr_host host;
  CHECK_INT(wr_threads_new(NULL, 0, &threads, &host, NULL), WEIR_INVALID);
  CHECK(threads == NULL);
  wr_threads_free(NULL);
}

TEST(no_memory) {
  struct fixture f = {0};
  test_memory_init(&f.memory);
  wr_posix_clock_init(&f.clock);
  f.seams = (struct wr_seams){.memory = &f.memory.memory, .clock = &f.clock};
  uint64_t n = 0;
  enum weir_code code = WEIR_NO_MEMORY;
  while (code != WEIR_OK) {
    CHECK_INT(f.memory.living_count, 0);
    test_memory_fail_after(&f.memory, ++n, true);
    code = wr_threads_new(&f.seams, 2, &f.threads, &f.host, NULL);
    CHECK(code == WEIR_OK || code == WEIR_NO_MEMORY);
  }
  CHECK_INT(n, 4); /* three blocks */
  wr_threads_free(f.threads);
  CHECK_INT(f.memory.living_count, 0);
}

TEST_MAIN(TEST_CASE(relay_over_workers), TEST_CASE(timers_and_idle_cost), TEST_CASE(thread_names),
          TEST_CASE(bad_arguments), TEST_CASE(no_memory))
