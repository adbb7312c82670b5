/* bench/pv_files.c: the pv job over NDJSON files, beside its parts alone on the same bytes.
 *
 * Two files of half the records each, 100,000 apps, skewed, written into a folder of its own (so they lie in the page
 * cache). Million records per CPU second of all threads; best of several.
 *
 *   pv_record_bytes       bytes of a record, on average
 *   pv_json_index         simdjson's first stage alone, one thread
 *   pv_json_decode        the decoder alone, one thread: every record validated whole, app_id taken out
 *   pv_blackhole_p<n>     files -> count -> blackhole, exactly-once, a checkpoint every second, from start to end
 *   pv_sqlite_p2          the same into an SQLite table
 */
#include "bench/engine.h"
#include "bench/views.h"
#include "formats/json/json_decoder.h"
#include "os/shims/simdjson_shim.h"

enum { RUNS = 2, RECORDS = 4000000, FILES = 2, WINDOW_BYTES = 32 * 1024 };

struct text {
  char *bytes;
  size_t length;
};

/* One file's text; the caller's, to be freed. */
static struct text make_file(const char *folder, int file) {
  struct text text = {.bytes = malloc((size_t)RECORDS / FILES * VIEW_BYTES_MAX)};
  if (text.bytes == NULL) bench_fail("no memory for the text");
  struct wr_random random = wr_random_of((uint64_t)file + 1);
  for (int i = 0; i < RECORDS / FILES; i++)
    text.length += view_put(text.bytes + text.length, &random, i);
  char path[300];
  snprintf(path, sizeof path, "%s/views-%d.ndjson", folder, file);
  FILE *out = fopen(path, "w");
  if (out == NULL || fwrite(text.bytes, 1, text.length, out) != text.length || fclose(out) != 0)
    bench_fail("the input cannot be written");
  return text;
}

/* ---- parts alone ---- */

static double index_text(const struct text *text) {
  struct wr_simdjson *handle = wr_simdjson_new();
  if (handle == NULL) bench_fail("no memory for simdjson");
  double begin_s = bench_cpu_s();
  for (size_t at = 0, length; at < text->length; at += length) {
    const uint32_t *positions;
    uint32_t count;
    length = text->length - at < WINDOW_BYTES ? text->length - at : WINDOW_BYTES;
    while (text->bytes[at + length - 1] != '\n')
      length--;
    if (wr_simdjson_index(handle, text->bytes + at, length, &positions, &count) != WR_SIMDJSON_OK)
      bench_fail("simdjson refuses the text");
    BENCH_KEEP(positions);
  }
  double seconds = bench_cpu_s() - begin_s;
  wr_simdjson_free(handle);
  return seconds;
}

static double decode_text(const struct text *text) {
  struct wr_heap_memory heap;
  struct wr_json_decoder *decoder = NULL;
  struct wr_batch_builder builder;
  struct wr_json_fault fault;
  struct weir_error error;
  wr_heap_memory_init(&heap, 0);
  bench_must(wr_json_decoder_new(&heap.memory, NULL, &view_schema, NULL, &decoder, &error), &error);
  wr_batch_builder_init(&builder, &heap.memory, &view_schema, false);
  struct wr_json_lines lines = {.text = text->bytes, .length = text->length, .ends = true};
  uint64_t rows = 0;
  double begin_s = bench_cpu_s();
  while (lines.length != 0) {
    bench_must(wr_batch_builder_begin(&builder, &error), &error);
    bench_must(wr_json_decode_lines(decoder, &lines, &builder, &fault, &error), &error);
    struct wr_batch *batch = wr_batch_builder_take(&builder);
    rows += batch->row_count;
    wr_batch_unref(batch);
  }
  double seconds = bench_cpu_s() - begin_s;
  if (rows != RECORDS / FILES) bench_fail("records were lost");
  wr_batch_builder_deinit(&builder);
  wr_json_decoder_free(decoder);
  return seconds;
}

/* ---- the job ---- */

static double run_pv(const char *folder, int parallelism, bool into_sqlite) {
  static const char *const key_fields[] = {"app_id"};
  struct bench_job job;
  struct weir_error error;
  char state[256], database[300];
  bench_folder_make(state, sizeof state);
  snprintf(database, sizeof database, "sqlite:%s/pv.db", state);
  const struct weir_files_options files = {.size = sizeof files, .folder = folder, .schema = &view_schema};
  bench_job_new(&job, "pv");
  bench_set(&job, "parallelism", "%d", parallelism);
  bench_set(&job, "bounded", "true");
  bench_set(&job, "state", "%s/state", state);
  bench_set(&job, "sink", "%s", into_sqlite ? database : "blackhole");
  struct weir_stream *views = weir_files_source(job.builder, "views", &files);
  struct weir_stream *counts = weir_count(weir_key_by(views, "app_id"), "count", "pv");
  weir_sink_of_options(counts, "pv", "pv", key_fields, 1, job.options);
  double begin_s = bench_cpu_s();
  bench_job_start(&job);
  weir_job_wait(job.job, -1);
  double seconds = bench_cpu_s() - begin_s;
  bench_must(weir_job_result(job.job, &error), &error);
  if (bench_status(&job).source_records != RECORDS) bench_fail("the job has not read all records");
  bench_job_free(&job);
  bench_folder_remove(state);
  return seconds;
}

int main(void) {
  struct bench_runs index = {.count = 0}, decode = {.count = 0}, jobs[3] = {{.count = 0}, {.count = 0}, {.count = 0}};
  struct text texts[FILES];
  char folder[256];
  double bytes = 0;
  bench_print_machine();
  bench_folder_make(folder, sizeof folder);
  for (int i = 0; i < FILES; i++) {
    texts[i] = make_file(folder, i);
    bytes += (double)texts[i].length;
  }
  bench_row("pv_record_bytes", bytes / RECORDS, "bytes");
  for (int run = 0; run < RUNS; run++) {
    bench_add(&index, RECORDS / FILES / index_text(&texts[0]) / 1e6);
    bench_add(&decode, RECORDS / FILES / decode_text(&texts[0]) / 1e6);
    for (int i = 0; i < 3; i++)
      bench_add(&jobs[i], RECORDS / run_pv(folder, i == 0 ? 1 : 2, i == 2) / 1e6);
  }
  bench_row_best("pv_json_index", &index, BENCH_HIGHER, "M_rows/s");
  bench_row_best("pv_json_decode", &decode, BENCH_HIGHER, "M_rows/s");
  bench_row_best("pv_blackhole_p1", &jobs[0], BENCH_HIGHER, "M_rows/s");
  bench_row_best("pv_blackhole_p2", &jobs[1], BENCH_HIGHER, "M_rows/s");
  bench_row_best("pv_sqlite_p2", &jobs[2], BENCH_HIGHER, "M_rows/s");
  for (int i = 0; i < FILES; i++)
    free(texts[i].bytes);
  bench_folder_remove(folder);
  return 0;
}
