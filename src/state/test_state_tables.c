/* state/test_state_tables.c: what state.h promises of tables, one promise at a time. */
#include "state/test_state.h"

static const struct weir_field name_key[] = {{.name = "name", .type = WEIR_TYPE_STRING, .nullable = true}};
static const struct weir_schema name_key_schema = {.fields = name_key, .field_count = 1};
static const struct weir_field all_types[] = {{.name = "b", .type = WEIR_TYPE_BOOLEAN},
                                              {.name = "i", .type = WEIR_TYPE_INT, .nullable = true},
                                              {.name = "l", .type = WEIR_TYPE_BIGINT},
                                              {.name = "d", .type = WEIR_TYPE_DOUBLE},
                                              {.name = "s", .type = WEIR_TYPE_STRING, .nullable = true},
                                              {.name = "x", .type = WEIR_TYPE_BYTES},
                                              {.name = "t", .type = WEIR_TYPE_TIMESTAMP}};
static const struct weir_schema all_types_schema = {.fields = all_types, .field_count = 7};

struct all_types_value {
  uint8_t b;
  int32_t i;
  int64_t l;
  double d;
  uint64_t s[2], x[2];
  struct weir_timestamp t;
  uint8_t i_null, s_null;
};

static struct wr_backend *all_types_backend(struct test_world *world, struct wr_state **out_state) {
  const struct wr_backend_options options = test_options(world, 0, 1, 128);
  const struct wr_state_descriptor descriptor = {.name = "all", .key = &name_key_schema, .value = &all_types_schema};
  struct wr_backend *backend = NULL;
  if (wr_backend_new(&options, &backend, NULL) != WEIR_OK) return NULL;
  return wr_backend_register(backend, &descriptor, out_state, NULL) == WEIR_OK ? backend : NULL;
}

static struct wr_key key_of(const char *text) {
  return (struct wr_key){.bytes = (const uint8_t *)text, .length = (uint32_t)strlen(text)};
}

TEST(layout_is_a_struct) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = all_types_backend(world, &state);
  CHECK_INT(wr_state_value_offset(state, 0), offsetof(struct all_types_value, b));
  CHECK_INT(wr_state_value_offset(state, 1), offsetof(struct all_types_value, i));
  CHECK_INT(wr_state_value_offset(state, 2), offsetof(struct all_types_value, l));
  CHECK_INT(wr_state_value_offset(state, 3), offsetof(struct all_types_value, d));
  CHECK_INT(wr_state_value_offset(state, 4), offsetof(struct all_types_value, s));
  CHECK_INT(wr_state_value_offset(state, 5), offsetof(struct all_types_value, x));
  CHECK_INT(wr_state_value_offset(state, 6), offsetof(struct all_types_value, t));
  CHECK_INT(wr_state_value_size(state), sizeof(struct all_types_value));
  struct wr_table *table = wr_state_table(state, 0);
  struct wr_key key = key_of("a");
  CHECK_INT(wr_table_prepare(table, &key, 1, WR_ACCESS_WRITE, NULL), WR_PREPARE_READY);
  struct all_types_value *value = wr_table_rows(table)[0];
  CHECK(!wr_value_is_null(table, value, 1) && !wr_value_is_null(table, value, 0));
  wr_value_set_null(table, value, 1, true);
  CHECK(value->i_null == 1 && value->s_null == 0 && wr_value_is_null(table, value, 1));
  wr_value_set_null(table, value, 1, false);
  wr_value_set_null(table, value, 4, true);
  CHECK(value->i_null == 0 && value->s_null == 1);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

TEST(bytes_of_every_length) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = all_types_backend(world, &state);
  struct wr_table *table = wr_state_table(state, 0);
  static char text[10000];
  for (size_t i = 0; i < sizeof text; i++)
    text[i] = (char)(i * 7);
  struct wr_key key = key_of("a key longer than twelve bytes");
  for (size_t length = 0; length < sizeof text; length = length < 600 ? length + 1 : length * 9 / 8) {
    CHECK_INT(wr_table_prepare(table, &key, 1, WR_ACCESS_WRITE, NULL), WR_PREPARE_READY);
    void *value = wr_table_rows(table)[0];
    CHECK_INT(wr_value_set_bytes(table, value, 4, text, length, NULL), WEIR_OK);
    CHECK_INT(wr_value_set_bytes(table, value, 5, text + 1, length / 2, NULL), WEIR_OK);
    size_t got;
    const char *bytes = wr_value_bytes(table, value, 4, &got);
    CHECK(got == length && memcmp(bytes, text, length) == 0);
    bytes = wr_value_bytes(table, value, 5, &got);
    CHECK(got == length / 2 && memcmp(bytes, text + 1, length / 2) == 0);
  }
  struct weir_error error;
  CHECK_INT(wr_value_set_bytes(table, wr_table_rows(table)[0], 4, text, WR_RECORD_BYTES_MAX + 1, &error), WEIR_LIMIT);
  CHECK(strstr(error.message, "\"s\"") != NULL);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

TEST(equal_keys_and_new_rows) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state);
  struct wr_table *table = wr_state_table(state, 0);
  const int64_t keys[] = {5, -1, 5, INT64_MIN, 5, -1, 0};
  CHECK_INT(wr_table_prepare_bigints(table, keys, 7, WR_ACCESS_READ, NULL), WR_PREPARE_READY);
  for (uint32_t i = 0; i < 7; i++)
    CHECK(wr_table_rows(table)[i] == NULL && wr_table_row_ids(table)[i] == UINT32_MAX);
  CHECK_INT(wr_table_prepare_bigints(table, keys, 7, WR_ACCESS_WRITE, NULL), WR_PREPARE_READY);
  const uint8_t expected[] = {1, 1, 0, 1, 0, 0, 1};
  CHECK(memcmp(wr_table_row_is_new(table), expected, 7) == 0);
  CHECK(wr_table_rows(table)[0] == wr_table_rows(table)[2] && wr_table_rows(table)[0] == wr_table_rows(table)[4]);
  CHECK(wr_table_rows(table)[1] == wr_table_rows(table)[5] && wr_table_rows(table)[1] != wr_table_rows(table)[0]);
  CHECK_INT(wr_table_row_count(table), 4);
  uint32_t row_id = wr_table_row_ids(table)[3];
  *(int64_t *)wr_table_rows(table)[3] = 77;
  wr_table_delete(table, 0);
  wr_table_delete(table, 2); /* the same row */
  CHECK_INT(wr_backend_row_count(backend), 3);
  struct wr_key key;
  CHECK_INT(*(const int64_t *)wr_table_row(table, row_id, &key), 77);
  CHECK(key.length == 8 && memcmp(key.bytes, &keys[3], 8) == 0);
  CHECK_INT(wr_table_prepare_bigints(table, keys, 1, WR_ACCESS_WRITE, NULL), WR_PREPARE_READY);
  CHECK(wr_table_row_is_new(table)[0] && *(int64_t *)wr_table_rows(table)[0] == 0);
  CHECK_INT(wr_table_delete_row(table, row_id, NULL), WEIR_OK);
  CHECK_INT(wr_table_row_count(table), 3);
  CHECK_INT(wr_table_prepare_bigints(table, keys, 0, WR_ACCESS_WRITE, NULL), WR_PREPARE_READY);
  wr_backend_free(backend);
  test_world_free(world);
}

TEST(null_and_empty_keys_differ) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = all_types_backend(world, &state);
  struct wr_table *table = wr_state_table(state, 0);
  struct wr_key keys[] = {key_of(""), key_of("a"), key_of("a"), key_of("twelve bytes"), key_of("thirteen bytes")};
  keys[1].length = 0;
  keys[1].is_null = true;
  CHECK_INT(wr_table_prepare(table, keys, 5, WR_ACCESS_WRITE, NULL), WR_PREPARE_READY);
  CHECK_INT(wr_table_row_count(table), 5);
  uint32_t cursor = 0, row_id;
  struct wr_key key;
  const void *value;
  for (uint32_t i = 0; i < 5; i++) {
    CHECK(wr_table_next(table, &cursor, &row_id, &key, &value));
    CHECK_INT(row_id, wr_table_row_ids(table)[i]);
    CHECK(value == wr_table_rows(table)[i] && key.is_null == keys[i].is_null && key.length == keys[i].length);
    CHECK(memcmp(key.bytes, keys[i].bytes, key.length) == 0);
  }
  CHECK(!wr_table_next(table, &cursor, &row_id, &key, &value));
  wr_backend_free(backend);
  test_world_free(world);
}

TEST(namespaces) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state);
  const int64_t spaces[] = {10, -5, 0, INT64_MAX, INT64_MIN + 1}, sorted[] = {INT64_MIN + 1, -5, 0, 10, INT64_MAX};
  const int64_t key = 1;
  for (uint32_t i = 0; i < 5; i++) {
    struct wr_table *table = wr_state_table(state, spaces[i]);
    CHECK_INT(wr_table_prepare_bigints(table, &key, 1, WR_ACCESS_WRITE, NULL), WR_PREPARE_READY);
    *(int64_t *)wr_table_rows(table)[0] = spaces[i];
  }
  int64_t cursor = INT64_MIN;
  struct wr_table *table;
  for (uint32_t i = 0; i < 5; i++) {
    CHECK(wr_state_next_namespace(state, &cursor, &table));
    CHECK_INT(cursor, sorted[i]);
    CHECK_INT(wr_table_prepare_bigints(table, &key, 1, WR_ACCESS_READ, NULL), WR_PREPARE_READY);
    CHECK_INT(*(int64_t *)wr_table_rows(table)[0], sorted[i]);
  }
  CHECK(!wr_state_next_namespace(state, &cursor, &table));
  CHECK_INT(wr_state_drop(state, 10, NULL), WEIR_OK);
  CHECK_INT(wr_state_drop(state, 11, NULL), WEIR_OK);
  CHECK_INT(wr_backend_row_count(backend), 4);
  CHECK_INT(wr_table_row_count(wr_state_table(state, 10)), 0);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

TEST(names_are_unique) {
  struct test_world *world = test_world_new();
  struct wr_state *state, *other;
  struct weir_error error;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state);
  const struct wr_state_descriptor descriptor = {
      .name = "count", .key = &test_bigint_key_schema, .value = &test_count_value_schema};
  CHECK_INT(wr_backend_register(backend, &descriptor, &other, &error), WEIR_INVALID);
  CHECK_STRING(error.message, "the operator has two states named \"count\"");
  wr_backend_free(backend);
  test_world_free(world);
}

TEST(wait_once) {
  struct test_world *world = test_world_new();
  struct wr_backend_options options = test_options(world, 0, 1, 128);
  options.wait_one_in = 1;
  struct wr_backend *backend;
  struct wr_state *state;
  const struct wr_state_descriptor descriptor = {
      .name = "count", .key = &test_bigint_key_schema, .value = &test_count_value_schema};
  CHECK_INT(wr_backend_new(&options, &backend, NULL), WEIR_OK);
  CHECK_INT(wr_backend_register(backend, &descriptor, &state, NULL), WEIR_OK);
  /* A call of a hundred prepares, begun anew whenever one says WAIT, comes to its end. */
  uint32_t waits = 0;
  for (bool is_done = false; !is_done;) {
    is_done = true;
    for (int64_t space = 0; is_done && space < 100; space++) {
      enum wr_prepare prepared =
          wr_table_prepare_bigints(wr_state_table(state, space), &space, 1, WR_ACCESS_WRITE, NULL);
      CHECK(prepared != WR_PREPARE_FAILED);
      is_done = prepared == WR_PREPARE_READY;
    }
    waits += !is_done;
    CHECK(waits <= 100);
  }
  CHECK_INT(waits, 100);
  CHECK_INT(wr_backend_row_count(backend), 100);
  wr_backend_free(backend);
  test_world_free(world);
}

/* A prepare that finds no memory leaves no new row, whatever allocation it is that fails. */
TEST(prepare_without_memory) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = all_types_backend(world, &state);
  struct wr_table *table = wr_state_table(state, 0);
  static char texts[WR_BATCH_ROWS_MAX][40];
  static struct wr_key keys[WR_BATCH_ROWS_MAX];
  uint64_t failures = 0;
  for (uint32_t n = 0; n < 3; n++) {
    for (uint32_t i = 0; i < WR_BATCH_ROWS_MAX; i++) {
      int length = snprintf(texts[i], sizeof texts[i], "%u", i + n * 3999);
      if (i % 3 == 0) length += snprintf(texts[i] + length, sizeof texts[i] - (size_t)length, " and twenty more bytes");
      keys[i] = (struct wr_key){.bytes = (const uint8_t *)texts[i], .length = (uint32_t)length};
    }
    uint64_t before = wr_table_row_count(table);
    enum wr_prepare prepared = WR_PREPARE_FAILED;
    for (uint64_t fail = 1; prepared != WR_PREPARE_READY; fail++) {
      struct weir_error error;
      test_memory_fail_after(&world->memory, 1 + fail % 3, false); /* what it has got stays for the next try */
      prepared = wr_table_prepare(table, keys, WR_BATCH_ROWS_MAX, WR_ACCESS_WRITE, &error);
      test_memory_fail_after(&world->memory, 0, false);
      if (prepared == WR_PREPARE_READY) break;
      failures++;
      CHECK_INT(error.code, WEIR_NO_MEMORY);
      CHECK_INT(wr_table_row_count(table), before);
      CHECK_INT(wr_backend_row_count(backend), before);
    }
    CHECK_INT(wr_table_row_count(table), WR_BATCH_ROWS_MAX + n * 3999);
  }
  printf("%" PRIu64 " prepares without memory\n", failures);
  CHECK(failures > 50);
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

/* Dropping frees memory, a little with each later call. */
TEST(dropped_memory_comes_back) {
  struct test_world *world = test_world_new();
  struct wr_state *state;
  struct wr_backend *backend = test_count_backend(world, 0, 1, &state);
  int64_t keys[WR_BATCH_ROWS_MAX];
  for (uint32_t i = 0; i < WR_BATCH_ROWS_MAX; i++)
    keys[i] = i;
  uint64_t highest = 0;
  for (int64_t space = 0; space < 200; space++) {
    struct wr_table *table = wr_state_table(state, space);
    CHECK_INT(wr_table_prepare_bigints(table, keys, WR_BATCH_ROWS_MAX, WR_ACCESS_WRITE, NULL), WR_PREPARE_READY);
    CHECK_INT(wr_state_drop(state, space, NULL), WEIR_OK);
    if (space == 4) highest = wr_backend_bytes(backend);
    if (space > 4) CHECK(wr_backend_bytes(backend) <= highest);
  }
  wr_backend_free(backend);
  CHECK_INT(world->memory.living_count, 0);
  test_world_free(world);
}

TEST_MAIN(TEST_CASE(layout_is_a_struct), TEST_CASE(bytes_of_every_length), TEST_CASE(equal_keys_and_new_rows),
          TEST_CASE(null_and_empty_keys_differ), TEST_CASE(namespaces), TEST_CASE(names_are_unique),
          TEST_CASE(wait_once), TEST_CASE(prepare_without_memory), TEST_CASE(dropped_memory_comes_back))
