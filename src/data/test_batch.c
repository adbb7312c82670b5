/* Tests of data/batch and data/batch_builder. */
#include "base/limits.h"
#include "base/random.h"
#include "base/test.h"
#include "base/test_memory.h"
#include "data/batch_builder.h"

static const struct weir_field all_fields[] = {
    {"flag", WEIR_TYPE_BOOLEAN, true}, {"small", WEIR_TYPE_INT, false},  {"big", WEIR_TYPE_BIGINT, true},
    {"real", WEIR_TYPE_DOUBLE, false}, {"text", WEIR_TYPE_STRING, true}, {"raw", WEIR_TYPE_BYTES, false},
    {"at", WEIR_TYPE_TIMESTAMP, true},
};
static const struct weir_schema all_types = {all_fields, 7};
static const struct weir_field bigint_fields[] = {{"a", WEIR_TYPE_BIGINT, false}, {"b", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema two_bigints = {bigint_fields, 2};

/* The row of a number: every value follows from it; every fifth row is NULL where it may be. */
static enum weir_code put_row(struct wr_batch_builder *builder, uint32_t number) {
  char text[64];
  WR_TRY(wr_batch_builder_begin(builder, NULL));
  memset(text, 'a' + (int)(number % 26), sizeof text);
  wr_batch_builder_set_int(builder, 1, -(int32_t)number);
  wr_batch_builder_set_double(builder, 3, number / 4.0);
  WR_TRY(wr_batch_builder_set_bytes(builder, 5, text, number % 13, NULL));
  if (number % 5 != 0) {
    wr_batch_builder_set_boolean(builder, 0, number % 2 != 0);
    wr_batch_builder_set_bigint(builder, 2, (int64_t)number << 32);
    WR_TRY(wr_batch_builder_set_bytes(builder, 4, text, number % 64, NULL));
    wr_batch_builder_set_timestamp(builder, 6, (struct weir_timestamp){.milliseconds = number, .nanoseconds = 7});
  }
  wr_batch_builder_end_row(builder, (enum weir_row_kind)(number % 4));
  return WEIR_OK;
}

static bool row_is(const struct wr_batch *batch, uint32_t row, uint32_t number) {
  const struct wr_column *columns = batch->columns;
  const struct wr_view *raw = &wr_column_views(&columns[5])[row];
  bool good = ((const int32_t *)columns[1].values)[row] == -(int32_t)number &&
              ((const double *)columns[3].values)[row] == number / 4.0 && raw->length == (int32_t)(number % 13) &&
              (unsigned)wr_batch_row_kind(batch, row) == number % 4;
  static const uint32_t nullable[] = {0, 2, 4, 6};
  for (int i = 0; i < 4; i++)
    good = good && wr_column_is_null(&columns[nullable[i]], row) == (number % 5 == 0);
  if (!good || number % 5 == 0) return good;
  const struct wr_view *text = &wr_column_views(&columns[4])[row];
  const struct weir_timestamp *time = &((const struct weir_timestamp *)columns[6].values)[row];
  good = ((const uint8_t *)columns[0].values)[row] == number % 2 &&
         wr_column_bigints(&columns[2])[row] == (int64_t)number << 32 && text->length == (int32_t)(number % 64) &&
         time->milliseconds == number && time->nanoseconds == 7;
  for (int32_t i = 0; good && i < text->length; i++)
    good = wr_view_bytes(batch, text)[i] == 'a' + (char)(number % 26);
  return good && (text->length <= 12 || memcmp(text->prefix, wr_view_bytes(batch, text), 4) == 0);
}

TEST(rows_round_trip) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &memory.memory, &all_types, true);
  CHECK(wr_batch_builder_take(&builder) == NULL);
  static const uint32_t sizes[] = {1, 4000, 63, 64, 65, 500, 3};
  for (size_t round = 0; round < sizeof sizes / sizeof sizes[0]; round++) {
    uint32_t rows = 0;
    for (; rows < sizes[round] && !wr_batch_builder_is_full(&builder); rows++)
      CHECK_INT(put_row(&builder, rows + (uint32_t)round), WEIR_OK);
    struct wr_batch *batch = wr_batch_builder_take(&builder);
    CHECK_INT(batch->row_count, rows);
    CHECK_INT(batch->selected_count, rows);
    for (uint32_t i = 0; i < rows; i++)
      CHECK(row_is(batch, i, i + (uint32_t)round));
    CHECK(batch->bytes >= rows * 69 && (rows > 480 || batch->bytes < 200000));
    wr_batch_unref(wr_batch_ref(batch));
    wr_batch_unref(batch);
  }
  wr_batch_builder_deinit(&builder);
  CHECK_INT(memory.living_count, 0);
}

TEST(unset_and_cancelled_values_are_null) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_batch_builder builder;
  struct weir_error error;
  wr_batch_builder_init(&builder, &memory.memory, &all_types, false);
  CHECK_INT(wr_batch_builder_begin(&builder, &error), WEIR_OK);
  wr_batch_builder_set_bigint(&builder, 2, 77);
  CHECK_INT(wr_batch_builder_set_bytes(&builder, 4, "never seen", 10, &error), WEIR_OK);
  wr_batch_builder_cancel_row(&builder);
  wr_batch_builder_set_int(&builder, 1, 1);
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  wr_batch_builder_set_bigint(&builder, 2, 78);
  CHECK_INT(wr_batch_builder_set_null(&builder, 2, &error), WEIR_OK);
  CHECK_INT(wr_batch_builder_set_null(&builder, 1, &error), WEIR_INVALID);
  CHECK_STRING(error.message, "field \"small\" cannot be NULL");
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  wr_batch_builder_set_bigint(&builder, 2, 79); /* begun, not ended: not part of the batch */
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  CHECK_INT(batch->row_count, 2);
  for (uint32_t row = 0; row < 2; row++) {
    CHECK(wr_column_is_null(&batch->columns[2], row) && wr_column_is_null(&batch->columns[4], row));
    CHECK_INT(wr_column_bigints(&batch->columns[2])[row], 0);
    CHECK_INT(wr_column_views(&batch->columns[4])[row].length, 0);
  }
  wr_batch_unref(batch);
  CHECK_INT(wr_batch_builder_begin(&builder, &error), WEIR_OK);
  for (int row = 0; row < 3; row++)
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  batch = wr_batch_builder_take(&builder);
  CHECK(wr_column_is_null(&batch->columns[2], 2));
  CHECK_INT(wr_column_bigints(&batch->columns[2])[2], 0);
  wr_batch_unref(batch);
  CHECK_INT(put_row(&builder, 4), WEIR_OK);
  batch = wr_batch_builder_take(&builder);
  CHECK(batch->columns[2].validity == NULL); /* no NULL: no bits */
  CHECK_INT(wr_column_bigints(&batch->columns[2])[0], (int64_t)4 << 32);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  CHECK_INT(memory.living_count, 0);
}

TEST(a_batch_is_two_allocations_at_most) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &memory.memory, &two_bigints, false);
  CHECK_INT(builder.capacity_rows, WR_BATCH_ROWS_MAX);
  CHECK_INT(wr_batch_builder_begin(&builder, NULL), WEIR_OK);
  for (uint32_t i = 0; i < WR_BATCH_ROWS_MAX; i++)
    ((int64_t *)builder.batch->columns[0].values)[i] = ((int64_t *)builder.batch->columns[1].values)[i] = i;
  builder.batch->row_count = builder.batch->selected_count = WR_BATCH_ROWS_MAX;
  CHECK(wr_batch_builder_is_full(&builder));
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  CHECK(memory.allocations <= 2);
  CHECK(batch->bytes >= 65536 && batch->bytes < 66000 && memory.living_bytes == batch->bytes);
  wr_batch_unref(batch);
  CHECK_INT(memory.living_count, 0);
}

TEST(full_by_bytes) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_batch_builder builder;
  static const struct weir_field fields[] = {{"s", WEIR_TYPE_STRING, false}};
  static const struct weir_schema schema = {fields, 1};
  wr_batch_builder_init(&builder, &memory.memory, &schema, false);
  static char text[100000];
  memset(text, 'x', sizeof text);
  uint32_t rows = 0;
  for (; !wr_batch_builder_is_full(&builder); rows++) {
    CHECK_INT(wr_batch_builder_begin(&builder, NULL), WEIR_OK);
    CHECK_INT(wr_batch_builder_set_bytes(&builder, 0, text, sizeof text, NULL), WEIR_OK);
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  CHECK_INT(rows, 3);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  CHECK_INT(memory.memory.tag_bytes[WR_MEMORY_BATCH] >= batch->bytes, 1);
  CHECK(!wr_batch_builder_is_full(&builder));
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  CHECK_INT(memory.living_count, 0);
}

/* Gathers random rows, or a run, of one batch into another, with rows before them, and compares with the numbers. */
static void gather_once(struct wr_random *random, struct test_memory *memory) {
  struct wr_batch_builder from, to;
  wr_batch_builder_init(&from, &memory->memory, &all_types, true);
  wr_batch_builder_init(&to, &memory->memory, &all_types, true);
  uint32_t source_rows = 1 + (uint32_t)wr_random_below(random, 2000), base = (uint32_t)wr_random_below(random, 1000);
  for (uint32_t i = 0; i < source_rows; i++)
    CHECK_INT(put_row(&from, base + i), WEIR_OK);
  struct wr_batch *source = wr_batch_builder_take(&from);
  uint32_t before = (uint32_t)wr_random_below(random, 200);
  for (uint32_t i = 0; i < before; i++)
    CHECK_INT(put_row(&to, i), WEIR_OK);
  uint16_t rows[1000];
  uint32_t count = (uint32_t)wr_random_below(random, 1000);
  bool run = wr_random_one_in(random, 3);
  if (run && count > source_rows) count = source_rows;
  for (uint32_t i = 0; i < count; i++)
    rows[i] = run ? (uint16_t)(source_rows - count + i) : (uint16_t)wr_random_below(random, source_rows);
  CHECK_INT(wr_batch_builder_gather(&to, source, rows, count, NULL), WEIR_OK);
  wr_batch_unref(source); /* nothing of it may be needed any more */
  struct wr_batch *batch = wr_batch_builder_take(&to);
  CHECK_INT(batch == NULL ? 0 : batch->row_count, before + count);
  for (uint32_t i = 0; i < before + count; i++)
    CHECK(row_is(batch, i, i < before ? i : base + rows[i - before]));
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&from);
  wr_batch_builder_deinit(&to);
}

TEST(gather_random) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_random random = wr_random_of(test_seed());
  for (int round = 0; round < 200; round++) {
    gather_once(&random, &memory);
    CHECK_PASSED();
    CHECK_INT(memory.living_count, 0);
  }
}

/* Builds 200 rows and gathers them twice; how many of the 600 rows came out right, -1: one was wrong. */
static int build_and_gather(struct test_memory *memory) {
  struct wr_batch_builder from, to;
  wr_batch_builder_init(&from, &memory->memory, &all_types, true);
  wr_batch_builder_init(&to, &memory->memory, &all_types, true);
  uint32_t built = 0;
  while (built < 200 && put_row(&from, built) == WEIR_OK)
    built++;
  if (wr_batch_builder_rows(&from) != built) return -1;
  struct wr_batch *source = wr_batch_builder_take(&from);
  uint16_t rows[200];
  for (uint16_t i = 0; i < 200; i++)
    rows[i] = (uint16_t)(i < built ? built - 1 - i : 0);
  uint32_t gathered = 0;
  struct weir_error error;
  for (int i = 0; i < 2 && source != NULL; i++) {
    enum weir_code code = wr_batch_builder_gather(&to, source, rows, source->row_count, &error);
    if (code != WEIR_OK && code != WEIR_NO_MEMORY) return -1;
    if (code == WEIR_OK) gathered += source->row_count;
  }
  /* What a failed gather left beyond the rows is not to be seen: row 0 has NULLs, by fields that are not set. */
  uint32_t last = put_row(&to, 0) == WEIR_OK;
  struct wr_batch *batch = wr_batch_builder_take(&to);
  bool good = (batch == NULL ? 0 : batch->row_count) == gathered + last && (last == 0 || row_is(batch, gathered, 0));
  for (uint32_t i = 0; good && i < gathered; i++)
    good = row_is(batch, i, built - 1 - i % built);
  for (uint32_t i = 0; good && i < built; i++)
    good = row_is(source, i, i);
  wr_batch_unref(source);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&from);
  wr_batch_builder_deinit(&to);
  return good ? (int)(built + gathered) : -1;
}

TEST(every_allocation_fails) {
  for (int for_ever = 0; for_ever < 2; for_ever++) {
    for (uint64_t n = 1;; n++) {
      struct test_memory memory;
      test_memory_init(&memory);
      test_memory_fail_after(&memory, n, for_ever != 0);
      int rows = build_and_gather(&memory);
      CHECK(rows >= 0);
      CHECK_INT(memory.living_count, 0);
      if (memory.failures != 0) continue;
      CHECK_INT(rows, 600);
      CHECK(n > 5);
      break;
    }
  }
}

TEST(heaps_grow_and_are_shared) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_batch *batch = wr_batch_new(&memory.memory, &all_types, 10, false);
  struct wr_heap *first = wr_heap_new(&memory.memory, 100);
  CHECK(wr_batch_add_heap(batch, wr_heap_ref(first)));
  for (int i = 1; i < 40; i++)
    CHECK(wr_batch_add_heap(batch, wr_heap_new(&memory.memory, 10)));
  CHECK_INT(batch->heap_count, 40);
  CHECK(batch->heaps[0] == first);
  wr_batch_unref(batch);
  CHECK_INT(memory.living_count, 1);
  wr_heap_unref(first);
  CHECK_INT(memory.living_count, 0);
}

TEST(schemas) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct weir_schema *copy = wr_schema_copy(&memory.memory, &all_types);
  CHECK(wr_schema_equal(copy, &all_types) && !wr_schema_equal(copy, &two_bigints));
  CHECK(copy->fields[0].name != all_fields[0].name);
  CHECK_INT(wr_schema_check(copy, NULL), WEIR_OK);
  wr_free(&memory.memory, copy);
  CHECK_INT(memory.living_count, 0);
  struct weir_error error;
  struct weir_field twice[] = {{"a", WEIR_TYPE_INT, false}, {"b", WEIR_TYPE_INT, false}, {"a", WEIR_TYPE_INT, true}};
  CHECK_INT(wr_schema_check(&(struct weir_schema){twice, 3}, &error), WEIR_INVALID);
  CHECK_STRING(error.message, "the schema has two fields named \"a\" (0 and 2)");
  CHECK_INT(wr_schema_check(&(struct weir_schema){twice, 0}, &error), WEIR_INVALID);
  CHECK_INT(wr_schema_check(&(struct weir_schema){twice, 1025}, &error), WEIR_INVALID);
  twice[2].name = "";
  CHECK_INT(wr_schema_check(&(struct weir_schema){twice, 3}, &error), WEIR_INVALID);
  char name[300];
  memset(name, 'n', sizeof name);
  name[256] = 0;
  twice[2].name = name;
  CHECK_INT(wr_schema_check(&(struct weir_schema){twice, 3}, &error), WEIR_INVALID);
  name[255] = 0;
  CHECK_INT(wr_schema_check(&(struct weir_schema){twice, 3}, &error), WEIR_OK);
  CHECK_STRING(wr_type_text(WEIR_TYPE_TIMESTAMP), "TIMESTAMP");
}

TEST_MAIN(TEST_CASE(rows_round_trip), TEST_CASE(unset_and_cancelled_values_are_null),
          TEST_CASE(a_batch_is_two_allocations_at_most), TEST_CASE(full_by_bytes), TEST_CASE(gather_random),
          TEST_CASE(every_allocation_fails), TEST_CASE(heaps_grow_and_are_shared), TEST_CASE(schemas))
