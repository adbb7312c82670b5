/* connectors/postgres/test_postgres_copy.c: rows as lines of COPY, each type of field and each escape; and which of a
 * server's answers is a row's fault. (That a server takes them: tests/sql_sinks.py.) */
#include "connectors/postgres/postgres_copy.h"

#include "base/test.h"
#include "base/test_memory.h"

#include <math.h>

static const struct weir_schema schema = {.fields = (const struct weir_field[]){{"t", WEIR_TYPE_BOOLEAN, true},
                                                                                {"i", WEIR_TYPE_INT, true},
                                                                                {"b", WEIR_TYPE_BIGINT, true},
                                                                                {"d", WEIR_TYPE_DOUBLE, true},
                                                                                {"s", WEIR_TYPE_STRING, true},
                                                                                {"y", WEIR_TYPE_BYTES, true},
                                                                                {"at", WEIR_TYPE_TIMESTAMP, true},
                                                                                {"text", WEIR_TYPE_TIMESTAMP, true}},
                                          .field_count = 8};

struct fixture {
  struct test_memory memory;
  struct wr_batch_builder builder;
  struct wr_sql_column columns[8];
  uint32_t numbers[8];
  struct wr_sql_table table;
  struct wr_postgres_rows rows;
  struct wr_bytes out;
  struct weir_error error;
};

static void fixture_init(struct fixture *f) {
  memset(f, 0, sizeof *f);
  test_memory_init(&f->memory);
  for (uint32_t i = 0; i < 8; i++) {
    f->columns[i] =
        (struct wr_sql_column){.name = (char *)schema.fields[i].name, .type = (char *)"x", .time_digits = 9};
    f->numbers[i] = i;
  }
  f->columns[6].time_digits = 3;
  f->table = (struct wr_sql_table){.columns = f->columns, .column_count = 8};
  f->rows = (struct wr_postgres_rows){.schema = &schema, .table = &f->table, .columns = f->numbers};
  wr_bytes_init(&f->out, &f->memory.memory, WR_MEMORY_SINK);
  wr_batch_builder_init(&f->builder, &f->memory.memory, &schema, false);
}

static void fixture_deinit(struct fixture *f) {
  wr_batch_builder_deinit(&f->builder);
  wr_bytes_deinit(&f->out);
  WR_ASSERT(f->memory.living_count == 0);
}

/* The line of the row that the builder holds. */
static enum weir_code line(struct fixture *f) {
  struct wr_batch *batch = wr_batch_builder_take(&f->builder);
  wr_bytes_clear(&f->out);
  enum weir_code code =
      wr_postgres_copy_line(&f->out, &f->rows, &(struct wr_sql_row){.batch = batch, .row = 0}, &f->error);
  wr_bytes_put_u8(&f->out, 0);
  wr_batch_unref(batch);
  return code;
}

static void begin(struct fixture *f) {
  WR_ASSERT(wr_batch_builder_begin(&f->builder, NULL) == WEIR_OK);
  for (uint32_t i = 0; i < 8; i++)
    WR_ASSERT(wr_batch_builder_set_null(&f->builder, i, NULL) == WEIR_OK);
}

TEST(lines) {
  struct fixture f;
  fixture_init(&f);
  begin(&f);
  wr_batch_builder_end_row(&f.builder, WEIR_INSERT);
  CHECK_INT(line(&f), WEIR_OK);
  CHECK_STRING((const char *)f.out.data, "\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n");

  const struct weir_timestamp time = {.milliseconds = 1234567890123};
  begin(&f);
  wr_batch_builder_set_boolean(&f.builder, 0, true);
  wr_batch_builder_set_int(&f.builder, 1, INT32_MIN);
  wr_batch_builder_set_bigint(&f.builder, 2, INT64_MIN);
  wr_batch_builder_set_double(&f.builder, 3, -0.1);
  WR_ASSERT(wr_batch_builder_set_bytes(&f.builder, 4, "a\\N\tb\nc\rd\xc3\xa4", 11, NULL) == WEIR_OK);
  WR_ASSERT(wr_batch_builder_set_bytes(&f.builder, 5, "\x00\xff\\", 3, NULL) == WEIR_OK);
  wr_batch_builder_set_timestamp(&f.builder, 6, time);
  wr_batch_builder_set_timestamp(&f.builder, 7, time);
  wr_batch_builder_end_row(&f.builder, WEIR_INSERT);
  CHECK_INT(line(&f), WEIR_OK);
  CHECK_STRING((const char *)f.out.data,
               "t\t-2147483648\t-9223372036854775808\t-0.1\ta\\\\N\\tb\\nc\\rd\xc3\xa4\t\\\\x00ff5c\t"
               "2009-02-13 23:31:30.123000\t2009-02-13 23:31:30.123000000\n");

  begin(&f);
  wr_batch_builder_set_boolean(&f.builder, 0, false);
  wr_batch_builder_set_double(&f.builder, 3, -INFINITY);
  WR_ASSERT(wr_batch_builder_set_bytes(&f.builder, 4, "", 0, NULL) == WEIR_OK);
  WR_ASSERT(wr_batch_builder_set_bytes(&f.builder, 5, "", 0, NULL) == WEIR_OK);
  wr_batch_builder_end_row(&f.builder, WEIR_INSERT);
  CHECK_INT(line(&f), WEIR_OK);
  CHECK_STRING((const char *)f.out.data, "f\t\\N\t\\N\t-Infinity\t\t\\\\x\t\\N\t\\N\n");
  fixture_deinit(&f);
}

TEST(what_no_column_holds) {
  struct fixture f;
  fixture_init(&f);
  begin(&f);
  WR_ASSERT(wr_batch_builder_set_bytes(&f.builder, 4, "a\0b", 3, NULL) == WEIR_OK);
  wr_batch_builder_end_row(&f.builder, WEIR_INSERT);
  CHECK_INT(line(&f), WEIR_CONSTRAINT);
  CHECK(strstr(f.error.message, "\"s\" has a character NUL") != NULL);
  begin(&f);
  wr_batch_builder_set_timestamp(&f.builder, 6, (struct weir_timestamp){.milliseconds = 1, .nanoseconds = 1000});
  wr_batch_builder_end_row(&f.builder, WEIR_INSERT);
  CHECK_INT(line(&f), WEIR_CONSTRAINT);
  CHECK(strstr(f.error.message, "\"at\" has more than the 3 digits") != NULL);
  fixture_deinit(&f);
}

TEST(whose_fault) {
  static const struct {
    const char *state;
    enum weir_code code;
  } states[] = {{"23505", WEIR_CONSTRAINT}, {"22P02", WEIR_CONSTRAINT}, {"P0001", WEIR_CONSTRAINT},
                {"54000", WEIR_CONSTRAINT}, {"44000", WEIR_CONSTRAINT}, {"42703", WEIR_NOT_FOUND},
                {"42P01", WEIR_NOT_FOUND},  {"0A000", WEIR_NOT_FOUND},  {"42501", WEIR_DENIED},
                {"28P01", WEIR_DENIED},     {"53100", WEIR_NO_SPACE},   {"57P01", WEIR_IO},
                {"40001", WEIR_BUSY},       {"57014", WEIR_TIMEOUT},    {"", WEIR_IO}};
  for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
    CHECK_INT(wr_postgres_code(states[i].state), states[i].code);
}

TEST_MAIN(TEST_CASE(lines), TEST_CASE(what_no_column_holds), TEST_CASE(whose_fault))
