/* operators/test_sink_operators.c: sink writer and committer together, over real epoch files and a target of the test's
 * own: order of parts and barriers, back-pressure, retries, snapshots and restores, what memory and disk failures do.
 */
#include "base/test.h"
#include "operators/committer.h"
#include "operators/epoch_rows.h"
#include "operators/sink_nodes.h"
#include "operators/sink_writer.h"
#include "runtime/sink.h"
#include "store/test_files.h"

static const struct weir_schema schema = {
    .fields = (const struct weir_field[]){{"n", WEIR_TYPE_BIGINT, false}, {"s", WEIR_TYPE_STRING, false}},
    .field_count = 2};

/* ---- an output that remembers ---- */

struct item {
  struct wr_batch *batch; /* NULL: a barrier */
  uint64_t barrier;
};
struct wr_output {
  struct item items[64];
  size_t count, taken;
};
enum weir_code wr_output_emit(struct wr_output *output, uint32_t port, struct wr_batch *batch,
                              struct weir_error *error) {
  (void)port;
  (void)error;
  WR_ASSERT(output->count < 64 && batch != NULL);
  output->items[output->count++].batch = batch;
  return WEIR_OK;
}
enum weir_code wr_output_barrier(struct wr_output *output, uint64_t id, struct weir_error *error) {
  (void)error;
  WR_ASSERT(output->count < 64);
  output->items[output->count++].barrier = id;
  return WEIR_OK;
}

/* ---- a target that remembers ---- */

struct target {
  struct wr_target base;
  struct wr_store *store;
  struct wr_memory *memory;
  char committed[1024];     /* "id:rows;" */
  uint64_t checkpoint_id;   /* of the marker */
  enum weir_code fail_code; /* the next commits */
  unsigned fail_count;
  unsigned connects;
  unsigned errands;
  enum weir_code errand_code; /* the next of them */
};
static enum weir_code target_connect(struct wr_target *base, struct weir_error *error) {
  (void)error;
  ((struct target *)base)->connects++;
  return WEIR_OK;
}
static void target_close(struct wr_target *base) {
  (void)base;
}
static enum weir_code target_commit(struct wr_target *base, const struct wr_epoch *epoch, bool *out_already,
                                    struct weir_error *error) {
  struct target *target = (struct target *)base;
  if (target->fail_count > 0) {
    target->fail_count--;
    return WR_FAIL(error, target->fail_code, "made to fail");
  }
  *out_already = target->checkpoint_id >= epoch->checkpoint_id;
  if (*out_already) return WEIR_OK;
  struct wr_epoch_rows rows;
  struct wr_batch *batch = NULL;
  int64_t count = 0;
  wr_epoch_rows_init(&rows, target->store, target->memory, &schema, epoch);
  enum weir_code code;
  while ((code = wr_epoch_rows_next(&rows, &batch, error)) == WEIR_OK && batch != NULL) {
    count += batch->row_count;
    wr_batch_unref(batch);
  }
  wr_epoch_rows_deinit(&rows);
  if (code != WEIR_OK) return code;
  size_t length = strlen(target->committed);
  snprintf(target->committed + length, sizeof target->committed - length, "%d:%d;", (int)epoch->checkpoint_id,
           (int)count);
  target->checkpoint_id = epoch->checkpoint_id;
  return WEIR_OK;
}
static enum weir_code target_errand(struct wr_target *base, struct weir_error *error) {
  struct target *target = (struct target *)base;
  target->errands++;
  return target->errand_code == WEIR_OK ? WEIR_OK : WR_FAIL(error, target->errand_code, "made to fail");
}
static const struct wr_target_vtable target_vtable = {
    .connect = target_connect, .commit = target_commit, .close = target_close};
static const struct wr_target_vtable forgetful_vtable = {
    .connect = target_connect, .refresh = target_errand, .commit = target_commit, .close = target_close};
static const struct wr_target_vtable staging_vtable = {
    .connect = target_connect, .settled = target_errand, .commit = target_commit, .close = target_close};

/* ---- both operators ---- */

struct fixture {
  struct test_files files;
  struct wr_log log;
  unsigned log_lines;
  char last_line[512];
  struct wr_store store;
  struct wr_sink_shared shared;
  _Atomic uint64_t triggered;
  struct wr_output output; /* of the writer */
  struct target target;
  struct wr_operator_context writer_context, committer_context;
  struct wr_operator *writer, *committer;
  struct wr_commit_limits limits;
  wr_new_stage *new_stage;
  struct weir_error error;
  uint64_t wake_ns;
};

static void log_line(struct wr_log *log, enum wr_log_level level, const char *text) {
  struct fixture *f = (struct fixture *)((char *)log - offsetof(struct fixture, log));
  (void)level;
  f->log_lines++;
  snprintf(f->last_line, sizeof f->last_line, "%s", text);
}

static void fixture_init(struct fixture *f) {
  memset(f, 0, sizeof *f);
  test_files_init(&f->files);
  f->log = (struct wr_log){.line = log_line, .level = WR_LOG_DEBUG};
  f->files.seams.log = &f->log;
  f->store = (struct wr_store){.seams = &f->files.seams, .folder = f->files.folder, .start_number = 1};
  f->new_stage = wr_rows_stage_new;
  f->limits = (struct wr_commit_limits){.epochs_max = 2, .bytes_max = 1ull << 40};
  f->target.base.vtable = &target_vtable;
  f->target.store = &f->store;
  f->target.memory = &f->files.memory.memory;
  f->writer_context = (struct wr_operator_context){.seams = &f->files.seams,
                                                   .memory = &f->files.memory.memory,
                                                   .store = &f->store,
                                                   .waker = &f->files.waker,
                                                   .output = &f->output,
                                                   .sink = &f->shared,
                                                   .uid = "sink.writer",
                                                   .input_schema = &schema,
                                                   .parallelism = 1,
                                                   .triggered_checkpoint_id = &f->triggered};
  f->committer_context = f->writer_context;
  f->committer_context.uid = "sink";
  f->committer_context.target = &f->target.base;
}

static enum weir_code fixture_start(struct fixture *f, struct wr_subtask_state *state) {
  WR_TRY(wr_sink_writer_new(&f->writer_context, f->new_stage, f, &f->writer, &f->error));
  WR_TRY(wr_committer_new(&f->committer_context, &f->limits, &f->committer, &f->error));
  return f->committer->vtable->restored(f->committer, state, &f->error);
}

static void drop_items(struct fixture *f) {
  for (; f->output.taken < f->output.count; f->output.taken++)
    wr_batch_unref(f->output.items[f->output.taken].batch);
  f->output.taken = f->output.count = 0;
}

static void fixture_stop(struct fixture *f) {
  while (test_files_run_calls(&f->files) > 0)
    ;
  if (f->writer != NULL) {
    WR_ASSERT(f->writer->vtable->is_idle(f->writer));
    f->writer->vtable->free(f->writer);
  }
  if (f->committer != NULL) {
    WR_ASSERT(f->committer->vtable->is_idle(f->committer));
    f->committer->vtable->free(f->committer);
  }
  f->writer = f->committer = NULL;
  drop_items(f);
}

static void fixture_deinit(struct fixture *f) {
  fixture_stop(f);
  WR_ASSERT(f->files.memory.living_count == 0 && f->files.open_files == 0);
  test_files_deinit(&f->files);
}

static struct wr_batch *rows(struct fixture *f, uint32_t count, size_t text_bytes) {
  struct wr_batch_builder builder;
  static char text[1024];
  memset(text, 'x', sizeof text);
  wr_batch_builder_init(&builder, &f->files.below_memory.memory, &schema, false);
  for (uint32_t i = 0; i < count; i++) {
    WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
    wr_batch_builder_set_bigint(&builder, 0, i);
    WR_ASSERT(wr_batch_builder_set_bytes(&builder, 1, text, text_bytes, NULL) == WEIR_OK);
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_batch_builder_deinit(&builder);
  return batch;
}

static enum wr_result write_rows(struct fixture *f, uint32_t count, size_t text_bytes) {
  struct wr_batch *batch = rows(f, count, text_bytes);
  f->writer_context.now_ns = f->files.now_ns;
  enum wr_result result = f->writer->vtable->process(f->writer, 0, batch, &f->wake_ns);
  wr_batch_unref(batch);
  return result;
}

static enum wr_result poll(struct fixture *f, struct wr_operator *op) {
  op->context->now_ns = f->files.now_ns;
  f->wake_ns = UINT64_MAX;
  return op->vtable->poll(op, &f->wake_ns);
}

/* Lets both work, and the writer's output reach the committer. `snapshot` (may be NULL) gets the last barrier's. */
static enum weir_code work(struct fixture *f, struct wr_commit_snapshot *snapshot) {
  for (int i = 0; i < 20; i++) {
    if (poll(f, f->writer) == WR_RESULT_ERROR) return f->writer_context.error.code;
    for (; f->output.taken < f->output.count; f->output.taken++) {
      struct item *item = &f->output.items[f->output.taken];
      if (item->batch != NULL) {
        enum wr_result result = f->committer->vtable->process(f->committer, 0, item->batch, &f->wake_ns);
        wr_batch_unref(item->batch);
        item->batch = NULL;
        if (result == WR_RESULT_ERROR) {
          f->output.taken++;
          return f->committer_context.error.code;
        }
        continue;
      }
      struct wr_commit_snapshot taken = {0};
      enum weir_code code = f->committer->vtable->snapshot_commit(f->committer, item->barrier, &taken, &f->error);
      if (code != WEIR_OK) return code;
      if (snapshot != NULL) {
        wr_commit_snapshot_deinit(&f->files.memory.memory, snapshot);
        *snapshot = taken;
      } else {
        wr_commit_snapshot_deinit(&f->files.memory.memory, &taken);
      }
    }
    f->output.taken = f->output.count = 0;
    if (poll(f, f->committer) == WR_RESULT_ERROR) return f->committer_context.error.code;
    test_files_run_calls(&f->files);
  }
  return WEIR_OK;
}

static enum weir_code barrier(struct fixture *f, uint64_t id) {
  if (f->triggered < id) f->triggered = id;
  return f->writer->vtable->prepare(f->writer, id, &f->error);
}
static void complete(struct fixture *f, uint64_t id) {
  f->committer->vtable->complete(f->committer, id);
}

/* ---- tests ---- */

TEST(epochs_in_order) {
  struct fixture f;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
  CHECK(f.committer->vtable->is_settled(f.committer));
  CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_OK); /* inline */
  CHECK_INT(barrier(&f, 1), WEIR_OK);
  CHECK_INT(write_rows(&f, 100, 500), WR_RESULT_OK); /* a file; taken while epoch 1 is on its way */
  CHECK_INT(barrier(&f, 2), WEIR_OK);
  CHECK_INT(barrier(&f, 3), WEIR_OK); /* empty */
  CHECK_INT(write_rows(&f, 7, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 4), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "");
  complete(&f, 2);
  CHECK(!f.committer->vtable->is_settled(f.committer));
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "1:10;2:100;");
  complete(&f, 4); /* 3 was subsumed, and empty */
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "1:10;2:100;4:7;");
  CHECK(f.committer->vtable->is_settled(f.committer));
  fixture_deinit(&f);
}

/* A stage of the test's own around the common one: it is made with the first rows of an epoch, each with a new ordinal;
 * what it says of a row comes out. */
static enum weir_code refuse_append(struct wr_stage *stage, const struct wr_batch *batch, uint64_t now_ns,
                                    struct weir_error *error) {
  (void)stage;
  (void)batch;
  return WR_FAIL(error, WEIR_CONSTRAINT, "no row at %d", (int)now_ns);
}

static enum weir_code new_own_stage(void *config, const struct wr_operator_context *context, uint64_t ordinal,
                                    struct wr_stage **out_stage, struct weir_error *error) {
  static struct wr_stage_vtable refusing;
  struct fixture *f = config;
  WR_TRY(wr_rows_stage_new(NULL, context, ordinal, out_stage, error));
  size_t length = strlen(f->last_line);
  snprintf(f->last_line + length, sizeof f->last_line - length, "%d;", (int)ordinal);
  refusing = *(*out_stage)->vtable;
  refusing.append = refuse_append;
  if (ordinal == 2) (*out_stage)->vtable = &refusing;
  return WEIR_OK;
}

TEST(own_stages) {
  struct fixture f;
  fixture_init(&f);
  f.new_stage = new_own_stage;
  CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
  CHECK_INT(write_rows(&f, 1, 5), WR_RESULT_OK);
  CHECK_INT(write_rows(&f, 1, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 1), WEIR_OK);
  CHECK_INT(barrier(&f, 2), WEIR_OK); /* without rows: no stage */
  CHECK_INT(write_rows(&f, 4, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 3), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  complete(&f, 3);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "1:2;3:4;");
  f.files.now_ns = 7;
  CHECK_INT(write_rows(&f, 1, 5), WR_RESULT_ERROR);
  CHECK_INT(f.writer_context.error.code, WEIR_CONSTRAINT);
  CHECK_STRING(f.writer_context.error.message, "sink sink.writer, subtask 0: no row at 7");
  CHECK_STRING(f.last_line, "0;1;2;");
  fixture_deinit(&f);
}

/* Checkpoint 1 fails: its epoch is carried by 2, and committed with it. */
TEST(an_aborted_checkpoint_loses_nothing) {
  struct fixture f;
  struct wr_commit_snapshot snapshot = {0};
  fixture_init(&f);
  CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
  CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 1), WEIR_OK);
  f.writer->vtable->aborted(f.writer, 1);
  CHECK_INT(write_rows(&f, 3, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 2), WEIR_OK);
  CHECK_INT(work(&f, &snapshot), WEIR_OK);
  CHECK_INT(snapshot.epoch_count, 2);
  CHECK_INT(snapshot.epochs[0].parts[0].row_count, 10);
  complete(&f, 2);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "1:10;2:3;");
  wr_commit_snapshot_deinit(&f.files.memory.memory, &snapshot);
  fixture_deinit(&f);
}

TEST(restores_and_settles) {
  struct fixture f;
  struct wr_commit_snapshot snapshot = {0};
  fixture_init(&f);
  CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
  for (uint64_t id = 1; id <= 3; id++) {
    CHECK_INT(write_rows(&f, 100 * (uint32_t)id, 400), WR_RESULT_OK);
    CHECK_INT(barrier(&f, id), WEIR_OK);
    CHECK_INT(work(&f, &snapshot), WEIR_OK);
  }
  fixture_stop(&f);
  CHECK_INT(snapshot.epoch_count, 3);
  /* The marker says that epoch 1 went out before the crash. */
  struct wr_subtask_state state = {.has_commit = true, .commit = snapshot};
  f.committer_context.marker_checkpoint_id = f.target.checkpoint_id = 1;
  f.store.start_number = 2;
  CHECK_INT(fixture_start(&f, &state), WEIR_OK);
  CHECK(!f.committer->vtable->is_settled(f.committer));
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "2:200;3:300;");
  CHECK(f.committer->vtable->is_settled(f.committer));
  wr_commit_snapshot_deinit(&f.files.memory.memory, &state.commit);
  fixture_deinit(&f);
}

TEST(retries) {
  struct fixture f;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
  CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 1), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  f.target.fail_code = WEIR_IO;
  f.target.fail_count = 25;
  complete(&f, 1);
  uint64_t expected_ns = 100000000;
  for (int i = 0; i < 25; i++) {
    CHECK_INT(work(&f, NULL), WEIR_OK);
    CHECK_INT(f.wake_ns - f.files.now_ns, expected_ns);
    CHECK_INT(f.target.connects, i);
    f.files.now_ns = f.wake_ns;
    expected_ns = expected_ns * 2 > 10000000000 ? 10000000000 : expected_ns * 2;
  }
  CHECK_INT(f.log_lines, 3);
  CHECK(strstr(f.last_line,
               "sink sink: epoch 1 could not be committed, it is tried again (failure 21 in a row): made to "
               "fail") != NULL);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "1:10;");
  CHECK_INT(f.target.connects, 25);
  CHECK_INT(f.log_lines, 4);
  /* Busy does not need a new connection. */
  CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 2), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  f.target.fail_code = WEIR_BUSY;
  f.target.fail_count = 1;
  complete(&f, 2);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  f.files.now_ns = f.wake_ns;
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "1:10;2:10;");
  CHECK_INT(f.target.connects, 25);
  fixture_deinit(&f);
}

TEST(permanent_errors) {
  static const enum weir_code codes[] = {WEIR_CONSTRAINT, WEIR_FENCED, WEIR_REFUSED, WEIR_CORRUPT};
  for (unsigned i = 0; i < 4; i++) {
    struct fixture f;
    fixture_init(&f);
    CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
    CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_OK);
    CHECK_INT(barrier(&f, 1), WEIR_OK);
    CHECK_INT(work(&f, NULL), WEIR_OK);
    f.target.fail_code = codes[i];
    f.target.fail_count = 1;
    complete(&f, 1);
    CHECK_INT(work(&f, NULL), codes[i]);
    CHECK_STRING(f.committer_context.error.message, "sink sink: epoch 1 cannot be committed: made to fail");
    fixture_deinit(&f);
  }
}

/* The marker of a target that forgets is written anew once a day, between commits; a failure is tried again an hour
 * later over a new connection, and does not keep epochs from being committed. */
TEST(refreshes) {
  static const uint64_t HOUR_NS = 60ull * 60 * 1000000000;
  struct fixture f;
  fixture_init(&f);
  f.target.base.vtable = &forgetful_vtable;
  CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_INT(f.wake_ns, f.files.now_ns + 24 * HOUR_NS);
  f.files.now_ns = f.wake_ns - 1;
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_INT(f.target.errands, 0);
  f.files.now_ns++;
  f.target.errand_code = WEIR_TIMEOUT;
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK(f.target.errands == 1 && f.target.connects == 0 && f.log_lines == 1);
  CHECK(strstr(f.last_line, "sink sink: its marker cannot be written anew: made to fail") != NULL);
  CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 1), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  complete(&f, 1);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "1:10;");
  CHECK_INT(f.target.connects, 1);
  CHECK_INT(f.wake_ns, f.files.now_ns + HOUR_NS);
  f.files.now_ns = f.wake_ns;
  f.target.errand_code = WEIR_OK;
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK(f.target.errands == 2 && f.target.connects == 1);
  f.files.now_ns += 24 * HOUR_NS;
  f.target.errand_code = WEIR_FENCED;
  CHECK_INT(work(&f, NULL), WEIR_FENCED);
  CHECK_STRING(f.committer_context.error.message, "sink sink: its marker cannot be written anew: made to fail");
  fixture_deinit(&f);
}

/* A target beside which parts are staged hears once that what was restored is committed: before any other commit, again
 * while it cannot listen, and it holds up no commit by that. */
TEST(settles_the_target) {
  struct fixture f;
  struct wr_commit_snapshot snapshot = {0};
  fixture_init(&f);
  f.target.base.vtable = &staging_vtable;
  CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_INT(f.target.errands, 1);
  CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 1), WEIR_OK);
  CHECK_INT(work(&f, &snapshot), WEIR_OK);
  CHECK_INT(f.target.errands, 1);
  fixture_stop(&f);
  struct wr_subtask_state state = {.has_commit = true, .commit = snapshot};
  CHECK_INT(fixture_start(&f, &state), WEIR_OK);
  f.target.fail_code = WEIR_BUSY;
  f.target.fail_count = 1;
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_INT(f.target.errands, 1); /* not before it is committed */
  f.files.now_ns = f.wake_ns;
  f.target.errand_code = WEIR_BUSY;
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "1:10;");
  CHECK_INT(f.target.errands, 2);
  CHECK(strstr(f.last_line, "sink sink: what earlier starts have staged cannot be removed: made to fail") != NULL);
  CHECK_INT(write_rows(&f, 4, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 2), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  complete(&f, 2);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_STRING(f.target.committed, "1:10;2:4;");
  CHECK_INT(f.target.errands, 2);
  f.files.now_ns = f.wake_ns;
  f.target.errand_code = WEIR_OK;
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_INT(f.target.errands, 3);
  fixture_stop(&f);
  f.target.errand_code = WEIR_FENCED;
  CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_FENCED);
  wr_commit_snapshot_deinit(&f.files.memory.memory, &state.commit);
  fixture_deinit(&f);
}

/* Over the limit the writer takes nothing, but never while a barrier is on its way. */
TEST(limits) {
  struct fixture f;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
  f.target.fail_code = WEIR_BUSY;
  f.target.fail_count = 1;
  for (uint64_t id = 10; id <= 40; id += 10) {
    f.triggered = id;
    CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_OK);
    CHECK_INT(barrier(&f, id), WEIR_OK);
    CHECK_INT(work(&f, NULL), WEIR_OK);
    complete(&f, id);
    CHECK_INT(work(&f, NULL), WEIR_OK);
    CHECK_INT(f.shared.over_limit, id >= 30);
    CHECK_INT(f.shared.waiting_epochs, id / 10);
    if (id < 30) continue;
    CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_WAIT);
    CHECK(f.wake_ns < f.files.now_ns + 1000000000);
    f.triggered = id + 5;
    CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_OK);
    f.writer->vtable->aborted(f.writer, id + 5);
    CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_WAIT);
  }
  f.files.now_ns += 1000000000;
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK(!f.shared.over_limit);
  CHECK_INT(write_rows(&f, 10, 5), WR_RESULT_OK);
  CHECK_STRING(f.target.committed, "10:10;20:10;30:10;40:20;");
  fixture_deinit(&f);
}

/* A full upload holds rows back; a full disk too, and says so once; a failed write ends the attempt. */
TEST(disks) {
  struct fixture f;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f, NULL), WEIR_OK);
  enum wr_result result = WR_RESULT_OK;
  uint32_t taken = 0;
  for (int i = 0; i < 100 && result == WR_RESULT_OK; i++) {
    result = write_rows(&f, 200, 1000);
    taken += result == WR_RESULT_OK ? 200 : 0;
  }
  CHECK_INT(result, WR_RESULT_WAIT);
  test_files_fail(&f.files, 1, 3, WEIR_NO_SPACE, "write");
  for (int i = 0; i < 3; i++) {
    CHECK_INT(work(&f, NULL), WEIR_OK);
    CHECK_INT(write_rows(&f, 1, 5), WR_RESULT_WAIT);
    f.files.now_ns += 200000000;
  }
  CHECK(strstr(f.last_line, "is full; the sink takes no more rows until there is room") != NULL);
  CHECK_INT(f.log_lines, 1);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  CHECK_INT(f.log_lines, 2);
  CHECK_INT(write_rows(&f, 1, 5), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 1), WEIR_OK);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  complete(&f, 1);
  CHECK_INT(work(&f, NULL), WEIR_OK);
  char expected[32];
  snprintf(expected, sizeof expected, "1:%u;", taken + 1);
  CHECK_STRING(f.target.committed, expected);
  CHECK_INT(write_rows(&f, 200, 1000), WR_RESULT_OK);
  CHECK_INT(barrier(&f, 2), WEIR_OK);
  test_files_fail(&f.files, 1, 1, WEIR_IO, "sync");
  CHECK_INT(work(&f, NULL), WEIR_IO);
  CHECK(strstr(f.writer_context.error.message, "sink sink.writer, subtask 0: the epoch's file cannot be written: ") !=
        NULL);
  fixture_deinit(&f);
}

/* Every allocation of a whole life fails once: NO_MEMORY comes out, and nothing leaks. */
TEST(no_memory) {
  bool failed = true;
  for (uint64_t n = 1; failed; n++) {
    struct fixture f;
    struct wr_commit_snapshot snapshot = {0};
    fixture_init(&f);
    test_memory_fail_after(&f.files.memory, n, false);
    enum weir_code code = fixture_start(&f, NULL);
    for (uint64_t id = 1; id <= 2 && code == WEIR_OK; id++) {
      if (write_rows(&f, 100, 500) == WR_RESULT_ERROR) code = f.writer_context.error.code;
      if (code == WEIR_OK) code = barrier(&f, id);
      if (code == WEIR_OK) code = work(&f, &snapshot);
      if (code == WEIR_OK) complete(&f, id);
      if (code == WEIR_OK) code = work(&f, NULL);
    }
    failed = f.files.memory.failures > 0;
    test_memory_fail_after(&f.files.memory, 0, false);
    CHECK(code == WEIR_OK || (failed && code == WEIR_NO_MEMORY));
    if (code == WEIR_OK) CHECK_STRING(f.target.committed, "1:100;2:100;");
    wr_commit_snapshot_deinit(&f.files.memory.memory, &snapshot);
    fixture_deinit(&f);
  }
}

static enum weir_code no_target(void *config, const struct wr_target_context *context, struct wr_target **out_target,
                                struct weir_error *error) {
  (void)config;
  (void)context;
  (void)out_target;
  return WR_FAIL(error, WEIR_INTERNAL, "not called");
}

TEST(nodes) {
  struct test_memory memory;
  struct wr_graph graph;
  struct wr_sink_config config;
  struct weir_error error;
  uint32_t writer = 9;
  test_memory_init(&memory);
  wr_graph_init(&graph, &memory.memory);
  struct wr_sink_description sink = {.uid = "out", .schema = &schema, .config = &config, .new_target = no_target};
  CHECK_INT(wr_sink_add(&graph, &sink, &writer, &error), WEIR_OK);
  CHECK_STRING(graph.nodes[writer].uid, "out.writer");
  CHECK_STRING(graph.nodes[1 - writer].uid, "out");
  CHECK_INT(graph.nodes[1 - writer].commit_limits.epochs_max, 8);
  CHECK(graph.edge_count == 1 && graph.edges[0].always_aligned && graph.edges[0].from_node == writer);
  sink.uid = "";
  CHECK_INT(wr_sink_add(&graph, &sink, &writer, &error), WEIR_INVALID);
  wr_graph_deinit(&graph);
  CHECK_INT(memory.living_count, 0);
}

TEST_MAIN(TEST_CASE(epochs_in_order), TEST_CASE(own_stages), TEST_CASE(an_aborted_checkpoint_loses_nothing),
          TEST_CASE(restores_and_settles), TEST_CASE(retries), TEST_CASE(permanent_errors), TEST_CASE(refreshes),
          TEST_CASE(settles_the_target), TEST_CASE(limits), TEST_CASE(disks), TEST_CASE(no_memory), TEST_CASE(nodes))
