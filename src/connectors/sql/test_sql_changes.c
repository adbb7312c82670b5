/* connectors/sql/test_sql_changes.c: changes come out once per key, in the order of the key's first field. */
#include "base/test.h"
#include "base/test_memory.h"
#include "connectors/sql/sql_changes.h"
#include "data/batch_builder.h"

static const struct weir_schema schema = {.fields = (const struct weir_field[]){{"text", WEIR_TYPE_STRING, false},
                                                                                {"number", WEIR_TYPE_BIGINT, false},
                                                                                {"real", WEIR_TYPE_DOUBLE, false}},
                                          .field_count = 3};
static const struct {
  const char *text;
  int64_t number;
  double real;
} rows[] = {{"b", -1, 2.5},          {"", 70000, -0.5},       {"abc", 0, -3e9}, {"ab", INT64_MIN, 0.0},
            {"z", INT64_MAX, 1e300}, {"\xc3\xa4", 5, -1e300}, {"b0", -7, 0.25}};
enum { ROWS = sizeof rows / sizeof rows[0] };
/* The numbers of the rows in the order of each field. */
static const uint32_t wanted[][ROWS] = {{1, 3, 2, 0, 6, 4, 5}, {3, 6, 0, 2, 5, 1, 4}, {5, 2, 1, 3, 6, 0, 4}};

static enum weir_code add_all(struct wr_sql_changes *changes, struct wr_memory *memory, struct weir_error *error) {
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, memory, &schema, true);
  for (uint32_t turn = 0; turn < 2; turn++) /* the second change of each key is the one that counts */
    for (uint32_t i = 0; i < ROWS; i++) {
      WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
      WR_ASSERT(wr_batch_builder_set_bytes(&builder, 0, rows[i].text, strlen(rows[i].text), NULL) == WEIR_OK);
      wr_batch_builder_set_bigint(&builder, 1, rows[i].number);
      wr_batch_builder_set_double(&builder, 2, rows[i].real);
      wr_batch_builder_end_row(&builder, turn == 1 && i % 2 == 1 ? WEIR_DELETE : WEIR_UPDATE_AFTER);
    }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_batch_builder_deinit(&builder);
  enum weir_code code = wr_sql_changes_add(changes, batch, error);
  wr_batch_unref(batch);
  return code;
}

TEST(order_of_the_key) {
  for (uint32_t field = 0; field < 3; field++) {
    const struct wr_sql_config config = {
        .where = "table t", .mode = WR_SQL_UPSERT, .key_fields = &field, .key_count = 1};
    struct test_memory memory;
    struct wr_sql_changes changes;
    struct weir_error error;
    test_memory_init(&memory);
    wr_sql_changes_init(&changes, &config, &memory.memory);
    CHECK_INT(add_all(&changes, &memory.memory, &error), WEIR_OK);
    for (uint32_t deletes = 0; deletes < 2; deletes++) {
      const struct wr_sql_row *found = NULL;
      uint32_t count = 0, at = 0;
      CHECK_INT(wr_sql_changes_rows(&changes, deletes == 1 ? WR_SQL_DELETE : WR_SQL_WRITE, &found, &count, &error),
                WEIR_OK);
      for (uint32_t i = 0; i < ROWS; i++) {
        if (wanted[field][i] % 2 != deletes) continue;
        CHECK(at < count);
        CHECK_INT(found[at++].row, ROWS + wanted[field][i]);
      }
      CHECK_INT(at, count);
    }
    wr_sql_changes_deinit(&changes);
    CHECK_INT(memory.living_count, 0);
  }
}

TEST(no_memory) {
  static const uint32_t first[] = {0};
  const struct wr_sql_config config = {.where = "table t", .mode = WR_SQL_UPSERT, .key_fields = first, .key_count = 1};
  bool failed = true;
  for (uint64_t n = 1; failed; n++) {
    struct test_memory memory, below;
    struct wr_sql_changes changes;
    struct weir_error error;
    const struct wr_sql_row *found = NULL;
    uint32_t count = 0;
    test_memory_init(&memory);
    test_memory_init(&below);
    wr_sql_changes_init(&changes, &config, &memory.memory);
    test_memory_fail_after(&memory, n, false);
    enum weir_code code = add_all(&changes, &below.memory, &error);
    if (code == WEIR_OK) code = wr_sql_changes_rows(&changes, WR_SQL_WRITE, &found, &count, &error);
    failed = memory.failures > 0;
    CHECK_INT(code, failed ? WEIR_NO_MEMORY : WEIR_OK);
    wr_sql_changes_deinit(&changes);
    CHECK_INT(memory.living_count, 0);
    CHECK_INT(below.living_count, 0);
  }
}

TEST_MAIN(TEST_CASE(order_of_the_key), TEST_CASE(no_memory))
