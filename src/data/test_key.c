/* Tests of data/key: the golden vectors of docs/keys.md, and keys and hashes of whole batches against single ones. */
#include "base/hash.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/test.h"
#include "base/test_memory.h"
#include "data/batch_builder.h"
#include "data/key.h"

#include <math.h>

/* The rows of the table in docs/keys.md, in its order. */
static const struct golden {
  const char *value;
  const char *hex;
  uint64_t hash;
  uint32_t group;
} golden_vectors[] = {
    {"FALSE", "00", 0xc44bdff4074eecdb, 91},
    {"TRUE", "01", 0xe12ef9d2eb86ceeb, 107},
    {"0", "00000000", 0x48b2c92616fc193d, 61},
    {"1", "01000000", 0xdb02334e96d65708, 8},
    {"-1", "ffffffff", 0xcd6b1c920d3f662c, 44},
    {"2147483647", "ffffff7f", 0x55506669e60fb0ff, 127},
    {"0", "0000000000000000", 0xc77b3abb6f87acd9, 89},
    {"1", "0100000000000000", 0x2fbc593564db792e, 46},
    {"-1", "ffffffffffffffff", 0x5111c7e47d784413, 19},
    {"42", "2a00000000000000", 0xd5a6f8c838df27c8, 72},
    {"-9223372036854775808", "0000000000000080", 0x828f2476789a0e5f, 95},
    {"0.0", "0000000000000000", 0xc77b3abb6f87acd9, 89},
    {"-0.0", "0000000000000000", 0xc77b3abb6f87acd9, 89},
    {"1.5", "000000000000f83f", 0x2561a4889ff63458, 88},
    {"-Infinity", "000000000000f0ff", 0x966b04ab6a2f4836, 54},
    {"NaN (any bits)", "000000000000f87f", 0x0aa61dcfa381c167, 103},
    {"1970-01-01 00:00:00", "000000000000000000000000", 0xc4998f9169c2a4f0, 112},
    {"2024-02-29 12:34:56.789012345", "9554dcf48d01000039300000", 0xaf669a46cf7fbba4, 36},
    {"1969-12-31 23:59:59.999999999", "ffffffffffffffff3f420f00", 0x3b54ac005346fe26, 38},
    {"'' (empty)", "", 0x2d06800538d394c2, 66},
    {"'app1'", "61707031", 0xd0e51b3a418f7c0d, 13},
    {"'twelve bytes'", "7477656c7665206279746573", 0x23a2e78170911342, 66},
    {"'thirteen byte'", "746869727465656e2062797465", 0x977f2efb2343f28d, 13},
    {"'grüß'", "6772c3bcc39f", 0x76956c0b3661dfdd, 93},
    {"x'00ff'", "00ff", 0xa99b043a346c8bf3, 115},
    {"NULL", "", 0x2d06800538d394c2, 66},
    {"('', '')", "01000000000100000000", 0xfbce85a573514e1f, 31},
    {"('a', 'bc')", "01010000006101020000006263", 0x9443d2c6e6c215b0, 48},
    {"('ab', 'c')", "01020000006162010100000063", 0x2391563197cc14f0, 112},
    {"(NULL, 'abc')", "000103000000616263", 0x7973f87d7637ed67, 103},
    {"('abc', NULL)", "010300000061626300", 0xff3684fe8cb68f54, 84},
    {"(NULL, NULL)", "0000", 0x3325230e1f285505, 5},
    {"(7, 'app1')", "010700000000000000010400000061707031", 0x863ed4ee9ea5a73c, 60},
    {"(TRUE, -5, -0.0, 1970-01-01 00:00:01, x'01')",
     "010101fbffffff01000000000000000001e80300000000000000000000010100000001", 0x34ad494049e60336, 54},
};
enum { GOLDEN_COUNT = sizeof golden_vectors / sizeof golden_vectors[0] };

static struct test_memory memory;

/* One key, made from a batch of one row (or more: the last) of up to five fields. */
static struct weir_field fields[5];
static struct weir_schema schema = {fields, 0};
static struct wr_batch_builder builder;

static void begin_key(const enum weir_type *types, uint32_t count) {
  static const char *const names[] = {"a", "b", "c", "d", "e"};
  test_memory_init(&memory);
  for (uint32_t i = 0; i < count; i++)
    fields[i] = (struct weir_field){names[i], types[i], true};
  schema.field_count = count;
  wr_batch_builder_init(&builder, &memory.memory, &schema, false);
  wr_batch_builder_begin(&builder, NULL);
}

/* Ends the row, and checks its key against golden vector number `golden`. */
static void check_golden(uint32_t golden) {
  static const uint32_t numbers[] = {0, 1, 2, 3, 4};
  const struct golden *expected = &golden_vectors[golden];
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  struct wr_key_fields key = {numbers, schema.field_count};
  struct wr_bytes scratch;
  wr_bytes_init(&scratch, &memory.memory, WR_MEMORY_ENGINE);
  struct wr_key out;
  uint64_t hash = 0;
  CHECK_INT(wr_keys_of_batch(batch, &key, &scratch, &out, NULL), WEIR_OK);
  char hex[200] = "";
  for (uint32_t i = 0; i < out.length; i++)
    snprintf(hex + 2 * i, 3, "%02x", out.bytes[i]);
  CHECK_STRING(hex, expected->hex);
  CHECK_INT(out.is_null, strcmp(expected->value, "NULL") == 0);
  CHECK_INT(wr_key_hashes(batch, &key, &scratch, &hash, NULL), WEIR_OK);
  if (hash != expected->hash) TEST_FAIL("%s: hash %016" PRIx64, expected->value, hash);
  CHECK_INT(wr_key_group(hash, 128), expected->group);
  wr_bytes_deinit(&scratch);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  CHECK_INT(memory.living_count, 0);
}

#define GOLDEN_ONE(number, weir_type_name, statement)                                                                  \
  do {                                                                                                                 \
    begin_key((enum weir_type[]){weir_type_name}, 1);                                                                  \
    statement;                                                                                                         \
    check_golden(number);                                                                                              \
    CHECK_PASSED();                                                                                                    \
  } while (0)

TEST(golden_numbers) {
  GOLDEN_ONE(0, WEIR_TYPE_BOOLEAN, wr_batch_builder_set_boolean(&builder, 0, false));
  GOLDEN_ONE(1, WEIR_TYPE_BOOLEAN, wr_batch_builder_set_boolean(&builder, 0, true));
  static const int32_t ints[] = {0, 1, -1, INT32_MAX};
  for (uint32_t i = 0; i < 4; i++)
    GOLDEN_ONE(2 + i, WEIR_TYPE_INT, wr_batch_builder_set_int(&builder, 0, ints[i]));
  static const int64_t bigints[] = {0, 1, -1, 42, INT64_MIN};
  for (uint32_t i = 0; i < 5; i++) {
    GOLDEN_ONE(6 + i, WEIR_TYPE_BIGINT, wr_batch_builder_set_bigint(&builder, 0, bigints[i]));
    CHECK(wr_hash_key_u64((uint64_t)bigints[i]) == golden_vectors[6 + i].hash);
  }
  const double doubles[] = {0.0, -0.0, 1.5, -INFINITY, -NAN};
  for (uint32_t i = 0; i < 5; i++)
    GOLDEN_ONE(11 + i, WEIR_TYPE_DOUBLE, wr_batch_builder_set_double(&builder, 0, doubles[i]));
  static const struct weir_timestamp times[] = {{0, 0, 0}, {1709210096789, 12345, 0}, {-1, 999999, 0}};
  for (uint32_t i = 0; i < 3; i++)
    GOLDEN_ONE(16 + i, WEIR_TYPE_TIMESTAMP, wr_batch_builder_set_timestamp(&builder, 0, times[i]));
}

static void set_text(uint32_t field, const char *text) {
  if (wr_batch_builder_set_bytes(&builder, field, text, strlen(text), NULL) != WEIR_OK) test_failed = true;
}

TEST(golden_strings_and_nulls) {
  static const char *const texts[] = {"", "app1", "twelve bytes", "thirteen byte", "gr\xc3\xbc\xc3\x9f"};
  for (uint32_t i = 0; i < 5; i++)
    GOLDEN_ONE(19 + i, WEIR_TYPE_STRING, set_text(0, texts[i]));
  GOLDEN_ONE(24, WEIR_TYPE_BYTES, wr_batch_builder_set_bytes(&builder, 0, "\0\xff", 2, NULL));
  for (enum weir_type type = 0; type < WEIR_TYPE_COUNT; type++)
    GOLDEN_ONE(25, type, wr_batch_builder_set_null(&builder, 0, NULL));
}

TEST(golden_several_fields) {
  static const char *const pairs[][2] = {{"", ""},      {"a", "bc"},   {"ab", "c"},
                                         {NULL, "abc"}, {"abc", NULL}, {NULL, NULL}};
  for (uint32_t i = 0; i < 6; i++) {
    begin_key((enum weir_type[]){WEIR_TYPE_STRING, WEIR_TYPE_STRING}, 2);
    for (uint32_t f = 0; f < 2; f++)
      if (pairs[i][f] != NULL) set_text(f, pairs[i][f]);
    check_golden(26 + i);
    CHECK_PASSED();
  }
  begin_key((enum weir_type[]){WEIR_TYPE_BIGINT, WEIR_TYPE_STRING}, 2);
  wr_batch_builder_set_bigint(&builder, 0, 7);
  set_text(1, "app1");
  check_golden(32);
  CHECK_PASSED();
  begin_key(
      (enum weir_type[]){WEIR_TYPE_BOOLEAN, WEIR_TYPE_INT, WEIR_TYPE_DOUBLE, WEIR_TYPE_TIMESTAMP, WEIR_TYPE_BYTES}, 5);
  wr_batch_builder_set_boolean(&builder, 0, true);
  wr_batch_builder_set_int(&builder, 1, -5);
  wr_batch_builder_set_double(&builder, 2, -0.0);
  wr_batch_builder_set_timestamp(&builder, 3, (struct weir_timestamp){.milliseconds = 1000});
  set_text(4, "\x01");
  check_golden(33);
}

/* docs/keys.md says the same as the table above, row by row. */
TEST(documentation_agrees) {
  char path[4096];
  snprintf(path, sizeof path, "%s/docs/keys.md", WEIR_ROOT);
  FILE *file = fopen(path, "r");
  if (file == NULL) TEST_FAIL("%s cannot be opened", path);
  char line[1000];
  uint32_t row = 0;
  bool in_table = false;
  while (fgets(line, sizeof line, file) != NULL && row < GOLDEN_COUNT) {
    in_table = in_table || strncmp(line, "| type | value |", 16) == 0;
    if (!in_table || strstr(line, " | `") == NULL) continue;
    const struct golden *expected = &golden_vectors[row++];
    char text[400];
    snprintf(text, sizeof text, "| %s | `%s` | `%016" PRIx64 "` | %u |\n", expected->value,
             expected->hex[0] == 0 ? "(none)" : expected->hex, expected->hash, expected->group);
    if (strstr(line, text) == NULL) TEST_FAIL("row %u is %sbut the test has %s", row, line, text);
  }
  fclose(file);
  CHECK_INT(row, GOLDEN_COUNT);
}

/* Every key of a batch with a selection equals the key of its row alone; hashes are the hashes of the keys. */
static void check_batch(struct wr_random *random, const enum weir_type *types, uint32_t count, uint32_t rows) {
  begin_key(types, count);
  for (uint32_t i = 0; i < rows; i++) {
    char text[30] = "key";
    for (uint32_t f = 0; f < count; f++) {
      if (wr_random_one_in(random, 4)) continue;
      if (types[f] == WEIR_TYPE_BIGINT) wr_batch_builder_set_bigint(&builder, f, (int64_t)wr_random_below(random, 50));
      if (types[f] == WEIR_TYPE_DOUBLE) wr_batch_builder_set_double(&builder, f, (double)wr_random_below(random, 50));
      if (types[f] == WEIR_TYPE_STRING)
        CHECK_INT(wr_batch_builder_set_bytes(&builder, f, text, wr_random_below(random, 30), NULL), WEIR_OK);
    }
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  batch->selection = wr_alloc(&memory.memory, rows * 2, WR_MEMORY_BATCH);
  batch->selected_count = 0;
  for (uint16_t i = 0; i < rows; i++)
    if (wr_random_one_in(random, 2)) batch->selection[batch->selected_count++] = i;
  static const uint32_t numbers[] = {0, 1, 2, 3, 4};
  static struct wr_key keys[WR_BATCH_ROWS_MAX];
  static uint64_t hashes[WR_BATCH_ROWS_MAX];
  struct wr_key_fields key = {numbers, count};
  struct wr_bytes scratch, scratch_one;
  wr_bytes_init(&scratch, &memory.memory, WR_MEMORY_ENGINE);
  wr_bytes_init(&scratch_one, &memory.memory, WR_MEMORY_ENGINE);
  CHECK_INT(wr_key_hashes(batch, &key, &scratch, hashes, NULL), WEIR_OK);
  CHECK_INT(wr_keys_of_batch(batch, &key, &scratch, keys, NULL), WEIR_OK);
  for (uint32_t i = 0; i < batch->selected_count; i++) {
    struct wr_key alone;
    struct wr_batch *one = NULL;
    CHECK_INT(wr_batch_builder_gather(&builder, batch, &batch->selection[i], 1, NULL), WEIR_OK);
    one = wr_batch_builder_take(&builder);
    CHECK_INT(wr_keys_of_batch(one, &key, &scratch_one, &alone, NULL), WEIR_OK);
    CHECK_INT(keys[i].length, alone.length);
    CHECK(memcmp(keys[i].bytes, alone.bytes, alone.length) == 0 && keys[i].is_null == alone.is_null);
    CHECK(hashes[i] == wr_hash_key(alone.bytes, alone.length));
    wr_batch_unref(one);
  }
  wr_bytes_deinit(&scratch);
  wr_bytes_deinit(&scratch_one);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  CHECK_INT(memory.living_count, 0);
}

TEST(batches_of_keys) {
  struct wr_random random = wr_random_of(test_seed());
  static const enum weir_type kinds[] = {WEIR_TYPE_BIGINT, WEIR_TYPE_DOUBLE, WEIR_TYPE_STRING};
  for (int round = 0; round < 60; round++) {
    enum weir_type types[3];
    for (int i = 0; i < 3; i++)
      types[i] = kinds[wr_random_below(&random, 3)];
    check_batch(&random, types, 1 + (uint32_t)wr_random_below(&random, 3), (uint32_t)wr_random_below(&random, 700) + 1);
    CHECK_PASSED();
  }
}

TEST(bigint_keys_take_the_column) {
  static const struct weir_field one[] = {{"k", WEIR_TYPE_BIGINT, false}, {"n", WEIR_TYPE_BIGINT, true}};
  static const struct weir_schema bigint_schema = {one, 2};
  CHECK(wr_key_is_bigint(&bigint_schema, &(struct wr_key_fields){(uint32_t[]){0}, 1}));
  CHECK(!wr_key_is_bigint(&bigint_schema, &(struct wr_key_fields){(uint32_t[]){1}, 1}));
  CHECK(!wr_key_is_bigint(&bigint_schema, &(struct wr_key_fields){(uint32_t[]){0, 1}, 2}));
  static const int64_t values[] = {0, 1, -1, 42, INT64_MIN};
  uint64_t hashes[5], picked[2];
  wr_hash_keys_u64(values, NULL, 5, hashes);
  wr_hash_keys_u64(values, (const uint16_t[]){4, 1}, 2, picked);
  for (int i = 0; i < 5; i++)
    CHECK(hashes[i] == golden_vectors[6 + i].hash);
  CHECK(picked[0] == hashes[4] && picked[1] == hashes[1]);
}

TEST(long_keys_are_refused) {
  static char text[WR_KEY_BYTES_MAX + 1];
  memset(text, 'k', sizeof text);
  struct weir_error error;
  struct wr_bytes scratch;
  struct wr_key key;
  uint64_t hash;
  for (uint32_t count = 1; count <= 2; count++) {
    size_t limit = count == 1 ? WR_KEY_BYTES_MAX : WR_KEY_BYTES_MAX - 6; /* two marks and a length; the other is NULL */
    for (size_t length = limit; length <= limit + 1; length++) {
      begin_key((enum weir_type[]){WEIR_TYPE_STRING, WEIR_TYPE_STRING}, count);
      CHECK_INT(wr_batch_builder_set_bytes(&builder, count - 1, text, length, NULL), WEIR_OK);
      wr_batch_builder_end_row(&builder, WEIR_INSERT);
      struct wr_batch *batch = wr_batch_builder_take(&builder);
      struct wr_key_fields fields_of_key = {(const uint32_t[]){0, 1}, count};
      wr_bytes_init(&scratch, &memory.memory, WR_MEMORY_ENGINE);
      enum weir_code expected = length > limit ? WEIR_LIMIT : WEIR_OK;
      CHECK_INT(wr_keys_of_batch(batch, &fields_of_key, &scratch, &key, &error), expected);
      CHECK_INT(wr_key_hashes(batch, &fields_of_key, &scratch, &hash, &error), expected);
      wr_bytes_deinit(&scratch);
      wr_batch_unref(batch);
      wr_batch_builder_deinit(&builder);
      CHECK_INT(memory.living_count, 0);
    }
  }
}

/* Every key group has one owner, and the ranges say the same as the rule for single groups. */
TEST(key_group_ranges) {
  static const uint32_t maxima[] = {1, 2, 7, 128, 1000, WR_KEY_GROUPS_MAX};
  for (size_t m = 0; m < sizeof maxima / sizeof maxima[0]; m++) {
    for (uint32_t parallelism = 1; parallelism <= maxima[m] && parallelism <= WR_PARALLELISM_MAX; parallelism++) {
      uint32_t next = 0;
      for (uint32_t subtask = 0; subtask < parallelism; subtask++) {
        struct wr_key_group_range range = wr_key_group_range_of(subtask, parallelism, maxima[m]);
        CHECK_INT(range.first, next);
        CHECK(range.end > range.first);
        next = range.end;
        CHECK_INT(wr_key_group_subtask(range.first, parallelism, maxima[m]), subtask);
        CHECK_INT(wr_key_group_subtask(range.end - 1, parallelism, maxima[m]), subtask);
      }
      CHECK_INT(next, maxima[m]);
    }
  }
}

TEST(every_allocation_fails) {
  begin_key((enum weir_type[]){WEIR_TYPE_DOUBLE, WEIR_TYPE_STRING}, 2);
  for (int i = 0; i < 1000; i++) {
    wr_batch_builder_begin(&builder, NULL);
    wr_batch_builder_set_double(&builder, 0, i);
    set_text(1, "some text");
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  static struct wr_key keys[1000];
  static uint64_t hashes[1000];
  for (uint32_t count = 1; count <= 2; count++) {
    struct wr_key_fields key = {(const uint32_t[]){0, 1}, count};
    struct wr_bytes scratch;
    wr_bytes_init(&scratch, &memory.memory, WR_MEMORY_ENGINE);
    test_memory_fail_after(&memory, 1, true);
    CHECK_INT(wr_keys_of_batch(batch, &key, &scratch, keys, NULL), WEIR_NO_MEMORY);
    CHECK_INT(wr_key_hashes(batch, &key, &scratch, hashes, NULL), WEIR_NO_MEMORY);
    test_memory_fail_after(&memory, 0, false);
    CHECK_INT(wr_key_hashes(batch, &key, &scratch, hashes, NULL), WEIR_OK);
    wr_bytes_deinit(&scratch);
  }
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  CHECK_INT(memory.living_count, 0);
}

TEST_MAIN(TEST_CASE(golden_numbers), TEST_CASE(golden_strings_and_nulls), TEST_CASE(golden_several_fields),
          TEST_CASE(documentation_agrees), TEST_CASE(batches_of_keys), TEST_CASE(bigint_keys_take_the_column),
          TEST_CASE(long_keys_are_refused), TEST_CASE(key_group_ranges), TEST_CASE(every_allocation_fails))
