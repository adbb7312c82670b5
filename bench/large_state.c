/* bench/large_state.c: 10 M rows of 100 B in keyed state: what a checkpoint costs, how long it stalls, how long a
 * restore takes.
 *
 * generator -> key by -> an operator of its own (the public interface; key of 8 bytes, value of 92) -> blackhole,
 * parallelism 2, a checkpoint every second. First the state is built over all keys, and the job stopped. Then it is
 * started again and again from that folder with a generator over the first 5 % of the keys, which all change between
 * two checkpoints: in turns with a checkpoint every second and with none while it is measured.
 *
 *   state_rows, state_bytes_per_row    what was built; bytes in memory, index and all
 *   checkpoint_on, checkpoint_off      million rows per CPU second with and without checkpoints; over all turns, not
 *                                      the best of them, for some write a new base and some do not
 *   checkpoint_cost                    what the first lacks of the second
 *   checkpoint_duration                of the last one, from the trigger to the durable metadata
 *   snapshot_stall                     longest time that snapshot code kept a step from returning, base or delta
 *   recovery_warm, recovery_cold       from the start to the first record; files in the page cache, or not (as root)
 *   checkpoint_bytes                   what was written for one, bases included; over all turns
 *   bare_write_fsync, bare_copy        so many bytes written into a new file and synced; copied in memory
 *   bare_checkpoint_cost               CPU of this writing once a second, share of what the job used: checkpoint_cost
 * if finding, keeping and encoding the rows cost nothing bare_read_warm, bare_read_cold     the job's folder read once,
 * in one thread: recovery if placing rows cost nothing
 */
#include "bench/engine.h"
#include "bench/floors.h"

enum { ROWS = 10000000, CHANGED = ROWS / 20, TURNS = 3 };
static const double WINDOW_S = 4;

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

static void build_state(const char *folder) {
  struct bench_job job;
  start(&job, folder, ROWS, "10s");
  bench_wait_records(&job, (uint64_t)ROWS * 7); /* all but one row in a thousand */
  struct weir_job_status status = bench_status(&job);
  bench_row("state_rows", (double)status.state_rows, "rows");
  bench_row("state_bytes_per_row", (double)status.state_bytes / (double)status.state_rows, "bytes");
  bench_job_stop(&job);
}

/* Starts from the folder; the seconds until the first record. */
static double restart(struct bench_job *job, const char *folder, const char *interval) {
  start(job, folder, CHANGED, interval);
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

static void measure(const char *folder) {
  struct bench_runs recoveries = {.count = 0};
  double stall_ms = 0, duration_ms = 0, rows[2] = {0}, cpu_s[2] = {0}, bytes = 0, checkpoints = 0, wall_s = 0;
  for (int turn = 0; turn < 2 * TURNS; turn++) {
    struct bench_job job;
    bool is_on = turn % 2 == 0;
    bench_add(&recoveries, restart(&job, folder, is_on ? "1s" : "1h"));
    bench_sleep_s(2); /* the first checkpoint after the restore, and the caches */
    double bytes_before = floor_bytes_written(), checkpoints_before = (double)bench_status(&job).checkpoints_completed;
    struct bench_window window = bench_window(&job, WINDOW_S);
    if (is_on) {
      bytes += floor_bytes_written() - bytes_before;
      checkpoints += (double)bench_status(&job).checkpoints_completed - checkpoints_before;
      wall_s += window.wall_s;
    }
    rows[is_on] += window.rows;
    cpu_s[is_on] += window.cpu_s;
    double longest_ms = bench_metric_max(&job, "snapshotStallMaxUs") / 1e3;
    if (longest_ms > stall_ms) stall_ms = longest_ms;
    if (is_on) duration_ms = (double)bench_status(&job).last_checkpoint_ns / 1e6;
    bench_job_stop(&job);
  }
  bench_row_best("recovery_warm", &recoveries, BENCH_LOWER, "s");
  bench_row("checkpoint_on", rows[1] / cpu_s[1] / 1e6, "M_rows/s");
  bench_row("checkpoint_off", rows[0] / cpu_s[0] / 1e6, "M_rows/s");
  bench_row("checkpoint_cost", 100 * (1 - rows[1] / cpu_s[1] / (rows[0] / cpu_s[0])), "%");
  bench_row("checkpoint_duration", duration_ms, "ms");
  bench_row("snapshot_stall", stall_ms, "ms");
  if (checkpoints == 0) bench_fail("there was no checkpoint");
  measure_floors(folder, bytes / checkpoints, cpu_s[1] / wall_s);
}

static void measure_cold(const char *folder) {
  struct bench_job job;
  char state[300];
  double bytes;
  snprintf(state, sizeof state, "%s/state", folder);
  if (!drop_caches()) return;
  bench_row("bare_read_cold", floor_read(state, &bytes), "s");
  if (!drop_caches()) return;
  bench_row("recovery_cold", restart(&job, folder, "1s"), "s");
  weir_job_cancel(job.job);
  bench_job_free(&job);
}

int main(void) {
  char folder[256];
  bench_print_machine();
  bench_folder_make(folder, sizeof folder);
  build_state(folder);
  measure(folder);
  measure_cold(folder);
  bench_folder_remove(folder);
  return 0;
}
