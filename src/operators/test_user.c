/* operators/test_user.c: a user's operator with two states and timers, against a naive model; states that answer WAIT;
 * errors; rows passed on as they are; every allocation failing once. */
#include "operators/user_int.h"

#include "base/random.h"
#include "operators/test_operator.h"

enum { KEYS = 40, ROUNDS = 80, ROWS_MAX = 300 };

static const struct weir_field input_fields[] = {{"key", WEIR_TYPE_STRING, false}, {"amount", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema input_schema = {input_fields, 2};
static const struct weir_field output_fields[] = {
    {"key", WEIR_TYPE_STRING, false}, {"total", WEIR_TYPE_BIGINT, false}, {"note", WEIR_TYPE_STRING, true}};
static const struct weir_schema output_schema = {output_fields, 3};
static const struct weir_field total_fields[] = {{"rows", WEIR_TYPE_INT, false}, {"total", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema total_schema = {total_fields, 2};
static const struct weir_field note_fields[] = {{"note", WEIR_TYPE_STRING, false}, {"when", WEIR_TYPE_BIGINT, true}};
static const struct weir_schema note_schema = {note_fields, 2};
static const uint32_t key_field[] = {0};

/* ---- the operator: totals per key. Amount 0 forgets a key; a multiple of 7 sets a timer that tells of it later ----
 */

struct total {
  int32_t rows;
  int64_t total;
};

static enum weir_code open_totals(struct weir_operator *op, struct weir_error *error) {
  struct weir_state *state = NULL;
  enum weir_code code = weir_operator_declare_state(op, "total", &total_schema, &state, error);
  if (code == WEIR_OK) code = weir_operator_declare_state(op, "note", &note_schema, NULL, error);
  weir_operator_set_instance(op, state);
  return code;
}

static enum weir_code emit(struct weir_operator *op, const char *key, size_t length, int64_t total,
                           struct weir_state *notes, uint32_t row, struct weir_error *error) {
  const void *note = weir_state_get(notes, row);
  weir_set_bytes(op, 0, key, length);
  weir_set_bigint(op, 1, total);
  if (note != NULL) {
    size_t note_length = 0;
    const char *text = weir_state_bytes(notes, note, 0, &note_length);
    weir_set_bytes(op, 2, text, note_length);
  }
  return weir_emit(op, total == 0 ? WEIR_DELETE : WEIR_INSERT, error);
}

static enum weir_code add_totals(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error) {
  struct weir_state *totals = weir_operator_instance(op), *notes = weir_operator_state(op, "note");
  for (uint32_t row = 0; row < weir_batch_row_count(batch); row++) {
    size_t length = 0;
    const char *key = weir_batch_bytes(batch, 0, row, &length);
    int64_t amount = weir_batch_bigint(batch, 1, row);
    enum weir_code code = WEIR_OK;
    if (amount == 0) {
      weir_state_clear(totals, row);
      if (weir_state_get(notes, row) != NULL) weir_state_clear(notes, row);
    } else {
      struct total *total = weir_state_put(totals, row);
      total->rows++;
      total->total += amount;
      code = weir_timer_register(op, WEIR_EVENT_TIME, amount * 10, row, error);
    }
    if (code == WEIR_OK && amount % 5 == 0 && amount != 0) {
      char text[64];
      int text_length = snprintf(text, sizeof text, "a note that is longer than a view: %d", (int)amount);
      void *note = weir_state_put(notes, row);
      weir_state_set_null(notes, note, 1, amount % 2 == 0);
      code = weir_state_set_bytes(notes, note, 0, text, (size_t)text_length, error);
    }
    const struct total *total = weir_state_get(totals, row);
    if (code == WEIR_OK) code = emit(op, key, length, total == NULL ? 0 : total->total, notes, row, error);
    if (code != WEIR_OK) return code;
  }
  return WEIR_OK;
}

static enum weir_code tell_timers(struct weir_operator *op, enum weir_time time, const struct weir_batch *keys,
                                  const int64_t *times_ms, struct weir_error *error) {
  if (time != WEIR_EVENT_TIME) return weir_fail(error, WEIR_OPERATOR, "no such timer was registered");
  struct weir_state *notes = weir_operator_state(op, "note");
  for (uint32_t row = 0; row < weir_batch_row_count(keys); row++) {
    size_t length = 0;
    const char *key = weir_batch_bytes(keys, 0, row, &length);
    enum weir_code code = emit(op, key, length, -times_ms[row], notes, row, error);
    if (code != WEIR_OK) return code;
  }
  return WEIR_OK;
}

static const struct weir_operator_definition totals_definition = {.size = sizeof(struct weir_operator_definition),
                                                                  .name = "totals",
                                                                  .output = &output_schema,
                                                                  .open = open_totals,
                                                                  .process = add_totals,
                                                                  .timers = tell_timers};

/* ---- the model ---- */

struct model {
  struct {
    int64_t total;
    bool has_total, has_note;
    int note;
  } keys[KEYS];
  bool timers[KEYS][100]; /* by key and amount */
};

static struct wr_batch *make_batch(struct wr_memory *memory, struct wr_random *random, uint32_t rows) {
  struct wr_batch_builder builder;
  struct weir_error error;
  wr_batch_builder_init(&builder, memory, &input_schema, false);
  for (uint32_t i = 0; i < rows; i++) {
    char key[16];
    int length = snprintf(key, sizeof key, "key%02u", (unsigned)wr_random_below(random, KEYS));
    if (wr_batch_builder_begin(&builder, &error) != WEIR_OK) abort();
    if (wr_batch_builder_set_bytes(&builder, 0, key, (size_t)length, &error) != WEIR_OK) abort();
    wr_batch_builder_set_bigint(&builder, 1,
                                wr_random_below(random, 3) == 0 ? 0 : (int64_t)wr_random_below(random, 99));
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_batch_builder_deinit(&builder);
  return batch;
}

/* Takes the next output row and compares it. */
struct reader {
  struct test_operator *test;
  struct wr_batch *batch;
  uint32_t row;
};

static void check_row(struct reader *reader, uint32_t key, int64_t total, const struct model *model) {
  char text[64];
  if (reader->batch == NULL || reader->row == reader->batch->selected_count) {
    wr_batch_unref(reader->batch);
    reader->batch = test_operator_take(reader->test);
    reader->row = 0;
    CHECK(reader->batch != NULL);
  }
  const struct weir_batch *view = (const struct weir_batch *)reader->batch;
  uint32_t row = reader->row++;
  size_t length = 0;
  const char *bytes = weir_batch_bytes(view, 0, row, &length);
  snprintf(text, sizeof text, "key%02u", key);
  CHECK(length == strlen(text) && memcmp(bytes, text, length) == 0);
  CHECK_INT(weir_batch_bigint(view, 1, row), total);
  CHECK_INT(weir_batch_row_kind(view, row), total == 0 ? WEIR_DELETE : WEIR_INSERT);
  CHECK_INT(weir_batch_is_null(view, 2, row), !model->keys[key].has_note);
  if (!model->keys[key].has_note) return;
  snprintf(text, sizeof text, "a note that is longer than a view: %d", model->keys[key].note);
  bytes = weir_batch_bytes(view, 2, row, &length);
  CHECK(length == strlen(text) && memcmp(bytes, text, length) == 0);
}

static void check_batch(struct model *model, struct reader *reader, const struct wr_batch *batch) {
  for (uint32_t i = 0; i < batch->row_count; i++) {
    const char *text = wr_view_bytes(batch, &wr_column_views(&batch->columns[0])[i]);
    uint32_t key = (uint32_t)(text[3] - '0') * 10 + (uint32_t)(text[4] - '0');
    int64_t amount = wr_column_bigints(&batch->columns[1])[i];
    if (amount == 0) {
      memset(&model->keys[key], 0, sizeof model->keys[key]);
    } else {
      model->keys[key].has_total = true;
      model->keys[key].total += amount;
      model->timers[key][amount] = true;
      if (amount % 5 == 0) {
        model->keys[key].has_note = true;
        model->keys[key].note = (int)amount;
      }
    }
    check_row(reader, key, model->keys[key].total, model);
    CHECK_PASSED();
  }
}

/* Timers up to a watermark: in order of time, then of key. */
static void check_timers(struct model *model, struct reader *reader, int64_t watermark_ms) {
  for (int64_t amount = 0; amount < 100 && amount * 10 <= watermark_ms; amount++)
    for (uint32_t key = 0; key < KEYS; key++) {
      if (!model->timers[key][amount]) continue;
      model->timers[key][amount] = false;
      check_row(reader, key, -amount * 10, model);
      CHECK_PASSED();
    }
}

static void check_states(const struct model *model, struct test_operator *test) {
  uint64_t expected = 0;
  for (uint32_t key = 0; key < KEYS; key++) {
    expected += model->keys[key].has_total + (uint64_t)model->keys[key].has_note;
    for (uint32_t amount = 0; amount < 100; amount++)
      expected += model->timers[key][amount];
  }
  CHECK_INT(wr_backend_row_count(test->backend), expected);
}

static bool begin(struct test_operator *test, struct wr_memory *memory,
                  const struct weir_operator_definition *definition, bool keyed, uint32_t wait_one_in, uint64_t seed) {
  struct weir_error *error = &test->context.error;
  return test_operator_init(test, memory, &input_schema, definition->output,
                            (struct wr_key_fields){key_field, keyed ? 1 : 0}, wait_one_in, seed) &&
         wr_user_new(definition, &test->context, &test->op, error) == WEIR_OK &&
         test->op->vtable->open(test->op, error) == WEIR_OK &&
         test->op->vtable->restored(test->op, NULL, error) == WEIR_OK;
}

static void run_model(uint32_t wait_one_in) {
  struct wr_heap_memory heap;
  struct test_operator test;
  static struct model model;
  uint64_t seed = test_seed();
  struct wr_random random = wr_random_of(seed);
  memset(&model, 0, sizeof model);
  wr_heap_memory_init(&heap, 0);
  CHECK(begin(&test, &heap.memory, &totals_definition, true, wait_one_in, seed));
  struct reader reader = {.test = &test};
  for (uint32_t round = 0; round < ROUNDS; round++) {
    struct wr_batch *batch = make_batch(&heap.memory, &random, 1 + (uint32_t)wr_random_below(&random, ROWS_MAX));
    CHECK_INT(test_operator_process(&test, batch), WR_RESULT_OK);
    check_batch(&model, &reader, batch);
    CHECK_PASSED();
    wr_batch_unref(batch);
    check_states(&model, &test);
    CHECK_PASSED();
    if (wr_random_below(&random, 3) != 0) continue;
    int64_t watermark_ms = round + 1 == ROUNDS ? INT64_MAX : (int64_t)wr_random_below(&random, 1000);
    CHECK_INT(test_operator_watermark(&test, watermark_ms), WR_RESULT_OK);
    check_timers(&model, &reader, watermark_ms);
    CHECK_PASSED();
    check_states(&model, &test);
    CHECK_PASSED();
  }
  wr_batch_unref(reader.batch);
  CHECK(test_operator_take(&test) == NULL);
  CHECK((wait_one_in != 0) == (test.waits != 0));
  test_operator_deinit(&test);
  CHECK_INT(heap.total_bytes, 0);
}

TEST(states_and_timers) {
  run_model(0);
}

TEST(states_that_must_wait) {
  run_model(2);
}

/* ---- processing time ---- */

static enum weir_code one_timer(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error) {
  for (uint32_t row = 0; row < weir_batch_row_count(batch); row++) {
    enum weir_code code = weir_timer_register(op, WEIR_PROCESSING_TIME, weir_operator_now_ms(op) + 50, row, error);
    if (code != WEIR_OK) return code;
  }
  return WEIR_OK;
}

static enum weir_code emit_time(struct weir_operator *op, enum weir_time time, const struct weir_batch *keys,
                                const int64_t *times_ms, struct weir_error *error) {
  (void)time;
  for (uint32_t row = 0; row < weir_batch_row_count(keys); row++) {
    weir_set_bigint(op, 1, times_ms[row]);
    enum weir_code code = weir_emit(op, WEIR_INSERT, error);
    if (code != WEIR_OK) return code;
  }
  return WEIR_OK;
}

TEST(timers_of_processing_time) {
  const struct weir_operator_definition definition = {
      .size = sizeof definition, .output = &output_schema, .process = one_timer, .timers = emit_time};
  struct wr_heap_memory heap;
  struct test_operator test;
  struct wr_random random = wr_random_of(3);
  uint64_t wake_at_ns = UINT64_MAX;
  wr_heap_memory_init(&heap, 0);
  CHECK(begin(&test, &heap.memory, &definition, true, 0, 1));
  struct wr_batch *batch = make_batch(&heap.memory, &random, 1);
  test.context.now_ms = 1000;
  test.context.now_ns = 5000000;
  CHECK_INT(test_operator_process(&test, batch), WR_RESULT_OK);
  CHECK_INT(test.op->vtable->poll(test.op, &wake_at_ns), WR_RESULT_WAIT);
  CHECK_INT(wake_at_ns, 55000000);
  CHECK(test_operator_take(&test) == NULL);
  test.context.now_ms = 1050;
  CHECK(test.op->vtable->poll(test.op, &wake_at_ns) != WR_RESULT_ERROR);
  struct wr_batch *out = test_operator_take(&test);
  CHECK(out != NULL && out->row_kinds == NULL);
  CHECK_INT(wr_column_bigints(&out->columns[1])[0], 1050);
  wr_batch_unref(out);
  /* What is registered when the input ends never fires, and leaves nothing behind. */
  CHECK_INT(test_operator_process(&test, batch), WR_RESULT_OK);
  CHECK_INT(wr_backend_row_count(test.backend), 1);
  while (test.op->vtable->end_input(test.op, 0, &wake_at_ns) == WR_RESULT_MORE) {
  }
  CHECK_INT(wr_backend_row_count(test.backend), 0);
  test.context.now_ms = 9000;
  CHECK_INT(test.op->vtable->poll(test.op, &wake_at_ns), WR_RESULT_WAIT);
  CHECK(test_operator_take(&test) == NULL);
  wr_batch_unref(batch);
  test_operator_deinit(&test);
  CHECK_INT(heap.total_bytes, 0);
}

/* Rows per key, kept in two states, and a timer for each that tells of both. */
static enum weir_code open_counts(struct weir_operator *op, struct weir_error *error) {
  enum weir_code code = weir_operator_declare_state(op, "total", &total_schema, NULL, error);
  return code != WEIR_OK ? code : weir_operator_declare_state(op, "again", &total_schema, NULL, error);
}

static enum weir_code count_rows(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error) {
  struct weir_state *totals = weir_operator_state(op, "total"), *again = weir_operator_state(op, "again");
  for (uint32_t row = 0; row < weir_batch_row_count(batch); row++) {
    ((struct total *)weir_state_put(totals, row))->rows++;
    ((struct total *)weir_state_put(again, row))->rows++;
    enum weir_code code = weir_timer_register(op, WEIR_PROCESSING_TIME, weir_operator_now_ms(op) + 1, row, error);
    if (code != WEIR_OK) return code;
  }
  return WEIR_OK;
}

/* Sends what was counted since the last time, and forgets it. */
static enum weir_code tell_counts(struct weir_operator *op, enum weir_time time, const struct weir_batch *keys,
                                  const int64_t *times_ms, struct weir_error *error) {
  struct weir_state *totals = weir_operator_state(op, "total"), *again = weir_operator_state(op, "again");
  (void)times_ms;
  for (uint32_t row = 0; row < weir_batch_row_count(keys); row++) {
    const struct total *total = weir_state_get(totals, row), *other = weir_state_get(again, row);
    if (time != WEIR_PROCESSING_TIME || (total == NULL) != (other == NULL) ||
        (total != NULL && total->rows != other->rows))
      return weir_fail(error, WEIR_OPERATOR, "the two states differ");
    if (total == NULL) continue;
    weir_set_bigint(op, 1, total->rows);
    enum weir_code code = weir_emit(op, WEIR_INSERT, error);
    if (code != WEIR_OK) return code;
    weir_state_clear(totals, row);
    weir_state_clear(again, row);
  }
  return WEIR_OK;
}

static const struct weir_operator_definition counts_definition = {.size = sizeof(struct weir_operator_definition),
                                                                  .output = &output_schema,
                                                                  .open = open_counts,
                                                                  .process = count_rows,
                                                                  .timers = tell_counts};

static int64_t take_sum(struct test_operator *test) {
  int64_t sum = 0;
  for (struct wr_batch *out; (out = test_operator_take(test)) != NULL; wr_batch_unref(out))
    for (uint32_t row = 0; row < out->row_count; row++)
      sum += wr_column_bigints(&out->columns[1])[row];
  return sum;
}

/* Timers fall due in the middle of calls that must wait, and a barrier comes: nothing is told twice or late. */
TEST(timers_between_calls_that_wait) {
  struct wr_heap_memory heap;
  struct test_operator test;
  uint64_t seed = test_seed(), wake_at_ns = UINT64_MAX;
  struct wr_random random = wr_random_of(seed);
  int64_t rows = 0, told = 0;
  wr_heap_memory_init(&heap, 0);
  CHECK(begin(&test, &heap.memory, &counts_definition, true, 2, seed));
  for (uint32_t round = 0; round < 500; round++) {
    uint32_t count = 1 + (uint32_t)wr_random_below(&random, 20);
    struct wr_batch *batch = make_batch(&heap.memory, &random, count);
    enum wr_result result;
    rows += count;
    do {
      test.context.now_ms += (int64_t)wr_random_below(&random, 2);
      if (wr_random_below(&random, 2) == 0) CHECK(test.op->vtable->poll(test.op, &wake_at_ns) != WR_RESULT_ERROR);
      test.output.emitted_in_call = 0;
      result = test.op->vtable->process(test.op, 0, batch, &wake_at_ns);
    } while (test_operator_again(&test, result));
    CHECK_INT(result, WR_RESULT_OK);
    wr_batch_unref(batch);
    CHECK(test.op->vtable->poll(test.op, &wake_at_ns) != WR_RESULT_ERROR);
    do {
      test.output.emitted_in_call = 0;
      result = test.op->vtable->before_barrier(test.op, round, &wake_at_ns);
    } while (test_operator_again(&test, result));
    CHECK_INT(result, WR_RESULT_OK);
    CHECK_INT(((struct weir_operator *)test.op)->due.count, 0); /* else the snapshot would miss them */
    told += take_sum(&test);
    CHECK(told <= rows);
  }
  test.context.now_ms += 2;
  /* Also the timers of rows that an earlier one has told of. */
  while (told < rows || wr_backend_row_count(test.backend) != 0) {
    CHECK(test.op->vtable->poll(test.op, &wake_at_ns) != WR_RESULT_ERROR);
    told += take_sum(&test);
  }
  CHECK_INT(told, rows);
  CHECK_INT(wr_backend_row_count(test.backend), 0);
  CHECK(test.waits != 0);
  test_operator_deinit(&test);
  CHECK_INT(heap.total_bytes, 0);
}

/* ---- rows as they are ---- */

static enum weir_code keep_odd(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error) {
  uint32_t rows[ROWS_MAX], count = 0;
  for (uint32_t row = 0; row < weir_batch_row_count(batch); row++)
    if (weir_batch_bigint(batch, 1, row) % 2 == 1) rows[count++] = row;
  return weir_emit_rows(op, batch, rows, count, error);
}

TEST(rows_passed_on) {
  const struct weir_operator_definition definition = {
      .size = sizeof definition, .output = &input_schema, .process = keep_odd};
  struct wr_heap_memory heap;
  struct test_operator test;
  struct wr_random random = wr_random_of(test_seed());
  wr_heap_memory_init(&heap, 0);
  CHECK(begin(&test, &heap.memory, &definition, false, 0, 1));
  struct wr_batch *batch = make_batch(&heap.memory, &random, ROWS_MAX);
  CHECK_INT(test_operator_process(&test, batch), WR_RESULT_OK);
  struct wr_batch *out = test_operator_take(&test);
  uint32_t at = 0;
  for (uint32_t i = 0; i < ROWS_MAX; i++) {
    int64_t amount = wr_column_bigints(&batch->columns[1])[i];
    if (amount % 2 == 0) continue;
    CHECK(out != NULL && at < out->row_count);
    CHECK_INT(wr_column_bigints(&out->columns[1])[at++], amount);
  }
  CHECK(out == NULL || out->row_count == at);
  wr_batch_unref(out);
  wr_batch_unref(batch);
  test_operator_deinit(&test);
  CHECK_INT(heap.total_bytes, 0);
}

/* ---- errors ---- */

static enum weir_code refuse(struct weir_operator *op, const struct weir_batch *batch, struct weir_error *error) {
  (void)op;
  return weir_batch_row_count(batch) == 1 ? WEIR_TIMEOUT : weir_fail(error, WEIR_OPERATOR, "row %d is odd", 7);
}

static enum weir_code declare_without_key(struct weir_operator *op, struct weir_error *error) {
  return weir_operator_declare_state(op, "s", &total_schema, NULL, error);
}

TEST(errors_name_the_operator) {
  struct weir_operator_definition definition = {.size = sizeof definition, .process = refuse};
  struct wr_heap_memory heap;
  struct test_operator test;
  struct wr_random random = wr_random_of(5);
  wr_heap_memory_init(&heap, 0);
  CHECK(begin(&test, &heap.memory, &definition, false, 0, 1));
  struct wr_batch *one = make_batch(&heap.memory, &random, 1), *two = make_batch(&heap.memory, &random, 2);
  CHECK_INT(test_operator_process(&test, two), WR_RESULT_ERROR);
  CHECK_INT(test.context.error.code, WEIR_OPERATOR);
  CHECK_STRING(test.context.error.message, "operator 'tested': row 7 is odd");
  CHECK_INT(test_operator_process(&test, one), WR_RESULT_ERROR);
  CHECK_INT(test.context.error.code, WEIR_TIMEOUT);
  CHECK(strstr(test.context.error.message, "gave no reason") != NULL);
  wr_batch_unref(one);
  wr_batch_unref(two);
  test_operator_deinit(&test);
  definition.open = declare_without_key;
  CHECK(!begin(&test, &heap.memory, &definition, false, 0, 1));
  CHECK_INT(test.context.error.code, WEIR_INVALID);
  CHECK(strstr(test.context.error.message, "'tested'") != NULL && strstr(test.context.error.message, "key") != NULL);
  test_operator_deinit(&test);
  definition.size = 8;
  CHECK_INT(wr_user_check(&definition, NULL), WEIR_INVALID);
  CHECK_INT(heap.total_bytes, 0);
}

TEST(every_allocation_fails) {
  bool finished = false;
  uint64_t failures = 0;
  struct wr_heap_memory heap;
  struct wr_random random = wr_random_of(9);
  wr_heap_memory_init(&heap, 0);
  struct wr_batch *batch = make_batch(&heap.memory, &random, ROWS_MAX);
  for (uint64_t n = 1; !finished; n++) {
    struct test_memory memory;
    struct test_operator test = {0};
    test_memory_init(&memory);
    test_memory_fail_after(&memory, n, false);
    if (begin(&test, &memory.memory, &totals_definition, true, 0, 1) &&
        test_operator_process(&test, batch) == WR_RESULT_OK)
      finished = test_operator_watermark(&test, INT64_MAX) == WR_RESULT_OK;
    if (!finished) CHECK_INT(test.context.error.code, WEIR_NO_MEMORY);
    failures += memory.failures;
    test_operator_deinit(&test);
    CHECK_INT(memory.living_count, 0);
  }
  CHECK(failures > 20);
  wr_batch_unref(batch);
  CHECK_INT(heap.total_bytes, 0);
}

TEST_MAIN(TEST_CASE(states_and_timers), TEST_CASE(states_that_must_wait), TEST_CASE(timers_of_processing_time),
          TEST_CASE(timers_between_calls_that_wait), TEST_CASE(rows_passed_on), TEST_CASE(errors_name_the_operator),
          TEST_CASE(every_allocation_fails))
