/* connectors/mysql/mysql_rows.c: see mysql_rows.h. */
#include "connectors/mysql/mysql_rows.h"

#include "formats/civil_time.h"
#include "connectors/sql/sql_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* A long OR is looked up key by key only up to a limit of the server's memory for it. */
enum { WRITE_ROWS_MAX = 4096, DELETE_ROWS_MAX = 500, STATEMENT_BYTES_MAX = 4 * 1024 * 1024, PACKET_SPARE_BYTES = 1024 };

/* ---- values ---- */

static enum weir_code put_double(struct wr_bytes *sql, const char *name, double value, struct weir_error *error) {
  char text[40];
  if (isnan(value) || isinf(value))
    return WR_FAIL(error, WEIR_CONSTRAINT, "field \"%s\" is %s, which no column of MySQL can hold", name,
                   isnan(value) ? "NaN" : "infinite");
  snprintf(text, sizeof text, "%.17e", value);
  wr_sql_put(sql, text);
  return WEIR_OK;
}

static enum weir_code put_time(struct wr_bytes *sql, const struct wr_sql_column *column, struct weir_timestamp time,
                               struct weir_error *error) {
  char text[WR_TIMESTAMP_TEXT_BYTES];
  int length = wr_timestamp_text(time, text);
  if (!wr_sql_time_fits(column, time))
    return WR_FAIL(
        error, WEIR_CONSTRAINT,
        "field \"%s\" has more than the %u digits of a second that column type %s keeps; round it before, or "
        "make the column text",
        column->name, column->time_digits, column->type);
  if (column->time_digits < 9) length -= 3; /* to microseconds; what is cut is 0 */
  wr_mysql_put_text(sql, text, (size_t)length);
  return WEIR_OK;
}

static void put_hex(struct wr_bytes *sql, const char *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  wr_sql_put(sql, "x'");
  uint8_t *at = wr_bytes_reserve(sql, 2 * length);
  for (size_t i = 0; at != NULL && i < length; i++) {
    at[2 * i] = (uint8_t)digits[(uint8_t)bytes[i] >> 4];
    at[2 * i + 1] = (uint8_t)digits[(uint8_t)bytes[i] & 15];
  }
  if (at != NULL) sql->length += 2 * length;
  wr_sql_put(sql, "'");
}

static enum weir_code put_text(struct wr_bytes *sql, const struct wr_mysql_rows *rows, const struct wr_sql_row *at,
                               uint32_t field, struct weir_error *error) {
  const struct wr_view *view = &wr_column_views(&at->batch->columns[field])[at->row];
  const struct wr_sql_column *column = &rows->table->columns[rows->columns[field]];
  const char *bytes = wr_view_bytes(at->batch, view);
  size_t length = (size_t)view->length;
  if (rows->schema->fields[field].type == WEIR_TYPE_BYTES) {
    put_hex(sql, bytes, length);
    return WEIR_OK;
  }
  if (column->ignores_end_spaces && length > 0 && bytes[length - 1] == ' ' && wr_sql_is_key(rows->config, field))
    return WR_FAIL(
        error, WEIR_CONSTRAINT,
        "field \"%s\" of the key ends with a space, and the column's collation takes it for equal to the text "
        "without; give the column a collation without padding, as utf8mb4_nopad_bin or utf8mb4_0900_bin",
        column->name);
  wr_mysql_put_text(sql, bytes, length);
  return WEIR_OK;
}

static enum weir_code put_field(struct wr_bytes *sql, const struct wr_mysql_rows *rows, const struct wr_sql_row *at,
                                uint32_t field, struct weir_error *error) {
  const struct wr_column *column = &at->batch->columns[field];
  char text[24];
  if (wr_column_is_null(column, at->row)) {
    wr_sql_put(sql, "NULL");
    return WEIR_OK;
  }
  switch (rows->schema->fields[field].type) {
  case WEIR_TYPE_BOOLEAN:
    wr_sql_put(sql, ((const uint8_t *)column->values)[at->row] != 0 ? "1" : "0");
    return WEIR_OK;
  case WEIR_TYPE_INT:
    snprintf(text, sizeof text, "%" PRId32, ((const int32_t *)column->values)[at->row]);
    break;
  case WEIR_TYPE_BIGINT:
    snprintf(text, sizeof text, "%" PRId64, wr_column_bigints(column)[at->row]);
    break;
  case WEIR_TYPE_DOUBLE:
    return put_double(sql, rows->schema->fields[field].name, ((const double *)column->values)[at->row], error);
  case WEIR_TYPE_TIMESTAMP:
    return put_time(sql, &rows->table->columns[rows->columns[field]],
                    ((const struct weir_timestamp *)column->values)[at->row], error);
  default:
    return put_text(sql, rows, at, field, error);
  }
  wr_sql_put(sql, text);
  return WEIR_OK;
}

/* ---- statements ---- */

static enum weir_code put_row(struct wr_bytes *sql, const struct wr_mysql_rows *rows, const struct wr_sql_row *at,
                              bool is_delete, struct weir_error *error) {
  uint32_t count = is_delete ? rows->config->key_count : rows->schema->field_count;
  wr_sql_put(sql, "(");
  for (uint32_t i = 0; i < count; i++) {
    uint32_t field = is_delete ? rows->config->key_fields[i] : i;
    if (i > 0) wr_sql_put(sql, is_delete ? " AND " : ", ");
    if (is_delete) {
      wr_sql_put_name(sql, rows->schema->fields[field].name, '`');
      wr_sql_put(sql, " = ");
    }
    WR_TRY(put_field(sql, rows, at, field, error));
  }
  wr_sql_put(sql, ")");
  return WEIR_OK;
}

static void put_beginning(struct wr_bytes *sql, const struct wr_mysql_rows *rows, bool is_delete) {
  wr_bytes_clear(sql);
  wr_sql_put(sql, is_delete ? "DELETE FROM " : "INSERT INTO ");
  wr_sql_put_table(sql, rows->server->table, '`');
  wr_sql_put(sql, is_delete ? " WHERE " : " (");
  if (is_delete) return;
  wr_sql_put_fields(sql, rows->schema, NULL, rows->schema->field_count, ", ", '`');
  wr_sql_put(sql, ") VALUES ");
}

/* A key alone is set to itself, so that a row that is there already is no error. */
static void put_ending(struct wr_bytes *sql, const struct wr_mysql_rows *rows, bool is_delete) {
  if (is_delete || rows->config->mode == WR_SQL_INSERT) return;
  bool only_key = rows->config->key_count == rows->schema->field_count;
  uint32_t updated = 0;
  for (uint32_t i = 0; i < rows->schema->field_count; i++) {
    if (wr_sql_is_key(rows->config, i) && !only_key) continue;
    wr_sql_put(sql, updated++ == 0 ? " ON DUPLICATE KEY UPDATE " : ", ");
    wr_sql_put_name(sql, rows->schema->fields[i].name, '`');
    wr_sql_put(sql, " = VALUES(");
    wr_sql_put_name(sql, rows->schema->fields[i].name, '`');
    wr_sql_put(sql, ")");
  }
}

/* One statement, of the first rows; *out_taken: how many. */
static enum weir_code make_statement(struct wr_mysql_rows *rows, const struct wr_mysql_session *session, bool is_delete,
                                     const struct wr_sql_row *all, uint32_t count, uint32_t *out_taken,
                                     struct weir_error *error) {
  struct wr_bytes *sql = &rows->sql;
  uint32_t rows_max = is_delete ? DELETE_ROWS_MAX : WRITE_ROWS_MAX, taken = 0;
  size_t spare = PACKET_SPARE_BYTES + (size_t)rows->schema->field_count * 600; /* names, twice, in the ending */
  size_t packet = session->packet_bytes_max > spare ? session->packet_bytes_max - spare : session->packet_bytes_max;
  put_beginning(sql, rows, is_delete);
  for (; taken < count && taken < rows_max && sql->length < STATEMENT_BYTES_MAX; taken++) {
    wr_bytes_clear(&rows->row);
    WR_TRY(put_row(&rows->row, rows, &all[taken], is_delete, error));
    WR_TRY(wr_bytes_check(&rows->row, error));
    if (sql->length + rows->row.length + 4 > packet) {
      if (taken > 0) break;
      return WR_FAIL(error, WEIR_CONSTRAINT,
                     "as a statement it has %zu bytes, more than the server's max_allowed_packet of %zu",
                     rows->row.length, session->packet_bytes_max);
    }
    if (taken > 0) wr_sql_put(sql, is_delete ? " OR " : ", ");
    wr_bytes_put(sql, rows->row.data, rows->row.length);
  }
  put_ending(sql, rows, is_delete);
  *out_taken = taken;
  return wr_bytes_check(sql, error);
}

enum wr_sql_outcome wr_mysql_rows_write(struct wr_mysql_rows *rows, struct wr_mysql_session *session,
                                        enum wr_sql_change change, const struct wr_sql_row *all, uint32_t count,
                                        struct weir_error *error) {
  bool is_delete = change == WR_SQL_DELETE;
  for (uint32_t done = 0; done < count;) {
    uint32_t taken = 0;
    if (make_statement(rows, session, is_delete, all + done, count - done, &taken, error) != WEIR_OK)
      return WR_SQL_FAILED;
    enum wr_sql_outcome outcome = wr_mysql_run(session, rows->sql.data, rows->sql.length,
                                               is_delete ? "delete rows" : "write rows", NULL, NULL, error);
    if (outcome != WR_SQL_DONE) return outcome;
    done += taken;
  }
  return WR_SQL_DONE;
}
