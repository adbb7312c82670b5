/* connectors/sql/test_sql_server.c: URLs, passwords, SQL texts, and whether rows fit a table. */
#include "base/test.h"
#include "connectors/sql/sql_row_text.h"
#include "connectors/secret.h"
#include "connectors/sql/sql_server.h"
#include "connectors/sql/sql_table.h"
#include "connectors/sql/sql_text.h"
#include "data/batch_builder.h"
#include "store/test_files.h"

struct read {
  struct test_memory memory;
  struct wr_sql_server server;
  struct weir_error error;
};

static enum weir_code read_url(struct read *read, const char *url, const char *user) {
  struct wr_connector_value values[WR_SQL_OPTION_COUNT];
  const struct wr_connector_setting settings[] = {{"url", url}, {"table-name", "pv"}, {"username", user}};
  test_memory_init(&read->memory);
  WR_TRY(wr_connector_options_read(wr_sql_options, WR_SQL_OPTION_COUNT, settings, user == NULL ? 2 : 3, "the sink",
                                   values, &read->error));
  return wr_sql_server_init(&read->server, &read->memory.memory, values, "postgresql|postgres", 5432, &read->error);
}

TEST(urls) {
  static const struct {
    const char *url, *user, *where;
  } good[] = {{"postgresql://app@db:5433/out", NULL, "table pv in postgresql://app@db:5433/out"},
              {"postgres://db/out", "me", "table pv in postgresql://me@db:5432/out"},
              {"jdbc:postgresql://db/out", NULL, "table pv in postgresql://db:5432/out"},
              {"postgresql://a%40b@[::1]:1/o%2Fut", NULL, "table pv in postgresql://a@b@::1:1/o/ut"}};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    struct read read;
    CHECK_INT(read_url(&read, good[i].url, good[i].user), WEIR_OK);
    CHECK_STRING(read.server.where, good[i].where);
    wr_sql_server_deinit(&read.server, &read.memory.memory);
    CHECK_INT(read.memory.living_count, 0);
  }
  static const struct {
    const char *url, *says;
  } bad[] = {{"postgresql://app:secret@db/out", "has a password in it"},
             {"postgresql://db", "names no database"},
             {"postgresql://db/", "names no database"},
             {"postgresql:///out", "names no host"},
             {"postgresql://db:x/out", "a port that is none"},
             {"postgresql://db:70000/out", "a port that is none"},
             {"postgresql://db:/out", "a port that is none"},
             {"postgresql://db/out?a=b", "goes on after"},
             {"postgresql://d%zz/out", "cannot be read"},
             {"oracle://db/out", "is none"},
             {"db", "is none"}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct read read;
    CHECK_INT(read_url(&read, bad[i].url, NULL), WEIR_INVALID);
    CHECK(strstr(read.error.message, bad[i].says) != NULL);
    CHECK(strstr(read.error.message, "secret") == NULL);
    CHECK_INT(read.memory.living_count, 0);
  }
}

TEST(passwords) {
  struct test_files files;
  struct weir_error error;
  char password[WR_SECRET_BYTES_MAX], path[128];
  bool has = false;
  test_files_init(&files);
  snprintf(path, sizeof path, "%s/pw", files.folder);
  FILE *file = fopen(path, "w");
  CHECK(file != NULL);
  fputs("of a file\r\nnot this\n", file);
  fclose(file);
  struct wr_sql_server server = {.password_file = path};
  struct wr_memory *memory = &files.memory.memory;
  CHECK_INT(wr_sql_server_password(&server, &files.seams, memory, "WEIR_TEST_NONE", password, &has, &error), WEIR_OK);
  CHECK(has);
  CHECK_STRING(password, "of a file");
  setenv("WEIR_TEST_PW", "of the environment", 1);
  server = (struct wr_sql_server){.password_env = "WEIR_TEST_PW"};
  CHECK_INT(wr_sql_server_password(&server, &files.seams, memory, "WEIR_TEST_NONE", password, &has, &error), WEIR_OK);
  CHECK_STRING(password, "of the environment");
  server = (struct wr_sql_server){.password_env = "WEIR_TEST_NONE"};
  CHECK_INT(wr_sql_server_password(&server, &files.seams, memory, "WEIR_TEST_PW", password, &has, &error),
            WEIR_NOT_FOUND);
  server = (struct wr_sql_server){0};
  CHECK_INT(wr_sql_server_password(&server, &files.seams, memory, "WEIR_TEST_NONE", password, &has, &error), WEIR_OK);
  CHECK(!has);
  CHECK_INT(files.memory.living_count, 0);
  test_files_deinit(&files);
}

static const struct weir_schema schema = {
    .fields = (const struct weir_field[]){{"k\"1", WEIR_TYPE_STRING, false}, {"v", WEIR_TYPE_BIGINT, true}},
    .field_count = 2};
static const uint32_t key_fields[] = {0};
static const struct wr_sql_config config = {
    .where = "table t", .mode = WR_SQL_UPSERT, .key_fields = key_fields, .key_count = 1};

TEST(texts) {
  struct test_memory memory;
  struct wr_bytes sql;
  test_memory_init(&memory);
  wr_bytes_init(&sql, &memory.memory, WR_MEMORY_SINK);
  const struct wr_sql_dialect dialect = {.quote = '"',
                                         .types = {[WEIR_TYPE_STRING] = "text", [WEIR_TYPE_BIGINT] = "bigint"},
                                         .key_string_type = "varchar(9)",
                                         .key_bytes_type = "bytea",
                                         .after_table = " X"};
  wr_sql_put_create(&sql, "s.a\"b", &schema, &config, &dialect);
  CHECK_STRING(wr_sql_text(&sql),
               "CREATE TABLE \"s\".\"a\"\"b\" (\"k\"\"1\" varchar(9) NOT NULL, \"v\" bigint, PRIMARY KEY "
               "(\"k\"\"1\")) X");
  wr_bytes_deinit(&sql);
  struct wr_batch_builder builder;
  char text[128];
  wr_batch_builder_init(&builder, &memory.memory, &schema, false);
  CHECK_INT(wr_batch_builder_begin(&builder, NULL), WEIR_OK);
  CHECK_INT(wr_batch_builder_set_bytes(&builder, 0, "a\0b\n", 4, NULL), WEIR_OK);
  wr_batch_builder_end_row(&builder, WEIR_INSERT);
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  wr_sql_row_text(batch, 0, NULL, 0, text, sizeof text);
  CHECK_STRING(text, "k\"1 = 'a\\x00b\\x0a', v = NULL");
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  CHECK_INT(memory.living_count, 0);
}

static void add(struct wr_sql_table *table, const char *name, uint32_t type, struct wr_sql_column column) {
  column.fits = 1u << type;
  CHECK_INT(wr_sql_table_add_column(table, &column, name, "some type", NULL), WEIR_OK);
}

TEST(tables) {
  struct test_memory memory;
  struct wr_sql_table table;
  struct weir_error error;
  uint32_t columns[2];
  const struct wr_sql_column plain = {0};
  test_memory_init(&memory);
  wr_sql_table_init(&table, &memory.memory);
  add(&table, "v", WEIR_TYPE_BIGINT, plain);
  CHECK_INT(wr_sql_table_check(&table, &config, &schema, columns, &error), WEIR_CONSTRAINT);
  CHECK(strstr(error.message, "has no column \"k\"1\" (STRING)") != NULL);
  add(&table, "k\"1", WEIR_TYPE_STRING, plain);
  CHECK_INT(wr_sql_table_check(&table, &config, &schema, columns, &error), WEIR_CONSTRAINT);
  CHECK(strstr(error.message, "no primary key or unique index over exactly (\"k\"1\")") != NULL);
  /* Over more than the key, and over a part of a column: neither is it. */
  CHECK_INT(wr_sql_table_add_index_column(&table, "both", "k\"1", NULL), WEIR_OK);
  CHECK_INT(wr_sql_table_add_index_column(&table, "both", "v", NULL), WEIR_OK);
  CHECK_INT(wr_sql_table_add_index_column(&table, "part", "", NULL), WEIR_OK);
  CHECK_INT(wr_sql_table_check(&table, &config, &schema, columns, &error), WEIR_CONSTRAINT);
  CHECK_INT(wr_sql_table_add_index_column(&table, "primary", "k\"1", NULL), WEIR_OK);
  CHECK_INT(wr_sql_table_check(&table, &config, &schema, columns, &error), WEIR_OK);
  CHECK_INT(columns[0], 1);
  CHECK_INT(columns[1], 0);
  table.updates_by_any_index = true;
  CHECK_INT(wr_sql_table_check(&table, &config, &schema, columns, &error), WEIR_CONSTRAINT);
  CHECK(strstr(error.message, "another unique index, \"both\"") != NULL);
  table.updates_by_any_index = false;
  table.columns[1].unfit_key = "it is not";
  CHECK_INT(wr_sql_table_check(&table, &config, &schema, columns, &error), WEIR_CONSTRAINT);
  table.columns[1].unfit_key = NULL;
  table.columns[0].fits = 1u << WEIR_TYPE_INT;
  CHECK_INT(wr_sql_table_check(&table, &config, &schema, columns, &error), WEIR_CONSTRAINT);
  CHECK(strstr(error.message, "is of type some type, which does not take every BIGINT") != NULL);
  table.columns[0].fits = 1u << WEIR_TYPE_BIGINT;
  add(&table, "other", WEIR_TYPE_INT, (struct wr_sql_column){.wants_value = true});
  CHECK_INT(wr_sql_table_check(&table, &config, &schema, columns, &error), WEIR_CONSTRAINT);
  CHECK(strstr(error.message, "\"other\"") != NULL);
  wr_sql_table_deinit(&table);
  CHECK_INT(memory.living_count, 0);
}

/* Whose fault is a NULL that a column does not take? It goes by what the column took when it was first seen. */
TEST(a_null_that_is_not_taken) {
  struct test_memory memory;
  struct wr_sql_table table;
  struct wr_sql_nulls nulls = {.is_known = false};
  struct weir_error error = {.code = WEIR_OK};
  const uint32_t columns[2] = {1, 0};
  test_memory_init(&memory);
  wr_sql_table_init(&table, &memory.memory);
  add(&table, "v", WEIR_TYPE_BIGINT, (struct wr_sql_column){.refuses_null = false});
  add(&table, "k\"1", WEIR_TYPE_STRING, (struct wr_sql_column){.refuses_null = true});
  wr_sql_nulls_note(&nulls, &table, &schema, columns);
  table.columns[0].refuses_null = true; /* as it is seen by a later connection */
  wr_sql_nulls_note(&nulls, &table, &schema, columns);
  CHECK(!wr_sql_nulls_blames_table(&nulls, &config, &schema, "k\"1", &error));
  CHECK_INT(error.code, WEIR_OK);
  CHECK(wr_sql_nulls_blames_table(&nulls, &config, &schema, "v", &error));
  CHECK_INT(error.code, WEIR_NOT_FOUND);
  CHECK(strstr(error.message, "column \"v\" of") != NULL && strstr(error.message, "takes no NULL any more") != NULL);
  CHECK(wr_sql_nulls_blames_table(&nulls, &config, &schema, "other", &error));
  CHECK(strstr(error.message, "must be given a value now, and the sink has no such field") != NULL);
  wr_sql_table_deinit(&table);
}

TEST(digits_of_a_second) {
  const struct wr_sql_column micro = {.time_digits = 6}, second = {.time_digits = 0}, all = {.time_digits = 9};
  CHECK(wr_sql_time_fits(&micro, (struct weir_timestamp){-1, 999000, 0}));
  CHECK(!wr_sql_time_fits(&micro, (struct weir_timestamp){-1, 999999, 0}));
  CHECK(wr_sql_time_fits(&all, (struct weir_timestamp){-1, 999999, 0}));
  CHECK(wr_sql_time_fits(&second, (struct weir_timestamp){-2000, 0, 0}));
  CHECK(!wr_sql_time_fits(&second, (struct weir_timestamp){-1, 0, 0}));
}

TEST_MAIN(TEST_CASE(urls), TEST_CASE(passwords), TEST_CASE(texts), TEST_CASE(tables),
          TEST_CASE(a_null_that_is_not_taken), TEST_CASE(digits_of_a_second))
