/* bench/large_state.c: 10 M rows of 100 B in keyed state: what a checkpoint costs, how long it stalls, how long a
 * restore takes.
 *
 * generator -> key by -> an operator of its own (the public interface; key of 8 bytes, value of 92) -> blackhole,
 * parallelism 2. First the state is built over all keys, and the job stopped. Then it is
 * started again and again from that folder with a generator over the first 5 % of the keys, which all change within a
 * second. A checkpoint is triggered every second. All of it that costs CPU lies in the half second after its trigger
 * (marks, copies, slices, files, the end of the files before), so halves with a checkpoint and halves without one take
 * turns in the same process, over the same memory, and each pair of them gives a cost. Runs of their own, with
 * checkpoints and without, differ by 20 % and more for where their memory lies; and the nearer the two that are
 * compared, the less the machine changes in between.
 *
 *   state_rows, state_bytes_per_row    what was built; bytes in memory, index and all
 *   checkpoint_on, checkpoint_off      million rows per CPU second, in the halves with a checkpoint and in the others
 *   checkpoint_cost                    what a second with a checkpoint lacks of one without: half of what the first
 *                                      have less than the second; the median of all pairs
 *   checkpoint_duration                of the last one, from the trigger to the durable metadata
 *   snapshot_stall                     longest time in a run that snapshot code kept a step from returning; the best
 *                                      run, the spread says what it was in the worst
 *   recovery_warm, recovery_cold       from the start to the first record; files in the page cache, or not (as root)
 *   checkpoint_bytes                   what was written for one, bases included
 *   bare_write_fsync, bare_copy        so many bytes written into a new file and synced; copied in memory
 *   bare_checkpoint_cost               CPU of this writing once a second, share of what the job used: checkpoint_cost
 *                                      if finding, keeping and encoding the rows cost nothing
 *   bare_read_warm, bare_read_cold     the job's folder read once, in one thread: recovery if placing rows cost nothing
 *
 * With --curve: 2 M rows instead, of which 1 to 100 % change between two checkpoints (tools/curves.py draws it):
 *   curve_cost_<percent>, curve_bytes_<percent>   the cost of a checkpoint, in percent of a second's rows, and what was
 *                                      written for one; every two seconds where many rows change, for to write them
 *                                      takes longer than half a second
 */
#include "bench/engine.h"
#include "bench/floors.h"

enum {
  ROWS = 10000000,
  CHANGED = ROWS / 20,
  TURNS = 6,
  CURVE_ROWS = 2000000,
  CURVE_TURNS = 2,
  CURVE_USUAL_PERCENT = 10, /* what changes is written in half a second */
  PAIRS_MAX = 20,
  TRIGGERS_BEFORE = 2, /* the first checkpoints after the restore, which find cold caches */
  SAMPLES_MAX = 8192
};
static const double SAMPLE_S = 0.005;

/* How often checkpoints are triggered: every two halves. */
struct pace {
  const char *interval;
  double half_s;
  uint32_t pairs; /* of a turn: halves with and without a checkpoint */
};
static const struct pace usual_pace = {"1s", 0.5, PAIRS_MAX}, slow_pace = {"2s", 1, PAIRS_MAX / 2};

struct value {
  int64_t sums[11];
  int32_t last;
};
static const struct weir_field value_fields[] = {
    {"s0", WEIR_TYPE_BIGINT, false}, {"s1", WEIR_TYPE_BIGINT, false},  {"s2", WEIR_TYPE_BIGINT, false},
    {"s3", WEIR_TYPE_BIGINT, false}, {"s4", WEIR_TYPE_BIGINT, false},  {"s5", WEIR_TYPE_BIGINT, false},
    {"s6", WEIR_TYPE_BIGINT, false}, {"s7", WEIR_TYPE_BIGINT, false},  {"s8", WEIR_TYPE_BIGINT, false},
    {"s9", WEIR_TYPE_BIGINT, false}, {"s10", WEIR_TYPE_BIGINT, false}, {"last", WEIR_TYPE_INT, false}};

static const struct weir_schema value_schema = {value_fields, 12};
static const struct weir_field key_fields[] = {{"key", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema key_schema = {key_fields, 1};

static enum weir_code open_sums(struct weir_operator *op, struct weir_error *error) {
  return weir_operator_declare_state(op, "sums", &value_schema, NULL, error);
}

static enum weir_code add_rows(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error) {
  (void)error;
  struct weir_state *sums = weir_operator_state(op, "sums");
  for (uint32_t row = 0; row < weir_batch_row_count(batch); row++) {
    struct value *value = weir_state_put(sums, row);
    value->sums[row % 11]++;
    value->last = (int32_t)row;
  }
  return WEIR_OK;
}

static const struct weir_operator_definition sum_rows = {
    .size = sizeof sum_rows, .name = "sums", .open = open_sums, .process = add_rows};

static void start(struct bench_job *job, const char *folder, uint64_t keys, const char *interval) {
  const struct weir_generator_options generator = {
      .size = sizeof generator, .schema = &key_schema, .key_count = keys, .seed = 7, .split_count = 2};
  bench_job_new(job, "sums");
  bench_set(job, "parallelism", "2");
  bench_set(job, "state", "%s/state", folder);
  bench_set(job, "checkpoint-interval", "%s", interval);
  struct weir_stream *rows = weir_generator_source(job->builder, "rows", &generator);
  weir_process(weir_key_by(rows, "key"), "sums", &sum_rows);
  bench_job_start(job);
}

static void build_state(const char *folder, uint64_t rows) {
  struct bench_job job;
  start(&job, folder, rows, "1h");    /* a snapshot would hold copies of rows, and be counted */
  bench_wait_records(&job, rows * 7); /* all but one row in a thousand */
  struct weir_job_status status = bench_status(&job);
  bench_row("state_rows", (double)status.state_rows, "rows");
  bench_row("state_bytes_per_row", (double)status.state_bytes / (double)status.state_rows, "bytes");
  bench_job_stop(&job);
}

/* Starts from the folder; the seconds until the first record. */
static double restart(struct bench_job *job, const char *folder, uint64_t keys, const char *interval) {
  start(job, folder, keys, interval);
  struct weir_job_status status = bench_status(job);
  while (status.recovery_ns == 0 && !status.is_over) {
    bench_sleep_s(0.002);
    status = bench_status(job);
  }
  if (status.is_over || status.restored_checkpoint == 0) bench_fail("the state was not restored");
  return (double)status.recovery_ns / 1e9;
}

static bool drop_caches(void) {
  sync();
  FILE *file = fopen("/proc/sys/vm/drop_caches", "w");
  if (file == NULL) return false;
  bool is_done = fputs("3", file) >= 0;
  return fclose(file) == 0 && is_done;
}

static void measure_floors(const char *folder, double bytes, double job_cpu_share) {
  struct bench_runs write = {.count = 0}, copy = {.count = 0}, read = {.count = 0};
  char state[300];
  double write_cpu_s = 0, folder_bytes;
  snprintf(state, sizeof state, "%s/state", folder);
  for (int run = 0; run < FLOOR_RUNS; run++) {
    double cpu_s;
    bench_add(&write, floor_write(folder, (size_t)bytes, &cpu_s) * 1e3);
    write_cpu_s += cpu_s / FLOOR_RUNS;
    bench_add(&copy, floor_copy((size_t)bytes) * 1e3);
    bench_add(&read, floor_read(state, &folder_bytes));
  }
  bench_row("checkpoint_bytes", bytes / 1e6, "MB");
  bench_row_best("bare_write_fsync", &write, BENCH_LOWER, "ms");
  bench_row("bare_checkpoint_cost", 100 * write_cpu_s / job_cpu_share, "%");
  bench_row_best("bare_copy", &copy, BENCH_LOWER, "ms");
  bench_row("folder_bytes", folder_bytes / 1e6, "MB");
  bench_row_best("bare_read_warm", &read, BENCH_LOWER, "s");
}

/* What was seen over all turns; of two, [1] is with a checkpoint. */
struct turns {
  struct pace pace;
  struct bench_runs recoveries;
  double rows[2], cpu_s[2];
  double costs[TURNS * PAIRS_MAX]; /* percent */
  uint32_t pairs, longer;
  double bytes, checkpoints;   /* written, completed */
  struct bench_runs stalls_ms; /* the longest of each turn */
  double duration_ms;
};

/* A job while it runs: what it had done when, and when checkpoints were triggered. */
struct watch {
  struct sample {
    double wall_s, cpu_s, rows;
  } samples[SAMPLES_MAX];
  uint32_t count;
  double triggers[PAIRS_MAX];
  uint32_t trigger_count;
  uint32_t longer; /* of these checkpoints took more than half a second */
};

static void take_sample(const struct bench_job *job, struct watch *watch) {
  if (watch->count == SAMPLES_MAX) bench_fail("checkpoints take too long to be measured");
  struct weir_job_status status = bench_status(job);
  if (status.is_over) bench_fail("the job ended while it was measured");
  watch->samples[watch->count++] =
      (struct sample){.wall_s = bench_now_s(), .cpu_s = bench_cpu_s(), .rows = (double)status.source_records};
}

/* Watches until as many checkpoints as there are pairs are over, and the time after them. */
static void watch_pairs(const struct bench_job *job, const struct pace *pace, struct watch *watch) {
  const double half_s = pace->half_s;
  uint64_t seen = bench_status(job).checkpoints_completed, wanted = seen + TRIGGERS_BEFORE;
  watch->count = watch->trigger_count = watch->longer = 0;
  double end_s = 0;
  while (watch->trigger_count < pace->pairs || bench_now_s() < end_s) {
    take_sample(job, watch);
    struct weir_job_status status = bench_status(job);
    if (status.checkpoints_completed > seen && watch->trigger_count < pace->pairs) {
      seen = status.checkpoints_completed;
      double trigger_s = bench_now_s() - (double)status.last_checkpoint_ns / 1e9;
      if (seen > wanted && (double)status.last_checkpoint_ns / 1e9 > half_s) watch->longer++;
      if (seen > wanted) watch->triggers[watch->trigger_count++] = trigger_s;
      end_s = trigger_s + 2 * half_s + 2 * SAMPLE_S;
    }
    bench_sleep_s(SAMPLE_S);
  }
}

/* Between two samples as if nothing had changed its pace. */
static struct sample sample_at(const struct watch *watch, double wall_s) {
  uint32_t next = 1;
  while (next + 1 < watch->count && watch->samples[next].wall_s < wall_s)
    next++;
  const struct sample *a = &watch->samples[next - 1], *b = &watch->samples[next];
  double part = (wall_s - a->wall_s) / (b->wall_s - a->wall_s);
  return (struct sample){
      .wall_s = wall_s, .cpu_s = a->cpu_s + part * (b->cpu_s - a->cpu_s), .rows = a->rows + part * (b->rows - a->rows)};
}

static void add_pair(const struct watch *watch, double trigger_s, struct turns *turns) {
  const double half_s = turns->pace.half_s;
  const struct sample at[] = {sample_at(watch, trigger_s), sample_at(watch, trigger_s + half_s),
                              sample_at(watch, trigger_s + 2 * half_s)};
  double rates[2];
  for (int half = 0; half < 2; half++) {
    int is_on = 1 - half;
    double rows = at[half + 1].rows - at[half].rows, cpu_s = at[half + 1].cpu_s - at[half].cpu_s;
    turns->rows[is_on] += rows;
    turns->cpu_s[is_on] += cpu_s;
    rates[is_on] = rows / cpu_s;
  }
  turns->costs[turns->pairs++] = 100 * (1 - rates[1] / rates[0]) * half_s; /* of a second's rows */
}

static void run_turn(const char *folder, uint64_t keys, struct turns *turns) {
  static struct watch watch;
  struct bench_job job;
  bench_add(&turns->recoveries, restart(&job, folder, keys, turns->pace.interval));
  double bytes = floor_bytes_written(), checkpoints = (double)bench_status(&job).checkpoints_completed;
  watch_pairs(&job, &turns->pace, &watch);
  for (uint32_t i = 0; i < watch.trigger_count; i++)
    add_pair(&watch, watch.triggers[i], turns);
  turns->longer += watch.longer;
  struct weir_job_status status = bench_status(&job);
  turns->bytes += floor_bytes_written() - bytes;
  turns->checkpoints += (double)status.checkpoints_completed - checkpoints;
  turns->duration_ms = (double)status.last_checkpoint_ns / 1e6;
  bench_add(&turns->stalls_ms, bench_metric_max(&job, "snapshotStallMaxUs") / 1e3);
  bench_job_stop(&job);
}

static struct turns run_turns(const char *folder, uint64_t keys, struct pace pace, int count) {
  struct turns turns = {.pace = pace};
  for (int turn = 0; turn < count; turn++)
    run_turn(folder, keys, &turns);
  return turns;
}

/* The share of the throughput that checkpoints take. */
static double cost_percent(struct turns *turns) {
  return bench_quantile(turns->costs, turns->pairs, 0.5);
}

static void measure(const char *folder) {
  struct turns turns = run_turns(folder, CHANGED, usual_pace, TURNS);
  bench_row_best("recovery_warm", &turns.recoveries, BENCH_LOWER, "s");
  bench_row("checkpoint_on", turns.rows[1] / turns.cpu_s[1] / 1e6, "M_rows/s");
  bench_row("checkpoint_off", turns.rows[0] / turns.cpu_s[0] / 1e6, "M_rows/s");
  double cost = cost_percent(&turns); /* sorts them */
  printf("checkpoint_cost %.3g %% # median of %u pairs, spread %.1f to %.1f %% (quartiles)\n", cost, turns.pairs,
         turns.costs[turns.pairs / 4], turns.costs[turns.pairs * 3 / 4]);
  if (turns.longer != 0)
    printf("# %u of %u checkpoints took longer than half a second: the figure lacks some of their cost\n", turns.longer,
           turns.pairs);
  bench_row("checkpoint_duration", turns.duration_ms, "ms");
  bench_row_best("snapshot_stall", &turns.stalls_ms, BENCH_LOWER, "ms");
  measure_floors(folder, turns.bytes / turns.checkpoints, turns.cpu_s[1] / (turns.pairs * turns.pace.half_s));
}

static void measure_cold(const char *folder) {
  struct bench_job job;
  char state[300];
  double bytes;
  snprintf(state, sizeof state, "%s/state", folder);
  if (!drop_caches()) return;
  bench_row("bare_read_cold", floor_read(state, &bytes), "s");
  if (!drop_caches()) return;
  bench_row("recovery_cold", restart(&job, folder, CHANGED, "1s"), "s");
  weir_job_cancel(job.job);
  bench_job_free(&job);
}

/* The cost over the share of the rows that change, at a state that all of it can change within a second. */
static void measure_curve(const char *folder) {
  static const uint32_t percents[] = {1, 2, 5, 10, 20, 50, 100};
  for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
    struct pace pace = percents[i] <= CURVE_USUAL_PERCENT ? usual_pace : slow_pace;
    char name[64];
    struct turns turns = run_turns(folder, (uint64_t)CURVE_ROWS * percents[i] / 100, pace, CURVE_TURNS);
    snprintf(name, sizeof name, "curve_cost_%u", percents[i]);
    bench_row(name, cost_percent(&turns), "%");
    snprintf(name, sizeof name, "curve_bytes_%u", percents[i]);
    bench_row(name, turns.bytes / turns.checkpoints / 1e6, "MB");
  }
}

int main(int argc, char **argv) {
  bool is_curve = argc == 2 && strcmp(argv[1], "--curve") == 0;
  char folder[256];
  bench_print_machine();
  bench_folder_make(folder, sizeof folder);
  build_state(folder, is_curve ? CURVE_ROWS : ROWS);
  if (is_curve) {
    measure_curve(folder);
  } else {
    measure(folder);
    measure_cold(folder);
  }
  bench_folder_remove(folder);
  return 0;
}
