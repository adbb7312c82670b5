/* connectors/test_source.h: a job of one source, for tests of connectors: an enumerator, up to three readers, an output
 * that remembers every row, a snapshot to start from again at any parallelism. Calls are run by hand, time is a number.
 *
 * Before including it: TEST_SOURCE_CONFIG (the type of the source's configuration), TEST_SOURCE_NEW_ENUMERATOR and
 * TEST_SOURCE_NEW_READER; after it: job_configure. One test program includes it once.
 */
#ifndef WR_CONNECTORS_TEST_SOURCE_H
#define WR_CONNECTORS_TEST_SOURCE_H

#include "base/test.h"
#include "connectors/bad_records.h"
#include "runtime/source.h"
#include "store/test_files.h"

enum { PARTITION, POSITION, APP };
static const struct weir_schema schema = {.fields = (const struct weir_field[]){{"partition", WEIR_TYPE_STRING, false},
                                                                                {"position", WEIR_TYPE_BIGINT, false},
                                                                                {"app_id", WEIR_TYPE_STRING, false}},
                                          .field_count = 3};

/* ---- an output that remembers ---- */

struct place {
  char partition[64];
  int64_t position;
  char app[64];
  bool bad;
};
struct wr_output {
  struct place *places;
  size_t count, capacity;
  bool full;
  int64_t watermark_ms;
  bool idle;
  size_t sent; /* calls */
  struct weir_error last;
  char last_dead_error[512], last_dead_record[1024];
};

static void copy_view(const struct wr_batch *batch, uint32_t field, uint32_t row, char *out, size_t room) {
  const struct wr_view *view = &wr_column_views(&batch->columns[field])[row];
  snprintf(out, room, "%.*s", (int)view->length, wr_view_bytes(batch, view));
}

enum weir_code wr_output_emit(struct wr_output *output, uint32_t port, struct wr_batch *batch,
                              struct weir_error *error) {
  (void)error;
  if (batch == NULL) return WEIR_OK;
  output->sent++;
  for (uint32_t row = 0; row < batch->row_count; row++) {
    if (output->count == output->capacity) {
      output->capacity = output->capacity == 0 ? 1024 : output->capacity * 2;
      output->places = realloc(output->places, output->capacity * sizeof *output->places);
    }
    struct place *place = &output->places[output->count++];
    *place = (struct place){.bad = port == 1};
    copy_view(batch, port == 1 ? (uint32_t)WR_DEAD_LETTER_PARTITION : PARTITION, row, place->partition,
              sizeof place->partition);
    place->position = wr_column_bigints(&batch->columns[port == 1 ? (uint32_t)WR_DEAD_LETTER_POSITION : POSITION])[row];
    if (port == 0) copy_view(batch, APP, row, place->app, sizeof place->app);
    if (port == 0) continue;
    copy_view(batch, WR_DEAD_LETTER_ERROR, row, output->last_dead_error, sizeof output->last_dead_error);
    copy_view(batch, WR_DEAD_LETTER_RECORD, row, output->last_dead_record, sizeof output->last_dead_record);
  }
  wr_batch_unref(batch);
  return WEIR_OK;
}
enum weir_code wr_output_watermark(struct wr_output *output, int64_t watermark_ms, struct weir_error *error) {
  (void)error;
  output->watermark_ms = watermark_ms;
  output->sent++;
  return WEIR_OK;
}
enum weir_code wr_output_idle(struct wr_output *output, bool idle, struct weir_error *error) {
  (void)error;
  output->idle = idle;
  output->sent++;
  return WEIR_OK;
}
enum weir_code wr_output_barrier(struct wr_output *output, uint64_t id, struct weir_error *error) {
  (void)output;
  (void)id;
  (void)error;
  return WEIR_OK;
}
bool wr_output_is_full(const struct wr_output *output) {
  return output->full;
}

/* ---- a job of one source ---- */

enum { PARALLELISM_MAX = 3 };
struct job {
  struct test_files files;
  struct wr_log log;
  char logged[4096];
  TEST_SOURCE_CONFIG config;
  struct wr_enumerator *enumerator;
  struct wr_operator_context contexts[PARALLELISM_MAX];
  struct wr_task_metrics metrics[PARALLELISM_MAX];
  struct wr_operator *readers[PARALLELISM_MAX];
  struct wr_output output; /* of all readers */
  uint32_t parallelism, next_reader;
  bool bounded, exhausted, done[PARALLELISM_MAX];
  uint64_t checkpoint_id;
  struct wr_bytes stored; /* splits at the snapshot */
  size_t stored_count;    /* rows emitted before it */
  bool stored_bounded;    /* it is of a bounded run */
  struct weir_error error;
};

static void log_line(struct wr_log *log, enum wr_log_level level, const char *text) {
  struct job *job = (struct job *)((char *)log - offsetof(struct job, log));
  size_t length = strlen(job->logged);
  (void)level;
  snprintf(job->logged + length, sizeof job->logged - length, "%s\n", text);
}

static void adopt(struct wr_calls *calls, void *handle, void (*release)(void *handle)) {
  (void)calls;
  (void)handle;
  (void)release;
}
static void disown(struct wr_calls *calls, void *handle) {
  (void)calls;
  (void)handle;
}

/* The test's own: sets job->config. */
static void job_configure(struct job *job);

static void job_init(struct job *job) {
  memset(job, 0, sizeof *job);
  test_files_init(&job->files);
  job->files.calls.adopt = adopt;
  job->files.calls.disown = disown;
  job->log = (struct wr_log){.line = log_line, .level = WR_LOG_DEBUG};
  job->files.seams.log = &job->log;
  job_configure(job);
  wr_bytes_init(&job->stored, &job->files.below_memory.memory, WR_MEMORY_ENGINE);
}

/* Starts from what is stored. */
static enum weir_code job_start(struct job *job, uint32_t parallelism, bool bounded) {
  struct wr_split splits[64];
  uint32_t count = 0;
  struct wr_reader reader = wr_reader_of(job->stored.data, job->stored.length);
  while (reader.position < reader.length) {
    WR_ASSERT(count < 64);
    splits[count].bytes = (uint8_t *)wr_read_block(&reader, &splits[count].length);
    count++;
  }
  const struct wr_enumerator_context context = {.seams = &job->files.seams,
                                                .memory = &job->files.memory.memory,
                                                .waker = &job->files.waker,
                                                .uid = "source",
                                                .bounded = bounded,
                                                .stops_are_fixed = bounded && job->stored_bounded};
  job->parallelism = parallelism;
  job->bounded = bounded;
  job->exhausted = false;
  job->next_reader = 0;
  WR_TRY(TEST_SOURCE_NEW_ENUMERATOR(&job->config, &context, splits, count, &job->enumerator, &job->error));
  for (uint32_t i = 0; i < parallelism; i++) {
    job->done[i] = false;
    memset(&job->metrics[i], 0, sizeof job->metrics[i]);
    job->contexts[i] = (struct wr_operator_context){.seams = &job->files.seams,
                                                    .memory = &job->files.memory.memory,
                                                    .waker = &job->files.waker,
                                                    .output = &job->output,
                                                    .metrics = &job->metrics[i],
                                                    .uid = "source",
                                                    .output_schema = &schema,
                                                    .subtask = i,
                                                    .parallelism = parallelism,
                                                    .bounded = bounded};
    WR_TRY(TEST_SOURCE_NEW_READER(&job->config, &job->contexts[i], &job->readers[i], &job->error));
  }
  return WEIR_OK;
}

static enum weir_code step_enumerator(struct job *job, uint64_t *wake_at_ns) {
  struct wr_split split;
  WR_TRY(job->enumerator->vtable->step(job->enumerator, job->files.now_ns, wake_at_ns, &job->error));
  while (job->enumerator->vtable->take_split(job->enumerator, &split)) {
    struct wr_operator *reader = job->readers[job->next_reader++ % job->parallelism];
    enum weir_code code = reader->vtable->add_split(reader, split.bytes, split.length, &job->error);
    wr_free(&job->files.memory.memory, split.bytes);
    if (code != WEIR_OK) return code;
  }
  if (job->exhausted || !job->enumerator->vtable->is_exhausted(job->enumerator)) return WEIR_OK;
  job->exhausted = true;
  for (uint32_t i = 0; i < job->parallelism; i++)
    job->readers[i]->vtable->no_more_splits(job->readers[i]);
  return WEIR_OK;
}

/* One round. *out_quiet: nobody did anything. */
static enum weir_code job_step(struct job *job, bool *out_quiet, uint64_t *wake_at_ns) {
  *out_quiet = test_files_run_calls(&job->files) == 0;
  WR_TRY(step_enumerator(job, wake_at_ns));
  for (uint32_t i = 0; i < job->parallelism; i++) {
    struct wr_operator *reader = job->readers[i];
    if (job->done[i]) continue;
    job->contexts[i].now_ns = job->files.now_ns;
    size_t sent = job->output.sent;
    enum wr_result result = reader->vtable->poll(reader, wake_at_ns);
    WR_ASSERT(result != WR_RESULT_WAIT || job->output.sent == sent); /* what was sent must go on at once */
    if (result == WR_RESULT_ERROR) {
      job->error = job->contexts[i].error;
      return job->error.code;
    }
    if (result != WR_RESULT_WAIT) *out_quiet = false;
    job->done[i] = result == WR_RESULT_DONE;
  }
  if (job->files.submitted_count > 0) *out_quiet = false;
  return WEIR_OK;
}

static bool job_is_done(const struct job *job) {
  for (uint32_t i = 0; i < job->parallelism; i++)
    if (!job->done[i]) return false;
  return true;
}

/* Steps; when nothing is to be done, time goes on to the next wake-up. */
static enum weir_code job_run(struct job *job, int steps) {
  for (int i = 0; i < steps && !job_is_done(job); i++) {
    bool quiet = false;
    uint64_t wake_at_ns = UINT64_MAX;
    WR_TRY(job_step(job, &quiet, &wake_at_ns));
    WR_ASSERT(!quiet || wake_at_ns != UINT64_MAX);
    if (quiet && wake_at_ns > job->files.now_ns) job->files.now_ns = wake_at_ns;
  }
  return WEIR_OK;
}

/* Runs for so much time. */
static enum weir_code job_run_for(struct job *job, uint64_t ms) {
  uint64_t until_ns = job->files.now_ns + ms * 1000000;
  while (job->files.now_ns < until_ns && !job_is_done(job))
    WR_TRY(job_run(job, 1));
  return WEIR_OK;
}

static void job_snapshot(struct job *job) {
  wr_bytes_clear(&job->stored);
  job->checkpoint_id++;
  for (uint32_t i = 0; i < job->parallelism; i++) {
    struct wr_operator *reader = job->readers[i];
    uint64_t wake;
    WR_ASSERT(reader->vtable->before_barrier(reader, job->checkpoint_id, &wake) == WR_RESULT_OK);
    WR_ASSERT(reader->vtable->snapshot_splits(reader, &job->stored, &job->error) == WEIR_OK);
  }
  job->stored_count = job->output.count;
  job->stored_bounded = job->bounded;
}

/* Kills what runs; what came after the snapshot is forgotten. */
static void job_kill(struct job *job) {
  while (job->files.submitted_count > 0)
    test_files_run_calls(&job->files);
  if (job->enumerator != NULL) {
    while (!job->enumerator->vtable->is_idle(job->enumerator))
      WR_ASSERT(test_files_run_calls(&job->files) > 0);
    job->enumerator->vtable->free(job->enumerator);
  }
  job->enumerator = NULL;
  for (uint32_t i = 0; i < job->parallelism; i++) {
    struct wr_operator *reader = job->readers[i];
    if (reader == NULL) continue;
    while (!reader->vtable->is_idle(reader))
      WR_ASSERT(test_files_run_calls(&job->files) > 0);
    reader->vtable->free(reader);
    job->readers[i] = NULL;
  }
  job->output.count = job->stored_count;
}

static void job_deinit(struct job *job) {
  job_kill(job);
  wr_bytes_deinit(&job->stored);
  free(job->output.places);
  WR_ASSERT(job->files.memory.living_count == 0);
  WR_ASSERT(job->files.open_files == 0);
  test_files_deinit(&job->files);
}

static int compare_places(const void *a, const void *b) {
  const struct place *left = a, *right = b;
  int order = strcmp(left->partition, right->partition);
  return order != 0 ? order : (left->position > right->position) - (left->position < right->position);
}

/* Everything that came, "partition:position:app" or "partition:position!", sorted. */
static const char *came(const struct job *job) {
  static char text[4096];
  text[0] = 0;
  if (job->output.count > 0) qsort(job->output.places, job->output.count, sizeof *job->output.places, compare_places);
  for (size_t i = 0; i < job->output.count; i++) {
    const struct place *place = &job->output.places[i];
    size_t length = strlen(text);
    snprintf(text + length, sizeof text - length, "%s%.*s:%d%s%s", i == 0 ? "" : " ",
             (int)strcspn(place->partition, "."), place->partition, (int)place->position, place->bad ? "!" : ":",
             place->app);
  }
  return text;
}

#endif
