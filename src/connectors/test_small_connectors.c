/* connectors/test_small_connectors.c: generator, print and blackhole, through the functions of their nodes. */
#include "base/random.h"
#include "base/test.h"
#include "connectors/blackhole/blackhole.h"
#include "connectors/generator/generator.h"
#include "connectors/print/print.h"
#include "store/test_files.h"

#include <math.h>

/* ---- an output that remembers numbers ---- */

struct wr_output {
  int64_t *keys;
  uint64_t key_sum;
  size_t count, capacity, batches;
  char last_key[32];
  int64_t last_time_ms, watermark_ms;
};
enum weir_code wr_output_emit(struct wr_output *output, uint32_t port, struct wr_batch *batch,
                              struct weir_error *error) {
  (void)port;
  (void)error;
  output->batches++;
  for (uint32_t i = 0; i < batch->row_count; i++) {
    if (output->count == output->capacity) {
      output->capacity = output->capacity == 0 ? 4096 : output->capacity * 2;
      output->keys = realloc(output->keys, output->capacity * sizeof *output->keys);
    }
    int64_t *key = &output->keys[output->count++];
    if (batch->schema->fields[0].type == WEIR_TYPE_BIGINT) {
      *key = wr_column_bigints(&batch->columns[0])[i];
    } else {
      const struct wr_view *view = &wr_column_views(&batch->columns[0])[i];
      snprintf(output->last_key, sizeof output->last_key, "%.*s", (int)view->length, wr_view_bytes(batch, view));
      *key = strtoll(output->last_key + 3, NULL, 10);
    }
    if (batch->schema->field_count == 2)
      output->last_time_ms = ((const struct weir_timestamp *)batch->columns[1].values)[i].milliseconds;
  }
  wr_batch_unref(batch);
  return WEIR_OK;
}
enum weir_code wr_output_watermark(struct wr_output *output, int64_t watermark_ms, struct weir_error *error) {
  (void)error;
  if (watermark_ms < output->watermark_ms) abort();
  output->watermark_ms = watermark_ms;
  return WEIR_OK;
}
bool wr_output_is_full(const struct wr_output *output) {
  (void)output;
  return false;
}

/* ---- generator ---- */

static const struct weir_schema bigint_schema = {.fields = (const struct weir_field[]){{"key", WEIR_TYPE_BIGINT, true}},
                                                 .field_count = 1};
static const struct weir_schema string_schema = {
    .fields = (const struct weir_field[]){{"key", WEIR_TYPE_STRING, false}, {"at", WEIR_TYPE_TIMESTAMP, true}},
    .field_count = 2};

struct job {
  struct test_files files;
  struct wr_node node;
  struct wr_output output;
  struct wr_operator_context context;
  struct wr_task_metrics metrics;
  struct wr_operator *reader;
  struct wr_bytes stored;
  struct weir_error error;
};

static void job_init(struct job *job, const struct wr_generator_config *config) {
  memset(job, 0, sizeof *job);
  test_files_init(&job->files);
  job->output.watermark_ms = INT64_MIN;
  wr_bytes_init(&job->stored, &job->files.below_memory.memory, WR_MEMORY_ENGINE);
  WR_ASSERT(wr_generator_node(config, "gen", 1, &job->node, &job->error) == WEIR_OK);
}

/* One subtask, all splits. */
static enum weir_code job_start(struct job *job) {
  struct wr_split splits[16], split;
  uint32_t count = 0;
  struct wr_reader stored = wr_reader_of(job->stored.data, job->stored.length);
  while (stored.position < stored.length) {
    splits[count].bytes = (uint8_t *)wr_read_block(&stored, &splits[count].length);
    count++;
  }
  const struct wr_enumerator_context context = {
      .seams = &job->files.seams, .memory = &job->files.memory.memory, .uid = "gen"};
  struct wr_enumerator *enumerator = NULL;
  WR_TRY(job->node.new_enumerator(job->node.config, &context, splits, count, &enumerator, &job->error));
  job->context = (struct wr_operator_context){.seams = &job->files.seams,
                                              .memory = &job->files.memory.memory,
                                              .output = &job->output,
                                              .metrics = &job->metrics,
                                              .uid = "gen",
                                              .now_ns = job->files.now_ns};
  enum weir_code code = job->node.new_operator(job->node.config, &job->context, &job->reader, &job->error);
  while (enumerator->vtable->take_split(enumerator, &split)) {
    if (code == WEIR_OK) code = job->reader->vtable->add_split(job->reader, split.bytes, split.length, &job->error);
    wr_free(&job->files.memory.memory, split.bytes);
  }
  WR_ASSERT(enumerator->vtable->is_exhausted(enumerator) && enumerator->vtable->is_ready(enumerator));
  enumerator->vtable->free(enumerator);
  if (job->reader != NULL) job->reader->vtable->no_more_splits(job->reader);
  return code;
}

static void job_snapshot(struct job *job) {
  wr_bytes_clear(&job->stored);
  WR_ASSERT(job->reader->vtable->snapshot_splits(job->reader, &job->stored, &job->error) == WEIR_OK);
}
static void job_stop(struct job *job) {
  if (job->reader != NULL) job->reader->vtable->free(job->reader);
  job->reader = NULL;
}
static void job_deinit(struct job *job) {
  job_stop(job);
  wr_bytes_deinit(&job->stored);
  free(job->output.keys);
  WR_ASSERT(job->files.memory.living_count == 0);
  test_files_deinit(&job->files);
}
static enum wr_result job_poll(struct job *job) {
  uint64_t wake = UINT64_MAX;
  job->context.now_ns = job->files.now_ns;
  return job->reader->vtable->poll(job->reader, &wake);
}

/* What the splits should give, sorted or not: here the sum and the count. */
static uint64_t expected_sum(const struct wr_generator_config *config) {
  uint64_t sum = 0;
  for (uint32_t s = 0; s < config->split_count; s++)
    for (uint64_t i = 0; i < wr_generator_split_rows(config, s, config->split_count); i++)
      sum += wr_generator_key(config, s, i) * (i + 1);
  return sum;
}

TEST(generator_restores_exactly) {
  const struct wr_generator_config config = {
      .schema = &bigint_schema, .seed = 3, .key_count = 1000, .is_skewed = true, .row_count = 100003, .split_count = 3};
  struct job job;
  struct wr_random random = wr_random_of(test_seed());
  job_init(&job, &config);
  CHECK_INT(job_start(&job), WEIR_OK);
  size_t kept = 0;
  enum wr_result result = WR_RESULT_OK;
  while (result != WR_RESULT_DONE) {
    result = job_poll(&job);
    if (wr_random_one_in(&random, 3)) {
      job_snapshot(&job);
      kept = job.output.count;
    }
    if (result == WR_RESULT_DONE || !wr_random_one_in(&random, 4)) continue;
    job_stop(&job);
    job.output.count = kept;
    CHECK_INT(job_start(&job), WEIR_OK);
  }
  CHECK_INT(job.output.count, 100003);
  /* Three splits, in batches that take turns: compare as multisets, by counts per key. */
  uint32_t *counts = calloc(1000, sizeof *counts);
  for (size_t i = 0; i < job.output.count; i++)
    counts[job.output.keys[i]]++;
  CHECK(counts[0] > 100003 / 10 && counts[999] < 100);
  for (uint32_t s = 0; s < 3; s++)
    for (uint64_t i = 0; i < wr_generator_split_rows(&config, s, 3); i++)
      counts[wr_generator_key(&config, s, i)]--;
  for (int key = 0; key < 1000; key++)
    CHECK_INT(counts[key], 0);
  free(counts);
  CHECK(expected_sum(&config) != 0);
  job_deinit(&job);
}

TEST(generator_rate_and_time) {
  const struct wr_generator_config config = {.schema = &string_schema,
                                             .seed = 3,
                                             .key_count = 12,
                                             .rows_per_second = 1000,
                                             .split_count = 2,
                                             .start_time_ms = 1000,
                                             .time_step_ns = 1500000};
  struct job job;
  job_init(&job, &config);
  CHECK_INT(job_start(&job), WEIR_OK);
  CHECK_INT(job_poll(&job), WR_RESULT_WAIT);
  for (int i = 0; i < 500; i++) {
    job.files.now_ns += 10 * 1000000;
    while (job_poll(&job) == WR_RESULT_OK)
      ;
  }
  CHECK_INT(job.output.count, 5000);
  CHECK_INT(job.output.last_time_ms, 1000 + 2499 * 3 / 2);
  CHECK_INT(job.output.watermark_ms, 1000 + 2499 * 3 / 2 - 1);
  CHECK(strncmp(job.output.last_key, "app", 3) == 0);
  uint32_t counts[12] = {0};
  for (size_t i = 0; i < job.output.count; i++)
    counts[job.output.keys[i]]++;
  for (int key = 0; key < 12; key++)
    CHECK(counts[key] > 300 && counts[key] < 550);
  job_deinit(&job);
}

TEST(generator_configs) {
  struct weir_error error;
  struct wr_node node;
  struct wr_generator_config config = {.schema = &bigint_schema, .key_count = 1, .split_count = 1};
  CHECK_INT(wr_generator_node(&config, "g", 1, &node, &error), WEIR_OK);
  config.split_count = 0;
  CHECK_INT(wr_generator_node(&config, "g", 1, &node, &error), WEIR_INVALID);
  config.split_count = 1;
  config.key_count = 0;
  CHECK_INT(wr_generator_node(&config, "g", 1, &node, &error), WEIR_INVALID);
  config.key_count = 2000000000;
  config.schema = &string_schema;
  CHECK_INT(wr_generator_node(&config, "g", 1, &node, &error), WEIR_INVALID);
}

/* ---- print ---- */

static const struct weir_schema all_schema = {.fields = (const struct weir_field[]){{"o", WEIR_TYPE_BOOLEAN, true},
                                                                                    {"i", WEIR_TYPE_INT, true},
                                                                                    {"b", WEIR_TYPE_BIGINT, true},
                                                                                    {"d", WEIR_TYPE_DOUBLE, true},
                                                                                    {"s", WEIR_TYPE_STRING, true},
                                                                                    {"y", WEIR_TYPE_BYTES, true},
                                                                                    {"t", WEIR_TYPE_TIMESTAMP, true}},
                                              .field_count = 7};

struct catcher {
  struct wr_print_stream stream;
  char text[4096];
  unsigned writes;
  bool fails;
};
static enum weir_code catch_text(struct wr_print_stream *stream, const void *text, size_t length,
                                 struct weir_error *error) {
  struct catcher *catcher = (struct catcher *)stream;
  if (catcher->fails) return WR_FAIL(error, WEIR_OPERATOR, "the pipe is broken");
  catcher->writes++;
  size_t before = strlen(catcher->text);
  snprintf(catcher->text + before, sizeof catcher->text - before, "%.*s", (int)length, (const char *)text);
  return WEIR_OK;
}

static void no_line(struct wr_log *log, enum wr_log_level level, const char *text) {
  (void)log;
  (void)level;
  (void)text;
}

static void put_row(struct wr_batch_builder *builder, double number, struct weir_timestamp time,
                    enum weir_row_kind kind) {
  WR_ASSERT(wr_batch_builder_begin(builder, NULL) == WEIR_OK);
  wr_batch_builder_set_boolean(builder, 0, true);
  wr_batch_builder_set_int(builder, 1, -7);
  wr_batch_builder_set_double(builder, 3, number);
  WR_ASSERT(wr_batch_builder_set_bytes(builder, 4, "h\xc3\xa9", 3, NULL) == WEIR_OK);
  WR_ASSERT(wr_batch_builder_set_bytes(builder, 5, "a\xff", 2, NULL) == WEIR_OK);
  wr_batch_builder_set_timestamp(builder, 6, time);
  wr_batch_builder_end_row(builder, kind);
}

TEST(prints) {
  struct test_files files;
  struct catcher catcher = {.stream = {.write = catch_text}};
  struct wr_node node;
  struct weir_error error;
  struct wr_log log = {.line = no_line};
  test_files_init(&files);
  files.seams.log = &log;
  struct wr_operator_context context = {.seams = &files.seams, .memory = &files.memory.memory, .uid = "print"};
  struct wr_operator *op = NULL;
  uint64_t wake = UINT64_MAX;
  CHECK_INT(wr_print_node("print", &all_schema, 1, &catcher.stream, &node, &error), WEIR_OK);
  CHECK_INT(node.new_operator(node.config, &context, &op, &error), WEIR_OK);
  CHECK_INT(op->vtable->open(op, &error), WEIR_OK);
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &files.memory.memory, &all_schema, true);
  put_row(&builder, 1.5, (struct weir_timestamp){0, 0, 0}, WEIR_INSERT);
  put_row(&builder, 1e7, (struct weir_timestamp){1500, 0, 0}, WEIR_UPDATE_BEFORE);
  put_row(&builder, 0.1 + 0.2, (struct weir_timestamp){61000, 1000, 0}, WEIR_UPDATE_AFTER);
  put_row(&builder, -0.0, (struct weir_timestamp){-1, 999999, 0}, WEIR_DELETE);
  put_row(&builder, 1.25e-5, (struct weir_timestamp){61000, 0, 0}, WEIR_DELETE);
  put_row(&builder, NAN, (struct weir_timestamp){61000, 0, 0}, WEIR_DELETE);
  put_row(&builder, 9999999, (struct weir_timestamp){61000, 0, 0}, WEIR_DELETE);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  CHECK_INT(op->vtable->process(op, 0, batch, &wake), WR_RESULT_OK);
  CHECK_INT(op->vtable->process(op, 0, batch, &wake), WR_RESULT_WAIT);
  CHECK_INT(op->vtable->before_barrier(op, 1, &wake), WR_RESULT_WAIT);
  CHECK(!op->vtable->is_idle(op));
  test_files_run_calls(&files);
  CHECK_INT(op->vtable->before_barrier(op, 1, &wake), WR_RESULT_OK);
  CHECK_INT(catcher.writes, 1);
  CHECK_STRING(catcher.text,
               "+I[true, -7, null, 1.5, h\xc3\xa9, [97, -1], 1970-01-01T00:00]\n"
               "-U[true, -7, null, 1.0E7, h\xc3\xa9, [97, -1], 1970-01-01T00:00:01.500]\n"
               "+U[true, -7, null, 0.30000000000000004, h\xc3\xa9, [97, -1], 1970-01-01T00:01:01.000001]\n"
               "-D[true, -7, null, -0.0, h\xc3\xa9, [97, -1], 1969-12-31T23:59:59.999999999]\n"
               "-D[true, -7, null, 1.25E-5, h\xc3\xa9, [97, -1], 1970-01-01T00:01:01]\n"
               "-D[true, -7, null, NaN, h\xc3\xa9, [97, -1], 1970-01-01T00:01:01]\n"
               "-D[true, -7, null, 9999999.0, h\xc3\xa9, [97, -1], 1970-01-01T00:01:01]\n");
  catcher.fails = true;
  CHECK_INT(op->vtable->process(op, 0, batch, &wake), WR_RESULT_OK);
  test_files_run_calls(&files);
  CHECK_INT(op->vtable->end_input(op, 0, &wake), WR_RESULT_ERROR);
  CHECK_STRING(context.error.message, "the pipe is broken");
  op->vtable->free(op);
  CHECK_INT(wr_blackhole_node("hole", &all_schema, 1, &node, &error), WEIR_OK);
  CHECK_INT(node.new_operator(node.config, &context, &op, &error), WEIR_OK);
  CHECK_INT(op->vtable->process(op, 0, batch, &wake), WR_RESULT_OK);
  op->vtable->free(op);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  CHECK_INT(files.memory.living_count, 0);
  test_files_deinit(&files);
}

TEST_MAIN(TEST_CASE(generator_restores_exactly), TEST_CASE(generator_rate_and_time), TEST_CASE(generator_configs),
          TEST_CASE(prints))
