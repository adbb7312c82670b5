/* connectors/sqlite/sqlite_table.c: see sqlite_table.h. Names go into SQL in double quotes, doubled inside. */
#include "connectors/sqlite/sqlite_table.h"

#include "base/bytes.h"
#include "formats/civil_time.h"

#include <stdio.h>

/* ---- SQL texts ---- */

static void put_text(struct wr_bytes *sql, const char *text) {
  wr_bytes_put(sql, text, strlen(text));
}

static void put_name(struct wr_bytes *sql, const char *name) {
  wr_bytes_put_u8(sql, '"');
  for (const char *c = name; *c != 0; c++) {
    if (*c == '"') wr_bytes_put_u8(sql, '"');
    wr_bytes_put_u8(sql, (uint8_t)*c);
  }
  wr_bytes_put_u8(sql, '"');
}

static const char *field_name(const struct wr_sqlite_table *table, uint32_t field) {
  return table->schema->fields[field].name;
}

static void put_separator(struct wr_bytes *sql, uint32_t index, const char *separator) {
  if (index > 0) put_text(sql, separator);
}

static void put_key_names(struct wr_bytes *sql, const struct wr_sqlite_table *table) {
  for (uint32_t i = 0; i < table->config->key_count; i++) {
    put_separator(sql, i, ", ");
    put_name(sql, field_name(table, table->config->key_fields[i]));
  }
}

static const char *type_text(enum weir_type type) {
  switch (type) {
  case WEIR_TYPE_BOOLEAN:
  case WEIR_TYPE_INT:
  case WEIR_TYPE_BIGINT:
    return "INTEGER";
  case WEIR_TYPE_DOUBLE:
    return "REAL";
  case WEIR_TYPE_BYTES:
    return "BLOB";
  default: /* STRING, TIMESTAMP */
    return "TEXT";
  }
}

static void put_create(struct wr_bytes *sql, const struct wr_sqlite_table *table) {
  uint32_t key_count = table->config->mode == WR_SQLITE_UPSERT ? table->config->key_count : 0;
  put_text(sql, "CREATE TABLE ");
  put_name(sql, table->config->table);
  put_text(sql, "(");
  for (uint32_t i = 0; i < table->schema->field_count; i++) {
    put_separator(sql, i, ", ");
    put_name(sql, field_name(table, i));
    put_text(sql, " ");
    put_text(sql, type_text(table->schema->fields[i].type));
    if (key_count == 1 && table->config->key_fields[0] == i) put_text(sql, " PRIMARY KEY");
  }
  if (key_count > 1) {
    put_text(sql, ", PRIMARY KEY (");
    put_key_names(sql, table);
    put_text(sql, ")");
  }
  put_text(sql, ")");
}

static bool is_key(const struct wr_sqlite_table *table, uint32_t field) {
  for (uint32_t i = 0; i < table->config->key_count; i++)
    if (table->config->key_fields[i] == field) return true;
  return false;
}

static void put_on_conflict(struct wr_bytes *sql, const struct wr_sqlite_table *table) {
  put_text(sql, " ON CONFLICT (");
  put_key_names(sql, table);
  put_text(sql, ") DO ");
  uint32_t updated = 0;
  for (uint32_t i = 0; i < table->schema->field_count; i++) {
    if (is_key(table, i)) continue;
    put_text(sql, updated++ == 0 ? "UPDATE SET " : ", ");
    put_name(sql, field_name(table, i));
    put_text(sql, " = excluded.");
    put_name(sql, field_name(table, i));
  }
  if (updated == 0) put_text(sql, "NOTHING");
}

static void put_insert_of(struct wr_bytes *sql, const struct wr_sqlite_table *table, uint32_t rows) {
  put_text(sql, "INSERT INTO ");
  put_name(sql, table->config->table);
  put_text(sql, "(");
  for (uint32_t i = 0; i < table->schema->field_count; i++) {
    put_separator(sql, i, ", ");
    put_name(sql, field_name(table, i));
  }
  put_text(sql, ") VALUES ");
  for (uint32_t row = 0; row < rows; row++) {
    put_text(sql, row == 0 ? "(" : ", (");
    for (uint32_t i = 0; i < table->schema->field_count; i++)
      put_text(sql, i == 0 ? "?" : ", ?");
    put_text(sql, ")");
  }
  if (table->config->mode == WR_SQLITE_UPSERT) put_on_conflict(sql, table);
}

static void put_insert(struct wr_bytes *sql, const struct wr_sqlite_table *table) {
  put_insert_of(sql, table, 1);
}

static void put_insert_many(struct wr_bytes *sql, const struct wr_sqlite_table *table) {
  put_insert_of(sql, table, table->many);
}

static void put_delete(struct wr_bytes *sql, const struct wr_sqlite_table *table) {
  put_text(sql, "DELETE FROM ");
  put_name(sql, table->config->table);
  put_text(sql, " WHERE ");
  for (uint32_t i = 0; i < table->config->key_count; i++) {
    put_separator(sql, i, " AND ");
    put_name(sql, field_name(table, table->config->key_fields[i]));
    put_text(sql, " = ?");
  }
}

/* The text that `put` makes. */
static enum weir_code make_sql(const struct wr_sqlite_table *table,
                               void (*put)(struct wr_bytes *, const struct wr_sqlite_table *), struct wr_bytes *sql,
                               struct weir_error *error) {
  wr_bytes_init(sql, table->memory, WR_MEMORY_SINK);
  put(sql, table);
  wr_bytes_put_u8(sql, 0);
  return wr_bytes_check(sql, error);
}

/* ---- the table ---- */

/* `statement` is PRAGMA table_info: one row per column, its name in column 1. */
static enum weir_code check_columns(const struct wr_sqlite_table *table, sqlite3_stmt *statement,
                                    struct weir_error *error) {
  bool found[WR_FIELDS_MAX] = {false};
  int result;
  while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(statement, 1);
    for (uint32_t i = 0; name != NULL && i < table->schema->field_count; i++)
      if (sqlite3_stricmp(name, field_name(table, i)) == 0) found[i] = true;
  }
  if (result != SQLITE_DONE) return wr_sqlite_fail(table->database, result, "read the columns of the table", error);
  for (uint32_t i = 0; i < table->schema->field_count; i++)
    if (!found[i])
      return WR_FAIL(error, WEIR_CONSTRAINT,
                     "table \"%s\" in %s has no column \"%s\"; add it, or give the sink another table",
                     table->config->table, table->database->path, field_name(table, i));
  return WEIR_OK;
}

static enum weir_code check_existing(struct wr_sqlite_table *table, struct weir_error *error) {
  sqlite3_stmt *statement = NULL;
  WR_TRY(wr_sqlite_prepare(table->database, "SELECT * FROM pragma_table_info(?1)", "read the columns of the table",
                           &statement, error));
  int result = sqlite3_bind_text(statement, 1, table->config->table, -1, SQLITE_STATIC);
  enum weir_code code = result == SQLITE_OK ? check_columns(table, statement, error)
                                            : wr_sqlite_fail(table->database, result, "bind a name", error);
  sqlite3_finalize(statement);
  return code;
}

enum weir_code wr_sqlite_table_make(struct wr_sqlite_table *table, struct weir_error *error) {
  bool has = false;
  WR_TRY(wr_sqlite_has_table(table->database, table->config->table, &has, error));
  if (has) return check_existing(table, error);
  struct wr_bytes sql;
  enum weir_code code = make_sql(table, put_create, &sql, error);
  if (code == WEIR_OK) code = wr_sqlite_execute(table->database, (const char *)sql.data, error);
  wr_bytes_deinit(&sql);
  return code;
}

static enum weir_code prepare_one(struct wr_sqlite_table *table,
                                  void (*put)(struct wr_bytes *, const struct wr_sqlite_table *), const char *verb,
                                  sqlite3_stmt **out_statement, struct weir_error *error) {
  char doing[320];
  snprintf(doing, sizeof doing, "%s table \"%s\"", verb, table->config->table);
  struct wr_bytes sql;
  enum weir_code code = make_sql(table, put, &sql, error);
  if (code == WEIR_OK) code = wr_sqlite_prepare(table->database, (const char *)sql.data, doing, out_statement, error);
  wr_bytes_deinit(&sql);
  return code;
}

enum weir_code wr_sqlite_table_prepare(struct wr_sqlite_table *table, struct weir_error *error) {
  bool upsert = table->config->mode == WR_SQLITE_UPSERT;
  const char *verb = upsert ? "update and insert into" : "insert into";
  uint32_t parameters = (uint32_t)sqlite3_limit(table->database->connection, SQLITE_LIMIT_VARIABLE_NUMBER, -1);
  table->many = parameters / table->schema->field_count;
  if (table->many > WR_SQLITE_ROWS_MAX) table->many = WR_SQLITE_ROWS_MAX;
  if (upsert && table->delete == NULL) WR_TRY(prepare_one(table, put_delete, "delete from", &table->delete, error));
  if (table->write == NULL) WR_TRY(prepare_one(table, put_insert, verb, &table->write, error));
  if (table->many <= 1 || table->write_many != NULL) return WEIR_OK;
  return prepare_one(table, put_insert_many, verb, &table->write_many, error);
}

void wr_sqlite_table_forget(struct wr_sqlite_table *table) {
  table->write = NULL;
  table->write_many = NULL;
  table->delete = NULL;
}

/* ---- rows ---- */

static int bind_field(sqlite3_stmt *statement, int parameter, const struct wr_batch *batch, uint32_t field,
                      uint32_t row) {
  const struct wr_column *column = &batch->columns[field];
  if (wr_column_is_null(column, row)) return sqlite3_bind_null(statement, parameter);
  switch (batch->schema->fields[field].type) {
  case WEIR_TYPE_BOOLEAN:
    return sqlite3_bind_int(statement, parameter, ((const uint8_t *)column->values)[row]);
  case WEIR_TYPE_INT:
    return sqlite3_bind_int(statement, parameter, ((const int32_t *)column->values)[row]);
  case WEIR_TYPE_BIGINT:
    return sqlite3_bind_int64(statement, parameter, wr_column_bigints(column)[row]);
  case WEIR_TYPE_DOUBLE:
    return sqlite3_bind_double(statement, parameter, ((const double *)column->values)[row]);
  case WEIR_TYPE_TIMESTAMP: {
    char text[WR_TIMESTAMP_TEXT_BYTES];
    int length = wr_timestamp_text(((const struct weir_timestamp *)column->values)[row], text);
    return sqlite3_bind_text(statement, parameter, text, length, SQLITE_TRANSIENT);
  }
  default: {
    const struct wr_view *view = &wr_column_views(column)[row];
    const char *bytes = wr_view_bytes(batch, view);
    if (batch->schema->fields[field].type == WEIR_TYPE_STRING)
      return sqlite3_bind_text(statement, parameter, bytes, view->length, SQLITE_STATIC);
    return sqlite3_bind_blob(statement, parameter, bytes, view->length, SQLITE_STATIC);
  }
  }
}

static enum weir_code row_failed(const struct wr_sqlite_table *table, int result, const char *verb,
                                 struct weir_error *error) {
  char doing[320];
  snprintf(doing, sizeof doing, "%s table \"%s\"", verb, table->config->table);
  return wr_sqlite_fail(table->database, result, doing, error);
}

/* Runs a statement whose parameters are bound. SQLite's message is lost by a reset, so that comes last. */
static enum weir_code run_row(const struct wr_sqlite_table *table, sqlite3_stmt *statement, int bound, const char *verb,
                              struct weir_error *error) {
  int result = bound == SQLITE_OK ? sqlite3_step(statement) : bound;
  enum weir_code code = result == SQLITE_DONE ? WEIR_OK : row_failed(table, result, verb, error);
  sqlite3_reset(statement);
  return code;
}

static enum weir_code write_rows(const struct wr_sqlite_table *table, sqlite3_stmt *statement,
                                 const struct wr_sqlite_row *rows, uint32_t count, struct weir_error *error) {
  int bound = SQLITE_OK, parameter = 0;
  for (uint32_t row = 0; row < count; row++)
    for (uint32_t i = 0; i < table->schema->field_count && bound == SQLITE_OK; i++)
      bound = bind_field(statement, ++parameter, rows[row].batch, i, rows[row].row);
  return run_row(table, statement, bound, "insert into", error);
}

enum weir_code wr_sqlite_table_write(struct wr_sqlite_table *table, const struct wr_sqlite_row *rows, uint32_t count,
                                     struct weir_error *error) {
  uint32_t done = 0;
  for (; table->write_many != NULL && count - done >= table->many; done += table->many)
    WR_TRY(write_rows(table, table->write_many, rows + done, table->many, error));
  for (; done < count; done++)
    WR_TRY(write_rows(table, table->write, rows + done, 1, error));
  return WEIR_OK;
}

enum weir_code wr_sqlite_table_delete(struct wr_sqlite_table *table, const struct wr_batch *batch, uint32_t row,
                                      struct weir_error *error) {
  int bound = SQLITE_OK;
  for (uint32_t i = 0; i < table->config->key_count && bound == SQLITE_OK; i++)
    bound = bind_field(table->delete, (int)i + 1, batch, table->config->key_fields[i], row);
  return run_row(table, table->delete, bound, "delete from", error);
}
