/* runtime/threads.c: see threads.h. A worker's thread: round after round while something makes progress; then it looks
 * a few microseconds more for a wake, and parks until the next wake or the earliest time that a steppable asked for.
 *
 * The clock is read once per round. The short look spares the system call on both sides where two tasks hand batches to
 * each other (bench/channel.c measures it). It follows only on a round that made progress: a worker that was
 * woken for nothing, or by a timer that had nothing to do, parks at once, so an idle job pays nothing for it.
 */
#include "runtime/threads.h"

#include "os/park.h"
#include "os/thread.h"

#include <stdio.h>

enum { LOOKS_BEFORE_PARK = 200 }; /* some 5 to 10 microseconds */

struct worker_thread {
  struct wr_thread thread;
  struct wr_parker parker;
  struct wr_worker *worker;
  struct wr_threads *threads;
};

struct wr_threads {
  struct wr_memory *memory;
  struct wr_clock *clock;
  atomic_bool ending;                   /* set before the last wake */
  uint32_t count;                       /* of started threads */
  struct wr_worker *workers;            /* the host's */
  struct worker_thread *worker_threads; /* one per worker */
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

static bool was_woken_shortly(struct wr_parker *parker) {
  for (int i = 0; i < LOOKS_BEFORE_PARK; i++) {
    if (wr_parker_wait(parker, 0)) return true;
    relax();
  }
  return false;
}

static void run_worker(void *argument) {
  struct worker_thread *self = argument;
  struct wr_clock *clock = self->threads->clock;
  bool worked = false;
  while (!atomic_load_explicit(&self->threads->ending, memory_order_acquire)) {
    uint64_t now_ns = clock->monotonic_ns(clock);
    uint64_t wake_at_ns = UINT64_MAX;
    if (wr_worker_round(self->worker, now_ns, &wake_at_ns) == WR_PROGRESS_MADE) {
      worked = true;
      continue;
    }
    if (worked && was_woken_shortly(&self->parker)) continue;
    worked = false;
    uint64_t timeout_ns = wake_at_ns > now_ns ? wake_at_ns - now_ns : 0;
    (void)wr_parker_wait(&self->parker, wake_at_ns == UINT64_MAX ? WR_PARK_FOREVER : timeout_ns);
  }
}

/* Ends and joins the threads that were started. */
static void stop(struct wr_threads *threads) {
  atomic_store_explicit(&threads->ending, true, memory_order_release);
  for (uint32_t i = 0; i < threads->count; i++) {
    struct wr_waker *waker = threads->workers[i].waker;
    waker->wake(waker);
  }
  for (uint32_t i = 0; i < threads->count; i++)
    wr_thread_join(&threads->worker_threads[i].thread);
}

static void release(struct wr_threads *threads) {
  struct wr_memory *memory = threads->memory;
  wr_free(memory, threads->worker_threads);
  wr_free(memory, threads->workers);
  wr_free(memory, threads);
}

static enum weir_code start(struct wr_threads *threads, uint32_t count, struct weir_error *error) {
  threads->workers = wr_alloc_zeroed(threads->memory, count, sizeof *threads->workers, WR_MEMORY_ENGINE);
  threads->worker_threads = wr_alloc_zeroed(threads->memory, count, sizeof *threads->worker_threads, WR_MEMORY_ENGINE);
  if (threads->workers == NULL || threads->worker_threads == NULL)
    return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for %u worker threads", count);
  for (uint32_t i = 0; i < count; i++) {
    struct worker_thread *self = &threads->worker_threads[i];
    self->worker = &threads->workers[i];
    self->threads = threads;
    wr_parker_init(&self->parker);
    wr_worker_init(self->worker, &self->parker.waker);
    char name[32];
    snprintf(name, sizeof name, "weir-worker-%u", i);
    WR_TRY(wr_thread_start(&self->thread, name, run_worker, self, error));
    threads->count++;
  }
  return WEIR_OK;
}

enum weir_code wr_threads_new(struct wr_seams *seams, uint32_t count, struct wr_threads **out_threads,
                              struct wr_host *out_host, struct weir_error *error) {
  if (count == 0) return WR_FAIL(error, WEIR_INVALID, "an engine needs at least one worker thread");
  struct wr_threads *threads = wr_alloc_zeroed(seams->memory, 1, sizeof *threads, WR_MEMORY_ENGINE);
  if (threads == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for %u worker threads", count);
  threads->memory = seams->memory;
  threads->clock = seams->clock;
  enum weir_code code = start(threads, count, error);
  if (code != WEIR_OK) {
    stop(threads);
    release(threads);
    return code;
  }
  *out_threads = threads;
  *out_host = (struct wr_host){.workers = threads->workers, .worker_count = count};
  return WEIR_OK;
}

void wr_threads_free(struct wr_threads *threads) {
  if (threads == NULL) return;
  stop(threads);
  for (uint32_t i = 0; i < threads->count; i++) {
    WR_ASSERT(threads->workers[i].count == 0);
    WR_ASSERT(atomic_load_explicit(&threads->workers[i].arrivals, memory_order_relaxed) == NULL);
  }
  release(threads);
}
