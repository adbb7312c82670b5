/* connectors/mysql/mysql_table.c: see mysql_table.h. */
#include "connectors/mysql/mysql_table.h"

#include "connectors/sql/sql_text.h"

#include <stdlib.h>

#define BIT(type) (1u << WEIR_TYPE_##type)

static const struct wr_sql_dialect dialect = {.quote = '`',
                                              .types = {[WEIR_TYPE_BOOLEAN] = "boolean",
                                                        [WEIR_TYPE_INT] = "int",
                                                        [WEIR_TYPE_BIGINT] = "bigint",
                                                        [WEIR_TYPE_DOUBLE] = "double",
                                                        [WEIR_TYPE_STRING] = "longtext CHARACTER SET utf8mb4",
                                                        [WEIR_TYPE_BYTES] = "longblob",
                                                        [WEIR_TYPE_TIMESTAMP] = "datetime(6)"},
                                              .key_string_type =
                                                  "varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                                              .key_bytes_type = "varbinary(255)",
                                              .after_table = " ENGINE = InnoDB"};

/* Which fields a type takes, by its data_type. */
static const struct {
  const char *name;
  uint32_t fits;
} types[] = {{"tinyint", BIT(BOOLEAN)},
             {"smallint", BIT(BOOLEAN)},
             {"int", BIT(BOOLEAN) | BIT(INT)},
             {"bigint", BIT(BOOLEAN) | BIT(INT) | BIT(BIGINT)},
             {"bit", BIT(BOOLEAN)},
             {"decimal", BIT(INT) | BIT(BIGINT)},
             {"double", BIT(INT) | BIT(DOUBLE)},
             {"char", BIT(STRING)},
             {"varchar", BIT(STRING) | BIT(TIMESTAMP)},
             {"tinytext", BIT(STRING)},
             {"text", BIT(STRING) | BIT(TIMESTAMP)},
             {"mediumtext", BIT(STRING) | BIT(TIMESTAMP)},
             {"longtext", BIT(STRING) | BIT(TIMESTAMP)},
             {"json", BIT(STRING)},
             {"uuid", BIT(STRING)},
             {"varbinary", BIT(BYTES)},
             {"tinyblob", BIT(BYTES)},
             {"blob", BIT(BYTES)},
             {"mediumblob", BIT(BYTES)},
             {"longblob", BIT(BYTES)},
             {"datetime", BIT(TIMESTAMP)},
             {"timestamp", BIT(TIMESTAMP)}};

/* A question about one table: `select`, then WHERE table_schema = ... AND table_name = ..., then `rest`. */
static enum wr_sql_outcome ask(struct wr_mysql_session *session, const char *select, const char *table,
                               const char *rest, MYSQL_RES **out_result, struct weir_error *error) {
  const char *dot = strchr(table, '.'), *name = dot == NULL ? table : dot + 1;
  struct wr_bytes sql;
  wr_bytes_init(&sql, session->memory, WR_MEMORY_SINK);
  wr_sql_put(&sql, select);
  wr_sql_put(&sql, " WHERE table_schema = ");
  if (dot == NULL)
    wr_sql_put(&sql, "DATABASE()");
  else
    wr_mysql_put_text(&sql, table, (size_t)(dot - table));
  wr_sql_put(&sql, " AND table_name = ");
  wr_mysql_put_text(&sql, name, strlen(name));
  wr_sql_put(&sql, rest);
  enum wr_sql_outcome outcome = WR_SQL_FAILED;
  if (wr_bytes_check(&sql, error) == WEIR_OK)
    outcome = wr_mysql_run(session, sql.data, sql.length, "read the catalogue", out_result, NULL, error);
  wr_bytes_deinit(&sql);
  return outcome;
}

/* ---- kinds of tables ---- */

/* Is there such a table, and does it have transactions? */
static enum wr_sql_outcome look_for(struct wr_mysql_session *session, const char *table, bool *out_has,
                                    struct weir_error *error) {
  MYSQL_RES *result = NULL;
  enum wr_sql_outcome outcome =
      ask(session, "SELECT table_type, engine FROM information_schema.tables", table, "", &result, error);
  if (outcome != WR_SQL_DONE) return outcome;
  MYSQL_ROW row = session->my.mysql_fetch_row(result);
  *out_has = row != NULL;
  if (row != NULL && strcmp(row[0], "BASE TABLE") != 0) {
    WR_FAIL(error, WEIR_CONSTRAINT, "%s: `%s` is a %s; rows can be written exactly once only into a plain table",
            session->server->where, table, row[0]);
    outcome = WR_SQL_FAILED;
  } else if (row != NULL && (row[1] == NULL || strcmp(row[1], "InnoDB") != 0)) {
    WR_FAIL(
        error, WEIR_CONSTRAINT,
        "%s: table `%s` is of engine %s, which has no transactions that rows and marker could share: ALTER TABLE it "
        "to ENGINE = InnoDB",
        session->server->where, table, row[1] == NULL ? "none" : row[1]);
    outcome = WR_SQL_FAILED;
  }
  session->my.mysql_free_result(result);
  return outcome;
}

enum wr_sql_outcome wr_mysql_look_for_markers(struct wr_mysql_session *session, bool *out_has,
                                              struct weir_error *error) {
  return look_for(session, session->server->marker_table, out_has, error);
}

static enum wr_sql_outcome missing(struct wr_mysql_session *session, const struct wr_sql_config *config,
                                   const struct weir_schema *schema, struct weir_error *error) {
  struct wr_bytes sql;
  wr_bytes_init(&sql, session->memory, WR_MEMORY_SINK);
  wr_sql_put_create(&sql, session->server->table, schema, config, &dialect);
  const char *text = wr_sql_text(&sql);
  WR_FAIL(error, WEIR_NOT_FOUND, "%s is not there, or this user has no right to it; make it, for example by: %s",
          config->where, text == NULL ? "CREATE TABLE" : text);
  wr_bytes_deinit(&sql);
  return WR_SQL_FAILED;
}

/* ---- columns ---- */

static const char columns_sql[] =
    "SELECT column_name, column_type, data_type, datetime_precision, is_nullable = 'NO' AND column_default IS NULL AND "
    "extra NOT LIKE '%auto_increment%' AND extra NOT LIKE '%GENERATED%', extra LIKE '%VIRTUAL%' OR extra LIKE "
    "'%STORED%' OR extra LIKE '%PERSISTENT%', extra LIKE '%auto_increment%', collation_name, "
    "is_nullable = 'NO' "
    "FROM information_schema.columns";

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), tail = strlen(end);
  return length >= tail && strcmp(text + length - tail, end) == 0;
}

static struct wr_sql_column column_of(MYSQL_ROW row) {
  struct wr_sql_column column = {.refuses_null = strcmp(row[8], "1") == 0,
                                 .wants_value = strcmp(row[4], "1") == 0,
                                 .is_generated = strcmp(row[5], "1") == 0,
                                 .counts_up = strcmp(row[6], "1") == 0};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    if (strcmp(types[i].name, row[2]) == 0) column.fits = types[i].fits;
  column.time_digits = row[3] == NULL ? 9 : (uint32_t)strtoul(row[3], NULL, 10);
  const char *collation = row[7];
  if (collation != NULL) {
    column.ignores_end_spaces = strstr(collation, "nopad") == NULL && strstr(collation, "0900") == NULL;
    if (!ends_with(collation, "_bin"))
      column.unfit_key = "its collation takes texts that differ for equal, as 'a' and 'A'; give it one that ends with "
                         "_bin, as utf8mb4_bin";
    if (strcmp(row[2], "char") == 0) column.unfit_key = "it drops the spaces at the end of a text";
  }
  return column;
}

static enum wr_sql_outcome read_columns(struct wr_mysql_session *session, struct wr_sql_table *table,
                                        struct weir_error *error) {
  MYSQL_RES *result = NULL;
  enum wr_sql_outcome outcome =
      ask(session, columns_sql, session->server->table, " ORDER BY ordinal_position", &result, error);
  if (outcome != WR_SQL_DONE) return outcome;
  MYSQL_ROW row;
  while (outcome == WR_SQL_DONE && (row = session->my.mysql_fetch_row(result)) != NULL) {
    struct wr_sql_column column = column_of(row);
    if (wr_sql_table_add_column(table, &column, row[0], row[1], error) != WEIR_OK) outcome = WR_SQL_FAILED;
  }
  session->my.mysql_free_result(result);
  return outcome;
}

/* An index over a beginning of a column is told as one over something that is no column. */
static enum wr_sql_outcome read_indexes(struct wr_mysql_session *session, struct wr_sql_table *table,
                                        struct weir_error *error) {
  MYSQL_RES *result = NULL;
  enum wr_sql_outcome outcome =
      ask(session,
          "SELECT index_name, CASE WHEN sub_part IS NULL THEN coalesce(column_name, '') ELSE '' "
          "END FROM information_schema.statistics",
          session->server->table, " AND non_unique = 0 ORDER BY index_name, seq_in_index", &result, error);
  if (outcome != WR_SQL_DONE) return outcome;
  MYSQL_ROW row;
  while (outcome == WR_SQL_DONE && (row = session->my.mysql_fetch_row(result)) != NULL)
    if (wr_sql_table_add_index_column(table, row[0], row[1], error) != WEIR_OK) outcome = WR_SQL_FAILED;
  session->my.mysql_free_result(result);
  return outcome;
}

enum wr_sql_outcome wr_mysql_read_table(struct wr_mysql_session *session, const struct wr_sql_config *config,
                                        const struct weir_schema *schema, struct wr_sql_table *table,
                                        struct weir_error *error) {
  wr_sql_table_deinit(table);
  table->updates_by_any_index = true;
  bool has = false;
  enum wr_sql_outcome outcome = look_for(session, session->server->table, &has, error);
  if (outcome == WR_SQL_DONE && !has) outcome = missing(session, config, schema, error);
  if (outcome == WR_SQL_DONE) outcome = read_columns(session, table, error);
  return outcome == WR_SQL_DONE ? read_indexes(session, table, error) : outcome;
}
