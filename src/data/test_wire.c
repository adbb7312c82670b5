/* Tests of data/wire: round trips, and every flipped byte and every cut of an encoded batch and schema. */
#include "base/limits.h"
#include "base/random.h"
#include "base/test.h"
#include "base/test_memory.h"
#include "data/batch_builder.h"
#include "data/wire.h"

static const struct weir_field fields[] = {
    {"flag", WEIR_TYPE_BOOLEAN, true}, {"small", WEIR_TYPE_INT, false},  {"big", WEIR_TYPE_BIGINT, true},
    {"real", WEIR_TYPE_DOUBLE, false}, {"text", WEIR_TYPE_STRING, true}, {"raw", WEIR_TYPE_BYTES, false},
    {"at", WEIR_TYPE_TIMESTAMP, true},
};
static const struct weir_schema schema = {fields, 7};

static struct wr_batch *make_batch(struct wr_memory *memory, struct wr_random *random, uint32_t rows, bool kinds) {
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, memory, &schema, kinds);
  char text[40];
  for (uint32_t i = 0; i < rows; i++) {
    wr_batch_builder_begin(&builder, NULL);
    memset(text, (int)wr_random_below(random, 256), sizeof text);
    wr_batch_builder_set_int(&builder, 1, (int32_t)wr_random_next(random));
    wr_batch_builder_set_double(&builder, 3, (double)wr_random_next(random));
    wr_batch_builder_set_bytes(&builder, 5, text, wr_random_below(random, sizeof text), NULL);
    if (!wr_random_one_in(random, 3)) wr_batch_builder_set_boolean(&builder, 0, wr_random_one_in(random, 2));
    if (!wr_random_one_in(random, 3)) wr_batch_builder_set_bigint(&builder, 2, (int64_t)wr_random_next(random));
    if (!wr_random_one_in(random, 3))
      wr_batch_builder_set_bytes(&builder, 4, text, wr_random_below(random, sizeof text), NULL);
    struct weir_timestamp time = {.milliseconds = (int64_t)i, .nanoseconds = (int32_t)wr_random_below(random, 1000000)};
    if (!wr_random_one_in(random, 3)) wr_batch_builder_set_timestamp(&builder, 6, time);
    wr_batch_builder_end_row(&builder, kinds ? (enum weir_row_kind)wr_random_below(random, 4) : WEIR_INSERT);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_batch_builder_deinit(&builder);
  return batch;
}

/* True when the selected rows of both are equal; also touches every byte of them. */
static bool rows_equal(const struct wr_batch *a, const struct wr_batch *b) {
  if (a->selected_count != b->selected_count) return false;
  for (uint32_t i = 0; i < a->selected_count; i++) {
    uint32_t row_a = wr_batch_row(a, i), row_b = wr_batch_row(b, i);
    if (wr_batch_row_kind(a, row_a) != wr_batch_row_kind(b, row_b)) return false;
    for (uint32_t f = 0; f < schema.field_count; f++) {
      const struct wr_column *x = &a->columns[f], *y = &b->columns[f];
      size_t width = wr_type_width(fields[f].type);
      if (wr_column_is_null(x, row_a) != wr_column_is_null(y, row_b)) return false;
      const void *value_a = (const char *)x->values + row_a * width, *value_b = (const char *)y->values + row_b * width;
      const struct wr_view *view_a = value_a, *view_b = value_b;
      if (f != 4 && f != 5) {
        if (memcmp(value_a, value_b, width) != 0) return false;
      } else if (view_a->length != view_b->length ||
                 memcmp(wr_view_bytes(a, view_a), wr_view_bytes(b, view_b), (size_t)view_a->length) != 0) {
        return false;
      }
    }
  }
  return true;
}

static void select_odd_rows(struct wr_memory *memory, struct wr_batch *batch) {
  batch->selection = wr_alloc(memory, batch->row_count * sizeof(uint16_t), WR_MEMORY_BATCH);
  batch->selected_count = 0;
  for (uint16_t row = 1; row < batch->row_count; row = (uint16_t)(row + 2))
    batch->selection[batch->selected_count++] = row;
}

TEST(round_trips) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_random random = wr_random_of(test_seed());
  for (int round = 0; round < 200; round++) {
    uint32_t rows = 1 + (uint32_t)wr_random_below(&random, 300);
    struct wr_batch *batch = make_batch(&memory.memory, &random, rows, wr_random_one_in(&random, 2));
    if (wr_random_one_in(&random, 2)) select_odd_rows(&memory.memory, batch);
    struct wr_bytes bytes;
    wr_bytes_init(&bytes, &memory.memory, WR_MEMORY_ENGINE);
    wr_bytes_put_u8(&bytes, 9);
    wr_wire_put_batch(&bytes, batch);
    wr_wire_put_batch(&bytes, batch);
    CHECK_INT(wr_bytes_check(&bytes, NULL), WEIR_OK);
    struct wr_reader reader = wr_reader_of(bytes.data, bytes.length);
    CHECK_INT(wr_read_u8(&reader), 9);
    struct weir_error error;
    for (int i = 0; i < 2; i++) {
      struct wr_batch *back = NULL;
      CHECK_INT(wr_wire_read_batch(&reader, &schema, &memory.memory, &back, &error), WEIR_OK);
      CHECK(rows_equal(batch, back) && back->selection == NULL);
      wr_batch_unref(back);
    }
    CHECK_INT(reader.position, bytes.length);
    wr_bytes_deinit(&bytes);
    wr_batch_unref(batch);
    CHECK_INT(memory.living_count, 0);
  }
}

/* True when the batch keeps the rules that its readers lean on. */
static bool is_well_formed(const struct wr_batch *batch) {
  static const char zeros[16];
  for (uint32_t row = 0; row < batch->row_count; row++) {
    if (wr_batch_row_kind(batch, row) > WEIR_DELETE) return false;
    for (uint32_t f = 0; f < schema.field_count; f++) {
      const struct wr_column *column = &batch->columns[f];
      size_t width = wr_type_width(fields[f].type);
      const char *value = (const char *)column->values + row * width;
      if (wr_column_is_null(column, row) && (!fields[f].nullable || memcmp(value, zeros, width) != 0)) return false;
      if (fields[f].type == WEIR_TYPE_BOOLEAN && *(const uint8_t *)value > 1) return false;
      const struct weir_timestamp *time = (const void *)value;
      if (fields[f].type == WEIR_TYPE_TIMESTAMP && (uint32_t)time->nanoseconds > 999999) return false;
      if (fields[f].type == WEIR_TYPE_TIMESTAMP && time->zero != 0) return false;
    }
  }
  return rows_equal(batch, batch);
}

/* Reads bytes that may be damaged, from a block of exactly their size so that an over-read is seen. True when a batch
 * came out: then it is well-formed, and encoded again it is the same bytes. */
static bool read_damaged(struct test_memory *memory, const uint8_t *data, size_t length) {
  uint8_t *exact = malloc(length + (length == 0));
  memcpy(exact, data, length);
  struct wr_reader reader = wr_reader_of(exact, length);
  struct wr_batch *batch = NULL;
  struct weir_error error = {.code = WEIR_OK};
  enum weir_code code = wr_wire_read_batch(&reader, &schema, &memory->memory, &batch, &error);
  if (code == WEIR_OK) {
    struct wr_bytes again;
    wr_bytes_init(&again, &memory->memory, WR_MEMORY_ENGINE);
    wr_wire_put_batch(&again, batch);
    if (!is_well_formed(batch) || again.length != length || memcmp(again.data, data, length) != 0) code = WEIR_INTERNAL;
    wr_bytes_deinit(&again);
    wr_batch_unref(batch);
  } else if (code != WEIR_CORRUPT || batch != NULL || strstr(error.message, "at byte") == NULL || !reader.failed) {
    code = WEIR_INTERNAL;
  }
  free(exact);
  if (code == WEIR_INTERNAL) test_failed = true;
  return code == WEIR_OK;
}

TEST(damage_is_found_or_harmless) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_random random = wr_random_of(test_seed());
  struct wr_batch *batch = make_batch(&memory.memory, &random, 37, true);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &memory.memory, WR_MEMORY_ENGINE);
  wr_wire_put_batch(&bytes, batch);
  uint64_t living = memory.living_count;
  CHECK(read_damaged(&memory, bytes.data, bytes.length));
  for (size_t length = 0; length < bytes.length; length++) {
    CHECK(!read_damaged(&memory, bytes.data, length));
    uint32_t claimed = (uint32_t)(length < 4 ? 0 : length - 4); /* cut, with a length that agrees */
    for (int i = 0; i < 4; i++)
      bytes.data[i] = (uint8_t)(claimed >> (8 * i));
    CHECK(!read_damaged(&memory, bytes.data, length));
    claimed = (uint32_t)(bytes.length - 4);
    for (int i = 0; i < 4; i++)
      bytes.data[i] = (uint8_t)(claimed >> (8 * i));
  }
  for (size_t i = 0; i < bytes.length; i++) {
    uint8_t right = bytes.data[i];
    for (int bit = 0; bit < 9; bit++) {
      bytes.data[i] = (uint8_t)(bit == 8 ? ~right : right ^ 1 << bit);
      read_damaged(&memory, bytes.data, bytes.length);
      CHECK(!test_failed);
    }
    bytes.data[i] = right;
  }
  CHECK_INT(memory.living_count, living);
  CHECK(read_damaged(&memory, bytes.data, bytes.length));
  wr_bytes_deinit(&bytes);
  wr_batch_unref(batch);
  CHECK_INT(memory.living_count, 0);
}

TEST(random_bytes) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_random random = wr_random_of(test_seed());
  uint8_t data[400];
  for (int round = 0; round < 20000; round++) {
    size_t length = 9 + wr_random_below(&random, sizeof data - 9);
    for (size_t i = 0; i < length; i++)
      data[i] = wr_random_one_in(&random, 2) ? 0 : (uint8_t)wr_random_next(&random);
    data[0] = (uint8_t)(length - 4);
    data[1] = (uint8_t)((length - 4) >> 8);
    data[2] = data[3] = data[5] = data[6] = data[7] = data[8] = 0;
    data[4] %= 8;
    read_damaged(&memory, data, length);
    CHECK(!test_failed);
  }
  CHECK_INT(memory.living_count, 0);
}

TEST(a_false_row_count_takes_no_memory) {
  struct test_memory memory;
  test_memory_init(&memory);
  uint8_t data[64] = {60, 0, 0, 0, 0, 16}; /* 4,096 rows in 60 bytes */
  CHECK(!read_damaged(&memory, data, sizeof data));
  data[4] = 1; /* one more than a batch can have */
  CHECK(!read_damaged(&memory, data, sizeof data));
  CHECK_INT(memory.allocations, 0);
  CHECK(!test_failed);
}

TEST(every_allocation_fails) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_random random = wr_random_of(1);
  struct wr_batch *batch = make_batch(&memory.memory, &random, 50, true);
  uint64_t living = memory.living_count;
  for (uint64_t n = 1;; n++) {
    uint64_t failures = memory.failures;
    test_memory_fail_after(&memory, n, false);
    struct wr_bytes bytes;
    wr_bytes_init(&bytes, &memory.memory, WR_MEMORY_ENGINE);
    wr_wire_put_batch(&bytes, batch);
    wr_wire_put_schema(&bytes, &schema);
    enum weir_code code = wr_bytes_check(&bytes, NULL);
    struct wr_reader reader = wr_reader_of(bytes.data, bytes.length);
    struct wr_batch *back = NULL;
    struct weir_schema *schema_back = NULL;
    if (code == WEIR_OK) code = wr_wire_read_batch(&reader, &schema, &memory.memory, &back, NULL);
    if (code == WEIR_OK) code = wr_wire_read_schema(&reader, &memory.memory, &schema_back, NULL);
    bool failed = memory.failures != failures;
    CHECK_INT(code, failed ? WEIR_NO_MEMORY : WEIR_OK);
    wr_batch_unref(back);
    wr_free(&memory.memory, schema_back);
    wr_bytes_deinit(&bytes);
    CHECK_INT(memory.living_count, living);
    if (!failed) break;
  }
  wr_batch_unref(batch);
  CHECK_INT(memory.living_count, 0);
}

TEST(schemas) {
  struct test_memory memory;
  test_memory_init(&memory);
  struct wr_bytes bytes;
  wr_bytes_init(&bytes, &memory.memory, WR_MEMORY_ENGINE);
  wr_wire_put_schema(&bytes, &schema);
  struct weir_error error;
  struct weir_schema *back = NULL;
  struct wr_reader reader = wr_reader_of(bytes.data, bytes.length);
  CHECK_INT(wr_wire_read_schema(&reader, &memory.memory, &back, &error), WEIR_OK);
  CHECK_INT(reader.position, bytes.length);
  CHECK(wr_schema_equal(back, &schema));
  wr_free(&memory.memory, back);
  for (size_t length = 0; length < bytes.length; length++) {
    reader = wr_reader_of(bytes.data, length);
    CHECK_INT(wr_wire_read_schema(&reader, &memory.memory, &back, &error), WEIR_CORRUPT);
  }
  for (size_t i = 0; i < bytes.length; i++) {
    for (int bit = 0; bit < 8; bit++) {
      bytes.data[i] ^= (uint8_t)(1u << bit);
      reader = wr_reader_of(bytes.data, bytes.length);
      enum weir_code code = wr_wire_read_schema(&reader, &memory.memory, &back, &error);
      CHECK(code == WEIR_CORRUPT || (code == WEIR_OK && wr_schema_check(back, NULL) == WEIR_OK));
      wr_free(&memory.memory, back);
      bytes.data[i] ^= (uint8_t)(1u << bit);
    }
  }
  wr_bytes_deinit(&bytes);
  CHECK_INT(memory.living_count, 0);
}

TEST_MAIN(TEST_CASE(round_trips), TEST_CASE(damage_is_found_or_harmless), TEST_CASE(random_bytes),
          TEST_CASE(a_false_row_count_takes_no_memory), TEST_CASE(every_allocation_fails), TEST_CASE(schemas))
