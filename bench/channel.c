/* bench/channel.c: what it costs to hand items from one task to another on the production host (two worker threads).
 *
 *   channel_items           control items through one channel, per second
 *   channel_batches         batches of 4,096 rows that exist already: only the reference travels
 *   channel_batches_made    batches of 4,096 rows, made by one side (zeroed, not filled) and dropped by the other
 *   channel_hop, _cpu       one way of a ping-pong between two workers, and the CPU time that it costs both
 *   channel_wake_p50, _p99  from a push to the step of a consumer that had parked, one item each millisecond
 *   threads_idle            CPU of two workers with one task that asks for a step every 5 ms, share of one core
 */
#include "bench/common.h"
#include "base/limits.h"
#include "os/posix_clock.h"
#include "os/park.h"
#include "runtime/channel.h"
#include "runtime/threads.h"

enum { RUNS = 5, ITEMS_PER_STEP = 256, POOL = 256 };

static const struct weir_field fields[] = {{"n", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema schema = {fields, 1};

struct rig {
  struct wr_heap_memory memory;
  struct wr_clock clock;
  struct wr_seams seams;
  struct wr_parker parker; /* of main */
  struct wr_threads *threads;
  struct wr_host host;
  struct wr_channel *there, *back;
  struct wr_batch *pool[POOL];
};

static void must(enum weir_code code, const struct weir_error *error) {
  if (code == WEIR_OK) return;
  fprintf(stderr, "%s\n", error->message);
  exit(1);
}

static void rig_init(struct rig *rig) {
  struct weir_error error = {0};
  memset(rig, 0, sizeof *rig);
  wr_heap_memory_init(&rig->memory, 0);
  wr_posix_clock_init(&rig->clock);
  wr_parker_init(&rig->parker);
  rig->seams = (struct wr_seams){.memory = &rig->memory.memory, .clock = &rig->clock};
  must(wr_threads_new(&rig->seams, 2, &rig->threads, &rig->host, &error), &error);
  struct wr_waker *near = rig->host.workers[0].waker, *far = rig->host.workers[1].waker;
  must(wr_channel_new(&rig->memory.memory, near, far, &rig->there, &error), &error);
  must(wr_channel_new(&rig->memory.memory, far, near, &rig->back, &error), &error);
  for (int i = 0; i < POOL; i++) {
    rig->pool[i] = wr_batch_new(&rig->memory.memory, &schema, WR_BATCH_ROWS_MAX, false);
    if (rig->pool[i] == NULL) must(WR_FAIL(&error, WEIR_NO_MEMORY, "no memory for the batches"), &error);
  }
}
static void rig_deinit(struct rig *rig) {
  wr_threads_free(rig->threads);
  wr_channel_free(rig->there);
  wr_channel_free(rig->back);
  for (int i = 0; i < POOL; i++)
    wr_batch_unref(rig->pool[i]);
}
/* Runs both to their ends; seconds. */
static double run_pair(struct rig *rig, struct wr_steppable *near, struct wr_steppable *far) {
  near->owner = far->owner = &rig->parker.waker;
  double begin_s = bench_now_s();
  wr_worker_attach(&rig->host.workers[1], far);
  wr_worker_attach(&rig->host.workers[0], near);
  while (!atomic_load(&near->detached) || !atomic_load(&far->detached))
    wr_parker_wait(&rig->parker, WR_PARK_FOREVER);
  return bench_now_s() - begin_s;
}

/* ---- throughput ---- */

enum what { CONTROL, POOLED, MADE };

struct side {
  struct wr_steppable steppable;
  struct rig *rig;
  enum what what;
  uint64_t count, limit;
  struct wr_item held; /* the producer's, refused the last time */
  bool holds;
};

static struct wr_item next_item(struct side *self) {
  if (self->what == CONTROL) return (struct wr_item){.kind = WR_ITEM_WATERMARK, .value = (int64_t)self->count};
  struct wr_batch *batch = self->what == POOLED
                               ? wr_batch_ref(self->rig->pool[self->count % POOL])
                               : wr_batch_new(&self->rig->memory.memory, &schema, WR_BATCH_ROWS_MAX, false);
  WR_ASSERT(batch != NULL);
  return (struct wr_item){.kind = WR_ITEM_BATCH, .batch = batch};
}
static enum wr_progress step_producer(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  (void)now_ns, (void)wake_at_ns;
  struct side *self = (struct side *)steppable;
  for (int i = 0; i < ITEMS_PER_STEP; i++) {
    if (self->count == self->limit) return WR_PROGRESS_DONE;
    if (!self->holds) self->held = next_item(self);
    self->holds = !wr_channel_push(self->rig->there, &self->held);
    if (self->holds) return i == 0 ? WR_PROGRESS_NONE : WR_PROGRESS_MADE;
    self->count++;
  }
  return WR_PROGRESS_MADE;
}
static enum wr_progress step_consumer(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  (void)now_ns, (void)wake_at_ns;
  struct side *self = (struct side *)steppable;
  for (int i = 0; i < ITEMS_PER_STEP; i++) {
    if (self->count == self->limit) return WR_PROGRESS_DONE;
    if (wr_channel_peek(self->rig->there) == NULL) return i == 0 ? WR_PROGRESS_NONE : WR_PROGRESS_MADE;
    struct wr_item item = wr_channel_pop(self->rig->there);
    if (item.kind == WR_ITEM_BATCH) wr_batch_unref(item.batch);
    self->count++;
  }
  return WR_PROGRESS_MADE;
}

static void measure_throughput(struct rig *rig, enum what what, uint64_t limit, const char *name, const char *unit) {
  struct bench_runs runs = {.count = 0};
  for (int run = 0; run < RUNS; run++) {
    struct side producer = {.steppable = {.step = step_producer, .name = "producer"}, .rig = rig, .what = what};
    struct side consumer = {.steppable = {.step = step_consumer, .name = "consumer"}, .rig = rig, .what = what};
    producer.limit = consumer.limit = limit;
    bench_add(&runs, (double)limit / run_pair(rig, &producer.steppable, &consumer.steppable));
  }
  bench_row_best(name, &runs, BENCH_HIGHER, unit);
}

/* ---- ping-pong ---- */

struct player {
  struct wr_steppable steppable;
  struct wr_channel *in, *out;
  uint64_t remaining; /* items to come */
  bool is_near;       /* begins, and does not return the last one */
  bool has_begun;
};
static enum wr_progress step_player(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  (void)now_ns, (void)wake_at_ns;
  struct player *self = (struct player *)steppable;
  struct wr_item item = {.kind = WR_ITEM_WATERMARK};
  bool first = self->is_near && !self->has_begun;
  self->has_begun = true;
  if (!first) {
    if (wr_channel_peek(self->in) == NULL) return WR_PROGRESS_NONE;
    item = wr_channel_pop(self->in);
    self->remaining--;
  }
  if (!self->is_near || self->remaining != 0) wr_channel_push(self->out, &item);
  return self->remaining == 0 ? WR_PROGRESS_DONE : WR_PROGRESS_MADE;
}

static void measure_hop(struct rig *rig) {
  const uint64_t rounds = 20000;
  struct bench_runs runs = {.count = 0}, cpu = {.count = 0};
  for (int run = 0; run < RUNS; run++) {
    struct player near = {.steppable = {.step = step_player, .name = "near"}, .in = rig->back, .out = rig->there};
    struct player far = {.steppable = {.step = step_player, .name = "far"}, .in = rig->there, .out = rig->back};
    near.remaining = far.remaining = rounds;
    near.is_near = true;
    double cpu_s = bench_cpu_s(), seconds = run_pair(rig, &near.steppable, &far.steppable);
    bench_add(&runs, seconds * 1e9 / (2.0 * (double)rounds));
    bench_add(&cpu, (bench_cpu_s() - cpu_s) * 1e9 / (2.0 * (double)rounds));
  }
  bench_row_best("channel_hop", &runs, BENCH_LOWER, "ns");
  bench_row_best("channel_hop_cpu", &cpu, BENCH_LOWER, "ns");
}

/* ---- waking a parked worker ---- */

enum { WAKES = 1000, PAUSE_NS = 1000000 };

struct waker_side {
  struct wr_steppable steppable;
  struct rig *rig;
  uint64_t next_ns;
  uint32_t count;
  double *late_ns; /* the consumer's measurements */
};
static enum wr_progress step_pausing_producer(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  struct waker_side *self = (struct waker_side *)steppable;
  if (now_ns >= self->next_ns) {
    struct wr_clock *clock = &self->rig->clock;
    struct wr_item item = {.kind = WR_ITEM_WATERMARK, .value = (int64_t)clock->monotonic_ns(clock)};
    wr_channel_push(self->rig->there, &item);
    self->next_ns = now_ns + PAUSE_NS;
    if (++self->count == WAKES) return WR_PROGRESS_DONE;
  }
  *wake_at_ns = self->next_ns;
  return WR_PROGRESS_NONE;
}
static enum wr_progress step_woken_consumer(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  (void)wake_at_ns;
  struct waker_side *self = (struct waker_side *)steppable;
  if (wr_channel_peek(self->rig->there) == NULL) return WR_PROGRESS_NONE;
  int64_t late_ns = (int64_t)now_ns - wr_channel_pop(self->rig->there).value;
  self->late_ns[self->count++] = late_ns > 0 ? (double)late_ns : 0; /* the push can come within the round */
  return self->count == WAKES ? WR_PROGRESS_DONE : WR_PROGRESS_MADE;
}

static void measure_wake(struct rig *rig) {
  static double late_ns[WAKES];
  struct waker_side producer = {.steppable = {.step = step_pausing_producer, .name = "producer"}, .rig = rig};
  struct waker_side consumer = {.steppable = {.step = step_woken_consumer, .name = "consumer"}, .rig = rig};
  consumer.late_ns = late_ns;
  (void)run_pair(rig, &producer.steppable, &consumer.steppable);
  bench_row("channel_wake_p50", bench_quantile(late_ns, WAKES, 0.5) / 1e3, "us");
  bench_row("channel_wake_p99", bench_quantile(late_ns, WAKES, 0.99) / 1e3, "us");
}

/* ---- idle ---- */

struct ticker {
  struct wr_steppable steppable;
  uint64_t next_ns;
  int remaining;
};
static enum wr_progress step_ticker(struct wr_steppable *steppable, uint64_t now_ns, uint64_t *wake_at_ns) {
  struct ticker *self = (struct ticker *)steppable;
  if (now_ns >= self->next_ns) {
    self->next_ns = now_ns + 5000000;
    if (self->remaining-- == 0) return WR_PROGRESS_DONE;
  }
  *wake_at_ns = self->next_ns;
  return WR_PROGRESS_NONE;
}

static void measure_idle(struct rig *rig) {
  struct ticker near = {.steppable = {.step = step_ticker, .name = "ticker"}, .remaining = 400};
  struct ticker far = {.steppable = {.step = step_ticker, .name = "ticker"}, .remaining = 0};
  double cpu_s = bench_cpu_s(), seconds = run_pair(rig, &near.steppable, &far.steppable);
  bench_row("threads_idle", 100 * (bench_cpu_s() - cpu_s) / seconds, "%");
}

int main(void) {
  static struct rig rig;
  bench_print_machine();
  rig_init(&rig);
  measure_throughput(&rig, CONTROL, 2000000, "channel_items", "1/s");
  measure_throughput(&rig, POOLED, 1000000, "channel_batches", "1/s");
  measure_throughput(&rig, MADE, 50000, "channel_batches_made", "1/s");
  measure_hop(&rig);
  measure_wake(&rig);
  measure_idle(&rig);
  rig_deinit(&rig);
  return 0;
}
