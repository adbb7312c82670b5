/* connectors/postgres/postgres_rows.c: see postgres_rows.h.
 *
 * Why arrays: one path for upserts and deletions, no table of one's own on the server, one round trip a statement. Rows
 * that are only inserted go by COPY, which is 2.6 times as fast (2 M rows of three columns: 0.56 M rows/s by arrays,
 * 1.44 by COPY, 1.96 by psql's own). Upserts are bound by the heap and the index: an update of one of 1 M keys in
 * random order, 250,000 in a transaction, costs the server 12 us of CPU by arrays and by COPY into a temporary table,
 * 13 by VALUES, 14 by UPDATE FROM a temporary table and INSERT of the rest; a new key 8 by arrays and by a temporary
 * table; an update in a transaction of 100 is 17 by arrays, 18 by VALUES, 21 by a temporary table that is kept, 36 by
 * one that is made. */
#include "connectors/postgres/postgres_rows.h"

#include "connectors/postgres/postgres_copy.h"
#include "formats/civil_time.h"
#include "connectors/sql/sql_text.h"

#include <stdio.h>

enum { STATEMENT_ROWS_MAX = 4096, STATEMENT_BYTES_MAX = 4 * 1024 * 1024 };

/* 2000-01-01, from where PostgreSQL counts its microseconds. */
static const int64_t postgres_epoch_ms = 946684800000;

static const struct {
  Oid element, array;
} oids[WEIR_TYPE_COUNT] = {
    [WEIR_TYPE_BOOLEAN] = {16, 1000},    [WEIR_TYPE_INT] = {23, 1007},    [WEIR_TYPE_BIGINT] = {20, 1016},
    [WEIR_TYPE_DOUBLE] = {701, 1022},    [WEIR_TYPE_STRING] = {25, 1009}, [WEIR_TYPE_BYTES] = {17, 1001},
    [WEIR_TYPE_TIMESTAMP] = {1114, 1115}};

enum weir_code wr_postgres_rows_init(struct wr_postgres_rows *rows, struct wr_memory *memory,
                                     const struct wr_sql_config *config, const struct wr_sql_server *server,
                                     const struct weir_schema *schema, const struct wr_sql_table *table,
                                     struct weir_error *error) {
  *rows =
      (struct wr_postgres_rows){.memory = memory, .config = config, .server = server, .schema = schema, .table = table};
  size_t count = schema->field_count;
  wr_bytes_init(&rows->write_sql, memory, WR_MEMORY_SINK);
  wr_bytes_init(&rows->delete_sql, memory, WR_MEMORY_SINK);
  rows->columns = wr_alloc_zeroed(memory, count, sizeof *rows->columns, WR_MEMORY_SINK);
  rows->arrays = wr_alloc_zeroed(memory, count, sizeof *rows->arrays, WR_MEMORY_SINK);
  rows->types = wr_alloc_zeroed(memory, count, sizeof *rows->types, WR_MEMORY_SINK);
  rows->values = wr_alloc_zeroed(memory, count, sizeof *rows->values, WR_MEMORY_SINK);
  rows->lengths = wr_alloc_zeroed(memory, count, sizeof *rows->lengths, WR_MEMORY_SINK);
  rows->is_binary = wr_alloc_zeroed(memory, count, sizeof *rows->is_binary, WR_MEMORY_SINK);
  for (uint32_t i = 0; rows->arrays != NULL && i < count; i++)
    wr_bytes_init(&rows->arrays[i], memory, WR_MEMORY_SINK);
  if (rows->columns != NULL && rows->arrays != NULL && rows->types != NULL && rows->values != NULL &&
      rows->lengths != NULL && rows->is_binary != NULL)
    return WEIR_OK;
  wr_postgres_rows_deinit(rows);
  return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for %s", config->where);
}

void wr_postgres_rows_deinit(struct wr_postgres_rows *rows) {
  for (uint32_t i = 0; rows->arrays != NULL && i < rows->schema->field_count; i++)
    wr_bytes_deinit(&rows->arrays[i]);
  wr_bytes_deinit(&rows->write_sql);
  wr_bytes_deinit(&rows->delete_sql);
  wr_free(rows->memory, rows->columns);
  wr_free(rows->memory, rows->arrays);
  wr_free(rows->memory, rows->types);
  wr_free(rows->memory, rows->values);
  wr_free(rows->memory, rows->lengths);
  wr_free(rows->memory, rows->is_binary);
  rows->arrays = NULL;
}

/* ---- statements ---- */

static const char *type_of(const struct wr_postgres_rows *rows, uint32_t field) {
  return rows->table->columns[rows->columns[field]].type;
}

/* A point in time goes into a column of text as text, with all nine digits. */
static enum weir_type sent_type(const struct wr_postgres_rows *rows, uint32_t field) {
  enum weir_type type = rows->schema->fields[field].type;
  bool as_text = type == WEIR_TYPE_TIMESTAMP && rows->table->columns[rows->columns[field]].time_digits == 9;
  return as_text ? WEIR_TYPE_STRING : type;
}

static void put_copy(struct wr_bytes *sql, const struct wr_postgres_rows *rows) {
  wr_sql_put(sql, "COPY ");
  wr_sql_put_table(sql, rows->server->table, '"');
  wr_sql_put(sql, " (");
  wr_sql_put_fields(sql, rows->schema, NULL, rows->schema->field_count, ", ", '"');
  wr_sql_put(sql, ") FROM STDIN");
}

/* Number `number` of the unnested columns; text is not assigned to all types that it fits by itself. */
static void put_value(struct wr_bytes *sql, const struct wr_postgres_rows *rows, uint32_t number, uint32_t field) {
  static const char *const read_from_text[] = {"json", "jsonb", "uuid"};
  char text[24];
  snprintf(text, sizeof text, "u.c%u", number);
  wr_sql_put(sql, text);
  for (size_t i = 0; i < sizeof read_from_text / sizeof read_from_text[0]; i++)
    if (strcmp(type_of(rows, field), read_from_text[i]) == 0) {
      wr_sql_put(sql, "::");
      wr_sql_put(sql, read_from_text[i]);
    }
}

static void put_unnest(struct wr_bytes *sql, uint32_t count) {
  char text[24];
  wr_sql_put(sql, "unnest(");
  for (uint32_t i = 0; i < count; i++) {
    snprintf(text, sizeof text, "%s$%u", i == 0 ? "" : ", ", i + 1);
    wr_sql_put(sql, text);
  }
  wr_sql_put(sql, ") AS u(");
  for (uint32_t i = 0; i < count; i++) {
    snprintf(text, sizeof text, "%sc%u", i == 0 ? "" : ", ", i);
    wr_sql_put(sql, text);
  }
  wr_sql_put(sql, ")");
}

static void put_on_conflict(struct wr_bytes *sql, const struct wr_postgres_rows *rows) {
  const struct wr_sql_config *config = rows->config;
  wr_sql_put(sql, " ON CONFLICT (");
  wr_sql_put_fields(sql, rows->schema, config->key_fields, config->key_count, ", ", '"');
  wr_sql_put(sql, ") DO ");
  uint32_t updated = 0;
  for (uint32_t i = 0; i < rows->schema->field_count; i++) {
    if (wr_sql_is_key(config, i)) continue;
    wr_sql_put(sql, updated++ == 0 ? "UPDATE SET " : ", ");
    wr_sql_put_name(sql, rows->schema->fields[i].name, '"');
    wr_sql_put(sql, " = EXCLUDED.");
    wr_sql_put_name(sql, rows->schema->fields[i].name, '"');
  }
  if (updated == 0) wr_sql_put(sql, "NOTHING");
}

static void put_write(struct wr_bytes *sql, const struct wr_postgres_rows *rows) {
  uint32_t count = rows->schema->field_count;
  wr_sql_put(sql, "INSERT INTO ");
  wr_sql_put_table(sql, rows->server->table, '"');
  wr_sql_put(sql, " (");
  wr_sql_put_fields(sql, rows->schema, NULL, count, ", ", '"');
  wr_sql_put(sql, ") SELECT ");
  for (uint32_t i = 0; i < count; i++) {
    if (i > 0) wr_sql_put(sql, ", ");
    put_value(sql, rows, i, i);
  }
  wr_sql_put(sql, " FROM ");
  put_unnest(sql, count);
  if (rows->config->mode == WR_SQL_UPSERT) put_on_conflict(sql, rows);
}

static void put_delete(struct wr_bytes *sql, const struct wr_postgres_rows *rows) {
  const struct wr_sql_config *config = rows->config;
  wr_sql_put(sql, "DELETE FROM ");
  wr_sql_put_table(sql, rows->server->table, '"');
  wr_sql_put(sql, " AS t USING ");
  put_unnest(sql, config->key_count);
  wr_sql_put(sql, " WHERE ");
  for (uint32_t i = 0; i < config->key_count; i++) {
    wr_sql_put(sql, i == 0 ? "t." : " AND t.");
    wr_sql_put_name(sql, rows->schema->fields[config->key_fields[i]].name, '"');
    wr_sql_put(sql, " = ");
    put_value(sql, rows, i, config->key_fields[i]);
  }
}

enum weir_code wr_postgres_rows_prepare(struct wr_postgres_rows *rows, struct weir_error *error) {
  wr_bytes_clear(&rows->write_sql);
  wr_bytes_clear(&rows->delete_sql);
  rows->copies = rows->config->mode == WR_SQL_INSERT && rows->table->takes_copy;
  if (rows->copies)
    put_copy(&rows->write_sql, rows);
  else
    put_write(&rows->write_sql, rows);
  put_delete(&rows->delete_sql, rows);
  if (wr_sql_text(&rows->write_sql) != NULL && wr_sql_text(&rows->delete_sql) != NULL) return WEIR_OK;
  return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for the statements of %s", rows->config->where);
}

/* ---- values ---- */

static void put_u32(struct wr_bytes *out, uint32_t value) {
  const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
  wr_bytes_put(out, bytes, sizeof bytes);
}

static void put_u64(struct wr_bytes *out, uint64_t value) {
  put_u32(out, 8);
  put_u32(out, (uint32_t)(value >> 32));
  put_u32(out, (uint32_t)value);
}

enum weir_code wr_postgres_check_time(const struct wr_sql_column *column, struct weir_timestamp time,
                                      struct weir_error *error) {
  if (wr_sql_time_fits(column, time)) return WEIR_OK;
  return WR_FAIL(error, WEIR_CONSTRAINT,
                 "field \"%s\" has more than the %u digits of a second that column type %s keeps; round it before, or "
                 "make the column text",
                 column->name, column->time_digits, column->type);
}

enum weir_code wr_postgres_refuse_nul(const char *name, struct weir_error *error) {
  return WR_FAIL(error, WEIR_CONSTRAINT, "field \"%s\" has a character NUL, which no text of PostgreSQL can hold",
                 name);
}

static enum weir_code put_time(struct wr_bytes *out, const struct wr_postgres_rows *rows, uint32_t field,
                               struct weir_timestamp time, struct weir_error *error) {
  const struct wr_sql_column *column = &rows->table->columns[rows->columns[field]];
  if (column->time_digits == 9) {
    char text[WR_TIMESTAMP_TEXT_BYTES];
    int length = wr_timestamp_text(time, text);
    put_u32(out, (uint32_t)length);
    wr_bytes_put(out, text, (size_t)length);
    return WEIR_OK;
  }
  WR_TRY(wr_postgres_check_time(column, time, error));
  put_u64(out, (uint64_t)((time.milliseconds - postgres_epoch_ms) * 1000 + time.nanoseconds / 1000));
  return WEIR_OK;
}

static enum weir_code put_text(struct wr_bytes *out, const struct wr_batch *batch, uint32_t field, uint32_t row,
                               struct weir_error *error) {
  const struct wr_view *view = &wr_column_views(&batch->columns[field])[row];
  const char *bytes = wr_view_bytes(batch, view);
  if (batch->schema->fields[field].type == WEIR_TYPE_STRING && memchr(bytes, 0, (size_t)view->length) != NULL)
    return wr_postgres_refuse_nul(batch->schema->fields[field].name, error);
  put_u32(out, (uint32_t)view->length);
  wr_bytes_put(out, bytes, (size_t)view->length);
  return WEIR_OK;
}

static enum weir_code put_field(struct wr_bytes *out, const struct wr_postgres_rows *rows, const struct wr_sql_row *at,
                                uint32_t field, struct weir_error *error) {
  const struct wr_column *column = &at->batch->columns[field];
  if (wr_column_is_null(column, at->row)) {
    put_u32(out, UINT32_MAX);
    return WEIR_OK;
  }
  switch (at->batch->schema->fields[field].type) {
  case WEIR_TYPE_BOOLEAN:
    put_u32(out, 1);
    wr_bytes_put_u8(out, ((const uint8_t *)column->values)[at->row]);
    return WEIR_OK;
  case WEIR_TYPE_INT:
    put_u32(out, 4);
    put_u32(out, ((const uint32_t *)column->values)[at->row]);
    return WEIR_OK;
  case WEIR_TYPE_BIGINT:
  case WEIR_TYPE_DOUBLE:
    put_u64(out, ((const uint64_t *)column->values)[at->row]);
    return WEIR_OK;
  case WEIR_TYPE_TIMESTAMP:
    return put_time(out, rows, field, ((const struct weir_timestamp *)column->values)[at->row], error);
  default:
    return put_text(out, at->batch, field, at->row, error);
  }
}

/* One column's values of all rows, as array number `number`. */
static enum weir_code put_array(struct wr_postgres_rows *rows, uint32_t number, uint32_t field,
                                const struct wr_sql_row *all, uint32_t count, struct weir_error *error) {
  struct wr_bytes *out = &rows->arrays[number];
  enum weir_type type = sent_type(rows, field);
  wr_bytes_clear(out);
  put_u32(out, 1);
  put_u32(out, 1);
  put_u32(out, oids[type].element);
  put_u32(out, count);
  put_u32(out, 1);
  for (uint32_t i = 0; i < count; i++)
    WR_TRY(put_field(out, rows, &all[i], field, error));
  rows->types[number] = oids[type].array;
  rows->is_binary[number] = 1;
  rows->lengths[number] = (int)out->length;
  rows->values[number] = (const char *)out->data;
  return wr_bytes_check(out, error);
}

/* How many of the rows go into one statement: at least one. */
static uint32_t rows_of_statement(const struct wr_postgres_rows *rows, const struct wr_sql_row *all, uint32_t count) {
  size_t bytes = 0;
  uint32_t taken = 0;
  for (; taken < count && taken < STATEMENT_ROWS_MAX && bytes < STATEMENT_BYTES_MAX; taken++)
    for (uint32_t f = 0; f < rows->schema->field_count; f++) {
      enum weir_type type = rows->schema->fields[f].type;
      bool is_long = type == WEIR_TYPE_STRING || type == WEIR_TYPE_BYTES;
      const struct wr_column *column = &all[taken].batch->columns[f];
      bytes += 12 + (is_long ? (size_t)wr_column_views(column)[all[taken].row].length : 0);
    }
  return taken;
}

enum wr_sql_outcome wr_postgres_rows_write(struct wr_postgres_rows *rows, struct wr_postgres_session *session,
                                           enum wr_sql_change change, const struct wr_sql_row *all, uint32_t count,
                                           struct weir_error *error) {
  bool is_delete = change == WR_SQL_DELETE;
  if (rows->copies) return wr_postgres_copy_rows(rows, session, all, count, error);
  uint32_t fields = is_delete ? rows->config->key_count : rows->schema->field_count;
  const struct wr_bytes *sql = is_delete ? &rows->delete_sql : &rows->write_sql;
  for (uint32_t done = 0; done < count;) {
    uint32_t taken = rows_of_statement(rows, all + done, count - done);
    for (uint32_t i = 0; i < fields; i++) {
      uint32_t field = is_delete ? rows->config->key_fields[i] : i;
      if (put_array(rows, i, field, all + done, taken, error) != WEIR_OK) return WR_SQL_FAILED;
    }
    const struct wr_postgres_values values = {.count = (int)fields,
                                              .values = rows->values,
                                              .lengths = rows->lengths,
                                              .types = rows->types,
                                              .is_binary = rows->is_binary};
    enum wr_sql_outcome outcome = wr_postgres_run(session, (const char *)sql->data, &values,
                                                  is_delete ? "delete rows" : "write rows", NULL, error);
    if (outcome != WR_SQL_DONE) return outcome;
    done += taken;
  }
  return WR_SQL_DONE;
}
