/* operators/test_plain_sink.c: the unsafe sink over a target of the test's own: its clock, barriers, back-pressure,
 * failures of the target and of memory, the end. */
#include "base/test.h"
#include "data/batch_builder.h"
#include "operators/plain_sink.h"
#include "store/test_files.h"

static const struct weir_schema schema = {.fields = (const struct weir_field[]){{"n", WEIR_TYPE_BIGINT, false}},
                                          .field_count = 1};
enum { SECOND_NS = 1000 * 1000 * 1000 };

struct target {
  struct wr_plain_target base;
  char written[256]; /* rows of each commit: "3,1;" */
  enum weir_code fail_code;
  unsigned fail_count; /* the next calls fail */
  unsigned connects, closes, frees;
};

static struct target *target_of(struct wr_plain_target *base) {
  return (struct target *)base;
}

static enum weir_code fail_next(struct target *target, struct weir_error *error) {
  if (target->fail_count == 0) return WEIR_OK;
  target->fail_count--;
  return WR_FAIL(error, target->fail_code, "made to fail");
}

static enum weir_code target_connect(struct wr_plain_target *base, struct weir_error *error) {
  target_of(base)->connects++;
  return fail_next(target_of(base), error);
}

static enum weir_code target_write(struct wr_plain_target *base, struct wr_batch *const *batches, uint32_t count,
                                   struct weir_error *error) {
  struct target *target = target_of(base);
  WR_TRY(fail_next(target, error));
  for (uint32_t i = 0; i < count; i++) {
    size_t length = strlen(target->written);
    snprintf(target->written + length, sizeof target->written - length, "%u%s", batches[i]->selected_count,
             i + 1 < count ? "," : ";");
  }
  return WEIR_OK;
}

static void target_close(struct wr_plain_target *base) {
  target_of(base)->closes++;
}

static void target_free(struct wr_plain_target *base) {
  target_of(base)->frees++;
}

static const struct wr_plain_target_vtable target_vtable = {
    .connect = target_connect, .write = target_write, .close = target_close, .free = target_free};

static enum weir_code new_target(void *config, const struct wr_target_context *context,
                                 struct wr_plain_target **out_target, struct weir_error *error) {
  (void)error;
  WR_ASSERT(context->schema == &schema);
  *out_target = config;
  return WEIR_OK;
}

struct fixture {
  struct test_files files;
  struct wr_log log;
  char last_line[512];
  struct target target;
  struct wr_plain_sink_config config;
  struct wr_operator_context context;
  struct wr_operator *op;
  struct weir_error error;
  uint64_t wake_ns;
};

static void log_line(struct wr_log *log, enum wr_log_level level, const char *text) {
  struct fixture *f = (struct fixture *)((char *)log - offsetof(struct fixture, log));
  (void)level;
  snprintf(f->last_line, sizeof f->last_line, "%s", text);
}

static void fixture_init(struct fixture *f) {
  memset(f, 0, sizeof *f);
  test_files_init(&f->files);
  f->log = (struct wr_log){.line = log_line, .level = WR_LOG_DEBUG};
  f->files.seams.log = &f->log;
  f->target.base.vtable = &target_vtable;
  f->config = (struct wr_plain_sink_config){.where = "table t",
                                            .interval_ns = SECOND_NS,
                                            .rows_max = 10,
                                            .target_config = &f->target.base,
                                            .new_target = new_target};
  f->context = (struct wr_operator_context){.seams = &f->files.seams,
                                            .memory = &f->files.memory.memory,
                                            .waker = &f->files.waker,
                                            .uid = "sink",
                                            .input_schema = &schema,
                                            .parallelism = 1};
  f->files.now_ns = 100;
}

static void fixture_deinit(struct fixture *f) {
  if (f->op != NULL) {
    while (!f->op->vtable->is_idle(f->op))
      test_files_run_calls(&f->files);
    f->op->vtable->free(f->op);
    CHECK_INT(f->target.closes, 1);
    CHECK_INT(f->target.frees, 1);
  }
  CHECK_INT(f->files.memory.living_count, 0);
  test_files_deinit(&f->files);
}

static enum wr_result poll(struct fixture *f) {
  f->context.now_ns = f->files.now_ns;
  f->wake_ns = UINT64_MAX;
  return f->op->vtable->poll(f->op, &f->wake_ns);
}

/* Connected, its clock begun at 100 ns. */
static void start(struct fixture *f) {
  fixture_init(f);
  CHECK_INT(wr_plain_sink_new(&f->config, &f->context, &f->op, &f->error), WEIR_OK);
  CHECK_INT(f->op->vtable->open(f->op, &f->error), WEIR_OK);
  CHECK(strstr(f->last_line, "rows can come twice") != NULL);
  CHECK_INT(poll(f), WR_RESULT_OK);
  test_files_run_calls(&f->files);
  CHECK_INT(poll(f), WR_RESULT_OK);
  CHECK_INT(f->target.connects, 1);
}

static enum wr_result write_rows(struct fixture *f, uint32_t count) {
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &f->files.below_memory.memory, &schema, false);
  for (uint32_t i = 0; i < count; i++) {
    WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
    wr_batch_builder_set_bigint(&builder, 0, i);
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_batch_builder_deinit(&builder);
  f->context.now_ns = f->files.now_ns;
  f->wake_ns = UINT64_MAX;
  enum wr_result result = f->op->vtable->process(f->op, 0, batch, &f->wake_ns);
  wr_batch_unref(batch);
  return result;
}

static enum wr_result barrier(struct fixture *f) {
  f->context.now_ns = f->files.now_ns;
  f->wake_ns = UINT64_MAX;
  return f->op->vtable->before_barrier(f->op, 1, &f->wake_ns);
}

/* ---- tests ---- */

TEST(commits_by_the_clock) {
  struct fixture f;
  start(&f);
  CHECK_INT(write_rows(&f, 3), WR_RESULT_OK);
  CHECK_INT(write_rows(&f, 1), WR_RESULT_OK);
  CHECK_INT(poll(&f), WR_RESULT_WAIT);
  CHECK(f.wake_ns == 100 + SECOND_NS);
  CHECK_INT(f.files.submitted_count, 0);
  f.files.now_ns = 100 + SECOND_NS;
  CHECK_INT(poll(&f), WR_RESULT_OK);
  CHECK_INT(write_rows(&f, 2), WR_RESULT_OK); /* while the call runs */
  test_files_run_calls(&f.files);
  CHECK(strcmp(f.target.written, "3,1;") == 0);
  CHECK_INT(poll(&f), WR_RESULT_OK);
  CHECK_INT(f.files.submitted_count, 0);
  f.files.now_ns += 2ull * SECOND_NS + 5; /* a late look: the ticks stay where they were */
  CHECK_INT(poll(&f), WR_RESULT_OK);
  test_files_run_calls(&f.files);
  CHECK(strcmp(f.target.written, "3,1;2;") == 0);
  poll(&f);
  CHECK_INT(write_rows(&f, 1), WR_RESULT_OK);
  poll(&f);
  CHECK(f.wake_ns == 100 + 4ull * SECOND_NS);
  fixture_deinit(&f);
}

/* A barrier makes nothing happen; it waits until the clock has. */
TEST(a_barrier_waits) {
  struct fixture f;
  start(&f);
  CHECK_INT(barrier(&f), WR_RESULT_OK);
  CHECK_INT(write_rows(&f, 3), WR_RESULT_OK);
  CHECK_INT(barrier(&f), WR_RESULT_WAIT);
  CHECK(f.wake_ns == 100 + SECOND_NS);
  CHECK_INT(f.files.submitted_count, 0);
  f.files.now_ns = 100 + SECOND_NS;
  CHECK_INT(barrier(&f), WR_RESULT_WAIT);
  CHECK_INT(f.files.submitted_count, 1);
  CHECK_INT(barrier(&f), WR_RESULT_WAIT);
  test_files_run_calls(&f.files);
  CHECK_INT(barrier(&f), WR_RESULT_OK);
  CHECK(strcmp(f.target.written, "3;") == 0);
  fixture_deinit(&f);
}

TEST(is_bounded) {
  struct fixture f;
  start(&f);
  CHECK_INT(write_rows(&f, 9), WR_RESULT_OK);
  CHECK_INT(write_rows(&f, 4), WR_RESULT_OK);
  CHECK_INT(write_rows(&f, 10), WR_RESULT_OK); /* the 13 are on their way out */
  CHECK_INT(f.files.submitted_count, 1);
  CHECK_INT(write_rows(&f, 1), WR_RESULT_WAIT);
  test_files_run_calls(&f.files);
  CHECK_INT(write_rows(&f, 1), WR_RESULT_OK);
  test_files_run_calls(&f.files);
  CHECK(strcmp(f.target.written, "9,4;10;") == 0);
  fixture_deinit(&f);
}

TEST(failures) {
  struct fixture f;
  start(&f);
  CHECK_INT(write_rows(&f, 3), WR_RESULT_OK);
  f.target.fail_code = WEIR_IO;
  f.target.fail_count = 2;
  f.files.now_ns += SECOND_NS;
  CHECK_INT(poll(&f), WR_RESULT_OK);
  test_files_run_calls(&f.files);
  CHECK_INT(poll(&f), WR_RESULT_OK); /* failed */
  CHECK(strstr(f.last_line, "tried again (failure 1 in a row): made to fail") != NULL);
  CHECK_INT(write_rows(&f, 2), WR_RESULT_OK); /* behind them */
  CHECK_INT(poll(&f), WR_RESULT_WAIT);
  CHECK(f.wake_ns == f.files.now_ns + SECOND_NS / 10);
  for (int i = 0; i < 10; i++) {
    f.files.now_ns += SECOND_NS / 4;
    CHECK(poll(&f) != WR_RESULT_ERROR);
    test_files_run_calls(&f.files);
  }
  CHECK(strcmp(f.target.written, "3;2;") == 0);
  f.target.fail_code = WEIR_CONSTRAINT;
  f.target.fail_count = 1;
  CHECK_INT(write_rows(&f, 1), WR_RESULT_OK);
  f.files.now_ns += SECOND_NS;
  CHECK_INT(poll(&f), WR_RESULT_OK);
  test_files_run_calls(&f.files);
  CHECK_INT(poll(&f), WR_RESULT_ERROR);
  CHECK_INT(f.context.error.code, WEIR_CONSTRAINT);
  CHECK(strstr(f.context.error.message, "sink sink, subtask 0: made to fail") != NULL);
  fixture_deinit(&f);
}

/* A target that cannot be written to is found before the first row. */
TEST(a_bad_target) {
  struct fixture f;
  fixture_init(&f);
  f.target.fail_code = WEIR_DENIED;
  f.target.fail_count = 1;
  CHECK_INT(wr_plain_sink_new(&f.config, &f.context, &f.op, &f.error), WEIR_OK);
  CHECK_INT(poll(&f), WR_RESULT_OK);
  test_files_run_calls(&f.files);
  CHECK_INT(poll(&f), WR_RESULT_ERROR);
  CHECK_INT(f.context.error.code, WEIR_DENIED);
  fixture_deinit(&f);
}

TEST(the_end_is_a_tick) {
  struct fixture f;
  start(&f);
  CHECK_INT(write_rows(&f, 3), WR_RESULT_OK);
  CHECK_INT(f.op->vtable->end_input(f.op, 0, &f.wake_ns), WR_RESULT_WAIT);
  CHECK_INT(test_files_run_calls(&f.files), 1);
  CHECK_INT(f.op->vtable->end_input(f.op, 0, &f.wake_ns), WR_RESULT_OK);
  CHECK(strcmp(f.target.written, "3;") == 0);
  fixture_deinit(&f);
}

/* It is dropped while rows are being written. */
TEST(a_teardown_in_a_call) {
  struct fixture f;
  start(&f);
  CHECK_INT(write_rows(&f, 12), WR_RESULT_OK);
  CHECK_INT(poll(&f), WR_RESULT_OK);
  CHECK_INT(f.files.submitted_count, 1);
  CHECK(!f.op->vtable->is_idle(f.op));
  CHECK_INT(f.files.submitted_count, 1);
  fixture_deinit(&f);
}

TEST(no_memory) {
  struct fixture f;
  for (uint64_t n = 1; n <= 2; n++) {
    fixture_init(&f);
    test_memory_fail_after(&f.files.memory, n, false);
    enum weir_code code = wr_plain_sink_new(&f.config, &f.context, &f.op, &f.error);
    CHECK_INT(code, n == 1 ? WEIR_NO_MEMORY : WEIR_OK);
    if (code == WEIR_OK) {
      CHECK_INT(write_rows(&f, 3), WR_RESULT_ERROR);
      CHECK_INT(f.context.error.code, WEIR_NO_MEMORY);
      test_files_run_calls(&f.files);
    }
    test_memory_fail_after(&f.files.memory, 0, false);
    fixture_deinit(&f);
  }
}

TEST(nodes) {
  struct fixture f;
  struct wr_node node;
  fixture_init(&f);
  CHECK_INT(wr_plain_sink_node("sink", &schema, 0, &f.config, &node, &f.error), WEIR_OK);
  CHECK_INT(wr_plain_sink_node("", &schema, 0, &f.config, &node, &f.error), WEIR_INVALID);
  f.config.interval_ns = 0;
  CHECK_INT(wr_plain_sink_node("sink", &schema, 0, &f.config, &node, &f.error), WEIR_INVALID);
  fixture_deinit(&f);
}

TEST_MAIN(TEST_CASE(commits_by_the_clock), TEST_CASE(a_barrier_waits), TEST_CASE(is_bounded), TEST_CASE(failures),
          TEST_CASE(a_bad_target), TEST_CASE(the_end_is_a_tick), TEST_CASE(a_teardown_in_a_call), TEST_CASE(no_memory),
          TEST_CASE(nodes))
