/* bench/keyed_count.c: generator -> key by -> count -> blackhole, beside the bare loop over the same keys.
 *
 * The job is on the public interface: exactly-once, a checkpoint every second, keys uniform. Million rows per CPU
 * second of all threads. For each kind of keys: the bare loop, the job (two windows of 2 s at each parallelism, after
 * three times as many rows as there are keys), the bare loop again, all in this process.
 *
 *   count_<type>_<keys>_p<n>    rows
 *   bare_<type>_<keys>          rows of the bare loop (bench/bare_loop.h)
 *   count_bytes_per_key         state of a BIGINT count at 10 M keys
 *   count_resident_per_key      what the process grew by, running snapshot and all
 *
 * Arguments choose kinds by a part of their names. With --curve: BIGINT keys, from 1 k to 50 M of them (tools/curves.py
 * draws it).
 */
#include "bench/bare_loop.h"
#include "bench/engine.h"

enum { WINDOWS = 2, BARE_RUNS = 2, CHECK_KEYS = 1000, CHECK_ROWS = 2000000 };
static const double WINDOW_S = 2;

struct kind {
  const char *name;
  enum weir_type type;
  uint64_t keys;
  uint64_t bare_batches;
};
static const struct kind kinds[] = {
    {"bigint_1k", WEIR_TYPE_BIGINT, 1000, 12000},     {"bigint_100k", WEIR_TYPE_BIGINT, 100000, 12000},
    {"bigint_10m", WEIR_TYPE_BIGINT, 10000000, 6000}, {"string_1k", WEIR_TYPE_STRING, 1000, 2500},
    {"string_100k", WEIR_TYPE_STRING, 100000, 2500},  {"string_10m", WEIR_TYPE_STRING, 10000000, 2500}};

static const struct kind curve[] = {
    {"bigint_1k", WEIR_TYPE_BIGINT, 1000, 6000},      {"bigint_10k", WEIR_TYPE_BIGINT, 10000, 6000},
    {"bigint_100k", WEIR_TYPE_BIGINT, 100000, 6000},  {"bigint_1m", WEIR_TYPE_BIGINT, 1000000, 6000},
    {"bigint_10m", WEIR_TYPE_BIGINT, 10000000, 6000}, {"bigint_50m", WEIR_TYPE_BIGINT, 50000000, 6000}};

/* The generator's stream, counted. */
static struct weir_stream *build_count(struct bench_job *job, enum weir_type type, uint64_t keys, uint64_t rows) {
  const struct weir_field fields[] = {{"key", type, false}};
  const struct weir_schema schema = {fields, 1};
  const struct weir_generator_options generator = {
      .size = sizeof generator, .schema = &schema, .key_count = keys, .seed = 7, .row_count = rows, .split_count = 2};
  struct weir_stream *stream = weir_generator_source(job->builder, "rows", &generator);
  return weir_count(weir_key_by(stream, "key"), "count", "n");
}

/* ---- is it right? ---- */

static int64_t last_counts[CHECK_KEYS]; /* a key belongs to one subtask */

static enum weir_code keep_counts(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error) {
  (void)op;
  for (uint32_t row = 0; row < weir_batch_row_count(batch); row++) {
    int64_t key = weir_batch_bigint(batch, 0, row);
    if (key < 0 || key >= CHECK_KEYS) return weir_fail(error, WEIR_OPERATOR, "a key that was not made");
    last_counts[key] = weir_batch_bigint(batch, 1, row);
  }
  return WEIR_OK;
}

static void check_counts(void) {
  static const struct weir_operator_definition keep = {.size = sizeof keep, .name = "keep", .process = keep_counts};
  struct bench_job job;
  bench_job_new(&job, "check");
  bench_set(&job, "parallelism", "2");
  bench_set(&job, "bounded", "true");
  weir_process(build_count(&job, WEIR_TYPE_BIGINT, CHECK_KEYS, CHECK_ROWS), "keep", &keep);
  bench_job_start(&job);
  bench_job_wait(&job);
  bench_job_free(&job);
  int64_t sum = 0;
  for (int i = 0; i < CHECK_KEYS; i++)
    sum += last_counts[i];
  if (sum != CHECK_ROWS) bench_fail("the job has lost or doubled rows");
}

/* ---- how fast? ---- */

static void run_job(const struct kind *kind, int parallelism, struct bench_runs *out_rates) {
  struct bench_job job;
  double resident_before = bench_resident_bytes();
  bench_job_new(&job, "count");
  bench_set(&job, "parallelism", "%d", parallelism);
  weir_blackhole_sink(build_count(&job, kind->type, kind->keys, 0), "out");
  bench_job_start(&job);
  bench_wait_records(&job, kind->keys * 3 + 20000000);
  for (int i = 0; i < WINDOWS; i++) {
    struct bench_window window = bench_window(&job, WINDOW_S);
    bench_add(out_rates, window.rows / window.cpu_s / 1e6);
  }
  struct weir_job_status status = bench_status(&job);
  if (status.checkpoints_completed == 0 || status.checkpoints_failed != 0) bench_fail("checkpoints are missing");
  if (status.state_rows < kind->keys / 10 * 9) bench_fail("keys are missing");
  if (kind->type == WEIR_TYPE_BIGINT && kind->keys == 10000000 && parallelism == 2) {
    bench_row("count_bytes_per_key", (double)status.state_bytes / (double)status.state_rows, "bytes");
    bench_row("count_resident_per_key", (bench_resident_bytes() - resident_before) / (double)status.state_rows,
              "bytes");
  }
  bench_job_stop(&job);
}

static void run_bare(const struct kind *kind, struct bench_runs *out_rates) {
  if (kind->type == WEIR_TYPE_BIGINT)
    bare_measure_numbers(kind->keys, kind->bare_batches, BARE_RUNS, out_rates);
  else
    bare_measure_strings("app", kind->keys, kind->bare_batches, BARE_RUNS, out_rates);
}

static void measure(const struct kind *kind) {
  struct bench_runs bare = {.count = 0}, rates[2] = {{.count = 0}, {.count = 0}};
  char name[64];
  run_bare(kind, &bare);
  for (int p = 1; p <= 2; p++)
    run_job(kind, p, &rates[p - 1]);
  run_bare(kind, &bare);
  for (int p = 1; p <= 2; p++) {
    snprintf(name, sizeof name, "count_%s_p%d", kind->name, p);
    bench_row_best(name, &rates[p - 1], BENCH_HIGHER, "M_rows/s");
  }
  snprintf(name, sizeof name, "bare_%s", kind->name);
  bench_row_best(name, &bare, BENCH_HIGHER, "M_rows/s");
}

static bool is_chosen(const struct kind *kind, int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (strstr(kind->name, argv[i]) != NULL) return true;
  return argc == 1;
}

int main(int argc, char **argv) {
  bench_print_machine();
  check_counts();
  if (argc == 2 && strcmp(argv[1], "--curve") == 0) {
    for (size_t i = 0; i < sizeof curve / sizeof curve[0]; i++)
      measure(&curve[i]);
    return 0;
  }
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (is_chosen(&kinds[i], argc, argv)) measure(&kinds[i]);
  return 0;
}
