/* operators/test_count.c: the keyed count against a naive one: keys of all kinds, selections, changelogs, WAIT, and
 * every allocation failing once. */
#include "operators/count.h"

#include "base/random.h"
#include "operators/key_columns.h"
#include "operators/test_operator.h"

enum { KEYS = 300, ROUNDS = 60 };

static const struct weir_field bigint_fields[] = {{"other", WEIR_TYPE_INT, false}, {"key", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema bigint_schema = {bigint_fields, 2};
static const struct weir_field nullable_fields[] = {{"other", WEIR_TYPE_INT, false}, {"key", WEIR_TYPE_BIGINT, true}};
static const struct weir_schema nullable_schema = {nullable_fields, 2};
static const struct weir_field string_fields[] = {{"other", WEIR_TYPE_INT, false}, {"key", WEIR_TYPE_STRING, false}};
static const struct weir_schema string_schema = {string_fields, 2};
static const struct weir_field pair_fields[] = {{"more", WEIR_TYPE_STRING, false}, {"key", WEIR_TYPE_BIGINT, true}};
static const struct weir_schema pair_schema = {pair_fields, 2};
static const uint32_t one_key[] = {1}, two_keys[] = {1, 0};

/* A run of batches through one operator, beside the counts that should come out. */
struct run {
  struct wr_heap_memory heap;
  struct test_operator test;
  struct weir_schema *output;
  const struct weir_schema *input;
  struct wr_random random;
  int64_t counts[KEYS];
  int64_t shown[KEYS]; /* what the output says, applied as an upsert */
};

/* Key k as the text that the string keys are: some are longer than a view. */
static int key_text(uint32_t k, char *text, size_t size) {
  return snprintf(text, size, k % 3 == 0 ? "app%u" : "an-application-with-a-long-name-%u", k);
}

static void set_key(struct wr_batch_builder *builder, uint32_t k) {
  char text[64];
  struct weir_error error;
  int length = key_text(k, text, sizeof text);
  for (uint32_t f = 0; f < 2; f++) {
    const struct weir_field *field = &builder->schema->fields[f];
    if (field->type == WEIR_TYPE_INT)
      wr_batch_builder_set_int(builder, f, -1);
    else if (field->type == WEIR_TYPE_STRING)
      wr_batch_builder_set_bytes(builder, f, text, (size_t)length, &error);
    else if (field->nullable && k == 0)
      wr_batch_builder_set_null(builder, f, &error);
    else
      wr_batch_builder_set_bigint(builder, f, (int64_t)k * 1000003 - 7);
  }
}

/* Which key an output row has; KEYS: none of ours. */
static uint32_t key_of(const struct wr_batch *batch, uint32_t row) {
  char text[64];
  for (uint32_t k = 0; k < KEYS; k++) {
    bool same = true;
    for (uint32_t f = 0; f + 1 < batch->schema->field_count; f++) {
      const struct wr_column *column = &batch->columns[f];
      bool is_null = wr_column_is_null(column, row);
      if (batch->schema->fields[f].type == WEIR_TYPE_STRING) {
        int length = key_text(k, text, sizeof text);
        const struct wr_view *view = &wr_column_views(column)[row];
        same =
            same && !is_null && view->length == length && memcmp(wr_view_bytes(batch, view), text, (size_t)length) == 0;
      } else if (batch->schema->fields[f].nullable && k == 0) {
        same = same && is_null;
      } else {
        same = same && !is_null && wr_column_bigints(column)[row] == (int64_t)k * 1000003 - 7;
      }
    }
    if (same) return k;
  }
  return KEYS;
}

static struct wr_batch *make_batch(struct run *run, uint32_t rows, uint32_t key_count, bool changelog) {
  struct wr_batch_builder builder;
  struct weir_error error;
  wr_batch_builder_init(&builder, &run->heap.memory, run->input, changelog);
  uint8_t drop[WR_BATCH_ROWS_MAX] = {0};
  bool drops = wr_random_below(&run->random, 3) == 0;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < rows; i++) {
    uint32_t k = (uint32_t)wr_random_below(&run->random, key_count);
    if (wr_batch_builder_begin(&builder, &error) != WEIR_OK) abort();
    set_key(&builder, k);
    bool back = changelog && wr_random_below(&run->random, 2) == 0;
    wr_batch_builder_end_row(&builder, back                                                 ? WEIR_DELETE
                                       : wr_random_below(&run->random, 2) == 0 && changelog ? WEIR_UPDATE_AFTER
                                                                                            : WEIR_INSERT);
    drop[i] = drops && wr_random_below(&run->random, 4) == 0;
    kept += drop[i] == 0;
    if (drop[i] != 0) continue;
    if (!back)
      run->counts[k]++;
    else if (run->counts[k] > 0)
      run->counts[k]--;
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  if (drops) {
    batch->selection = wr_alloc(&run->heap.memory, (kept + 1) * sizeof(uint16_t), WR_MEMORY_BATCH);
    batch->selected_count = 0;
    for (uint32_t i = 0; i < rows; i++)
      if (drop[i] == 0) batch->selection[batch->selected_count++] = (uint16_t)i;
  }
  wr_batch_builder_deinit(&builder);
  return batch;
}

/* Applies what came out, checking that each row is one that can follow what is shown, and each key comes once a batch.
 */
static void apply_output(struct run *run) {
  for (struct wr_batch *batch; (batch = test_operator_take(&run->test)) != NULL; wr_batch_unref(batch)) {
    uint8_t met[KEYS] = {0};
    const int64_t *counts = wr_column_bigints(&batch->columns[batch->schema->field_count - 1]);
    CHECK(batch->selection == NULL);
    for (uint32_t row = 0; row < batch->row_count; row++) {
      uint32_t k = key_of(batch, row);
      CHECK(k < KEYS);
      CHECK_INT(met[k]++, 0);
      enum weir_row_kind kind = wr_batch_row_kind(batch, row);
      CHECK_INT(kind, run->shown[k] == 0 ? WEIR_INSERT : counts[row] == 0 ? WEIR_DELETE : WEIR_UPDATE_AFTER);
      CHECK(counts[row] >= 0 && (kind == WEIR_DELETE) == (counts[row] == 0));
      run->shown[k] = counts[row];
    }
  }
}

static bool begin(struct run *run, const struct weir_schema *input, struct wr_key_fields key, uint64_t seed,
                  uint32_t wait_one_in) {
  static const struct weir_field count_fields[] = {{"n", WEIR_TYPE_BIGINT, false}};
  static const struct weir_schema count_schema = {count_fields, 1};
  memset(run, 0, sizeof *run);
  wr_heap_memory_init(&run->heap, 0);
  run->random = wr_random_of(seed);
  run->input = input;
  run->output = wr_key_schema(&run->heap.memory, input, &key, &count_schema);
  if (!test_operator_init(&run->test, &run->heap.memory, input, run->output, key, wait_one_in, seed)) return false;
  struct weir_error *error = &run->test.context.error;
  return wr_count_new(&run->test.context, &run->test.op, error) == WEIR_OK &&
         run->test.op->vtable->open(run->test.op, error) == WEIR_OK;
}

static void end(struct run *run) {
  test_operator_deinit(&run->test);
  wr_free(&run->heap.memory, run->output);
  CHECK_INT(run->heap.total_bytes, 0);
}

static void check_run(const struct weir_schema *input, struct wr_key_fields key, bool changelog, uint32_t wait_one_in) {
  struct run run;
  uint64_t living = 0;
  CHECK(begin(&run, input, key, test_seed(), wait_one_in));
  for (uint32_t round = 0; round < ROUNDS; round++) {
    uint32_t rows = 1 + (uint32_t)wr_random_below(&run.random, WR_BATCH_ROWS_MAX);
    struct wr_batch *batch = make_batch(&run, rows, 1 + (uint32_t)wr_random_below(&run.random, KEYS), changelog);
    CHECK_INT(test_operator_process(&run.test, batch), WR_RESULT_OK);
    wr_batch_unref(batch);
    apply_output(&run);
    CHECK_PASSED();
    CHECK(memcmp(run.counts, run.shown, sizeof run.counts) == 0);
  }
  for (uint32_t k = 0; k < KEYS; k++)
    living += run.counts[k] != 0;
  CHECK_INT(wr_backend_row_count(run.test.backend), living);
  CHECK((wait_one_in != 0) == (run.test.waits != 0));
  end(&run);
}

TEST(bigint_keys) {
  check_run(&bigint_schema, (struct wr_key_fields){one_key, 1}, false, 0);
}

TEST(bigint_keys_of_a_changelog) {
  check_run(&bigint_schema, (struct wr_key_fields){one_key, 1}, true, 3);
}

TEST(keys_that_can_be_null) {
  check_run(&nullable_schema, (struct wr_key_fields){one_key, 1}, false, 3);
}

TEST(string_keys) {
  check_run(&string_schema, (struct wr_key_fields){one_key, 1}, false, 3);
}

TEST(keys_of_two_fields_of_a_changelog) {
  check_run(&pair_schema, (struct wr_key_fields){two_keys, 2}, true, 3);
}

/* Each allocation of a run fails once: an error, never a crash, and nothing stays. */
TEST(every_allocation_fails) {
  bool finished = false;
  uint64_t failures = 0;
  for (uint64_t n = 1; !finished; n++) {
    struct test_memory memory;
    struct run run;
    struct test_operator test = {0};
    const struct wr_key_fields key = {one_key, 1};
    CHECK(begin(&run, &string_schema, key, 7, 0));
    struct wr_batch *batch = make_batch(&run, 1000, KEYS, false);
    test_memory_init(&memory);
    test_memory_fail_after(&memory, n, false);
    struct weir_error *error = &test.context.error;
    if (test_operator_init(&test, &memory.memory, &string_schema, run.output, key, 0, 7) &&
        wr_count_new(&test.context, &test.op, error) == WEIR_OK && test.op->vtable->open(test.op, error) == WEIR_OK)
      finished = test_operator_process(&test, batch) == WR_RESULT_OK;
    if (!finished) CHECK_INT(test.context.error.code, WEIR_NO_MEMORY);
    failures += memory.failures;
    test_operator_deinit(&test);
    CHECK_INT(memory.living_count, 0);
    wr_batch_unref(batch);
    end(&run);
  }
  CHECK(failures > 10);
}

TEST_MAIN(TEST_CASE(bigint_keys), TEST_CASE(bigint_keys_of_a_changelog), TEST_CASE(keys_that_can_be_null),
          TEST_CASE(string_keys), TEST_CASE(keys_of_two_fields_of_a_changelog), TEST_CASE(every_allocation_fails))
